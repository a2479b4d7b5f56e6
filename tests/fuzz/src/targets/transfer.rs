//! TFTP: packets of any kind into one transfer's state machine, and a rogue server behind the whole stack.

use std::rc::Rc;
use std::time::Duration;

use net::tftp::{Heard, Transfer, Wishes};
use net::{Fixed, NetDevice, Stack};

use super::segment::{Card, OWN, PEER, Peer, Said};
use crate::Target;
use crate::input::{Input, piece};

const WORDS: &[&[u8]] = &[
    b"blksize\0",
    b"tsize\0",
    b"windowsize\0",
    b"timeout\0",
    b"1468\0",
    b"512\0",
    b"64\0",
    b"0\0",
];

pub(crate) const TFTP: Target = Target {
    name: "tftp",
    about: "packets, ports and time into the TFTP client's state machine",
    longest: 2048,
    heap_mib: 4,
    words: WORDS,
    seeds: || {
        let agreed = [
            vec![1],
            piece(b"blksize\x001468\0tsize\x00100\0windowsize\x0064\0"),
        ]
        .concat();
        let block = [vec![0, 0], 1468_u16.to_le_bytes().to_vec()].concat();
        let last = vec![0, 0, 100, 0];
        vec![
            [&agreed[..], &block, &block, &last].concat(),
            [&block[..], &[4, 200, 0], &last].concat(),
            [vec![2, 8], piece(b"no options")].concat(),
        ]
    },
    run: packets,
};

pub(crate) const DOWNLOAD: Target = Target {
    name: "download",
    about: "a rogue TFTP server's datagrams, fragments among them, through IP and UDP into a file that is read",
    longest: 2048,
    heap_mib: 16,
    words: WORDS,
    seeds: || {
        let agreed = [vec![1, 0, 1], piece(b"blksize\x001468\0tsize\x001568\0")].concat();
        let block = vec![1, 0, 0, 0, 188, 5];
        let last = vec![1, 0, 0, 0, 100, 0];
        let pieces = [1, 0x10, 0, 0, 188, 5, 8];
        vec![
            [&agreed[..], &block, &last].concat(),
            [&pieces[..], &last].concat(),
            [vec![1, 0, 2, 1], piece(b"not here")].concat(),
        ]
    },
    run: download,
};

/// One packet as a script describes it, for a client that waits for block `next`.
fn packet(script: &mut Input<'_>, kind: u8, next: u16) -> Vec<u8> {
    match kind {
        0 => {
            let block = next.wrapping_add_signed(i16::from(script.u8().cast_signed()));
            let len = usize::from(script.u16()) % 1600;
            let mut packet = vec![0, 3];
            packet.extend_from_slice(&block.to_be_bytes());
            packet.resize(4 + len, block as u8);
            packet
        }
        1 => [&[0, 6][..], script.piece()].concat(),
        2 => [&[0, 5, 0, script.u8()][..], script.piece()].concat(),
        _ => script.piece().to_vec(),
    }
}

/// The number after the block that `datagram` acknowledges.
fn after(datagram: &[u8]) -> Option<u16> {
    match datagram {
        [0, 4, high, low] => Some(u16::from_be_bytes([*high, *low]).wrapping_add(1)),
        [0, 1, ..] => Some(1),
        _ => None,
    }
}

fn packets(input: &[u8]) {
    let mut script = Input::new(input);
    let mut now = Duration::from_secs(5);
    let wishes = Wishes {
        block: 1468,
        window: 64,
    };
    let mut transfer =
        Transfer::new(PEER, b"/file", wishes, now).expect("OK to unwrap: the path fits a request");
    let (mut heard, mut sent, mut taken) = (0_u64, 0_u64, 0_u64);
    let mut next = 1;
    while !script.is_empty() {
        let kind = script.u8();
        let over = if kind & 7 == 4 {
            now += Duration::from_millis(u64::from(script.u16()) % 12_000);
            transfer.tick(now).is_err()
        } else {
            heard += 1;
            let packet = packet(&mut script, kind & 7, next);
            let port = 2000 + u16::from(kind >> 6);
            match transfer.hear(now, port, &packet) {
                Ok(Heard::Data(bytes)) => {
                    taken += bytes.len() as u64;
                    next = next.wrapping_add(1);
                    false
                }
                Ok(Heard::Nothing) => false,
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    true
                }
            }
        };
        while let Some(out) = transfer.next_out() {
            sent += 1;
            assert!(
                out.bytes.len() <= 512,
                "a datagram of {} bytes",
                out.bytes.len()
            );
            if let Some(number) = after(&out.bytes) {
                next = number;
            }
        }
        assert!(transfer.wake_at() >= Duration::from_secs(5));
        if over {
            break;
        }
        assert_eq!(
            taken,
            transfer.received(),
            "bytes that came and that were given out"
        );
        if let (true, Some(size)) = (transfer.is_done(), transfer.size()) {
            assert_eq!(taken, size, "a file of another size than announced");
        }
    }
    // Nobody can make an amplifier of this client.
    assert!(
        sent <= 3 * (heard + input.len() as u64) + 2,
        "{sent} for {heard}"
    );
}

/// A TFTP server that says what an input says.
pub(crate) struct Rogue {
    script: Vec<u8>,
    used: usize,
    next: u16,
}

impl Rogue {
    pub(crate) fn new(script: &[u8]) -> Self {
        Self {
            script: script.to_vec(),
            used: 0,
            next: 1,
        }
    }
}

impl Peer for Rogue {
    fn hear(&mut self, from: u16, _: u16, datagram: &[u8]) -> Vec<Said> {
        self.next = after(datagram).unwrap_or(self.next);
        let rest = self.script.get(self.used..).unwrap_or_default();
        let mut script = Input::new(rest);
        let mut said = Vec::new();
        for ahead in 0..u16::from(script.u8() % 32) {
            let flags = script.u8();
            let kind = script.u8();
            let datagram = packet(&mut script, kind & 3, self.next.wrapping_add(ahead));
            let pieces = if flags & 0x10 == 0 {
                0
            } else {
                8 * (1 + usize::from(script.u8()))
            };
            let spoiled = (flags & 0x20 != 0).then(|| (usize::from(script.u8()), script.u8()));
            let stranger = u16::from(flags & 0x40 != 0);
            said.push(Said {
                after: Duration::from_millis(u64::from(flags & 15) * 700),
                from: 2000 + stranger,
                to: from.wrapping_add(u16::from(flags >> 7)),
                datagram,
                pieces,
                spoiled,
            });
            if script.is_empty() {
                break;
            }
        }
        let left = script.all().len();
        self.used += rest.len() - left;
        said
    }
}

fn download(input: &[u8]) {
    let card = Rc::new(Card::new(Box::new(Rogue::new(input))));
    let Ok(mut stack) = Stack::new(card.clone()) else {
        return;
    };
    let fixed = Fixed {
        address: OWN,
        prefix: 24,
        gateway: None,
    };
    if stack.configure(fixed).is_err() {
        return;
    }
    stack.keep_at_most(1 << 20);
    let begun = card.now();
    let deadline = begun + Duration::from_secs(10);
    if let Ok(mut file) = stack.open(PEER, b"/file", deadline) {
        let len = usize::try_from(file.len().min(1 << 18)).unwrap_or_default();
        let mut out = vec![0; len];
        // From the middle, from the front again, and at the end.
        for (at, count) in [(len / 2, len / 4), (0, len)] {
            let _ = stack.read(&mut file, at as u64, &mut out[at..at + count]);
        }
        let end = file.len();
        assert!(
            stack.read(&mut file, end, &mut [0]).is_err(),
            "read beyond the end"
        );
    }
    let took = card.now() - begun;
    assert!(
        took < Duration::from_secs(2 * 3600),
        "all of it took {took:?}"
    );
}
