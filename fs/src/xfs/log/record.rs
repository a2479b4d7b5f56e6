//! Records of the log: a header of one or more blocks, then data.

use alloc::vec::Vec;

use super::super::superblock::Superblock;
use crate::bytes::{Fields, buffer, index};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::volume::Volume;

/// Bytes of a block of the log (`BBSIZE`).
const BLOCK: u64 = 512;
const MAGIC: u32 = 0xfeed_babe;
/// The largest log buffer is 256 KiB; a record is no longer.
const RECORD_MAX: u32 = 256 << 10;
/// Blocks of data for which one header block keeps the first bytes.
const KEPT: usize = 64;
/// `sizeof(struct xlog_rec_header)` on 64-bit machines, and on 32-bit x86, which is what the checksum covers.
const HEADER_SIZES: [usize; 2] = [328, 324];
/// The part of a further header block that is used.
const MORE_SIZE: usize = 260;

/// The log as a ring of blocks.
pub(super) struct Ring<'a> {
    volume: &'a Volume,
    /// Byte of the volume where it starts.
    start: u64,
    pub(super) blocks: u64,
    uuid: [u8; 16],
}

/// One record, its data as it was before cycles were put in.
pub(super) struct Record {
    /// Where it starts in the ring.
    pub(super) block: u64,
    /// How many blocks it takes.
    pub(super) blocks: u64,
    /// Cycle and block of the record: its place in time.
    pub(super) lsn: u64,
    /// The block where the oldest record that still matters starts.
    pub(super) tail: u64,
    pub(super) operations: u32,
    pub(super) data: Vec<u8>,
}

impl Record {
    /// Whether it only says that the file system was unmounted.
    pub(super) fn is_unmount(&self) -> Result<bool, FsError> {
        const UNMOUNT: u8 = 0x20;
        Ok(self.operations == 1 && self.data.u8(9)? & UNMOUNT != 0)
    }
}

impl<'a> Ring<'a> {
    pub(super) fn new(
        volume: &'a Volume,
        superblock: &Superblock,
        uuid: [u8; 16],
    ) -> Result<Self, FsError> {
        let start = superblock.position(superblock.log_start)?;
        let bytes = u64::from(superblock.log_blocks).saturating_mul(superblock.block_bytes);
        let blocks = bytes.checked_div(BLOCK).unwrap_or(0);
        let fits = start
            .checked_add(bytes)
            .is_some_and(|end| end <= volume.len_bytes());
        if blocks < 2 || !fits {
            return Err(FsError::corrupt("log's size in blocks", blocks));
        }
        Ok(Self {
            volume,
            start,
            blocks,
            uuid,
        })
    }

    /// A block's number, counted on beyond the ring's end.
    pub(super) fn wrap(&self, block: u64) -> u64 {
        block.checked_rem(self.blocks).unwrap_or(0)
    }

    fn position(&self, block: u64) -> u64 {
        self.start
            .saturating_add(self.wrap(block).saturating_mul(BLOCK))
    }

    /// The round in which a block was written.
    pub(super) fn cycle(&self, block: u64) -> Result<u32, FsError> {
        let mut start = [0; 8];
        self.volume.read_at(self.position(block), &mut start)?;
        let first = start.be32(0)?;
        if first == MAGIC {
            start.be32(4)
        } else {
            Ok(first)
        }
    }

    /// Reads `count` blocks, round the ring's end if need be.
    fn read(&self, block: u64, count: u64) -> Result<Vec<u8>, FsError> {
        let mut bytes = buffer(count.saturating_mul(BLOCK));
        let first = self.wrap(block);
        let before_end = self.blocks.saturating_sub(first).saturating_mul(BLOCK);
        let fits = index(before_end).min(bytes.len());
        let (one, other) = bytes.split_at_mut(fits);
        self.volume.read_at(self.position(first), one)?;
        if !other.is_empty() {
            self.volume.read_at(self.start, other)?;
        }
        Ok(bytes)
    }

    /// The record that starts at `block`, if a whole one does.
    pub(super) fn record(&self, block: u64) -> Result<Option<Record>, FsError> {
        let block = self.wrap(block);
        let mut header = self.read(block, 1)?;
        let (version, len, lsn) = (header.be32(8)?, header.be32(12)?, header.be64(16)?);
        let is_header = header.be32(0)? == MAGIC
            && matches!(version, 1 | 2)
            && len <= RECORD_MAX
            && len.is_multiple_of(512)
            // Little-endian, as every machine is that runs under Xen here.
            && header.be32(300)? == 1
            && header.slice(304, 16)? == self.uuid
            && lsn & 0xffff_ffff == block
            && lsn >> 32 == u64::from(header.be32(4)?);
        if !is_header {
            return Ok(None);
        }
        // Version 2 has a header block for every 32 KiB that the log's buffers hold.
        let size = header.be32(320)?;
        let headers = if version == 2 && size <= RECORD_MAX {
            u64::from(size.div_ceil(32 << 10)).max(1)
        } else {
            1
        };
        let data_blocks = u64::from(len).checked_div(BLOCK).unwrap_or(0);
        let blocks = headers.saturating_add(data_blocks);
        if blocks > self.blocks {
            return Ok(None);
        }
        header = self.read(block, headers)?;
        let mut data = self.read(block.saturating_add(headers), data_blocks)?;
        if !self.is_whole(&header, &data)? {
            return Ok(None);
        }
        let cycle = header.be32(4)?;
        for (number, part) in data.chunks_mut(512).enumerate() {
            // Beyond the ring's end it is the next round already.
            let at = block
                .saturating_add(headers)
                .saturating_add(crate::bytes::size(number));
            let expected = if at >= self.blocks {
                cycle.wrapping_add(1)
            } else {
                cycle
            };
            if part.be32(0)? != expected {
                return Ok(None);
            }
            let kept = match number.checked_div(KEPT).unwrap_or(0) {
                0 => number.saturating_mul(4).saturating_add(44),
                more => more
                    .saturating_mul(512)
                    .saturating_add((number % KEPT).saturating_mul(4).saturating_add(4)),
            };
            let kept: [u8; 4] = header.array(kept)?;
            if let Some(start) = part.first_chunk_mut::<4>() {
                *start = kept;
            }
        }
        Ok(Some(Record {
            block,
            blocks,
            lsn,
            tail: self.wrap(header.be64(24)? & 0xffff_ffff),
            operations: header.be32(40)?,
            data,
        }))
    }

    /// Whether the checksum is right. mkfs.xfs and old kernels write none.
    fn is_whole(&self, header: &[u8], data: &[u8]) -> Result<bool, FsError> {
        let stored = header.le32(32)?;
        if stored == 0 || cfg!(fuzzing) {
            return Ok(true);
        }
        let used = data.len().div_ceil(32 << 10);
        for header_size in HEADER_SIZES {
            let mut sum = crc32c(!0, header.slice(0, 32)?);
            sum = crc32c(sum, &[0; 4]);
            sum = crc32c(sum, header.slice(36, header_size.saturating_sub(36))?);
            for more in header.chunks(512).take(used).skip(1) {
                sum = crc32c(sum, more.slice(0, MORE_SIZE)?);
            }
            if !crc32c(sum, data) == stored {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
