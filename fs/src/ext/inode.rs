//! Inodes: what a file is, how large, and the 60 bytes that say where it lies.

use alloc::rc::Rc;

use super::superblock::incompat;
use super::{Core, group, unsupported_in};
use crate::bytes::{Fields, buffer, index, join};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::tree::EntryKind;

/// The root directory's number.
pub(super) const ROOT: u32 = 2;

/// `i_flags` bits.
pub(super) mod flags {
    pub(crate) const COMPRESSED: u32 = 0x4;
    pub(crate) const IMMUTABLE: u32 = 0x10;
    pub(crate) const ENCRYPTED: u32 = 0x800;
    pub(crate) const INDEX: u32 = 0x1000;
    pub(crate) const EXTENTS: u32 = 0x8_0000;
    pub(crate) const VERITY: u32 = 0x10_0000;
    pub(crate) const INLINE_DATA: u32 = 0x1000_0000;
    pub(crate) const CASEFOLD: u32 = 0x4000_0000;
}

/// An inode, checked.
#[derive(Clone)]
pub(crate) struct Inode {
    pub(super) number: u32,
    pub(super) mode: u16,
    pub(super) size: u64,
    pub(super) flags: u32,
    /// `i_block`.
    pub(super) block: [u8; 60],
    /// Seed of the checksums of this inode's extent and directory blocks.
    pub(super) seed: u32,
    /// The whole record: extended attributes are at its end.
    pub(super) raw: Rc<[u8]>,
}

impl Inode {
    pub(super) fn read(core: &Core, number: u32) -> Result<Self, FsError> {
        let superblock = &core.superblock;
        let (group, at) = group::place_of(superblock, number)?;
        let (block, at) = group::in_table(superblock, group::inode_table(core, group, number)?, at);
        let mut raw = buffer(superblock.inode_bytes);
        core.store.read(block, at, &mut raw)?;
        let is_changed = core.store.changes().apply(number, &mut raw)?;

        let generation = raw.le32(0x64)?;
        let seed = crc32c(
            crc32c(superblock.seed, &number.to_le_bytes()),
            &generation.to_le_bytes(),
        );
        if superblock.has_checksums() && !is_changed {
            check(&raw, seed, number)?;
        }
        let mode = raw.le16(0)?;
        // The high half is a size in regular files, and with large_dir; in old directories it is an ACL's block.
        let high = if mode & 0xf000 == 0x8000 || superblock.has_incompat(incompat::LARGEDIR) {
            raw.le32(0x6c)?
        } else {
            0
        };
        Ok(Self {
            number,
            mode,
            size: join(raw.le32(4)?, high),
            flags: raw.le32(0x20)?,
            block: raw.array(0x28)?,
            seed,
            raw: raw.into(),
        })
    }

    pub(super) fn kind(&self) -> EntryKind {
        EntryKind::of_mode(self.mode.into())
    }

    pub(super) const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// The target of a link that is short enough to stand in the inode.
    pub(super) fn fast_link(&self) -> Option<&[u8]> {
        if self.has(flags::EXTENTS) || self.has(flags::INLINE_DATA) || self.size >= 60 {
            return None;
        }
        self.block.get(..index(self.size))
    }

    /// Refuses what needs a key or an algorithm that this code has not.
    pub(super) fn check_readable(&self) -> Result<(), FsError> {
        if self.has(flags::ENCRYPTED) {
            return Err(unsupported_in(
                "ext4 encrypted file or directory",
                self.number,
            ));
        }
        if self.has(flags::COMPRESSED) {
            return Err(unsupported_in("ext2 compressed file", self.number));
        }
        Ok(())
    }
}

/// The checksum covers the record with its own two halves zeroed. The upper half exists if the record is large enough.
fn check(raw: &[u8], seed: u32, number: u32) -> Result<(), FsError> {
    let extra = if raw.len() > 128 { raw.le16(0x80)? } else { 0 };
    let has_high = extra >= 4;
    let mut sum = crc32c(crc32c(seed, raw.slice(0, 0x7c)?), &[0, 0]);
    let mut stored = u32::from(raw.le16(0x7c)?);
    if has_high {
        sum = crc32c(crc32c(sum, raw.slice(0x7e, 4)?), &[0, 0]);
        sum = crc32c(sum, raw.get(0x84..).unwrap_or_default());
        stored |= u32::from(raw.le16(0x82)?) << 16;
    } else {
        sum = crc32c(sum, raw.get(0x7e..).unwrap_or_default()) & 0xffff;
    }
    super::verify(sum, stored, "checksum of inode", u64::from(number))
}
