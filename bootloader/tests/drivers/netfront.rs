//! The network front end against the fake back end, with a DHCP and TFTP server behind it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use arch::fake::FakeXen;
use arch::fake::netback::{FakeVif, Segment, Silence, VifFault};
use bootloader::netfront::{ConnectFailure, Netfront};
use bootloader::xenstore::Store;
use net::fake::{ADDRESS, Dhcp, Faults, Lan, Server, Settings};
use net::{NetDevice, NetError, Stack};

use crate::bed::{pattern, store};

const PATIENCE: Duration = Duration::from_secs(10);

/// A wire that a test keeps a hand on.
#[derive(Clone)]
pub(crate) struct Wire(pub(crate) Rc<RefCell<Lan>>);

impl Wire {
    pub(crate) fn new(settings: Settings, faults: Faults, seed: u64) -> Self {
        let lan = Lan::new(Server::new(settings), faults, seed);
        Self(Rc::new(RefCell::new(lan)))
    }
}

impl Segment for Wire {
    fn send(&mut self, now: Duration, frame: &[u8]) {
        self.0.borrow_mut().send(now, frame);
    }

    fn receive(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.0.borrow_mut().receive(now)
    }

    fn wake_at(&mut self, now: Duration) -> Option<Duration> {
        self.0.borrow_mut().wake_at(now)
    }
}

/// A server that gives leases and the file `/file`.
pub(crate) fn settings(file: &[u8]) -> Settings {
    let mut settings = Settings {
        dhcp: Some(Dhcp::default()),
        ..Settings::default()
    };
    settings.files.insert(b"/file".to_vec(), file.to_vec());
    settings
}

struct Guest {
    xen: Rc<FakeXen>,
    store: Rc<Store>,
}

impl Guest {
    fn with(vif: FakeVif) -> Self {
        let xen = FakeXen::new();
        xen.add_vif(vif);
        let store = store(&xen);
        Self { xen, store }
    }

    fn connect(&self) -> Result<Rc<Netfront>, ConnectFailure> {
        Netfront::connect(&self.store, 0, "nd0", PATIENCE).map(Rc::new)
    }

    fn leftovers(&self) -> Vec<String> {
        let deadline = self.xen.hypervisor().now().after(Duration::from_secs(1));
        self.store.quiesce(deadline).unwrap();
        self.xen.leftovers()
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }
}

fn fetch(device: &Rc<Netfront>) -> Result<Vec<u8>, NetError> {
    let mut stack = Stack::new(device.clone())?;
    let soon = device.now() + Duration::from_secs(30);
    stack.obtain_lease(soon)?;
    let soon = device.now() + Duration::from_secs(10);
    let mut remote = stack.open(ADDRESS, b"/file", soon)?;
    let mut out = vec![0; usize::try_from(remote.len()).unwrap().min(1 << 26)];
    stack.read(&mut remote, 0, &mut out)?;
    Ok(out)
}

#[test]
fn a_file_comes_and_nothing_is_left() {
    let file = pattern(3_000_000);
    let wire = Wire::new(settings(&file), Faults::default(), 1);
    let guest = Guest::with(FakeVif::new(0, Box::new(wire)));
    let device = guest.connect().unwrap();
    assert!(fetch(&device).unwrap() == file);
    let counters = device.counters();
    assert!(
        counters.received > 2000 && counters.sent < 100,
        "{counters:?}"
    );
    assert!(device.close().is_empty());
    guest.assert_clean();
    // The next kernel's front end connects as this one did.
    let again = guest.connect().unwrap();
    assert!(fetch(&again).unwrap() == file);
    assert!(again.close().is_empty() && again.close().is_empty());
    assert!(again.send(&[0; 60]).is_err());
    guest.assert_clean();
}

#[test]
fn a_bad_wire_only_costs_time() {
    for seed in 0..4 {
        let file = pattern(300_000);
        let faults = Faults {
            loss: 20,
            duplicate: 10,
            reorder: 10,
            mutate: 0,
        };
        let wire = Wire::new(settings(&file), faults, seed);
        let guest = Guest::with(FakeVif::new(0, Box::new(wire)));
        let device = guest.connect().unwrap();
        assert!(fetch(&device).unwrap() == file, "seed {seed}");
        assert!(device.close().is_empty());
        guest.assert_clean();
    }
}

#[test]
fn blank_checksums_are_taken_as_they_are() {
    let file = pattern(100_000);
    let wire = Wire::new(settings(&file), Faults::default(), 1);
    let vif = FakeVif::new(0, Box::new(wire)).fault(VifFault::BlankChecksums);
    let guest = Guest::with(vif);
    let device = guest.connect().unwrap();
    assert!(fetch(&device).unwrap() == file);
    assert!(device.close().is_empty());
    guest.assert_clean();
}

#[test]
fn a_back_end_that_does_not_connect_is_left_in_time() {
    for (fault, words) in [
        (
            VifFault::NeverReady,
            "instead of ready for a front end for 10 s",
        ),
        (VifFault::NeverConnects, "instead of connected for 10 s"),
        (VifFault::RefusesToConnect, "went to state 6 (closed)"),
    ] {
        let guest = Guest::with(FakeVif::new(0, Box::new(Silence)).fault(fault));
        let begin = guest.xen.hypervisor().now();
        let failure = guest.connect().err().unwrap();
        let took = guest.xen.hypervisor().now().since(begin);
        assert!(failure.reason.contains(words), "{failure}");
        assert!(failure.leftovers.is_empty(), "{failure:?}");
        assert!(took < Duration::from_secs(12), "{took:?}");
        guest.assert_clean();
    }
}

#[test]
fn broken_protocols_end_the_interface() {
    for (fault, words) in [
        (VifFault::WrongId, "which it does not have"),
        (VifFault::BadOffset, "in a page"),
        (VifFault::Extra, "extra information"),
        (VifFault::ProducerTooFar, "ring index"),
    ] {
        let wire = Wire::new(settings(&[1; 1000]), Faults::default(), 1);
        let guest = Guest::with(FakeVif::new(0, Box::new(wire)).fault(fault.clone()));
        let device = guest.connect().unwrap();
        let error = fetch(&device).unwrap_err();
        assert!(matches!(error, NetError::Device(_)), "{fault:?}: {error}");
        assert!(error.to_string().contains(words), "{error}");
        guest.xen.mend_vif(0);
        assert!(device.close().leaks.is_empty());
        guest.assert_clean();
    }
}

#[test]
fn frames_that_cannot_be_used_are_only_lost() {
    for fault in [VifFault::Errors, VifFault::Parts] {
        let wire = Wire::new(settings(&[1; 1000]), Faults::default(), 1);
        let guest = Guest::with(FakeVif::new(0, Box::new(wire)).fault(fault));
        let device = guest.connect().unwrap();
        // In parts, one in three gets through at best.
        let _ = fetch(&device);
        assert!(device.counters().dropped > 0);
        guest.xen.mend_vif(0);
        assert!(device.close().is_empty());
        guest.assert_clean();
    }
}

#[test]
fn a_back_end_that_sends_nothing_on_loses_frames_only() {
    let guest = Guest::with(FakeVif::new(0, Box::new(Silence)).fault(VifFault::NeverAnswers));
    let device = guest.connect().unwrap();
    for _ in 0..1000 {
        device.send(&[0; 60]).unwrap();
    }
    assert_eq!(device.counters().dropped, 1000 - 32);
    assert!(matches!(fetch(&device), Err(NetError::NoLease { .. })));
    assert!(device.close().is_empty());
    guest.assert_clean();
}

#[test]
fn scribbled_rings_are_survived() {
    for seed in 0..200 {
        let wire = Wire::new(settings(&pattern(50_000)), Faults::default(), seed);
        let vif = FakeVif::new(0, Box::new(wire)).fault(VifFault::Scribbles(seed));
        let guest = Guest::with(vif);
        let device = guest.connect().unwrap();
        // Either outcome will do; what counts is that there is one, and that everything is taken back.
        if let Ok(file) = fetch(&device) {
            assert!(file == pattern(50_000), "seed {seed}");
        }
        guest.xen.mend_vif(0);
        assert!(device.close().leaks.is_empty());
        let left = guest.leftovers();
        assert!(left.iter().all(|line| !line.contains("pages")), "{left:?}");
    }
}

#[test]
fn pages_kept_by_the_back_end_are_reported() {
    let guest = Guest::with(FakeVif::new(0, Box::new(Silence)));
    let device = guest.connect().unwrap();
    guest.xen.break_vif(0, VifFault::KeepsMapped);
    let left = device.close();
    assert_eq!(left.leaks.len(), 2);
    let guest = Guest::with(FakeVif::new(0, Box::new(Silence)));
    let device = guest.connect().unwrap();
    guest.xen.break_vif(0, VifFault::NeverCloses);
    assert_eq!(device.close().leaks.len(), 2);
    let guest = Guest::with(FakeVif::new(0, Box::new(Silence)).fault(VifFault::NeverReopens));
    let left = guest.connect().unwrap().close();
    assert!(left.leaks.is_empty());
    assert!(
        left.notes.join(" ").contains("ready for another front end"),
        "{left:?}"
    );
}

#[test]
fn without_memory_nothing_is_left() {
    for pages in [0, 1, 2, 100, 289] {
        let guest = Guest::with(FakeVif::new(0, Box::new(Silence)));
        guest.xen.limit_pages(pages);
        let failure = guest.connect().err().unwrap();
        assert!(failure.reason.contains("no memory"), "{failure}");
        assert!(failure.leftovers.is_empty());
        guest.assert_clean();
    }
}
