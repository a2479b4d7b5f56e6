//! The journal of a file system that was not unmounted: which blocks it holds newer copies of.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/journal.rst` and `include/linux/jbd2.h`; numbers are
//! big-endian. Nothing is written: [`read`] gives a map from blocks to their copies, which [`super::store`] reads
//! through. A journal that cannot be used is left aside with a warning, as GRUB has always done: most files
//! needed for a boot were written long before.
//!
//! [`format`](mod@format) decodes blocks; this file walks the transactions.

mod format;

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Core;
use super::fast::{self, Changes};
use super::inode::Inode;
use super::layout::FileLayout;
use super::store::{Copied, Replay};
use crate::bytes::{Fields, buffer};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::run::{Layout, MappedFile, Source};
use crate::tree::File;
use format::{Header, Superblock, Tag};

pub(super) use format::MAGIC;

/// The most journal blocks that are walked: 4 GiB of 4 KiB blocks, the largest journal that makes sense.
const BLOCKS_MAX: u64 = 1 << 20;

/// The most bytes of fast commits that are kept in memory: an area of the usual size has a quarter.
const FAST_BYTES_MAX: u64 = 4 << 20;

/// What is left in the journal, and warnings for the user.
///
/// # Errors
/// Only what the disk's own errors are; everything else is a warning.
pub(super) fn read(core: &Rc<Core>) -> Result<(Replay, Vec<String>), FsError> {
    let number = core.superblock.journal_inode;
    if number == 0 {
        let warning = "not unmounted, and its journal is on another device: read without it";
        return Ok((Replay::default(), alloc::vec![warning.to_string()]));
    }
    match open(core, number).and_then(|mut journal| journal.walk()) {
        Ok(found) => Ok(found),
        Err(FsError::Device(error)) => Err(FsError::Device(error)),
        Err(error) => Ok((Replay::default(), alloc::vec![left_aside(&error)])),
    }
}

/// The warning that the file system is read as it lies.
pub(super) fn left_aside(error: &FsError) -> String {
    alloc::format!("not unmounted, and its journal cannot be used: {error}; read without it")
}

/// A journal being walked.
struct Journal {
    file: MappedFile<FileLayout>,
    superblock: Superblock,
    block_bytes: u64,
    /// The newest committed copy of each block.
    copies: BTreeMap<u64, Copied>,
    /// The last transaction that revoked each block.
    revoked: BTreeMap<u64, u32>,
}

fn open(core: &Rc<Core>, number: u32) -> Result<Journal, FsError> {
    let inode = Inode::read(core, number)?;
    let file = MappedFile(FileLayout::new(Rc::clone(core), &inode)?);
    let block_bytes = core.superblock.block_bytes;
    let mut raw = buffer(1024);
    file.read_at(0, &mut raw)?;
    let superblock = Superblock::parse(&raw)?;
    if superblock.block_bytes != block_bytes {
        return Err(FsError::corrupt(
            "journal's block size",
            superblock.block_bytes,
        ));
    }
    if superblock.end.saturating_mul(block_bytes) > file.len() || superblock.end > BLOCKS_MAX {
        return Err(FsError::corrupt(
            "journal's length in blocks",
            superblock.end,
        ));
    }
    if superblock.first == 0 || superblock.first >= superblock.log_end {
        return Err(FsError::corrupt("journal's first block", superblock.first));
    }
    Ok(Journal {
        file,
        superblock,
        block_bytes,
        copies: BTreeMap::new(),
        revoked: BTreeMap::new(),
    })
}

impl Journal {
    /// Walks from the oldest transaction to the last one that was committed.
    fn walk(&mut self) -> Result<(Replay, Vec<String>), FsError> {
        let mut warnings = Vec::new();
        let mut sequence = self.superblock.sequence;
        if self.superblock.start != 0 {
            if self.superblock.start < self.superblock.first
                || self.superblock.start >= self.superblock.log_end
            {
                return Err(FsError::corrupt(
                    "journal's start block",
                    self.superblock.start,
                ));
            }
            let mut at = self.superblock.start;
            let mut left = self
                .superblock
                .log_end
                .saturating_sub(self.superblock.first);
            while let Some(next) = self.transaction(at, sequence, &mut left)? {
                at = next;
                sequence = sequence.wrapping_add(1);
            }
        }
        let changes = match self.fast_commits(sequence) {
            Ok(changes) => changes,
            Err(FsError::Device(error)) => return Err(FsError::Device(error)),
            Err(error) => {
                warnings.push(alloc::format!(
                    "not unmounted; the fast commits in its journal are not applied: {error}"
                ));
                Changes::default()
            }
        };
        // Collected anew: code that removes from a tree is large.
        let mut copies = BTreeMap::new();
        for (block, copied) in core::mem::take(&mut self.copies) {
            let revoked = self.revoked.get(&block);
            if revoked.is_none_or(|&by| is_after(copied.sequence, by)) {
                copies.insert(block, copied);
            }
        }
        Ok((
            Replay {
                copies,
                seed: self.superblock.seed,
                changes,
            },
            warnings,
        ))
    }

    /// Reads the transaction `sequence` that starts at journal block `at`; `None` if it is not there or was not
    /// committed. `left` counts down the blocks that the log can still have.
    fn transaction(
        &mut self,
        at: u64,
        sequence: u32,
        left: &mut u64,
    ) -> Result<Option<u64>, FsError> {
        let mut copies: Vec<(u64, Copied)> = Vec::new();
        let mut revokes: Vec<u64> = Vec::new();
        let mut at = at;
        let mut block = buffer(self.block_bytes);
        loop {
            let Some(now_left) = left.checked_sub(1) else {
                return Ok(None);
            };
            *left = now_left;
            self.file
                .read_at(at.saturating_mul(self.block_bytes), &mut block)?;
            let Some(header) = format::header(&block)?.filter(|header| header.sequence == sequence)
            else {
                return Ok(None);
            };
            at = self.after(at);
            match header {
                Header {
                    kind: format::DESCRIPTOR,
                    ..
                } => {
                    let Some(tags) = format::tags(&block, &self.superblock)? else {
                        return Ok(None);
                    };
                    for Tag {
                        block,
                        escaped,
                        check,
                    } in tags
                    {
                        let Some(now_left) = left.checked_sub(1) else {
                            return Ok(None);
                        };
                        *left = now_left;
                        let Some(place) = self.place(at)? else {
                            return Ok(None);
                        };
                        copies.push((
                            block,
                            Copied {
                                block: place,
                                sequence,
                                escaped,
                                check,
                            },
                        ));
                        at = self.after(at);
                    }
                }
                Header {
                    kind: format::REVOKE,
                    ..
                } => {
                    let Some(blocks) = format::revokes(&block, &self.superblock)? else {
                        return Ok(None);
                    };
                    revokes.extend(blocks);
                }
                Header {
                    kind: format::COMMIT,
                    ..
                } => {
                    if !format::is_committed(&block, &self.superblock)? {
                        return Ok(None);
                    }
                    self.copies.extend(copies);
                    for block in revokes {
                        self.revoked.insert(block, sequence);
                    }
                    return Ok(Some(at));
                }
                _ => return Ok(None),
            }
        }
    }

    /// The journal block after `at`: the log is a ring.
    const fn after(&self, at: u64) -> u64 {
        let next = at.saturating_add(1);
        if next >= self.superblock.log_end {
            self.superblock.first
        } else {
            next
        }
    }

    /// The block of the volume where journal block `at` is.
    fn place(&self, at: u64) -> Result<Option<u64>, FsError> {
        match self
            .file
            .0
            .run_at(at.saturating_mul(self.block_bytes))?
            .source
        {
            Source::Disk(byte) => Ok(byte.checked_div(self.block_bytes)),
            _ => Ok(None),
        }
    }

    /// What is newer than the transaction before `sequence`, from the area for fast commits.
    fn fast_commits(&self, sequence: u32) -> Result<Changes, FsError> {
        let mut reader = fast::Reader::new(sequence);
        let mut block = buffer(self.block_bytes);
        // The kernel leaves a block between the log and the area.
        let area = self.superblock.log_end.saturating_add(1);
        for at in area..self.superblock.end {
            if at.saturating_sub(area).saturating_mul(self.block_bytes) > FAST_BYTES_MAX {
                return Err(FsError::unsupported("more than 4 MiB of them"));
            }
            self.file
                .read_at(at.saturating_mul(self.block_bytes), &mut block)?;
            if reader.block(&block)? == fast::Next::End {
                break;
            }
        }
        Ok(reader.changes())
    }
}

/// Whether transaction `one` is younger than `other`; the numbers wrap around.
fn is_after(one: u32, other: u32) -> bool {
    let distance = one.wrapping_sub(other);
    distance != 0 && distance < 1 << 31
}

/// The checksum of a block with its own field, 4 bytes at `at`, zeroed.
fn sum_without(seed: u32, block: &[u8], at: usize) -> Result<u32, FsError> {
    let sum = crc32c(crc32c(seed, block.slice(0, at)?), &[0; 4]);
    Ok(crc32c(
        sum,
        block.get(at.saturating_add(4)..).unwrap_or_default(),
    ))
}
