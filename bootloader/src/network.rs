//! The guest's network interfaces under the names that menus use: nd0 is the first `device/vif` in numeric order.
//!
//! [`Network::discover`] only lists them. An interface is connected and asks for a lease when a file on `(nd)` is first
//! wanted; `(nd)` is the first interface that gets a lease, `(ndN)` the one named. Every wait has a limit.

mod commands;
mod progress;

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;
use core::time::Duration;

use arch::{Hypervisor, Instant, Port};
use fs::{BlockError, File, FsError};
use menu::{Code, Failure};
use net::{Fixed, Lease, MenuPlace, NetError, Remote, Stack};

pub use progress::Progress;

use crate::frontend::Leftovers;
use crate::netfront::Netfront;
use crate::xenbus::{self, XenbusError};
use crate::xenstore::Store;

/// How long a lease is waited for when nothing else says so.
pub const DHCP_PATIENCE: Duration = Duration::from_secs(30);
/// How long nobody may answer before the user hears of it.
const SILENCE: Duration = Duration::from_secs(1);
/// How long an interface's back end may take for each step.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a server may take to answer a request for a file.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// An interface in use.
struct Up {
    device: Rc<Netfront>,
    stack: Stack,
}

/// What is known of one interface.
#[derive(Default)]
struct Slot {
    id: u64,
    up: Option<Up>,
    /// Settings given by hand.
    fixed: Option<Fixed>,
}

/// All interfaces of the guest.
pub struct Network {
    store: Rc<Store>,
    slots: RefCell<Vec<Slot>>,
    /// The interface that `(nd)` means, once it is known.
    chosen: Cell<Option<usize>>,
    /// `tftpserver`.
    server: Cell<Option<Ipv4Addr>>,
    patience: Cell<Duration>,
    /// Bytes of a file that may be kept because they were passed over.
    keep: Cell<u64>,
    progress: RefCell<Option<Rc<Progress>>>,
    /// What failed connections left behind.
    leftovers: RefCell<Leftovers>,
}

/// GRUB's failure for a network's error.
#[must_use]
pub fn failure(error: &NetError) -> Failure {
    Failure::new(Code(error.grub_error())).because(error.to_string())
}

impl Network {
    /// Lists the guest's interfaces without connecting any.
    ///
    /// # Errors
    /// What xenstore answered; a guest without interfaces is no error.
    pub fn discover(store: Rc<Store>) -> Result<Self, XenbusError> {
        let ids = xenbus::list(&store, "vif")?;
        let slots = ids.into_iter().map(|id| Slot {
            id,
            ..Slot::default()
        });
        Ok(Self {
            slots: RefCell::new(slots.collect()),
            store,
            chosen: Cell::new(None),
            server: Cell::new(None),
            patience: Cell::new(DHCP_PATIENCE),
            keep: Cell::new(0),
            progress: RefCell::new(None),
            leftovers: RefCell::new(Leftovers::default()),
        })
    }

    /// Shows on `progress` how far files are.
    pub fn show_on(&self, progress: Progress) {
        *self.progress.borrow_mut() = Some(Rc::new(progress));
    }

    /// How long a lease is waited for from now on.
    pub fn set_patience(&self, patience: Duration) {
        self.patience.set(patience);
    }

    /// Keeps at most `bytes` of what is passed over in a file; what is read again is otherwise asked for again.
    pub fn keep_at_most(&self, bytes: u64) {
        self.keep.set(bytes);
    }

    /// How many interfaces the guest has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.borrow().len()
    }

    fn hv(&self) -> &Rc<dyn Hypervisor> {
        self.store.hypervisor()
    }

    /// The moment after `wait`.
    #[must_use]
    pub fn after(&self, wait: Duration) -> Instant {
        self.hv().now().after(wait)
    }

    /// The place of the interface that a name gives a number to.
    fn place(&self, number: u32) -> Result<usize, Failure> {
        let count = self.count();
        let place = usize::try_from(number).ok().filter(|place| *place < count);
        place.ok_or_else(|| {
            let have = match count {
                0 => {
                    "this domain has no network interface (`vif` in its configuration)".to_string()
                }
                1 => "this domain has one network interface, (nd0)".to_string(),
                _ => format!(
                    "this domain's network interfaces are (nd0) to (nd{})",
                    count - 1
                ),
            };
            Failure::new(Code::NO_DISK).because(have)
        })
    }

    /// Connects the interface in `slot`, unless it is.
    fn bring_up(&self, place: usize, slot: &mut Slot, patience: Duration) -> Result<(), Failure> {
        if slot.up.is_some() {
            return Ok(());
        }
        let patience = patience.min(CONNECT_PATIENCE);
        let name = format!("nd{place}");
        let device = match Netfront::connect(&self.store, slot.id, &name, patience) {
            Ok(device) => Rc::new(device),
            Err(error) => {
                self.leftovers.borrow_mut().append(error.leftovers);
                return Err(Failure::new(Code::NO_DISK).because(error.reason));
            }
        };
        let result = Stack::new(device.clone()).and_then(|mut stack| {
            if let Some(fixed) = slot.fixed {
                stack.configure(fixed)?;
            }
            Ok(stack)
        });
        match result {
            Ok(mut stack) => {
                stack.keep_at_most(self.keep.get());
                if let Some(progress) = &*self.progress.borrow() {
                    stack.watch(progress.clone());
                }
                slot.up = Some(Up { device, stack });
                Ok(())
            }
            Err(error) => {
                self.leftovers.borrow_mut().append(device.close());
                Err(failure(&error))
            }
        }
    }

    /// The interfaces that `which` may mean.
    fn candidates(&self, which: Option<u32>) -> Result<Vec<usize>, Failure> {
        match (which, self.chosen.get()) {
            (Some(number), _) => Ok(alloc::vec![self.place(number)?]),
            (None, Some(chosen)) => Ok(alloc::vec![chosen]),
            (None, None) => {
                self.place(0)?;
                Ok((0..self.count()).collect())
            }
        }
    }

    /// The interface that `which` means, with an address. Waits for a lease until `deadline` if it has none.
    ///
    /// # Errors
    /// 21 without such an interface, one whose back end does not connect, or a lease.
    pub fn ready(&self, which: Option<u32>, deadline: Instant) -> Result<usize, Failure> {
        let candidates = self.candidates(which)?;
        {
            let mut slots = self.slots.borrow_mut();
            for &place in &candidates {
                let up = slots.get_mut(place).and_then(|slot| {
                    // Settings given by hand outlive a connection.
                    let known = slot.up.is_some() || slot.fixed.is_some();
                    known.then(|| self.bring_up(place, slot, CONNECT_PATIENCE));
                    slot.up.as_mut()
                });
                if let Some(up) = up {
                    // A renewal may have been due.
                    let _ = up.stack.poll();
                    if up.stack.has_address() {
                        self.chosen.set(self.chosen.get().or(Some(place)));
                        return Ok(place);
                    }
                }
            }
        }
        self.lease(which, deadline)
    }

    /// Asks for a lease anew, on every interface that `which` may mean, and takes the first answer.
    ///
    /// # Errors
    /// As [`Network::ready`].
    pub fn lease(&self, which: Option<u32>, deadline: Instant) -> Result<usize, Failure> {
        let candidates = self.candidates(which)?;
        let begun = self.hv().now();
        let slots = &mut *self.slots.borrow_mut();
        let mut first = None;
        let mut asking = Vec::new();
        for (&place, left) in candidates.iter().zip((1..=candidates.len()).rev()) {
            let Some(slot) = slots.get_mut(place) else {
                continue;
            };
            // One that hangs must leave time to the others.
            let share = deadline.since(self.hv().now()) / u32::try_from(left).unwrap_or(u32::MAX);
            slot.fixed = None;
            match self.bring_up(place, slot, share) {
                Ok(()) => asking.push(place),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        for &place in &asking {
            if let Some(up) = slots.get_mut(place).and_then(|slot| slot.up.as_mut()) {
                up.stack.start_dhcp();
            }
        }
        let mut silence = Some(begun.after(SILENCE));
        while !asking.is_empty() {
            let mut ports: Vec<Port> = Vec::new();
            let mut wake = silence.unwrap_or(deadline).min(deadline);
            let mut waiting = true;
            asking.retain(|&place| {
                let Some(up) = slots.get_mut(place).and_then(|slot| slot.up.as_mut()) else {
                    return false;
                };
                if let Err(error) = up.stack.poll() {
                    first.get_or_insert_with(|| failure(&error));
                    return false;
                }
                if up.stack.lease().is_some() && self.chosen.get().is_none() {
                    self.chosen.set(Some(place));
                }
                ports.push(up.device.port());
                wake = wake.min(Instant(0).after(up.stack.wake_at()));
                waiting &= !up.device.arm();
                true
            });
            let answered = asking.iter().copied().find(|&place| {
                let up = slots.get(place).and_then(|slot| slot.up.as_ref());
                up.is_some_and(|up| up.stack.lease().is_some())
            });
            if let Some(place) = answered {
                return Ok(place);
            }
            let now = self.hv().now();
            if now >= deadline {
                break;
            }
            if silence.take_if(|moment| now >= *moment).is_some()
                && let Some(progress) = &*self.progress.borrow()
            {
                progress.no_lease_yet(deadline.since(now));
            }
            if waiting && !ports.is_empty() {
                self.hv().poll(&ports, wake);
            }
        }
        let waited = self.hv().now().since(begun);
        Err(first.unwrap_or_else(|| failure(&NetError::NoLease { waited })))
    }

    /// What the DHCP server gave the interface at `place`.
    #[must_use]
    pub fn lease_of(&self, place: usize) -> Option<Lease> {
        let slots = self.slots.borrow();
        slots.get(place)?.up.as_ref()?.stack.lease().cloned()
    }

    /// The TFTP server for files on the interface at `place`: `tftpserver`'s, else the lease's.
    fn server_for(&self, place: usize) -> Result<Ipv4Addr, Failure> {
        let leased = || self.lease_of(place).and_then(|lease| lease.server());
        let server = self.server.get().or_else(leased);
        server.ok_or_else(|| failure(&NetError::NoServer))
    }

    /// What `root` shows: the file system's kind and the server.
    ///
    /// # Errors
    /// As [`Network::ready`].
    pub fn describe(&self, which: Option<u32>) -> Result<String, Failure> {
        let place = self.ready(which, self.after(self.patience.get()))?;
        let mut text = " Filesystem type is tftp".to_string();
        match self.server_for(place) {
            Ok(server) => text.push_str(&format!(", server {server}")),
            Err(_) => text.push_str(", no server known yet"),
        }
        if let Some(warning) = self.lease_of(place).and_then(|lease| lease.warning()) {
            text.push_str("\n ");
            text.push_str(&warning);
        }
        Ok(text)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// 15, 21, 25 and what the server says.
    pub fn open(
        self: &Rc<Self>,
        which: Option<u32>,
        path: &[u8],
    ) -> Result<Box<dyn File>, Failure> {
        let place = self.ready(which, self.after(self.patience.get()))?;
        self.open_by(place, path, self.after(OPEN_PATIENCE))
    }

    /// Opens a file on the interface at `place`; the server must answer before `deadline`.
    ///
    /// # Errors
    /// As [`Network::open`].
    pub fn open_by(
        self: &Rc<Self>,
        place: usize,
        path: &[u8],
        deadline: Instant,
    ) -> Result<Box<dyn File>, Failure> {
        let server = self.server_for(place)?;
        let deadline = deadline.since(Instant(0));
        let remote = self
            .with_stack(place, |stack| stack.open(server, path, deadline))
            .map_err(|error| failure(&error))?;
        Ok(Box::new(NetFile {
            network: self.clone(),
            place,
            len: remote.len(),
            remote: RefCell::new(remote),
        }))
    }

    fn with_stack<T>(
        &self,
        place: usize,
        work: impl FnOnce(&mut Stack) -> Result<T, NetError>,
    ) -> Result<T, NetError> {
        let mut slots = self.slots.borrow_mut();
        let up = slots.get_mut(place).and_then(|slot| slot.up.as_mut());
        let up = up.ok_or_else(|| NetError::Device(format!("nd{place}: closed")))?;
        let result = work(&mut up.stack);
        if let (Err(_), Some(progress)) = (&result, &*self.progress.borrow()) {
            progress.end();
        }
        result
    }

    /// The menu that the DHCP server of the interface at `place` names.
    #[must_use]
    pub fn menu_of(&self, place: usize) -> Option<MenuPlace> {
        self.lease_of(place)?.menu()
    }

    /// Where the DHCP server says that the menu is, with its device.
    ///
    /// # Errors
    /// 21 without a lease, 15 when the lease names no menu.
    pub fn menu_path(&self) -> Result<Vec<u8>, Failure> {
        let place = self.ready(None, self.after(self.patience.get()))?;
        match self.menu_of(place) {
            Some(menu) => Ok(on_network(&menu.path)),
            None => Err(Failure::new(Code::FILE_NOT_FOUND)
                .because("the DHCP server names no menu (option 150)")),
        }
    }

    /// Keeps leases while nothing else happens.
    pub fn tick(&self) {
        let Ok(mut slots) = self.slots.try_borrow_mut() else {
            return;
        };
        for up in slots.iter_mut().filter_map(|slot| slot.up.as_mut()) {
            // An interface that has failed says so when it is used.
            let _ = up.stack.poll();
        }
    }

    /// Closes every interface and returns what is left behind, by this and by failed connections.
    #[must_use]
    pub fn close_all(&self) -> Leftovers {
        let mut all = self.leftovers.take();
        for up in self
            .slots
            .borrow_mut()
            .iter_mut()
            .filter_map(|slot| slot.up.take())
        {
            all.append(up.device.close());
        }
        self.chosen.set(None);
        all
    }
}

/// A menu's path with its device: `(nd)` unless it says another.
#[must_use]
pub fn on_network(path: &[u8]) -> Vec<u8> {
    match path.first() {
        Some(b'(') => path.to_vec(),
        Some(b'/') => [b"(nd)", path].concat(),
        _ => [b"(nd)/", path].concat(),
    }
}

/// An open file on a server.
struct NetFile {
    network: Rc<Network>,
    place: usize,
    len: u64,
    remote: RefCell<Remote>,
}

impl File for NetFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), FsError> {
        let mut remote = self.remote.borrow_mut();
        let read = self
            .network
            .with_stack(self.place, |stack| stack.read(&mut remote, offset, out));
        read.map_err(|error| match error {
            NetError::BeyondEnd { offset, len, size } => FsError::BeyondEnd { offset, len, size },
            NetError::NoAnswer { .. } | NetError::Stalled { .. } | NetError::Slow { .. } => {
                FsError::Device(BlockError::Timeout(error.to_string()))
            }
            _ => FsError::Device(BlockError::Io(error.to_string())),
        })
    }

    fn prefetch(&self, _offset: u64, _len: u64) {
        // The server is always a window ahead.
    }
}
