//! Group descriptors: where each group's inode table is.

use super::Core;
use super::superblock::{Superblock, compat, incompat, ro_compat};
use crate::bytes::{Fields, buffer, join};
use crate::checksum::{crc16, crc32c};
use crate::error::FsError;

/// First block of the inode table of group `group`, which `inode` is in.
pub(super) fn inode_table(core: &Core, group: u32, inode: u32) -> Result<u64, FsError> {
    let superblock = &core.superblock;
    let number = u64::from(group);
    let per_block = superblock
        .block_bytes
        .checked_div(superblock.descriptor_bytes)
        .unwrap_or(1);
    let block = descriptors_block(
        superblock,
        number.checked_div(per_block).unwrap_or(0),
        per_block,
    );
    let at = number
        .checked_rem(per_block)
        .unwrap_or(0)
        .saturating_mul(superblock.descriptor_bytes);
    let mut raw = buffer(superblock.descriptor_bytes);
    core.store.read(block, at, &mut raw)?;
    check(superblock, group, &raw, inode)?;
    let high = if superblock.descriptor_bytes >= 64 {
        raw.le32(0x28)?
    } else {
        0
    };
    Ok(join(raw.le32(8)?, high))
}

/// The block that holds the descriptors of groups `part * per_block` and on.
fn descriptors_block(superblock: &Superblock, part: u64, per_block: u64) -> u64 {
    // The block of the superblock itself: 1 if blocks are so small that the boot sector has one of its own.
    let own = u64::from(superblock.block_bytes <= 1024);
    if !superblock.has_incompat(incompat::META_BG) || part < superblock.first_meta_bg {
        return own.saturating_add(part).saturating_add(1);
    }
    // With meta_bg each such block is in the first group it describes, after that group's superblock, if any.
    let group = part.saturating_mul(per_block);
    let start = group
        .saturating_mul(superblock.blocks_per_group)
        .saturating_add(superblock.first_data_block);
    // bigalloc with 1 KiB blocks: block 0 is group 0's, though the superblock is in block 1.
    let shifted = own == 1 && part == 0 && superblock.first_data_block == 0;
    start
        .saturating_add(u64::from(has_superblock(superblock, group)))
        .saturating_add(u64::from(shifted))
}

fn has_superblock(superblock: &Superblock, group: u64) -> bool {
    if group == 0 {
        return true;
    }
    if superblock.has_compat(compat::SPARSE_SUPER2) {
        return superblock
            .backup_groups
            .iter()
            .any(|&backup| u64::from(backup) == group);
    }
    if group == 1 || !superblock.has_ro_compat(ro_compat::SPARSE_SUPER) {
        return true;
    }
    [3u64, 5, 7].iter().any(|&base| {
        let mut power = base;
        while power < group {
            power = power.saturating_mul(base);
        }
        power == group
    })
}

fn check(superblock: &Superblock, group: u32, raw: &[u8], inode: u32) -> Result<(), FsError> {
    const SUM_AT: usize = 0x1e;
    let stored = u32::from(raw.le16(SUM_AT)?);
    let number = group.to_le_bytes();
    let (before, after) = (
        raw.slice(0, SUM_AT)?,
        raw.get(SUM_AT.saturating_add(2)..).unwrap_or_default(),
    );
    let computed = if superblock.has_checksums() {
        let sum = crc32c(crc32c(crc32c(superblock.seed, &number), before), &[0, 0]);
        crc32c(sum, after) & 0xffff
    } else if superblock.has_ro_compat(ro_compat::GDT_CSUM) {
        let after = if raw.len() > 32 { after } else { &[] };
        u32::from(crc16(&[&superblock.uuid, &number, before, after]))
    } else {
        return Ok(());
    };
    super::verify(
        computed,
        stored,
        "checksum of the group descriptor for inode",
        u64::from(inode),
    )
}

/// Splits an inode's number into its group and its place in the group's table: (group, byte in the table).
pub(super) fn place_of(superblock: &Superblock, inode: u32) -> Result<(u32, u64), FsError> {
    let zero_based = inode
        .checked_sub(1)
        .filter(|_| inode <= superblock.inodes_count);
    let zero_based = zero_based.ok_or(FsError::corrupt("inode number", u64::from(inode)))?;
    let group = zero_based
        .checked_div(superblock.inodes_per_group)
        .unwrap_or(0);
    let entry = zero_based
        .checked_rem(superblock.inodes_per_group)
        .unwrap_or(0);
    Ok((
        group,
        u64::from(entry).saturating_mul(superblock.inode_bytes),
    ))
}

/// The block and the byte in it of a table entry.
pub(super) fn in_table(superblock: &Superblock, table: u64, at: u64) -> (u64, u64) {
    let block = at.checked_div(superblock.block_bytes).unwrap_or(0);
    let rest = at.checked_rem(superblock.block_bytes).unwrap_or(0);
    (table.saturating_add(block), rest)
}
