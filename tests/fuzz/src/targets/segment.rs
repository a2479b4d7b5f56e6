//! A network interface whose other end is an input: time is a number that moves when somebody waits, and every frame
//! the client sends lets the [`Peer`] say something.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use net::{NetDevice, NetError};

/// The client's address on Ethernet.
pub(crate) const MAC: [u8; 6] = [0x00, 0x16, 0x3e, 1, 2, 3];
/// The other end's.
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The other end's on IP.
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The client's.
pub(crate) const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
/// Frames that the client may send before something must be wrong.
const SENT_MAX: u64 = 50_000;

/// What the other end does.
pub(crate) trait Peer {
    /// The client has sent this UDP datagram from one of its ports to one of the peer's.
    fn hear(&mut self, from: u16, to: u16, datagram: &[u8]) -> Vec<Said>;
}

/// A datagram to the client.
pub(crate) struct Said {
    /// So long after it was asked for.
    pub(crate) after: Duration,
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) datagram: Vec<u8>,
    /// In pieces of so many bytes, if they are not 0.
    pub(crate) pieces: usize,
    /// Bytes of the first frame to change: where, and to what.
    pub(crate) spoiled: Option<(usize, u8)>,
}

/// An interface to a [`Peer`].
pub(crate) struct Card {
    peer: RefCell<Box<dyn Peer>>,
    now: Cell<Duration>,
    coming: RefCell<VecDeque<(Duration, Vec<u8>)>>,
    sent: Cell<u64>,
}

impl Card {
    pub(crate) fn new(peer: Box<dyn Peer>) -> Self {
        Self {
            peer: RefCell::new(peer),
            now: Cell::new(Duration::from_secs(1000)),
            coming: RefCell::default(),
            sent: Cell::new(0),
        }
    }

    pub(crate) fn pass(&self, wait: Duration) {
        self.now.set(self.now.get() + wait);
    }

    fn send_arp(&self, request: &[u8]) {
        let mut reply = vec![0, 1, 8, 0, 6, 4, 0, 2];
        reply.extend_from_slice(&PEER_MAC);
        reply.extend_from_slice(request.get(24..28).unwrap_or(&[0; 4]));
        reply.extend_from_slice(&MAC);
        reply.extend_from_slice(request.get(14..18).unwrap_or(&[0; 4]));
        let frame = ethernet(0x0806, &reply);
        self.come(self.now.get() + Duration::from_micros(50), frame);
    }

    fn come(&self, due: Duration, frame: Vec<u8>) {
        let mut coming = self.coming.borrow_mut();
        if coming.len() < 4096 {
            let at = coming.partition_point(|(other, _)| *other <= due);
            coming.insert(at, (due, frame));
        }
    }

    fn say(&self, said: Said) {
        let mut frames = udp(&said);
        if let (Some((at, value)), Some(first)) = (said.spoiled, frames.first_mut()) {
            let at = at % first.len();
            first[at] = value;
        }
        for frame in frames {
            self.come(self.now.get() + said.after, frame);
        }
    }
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = MAC.to_vec();
    frame.extend_from_slice(&PEER_MAC);
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// An IPv4 packet with a right checksum, to everybody: the client may have no address yet.
fn ip(payload: &[u8], id: u16, offset: usize, more: u16) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&len.to_be_bytes());
    header.extend_from_slice(&id.to_be_bytes());
    header.extend_from_slice(&(more << 13 | (offset / 8) as u16).to_be_bytes());
    header.extend_from_slice(&[64, 17, 0, 0]);
    header.extend_from_slice(&PEER.octets());
    header.extend_from_slice(&OWN.octets());
    let sum: u32 = header
        .chunks(2)
        .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend_from_slice(payload);
    ethernet(0x0800, &header)
}

/// The frames of a datagram, without a checksum of UDP's.
fn udp(said: &Said) -> Vec<Vec<u8>> {
    let len = (8 + said.datagram.len()) as u16;
    let mut packet = Vec::new();
    for field in [said.from, said.to, len, 0] {
        packet.extend_from_slice(&field.to_be_bytes());
    }
    packet.extend_from_slice(&said.datagram);
    let most = if said.pieces == 0 { 1480 } else { said.pieces };
    let most = most.div_ceil(8) * 8;
    let id = packet.len() as u16 ^ said.from;
    let count = packet.len().div_ceil(most);
    packet
        .chunks(most)
        .enumerate()
        .map(|(number, part)| ip(part, id, number * most, u16::from(number + 1 < count)))
        .collect()
}

impl NetDevice for Card {
    fn mac(&self) -> [u8; 6] {
        MAC
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn send(&self, frame: &[u8]) -> Result<(), NetError> {
        self.sent.set(self.sent.get() + 1);
        assert!(self.sent.get() < SENT_MAX, "the client sends without end");
        assert!(
            (14..=1514).contains(&frame.len()),
            "a frame of {} bytes",
            frame.len()
        );
        let packet = &frame[14..];
        if frame[12..14] == [8, 6] {
            self.send_arp(packet);
        } else if frame[12..14] == [8, 0] && packet.len() >= 28 && packet[9] == 17 {
            let udp = &packet[usize::from(packet[0] & 15) * 4..];
            let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
            let said = self.peer.borrow_mut().hear(port(0), port(2), &udp[8..]);
            for one in said {
                self.say(one);
            }
        }
        Ok(())
    }

    fn receive(&self, frame: &mut [u8]) -> Result<Option<usize>, NetError> {
        let mut coming = self.coming.borrow_mut();
        match coming.front() {
            Some((due, _)) if *due <= self.now.get() => {}
            _ => return Ok(None),
        }
        let (_, came) = coming
            .pop_front()
            .expect("OK to unwrap: it was just looked at");
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

    fn wait(&self, _frames: u16, until: Duration) {
        let next = self.coming.borrow().front().map(|(due, _)| *due);
        let wake = next.map_or(until, |next| next.min(until));
        self.now
            .set(wake.max(self.now.get() + Duration::from_nanos(200)));
    }
}
