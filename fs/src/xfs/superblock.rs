//! The superblock (`struct xfs_dsb`): the file system's shape and the features that it uses.

use alloc::vec::Vec;

use crate::bytes::{Fields, buffer};
use crate::error::FsError;
use crate::volume::Volume;

/// As much of the first sector as is read; every sector is at least as long.
pub(super) const BYTES: u64 = 512;
/// Bit of `sb_versionnum` of a file system whose names are compared without regard to ASCII case.
const BORG: u16 = 0x4000;
/// Bit of `sb_versionnum`: directories are of version 2, the only one since 1999.
const DIRECTORIES_2: u16 = 0x2000;
/// Bit of `sb_features2`, version 4: directory entries have types.
const FILE_TYPES_4: u32 = 0x200;

/// `sb_features_incompat` of version 5.
mod incompat {
    pub(super) const FILE_TYPES: u32 = 1;
    pub(super) const META_UUID: u32 = 1 << 2;
    pub(super) const NEEDS_REPAIR: u32 = 1 << 4;
    /// Those above, sparse inodes, big timestamps and extent counters, exchanged ranges, parent pointers, and a
    /// directory of metadata.
    pub(super) const KNOWN: u32 = 0x1ff;
    /// Allocation by zones of a device that is written in sequence.
    pub(super) const ZONED: u32 = 1 << 9;
}

/// What does not change while a file system lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    block_log: u8,
    ag_blocks: u32,
    ag_block_log: u8,
    inode_bytes: u16,
    is_v5: bool,
    root: u64,
}

/// The fields that reading needs.
pub(super) struct Superblock {
    pub(super) block_bytes: u64,
    block_log: u8,
    /// `sb_dblocks`.
    blocks: u64,
    /// `sb_agblocks`.
    ag_blocks: u32,
    /// `sb_agblklog`: bits of a block's number within its allocation group.
    ag_block_log: u8,
    pub(super) inode_bytes: u16,
    /// `sb_inopblog`: bits of an inode's number within its block.
    inodes_per_block_log: u8,
    pub(super) directory_block_bytes: u64,
    pub(super) root: u64,
    /// First block of the log; 0 if it is on another device.
    pub(super) log_start: u64,
    pub(super) log_blocks: u32,
    sector_bytes: u16,
    pub(super) is_v5: bool,
    pub(super) has_file_types: bool,
    pub(super) folds_case: bool,
    incompat: u32,
    pub(super) uuid: [u8; 16],
    pub(super) label: [u8; 12],
}

impl Superblock {
    pub(super) fn parse(raw: &[u8]) -> Result<Self, FsError> {
        if raw.slice(0, 4)? != b"XFSB" {
            return Err(FsError::corrupt("magic of the XFS superblock", 0));
        }
        let version = raw.be16(100)?;
        let is_v5 = match version & 0xf {
            5 => true,
            4 => false,
            other => {
                return Err(FsError::Unsupported(
                    alloc::format!("XFS version {other}").into(),
                ));
            }
        };
        if version & DIRECTORIES_2 == 0 && !is_v5 {
            return Err(FsError::unsupported("XFS directories of version 1"));
        }
        let incompat = if is_v5 { raw.be32(216)? } else { 0 };
        if incompat & incompat::ZONED != 0 {
            return Err(FsError::unsupported("XFS on a zoned device"));
        }
        if incompat & !incompat::KNOWN != 0 {
            return Err(FsError::Unsupported(
                alloc::format!("XFS features {:#x}", incompat & !incompat::KNOWN).into(),
            ));
        }
        let found = Self {
            block_bytes: u64::from(raw.be32(4)?),
            block_log: raw.u8(120)?,
            blocks: raw.be64(8)?,
            ag_blocks: raw.be32(84)?,
            ag_block_log: raw.u8(124)?,
            inode_bytes: raw.be16(104)?,
            inodes_per_block_log: raw.u8(123)?,
            directory_block_bytes: u64::from(raw.be32(4)?)
                .checked_shl(u32::from(raw.u8(192)?))
                .unwrap_or(0),
            root: raw.be64(56)?,
            log_start: raw.be64(48)?,
            log_blocks: raw.be32(96)?,
            sector_bytes: raw.be16(102)?,
            is_v5,
            has_file_types: if is_v5 {
                incompat & incompat::FILE_TYPES != 0
            } else {
                raw.be32(200)? & FILE_TYPES_4 != 0
            },
            folds_case: version & BORG != 0,
            incompat,
            uuid: raw.array(32)?,
            label: raw.array(108)?,
        };
        found.check()?;
        Ok(found)
    }

    /// Refuses what would make later arithmetic meaningless.
    fn check(&self) -> Result<(), FsError> {
        let power = |bytes: u64, least: u64, most: u64| {
            bytes.is_power_of_two() && (least..=most).contains(&bytes)
        };
        let wrong = if !power(self.block_bytes, 512, 65536)
            || 1_u64.checked_shl(u32::from(self.block_log)) != Some(self.block_bytes)
        {
            self.block_bytes
        } else if !power(self.directory_block_bytes, self.block_bytes, 65536) {
            self.directory_block_bytes
        } else if !power(u64::from(self.inode_bytes), 256, self.block_bytes.min(2048))
            || u64::from(self.inode_bytes).checked_shl(u32::from(self.inodes_per_block_log))
                != Some(self.block_bytes)
        {
            u64::from(self.inode_bytes)
        } else if !power(u64::from(self.sector_bytes), 512, 32768) {
            u64::from(self.sector_bytes)
        } else if self.ag_block_log > 31
            || self.ag_blocks == 0
            || u64::from(self.ag_blocks) > 1 << self.ag_block_log
        {
            u64::from(self.ag_blocks)
        } else if self.blocks == 0 || self.blocks > u64::MAX >> self.block_log {
            self.blocks
        } else {
            return Ok(());
        };
        Err(FsError::corrupt("XFS superblock: impossible size", wrong))
    }

    /// Checks the checksum of the superblock's sector.
    pub(super) fn check_sum(&self, volume: &Volume) -> Result<(), FsError> {
        if !self.is_v5 {
            return Ok(());
        }
        let mut sector: Vec<u8> = buffer(u64::from(self.sector_bytes));
        volume.read_at(0, &mut sector)?;
        super::verify(&sector, 224, "checksum of the XFS superblock", 0)
    }

    pub(super) const fn needs_repair(&self) -> bool {
        self.incompat & incompat::NEEDS_REPAIR != 0
    }

    /// The UUID that metadata carries: another than the one shown, if that was changed.
    pub(super) fn meta_uuid(&self, raw: &[u8]) -> Result<[u8; 16], FsError> {
        if self.incompat & incompat::META_UUID != 0 {
            raw.array(248)
        } else {
            Ok(self.uuid)
        }
    }

    pub(super) const fn geometry(&self) -> Geometry {
        Geometry {
            block_log: self.block_log,
            ag_blocks: self.ag_blocks,
            ag_block_log: self.ag_block_log,
            inode_bytes: self.inode_bytes,
            is_v5: self.is_v5,
            root: self.root,
        }
    }

    /// Byte of the volume where file system block `block` starts: the allocation group's number, and behind
    /// `sb_agblklog` bits the block's number in it.
    pub(super) fn position(&self, block: u64) -> Result<u64, FsError> {
        let group = block >> self.ag_block_log;
        let within = block & (1_u64 << self.ag_block_log).saturating_sub(1);
        let linear = group
            .checked_mul(u64::from(self.ag_blocks))
            .and_then(|start| start.checked_add(within))
            .filter(|&linear| linear < self.blocks && within < u64::from(self.ag_blocks));
        match linear {
            Some(linear) => Ok(linear << self.block_log),
            None => Err(FsError::corrupt(
                "block number beyond the file system",
                block,
            )),
        }
    }

    /// Byte of the volume where inode `number` is.
    pub(super) fn inode_position(&self, number: u64) -> Result<u64, FsError> {
        let start = self.position(number >> self.inodes_per_block_log)?;
        let within = number & (1_u64 << self.inodes_per_block_log).saturating_sub(1);
        Ok(start.saturating_add(within.saturating_mul(u64::from(self.inode_bytes))))
    }

    /// Blocks of `bytes`, rounded down, and the bytes left over.
    pub(super) const fn split(&self, bytes: u64) -> (u64, u64) {
        (
            bytes >> self.block_log,
            bytes & self.block_bytes.saturating_sub(1),
        )
    }
}
