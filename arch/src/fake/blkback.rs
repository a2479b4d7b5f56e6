//! A fake block back end: the state machine of Linux's, over bytes, with named faults.
//!
//! [`FakeDisk`] describes a disk, [`DiskFault`] a way to misbehave. Data moves in `blkback::data`.

mod data;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;
use core::time::Duration;

use super::world::{Peer, World};
use super::{GUEST, HOME};
use crate::abi::blkif::{ENTRY_BYTES, INFO_CDROM, INFO_READ_ONLY, Operation, PROTOCOL};
use crate::abi::xenbus::State;
use crate::hypervisor::{Access, DomId, Instant};
use crate::ring::BackRing;

/// The domain of the fake back ends.
const BACKEND: DomId = DomId(0);
/// How long a back end takes to follow a change of state.
const REACTION: Duration = Duration::from_micros(300);

/// What is on a disk: fills a slice with the bytes at an offset.
pub type Content = Box<dyn Fn(u64, &mut [u8])>;

/// The bytes of a disk that can be written, shared with the test.
pub type Stored = Rc<RefCell<Vec<u8>>>;

/// A way in which a block back end misbehaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskFault {
    /// Never gets ready for a front end.
    NeverReady,
    /// A drive without a medium whose back end waits for one.
    NoMedium,
    /// Never connects.
    NeverConnects,
    /// Says that it is closed when a front end comes.
    RefusesToConnect,
    /// The next so many requests end with an error.
    ErrorStatus(u32),
    /// Requests that touch these bytes end with an error.
    BadBytes(Range<u64>),
    /// Requests to write end with an error.
    WritesFail,
    /// Says that it flushes, and answers that it cannot.
    FlushUnsupported,
    /// The next so many responses are never sent.
    DropResponses(u32),
    /// No request is answered.
    NeverAnswers,
    /// Responses carry another number.
    WrongId,
    /// Each response is sent twice.
    AnswersTwice,
    /// Responses carry another operation: "write" instead of "read", and so on.
    WrongOperation,
    /// The response index is further ahead than there are requests.
    ProducerTooFar,
    /// Writes nonsense made from this number into responses and their index.
    Scribbles(u64),
    /// After so many requests the back end closes by itself.
    ClosesItself(u32),
    /// Pages stay mapped after the back end says that it is closed.
    KeepsMapped,
    /// Pages stay mapped for this long after the back end says that it is closed.
    UnmapsLate(Duration),
    /// Never says that it is closing or closed.
    NeverCloses,
    /// Does not become ready for another front end.
    NeverReopens,
    /// The device is unplugged: its directory is gone.
    Unplugged,
}

/// A disk to plug in.
pub struct FakeDisk {
    id: u64,
    sectors: u64,
    sector_bytes: u32,
    content: Content,
    /// Where written bytes go; `None` for a disk that is only read.
    stored: Option<Stored>,
    flushes: bool,
    info: u64,
    mode: &'static str,
    indirect_segments: u32,
    protocol: Option<&'static str>,
    latency: Duration,
    per_request: Duration,
    faults: Vec<DiskFault>,
}

impl FakeDisk {
    /// The disk with number `id` that holds `bytes`, whole sectors of 512.
    #[must_use]
    pub fn new(id: u64, bytes: Vec<u8>) -> Self {
        let sectors = bytes.len() as u64 / 512;
        Self::computed(
            id,
            sectors,
            Box::new(move |offset, out| {
                let at = offset as usize;
                out.copy_from_slice(&bytes[at..at + out.len()]);
            }),
        )
    }

    /// The disk with number `id` of `sectors` sectors of 512 bytes whose bytes `content` computes.
    #[must_use]
    pub fn computed(id: u64, sectors: u64, content: Content) -> Self {
        Self {
            id,
            sectors,
            sector_bytes: 512,
            content,
            stored: None,
            flushes: false,
            info: 0,
            mode: "w",
            indirect_segments: 0,
            protocol: None,
            latency: Duration::from_micros(200),
            per_request: Duration::from_micros(20),
            faults: Vec::new(),
        }
    }

    /// The disk with number `id` that holds what `bytes` hold, whole sectors of 512, and can be written.
    #[must_use]
    pub fn stored(id: u64, bytes: &Stored) -> Self {
        let sectors = bytes.borrow().len() as u64 / 512;
        let content = bytes.clone();
        let mut disk = Self::computed(
            id,
            sectors,
            Box::new(move |offset, out| {
                let at = offset as usize;
                out.copy_from_slice(&content.borrow()[at..at + out.len()]);
            }),
        );
        disk.stored = Some(bytes.clone());
        disk
    }

    /// Takes requests to flush its cache. What was written and not flushed is then reported as left behind.
    #[must_use]
    pub fn flushes(mut self) -> Self {
        self.flushes = true;
        self
    }

    /// Cannot be written.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.info |= INFO_READ_ONLY;
        self.mode = "r";
        self
    }

    /// Sectors of this size, a multiple of 512.
    #[must_use]
    pub fn sector_bytes(mut self, bytes: u32) -> Self {
        self.sector_bytes = bytes;
        self
    }

    /// A read-only CD-ROM.
    #[must_use]
    pub fn cdrom(mut self) -> Self {
        self.info |= INFO_CDROM | INFO_READ_ONLY;
        self.mode = "r";
        self
    }

    /// Offers indirect requests of so many segments.
    #[must_use]
    pub fn indirect(mut self, segments: u32) -> Self {
        self.indirect_segments = segments;
        self
    }

    /// The toolstack has written this `protocol` key.
    #[must_use]
    pub fn protocol(mut self, protocol: &'static str) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// How long a request takes alone, and how much each of many at once adds.
    #[must_use]
    pub fn speed(mut self, latency: Duration, per_request: Duration) -> Self {
        self.latency = latency;
        self.per_request = per_request;
        self
    }

    /// A fault from the start.
    #[must_use]
    pub fn fault(mut self, fault: DiskFault) -> Self {
        self.faults.push(fault);
        self
    }
}

/// The ring while connected.
struct Connection {
    ring: BackRing,
    ring_grant: u32,
    port: u32,
}

pub(super) struct Blkback {
    disk: FakeDisk,
    place: usize,
    backend: String,
    frontend: String,
    state: State,
    connection: Option<Connection>,
    /// A change of the front end's state to react to.
    reaction: Option<Instant>,
    /// Grants to unmap later, after a close.
    unmap: Option<(Instant, Vec<u32>)>,
    work: data::Work,
    pub(super) rung: bool,
}

impl Blkback {
    pub(super) fn plug(disk: FakeDisk, place: usize, world: &mut World) -> Self {
        let id = disk.id;
        let frontend = format!("{HOME}/device/vbd/{id}");
        let backend = format!("/local/domain/0/backend/vbd/{}/{id}", GUEST.0);
        let mut back = Self {
            disk,
            place,
            backend: backend.clone(),
            frontend: frontend.clone(),
            state: State::INITIALISING,
            connection: None,
            reaction: None,
            unmap: None,
            work: data::Work::default(),
            rung: false,
        };
        let cdrom = back.disk.info & INFO_CDROM != 0;
        let device_type = if cdrom { "cdrom" } else { "disk" };
        for (key, value) in [
            ("backend", backend.as_str()),
            ("backend-id", "0"),
            ("state", "1"),
            ("virtual-device", &id.to_string()),
            ("device-type", device_type),
        ] {
            world.host_write(&format!("{frontend}/{key}"), value);
        }
        if let Some(protocol) = back.disk.protocol {
            world.host_write(&format!("{frontend}/protocol"), protocol);
        }
        let no_medium = back.has(&DiskFault::NoMedium);
        for (key, value) in [
            ("frontend", frontend.as_str()),
            ("frontend-id", &GUEST.0.to_string()),
            ("online", "1"),
            ("mode", back.disk.mode),
            ("params", if no_medium { "aio:" } else { "/dev/fake" }),
        ] {
            world.host_write(&format!("{backend}/{key}"), value);
        }
        if no_medium || back.has(&DiskFault::NeverReady) {
            back.enter(State::INITIALISING, world);
        } else {
            if back.disk.flushes {
                back.write(world, "feature-flush-cache", "1");
            }
            if back.disk.indirect_segments > 0 {
                let value = back.disk.indirect_segments.to_string();
                back.write(world, "feature-max-indirect-segments", &value);
            }
            back.enter(State::INIT_WAIT, world);
        }
        if back.has(&DiskFault::Unplugged) {
            world.host_remove(&backend);
        }
        back
    }

    pub(super) fn id(&self) -> u64 {
        self.disk.id
    }

    pub(super) fn add_fault(&mut self, fault: DiskFault, world: &mut World) {
        if fault == DiskFault::Unplugged {
            world.host_remove(&self.backend);
            self.disconnect(world);
        }
        self.disk.faults.push(fault);
    }

    pub(super) fn mend(&mut self, world: &mut World) {
        self.disk.faults.clear();
        if self.state == State::INITIALISING {
            self.enter(State::INIT_WAIT, world);
        }
    }

    fn has(&self, fault: &DiskFault) -> bool {
        self.disk.faults.contains(fault)
    }

    /// Counts a fault of limited number down; whether it strikes.
    fn strikes(&mut self, kind: fn(u32) -> DiskFault) -> bool {
        for fault in &mut self.disk.faults {
            let left = match *fault {
                DiskFault::ErrorStatus(left)
                | DiskFault::DropResponses(left)
                | DiskFault::ClosesItself(left) => left,
                _ => continue,
            };
            if left > 0 && kind(left) == *fault {
                *fault = kind(left - 1);
                return true;
            }
        }
        false
    }

    fn write(&self, world: &mut World, key: &str, value: &str) {
        world.host_write(&format!("{}/{key}", self.backend), value);
    }

    fn enter(&mut self, state: State, world: &mut World) {
        self.state = state;
        self.write(world, "state", &state.0.to_string());
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        let unmap = self.unmap.as_ref().map(|(at, _)| *at);
        [self.reaction, unmap, self.work.next_timer()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn run(&mut self, world: &mut World, touched: &BTreeSet<String>) {
        if self.has(&DiskFault::Unplugged) {
            return;
        }
        if touched.contains(&format!("{}/state", self.frontend)) && self.reaction.is_none() {
            self.reaction = Some(world.now.after(REACTION));
        }
        if self.reaction.is_some_and(|at| at <= world.now) {
            self.reaction = None;
            self.react(world);
        }
        if let Some((_, grants)) = self.unmap.take_if(|(at, _)| *at <= world.now) {
            for grant in grants {
                world.memory.unmap(grant);
            }
        }
        self.serve(world);
    }

    /// Follows the front end's state as `frontend_changed` of Linux's blkback does.
    fn react(&mut self, world: &mut World) {
        let state = world.number(&format!("{}/state", self.frontend));
        let state = State(state.and_then(|state| state.try_into().ok()).unwrap_or(0));
        match state {
            State::INITIALISING
                if self.state == State::CLOSED && !self.has(&DiskFault::NeverReopens) =>
            {
                self.enter(State::INIT_WAIT, world);
            }
            State::INITIALISED | State::CONNECTED if self.state == State::INIT_WAIT => {
                if self.has(&DiskFault::RefusesToConnect) {
                    self.enter(State::CLOSED, world);
                } else if !self.has(&DiskFault::NeverConnects) {
                    self.connect(world);
                }
            }
            State::CLOSING if self.state != State::CLOSED && !self.has(&DiskFault::NeverCloses) => {
                self.enter(State::CLOSING, world);
            }
            State::CLOSED if !self.has(&DiskFault::NeverCloses) => {
                self.disconnect(world);
                self.enter(State::CLOSED, world);
            }
            _ => {}
        }
    }

    fn connect(&mut self, world: &mut World) {
        let number = |world: &World, key: &str| {
            let number = world.number(&format!("{}/{key}", self.frontend));
            number.and_then(|number| u32::try_from(number).ok())
        };
        let (Some(ring_grant), Some(port)) =
            (number(world, "ring-ref"), number(world, "event-channel"))
        else {
            let text = format!("disk {} has no ring or event channel", self.disk.id);
            world.memory.misuse.push(text);
            return;
        };
        let protocol = world.text(&format!("{}/protocol", self.frontend));
        if protocol.as_deref() != Some(PROTOCOL) {
            let text = format!("disk {} has protocol {protocol:?}", self.disk.id);
            world.memory.misuse.push(text);
            return;
        }
        if !world.bind(port, BACKEND, Peer::Disk(self.place)) {
            return;
        }
        let Some(page) = world.memory.map(ring_grant, BACKEND, Access::ReadWrite) else {
            return;
        };
        self.connection = Some(Connection {
            ring: BackRing::attach(page, ENTRY_BYTES),
            ring_grant,
            port,
        });
        for (key, value) in [
            ("sectors", self.disk.sectors),
            ("sector-size", u64::from(self.disk.sector_bytes)),
            ("info", self.disk.info),
        ] {
            self.write(world, key, &value.to_string());
        }
        self.enter(State::CONNECTED, world);
    }

    /// Lets go of ring, port and pages.
    fn disconnect(&mut self, world: &mut World) {
        let mut grants = self.work.abandon();
        if let Some(connection) = self.connection.take() {
            world.unbind(connection.port);
            grants.push(connection.ring_grant);
        }
        if self.has(&DiskFault::KeepsMapped) {
            return;
        }
        let late = self.disk.faults.iter().find_map(|fault| match fault {
            DiskFault::UnmapsLate(wait) => Some(*wait),
            _ => None,
        });
        match late {
            Some(wait) => self.unmap = Some((world.now.after(wait), grants)),
            None => {
                for grant in grants {
                    world.memory.unmap(grant);
                }
            }
        }
    }

    pub(super) fn leftovers(&self) -> Vec<String> {
        let mut all = Vec::new();
        if !matches!(self.state, State::INIT_WAIT | State::INITIALISING)
            && !self.has(&DiskFault::Unplugged)
        {
            all.push(format!("back end of {} in {}", self.disk.id, self.state));
        }
        if self.disk.flushes && self.work.unflushed {
            all.push(format!("bytes on {} that were not flushed", self.disk.id));
        }
        all
    }

    /// The operation to answer with.
    fn answered(&self, operation: Operation) -> Operation {
        if self.has(&DiskFault::WrongOperation) {
            Operation(operation.0 ^ 1)
        } else {
            operation
        }
    }
}
