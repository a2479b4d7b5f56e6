//! A fake network back end: the state machine of Linux's, joined to whatever a test calls a network.
//!
//! [`FakeVif`] describes an interface, [`Segment`] the network behind it, [`VifFault`] a way to misbehave.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::world::{Peer, World};
use super::{GUEST, HOME};
use crate::abi::netif::{
    RX_CSUM_BLANK, RX_ENTRY_BYTES, RX_EXTRA_INFO, RX_MORE_DATA, RxRequest, RxResponse,
    STATUS_ERROR, STATUS_OKAY, TX_ENTRY_BYTES, TxRequest, TxResponse,
};
use crate::abi::ring::{ENTRIES, RSP_PROD};
use crate::abi::xenbus::State;
use crate::addr::PAGE_BYTES;
use crate::hypervisor::{Access, DomId, Instant};
use crate::ring::{Armed, BackRing, Notify};

/// The domain of the fake back ends.
const BACKEND: DomId = DomId(0);
/// How long a back end takes to follow a change of state.
const REACTION: Duration = Duration::from_micros(300);
/// Frames that wait for a page of the guest.
const WAITING: usize = 1000;

/// What is behind an interface. Times count from the start of the fake hypervisor.
pub trait Segment {
    /// The guest sends a frame.
    fn send(&mut self, now: Duration, frame: &[u8]);
    /// The next frame for the guest.
    fn receive(&mut self, now: Duration) -> Option<Vec<u8>>;
    /// When there may be one.
    fn wake_at(&mut self, now: Duration) -> Option<Duration>;
}

/// A network on which nothing is heard.
pub struct Silence;

impl Segment for Silence {
    fn send(&mut self, _: Duration, _: &[u8]) {}
    fn receive(&mut self, _: Duration) -> Option<Vec<u8>> {
        None
    }
    fn wake_at(&mut self, _: Duration) -> Option<Duration> {
        None
    }
}

/// A way in which a network back end misbehaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VifFault {
    /// Never gets ready for a front end: the hotplug script hangs.
    NeverReady,
    /// Never connects.
    NeverConnects,
    /// Says that it is closed when a front end comes.
    RefusesToConnect,
    /// Leaves checksums blank and says so.
    BlankChecksums,
    /// Frames carry the number of another page.
    WrongId,
    /// Frames leave their page.
    BadOffset,
    /// Frames come in two parts.
    Parts,
    /// Frames are followed by extra information.
    Extra,
    /// Every frame is an error.
    Errors,
    /// The response index is further ahead than there are requests.
    ProducerTooFar,
    /// Writes nonsense made from this number into responses and their index.
    Scribbles(u64),
    /// No frame that is sent is ever answered.
    NeverAnswers,
    /// Pages stay mapped after the back end says that it is closed.
    KeepsMapped,
    /// Never says that it is closing or closed.
    NeverCloses,
    /// Does not become ready for another front end.
    NeverReopens,
}

/// An interface to plug in.
pub struct FakeVif {
    id: u64,
    mac: &'static str,
    segment: Box<dyn Segment>,
    faults: Vec<VifFault>,
}

impl FakeVif {
    /// The interface with number `id` on `segment`.
    #[must_use]
    pub fn new(id: u64, segment: Box<dyn Segment>) -> Self {
        Self {
            id,
            mac: "00:16:3e:01:02:03",
            segment,
            faults: Vec::new(),
        }
    }

    /// Another address.
    #[must_use]
    pub fn mac(mut self, mac: &'static str) -> Self {
        self.mac = mac;
        self
    }

    /// A fault from the start.
    #[must_use]
    pub fn fault(mut self, fault: VifFault) -> Self {
        self.faults.push(fault);
        self
    }
}

/// The rings while connected.
struct Connection {
    tx: BackRing,
    rx: BackRing,
    grants: [u32; 2],
    port: u32,
    blank: bool,
}

pub(super) struct Netback {
    vif: FakeVif,
    place: usize,
    backend: String,
    frontend: String,
    state: State,
    connection: Option<Connection>,
    reaction: Option<Instant>,
    waiting: VecDeque<Vec<u8>>,
    pub(super) rung: bool,
}

fn since_start(now: Instant) -> Duration {
    now.since(Instant(0))
}

impl Netback {
    pub(super) fn plug(vif: FakeVif, place: usize, world: &mut World) -> Self {
        let id = vif.id;
        let frontend = format!("{HOME}/device/vif/{id}");
        let backend = format!("/local/domain/0/backend/vif/{}/{id}", GUEST.0);
        for (key, value) in [
            ("backend", backend.as_str()),
            ("backend-id", "0"),
            ("state", "1"),
            ("handle", &id.to_string()),
            ("mac", vif.mac),
        ] {
            world.host_write(&format!("{frontend}/{key}"), value);
        }
        let mut back = Self {
            vif,
            place,
            backend: backend.clone(),
            frontend: frontend.clone(),
            state: State::INITIALISING,
            connection: None,
            reaction: None,
            waiting: VecDeque::new(),
            rung: false,
        };
        for (key, value) in [
            ("frontend", frontend.as_str()),
            ("frontend-id", &GUEST.0.to_string()),
            ("online", "1"),
            ("feature-rx-copy", "1"),
        ] {
            world.host_write(&format!("{backend}/{key}"), value);
        }
        if back.has(&VifFault::NeverReady) {
            back.enter(State::INITIALISING, world);
        } else {
            back.enter(State::INIT_WAIT, world);
        }
        back
    }

    pub(super) fn id(&self) -> u64 {
        self.vif.id
    }

    pub(super) fn add_fault(&mut self, fault: VifFault) {
        self.vif.faults.push(fault);
    }

    pub(super) fn mend(&mut self) {
        self.vif.faults.clear();
    }

    fn has(&self, fault: &VifFault) -> bool {
        self.vif.faults.contains(fault)
    }

    fn enter(&mut self, state: State, world: &mut World) {
        self.state = state;
        world.host_write(&format!("{}/state", self.backend), &state.0.to_string());
    }

    pub(super) fn next_timer(&mut self, now: Instant) -> Option<Instant> {
        let frames = self.connection.is_some().then(|| {
            let at = self.vif.segment.wake_at(since_start(now))?;
            // Later than now, so that time passes whatever the segment says.
            Some(
                Instant(0)
                    .after(at)
                    .max(now.after(Duration::from_micros(1))),
            )
        });
        [self.reaction, frames.flatten()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn run(&mut self, world: &mut World, touched: &BTreeSet<String>) {
        if touched.contains(&format!("{}/state", self.frontend)) && self.reaction.is_none() {
            self.reaction = Some(world.now.after(REACTION));
        }
        if self.reaction.is_some_and(|at| at <= world.now) {
            self.reaction = None;
            self.react(world);
        }
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if core::mem::take(&mut self.rung) {
            self.transmit(&mut connection, world);
        }
        self.deliver(&mut connection, world);
        self.connection = Some(connection);
    }

    /// Follows the front end's state as `frontend_changed` of Linux's netback does.
    fn react(&mut self, world: &mut World) {
        let state = world.number(&format!("{}/state", self.frontend));
        let state = State(state.and_then(|state| state.try_into().ok()).unwrap_or(0));
        let closes = !self.has(&VifFault::NeverCloses);
        match state {
            State::INITIALISING
                if self.state == State::CLOSED && !self.has(&VifFault::NeverReopens) =>
            {
                self.enter(State::INIT_WAIT, world);
            }
            State::CONNECTED if self.state == State::INIT_WAIT => {
                if self.has(&VifFault::RefusesToConnect) {
                    self.enter(State::CLOSED, world);
                } else if !self.has(&VifFault::NeverConnects) {
                    self.connect(world);
                }
            }
            State::CLOSING if self.state != State::CLOSED && closes => {
                self.disconnect(world);
                self.enter(State::CLOSING, world);
            }
            State::CLOSED if closes => {
                self.disconnect(world);
                self.enter(State::CLOSED, world);
            }
            _ => {}
        }
    }

    fn connect(&mut self, world: &mut World) {
        let number = |key: &str| {
            let number = world.number(&format!("{}/{key}", self.frontend));
            number.and_then(|number| u32::try_from(number).ok())
        };
        let keys = ["tx-ring-ref", "rx-ring-ref", "event-channel"].map(number);
        let copies = number("request-rx-copy") == Some(1) && number("feature-rx-notify") == Some(1);
        let blank = number("feature-no-csum-offload") != Some(1);
        let ([Some(tx), Some(rx), Some(port)], true) = (keys, copies) else {
            let text = format!("interface {} wrote {keys:?}, copies: {copies}", self.vif.id);
            world.memory.misuse.push(text);
            return;
        };
        if !world.bind(port, BACKEND, Peer::Net(self.place)) {
            return;
        }
        let mut map = |grant| world.memory.map(grant, BACKEND, Access::ReadWrite);
        let (Some(tx_page), Some(rx_page)) = (map(tx), map(rx)) else {
            return;
        };
        self.connection = Some(Connection {
            tx: BackRing::attach(tx_page, TX_ENTRY_BYTES),
            rx: BackRing::attach(rx_page, RX_ENTRY_BYTES),
            grants: [tx, rx],
            port,
            blank,
        });
        self.enter(State::CONNECTED, world);
    }

    fn disconnect(&mut self, world: &mut World) {
        if let Some(connection) = self.connection.take() {
            world.unbind(connection.port);
            if !self.has(&VifFault::KeepsMapped) {
                for grant in connection.grants {
                    world.memory.unmap(grant);
                }
            }
        }
    }

    /// Takes what the guest sends.
    fn transmit(&mut self, connection: &mut Connection, world: &mut World) {
        let mut answered = false;
        loop {
            let mut entry = [0; TX_ENTRY_BYTES];
            match connection.tx.take(&mut entry) {
                Ok(Some(())) => {}
                Ok(None) => match connection.tx.arm() {
                    Armed::Idle => break,
                    Armed::Ready => continue,
                },
                Err(overrun) => {
                    world.memory.misuse.push(format!("{overrun}"));
                    break;
                }
            }
            let request = TxRequest::decode(entry);
            let (at, len) = (usize::from(request.offset), usize::from(request.size));
            let fits = (14..=PAGE_BYTES).contains(&len) && at + len <= PAGE_BYTES;
            let mut status = STATUS_ERROR;
            if fits && let Some(page) = world.memory.map(request.grant, BACKEND, Access::ReadOnly) {
                let mut frame = vec![0; len];
                page.read(at, &mut frame);
                world.memory.unmap(request.grant);
                self.vif.segment.send(since_start(world.now), &frame);
                status = STATUS_OKAY;
            } else {
                let text = format!("a frame that is none: {request:?}");
                world.memory.misuse.push(text);
            }
            if !self.has(&VifFault::NeverAnswers) {
                let id = request.id;
                answered |= connection
                    .tx
                    .put(&TxResponse { id, status }.encode())
                    .is_ok();
            }
        }
        if answered && connection.tx.publish() == Notify::Wanted {
            world.notify_guest(connection.port);
        }
    }

    /// Gives the guest what has come for it.
    fn deliver(&mut self, connection: &mut Connection, world: &mut World) {
        while let Some(frame) = self.vif.segment.receive(since_start(world.now)) {
            if self.waiting.len() < WAITING {
                self.waiting.push_back(frame);
            }
        }
        let mut delivered = 0;
        while let Some(frame) = self.waiting.front() {
            let mut entry = [0; RX_ENTRY_BYTES];
            match connection.rx.take(&mut entry) {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(overrun) => {
                    world.memory.misuse.push(format!("{overrun}"));
                    break;
                }
            }
            let request = RxRequest::decode(entry);
            let Some(page) = world.memory.map(request.grant, BACKEND, Access::ReadWrite) else {
                break;
            };
            let mut frame = frame.clone();
            let mut response = RxResponse {
                id: request.id,
                offset: 0,
                flags: 0,
                status: i16::try_from(frame.len()).unwrap_or(i16::MAX),
            };
            if connection.blank || self.has(&VifFault::BlankChecksums) {
                response.flags |= RX_CSUM_BLANK;
                // What hardware would finish: half a sum.
                if frame.len() > 42 && frame[12..14] == [8, 0] && frame[23] == 17 {
                    frame[40..42].copy_from_slice(&[0x12, 0x34]);
                }
            }
            page.write(0, &frame[..frame.len().min(PAGE_BYTES)]);
            world.memory.unmap(request.grant);
            self.spoil(&mut response);
            // As many responses as requests: there is room.
            let _ = connection.rx.put(&response.encode());
            delivered += 1;
            if response.flags & RX_MORE_DATA == 0 {
                self.waiting.pop_front();
            }
        }
        if delivered > 0 {
            let wanted = connection.rx.publish() == Notify::Wanted;
            if self.has(&VifFault::ProducerTooFar) {
                let page = connection.rx.page();
                page.store(RSP_PROD, page.load(RSP_PROD).wrapping_add(300));
            }
            self.scribble(connection);
            if wanted {
                world.notify_guest(connection.port);
            }
        }
    }

    /// Applies a fault to a response.
    fn spoil(&mut self, response: &mut RxResponse) {
        for fault in &self.vif.faults {
            match fault {
                VifFault::WrongId => response.id ^= 0x100,
                VifFault::BadOffset => response.offset = 4090,
                VifFault::Extra => response.flags |= RX_EXTRA_INFO,
                VifFault::Errors => response.status = STATUS_ERROR,
                VifFault::Parts if response.id.is_multiple_of(2) => response.flags |= RX_MORE_DATA,
                _ => {}
            }
        }
    }

    /// Overwrites responses and moves their index a little, by a generator that repeats.
    fn scribble(&mut self, connection: &Connection) {
        for fault in &mut self.vif.faults {
            let VifFault::Scribbles(state) = fault else {
                continue;
            };
            let mut next = || {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (*state >> 33) as u32
            };
            for page in [connection.rx.page(), connection.tx.page()] {
                for _ in 0..next() % 6 {
                    let at = ENTRIES as u32 + next() % 500 * 4;
                    let value = if next() % 2 == 0 {
                        next()
                    } else {
                        next() % 300
                    };
                    page.store(at as usize, value);
                }
                let moved = (next() % 4).wrapping_sub(1);
                if next() % 4 == 0 {
                    page.store(RSP_PROD, page.load(RSP_PROD).wrapping_add(moved));
                }
            }
        }
    }

    pub(super) fn leftovers(&self) -> Vec<String> {
        if matches!(self.state, State::INIT_WAIT | State::INITIALISING) {
            Vec::new()
        } else {
            vec![format!(
                "back end of interface {} in {}",
                self.vif.id, self.state
            )]
        }
    }
}
