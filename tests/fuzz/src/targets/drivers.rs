//! The drivers against hostile domains: xenstored, the console daemon, block and network back ends.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use arch::abi::console::{IN_BYTES, IN_CONS, IN_PROD, IN_RING, OUT_CONS, OUT_PROD};
use arch::abi::xs_wire::{
    CONNECTION, HEADER_BYTES, Header, Kind, REQ_CONS, REQ_PROD, REQ_RING, RING_BYTES, RSP_CONS,
    RSP_PROD, RSP_RING,
};
use arch::fake::FakeXen;
use arch::fake::blkback::FakeDisk;
use arch::fake::netback::{FakeVif, Segment};
use arch::{Hypervisor, SharedPage};
use bootloader::blkfront::{Blkfront, Settings};
use bootloader::console::Console;
use bootloader::netfront::Netfront;
use bootloader::xenstore::Store;
use fs::BlockDevice;
use net::Stack;
use net::fake::{ADDRESS, Dhcp, Faults, Lan, Server};

use super::hostile::{BackEnd, Daemon, Script};
use crate::Target;
use crate::input::piece;

/// How long one input may take on the fake clock.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);

pub(crate) const XENSTORE: Target = Target {
    name: "xenstore",
    about: "replies, events and indices of a hostile xenstored",
    longest: 1024,
    heap_mib: 8,
    words: &[b"ENOENT\0", b"EAGAIN\0", b"E2BIG\0", b"OK\0", b"7\0"],
    seeds: || {
        let reply = |text: &[u8]| [&[0, 0][..], &piece(text)].concat();
        let event = [&[0, 1, 15, 0, 0, 0][..], &piece(b"a\0b\0")].concat();
        vec![
            [
                reply(b"5"),
                reply(b"OK\0"),
                reply(b"a\0b\0"),
                reply(b"7\0"),
                reply(b"OK\0"),
            ]
            .concat(),
            [
                event,
                reply(b"5"),
                vec![0, 1, 16, 0, 0, 0],
                piece(b"ENOENT\0"),
            ]
            .concat(),
        ]
    },
    run: xenstore,
};

pub(crate) const CONSOLE: Target = Target {
    name: "console",
    about: "keys and indices of a hostile console daemon",
    longest: 512,
    heap_mib: 4,
    words: &[],
    seeds: || {
        vec![
            vec![3, 0, 5, b'h', b'e', b'l', b'l', b'o', 1, 5],
            vec![2, 0, 0, 0, 0x80],
        ]
    },
    run: console,
};

pub(crate) const BLKFRONT: Target = Target {
    name: "blkfront",
    about: "ring, pages and keys of a hostile block back end",
    longest: 1024,
    heap_mib: 16,
    words: WORDS,
    seeds: || strikes(80),
    run: blkfront,
};

pub(crate) const NETFRONT: Target = Target {
    name: "netfront",
    about: "rings, pages and keys of a hostile network back end, below the whole network client",
    longest: 1024,
    heap_mib: 16,
    words: WORDS,
    seeds: || strikes(120),
    run: netfront,
};

const WORDS: &[&[u8]] = &[
    b"\x04\x00\x05",
    b"\x04\x00\x06",
    b"18446744073709551615",
    b"4096",
];

/// Scripts for [`BackEnd`]: nothing for some while, then one thing.
fn strikes(quiet: usize) -> Vec<Vec<u8>> {
    let deeds: [&[u8]; 6] = [
        &[1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        &[1, 0, 1, 0, 0, 7, 0, 0, 0],
        &[1, 1, 0, 64, 0, 8, 0xff, 1, 2, 3, 4, 5, 6, 7],
        &[1, 2, 0, 1],
        &[1, 4, 0, 5],
        &[1, 5, 1, 1, b'0'],
    ];
    let mut scripts = vec![Vec::new()];
    for deed in deeds {
        for before in [0, 20, quiet] {
            scripts.push([vec![0; before], deed.to_vec(), vec![0; 4], deed.to_vec()].concat());
        }
    }
    scripts
}

/// Plays xenstored: takes requests, and answers as the script says. With the script over, nothing is answered.
fn xenstored(mut script: Script) -> impl FnMut(&SharedPage) -> bool {
    let mut asked = Vec::new();
    let mut replies = VecDeque::new();
    move |page| {
        let mut consumed = page.load(REQ_CONS);
        let waiting = page.load(REQ_PROD).wrapping_sub(consumed);
        if waiting > RING_BYTES {
            // Its own mischief; the guest has to notice by itself.
            return false;
        }
        for _ in 0..waiting {
            let at = (consumed % RING_BYTES) as usize;
            asked.push(page.load_byte(REQ_RING + at));
            consumed = consumed.wrapping_add(1);
        }
        page.store(REQ_CONS, consumed);
        while let Some((header, rest)) = asked.split_first_chunk::<HEADER_BYTES>() {
            let header = Header::decode(header);
            if rest.len() < header.len as usize {
                break;
            }
            asked.drain(..HEADER_BYTES + header.len as usize);
            answer(&mut script, header, &mut replies, page);
        }
        let mut produced = page.load(RSP_PROD);
        let held = produced.wrapping_sub(page.load(RSP_CONS));
        let room = RING_BYTES.saturating_sub(held) as usize;
        let moved = room.min(replies.len());
        for byte in replies.drain(..moved) {
            page.store_byte(RSP_RING + (produced % RING_BYTES) as usize, byte);
            produced = produced.wrapping_add(1);
        }
        page.store(RSP_PROD, produced);
        moved + waiting as usize > 0
    }
}

fn answer(script: &mut Script, asked: Header, replies: &mut VecDeque<u8>, page: &SharedPage) {
    if script.is_over() {
        return;
    }
    let mischief = script.byte();
    if mischief & 1 != 0 {
        let step = script.byte().cast_signed();
        page.store(
            RSP_PROD,
            page.load(RSP_PROD).wrapping_add_signed(step.into()),
        );
    }
    if mischief & 2 != 0 {
        let at = [CONNECTION, RSP_PROD, REQ_CONS][usize::from(mischief >> 6) % 3];
        page.store(at, script.word());
    }
    // What is no answer comes before it; a hundred events at most.
    for _ in 0..100 {
        if script.is_over() {
            return;
        }
        let flags = script.byte();
        let kind = if flags & 1 == 0 {
            asked.kind
        } else {
            Kind(script.word())
        };
        let request = if flags & 2 == 0 {
            asked.request
        } else {
            script.word()
        };
        let payload = script.next(|input| input.piece().to_vec());
        let len = if flags & 4 == 0 {
            payload.len() as u32
        } else {
            script.word()
        };
        let header = Header {
            kind,
            request,
            transaction: asked.transaction,
            len,
        };
        replies.extend(header.encode());
        replies.extend(payload);
        if kind != Kind::WATCH_EVENT {
            return;
        }
    }
}

fn xenstore(input: &[u8]) {
    let xen = FakeXen::new();
    let (page, port) = xen.store_ring();
    let daemon = Daemon::new(&xen, &page, Box::new(xenstored(Script::new(input))));
    let hv: Rc<dyn Hypervisor> = daemon;
    let begun = hv.now();
    let store = Store::new(hv.clone(), page, port);
    for _ in 0..3 {
        let _ = store.read_number("domid");
        let _ = store.write("data/a", "1");
        if let Ok(names) = store.directory("device/vbd") {
            assert!(names.len() < 1 << 20);
        }
        let _ = store.transaction(|store, transaction| {
            store.write_in(transaction, "data/b", "2")?;
            store.read_in(transaction, "data/a")
        });
        let _ = store.find_text("data/a");
        let _ = store.remove("data");
    }
    let _ = store.quiesce(hv.now().after(Duration::from_secs(1)));
    let took = hv.now().since(begun);
    assert!(took < PATIENCE, "it took {took:?}");
}

fn console(input: &[u8]) {
    let xen = FakeXen::new();
    let (page, port) = xen.console_ring();
    let mut script = Script::new(input);
    let act = move |page: &SharedPage| {
        if script.is_over() {
            return false;
        }
        match script.byte() % 5 {
            0 => page.store(OUT_CONS, page.load(OUT_PROD)),
            1 => {
                let step = script.byte().cast_signed();
                page.store(IN_PROD, page.load(IN_PROD).wrapping_add_signed(step.into()));
            }
            2 => {
                let (which, value) = script.next(|input| (input.u8(), input.u32()));
                let at = [OUT_CONS, IN_PROD, IN_CONS, OUT_PROD][usize::from(which) % 4];
                page.store(at, value);
            }
            3 => {
                let (at, keys) = script.next(|input| {
                    let (at, len) = (input.u8(), usize::from(input.u8()));
                    (u32::from(at), input.take(len).to_vec())
                });
                for (number, key) in (0..).zip(keys) {
                    let at = page.load(IN_PROD).wrapping_add(at + number) % IN_BYTES;
                    page.store_byte(IN_RING + at as usize, key);
                }
            }
            _ => return true,
        }
        true
    };
    let daemon = Daemon::new(&xen, &page, Box::new(act));
    let hv: Rc<dyn Hypervisor> = daemon;
    let begun = hv.now();
    let console = Console::new(hv.clone(), page, port);
    let mut keys = [0; 64];
    for round in 0..12_u64 {
        console.write(&[b'.'; 700]);
        let count = console.read(&mut keys);
        assert!(count <= keys.len());
        let _ = console.read_byte(hv.now().after(Duration::from_millis(100 * round)));
    }
    let _ = console.drain(hv.now().after(Duration::from_secs(1)));
    let _ = (console.dropped(), console.typed());
    let took = hv.now().since(begun);
    assert!(took < PATIENCE, "it took {took:?}");
}

/// What no back end can make a guest do: free a page that it has granted, or end a grant twice.
fn check_hygiene(xen: &FakeXen) {
    for line in xen.leftovers() {
        let ours = ["was freed", "was revoked", "not ours to close"];
        assert!(!ours.iter().any(|words| line.contains(words)), "{line}");
    }
}

fn blkfront(input: &[u8]) {
    const XVDA: u64 = 51712;
    let xen = FakeXen::new();
    let stored = Rc::new(std::cell::RefCell::new(vec![7; 1024 * 512]));
    xen.add_disk(FakeDisk::stored(XVDA, &stored).flushes().indirect(32));
    let keys = &[
        "sectors",
        "sector-size",
        "info",
        "feature-flush-cache",
        "feature-max-indirect-segments",
        "mode",
    ];
    let back_end = BackEnd::new(&xen, "/local/domain/0/backend/vbd/5/51712", keys, input);
    let (page, port) = xen.store_ring();
    let hv: Rc<dyn Hypervisor> = back_end.clone();
    let begun = hv.now();
    let store = Rc::new(Store::new(hv.clone(), page, port));
    if let Ok(disk) = Blkfront::connect(&store, XVDA, "xvda", &Settings::default()) {
        let shape = disk.geometry();
        assert!(shape.sector_bytes.is_power_of_two() && (512..=4096).contains(&shape.sector_bytes));
        let mut out = vec![0; 65536];
        for part in 0..4_u64 {
            disk.prefetch((part + 1) * 65536, 65536);
            // Whatever it says.
            let _ = disk.read(part * 65536, &mut out);
        }
        let _ = disk.write(8192, &out[..4096]);
        let _ = disk.read(8192, &mut out[..4096]);
        back_end.calm();
        let _ = disk.close();
        assert!(disk.close().is_empty(), "closed twice");
    }
    let took = hv.now().since(begun);
    assert!(took < PATIENCE, "it took {took:?}");
    check_hygiene(&xen);
}

/// A wire with an honest server.
struct Wire(Lan);

impl Segment for Wire {
    fn send(&mut self, now: Duration, frame: &[u8]) {
        self.0.send(now, frame);
    }

    fn receive(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.0.receive(now)
    }

    fn wake_at(&mut self, now: Duration) -> Option<Duration> {
        self.0.wake_at(now)
    }
}

fn netfront(input: &[u8]) {
    let mut settings = net::fake::Settings {
        dhcp: Some(Dhcp::default()),
        ..net::fake::Settings::default()
    };
    let file = vec![9; 20_000];
    settings.files.insert(b"/file".to_vec(), file.clone());
    let lan = Lan::new(Server::new(settings), Faults::default(), 1);
    let xen = FakeXen::new();
    xen.add_vif(FakeVif::new(0, Box::new(Wire(lan))));
    let keys = &[
        "feature-rx-copy",
        "feature-split-event-channels",
        "mac",
        "mtu",
        "feature-gso-tcpv4",
    ];
    let back_end = BackEnd::new(&xen, "/local/domain/0/backend/vif/5/0", keys, input);
    let (page, port) = xen.store_ring();
    let hv: Rc<dyn Hypervisor> = back_end.clone();
    let begun = hv.now();
    let store = Rc::new(Store::new(hv.clone(), page, port));
    if let Ok(device) = Netfront::connect(&store, 0, "nd0", Duration::from_secs(10)) {
        let device = Rc::new(device);
        if let Ok(mut stack) = Stack::new(device.clone()) {
            fetch(&mut stack);
        }
        back_end.calm();
        let _ = device.close();
        assert!(device.close().is_empty(), "closed twice");
    }
    let took = hv.now().since(begun);
    assert!(took < PATIENCE, "it took {took:?}");
    check_hygiene(&xen);
}

fn fetch(stack: &mut Stack) {
    let device = stack.device().clone();
    let deadline = device.now() + Duration::from_secs(10);
    if stack.obtain_lease(deadline).is_err() {
        return;
    }
    let deadline = device.now() + Duration::from_secs(5);
    if let Ok(mut remote) = stack.open(ADDRESS, b"/file", deadline) {
        let mut out = vec![0; usize::try_from(remote.len().min(1 << 16)).unwrap_or_default()];
        let _ = stack.read(&mut remote, 0, &mut out);
    }
}
