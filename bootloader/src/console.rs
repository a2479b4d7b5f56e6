//! The guest's console: one page with a byte ring for each direction.
//!
//! [`Console::write`] never blocks a boot for long: when nobody empties the ring, output is dropped after
//! [`PATIENCE`]. The daemon owns two of the four indices and may write anything there; differences are checked.
//! Protocol: Xen `io/console.h`.

use alloc::rc::Rc;
use core::cell::Cell;
use core::fmt;
use core::time::Duration;

use arch::abi::console::{
    IN_BYTES, IN_CONS, IN_PROD, IN_RING, OUT_BYTES, OUT_CONS, OUT_PROD, OUT_RING,
};
use arch::{Hypervisor, Instant, Port, SharedPage};

/// How long output waits for a daemon that takes nothing.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// Whether the daemon keeps up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reader {
    /// A full ring is worth waiting for.
    Alive,
    /// It let [`PATIENCE`] pass: what does not fit is dropped until it takes something.
    Asleep,
}

/// The console ring of this guest.
pub struct Console {
    hv: Rc<dyn Hypervisor>,
    page: SharedPage,
    port: Port,
    reader: Cell<Reader>,
    dropped: Cell<u64>,
}

/// Output that was still in the ring when [`Console::drain`] gave up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Undrained {
    /// Bytes that the daemon has not taken.
    pub bytes: u32,
}

impl fmt::Display for Undrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the console daemon has not taken the last {} bytes",
            self.bytes
        )
    }
}

impl core::error::Error for Undrained {}

impl Console {
    /// The console in `page`, whose daemon is behind `port`. Continues from the indices found there.
    #[must_use]
    pub fn new(hv: Rc<dyn Hypervisor>, page: SharedPage, port: Port) -> Self {
        Self {
            hv,
            page,
            port,
            reader: Cell::new(Reader::Alive),
            dropped: Cell::new(0),
        }
    }

    /// The event channel that is signalled when a key arrives or output is taken.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port
    }

    /// The page of the rings.
    #[must_use]
    pub fn page(&self) -> &SharedPage {
        &self.page
    }

    /// Bytes of output that were dropped because nobody took any.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// Bytes in the output ring; the whole ring when the daemon's index makes no sense.
    fn unread(&self) -> u32 {
        let produced = self.page.load(OUT_PROD);
        produced
            .wrapping_sub(self.page.load(OUT_CONS))
            .min(OUT_BYTES)
    }

    /// Sends an event. A refusal means that the daemon is gone, which the time limits deal with.
    fn notify(&self) {
        let _ = self.hv.send(self.port);
    }

    /// Puts what fits of `bytes` into the ring and returns how many that were.
    fn put(&self, bytes: &[u8]) -> usize {
        let produced = self.page.load(OUT_PROD);
        let room = OUT_BYTES - self.unread();
        // A u32 of at most 2048 fits a usize of either width.
        let count = bytes.len().min(room as usize);
        let at = (produced & (OUT_BYTES - 1)) as usize;
        let (first, rest) = bytes[..count].split_at(count.min(OUT_BYTES as usize - at));
        self.page.write(OUT_RING + at, first);
        self.page.write(OUT_RING, rest);
        if count > 0 {
            // What the daemon is about to read must be there before the index that says so.
            self.page
                .store(OUT_PROD, produced.wrapping_add(count as u32));
            self.notify();
        }
        count
    }

    /// Prints `bytes` as they are. Waits while the ring is full and the daemon takes something at least every
    /// [`PATIENCE`]; drops the rest otherwise, and everything that does not fit until it wakes up.
    pub fn write(&self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            let count = self.put(rest);
            if count > 0 {
                self.reader.set(Reader::Alive);
            }
            rest = &rest[count..];
            if rest.is_empty() {
                return;
            }
            if self.reader.get() == Reader::Asleep || !self.wait_for_reader() {
                self.reader.set(Reader::Asleep);
                let lost = u64::try_from(rest.len()).unwrap_or(u64::MAX);
                self.dropped.set(self.dropped.get().saturating_add(lost));
                return;
            }
        }
    }

    /// Waits until the output ring is not full; false after [`PATIENCE`].
    fn wait_for_reader(&self) -> bool {
        let deadline = self.hv.now().after(PATIENCE);
        loop {
            self.hv.take_pending(self.port);
            if self.unread() < OUT_BYTES {
                return true;
            }
            if self.hv.now() >= deadline {
                return false;
            }
            self.hv.poll(&[self.port], deadline);
        }
    }

    /// Bytes that have been typed and not been taken yet, at most a ring full.
    #[must_use]
    pub fn typed(&self) -> usize {
        let (produced, consumed) = (self.page.load(IN_PROD), self.page.load(IN_CONS));
        // At most 1024, so it fits a usize of either width.
        produced.wrapping_sub(consumed).min(IN_BYTES) as usize
    }

    /// Takes what has been typed, up to the length of `out`, without waiting; returns the number of bytes.
    pub fn read(&self, out: &mut [u8]) -> usize {
        self.hv.take_pending(self.port);
        let consumed = self.page.load(IN_CONS);
        let produced = self.page.load(IN_PROD);
        let available = produced.wrapping_sub(consumed);
        if available > IN_BYTES {
            // No ring holds that much. Nothing in it can be trusted: begin afresh where the daemon says it is.
            self.page.store(IN_CONS, produced);
            self.notify();
            return 0;
        }
        // At most 1024, so it fits a usize of either width.
        let count = out.len().min(available as usize);
        if count == 0 {
            return 0;
        }
        let at = (consumed & (IN_BYTES - 1)) as usize;
        let (first, rest) = out[..count].split_at_mut(count.min(IN_BYTES as usize - at));
        self.page.read(IN_RING + at, first);
        self.page.read(IN_RING, rest);
        self.page
            .store(IN_CONS, consumed.wrapping_add(count as u32));
        // The daemon may be waiting for room.
        self.notify();
        count
    }

    /// The next byte typed, or `None` when `deadline` passes first. A deadline in the past asks without waiting.
    #[must_use]
    pub fn read_byte(&self, deadline: Instant) -> Option<u8> {
        let mut byte = [0];
        loop {
            if self.read(&mut byte) == 1 {
                return Some(byte[0]);
            }
            if self.hv.now() >= deadline {
                return None;
            }
            self.hv.poll(&[self.port], deadline);
        }
    }

    /// Waits until the daemon has taken all output: the ring goes to the next kernel as it is.
    ///
    /// # Errors
    /// [`Undrained`] when `deadline` passes first.
    pub fn drain(&self, deadline: Instant) -> Result<(), Undrained> {
        loop {
            self.hv.take_pending(self.port);
            let bytes = self.unread();
            if bytes == 0 {
                return Ok(());
            }
            if self.hv.now() >= deadline {
                return Err(Undrained { bytes });
            }
            self.hv.poll(&[self.port], deadline);
        }
    }
}

/// Prints text; a line feed becomes carriage return and line feed, because the terminal is raw.
impl fmt::Write for &Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => {
                    self.write(line.as_bytes());
                    self.write(b"\r\n");
                }
                None => self.write(line.as_bytes()),
            }
        }
        Ok(())
    }
}
