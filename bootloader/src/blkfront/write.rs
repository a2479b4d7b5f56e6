//! Writing: one request at a time, and a flush at the end. A loader writes a few bytes once in a while.

use alloc::format;
use core::ops::Range;

use arch::abi::blkif::{MAX_SEGMENTS, Status};
use fs::BlockError;

use super::connect::Flushes;
use super::queue::Queue;
use super::slot::{Content, PAGE, Purpose, Retried, Slot, copy_in};

/// Bytes of one direct request.
const STEP: u64 = MAX_SEGMENTS as u64 * PAGE;

impl Queue {
    /// Puts `bytes` at `offset`, and on the medium if the back end can say so. Range and alignment have been checked.
    ///
    /// What was prefetched is dropped: some of it may be what is being replaced.
    pub(super) fn write(
        &mut self,
        offset: u64,
        bytes: &[u8],
        flushes: Flushes,
    ) -> Result<(), BlockError> {
        self.settle()?;
        let mut at = offset;
        // The step fits a usize of either width.
        for part in bytes.chunks(STEP as usize) {
            let end = at + part.len() as u64;
            self.transfer(at..end, Purpose::Write, part)?;
            at = end;
        }
        match flushes {
            Flushes::Offered => self.transfer(0..0, Purpose::Flush, &[]),
            Flushes::Absent => Ok(()),
        }
    }

    /// Waits until no request is on its way, and empties every slot.
    fn settle(&mut self) -> Result<(), BlockError> {
        self.living()?;
        self.forget_failures();
        let begin = self.hv.now();
        loop {
            self.harvest()?;
            if self.flying == 0 {
                break;
            }
            self.wait(begin)?;
        }
        for slot in &mut self.slots {
            slot.content = Content::Free;
        }
        Ok(())
    }

    /// Sends one request and waits for its end. Nothing else is on its way.
    fn transfer(
        &mut self,
        range: Range<u64>,
        purpose: Purpose,
        bytes: &[u8],
    ) -> Result<(), BlockError> {
        let pages = (range.end - range.start).div_ceil(PAGE);
        if self.slots.is_empty() {
            self.slots.push(Slot::empty());
        }
        // At most MAX_SEGMENTS, so it fits a usize.
        self.add_pages(0, pages as usize);
        if (self.slots[0].pages.len() as u64) < pages {
            return Err(BlockError::Io(format!(
                "{}: no memory for a page to write from",
                self.name
            )));
        }
        copy_in(&self.slots[0].pages, bytes);
        let begin = self.hv.now();
        self.put(0, range, purpose, Retried::No);
        self.publish();
        loop {
            self.harvest()?;
            match &self.slots[0].content {
                Content::Flying(_) => self.wait(begin)?,
                Content::Failed(_, Status::UNSUPPORTED) if purpose == Purpose::Flush => {
                    // Offered and not there: as with a back end that never offered it.
                    self.slots[0].content = Content::Free;
                    return Ok(());
                }
                Content::Failed(extent, status) => {
                    let error = self.io_error(extent, *status);
                    self.forget_failures();
                    return Err(error);
                }
                Content::Ready(_) | Content::Free => {
                    self.slots[0].content = Content::Free;
                    return Ok(());
                }
            }
        }
    }
}
