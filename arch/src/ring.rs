//! A generic shared ring of requests and responses: [`FrontRing`] asks, [`BackRing`] answers.
//!
//! Indices run freely through 2^32 and are compared by difference. Everything this side has written is kept in
//! private copies, because the peer may change the shared ones; entries are copied out before they are used.
//! Protocol: Xen `io/ring.h`.

use core::fmt;

use crate::SharedPage;
use crate::abi::ring::{ENTRIES, REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, entry_count};

/// Whether the peer asked to hear of what has just been published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Notify {
    /// Send an event.
    Wanted,
    /// The peer is awake and will look by itself.
    NotNeeded,
}

/// Whether something arrived while arming the notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Armed {
    /// Nothing to take: the peer will send an event with the next entry.
    Idle,
    /// Take first, then arm again.
    Ready,
}

/// The peer's producer index is further ahead than is possible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overrun {
    /// The producer index found.
    pub producer: u32,
    /// Our consumer index.
    pub consumer: u32,
    /// Most entries there could be between the two.
    pub limit: u32,
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ring index {:#x} is more than {} ahead of {:#x}",
            self.producer, self.limit, self.consumer
        )
    }
}

impl core::error::Error for Overrun {}

/// The ring is full: take a response first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// Where entry number `index` is in the page. `count` is a power of two.
fn entry_at(index: u32, count: u32, entry_bytes: usize) -> usize {
    // The masked index is below `count`, and `count` entries fit the page: nothing overflows.
    ENTRIES + (index & (count - 1)) as usize * entry_bytes
}

/// Whether publishing up to `new` from `old` passes the peer's wish `event` (`RING_PUSH_*_AND_CHECK_NOTIFY`).
fn passes(new: u32, old: u32, event: u32) -> Notify {
    if new.wrapping_sub(event) < new.wrapping_sub(old) {
        Notify::Wanted
    } else {
        Notify::NotNeeded
    }
}

/// The asking half of a one-page ring.
#[derive(Debug)]
pub struct FrontRing {
    page: SharedPage,
    entry_bytes: usize,
    count: u32,
    /// Next request to fill.
    filled: u32,
    /// Requests the peer may see: at most `count` ahead of `taken`.
    published: u32,
    /// Next response to take: never ahead of `published`.
    taken: u32,
}

impl FrontRing {
    /// Makes a ring of entries of `entry_bytes` bytes in `page`, empty, with all indices at `start` (0 unless a
    /// test wants to see them wrap).
    ///
    /// # Panics
    /// When not one entry fits the page: a caller's bug.
    #[must_use]
    pub fn new(page: SharedPage, entry_bytes: usize, start: u32) -> Self {
        let count = entry_count(entry_bytes);
        assert!(count > 0, "ring entries of {entry_bytes} bytes");
        page.store(REQ_PROD, start);
        page.store(RSP_PROD, start);
        page.store(REQ_EVENT, start.wrapping_add(1));
        page.store(RSP_EVENT, start.wrapping_add(1));
        Self {
            page,
            entry_bytes,
            count,
            filled: start,
            published: start,
            taken: start,
        }
    }

    /// Entries in the ring.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.count
    }

    /// Requests that can be put now.
    #[must_use]
    pub fn free(&self) -> u32 {
        // `filled` is at most `count` ahead of `taken`, see `put`.
        self.count - self.filled.wrapping_sub(self.taken)
    }

    /// The shared page.
    #[must_use]
    pub fn page(&self) -> &SharedPage {
        &self.page
    }

    /// Gives the page back; the peer must have let go of it.
    #[must_use]
    pub fn into_page(self) -> SharedPage {
        self.page
    }

    /// Fills the next request with `entry` without showing it to the peer yet.
    ///
    /// # Errors
    /// [`Full`] when every entry is in use.
    ///
    /// # Panics
    /// When `entry` is longer than a ring entry: a caller's bug.
    pub fn put(&mut self, entry: &[u8]) -> Result<(), Full> {
        assert!(entry.len() <= self.entry_bytes);
        if self.free() == 0 {
            return Err(Full);
        }
        let at = entry_at(self.filled, self.count, self.entry_bytes);
        self.page.write(at, entry);
        self.filled = self.filled.wrapping_add(1);
        Ok(())
    }

    /// Shows the filled requests to the peer.
    pub fn publish(&mut self) -> Notify {
        let old = self.published;
        self.published = self.filled;
        self.page.store(REQ_PROD, self.published);
        // The peer must see the requests before its wish is read, or both sides sleep.
        self.page.barrier();
        passes(self.published, old, self.page.load(REQ_EVENT))
    }

    /// Copies the next response into `entry` and says whether there was one.
    ///
    /// # Errors
    /// [`Overrun`] when the peer claims more responses than there are unanswered requests.
    ///
    /// # Panics
    /// When `entry` is longer than a ring entry: a caller's bug.
    pub fn take(&mut self, entry: &mut [u8]) -> Result<Option<()>, Overrun> {
        assert!(entry.len() <= self.entry_bytes);
        let produced = self.page.load(RSP_PROD);
        let limit = self.published.wrapping_sub(self.taken);
        let available = produced.wrapping_sub(self.taken);
        if available > limit {
            return Err(Overrun {
                producer: produced,
                consumer: self.taken,
                limit,
            });
        }
        if available == 0 {
            return Ok(None);
        }
        let at = entry_at(self.taken, self.count, self.entry_bytes);
        self.page.read(at, entry);
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(()))
    }

    /// Asks for an event with the next response, unless there is one already.
    pub fn arm(&mut self) -> Armed {
        self.arm_for(1)
    }

    /// Asks for an event when there are `count` responses (at least 1), unless there are so many already.
    pub fn arm_for(&mut self, count: u32) -> Armed {
        let count = count.clamp(1, self.count);
        let there = |ring: &Self| ring.page.load(RSP_PROD).wrapping_sub(ring.taken) >= count;
        if there(self) {
            return Armed::Ready;
        }
        self.page.store(RSP_EVENT, self.taken.wrapping_add(count));
        // The peer must see the wish before its index is read again, or both sides sleep.
        self.page.barrier();
        if there(self) {
            Armed::Ready
        } else {
            Armed::Idle
        }
    }
}

/// The answering half of a one-page ring.
#[derive(Debug)]
pub struct BackRing {
    page: SharedPage,
    entry_bytes: usize,
    count: u32,
    /// Next request to take.
    taken: u32,
    /// Next response to fill: never ahead of `taken`.
    filled: u32,
    /// Responses the peer may see.
    published: u32,
}

impl BackRing {
    /// Attaches to the ring that a front end made in `page`, continuing from its indices.
    ///
    /// # Panics
    /// When not one entry fits the page: a caller's bug.
    #[must_use]
    pub fn attach(page: SharedPage, entry_bytes: usize) -> Self {
        let count = entry_count(entry_bytes);
        assert!(count > 0, "ring entries of {entry_bytes} bytes");
        let start = page.load(RSP_PROD);
        Self {
            page,
            entry_bytes,
            count,
            taken: start,
            filled: start,
            published: start,
        }
    }

    /// Gives the page back.
    #[must_use]
    pub fn into_page(self) -> SharedPage {
        self.page
    }

    /// The shared page.
    #[must_use]
    pub fn page(&self) -> &SharedPage {
        &self.page
    }

    /// Requests taken and not answered.
    #[must_use]
    pub fn unanswered(&self) -> u32 {
        self.taken.wrapping_sub(self.filled)
    }

    /// Copies the next request into `entry` and says whether there was one.
    ///
    /// # Errors
    /// [`Overrun`] when the front end claims more requests than the ring holds.
    ///
    /// # Panics
    /// When `entry` is longer than a ring entry: a caller's bug.
    pub fn take(&mut self, entry: &mut [u8]) -> Result<Option<()>, Overrun> {
        assert!(entry.len() <= self.entry_bytes);
        let produced = self.page.load(REQ_PROD);
        // Unanswered requests keep their entries.
        let limit = self.count.saturating_sub(self.unanswered());
        let available = produced.wrapping_sub(self.taken);
        if available > limit {
            return Err(Overrun {
                producer: produced,
                consumer: self.taken,
                limit,
            });
        }
        if available == 0 {
            return Ok(None);
        }
        let at = entry_at(self.taken, self.count, self.entry_bytes);
        self.page.read(at, entry);
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(()))
    }

    /// Fills the next response with `entry` without showing it to the peer yet.
    ///
    /// # Errors
    /// [`Full`] when every request taken has been answered.
    ///
    /// # Panics
    /// When `entry` is longer than a ring entry: a caller's bug.
    pub fn put(&mut self, entry: &[u8]) -> Result<(), Full> {
        assert!(entry.len() <= self.entry_bytes);
        if self.unanswered() == 0 {
            return Err(Full);
        }
        let at = entry_at(self.filled, self.count, self.entry_bytes);
        self.page.write(at, entry);
        self.filled = self.filled.wrapping_add(1);
        Ok(())
    }

    /// Shows the filled responses to the peer.
    pub fn publish(&mut self) -> Notify {
        let old = self.published;
        self.published = self.filled;
        self.page.store(RSP_PROD, self.published);
        self.page.barrier();
        passes(self.published, old, self.page.load(RSP_EVENT))
    }

    /// Asks for an event with the next request, unless there is one already.
    pub fn arm(&mut self) -> Armed {
        if self.page.load(REQ_PROD) != self.taken {
            return Armed::Ready;
        }
        self.page.store(REQ_EVENT, self.taken.wrapping_add(1));
        self.page.barrier();
        if self.page.load(REQ_PROD) == self.taken {
            Armed::Idle
        } else {
            Armed::Ready
        }
    }
}
