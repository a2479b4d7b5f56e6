//! A hypervisor for tests on the host: deterministic, single-threaded, with the daemons a guest talks to.
//!
//! [`FakeXen`] implements [`Hypervisor`]. A fake xenstored ([`store`]), a console daemon ([`console`]), block back
//! ends ([`blkback`]) and network back ends ([`netback`]) run inside `send` and `poll`; when nothing is left to do, `poll` moves the clock to the
//! deadline, so a time limit of 30 seconds costs nothing. Faults are named options of the daemons.
//! [`FakeXen::leftovers`] says at the end of a test what a guest has left behind.

pub mod blkback;
pub mod console;
pub mod frames;
pub mod memory;
pub mod netback;
pub mod store;
mod world;

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;

use crate::abi::{console as console_page, xs_wire};
use crate::hypervisor::{Access, DomId, Errno, GrantRef, Hypervisor, Instant, Port};
use crate::shared::SharedPage;

use blkback::{Blkback, DiskFault, FakeDisk};
use console::{Consoled, Reader};
use netback::{FakeVif, Netback, VifFault};
use store::{StoreFault, Xenstored};
use world::{Peer, World};

/// The domain number of the fake guest.
pub const GUEST: DomId = DomId(5);
/// The directory of the fake guest in xenstore.
pub const HOME: &str = "/local/domain/5";

struct Core {
    world: World,
    store: Xenstored,
    console: Consoled,
    disks: Vec<Blkback>,
    vifs: Vec<Netback>,
}

/// The fake hypervisor with its daemons.
pub struct FakeXen {
    core: RefCell<Core>,
}

/// How a fake guest begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// First index of the xenstore and console rings.
    pub ring_index: u32,
}

impl FakeXen {
    /// A guest with a console and an empty home, all indices 0.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Self::started(Start { ring_index: 0 })
    }

    /// A guest whose rings were in use before, as after a chain-boot.
    #[must_use]
    pub fn started(start: Start) -> Rc<Self> {
        let mut world = World::new();
        let (store_mfn, store_port) = world.make_ring(Peer::Store);
        let (console_mfn, console_port) = world.make_ring(Peer::Console);
        let page = world.memory.view(store_mfn);
        for offset in [
            xs_wire::REQ_CONS,
            xs_wire::REQ_PROD,
            xs_wire::RSP_CONS,
            xs_wire::RSP_PROD,
        ] {
            page.store(offset, start.ring_index);
        }
        let page = world.memory.view(console_mfn);
        for offset in [
            console_page::IN_CONS,
            console_page::IN_PROD,
            console_page::OUT_CONS,
            console_page::OUT_PROD,
        ] {
            page.store(offset, start.ring_index);
        }
        world.host_write(&format!("{HOME}/domid"), &GUEST.0.to_string());
        Rc::new(Self {
            core: RefCell::new(Core {
                world,
                store: Xenstored::new(store_mfn, store_port),
                console: Consoled::new(console_mfn, console_port),
                disks: Vec::new(),
                vifs: Vec::new(),
            }),
        })
    }

    /// The same value as a driver wants it.
    #[must_use]
    pub fn hypervisor(self: &Rc<Self>) -> Rc<dyn Hypervisor> {
        self.clone()
    }

    /// The guest's end of the xenstore ring.
    #[must_use]
    pub fn store_ring(&self) -> (SharedPage, Port) {
        let core = self.core.borrow();
        (core.world.memory.view(core.store.mfn), core.store.port)
    }

    /// The guest's end of the console ring.
    #[must_use]
    pub fn console_ring(&self) -> (SharedPage, Port) {
        let core = self.core.borrow();
        (core.world.memory.view(core.console.mfn), core.console.port)
    }

    /// Plugs a disk in, as the toolstack does before a guest starts.
    pub fn add_disk(&self, disk: FakeDisk) {
        let core = &mut *self.core.borrow_mut();
        let index = core.disks.len();
        let disk = Blkback::plug(disk, index, &mut core.world);
        core.disks.push(disk);
    }

    /// Adds a fault to the disk with number `id`.
    ///
    /// # Panics
    /// When there is no such disk: a test's bug.
    pub fn break_disk(&self, id: u64, fault: DiskFault) {
        let core = &mut *self.core.borrow_mut();
        let disk = core.disks.iter_mut().find(|disk| disk.id() == id);
        disk.expect("a disk with that number")
            .add_fault(fault, &mut core.world);
    }

    /// Removes every fault of the disk with number `id`.
    ///
    /// # Panics
    /// When there is no such disk: a test's bug.
    pub fn mend_disk(&self, id: u64) {
        let core = &mut *self.core.borrow_mut();
        let disk = core.disks.iter_mut().find(|disk| disk.id() == id);
        disk.expect("a disk with that number").mend(&mut core.world);
    }

    /// Plugs an interface in, as the toolstack does before a guest starts.
    pub fn add_vif(&self, vif: FakeVif) {
        let core = &mut *self.core.borrow_mut();
        let vif = Netback::plug(vif, core.vifs.len(), &mut core.world);
        core.vifs.push(vif);
    }

    /// Adds a fault to the interface with number `id`.
    ///
    /// # Panics
    /// When there is no such interface: a test's bug.
    pub fn break_vif(&self, id: u64, fault: VifFault) {
        let core = &mut *self.core.borrow_mut();
        let vif = core.vifs.iter_mut().find(|vif| vif.id() == id);
        vif.expect("an interface with that number").add_fault(fault);
    }

    /// Removes every fault of the interface with number `id`.
    ///
    /// # Panics
    /// When there is no such interface: a test's bug.
    pub fn mend_vif(&self, id: u64) {
        let core = &mut *self.core.borrow_mut();
        let vif = core.vifs.iter_mut().find(|vif| vif.id() == id);
        vif.expect("an interface with that number").mend();
    }

    /// Adds a fault to xenstored.
    pub fn break_store(&self, fault: StoreFault) {
        self.core.borrow_mut().store.add_fault(fault);
    }

    /// Says how the console daemon behaves from now on.
    pub fn set_console_reader(&self, reader: Reader) {
        let core = &mut *self.core.borrow_mut();
        core.console.reader = reader;
        core.console.run(&mut core.world);
    }

    /// Types on the console; what does not fit the ring waits.
    pub fn type_keys(&self, keys: &[u8]) {
        let core = &mut *self.core.borrow_mut();
        core.console.typed.extend(keys);
        core.console.run(&mut core.world);
    }

    /// What the guest has printed and the daemon has taken so far.
    #[must_use]
    pub fn printed(&self) -> Vec<u8> {
        self.core.borrow().console.printed.clone()
    }

    /// A value in xenstore.
    #[must_use]
    pub fn store_value(&self, path: &str) -> Option<String> {
        self.core.borrow().world.text(path)
    }

    /// Writes to xenstore from outside of the guest; not counted among what the guest leaves behind.
    pub fn set_store_value(&self, path: &str, value: &str) {
        self.core.borrow_mut().world.host_write(path, value);
    }

    /// Another view of a page of the guest, as a back end has it.
    ///
    /// # Panics
    /// When the guest has no such page.
    #[must_use]
    pub fn view(&self, page: &SharedPage) -> SharedPage {
        self.core.borrow().world.memory.view(page.mfn())
    }

    /// Limits the pages that the guest may have allocated at one time.
    pub fn limit_pages(&self, most: usize) {
        self.core.borrow_mut().world.memory.limit = most;
    }

    /// Moves the clock without running anything.
    pub fn pass(&self, wait: Duration) {
        let core = &mut *self.core.borrow_mut();
        core.world.now = core.world.now.after(wait);
    }

    /// Pages that the guest has allocated and not given back.
    #[must_use]
    pub fn pages_in_use(&self) -> usize {
        self.core.borrow().world.memory.in_use()
    }

    /// Everything the guest has left behind, one thing a line; empty after a clean end. The rings of console and
    /// xenstore are the guest's to keep.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let core = self.core.borrow();
        let mut all = core.world.leftovers();
        all.extend(core.store.leftovers(&core.world));
        for disk in &core.disks {
            all.extend(disk.leftovers());
        }
        for vif in &core.vifs {
            all.extend(vif.leftovers());
        }
        all
    }
}

impl Core {
    /// Runs every daemon once.
    fn run(&mut self) {
        self.store.run(&mut self.world);
        self.console.run(&mut self.world);
        let touched = self.world.take_touched();
        for disk in &mut self.disks {
            disk.run(&mut self.world, &touched);
        }
        for vif in &mut self.vifs {
            vif.run(&mut self.world, &touched);
        }
    }

    /// When the next daemon wants to do something by itself.
    fn next_timer(&mut self) -> Option<Instant> {
        let now = self.world.now;
        let disks = self.disks.iter().filter_map(Blkback::next_timer);
        let vifs = self.vifs.iter_mut();
        disks
            .chain(vifs.filter_map(|vif| vif.next_timer(now)))
            .min()
    }
}

impl Hypervisor for FakeXen {
    fn now(&self) -> Instant {
        let core = &mut *self.core.borrow_mut();
        // Time passes, so that a loop that never polls ends too.
        core.world.now = core.world.now.after(Duration::from_nanos(100));
        core.world.now
    }

    fn poll(&self, ports: &[Port], deadline: Instant) {
        assert!(ports.len() <= 128, "{} ports to poll", ports.len());
        let core = &mut *self.core.borrow_mut();
        if core.world.any_pending(ports) {
            return;
        }
        loop {
            core.run();
            if core.world.any_pending(ports) {
                return;
            }
            match core.next_timer() {
                Some(next) if next <= deadline => core.world.now = core.world.now.max(next),
                _ => break,
            }
        }
        core.world.now = core.world.now.max(deadline);
    }

    fn take_pending(&self, port: Port) -> bool {
        self.core.borrow_mut().world.take_pending(port)
    }

    fn send(&self, port: Port) -> Result<(), Errno> {
        let core = &mut *self.core.borrow_mut();
        match core.world.peer(port)? {
            Peer::Nobody => return Err(Errno::INVAL),
            Peer::Store => core.store.rung = true,
            Peer::Console => core.console.rung = true,
            Peer::Disk(index) => core.disks[index].rung = true,
            Peer::Net(index) => core.vifs[index].rung = true,
        }
        core.store.run(&mut core.world);
        core.console.run(&mut core.world);
        Ok(())
    }

    fn open(&self, remote: DomId) -> Result<Port, Errno> {
        self.core.borrow_mut().world.open(remote)
    }

    fn close(&self, port: Port) -> Result<(), Errno> {
        self.core.borrow_mut().world.close(port)
    }

    fn alloc_page(&self) -> Result<SharedPage, Errno> {
        self.core.borrow_mut().world.memory.alloc()
    }

    fn free_page(&self, page: SharedPage) {
        self.core.borrow_mut().world.free(page);
    }

    fn grant(&self, page: &SharedPage, to: DomId, access: Access) -> Result<GrantRef, Errno> {
        let core = &mut *self.core.borrow_mut();
        core.world.memory.grant(page.mfn(), to, access)
    }

    fn revoke(&self, grant: GrantRef) -> Result<(), Errno> {
        self.core.borrow_mut().world.memory.revoke(grant)
    }
}
