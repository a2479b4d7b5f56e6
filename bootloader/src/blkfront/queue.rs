//! The data path of a block front end: requests, responses, and the pool of pages between them.
//!
//! The pool is a row of slots, each with pages for one request. A read asks for as much of its range as there
//! are free slots, hands over the bytes of the first, asks for more, and so on: the ring stays full while data
//! remains. What was prefetched is found in a slot of its own. Slots and pages are made when they are first
//! needed, so a disk that is only looked at costs a page or two.

use alloc::collections::vec_deque::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use arch::abi::blkif::{
    MAX_SEGMENTS, Operation, RESPONSE_BYTES, Request, Response, SECTOR_BYTES, SEGMENT_BYTES,
    Segments, Status,
};
use arch::addr::PAGE_BYTES;
use arch::ring::{Armed, FrontRing, Notify};
use arch::{DomId, Hypervisor, Instant, Port};
use fs::BlockError;

use super::Settings;
use super::connect::{Link, Traits};
use super::slot::{Content, Extent, PAGE, Purpose, Retried, Slot, copy_out, segments};
use crate::frontend::Granted;
use crate::xenbus::Device;

/// Segments of an indirect request. More would save little: 128 KiB is what disks like.
const INDIRECT_SEGMENTS: usize = 32;
/// Slots of a disk with indirect requests: 2 MiB in flight.
const INDIRECT_SLOTS: usize = 16;
/// Slots of a disk without: one for each entry of the ring, 1.4 MiB in flight.
const DIRECT_SLOTS: usize = 32;
/// Bits of a request's number that name its slot; the rest counts requests.
const SLOT_BITS: u32 = 5;
/// How long closing waits for requests on their way.
const FINISH_PATIENCE: Duration = Duration::from_secs(10);
const _: () = assert!(INDIRECT_SLOTS <= 1 << SLOT_BITS && DIRECT_SLOTS <= 1 << SLOT_BITS);
const _: () = assert!(INDIRECT_SEGMENTS * SEGMENT_BYTES <= PAGE_BYTES);

/// What was asked of a back end since the disk was connected.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Requests sent, repetitions among them.
    pub requests: u64,
    /// Requests sent again after an error.
    pub retries: u64,
    /// Most requests on their way at once.
    pub deepest: u32,
    /// Pages of the pool.
    pub pages: u32,
}

/// The ring and the pool of a connected disk.
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) hv: Rc<dyn Hypervisor>,
    backend: DomId,
    handle: u16,
    port: Port,
    ring: FrontRing,
    ring_grant: arch::GrantRef,
    pub(super) slots: Vec<Slot>,
    slots_max: usize,
    segments_max: usize,
    pub(super) flying: u32,
    next_number: u64,
    patience: Duration,
    /// When the back end last answered, or was last given something to do after a rest.
    last_progress: Instant,
    /// Why the disk was given up.
    dead: Option<BlockError>,
    counters: Counters,
}

impl Queue {
    pub(super) fn new(link: Link, name: &str, settings: &Settings) -> (Device, Self) {
        let Traits {
            indirect_segments, ..
        } = link.traits;
        // Fewer segments than ours would hardly beat a direct request.
        let indirect = indirect_segments >= INDIRECT_SEGMENTS as u64;
        let queue = Self {
            name: String::from(name),
            backend: link.device.backend_domain(),
            // The field has 16 bits; of a larger number the low ones are sent, as Linux does.
            handle: (link.device.id() & 0xFFFF) as u16,
            port: link.port,
            ring: link.ring,
            ring_grant: link.ring_grant,
            slots: Vec::new(),
            slots_max: if indirect {
                INDIRECT_SLOTS
            } else {
                DIRECT_SLOTS
            },
            segments_max: if indirect {
                INDIRECT_SEGMENTS
            } else {
                MAX_SEGMENTS
            },
            flying: 0,
            next_number: 0,
            patience: settings.answer_patience,
            last_progress: link.hv.now(),
            dead: None,
            counters: Counters::default(),
            hv: link.hv,
        };
        (link.device, queue)
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// Gives everything that is shared with the back end back, for the parting.
    pub(super) fn into_parts(self) -> (Rc<dyn Hypervisor>, Port, Vec<Granted>) {
        let mut pages = alloc::vec![Granted {
            page: self.ring.into_page(),
            grant: self.ring_grant,
        }];
        for slot in self.slots {
            pages.extend(slot.pages);
            pages.extend(slot.table);
        }
        (self.hv, self.port, pages)
    }

    /// Waits for requests on their way; says so if some remain unanswered.
    pub(super) fn finish(&mut self) -> Option<String> {
        let deadline = self.hv.now().after(FINISH_PATIENCE);
        while self.flying > 0 && self.dead.is_none() {
            if self.harvest().is_err() || self.flying == 0 {
                break;
            }
            if self.hv.now() >= deadline {
                break;
            }
            self.sleep(deadline);
        }
        (self.flying > 0).then(|| format!("{} requests were never answered", self.flying))
    }

    /// Fills `out` from `offset` on. Range and alignment have been checked.
    pub(super) fn read(&mut self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        self.living()?;
        let end = offset + out.len() as u64;
        let begin = self.hv.now();
        self.forget_failures();
        // Next byte to hand over, and next to ask for.
        let mut at = offset;
        let mut ask = offset;
        while at < end {
            self.harvest()?;
            ask = self.ask(ask.max(at)..end, at..end, Purpose::Read)?;
            match self.find(at) {
                Some(index) => match &self.slots[index].content {
                    Content::Ready(extent) => {
                        let extent = extent.range.clone();
                        let upto = extent.end.min(end);
                        // Inside `out`, so it fits a usize.
                        let into = &mut out[(at - offset) as usize..(upto - offset) as usize];
                        copy_out(&self.slots[index].pages, at - extent.start, into);
                        if upto == extent.end {
                            self.slots[index].content = Content::Free;
                        }
                        at = upto;
                    }
                    Content::Failed(extent, status) => {
                        let error = self.io_error(extent, *status);
                        self.forget_failures();
                        return Err(error);
                    }
                    Content::Flying(_) => self.wait(begin)?,
                    Content::Free => ask = at,
                },
                // A prefetched part failed, or was asked for when there was no room.
                None if ask > at => ask = at,
                None if self.flying > 0 => self.wait(begin)?,
                // Every slot holds bytes that this read wants later: the last of them must wait their turn.
                None if self.give_up_last() => ask = at,
                None => {
                    return Err(BlockError::Io(format!(
                        "{}: no memory for a page to read into",
                        self.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Asks for as much of `range` as there is room for.
    pub(super) fn prefetch(&mut self, range: Range<u64>) {
        // A broken disk is reported by the next read.
        if self.dead.is_none() && self.harvest().is_ok() {
            let _ = self.ask(range.clone(), range, Purpose::Prefetch);
        }
    }

    pub(super) fn living(&self) -> Result<(), BlockError> {
        match &self.dead {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Gives the disk up.
    fn give_up(&mut self, error: BlockError) -> BlockError {
        self.dead = Some(error.clone());
        error
    }

    fn violation(&mut self, what: &str) -> BlockError {
        self.give_up(BlockError::Io(format!(
            "{}: the back end broke the protocol: {what}",
            self.name
        )))
    }

    pub(super) fn io_error(&self, extent: &Extent, status: Status) -> BlockError {
        let Range { start, end } = extent.range;
        BlockError::Io(format!(
            "{}: the back end could not {} bytes {start}+{} (status {}{})",
            self.name,
            extent.purpose.verb(),
            end - start,
            status.0,
            match status {
                Status::UNSUPPORTED => ", not supported",
                _ => "",
            }
        ))
    }

    /// Drops errors of earlier reads, and makes what they left on the way nobody's.
    pub(super) fn forget_failures(&mut self) {
        for slot in &mut self.slots {
            match &mut slot.content {
                Content::Failed(..) => slot.content = Content::Free,
                Content::Flying(extent) => extent.purpose = Purpose::Prefetch,
                Content::Free | Content::Ready(_) => {}
            }
        }
    }

    /// The slot that holds byte `at`, or will.
    fn find(&self, at: u64) -> Option<usize> {
        self.slots.iter().position(|slot| {
            slot.extent()
                .is_some_and(|extent| extent.range.contains(&at))
        })
    }

    /// Frees the slot whose unread bytes are furthest back on the disk; false if there is none.
    fn give_up_last(&mut self) -> bool {
        let last = self
            .slots
            .iter_mut()
            .filter(|slot| matches!(slot.content, Content::Ready(_)))
            .max_by_key(|slot| slot.extent().map(|extent| extent.range.start));
        match last {
            Some(slot) => {
                slot.content = Content::Free;
                true
            }
            None => false,
        }
    }

    /// Sends requests for what of `range` is in no slot, as far as there is room, and returns where it stopped.
    /// Unread bytes inside `keep` are not given up for room.
    fn ask(
        &mut self,
        range: Range<u64>,
        keep: Range<u64>,
        purpose: Purpose,
    ) -> Result<u64, BlockError> {
        let mut at = range.start;
        let mut asked = Vec::new();
        while at < range.end {
            if let Some(index) = self.find(at) {
                at = self.slots[index]
                    .extent()
                    .map_or(range.end, |extent| extent.range.end);
                continue;
            }
            let gap_end = self
                .slots
                .iter()
                .filter_map(Slot::extent)
                .map(|extent| extent.range.start)
                .filter(|start| *start > at)
                .fold(range.end, u64::min);
            let Some((index, capacity)) = self.room(gap_end - at, &keep) else {
                break;
            };
            let upto = gap_end.min(at + capacity);
            self.put(index, at..upto, purpose, Retried::No);
            asked.push(index);
            at = upto;
        }
        if !asked.is_empty() {
            self.publish();
        }
        Ok(at)
    }

    /// A free slot and the bytes it can take, `wanted` at most if possible.
    fn room(&mut self, wanted: u64, keep: &Range<u64>) -> Option<(usize, u64)> {
        if self.ring.free() == 0 {
            return None;
        }
        let most = self.segments_max as u64 * PAGE;
        // At most `segments_max`, so it fits a usize.
        let pages = wanted.min(most).div_ceil(PAGE) as usize;
        let index = self.free_slot(pages, keep)?;
        self.add_pages(index, pages);
        let capacity = self.slots[index].pages.len() as u64 * PAGE;
        (capacity > 0).then_some((index, capacity))
    }

    /// A slot without content: one that has `pages` pages already, or another, or a new one, or the one whose
    /// content has been waiting longest to be read.
    fn free_slot(&mut self, pages: usize, keep: &Range<u64>) -> Option<usize> {
        let free = |slot: &Slot| matches!(slot.content, Content::Free);
        let fitting = |slot: &Slot| free(slot) && slot.pages.len() >= pages;
        if let Some(index) = self.slots.iter().position(fitting) {
            return Some(index);
        }
        let widest = (0..self.slots.len())
            .filter(|index| free(&self.slots[*index]))
            .max_by_key(|index| self.slots[*index].pages.len());
        if widest.is_some() {
            return widest;
        }
        if self.slots.len() < self.slots_max {
            self.slots.push(Slot::empty());
            return Some(self.slots.len() - 1);
        }
        let unread = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| match &slot.content {
                Content::Ready(extent) => Some((index, extent)),
                _ => None,
            })
            .filter(|(_, extent)| extent.range.end <= keep.start || extent.range.start >= keep.end)
            .min_by_key(|(_, extent)| extent.id)
            .map(|(index, _)| index)?;
        self.slots[unread].content = Content::Free;
        Some(unread)
    }

    /// Makes pages for a slot until it has `wanted`, or memory or grants run out.
    pub(super) fn add_pages(&mut self, index: usize, wanted: usize) {
        let slot = &mut self.slots[index];
        let hv = &*self.hv;
        let backend = self.backend;
        let fill = |slot: &mut Slot, limit: usize| {
            while slot.pages.len() < limit {
                match Granted::new(hv, backend) {
                    Ok(granted) => slot.pages.push(granted),
                    Err(_) => break,
                }
            }
        };
        // When memory is short, pages for data go before a page for segments: a direct request needs none.
        fill(slot, wanted.min(MAX_SEGMENTS));
        if wanted > MAX_SEGMENTS {
            if slot.table.is_none() {
                slot.table = Granted::new(hv, backend).ok();
            }
            if slot.table.is_some() {
                fill(slot, wanted);
            }
        }
        self.counters.pages = self
            .slots
            .iter()
            .map(|slot| slot.pages.len() + usize::from(slot.table.is_some()))
            .sum::<usize>()
            .try_into()
            .unwrap_or(u32::MAX);
    }

    /// Fills a ring entry with a request for `range` into slot `index`. There is a free entry and the slot has
    /// the pages.
    pub(super) fn put(
        &mut self,
        index: usize,
        range: Range<u64>,
        purpose: Purpose,
        retried: Retried,
    ) {
        let id = (self.next_number << SLOT_BITS) | index as u64;
        self.next_number = self.next_number.wrapping_add(1) & (u64::MAX >> SLOT_BITS);
        let slot = &mut self.slots[index];
        let segments = segments(&slot.pages, range.end - range.start);
        let segments = match &slot.table {
            Some(table) if segments.len() > MAX_SEGMENTS => {
                for (number, segment) in segments.iter().enumerate() {
                    table.page.write(number * SEGMENT_BYTES, &segment.encode());
                }
                Segments::Indirect {
                    // At most INDIRECT_SEGMENTS.
                    count: segments.len() as u16,
                    pages: alloc::vec![table.grant.0],
                }
            }
            _ => Segments::Direct(segments),
        };
        let request = Request {
            operation: purpose.operation(),
            handle: self.handle,
            id,
            sector: range.start / SECTOR_BYTES,
            segments,
        };
        slot.content = Content::Flying(Extent {
            range,
            purpose,
            id,
            retried,
        });
        // Whoever calls has seen a free entry; a full ring would only mean that the request is not sent, and time
        // out.
        let _ = self.ring.put(&request.encode());
        if self.flying == 0 {
            self.last_progress = self.hv.now();
        }
        self.flying += 1;
        self.counters.requests += 1;
        self.counters.deepest = self.counters.deepest.max(self.flying);
    }

    /// Shows new requests to the back end.
    pub(super) fn publish(&mut self) {
        if self.ring.publish() == Notify::Wanted {
            // A refusal means that the back end is gone; the time limit says so.
            let _ = self.hv.send(self.port);
        }
    }

    /// Takes every response there is.
    pub(super) fn harvest(&mut self) -> Result<(), BlockError> {
        let mut again: VecDeque<(usize, Extent)> = VecDeque::new();
        let mut entry = [0; RESPONSE_BYTES];
        loop {
            match self.ring.take(&mut entry) {
                Ok(None) => break,
                Ok(Some(())) => {}
                Err(overrun) => return Err(self.violation(&format!("{overrun}"))),
            }
            let response = Response::decode(&entry);
            self.last_progress = self.hv.now();
            if let Some(retry) = self.accept(response)? {
                again.push_back(retry);
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        for (index, extent) in again {
            self.counters.retries += 1;
            self.put(index, extent.range, extent.purpose, Retried::Once);
        }
        self.publish();
        Ok(())
    }

    /// Checks one response and returns the request if it should be sent again.
    fn accept(&mut self, response: Response) -> Result<Option<(usize, Extent)>, BlockError> {
        let Response {
            id,
            operation,
            status,
        } = response;
        // Masked to SLOT_BITS bits.
        let index = (id & ((1 << SLOT_BITS) - 1)) as usize;
        let extent = match self.slots.get(index).map(|slot| &slot.content) {
            Some(Content::Flying(extent)) if extent.id == id => extent.clone(),
            _ => {
                return Err(self.violation(&format!("an answer to request {id:#x}, not asked")));
            }
        };
        let asked = extent.purpose.operation();
        if operation != asked && operation != Operation::INDIRECT {
            return Err(self.violation(&format!(
                "operation {} in the answer to a {}",
                operation.0,
                extent.purpose.verb()
            )));
        }
        self.flying -= 1;
        let mut again = None;
        self.slots[index].content = match (status, extent.purpose, extent.retried) {
            (Status::OKAY, _, _) => Content::Ready(extent),
            (_, Purpose::Prefetch, _) => Content::Free,
            (_, _, Retried::No) => {
                again = Some((index, extent));
                Content::Free
            }
            (_, _, Retried::Once) => Content::Failed(extent, status),
        };
        Ok(again)
    }

    /// Waits for the next response in a read that began at `begin`.
    pub(super) fn wait(&mut self, begin: Instant) -> Result<(), BlockError> {
        let deadline = self.last_progress.max(begin).after(self.patience);
        if self.hv.now() >= deadline {
            let error = BlockError::Timeout(format!(
                "{}: no answer to {} requests in {} s",
                self.name,
                self.flying,
                self.patience.as_secs()
            ));
            return Err(self.give_up(error));
        }
        self.sleep(deadline);
        Ok(())
    }

    /// Sleeps until the back end signals, unless it has answered already.
    fn sleep(&mut self, deadline: Instant) {
        self.hv.take_pending(self.port);
        if self.ring.arm() == Armed::Idle {
            self.hv.poll(&[self.port], deadline);
        }
    }
}
