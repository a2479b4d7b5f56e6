//! What the driver tests share: a fake guest with disks, and the check that nothing is left behind.

use std::rc::Rc;
use std::time::Duration;

use arch::fake::FakeXen;
use arch::fake::blkback::FakeDisk;
use bootloader::blkfront::{Blkfront, ConnectFailure, Settings};
use bootloader::console::Console;
use bootloader::xenstore::Store;

/// xvda.
pub(crate) const XVDA: u64 = 51712;

/// Bytes that differ from page to page and from sector to sector.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at ^ (at >> 9) ^ (at >> 17).wrapping_mul(31)) as u8)
        .collect()
}

/// A store over the fake's ring.
pub(crate) fn store(xen: &Rc<FakeXen>) -> Rc<Store> {
    let (page, port) = xen.store_ring();
    Rc::new(Store::new(xen.hypervisor(), page, port))
}

/// A console over the fake's ring.
pub(crate) fn console(xen: &Rc<FakeXen>) -> Console {
    let (page, port) = xen.console_ring();
    Console::new(xen.hypervisor(), page, port)
}

/// A fake guest with one disk, not connected yet.
pub(crate) struct Bed {
    pub(crate) xen: Rc<FakeXen>,
    pub(crate) store: Rc<Store>,
}

impl Bed {
    pub(crate) fn with(disk: FakeDisk) -> Self {
        let xen = FakeXen::new();
        xen.add_disk(disk);
        let store = store(&xen);
        Self { xen, store }
    }

    pub(crate) fn connect(&self) -> Result<Blkfront, ConnectFailure> {
        Blkfront::connect(&self.store, XVDA, "xvda", &Settings::default())
    }

    /// The fake clock.
    pub(crate) fn elapsed(&self, work: impl FnOnce()) -> Duration {
        let hv = self.xen.hypervisor();
        let begin = hv.now();
        work();
        hv.now().since(begin)
    }

    /// What is left after the store has been made quiet.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let deadline = self.xen.hypervisor().now().after(Duration::from_secs(1));
        let quiet = self.store.quiesce(deadline);
        let mut all = self.xen.leftovers();
        if let Err(error) = quiet {
            all.push(error.to_string());
        }
        all
    }

    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }
}
