//! The superblock (`struct btrfs_super_block`), of which there are copies.

use alloc::vec::Vec;

use super::sum::Sum;
use super::tree::Root;
use crate::bytes::{Fields, buffer};
use crate::error::FsError;
use crate::volume::Volume;

/// Byte of the volume where it is, and where its first copy is.
pub(super) const AT: u64 = 64 << 10;
const COPY_AT: u64 = 64 << 20;
const BYTES: u64 = 4096;
pub(super) const MAGIC: &[u8] = b"_BHRfS_M";

/// `incompat_flags`.
mod incompat {
    /// All that today's kernels know and that does not change where things are.
    pub(super) const KNOWN: u64 = 0x1_0fff;
    pub(super) const ZONED: u64 = 1 << 12;
    pub(super) const EXTENT_TREE_2: u64 = 1 << 13;
    pub(super) const STRIPE_TREE: u64 = 1 << 14;
}

/// The fields that reading needs.
pub(super) struct Superblock {
    pub(super) uuid: [u8; 16],
    pub(super) root: Root,
    pub(super) chunk_root: Root,
    pub(super) log_root: u64,
    pub(super) sector_bytes: u64,
    pub(super) node_bytes: u64,
    pub(super) sum: Sum,
    /// This device's number.
    pub(super) device: u64,
    pub(super) label: [u8; 256],
    /// Where the tree of chunks itself is: keys and chunks, one after the other.
    pub(super) system_chunks: Vec<u8>,
}

impl Superblock {
    /// Reads it, or its copy where that has a better checksum.
    pub(super) fn read(volume: &Volume) -> Result<Self, FsError> {
        let first = Self::read_at(volume, AT);
        if matches!(first, Err(FsError::Corrupt { .. }))
            && volume.len_bytes() >= COPY_AT.saturating_add(BYTES)
            && let Ok(copy) = Self::read_at(volume, COPY_AT)
        {
            return Ok(copy);
        }
        first
    }

    fn read_at(volume: &Volume, at: u64) -> Result<Self, FsError> {
        let mut raw = buffer(BYTES);
        volume.read_at(at, &mut raw)?;
        if raw.slice(64, 8)? != MAGIC || raw.le64(48)? != at {
            return Err(FsError::corrupt("magic of the btrfs superblock", at));
        }
        let sum = Sum::new(raw.le16(196)?)?;
        if !sum.is_right(&raw)? {
            return Err(FsError::corrupt("checksum of the btrfs superblock", at));
        }
        let features = raw.le64(188)?;
        let refused = features & !incompat::KNOWN;
        if refused != 0 {
            return Err(FsError::Unsupported(if refused & incompat::ZONED != 0 {
                "btrfs on a zoned device".into()
            } else if refused & incompat::STRIPE_TREE != 0 {
                "btrfs with a tree of stripes".into()
            } else if refused & incompat::EXTENT_TREE_2 != 0 {
                "btrfs with extent tree 2".into()
            } else {
                alloc::format!("btrfs features {refused:#x}").into()
            }));
        }
        let (sector_bytes, node_bytes) = (u64::from(raw.le32(144)?), u64::from(raw.le32(148)?));
        let is_size = |bytes: u64| bytes.is_power_of_two() && (512..=65536).contains(&bytes);
        if !is_size(sector_bytes) || !is_size(node_bytes) || node_bytes < sector_bytes {
            return Err(FsError::corrupt("btrfs node size", node_bytes));
        }
        let system_len = crate::bytes::index(u64::from(raw.le32(160)?));
        if system_len > 2048 {
            return Err(FsError::corrupt(
                "btrfs superblock's chunks, bytes",
                crate::bytes::size(system_len),
            ));
        }
        Ok(Self {
            uuid: raw.array(32)?,
            root: Root {
                id: 1,
                at: raw.le64(80)?,
                level: raw.u8(198)?,
            },
            chunk_root: Root {
                id: 3,
                at: raw.le64(88)?,
                level: raw.u8(199)?,
            },
            log_root: raw.le64(96)?,
            sector_bytes,
            node_bytes,
            sum,
            device: raw.le64(201)?,
            label: raw.array(299)?,
            system_chunks: raw.slice(811, system_len)?.to_vec(),
        })
    }
}
