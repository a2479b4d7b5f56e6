//! Block front end: asks a back end in another domain for sectors over one shared ring.
//!
//! [`Blkfront::connect`] does the xenbus handshake (`connect`), reads go through `queue`, the rare write through
//! `write`, and
//! [`Blkfront::close`] leaves the device as it was found. Pages given to the back end come from a pool of the
//! disk's own (`slot`): a back end that answers late or never cannot write into anybody's buffer.
//! Protocol: Xen `io/blkif.h`. One ring page; no persistent grants: the back end would keep pages mapped that
//! the next kernel owns.

mod connect;
mod queue;
mod slot;
mod write;

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use core::cell::RefCell;
use core::time::Duration;

use fs::{BlockDevice, BlockError, Geometry};

pub use connect::{ConnectFailure, Flushes, Medium, Traits, Writes};
pub use queue::Counters;

use crate::frontend::{Leftovers, part};
use crate::xenbus::Device;
use crate::xenstore::Store;
use connect::Link;
use queue::Queue;

/// How a disk is driven. The default is right for a boot; tests choose otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// First index of the ring.
    pub ring_start: u32,
    /// How long the back end may leave all requests unanswered before the disk is given up.
    pub answer_patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ring_start: 0,
            answer_patience: Duration::from_secs(30),
        }
    }
}

/// A connected disk.
pub struct Blkfront {
    name: String,
    device: Device,
    geometry: Geometry,
    traits: Traits,
    /// `None` once closed.
    queue: RefCell<Option<Queue>>,
}

impl Blkfront {
    /// Connects the `device/vbd` with number `id`; `name` is what messages call it.
    ///
    /// # Errors
    /// [`BlockError::Absent`] with the reason: no such device, an empty drive, a back end that does not connect
    /// within ten seconds, or no memory.
    pub fn connect(
        store: &Rc<Store>,
        id: u64,
        name: &str,
        settings: &Settings,
    ) -> Result<Self, ConnectFailure> {
        let device = Device::open(store.clone(), "vbd", id)
            .map_err(|error| BlockError::Absent(format!("{name}: {error}")))?;
        let link = Link::connect(device, name, settings)?;
        let geometry = link.geometry;
        let traits = link.traits;
        let (device, queue) = Queue::new(link, name, settings);
        Ok(Self {
            name: name.to_string(),
            device,
            geometry,
            traits,
            queue: RefCell::new(Some(queue)),
        })
    }

    /// What the disk is called in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the back end says about the disk.
    #[must_use]
    pub fn traits(&self) -> Traits {
        self.traits
    }

    /// What has been asked of the back end so far; zeroes once closed.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.queue
            .borrow()
            .as_ref()
            .map(Queue::counters)
            .unwrap_or_default()
    }

    /// Closes the disk: waits for requests on their way, parts from the back end, takes every page back. Reads
    /// fail afterwards. Closing again does nothing.
    pub fn close(&self) -> Leftovers {
        let Some(mut queue) = self.queue.borrow_mut().take() else {
            return Leftovers::default();
        };
        let unanswered = queue.finish();
        let (hv, port, pages) = queue.into_parts();
        let mut leftovers = part(&*hv, &self.device, port, pages);
        if let Some(note) = unanswered {
            leftovers.notes.push(note);
        }
        leftovers.named(&self.name)
    }

    /// Whether these are whole sectors of the disk.
    fn check(&self, offset: u64, len: usize) -> Result<(), BlockError> {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        let disk = self.geometry.len_bytes;
        if offset.checked_add(len).is_none_or(|end| end > disk) {
            return Err(BlockError::OutOfRange { offset, len, disk });
        }
        let sector = u64::from(self.geometry.sector_bytes);
        if !offset.is_multiple_of(sector) || !len.is_multiple_of(sector) {
            return Err(BlockError::Io(format!(
                "{}: bytes {offset}+{len} are not whole sectors of {sector} bytes",
                self.name
            )));
        }
        Ok(())
    }

    fn closed(&self) -> BlockError {
        BlockError::Absent(format!("{}: closed", self.name))
    }
}

impl BlockDevice for Blkfront {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        self.check(offset, out.len())?;
        match self.queue.borrow_mut().as_mut() {
            Some(queue) => queue.read(offset, out),
            None => Err(self.closed()),
        }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), BlockError> {
        self.check(offset, bytes.len())?;
        if self.traits.writes == Writes::Refused {
            return Err(BlockError::ReadOnly(format!(
                "{}: the domain's configuration gives it read-only",
                self.name
            )));
        }
        match self.queue.borrow_mut().as_mut() {
            Some(queue) => queue.write(offset, bytes, self.traits.flushes),
            None => Err(self.closed()),
        }
    }

    fn prefetch(&self, offset: u64, len: u64) {
        let sector = u64::from(self.geometry.sector_bytes);
        let disk = self.geometry.len_bytes;
        let begin = offset - offset % sector;
        let end = offset
            .saturating_add(len)
            .checked_next_multiple_of(sector)
            .unwrap_or(disk)
            .min(disk);
        if let Some(queue) = self.queue.borrow_mut().as_mut()
            && begin < end
        {
            queue.prefetch(begin..end);
        }
    }
}
