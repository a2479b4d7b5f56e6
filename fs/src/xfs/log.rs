//! The log of a file system that was not unmounted: what it holds that is newer than its place.
//!
//! Source: "XFS Filesystem Structure", chapter "Journaling Log". The log is a ring of 512-byte blocks. Each begins with
//! the number of the round in which it was written (its cycle), which took the place of four bytes that the record's
//! header keeps. Nothing is written: [`read`] gives a [`Replay`], through which [`super::store`] reads. A log that
//! cannot be used is left aside with a warning.
//!
//! [`record`] reads one record; [`transaction`] puts together what records hold. Operations that were begun and not
//! finished (intents) are left so: they free space or move shared blocks, and no file that was complete needs them.

mod record;
mod transaction;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::store::Replay;
use super::superblock::{self, Superblock};
use crate::bytes::buffer;
use crate::error::FsError;
use crate::volume::Volume;
use record::{Record, Ring};
use transaction::Transactions;

/// How far before the end that the cycles show the last whole record may lie: eight buffers of 256 KiB are written at
/// the same time, in any order, and one more is where the search begins.
const WINDOW_BLOCKS: u64 = 9 * 520;

/// What is newer in the log, and warnings for the user.
///
/// # Errors
/// What the disk's own errors are, and [`FsError::Corrupt`] for a log that must be left aside.
pub(super) fn read(
    volume: &Volume,
    superblock: &Superblock,
) -> Result<(Replay, Vec<String>), FsError> {
    if superblock.log_start == 0 {
        let warning = "its log is on another device: read without it";
        return Ok((Replay::default(), alloc::vec![warning.to_string()]));
    }
    let mut raw = buffer(superblock::BYTES);
    volume.read_at(0, &mut raw)?;
    let ring = Ring::new(volume, superblock, superblock.meta_uuid(&raw)?)?;
    let Some(last) = last_record(&ring)? else {
        return Ok((Replay::default(), Vec::new()));
    };
    if last.is_unmount()? {
        return Ok((Replay::default(), Vec::new()));
    }
    let mut transactions = Transactions::new(superblock);
    let mut at = last.tail;
    // Each round passes over a block at least.
    let mut left = ring.blocks;
    loop {
        let Some(found) = ring.record(at)? else {
            return Err(FsError::corrupt("record in the log, at block", at));
        };
        transactions.add(&found)?;
        if found.block == last.block {
            break;
        }
        at = ring.wrap(at.saturating_add(found.blocks));
        left = match left.checked_sub(found.blocks) {
            Some(left) => left,
            None => return Err(FsError::corrupt("log without end, from block", last.tail)),
        };
    }
    Ok((transactions.finish(), Vec::new()))
}

/// The last record that was written whole; `None` for a log that was never used.
fn last_record(ring: &Ring<'_>) -> Result<Option<Record>, FsError> {
    let first_cycle = ring.cycle(0)?;
    if first_cycle == 0 {
        return Ok(None);
    }
    let last_cycle = ring.cycle(ring.blocks.saturating_sub(1))?;
    // The end of what was written in this round: the first block of another one.
    let mut low = 1;
    let mut high = ring.blocks;
    while low < high {
        let middle = low.midpoint(high);
        if ring.cycle(middle)? == first_cycle {
            low = middle.saturating_add(1);
        } else {
            high = middle;
        }
    }
    let end = low;
    // What is before the window, in this round or the one before; the first round has nothing before block 0.
    let reach = WINDOW_BLOCKS.min(ring.blocks / 2);
    let start = match end.checked_sub(reach) {
        Some(start) => start,
        None if last_cycle == 0 || last_cycle == first_cycle => 0,
        None => end.saturating_add(ring.blocks).saturating_sub(reach),
    };
    let mut last: Option<Record> = None;
    let mut passed: u64 = 0;
    while passed <= reach.saturating_mul(2) {
        let at = ring.wrap(start.saturating_add(passed));
        let found = match ring.record(at)? {
            // Records follow one another: a younger one, or there is no more.
            Some(found) => match &last {
                Some(last) if found.lsn <= last.lsn => break,
                _ => found,
            },
            // The window may begin within a record.
            None if last.is_none() => {
                passed = passed.saturating_add(1);
                continue;
            }
            None => break,
        };
        passed = passed.saturating_add(found.blocks);
        last = Some(found);
    }
    match last {
        Some(last) => Ok(Some(last)),
        None => Err(FsError::corrupt("no record in the log before block", end)),
    }
}
