//! Network front end: frames to and from a back end in another domain, over two shared rings.
//!
//! [`Netfront::connect`] does the xenbus handshake (`connect`), frames go through `queue`, and [`Netfront::close`]
//! leaves the device as it was found. Pages are granted once and copied to and from: a back end that answers late or
//! never cannot write into anybody's buffer.
//! Protocol: Xen `io/netif.h`. One queue, a page for each ring, one event channel, no scatter-gather, no offloads.

mod connect;
mod queue;

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

use arch::{Hypervisor, Instant, Port};
use net::{NetDevice, NetError};

pub use queue::Counters;

use crate::frontend::{Leftovers, part};
use crate::xenbus::Device;
use crate::xenstore::Store;
use queue::Queue;

/// A failed attempt to connect, and what it could not take back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectFailure {
    /// Why the interface cannot be used.
    pub reason: String,
    /// What is still shared with the back end; empty unless the back end misbehaves.
    pub leftovers: Leftovers,
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl core::error::Error for ConnectFailure {}

/// How long several frames are waited for: those there are may be fewer, if some were lost.
const GATHER: Duration = Duration::from_millis(2);

/// A connected interface.
pub struct Netfront {
    name: String,
    hv: Rc<dyn Hypervisor>,
    device: Device,
    mac: [u8; 6],
    mtu: usize,
    port: Port,
    /// `None` once closed.
    queue: RefCell<Option<Queue>>,
}

impl Netfront {
    /// Connects the `device/vif` with number `id`; `name` is what messages call it. Each of the back end's steps may
    /// take `patience`.
    ///
    /// # Errors
    /// No such device, a back end that does not connect in time, or no memory.
    pub fn connect(
        store: &Rc<Store>,
        id: u64,
        name: &str,
        patience: Duration,
    ) -> Result<Self, ConnectFailure> {
        let failure = |reason| ConnectFailure {
            reason,
            leftovers: Leftovers::default(),
        };
        let device = Device::open(store.clone(), "vif", id)
            .map_err(|error| failure(format!("{name}: {error}")))?;
        let link = connect::connect(device, patience).map_err(|mut failure| {
            failure.reason = format!("{name}: {}", failure.reason);
            failure
        })?;
        Ok(Self {
            name: name.to_string(),
            hv: store.hypervisor().clone(),
            device: link.device,
            mac: link.mac,
            mtu: link.mtu,
            port: link.port,
            queue: RefCell::new(Some(link.queue)),
        })
    }

    /// What the interface is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The event channel.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port
    }

    /// What went through so far; zeroes once closed.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let queue = self.queue.borrow();
        queue.as_ref().map(Queue::counters).unwrap_or_default()
    }

    /// Says that an event is wanted for the next frame, and whether one has come meanwhile.
    pub fn arm(&self) -> bool {
        self.arm_for(1)
    }

    fn arm_for(&self, frames: u32) -> bool {
        self.hv.take_pending(self.port);
        let mut queue = self.queue.borrow_mut();
        queue.as_mut().is_some_and(|queue| queue.arm(frames))
    }

    /// Closes the interface: parts from the back end, takes every page back. Frames are lost afterwards. Closing again
    /// does nothing.
    pub fn close(&self) -> Leftovers {
        let Some(queue) = self.queue.borrow_mut().take() else {
            return Leftovers::default();
        };
        part(&*self.hv, &self.device, self.port, queue.into_pages()).named(&self.name)
    }

    fn named(&self, reason: &str) -> NetError {
        NetError::Device(format!("{}: {reason}", self.name))
    }
}

impl NetDevice for Netfront {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn mtu(&self) -> usize {
        self.mtu
    }

    fn send(&self, frame: &[u8]) -> Result<(), NetError> {
        match self.queue.borrow_mut().as_mut() {
            Some(queue) => queue
                .send(&*self.hv, self.port, frame)
                .map_err(|reason| self.named(&reason)),
            None => Err(self.named("closed")),
        }
    }

    fn receive(&self, frame: &mut [u8]) -> Result<Option<usize>, NetError> {
        match self.queue.borrow_mut().as_mut() {
            Some(queue) => queue
                .receive(&*self.hv, self.port, frame)
                .map_err(|reason| self.named(&reason)),
            None => Err(self.named("closed")),
        }
    }

    fn now(&self) -> Duration {
        self.hv.now().since(Instant(0))
    }

    fn wait(&self, frames: u16, until: Duration) {
        if !self.arm_for(frames.into()) {
            let until = match frames {
                0 | 1 => until,
                _ => until.min(self.now().saturating_add(GATHER)),
            };
            self.hv.poll(&[self.port], Instant(0).after(until));
        }
    }
}
