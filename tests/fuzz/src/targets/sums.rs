//! Checksums of file systems that check everything: after a change they are made right, so that what was changed is
//! looked at and not only refused. Sources: the kernel's `xfs_format.h` and `xfs_da_format.h`; btrfs's on-disk format
//! documentation.

use crc::{CRC_32_ISCSI, Crc};

use crate::disk::read_changed;
use crate::image::Image;
use crate::patches::Changes;

const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Where structures of XFS v5 have their magic number and their checksum; all are at least a sector.
const XFS: &[(usize, &[u8], usize)] = &[
    (0, b"XFSB", 224),
    (0, b"XAGF", 216),
    (0, b"XAGI", 312),
    (0, b"IN", 100),
    (0, b"XDB3", 4),
    (0, b"XDD3", 4),
    (0, b"XDF3", 4),
    (0, b"BMA3", 64),
    (0, b"IAB3", 52),
    (0, b"XSLM", 12),
    (8, b"\x3d\xf1", 12),
    (8, b"\x3d\xff", 12),
    (8, b"\x3e\xbe", 12),
];

/// Sizes that structures may have: sectors and inodes, then blocks, then directory blocks.
const XFS_SIZES: [u64; 4] = [512, 1024, 4096, 8192];

/// The places that were changed, in units of `size` bytes, each once.
fn units(changes: &Changes, size: u64) -> Vec<u64> {
    let mut units: Vec<u64> = changes.iter().map(|(at, _)| at - at % size).collect();
    units.sort_unstable();
    units.dedup();
    units
}

/// Makes the checksums of XFS v5 right wherever something was changed.
pub(crate) fn repair_xfs(image: &Image, changes: &mut Changes) {
    for size in XFS_SIZES {
        for at in units(changes, size) {
            let mut unit = vec![0; size as usize];
            read_changed(image, changes, at, &mut unit);
            let known = XFS
                .iter()
                .find(|(magic_at, magic, _)| unit[*magic_at..].starts_with(magic));
            let Some((_, magic, sum_at)) = known else {
                continue;
            };
            // An inode and what describes an allocation group is no larger than a sector, a block no smaller.
            let is_small =
                magic.len() == 2 && *sum_at == 100 || magic.starts_with(b"X") && *sum_at > 200;
            if is_small != (size == 512) {
                continue;
            }
            unit[*sum_at..sum_at + 4].fill(0);
            let sum = CRC32C.checksum(&unit);
            changes.push((at + *sum_at as u64, sum.to_le_bytes().to_vec()));
        }
    }
}

/// Byte offset of btrfs's superblock, and what of it is summed.
const BTRFS_SUPERBLOCK: u64 = 64 << 10;
const BTRFS_SUPERBLOCK_BYTES: usize = 4096;
/// Where a node and the superblock have the file system's number.
const BTRFS_FSID: std::ops::Range<usize> = 32..48;

/// Makes the CRC32C of changed nodes of btrfs, and of its superblock, right.
pub(crate) fn repair_btrfs(image: &Image, changes: &mut Changes) {
    let mut superblock = vec![0; BTRFS_SUPERBLOCK_BYTES];
    image.read(BTRFS_SUPERBLOCK, &mut superblock);
    let number = superblock[BTRFS_FSID].to_vec();
    let size = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&superblock[at..at + 4]);
        u64::from(u32::from_le_bytes(bytes))
    };
    let node_bytes = size(148).clamp(4096, 65536);
    for (size, at) in [(4096, Some(BTRFS_SUPERBLOCK)), (node_bytes, None)] {
        for unit_at in units(changes, size) {
            let mut unit = vec![0; size as usize];
            // What was a node is one still, whatever was done to its number.
            image.read(unit_at, &mut unit);
            if at.is_some_and(|at| at != unit_at)
                || at.is_none() && unit_at == BTRFS_SUPERBLOCK
                || unit[BTRFS_FSID] != number
            {
                continue;
            }
            read_changed(image, changes, unit_at, &mut unit);
            let sum = CRC32C.checksum(&unit[32..]);
            changes.push((unit_at, sum.to_le_bytes().to_vec()));
        }
    }
}
