//! Reads blocks, each from its place or, where the journal holds a newer copy, from there.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::fast::Changes;
use super::superblock::Superblock;
use crate::bytes::{Fields, buffer, index};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::volume::Volume;

/// Copies kept in memory: the inode table's block in the journal is read for every path component.
const COPIES_KEPT: usize = 8;

/// Blocks that the journal holds newer copies of.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) copies: BTreeMap<u64, Copied>,
    /// CRC32C of the journal's UUID.
    pub(super) seed: u32,
    /// What is newer than those copies.
    pub(super) changes: Changes,
}

impl Replay {
    pub(super) fn is_empty(&self) -> bool {
        self.copies.is_empty() && self.changes.is_empty()
    }
}

/// Where the copy of a block is, and how to tell that it is whole.
#[derive(Clone, Copy)]
pub(super) struct Copied {
    /// Block of the volume that holds the copy.
    pub(super) block: u64,
    /// The transaction's number.
    pub(super) sequence: u32,
    /// The copy begins with zeros where the block begins with the journal's magic.
    pub(super) escaped: bool,
    pub(super) check: Check,
}

/// A copy's checksum.
#[derive(Clone, Copy)]
pub(super) enum Check {
    None,
    /// The low half of a CRC32C.
    Low(u16),
    Full(u32),
}

/// A volume as numbered blocks.
pub(super) struct Store {
    volume: Volume,
    block_bytes: u64,
    blocks_count: u64,
    replay: Replay,
    recent: RefCell<Vec<(u64, Rc<[u8]>)>>,
    damaged: Cell<u32>,
}

impl Store {
    pub(super) fn new(volume: Volume, superblock: &Superblock, replay: Replay) -> Self {
        Self {
            volume,
            block_bytes: superblock.block_bytes,
            blocks_count: superblock.blocks_count,
            replay,
            recent: RefCell::new(Vec::new()),
            damaged: Cell::new(0),
        }
    }

    pub(super) fn into_replay(self) -> Replay {
        self.replay
    }

    /// What the journal's fast commits have changed.
    pub(super) const fn changes(&self) -> &Changes {
        &self.replay.changes
    }

    /// Whether the journal holds anything newer.
    pub(super) fn is_replayed(&self) -> bool {
        !self.replay.is_empty()
    }

    pub(super) const fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Byte of the volume where `block` starts.
    pub(super) fn position(&self, block: u64) -> Result<u64, FsError> {
        if block >= self.blocks_count {
            return Err(FsError::corrupt(
                "block number beyond the file system",
                block,
            ));
        }
        block
            .checked_mul(self.block_bytes)
            .ok_or(FsError::corrupt("block number too large", block))
    }

    /// Fills `out` with the bytes at `at` of `block`; the range must lie in the block.
    pub(super) fn read(&self, block: u64, at: u64, out: &mut [u8]) -> Result<(), FsError> {
        let position = self.position(block)?;
        match self.copy_of(block)? {
            Some(copy) => out.copy_from_slice(copy.slice(index(at), out.len())?),
            None => self.volume.read_at(position.saturating_add(at), out)?,
        }
        Ok(())
    }

    /// Reads a whole block.
    pub(super) fn read_block(&self, block: u64) -> Result<Rc<[u8]>, FsError> {
        if let Some(copy) = self.copy_of(block)? {
            return Ok(copy);
        }
        let mut bytes = buffer(self.block_bytes);
        self.volume.read_at(self.position(block)?, &mut bytes)?;
        Ok(bytes.into())
    }

    /// The first of `count` blocks from `block` on that the journal holds a copy of.
    pub(super) fn first_copied(&self, block: u64, count: u64) -> Option<u64> {
        self.replay
            .copies
            .range(block..block.saturating_add(count))
            .next()
            .map(|(&found, _)| found)
    }

    /// Copies that were left aside so far, because their checksums were wrong.
    pub(super) const fn damaged(&self) -> u32 {
        self.damaged.get()
    }

    /// The journal's copy of `block`, checked and as it shall be written. One that is damaged is left aside: the block
    /// is then what it was before, and has its own checksum where the file system has any.
    pub(super) fn copy_of(&self, block: u64) -> Result<Option<Rc<[u8]>>, FsError> {
        let Some(copied) = self.replay.copies.get(&block) else {
            return Ok(None);
        };
        if let Some((_, bytes)) = self
            .recent
            .borrow()
            .iter()
            .find(|&&(number, _)| number == block)
        {
            return Ok(Some(Rc::clone(bytes)));
        }
        let mut bytes = buffer(self.block_bytes);
        self.volume
            .read_at(self.position(copied.block)?, &mut bytes)?;
        let sum = crc32c(
            crc32c(self.replay.seed, &copied.sequence.to_be_bytes()),
            &bytes,
        );
        let good = match copied.check {
            Check::None => true,
            Check::Low(stored) => sum & 0xffff == u32::from(stored),
            Check::Full(stored) => sum == stored,
        };
        if !good {
            self.damaged.set(self.damaged.get().saturating_add(1));
            return Ok(None);
        }
        if let Some(start) = bytes.get_mut(..4).filter(|_| copied.escaped) {
            start.copy_from_slice(&super::journal::MAGIC.to_be_bytes());
        }
        let bytes: Rc<[u8]> = bytes.into();
        let mut recent = self.recent.borrow_mut();
        if recent.len() >= COPIES_KEPT {
            recent.remove(0);
        }
        recent.push((block, Rc::clone(&bytes)));
        Ok(Some(bytes))
    }
}
