//! The journal's blocks: superblock, descriptors with their tags, revokes, commits.

use alloc::vec::Vec;

use super::sum_without;
use crate::bytes::{Fields, join, size};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::ext::store::Check;

/// First word of every journal block that is not a copy.
pub(crate) const MAGIC: u32 = 0xc03b_3998;

/// `h_blocktype`.
pub(super) const DESCRIPTOR: u32 = 1;
pub(super) const COMMIT: u32 = 2;
pub(super) const REVOKE: u32 = 5;
const SUPERBLOCK_V1: u32 = 3;
const SUPERBLOCK_V2: u32 = 4;

/// `s_feature_incompat`.
mod incompat {
    pub(super) const REVOKE: u32 = 0x1;
    pub(super) const WIDE: u32 = 0x2;
    pub(super) const ASYNC_COMMIT: u32 = 0x4;
    pub(super) const CSUM_V2: u32 = 0x8;
    pub(super) const CSUM_V3: u32 = 0x10;
    pub(super) const FAST_COMMIT: u32 = 0x20;
    pub(super) const KNOWN: u32 = REVOKE | WIDE | ASYNC_COMMIT | CSUM_V2 | CSUM_V3 | FAST_COMMIT;
}

/// Tag flags.
const ESCAPED: u32 = 1;
const SAME_UUID: u32 = 2;
const LAST: u32 = 8;

/// `s_num_fc_blks` if that is 0.
const FAST_BLOCKS: u64 = 256;
/// `JBD2_MIN_JOURNAL_BLOCKS`.
const LOG_BLOCKS_MIN: u64 = 1024;
const HEADER_BYTES: usize = 12;

/// How blocks are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sums {
    None,
    V2,
    V3,
}

/// The journal's superblock. Positions are journal blocks.
pub(super) struct Superblock {
    pub(super) block_bytes: u64,
    /// First block of the log.
    pub(super) first: u64,
    /// Block after the log; fast commits follow.
    pub(super) log_end: u64,
    /// Block after the journal.
    pub(super) end: u64,
    /// Number of the oldest transaction.
    pub(super) sequence: u32,
    /// Where it starts; 0 if there is none.
    pub(super) start: u64,
    pub(super) seed: u32,
    sums: Sums,
    wide: bool,
}

impl Superblock {
    pub(super) fn parse(raw: &[u8]) -> Result<Self, FsError> {
        if raw.be32(0)? != MAGIC {
            return Err(FsError::corrupt("journal's magic", u64::from(raw.be32(0)?)));
        }
        let features = match raw.be32(4)? {
            SUPERBLOCK_V1 => 0,
            SUPERBLOCK_V2 => raw.be32(0x28)?,
            other => return Err(FsError::corrupt("journal's version", u64::from(other))),
        };
        if features & !incompat::KNOWN != 0 {
            let unknown = features & !incompat::KNOWN;
            return Err(FsError::Unsupported(
                alloc::format!("unknown journal features {unknown:#x}").into(),
            ));
        }
        let sums = match (features & incompat::CSUM_V3, features & incompat::CSUM_V2) {
            (0, 0) => Sums::None,
            (0, _) => Sums::V2,
            _ => Sums::V3,
        };
        if sums != Sums::None && sum_without(!0, raw.slice(0, 1024)?, 0xfc)? != raw.be32(0xfc)? {
            return Err(FsError::corrupt(
                "checksum of the journal's superblock",
                u64::from(raw.be32(0xfc)?),
            ));
        }
        let end = u64::from(raw.be32(0x10)?);
        let fast = match (features & incompat::FAST_COMMIT, raw.be32(0x54)?) {
            (0, _) => 0,
            (_, 0) => FAST_BLOCKS,
            (_, count) => u64::from(count),
        };
        // A log that would be shorter than this has no such area.
        let fast = if end.saturating_sub(fast) < LOG_BLOCKS_MIN {
            0
        } else {
            fast
        };
        Ok(Self {
            block_bytes: u64::from(raw.be32(0x0c)?),
            first: u64::from(raw.be32(0x14)?),
            log_end: end.saturating_sub(fast),
            end,
            sequence: raw.be32(0x18)?,
            start: u64::from(raw.be32(0x1c)?),
            seed: crc32c(!0, raw.slice(0x30, 16)?),
            sums,
            wide: features & incompat::WIDE != 0,
        })
    }

    /// Bytes at a block's end that are its checksum.
    const fn tail_bytes(&self) -> usize {
        match self.sums {
            Sums::None => 0,
            Sums::V2 | Sums::V3 => 4,
        }
    }

    fn has_good_tail(&self, block: &[u8]) -> Result<bool, FsError> {
        if self.sums == Sums::None {
            return Ok(true);
        }
        let at = block.len().saturating_sub(4);
        Ok(sum_without(self.seed, block, at)? == block.be32(at)?)
    }

    /// Bytes of a tag without its UUID: `journal_tag_bytes()`.
    const fn tag_bytes(&self) -> usize {
        match (self.sums, self.wide) {
            (Sums::V3, _) => 16,
            (Sums::V2, true) => 14,
            (Sums::V2, false) => 10,
            (Sums::None, true) => 12,
            (Sums::None, false) => 8,
        }
    }
}

/// What every block of the log but copies starts with.
pub(super) struct Header {
    pub(super) kind: u32,
    pub(super) sequence: u32,
}

/// `None` if the block has no header: the log ends before it.
pub(super) fn header(block: &[u8]) -> Result<Option<Header>, FsError> {
    let header = Header {
        kind: block.be32(4)?,
        sequence: block.be32(8)?,
    };
    Ok((block.be32(0)? == MAGIC).then_some(header))
}

/// A copy that follows a descriptor.
pub(super) struct Tag {
    /// Block of the file system.
    pub(super) block: u64,
    pub(super) escaped: bool,
    pub(super) check: Check,
}

/// A descriptor's tags; `None` if its checksum is wrong.
pub(super) fn tags(block: &[u8], superblock: &Superblock) -> Result<Option<Vec<Tag>>, FsError> {
    if !superblock.has_good_tail(block)? {
        return Ok(None);
    }
    let mut rest = block
        .get(HEADER_BYTES..block.len().saturating_sub(superblock.tail_bytes()))
        .unwrap_or_default();
    let tag_bytes = superblock.tag_bytes();
    let mut tags = Vec::new();
    while rest.len() >= tag_bytes {
        let low = rest.be32(0)?;
        let (flags, check) = match superblock.sums {
            Sums::V3 => (rest.be32(4)?, Check::Full(rest.be32(12)?)),
            Sums::V2 => (u32::from(rest.be16(6)?), Check::Low(rest.be16(4)?)),
            Sums::None => (u32::from(rest.be16(6)?), Check::None),
        };
        let high = if superblock.wide { rest.be32(8)? } else { 0 };
        tags.push(Tag {
            block: join(low, high),
            escaped: flags & ESCAPED != 0,
            check,
        });
        if flags & LAST != 0 {
            break;
        }
        let uuid_bytes: usize = if flags & SAME_UUID == 0 { 16 } else { 0 };
        rest = rest
            .get(tag_bytes.saturating_add(uuid_bytes)..)
            .unwrap_or_default();
    }
    Ok(Some(tags))
}

/// The blocks of which a revoke block forbids older copies; `None` if its checksum is wrong.
pub(super) fn revokes(block: &[u8], superblock: &Superblock) -> Result<Option<Vec<u64>>, FsError> {
    if !superblock.has_good_tail(block)? {
        return Ok(None);
    }
    let used = u64::from(block.be32(HEADER_BYTES)?);
    let room = size(block.len().saturating_sub(superblock.tail_bytes()));
    if used > room {
        return Err(FsError::corrupt("journal's revoke block, bytes", used));
    }
    let records = block
        .get(HEADER_BYTES.saturating_add(4)..crate::bytes::index(used))
        .unwrap_or_default();
    let width = if superblock.wide { 8 } else { 4 };
    let decode = |record: &[u8]| -> Result<u64, FsError> {
        if superblock.wide {
            Ok(join(record.be32(4)?, record.be32(0)?))
        } else {
            record.be32(0).map(u64::from)
        }
    };
    records
        .chunks_exact(width)
        .map(decode)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Whether a commit block is whole.
pub(super) fn is_committed(block: &[u8], superblock: &Superblock) -> Result<bool, FsError> {
    // The older checksum over the whole transaction (compat bit 1) is not looked at: only asynchronous commits need it.
    match superblock.sums {
        Sums::None => Ok(true),
        Sums::V2 | Sums::V3 => Ok(sum_without(superblock.seed, block, 16)? == block.be32(16)?),
    }
}
