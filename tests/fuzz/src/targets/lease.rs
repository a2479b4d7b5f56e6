//! DHCP: the options of a message alone, and a rogue server's messages through the whole client.

use std::rc::Rc;
use std::time::Duration;

use net::{Lease, NetDevice, Stack};

use super::segment::{Card, MAC, Peer, Said};
use super::transfer::Rogue;
use crate::Target;
use crate::input::{Input, piece};

pub(crate) const OPTIONS: Target = Target {
    name: "dhcp-options",
    about: "a DHCP message's options, and the fields they overflow into",
    longest: 1500,
    heap_mib: 4,
    words: &[b"\x63\x82\x53\x63", b"/boot/menu.lst", b"(hd0,0)"],
    seeds: || {
        vec![
            message(&options()),
            message(&[52, 1, 3, 255]),
            reply(&[150, 8, 10, 0, 0, 1, 10, 0, 0, 2]),
        ]
    },
    run: read_options,
};

pub(crate) const DHCP: Target = Target {
    name: "dhcp",
    about: "what a rogue DHCP and TFTP server sends, through the whole client: lease, menu's path, file",
    longest: 1024,
    heap_mib: 16,
    words: &[b"/menu.lst", b"\x63\x82\x53\x63"],
    seeds: dhcp_seeds,
    run: obtain,
};

/// Bytes of a message before its options.
const FIXED: usize = 240;

/// An answer without type and lease, but with these options.
fn reply(options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; FIXED];
    message[..4].copy_from_slice(&[2, 1, 6, 0]);
    message[16..20].copy_from_slice(&[10, 0, 0, 77]);
    message[28..34].copy_from_slice(&MAC);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend_from_slice(options);
    message
}

/// An offer, up to its own options.
fn message(options: &[u8]) -> Vec<u8> {
    let mut all = vec![53, 1, 2, 54, 4, 10, 0, 0, 1, 1, 4, 255, 255, 255, 0];
    all.extend_from_slice(&[51, 4, 0, 0, 14, 16]);
    all.extend_from_slice(options);
    reply(&all)
}

/// Options as a set-up for boots has them.
fn options() -> Vec<u8> {
    let mut options = vec![3, 4, 10, 0, 0, 254, 150, 9];
    options.extend_from_slice(b"/menu.lst");
    options.extend_from_slice(&[66, 8]);
    options.extend_from_slice(b"10.0.0.9");
    options.extend_from_slice(&[12, 5]);
    options.extend_from_slice(b"guest");
    options.push(255);
    options
}

fn look(lease: &Lease) {
    assert!(lease.prefix <= 32);
    if let Some(place) = lease.menu() {
        assert!(!place.path.is_empty(), "an empty path");
    }
    let _ = (lease.server(), lease.warning());
}

fn read_options(input: &[u8]) {
    if let Ok(lease) = Lease::parse(input) {
        look(&lease);
    }
    // The fixed part is nothing to guess at.
    if let Ok(lease) = Lease::parse(&reply(input)) {
        look(&lease);
    }
}

fn dhcp_seeds() -> Vec<Vec<u8>> {
    // Two answers as a good server gives them; then a file of one block.
    let good = [&[1, 0][..], &piece(&options())].concat();
    let file = [vec![1, 0, 0], piece(b"title x\n")].concat();
    let raw = [&[1, 1][..], &piece(&message(&options()))].concat();
    vec![
        [&good[..], &good, &file].concat(),
        [&raw[..], &good, &file, &good, &good].concat(),
        vec![0; 4],
    ]
}

/// A DHCP server that says what the input says; it knows the client's transaction number, as anybody on its wire does.
struct Server {
    script: Vec<u8>,
    used: usize,
    tftp: Option<Rogue>,
}

impl Server {
    fn answer(&mut self, asked: &[u8]) -> Vec<Said> {
        let mut script = Input::new(self.script.get(self.used..).unwrap_or_default());
        let before = self.script.len().saturating_sub(self.used);
        let mut said = Vec::new();
        for _ in 0..script.u8() % 4 {
            let flags = script.u8();
            let text = script.piece();
            // Discover is answered by an offer, a request by an acknowledgement.
            let kind = if asked.get(242) == Some(&1) { 2 } else { 5 };
            let mut datagram = match flags & 3 {
                0 => message(text),
                1 => text.to_vec(),
                2 => reply(text),
                _ => [message(&[]), text.to_vec()].concat(),
            };
            if flags & 4 == 0
                && let (Some(to), Some(number)) = (datagram.get_mut(4..8), asked.get(4..8))
            {
                to.copy_from_slice(number);
            }
            if flags & 3 == 0 && flags & 8 == 0 {
                datagram[FIXED + 2] = kind;
            }
            let spoiled = (flags & 0x80 != 0).then(|| (usize::from(script.u8()), script.u8()));
            said.push(Said {
                after: Duration::from_millis(u64::from(flags >> 4 & 7) * 300),
                from: 67,
                to: 68,
                datagram,
                pieces: 0,
                spoiled,
            });
        }
        self.used += before - script.all().len();
        said
    }
}

impl Peer for Server {
    fn hear(&mut self, from: u16, to: u16, datagram: &[u8]) -> Vec<Said> {
        if to == 67 {
            return self.answer(datagram);
        }
        let rest = self.script.get(self.used..).unwrap_or_default();
        let tftp = self.tftp.get_or_insert_with(|| Rogue::new(rest));
        tftp.hear(from, to, datagram)
    }
}

fn obtain(input: &[u8]) {
    let card = Rc::new(Card::new(Box::new(Server {
        script: input.to_vec(),
        used: 0,
        tftp: None,
    })));
    let Ok(mut stack) = Stack::new(card.clone()) else {
        return;
    };
    let begun = card.now();
    let deadline = begun + Duration::from_secs(30);
    let lease = stack.obtain_lease(deadline).cloned();
    let took = card.now() - begun;
    assert!(took < Duration::from_secs(31), "a lease took {took:?}");
    if let Ok(lease) = lease {
        look(&lease);
        if let (Some(server), Some(place)) = (lease.server(), lease.menu()) {
            let deadline = card.now() + Duration::from_secs(10);
            if let Ok(mut file) = stack.open(server, &place.path, deadline) {
                let mut out = vec![0; usize::try_from(file.len().min(1 << 16)).unwrap_or_default()];
                let _ = stack.read(&mut file, 0, &mut out);
            }
        }
        // The lease is kept for as long as the menu waits.
        for _ in 0..20 {
            card.pass(Duration::from_secs(300));
            let _ = stack.poll();
            let _ = stack.wake_at();
        }
    }
    let took = card.now() - begun;
    assert!(
        took < Duration::from_secs(3 * 3600),
        "all of it took {took:?}"
    );
}
