//! Chunks: which places on the disk a range of logical addresses has.

use alloc::vec::Vec;

use super::tree::Key;
use crate::bytes::Fields;
use crate::error::FsError;

/// More chunks than a disk of 64 TiB has.
const CHUNKS_MAX: usize = 1 << 16;
/// The most copies of a block on one device: DUP has two.
const COPIES_MAX: usize = 4;
/// Kinds of chunks that spread an address range over devices (RAID0, 10, 5, 6).
const STRIPED: u64 = 0x8 | 0x40 | 0x80 | 0x100;

/// A range of logical addresses.
struct Chunk {
    start: u64,
    len: u64,
    /// First byte of each copy that is on this device.
    copies: Vec<u64>,
    is_striped: bool,
}

/// All chunks, by address.
#[derive(Default)]
pub(super) struct Chunks(Vec<Chunk>);

impl Chunks {
    /// Takes in the chunk item with key `key`. Says how many bytes of `item` it takes.
    pub(super) fn add(&mut self, key: Key, item: &[u8], device: u64) -> Result<usize, FsError> {
        let stripes = usize::from(item.le16(44)?);
        let is_striped = item.le64(24)? & STRIPED != 0 && stripes > 1;
        let mut copies = Vec::new();
        for number in 0..stripes {
            let at = number.saturating_mul(32).saturating_add(48);
            if item.le64(at)? == device && copies.len() < COPIES_MAX {
                copies.push(item.le64(at.saturating_add(8))?);
            }
        }
        let chunk = Chunk {
            start: key.offset,
            len: item.le64(0)?,
            copies,
            is_striped,
        };
        let position = self.0.partition_point(|other| other.start < chunk.start);
        let is_full = self.0.len() >= CHUNKS_MAX;
        match self.0.get_mut(position) {
            // The superblock's own are in the tree as well.
            Some(same) if same.start == chunk.start => *same = chunk,
            _ if is_full => {
                return Err(FsError::unsupported("btrfs with more than 65536 chunks"));
            }
            _ => self.0.insert(position, chunk),
        }
        Ok(stripes.saturating_mul(32).saturating_add(48))
    }

    /// The places of logical address `at` on the disk, the best first, and how many bytes lie there together.
    pub(super) fn places(&self, at: u64) -> Result<(Vec<u64>, u64), FsError> {
        let position = self.0.partition_point(|chunk| chunk.start <= at);
        let chunk = position
            .checked_sub(1)
            .and_then(|position| self.0.get(position))
            .filter(|chunk| at.saturating_sub(chunk.start) < chunk.len)
            .ok_or(FsError::corrupt("no chunk for address", at))?;
        if chunk.is_striped {
            return Err(FsError::unsupported(
                "btrfs striped over several devices (RAID 0, 10, 5 or 6)",
            ));
        }
        if chunk.copies.is_empty() {
            return Err(FsError::unsupported(
                "btrfs whose data is on another device",
            ));
        }
        let skip = at.saturating_sub(chunk.start);
        let places = chunk
            .copies
            .iter()
            .map(|start| start.saturating_add(skip))
            .collect();
        Ok((places, chunk.len.saturating_sub(skip)))
    }
}
