//! A network for tests on the host: a DHCP and TFTP server ([`Server`]) behind a wire that loses, doubles and
//! reorders frames by a generator that repeats ([`Lan`]), and an interface to it ([`Card`]).
//!
//! Time is a number that moves when somebody waits, so that a limit of ten seconds costs nothing.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "used in tests only, where a panic is a failure that shows"
)]

mod server;
mod tftp;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::time::Duration;

pub use server::{ADDRESS, Dhcp, Server, Settings, Tftp};

use crate::device::NetDevice;
use crate::error::NetError;

/// A generator of numbers that repeats for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// The next number, 32 bits.
    pub fn roll(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// Whether something that happens in `percent` of cases happens now.
    pub fn happens(&mut self, percent: u32) -> bool {
        self.roll() % 100 < percent
    }
}

/// What the wire does to frames, in percent of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Lost.
    pub loss: u32,
    /// Delivered twice.
    pub duplicate: u32,
    /// Delivered after later ones.
    pub reorder: u32,
    /// With some bytes changed.
    pub mutate: u32,
}

/// A wire with a server at its other end.
pub struct Lan {
    server: Server,
    faults: Faults,
    dice: Dice,
    latency: Duration,
    /// Bytes of an IP packet that a router on the way to the client lets through, and the number of the next packet.
    narrow: Option<(usize, u16)>,
    to_server: Vec<(Duration, Vec<u8>)>,
    to_client: Vec<(Duration, Vec<u8>)>,
    /// Frames put there by a test.
    injected: VecDeque<Vec<u8>>,
    /// Frames that the client has sent.
    pub sent: u64,
}

impl Lan {
    /// A wire to `server`.
    #[must_use]
    pub fn new(server: Server, faults: Faults, seed: u64) -> Self {
        Self {
            server,
            faults,
            dice: Dice::new(seed),
            latency: Duration::from_micros(100),
            narrow: None,
            to_server: Vec::new(),
            to_client: Vec::new(),
            injected: VecDeque::new(),
            sent: 0,
        }
    }

    /// The server.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Changes the faults.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// How long a frame takes each way.
    pub fn set_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// Puts a router between server and client that breaks packets of more than `bytes` into fragments.
    pub fn narrow_to(&mut self, bytes: usize) {
        self.narrow = Some((bytes, 1));
    }

    /// Gives the client a frame from nowhere.
    pub fn inject(&mut self, frame: Vec<u8>) {
        self.injected.push_back(frame);
    }

    /// Sends a frame to the server.
    pub fn send(&mut self, now: Duration, frame: &[u8]) {
        self.sent += 1;
        let due = self.when(now);
        for at in due {
            self.to_server.push((at, frame.to_vec()));
        }
        self.run(now);
    }

    /// When a frame arrives: never, once or twice.
    fn when(&mut self, now: Duration) -> Vec<Duration> {
        let mut due = Vec::new();
        if self.dice.happens(self.faults.loss) {
            return due;
        }
        let late = if self.dice.happens(self.faults.reorder) {
            self.latency * (1 + self.dice.roll() % 4)
        } else {
            Duration::ZERO
        };
        due.push(now + self.latency + late);
        if self.dice.happens(self.faults.duplicate) {
            due.push(now + self.latency * (1 + self.dice.roll() % 3));
        }
        due
    }

    /// Moves what is due.
    pub fn run(&mut self, now: Duration) {
        while let Some(frame) = take_due(&mut self.to_server, now) {
            self.server.take(frame);
        }
        for mut frame in self.server.run(now) {
            if self.dice.happens(self.faults.mutate) {
                let before = sum_of_words(&frame);
                for _ in 0..=self.dice.roll() % 4 {
                    let at = self.dice.roll() as usize % frame.len();
                    frame[at] = self.dice.roll() as u8;
                }
                // Changes that cancel out are for the Ethernet checksum, which is not in a frame, to find.
                if sum_of_words(&frame) == before
                    && let Some(last) = frame.last_mut()
                {
                    *last = last.wrapping_add(1);
                }
                if self.dice.happens(20) {
                    frame.truncate(self.dice.roll() as usize % frame.len());
                }
            }
            for frame in self.fragments(frame) {
                for at in self.when(now) {
                    self.to_client.push((at, frame.clone()));
                }
            }
        }
    }

    /// What a narrow router makes of a frame (RFC 791, section 3.2).
    fn fragments(&mut self, frame: Vec<u8>) -> Vec<Vec<u8>> {
        const ETHERNET: usize = 14;
        const HEADER: usize = 20;
        let Some((bytes, number)) = &mut self.narrow else {
            return alloc::vec![frame];
        };
        if frame.len() <= ETHERNET + *bytes || frame[12..14] != [8, 0] {
            return alloc::vec![frame];
        }
        *number = number.wrapping_add(1);
        let (head, payload) = frame.split_at(ETHERNET + HEADER);
        let room = (*bytes - HEADER) / 8 * 8;
        let mut parts = Vec::new();
        for (index, chunk) in payload.chunks(room).enumerate() {
            let mut part = [head, chunk].concat();
            let at = index * room;
            let more = at + chunk.len() < payload.len();
            let len = (HEADER + chunk.len()) as u16;
            let place = (at / 8) as u16 | u16::from(more) << 13;
            part[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&len.to_be_bytes());
            part[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&number.to_be_bytes());
            part[ETHERNET + 6..ETHERNET + 8].copy_from_slice(&place.to_be_bytes());
            part[ETHERNET + 10..ETHERNET + 12].fill(0);
            let words = part[ETHERNET..ETHERNET + HEADER].chunks(2);
            let sum: u32 = words
                .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
                .sum();
            let folded = (sum & 0xFFFF) + (sum >> 16);
            let folded = (folded & 0xFFFF) + (folded >> 16);
            part[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
            parts.push(part);
        }
        parts
    }

    /// The next frame for the client.
    pub fn receive(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.run(now);
        self.injected
            .pop_front()
            .or_else(|| take_due(&mut self.to_client, now))
    }

    /// When so many frames will be there for the client, if they are on their way.
    pub fn gathered_at(&self, frames: u16) -> Option<Duration> {
        let mut due: Vec<Duration> = self.to_client.iter().map(|(at, _)| *at).collect();
        due.sort();
        due.get(usize::from(frames).saturating_sub(1)).copied()
    }

    /// When something happens next.
    pub fn wake_at(&mut self, now: Duration) -> Option<Duration> {
        if !self.injected.is_empty() {
            return Some(now);
        }
        let wire = self.to_server.iter().chain(&self.to_client);
        wire.map(|(at, _)| *at)
            .chain(self.server.wake_at(now))
            .min()
    }
}

/// What UDP's checksum is made of, for the part of a frame that it covers.
fn sum_of_words(frame: &[u8]) -> u32 {
    let words = frame.get(34..).unwrap_or_default().chunks(2);
    let sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0)))
        .sum();
    sum % 0xFFFF
}

/// Takes the frame that is due first.
fn take_due(queue: &mut Vec<(Duration, Vec<u8>)>, now: Duration) -> Option<Vec<u8>> {
    let first = (0..queue.len()).min_by_key(|index| queue[*index].0)?;
    (queue[first].0 <= now).then(|| queue.remove(first).1)
}

/// An interface to a [`Lan`], with a clock that moves when somebody waits.
pub struct Card {
    /// The wire.
    pub lan: RefCell<Lan>,
    now: Cell<Duration>,
    /// How often somebody has slept.
    pub waits: Cell<u64>,
}

impl Card {
    /// An interface.
    #[must_use]
    pub fn new(lan: Lan) -> Self {
        Self {
            lan: RefCell::new(lan),
            now: Cell::new(Duration::from_secs(1000)),
            waits: Cell::new(0),
        }
    }

    /// Lets time pass.
    pub fn pass(&self, wait: Duration) {
        self.now.set(self.now.get() + wait);
    }
}

impl NetDevice for Card {
    fn mac(&self) -> [u8; 6] {
        [0x00, 0x16, 0x3E, 1, 2, 3]
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn send(&self, frame: &[u8]) -> Result<(), NetError> {
        self.lan.borrow_mut().send(self.now.get(), frame);
        Ok(())
    }

    fn receive(&self, frame: &mut [u8]) -> Result<Option<usize>, NetError> {
        let Some(came) = self.lan.borrow_mut().receive(self.now.get()) else {
            return Ok(None);
        };
        if came.len() > frame.len() {
            return Ok(None);
        }
        frame[..came.len()].copy_from_slice(&came);
        Ok(Some(came.len()))
    }

    fn now(&self) -> Duration {
        // A loop that never waits comes to an end too.
        self.pass(Duration::from_nanos(200));
        self.now.get()
    }

    fn wait(&self, frames: u16, until: Duration) {
        self.waits.set(self.waits.get() + 1);
        let now = self.now.get();
        let next = self.lan.borrow_mut().wake_at(now);
        let next = self.lan.borrow_mut().gathered_at(frames).or(next);
        let wake = next.map_or(until, |next| next.min(until));
        self.now.set(wake.max(now + Duration::from_nanos(200)));
        self.lan.borrow_mut().run(self.now.get());
    }
}
