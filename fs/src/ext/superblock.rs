//! The superblock: sizes, features, checksum seed.

use super::hash::{Bytes, Hashing};
use crate::bytes::{Fields, join};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::tree::Kind;

/// `s_magic`.
pub(crate) const MAGIC: u16 = 0xef53;
/// Byte of the volume where the superblock starts.
pub(super) const AT: u64 = 1024;
/// Size of the superblock.
pub(super) const BYTES: u64 = 1024;

/// `s_feature_compat` bits.
pub(super) mod compat {
    pub(crate) const HAS_JOURNAL: u32 = 0x4;
    pub(crate) const DIR_INDEX: u32 = 0x20;
    pub(crate) const SPARSE_SUPER2: u32 = 0x200;
}

/// `s_feature_incompat` bits.
pub(super) mod incompat {
    pub(crate) const COMPRESSION: u32 = 0x1;
    pub(crate) const FILETYPE: u32 = 0x2;
    pub(crate) const RECOVER: u32 = 0x4;
    pub(crate) const JOURNAL_DEV: u32 = 0x8;
    pub(crate) const META_BG: u32 = 0x10;
    pub(crate) const EXTENTS: u32 = 0x40;
    pub(crate) const WIDE: u32 = 0x80;
    pub(crate) const MMP: u32 = 0x100;
    pub(crate) const FLEX_BG: u32 = 0x200;
    pub(crate) const EA_INODE: u32 = 0x400;
    pub(crate) const DIRDATA: u32 = 0x1000;
    pub(crate) const CSUM_SEED: u32 = 0x2000;
    pub(crate) const LARGEDIR: u32 = 0x4000;
    pub(crate) const INLINE_DATA: u32 = 0x8000;
    pub(crate) const ENCRYPT: u32 = 0x1_0000;
    pub(crate) const CASEFOLD: u32 = 0x2_0000;

    /// What this code can live with. Compressed and encrypted files are refused one by one.
    pub(crate) const KNOWN: u32 = COMPRESSION
        | FILETYPE
        | RECOVER
        | JOURNAL_DEV
        | META_BG
        | EXTENTS
        | WIDE
        | MMP
        | FLEX_BG
        | EA_INODE
        | DIRDATA
        | CSUM_SEED
        | LARGEDIR
        | INLINE_DATA
        | ENCRYPT
        | CASEFOLD;
    /// What ext3 has, too.
    pub(crate) const BEFORE_EXT4: u32 = COMPRESSION | FILETYPE | RECOVER | JOURNAL_DEV | META_BG;
}

/// `s_feature_ro_compat` bits.
pub(super) mod ro_compat {
    pub(crate) const SPARSE_SUPER: u32 = 0x1;
    pub(crate) const GDT_CSUM: u32 = 0x10;
    pub(crate) const METADATA_CSUM: u32 = 0x400;
    pub(crate) const READONLY: u32 = 0x1000;
    pub(crate) const SHARED_BLOCKS: u32 = 0x4000;
    /// What ext3 has, too: SPARSE_SUPER, LARGE_FILE, BTREE_DIR.
    pub(crate) const BEFORE_EXT4: u32 = 0x7;
}

/// `s_flags`: names are hashed with unsigned bytes.
const UNSIGNED_HASH: u32 = 0x2;
/// `s_state` of a file system that was unmounted and has no known damage.
const CLEAN: u16 = 1;

/// The fields that reading needs, checked against each other.
pub(super) struct Superblock {
    pub(super) inodes_count: u32,
    pub(super) blocks_count: u64,
    pub(super) first_data_block: u64,
    pub(super) block_bytes: u64,
    pub(super) blocks_per_group: u64,
    pub(super) inodes_per_group: u32,
    pub(super) inode_bytes: u64,
    pub(super) descriptor_bytes: u64,
    pub(super) first_meta_bg: u64,
    pub(super) backup_groups: [u32; 2],
    pub(super) journal_inode: u32,
    pub(super) label: [u8; 16],
    pub(super) uuid: [u8; 16],
    /// Seed of all metadata checksums.
    pub(super) seed: u32,
    /// For the names of directories with an index.
    pub(super) hashing: Hashing,
    /// `s_state`.
    state: u16,
    compat: u32,
    incompat: u32,
    ro_compat: u32,
}

/// Whether these bytes look like a superblock: more than the magic, which any file may hold.
pub(super) fn is_plausible(raw: &[u8]) -> Result<bool, FsError> {
    Ok(raw.le16(0x38)? == MAGIC
        && raw.le32(0x18)? <= 6
        && raw.le32(0x4c)? <= 1
        && raw.le32(0x4)? != 0)
}

impl Superblock {
    pub(super) fn parse(raw: &[u8]) -> Result<Self, FsError> {
        if raw.le16(0x38)? != MAGIC {
            return Err(FsError::corrupt(
                "superblock magic",
                u64::from(raw.le16(0x38)?),
            ));
        }
        // Revision 0 (before 1997) has no feature words and fixed inode sizes.
        let dynamic = raw.le32(0x4c)? >= 1;
        let field = |at: usize| if dynamic { raw.le32(at) } else { Ok(0) };
        let (compat, incompat, ro_compat) = (field(0x5c)?, field(0x60)?, field(0x64)?);
        if incompat & incompat::JOURNAL_DEV != 0 {
            return Err(FsError::Foreign("an external ext journal"));
        }
        if incompat & !incompat::KNOWN != 0 {
            let unknown = incompat & !incompat::KNOWN;
            return Err(FsError::Unsupported(
                alloc::format!("unknown ext features {unknown:#x}").into(),
            ));
        }
        let uuid = super::uuid_at(raw, 0x68)?;
        if ro_compat & ro_compat::METADATA_CSUM != 0 {
            let stored = raw.le32(0x3fc)?;
            super::verify(
                crc32c(!0, raw.slice(0, 0x3fc)?),
                stored,
                "superblock checksum",
                u64::from(stored),
            )?;
        }
        let seed = if incompat & incompat::CSUM_SEED == 0 {
            crc32c(!0, &uuid)
        } else {
            raw.le32(0x270)?
        };

        let log_block = raw.le32(0x18)?;
        let block_bytes = match log_block {
            0..=6 => 1024u64.checked_shl(log_block).unwrap_or(1024),
            _ => {
                return Err(FsError::corrupt(
                    "block size, log2 of KiB",
                    u64::from(log_block),
                ));
            }
        };
        let inode_bytes = if dynamic {
            u64::from(raw.le16(0x58)?)
        } else {
            128
        };
        if inode_bytes < 128 || !inode_bytes.is_power_of_two() || inode_bytes > block_bytes {
            return Err(FsError::corrupt("inode size", inode_bytes));
        }
        let wide = incompat & incompat::WIDE != 0;
        let descriptor_bytes = if wide { u64::from(raw.le16(0xfe)?) } else { 32 };
        if (wide && descriptor_bytes < 64)
            || !descriptor_bytes.is_power_of_two()
            || descriptor_bytes > 1024
        {
            return Err(FsError::corrupt("group descriptor size", descriptor_bytes));
        }
        let superblock = Self {
            inodes_count: raw.le32(0)?,
            blocks_count: join(raw.le32(4)?, if wide { raw.le32(0x150)? } else { 0 }),
            first_data_block: u64::from(raw.le32(0x14)?),
            block_bytes,
            blocks_per_group: u64::from(raw.le32(0x20)?),
            inodes_per_group: raw.le32(0x28)?,
            inode_bytes,
            descriptor_bytes,
            first_meta_bg: u64::from(raw.le32(0x104)?),
            backup_groups: [raw.le32(0x24c)?, raw.le32(0x250)?],
            journal_inode: if dynamic { raw.le32(0xe0)? } else { 0 },
            label: if dynamic { raw.array(0x78)? } else { [0; 16] },
            uuid: if dynamic { uuid } else { [0; 16] },
            seed,
            hashing: Hashing {
                seed: [
                    raw.le32(0xec)?,
                    raw.le32(0xf0)?,
                    raw.le32(0xf4)?,
                    raw.le32(0xf8)?,
                ],
                bytes: match raw.le32(0x160)? & UNSIGNED_HASH {
                    0 => Bytes::Signed,
                    _ => Bytes::Unsigned,
                },
            },
            state: raw.le16(0x3a)?,
            compat,
            incompat,
            ro_compat,
        };
        if superblock.blocks_per_group == 0 || superblock.inodes_per_group == 0 {
            return Err(FsError::corrupt(
                "empty block groups, inodes",
                u64::from(superblock.inodes_per_group),
            ));
        }
        if superblock.first_data_block >= superblock.blocks_count {
            return Err(FsError::corrupt(
                "no data blocks, first",
                superblock.first_data_block,
            ));
        }
        Ok(superblock)
    }

    pub(super) const fn has_compat(&self, bit: u32) -> bool {
        self.compat & bit != 0
    }

    pub(super) const fn has_incompat(&self, bit: u32) -> bool {
        self.incompat & bit != 0
    }

    pub(super) const fn has_ro_compat(&self, bit: u32) -> bool {
        self.ro_compat & bit != 0
    }

    pub(super) const fn has_checksums(&self) -> bool {
        self.has_ro_compat(ro_compat::METADATA_CSUM)
    }

    pub(super) const fn needs_recovery(&self) -> bool {
        self.has_compat(compat::HAS_JOURNAL) && self.has_incompat(incompat::RECOVER)
    }

    /// Why no file may be changed in place.
    pub(super) const fn write_hazard(&self) -> Option<&'static str> {
        if self.has_incompat(incompat::RECOVER) {
            return Some("the journal waits to be replayed: the file system was not unmounted");
        }
        if self.state != CLEAN {
            return Some("the file system was not unmounted, or is damaged");
        }
        if self.has_incompat(incompat::MMP) {
            return Some("another machine may have the file system mounted (mmp)");
        }
        if self.has_ro_compat(ro_compat::READONLY) {
            return Some("the file system is marked read-only");
        }
        if self.has_ro_compat(ro_compat::SHARED_BLOCKS) {
            return Some("files share blocks (shared_blocks)");
        }
        None
    }

    pub(super) const fn kind(&self) -> Kind {
        let newer = self.incompat & !incompat::BEFORE_EXT4 != 0
            || self.ro_compat & !ro_compat::BEFORE_EXT4 != 0;
        match (newer, self.has_compat(compat::HAS_JOURNAL)) {
            (true, _) => Kind::Ext4,
            (false, true) => Kind::Ext3,
            (false, false) => Kind::Ext2,
        }
    }
}
