//! How a fake back end serves requests: taken off the ring when signalled, answered when their time has come.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;

use super::{BACKEND, Blkback, Connection, DiskFault};
use crate::abi::blkif::{
    ENTRY_BYTES, INFO_READ_ONLY, Operation, Request, Response, SECTOR_BYTES, SEGMENT_BYTES,
    Segment, Segments, Status,
};
use crate::abi::ring::{ENTRIES, RSP_PROD};
use crate::abi::xenbus::State;
use crate::fake::world::World;
use crate::hypervisor::{Access, Instant};
use crate::ring::{Armed, Notify};
use crate::shared::SharedPage;

/// A request on its way.
struct Job {
    done: Instant,
    request: Request,
    /// Grants that are mapped for it.
    grants: Vec<u32>,
    /// Pages and sectors of its segments.
    pages: Vec<(SharedPage, Segment)>,
    status: Status,
}

/// The requests that a back end has taken.
#[derive(Default)]
pub(super) struct Work {
    jobs: VecDeque<Job>,
    /// Grants of requests that will never be answered.
    stuck: Vec<u32>,
    taken: u32,
    /// Bytes were written since the last flush.
    pub(super) unflushed: bool,
}

impl Work {
    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.jobs.front().map(|job| job.done)
    }

    /// Forgets everything and returns the grants to unmap.
    pub(super) fn abandon(&mut self) -> Vec<u32> {
        let mut grants = core::mem::take(&mut self.stuck);
        for job in self.jobs.drain(..) {
            grants.extend(job.grants);
        }
        grants
    }
}

impl Blkback {
    /// Takes new requests and answers those whose time has come.
    pub(super) fn serve(&mut self, world: &mut World) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if core::mem::take(&mut self.rung) {
            self.take_all(&mut connection, world);
        }
        let mut answered = 0;
        while let Some(job) = self.work.jobs.pop_front_if(|job| job.done <= world.now) {
            answered += u32::from(self.finish(job, &mut connection, world));
        }
        if answered > 0 && connection.ring.publish() == Notify::Wanted {
            world.notify_guest(connection.port);
        }
        if self.has(&DiskFault::ProducerTooFar) && answered > 0 {
            let page = connection.ring.page();
            page.store(RSP_PROD, page.load(RSP_PROD).wrapping_add(33));
        }
        if answered > 0 {
            self.scribble(&connection);
        }
        let closes = self.disk.faults.iter().any(
            |fault| matches!(fault, DiskFault::ClosesItself(after) if self.work.taken >= *after),
        );
        self.connection = Some(connection);
        if closes && self.state == State::CONNECTED {
            self.disconnect(world);
            self.enter(State::CLOSING, world);
        }
    }

    /// Overwrites responses and moves their index a little, by a generator that repeats.
    fn scribble(&mut self, connection: &Connection) {
        let page = connection.ring.page();
        for fault in &mut self.disk.faults {
            let DiskFault::Scribbles(state) = fault else {
                continue;
            };
            let mut next = || {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (*state >> 32) as u32
            };
            for _ in 0..next() % 8 {
                // A word of an entry, mostly small so that some of it makes sense.
                let at = ENTRIES as u32 + next() % 896 * 4;
                let value = if next() % 2 == 0 { next() } else { next() % 64 };
                page.store(at as usize, value);
            }
            let moved = (next() % 4).wrapping_sub(1);
            page.store(RSP_PROD, page.load(RSP_PROD).wrapping_add(moved));
        }
    }

    fn take_all(&mut self, connection: &mut Connection, world: &mut World) {
        loop {
            let mut entry = [0; ENTRY_BYTES];
            match connection.ring.take(&mut entry) {
                Ok(Some(())) => {}
                Ok(None) => match connection.ring.arm() {
                    Armed::Idle => return,
                    Armed::Ready => continue,
                },
                Err(overrun) => {
                    world.memory.misuse.push(format!("{overrun}"));
                    return;
                }
            }
            self.work.taken += 1;
            let Some(request) = Request::decode(&entry) else {
                world
                    .memory
                    .misuse
                    .push(format!("a request that is none: {:?}", &entry[..8]));
                continue;
            };
            self.begin(request, world);
        }
    }

    /// Maps a request's pages and sets its time.
    fn begin(&mut self, request: Request, world: &mut World) {
        let mut job = Job {
            // Requests overlap: each adds a little to the one before it.
            done: world.now.after(self.disk.latency),
            request,
            grants: Vec::new(),
            pages: Vec::new(),
            status: Status::OKAY,
        };
        if let Some(last) = self.work.jobs.back() {
            job.done = job.done.max(last.done.after(self.disk.per_request));
        }
        if !map_segments(&mut job, world) || !self.acceptable(&job, world) {
            job.status = Status::ERROR;
        }
        if self.has(&DiskFault::NeverAnswers) || self.strikes(DiskFault::DropResponses) {
            self.work.stuck.extend(job.grants);
            return;
        }
        let operation = job.request.operation;
        if self.strikes(DiskFault::ErrorStatus)
            || self.touches_bad_bytes(&job)
            || (operation == Operation::WRITE && self.has(&DiskFault::WritesFail))
        {
            job.status = Status::ERROR;
        }
        if operation == Operation::FLUSH && self.has(&DiskFault::FlushUnsupported) {
            job.status = Status::UNSUPPORTED;
        }
        self.work.jobs.push_back(job);
    }

    /// Checks what Linux's blkback checks, and complains about what a good front end never asks.
    fn acceptable(&self, job: &Job, world: &mut World) -> bool {
        let len: u64 = job.pages.iter().map(|(_, segment)| sectors(segment)).sum();
        let unit = u64::from(self.disk.sector_bytes) / SECTOR_BYTES;
        let first = job.request.sector;
        let operation = job.request.operation;
        if operation == Operation::FLUSH && len == 0 && self.disk.flushes {
            return true;
        }
        let complaint = if len == 0 {
            "no sectors"
        } else if !first.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            "broken sectors"
        } else if first
            .checked_add(len)
            .is_none_or(|end| end > self.disk.sectors)
        {
            "sectors beyond the end"
        } else if operation == Operation::FLUSH {
            "a flush that was not offered"
        } else if operation == Operation::WRITE
            && (self.disk.stored.is_none() || self.disk.info & INFO_READ_ONLY != 0)
        {
            "a write to a disk that is only read"
        } else {
            return true;
        };
        world
            .memory
            .misuse
            .push(format!("a request for {complaint}: {:?}", job.request));
        false
    }

    fn touches_bad_bytes(&self, job: &Job) -> bool {
        let len: u64 = job.pages.iter().map(|(_, segment)| sectors(segment)).sum();
        let begin = job.request.sector * SECTOR_BYTES;
        let end = begin + len * SECTOR_BYTES;
        self.disk.faults.iter().any(
            |fault| matches!(fault, DiskFault::BadBytes(bad) if bad.start < end && begin < bad.end),
        )
    }

    /// Puts the bytes of a write where they belong.
    fn keep(&mut self, job: &Job) {
        self.work.unflushed = job.request.operation == Operation::WRITE;
        let Some(stored) = &self.disk.stored else {
            return;
        };
        let mut offset = (job.request.sector * SECTOR_BYTES) as usize;
        for (page, segment) in &job.pages {
            let len = (sectors(segment) * SECTOR_BYTES) as usize;
            let from = usize::from(segment.first) * SECTOR_BYTES as usize;
            page.read(from, &mut stored.borrow_mut()[offset..offset + len]);
            offset += len;
        }
    }

    /// Moves the bytes of a request and puts its response; whether one was put.
    fn finish(&mut self, job: Job, connection: &mut Connection, world: &mut World) -> bool {
        if job.status == Status::OKAY && job.request.operation != Operation::READ {
            self.keep(&job);
        } else if job.status == Status::OKAY {
            let mut offset = job.request.sector * SECTOR_BYTES;
            for (page, segment) in &job.pages {
                let mut bytes = alloc::vec![0; (sectors(segment) * SECTOR_BYTES) as usize];
                (self.disk.content)(offset, &mut bytes);
                page.write(usize::from(segment.first) * SECTOR_BYTES as usize, &bytes);
                offset += bytes.len() as u64;
            }
        }
        for grant in job.grants {
            world.memory.unmap(grant);
        }
        let wrong = if self.has(&DiskFault::WrongId) { 1 } else { 0 };
        let response = Response {
            id: job.request.id ^ wrong,
            operation: self.answered(job.request.operation),
            status: job.status,
        };
        let entry = response.encode();
        let mut put = connection.ring.put(&entry).is_ok();
        if self.has(&DiskFault::AnswersTwice) {
            // Takes the place of the answer to another request, if there is one.
            put |= connection.ring.put(&entry).is_ok();
        }
        put
    }
}

fn sectors(segment: &Segment) -> u64 {
    u64::from(segment.last) + 1 - u64::from(segment.first)
}

/// Maps the pages of every segment; false when one cannot be.
fn map_segments(job: &mut Job, world: &mut World) -> bool {
    let segments = match &job.request.segments {
        Segments::Direct(segments) => segments.clone(),
        Segments::Indirect { count, pages } => {
            let mut segments = Vec::new();
            for grant in pages {
                let Some(page) = world.memory.map(*grant, BACKEND, Access::ReadOnly) else {
                    return false;
                };
                job.grants.push(*grant);
                for at in (0..512 * SEGMENT_BYTES).step_by(SEGMENT_BYTES) {
                    if segments.len() < usize::from(*count) {
                        let mut bytes = [0; SEGMENT_BYTES];
                        page.read(at, &mut bytes);
                        segments.push(Segment::decode(bytes));
                    }
                }
            }
            segments
        }
    };
    for segment in segments {
        if segment.last > 7 || segment.first > segment.last {
            world
                .memory
                .misuse
                .push(format!("a segment that is none: {segment:?}"));
            return false;
        }
        let Some(page) = world.memory.map(segment.grant, BACKEND, Access::ReadWrite) else {
            return false;
        };
        job.grants.push(segment.grant);
        job.pages.push((page, segment));
    }
    true
}
