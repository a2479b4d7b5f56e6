//! Runs of frames this domain owns and has mapped.
//!
//! [`Frames`] is one run of consecutive pseudo-physical frames, mapped at consecutive addresses and owned like a
//! box; [`FrameSource`] gives them out. What the next kernel will find in memory is written through these.

use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use crate::addr::{Mfn, PAGE_BYTES, Pfn};
use crate::hypervisor::Errno;

/// Machine frames below this are below 4 GiB.
pub const LOW_FRAMES: u64 = 1 << 20;

/// A run of frames, readable and writable as bytes; given back when dropped. Contents are unspecified at first.
///
/// Invariant: `start` is page aligned and valid for reads and writes of `count` pages, owned by this value alone.
pub struct Frames {
    start: NonNull<u8>,
    first: Pfn,
    count: u64,
    release: fn(NonNull<u8>, Pfn, u64),
}

/// No run of that many frames is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoFrames {
    /// Frames asked for.
    pub wanted: u64,
    /// Frames free in all.
    pub free: u64,
}

/// Where runs of frames come from, and how this domain's frames are numbered by the machine.
pub trait FrameSource {
    /// A run of `count` frames.
    ///
    /// # Errors
    /// [`NoFrames`] when no run is long enough.
    fn allocate(&self, count: u64) -> Result<Frames, NoFrames>;

    /// A run of `count` frames, from `at` on if those are free, from anywhere if not. Frames that already have
    /// the number the next kernel wants need no renumbering.
    ///
    /// # Errors
    /// [`NoFrames`] when no run is long enough.
    fn allocate_near(&self, at: Pfn, count: u64) -> Result<Frames, NoFrames> {
        let _ = at;
        self.allocate(count)
    }

    /// The machine frame behind `pfn`; [`Mfn::INVALID`] for a hole or a number beyond [`FrameSource::nr_pages`].
    fn mfn(&self, pfn: Pfn) -> Mfn;

    /// This domain's number for a machine frame of its own.
    fn pfn(&self, mfn: Mfn) -> Pfn;

    /// Sees to it that a frame of the caller's has a machine frame below 2^20: below 4 GiB. What it holds is lost if it
    /// had not.
    ///
    /// # Errors
    /// What Xen answered: no such frame is free in the whole machine.
    fn make_low(&self, pfn: Pfn) -> Result<(), Errno>;

    /// Fills `list` with the machine frames of frame numbers 0, 1, 2… as native little-endian words: a p2m list as
    /// kernels have it. Words beyond [`FrameSource::nr_pages`] become all ones.
    fn copy_p2m(&self, list: &mut [u8]);

    /// Frame numbers this domain has: `0..nr_pages`.
    fn nr_pages(&self) -> u64;

    /// Frames free at present.
    fn free_frames(&self) -> u64;

    /// Frames that can be mapped here at once, at most: all of them, unless addresses are too short.
    fn reach(&self) -> u64 {
        self.nr_pages()
    }
}

impl Frames {
    /// Wraps `count` frames from `first` on, mapped at `start`; `release` is called with the three when they are
    /// dropped.
    ///
    /// # Safety
    /// `start` must be page aligned and valid for reads and writes of `count` pages until `release` is called, and
    /// nothing else may use those bytes.
    #[must_use]
    pub unsafe fn new(
        start: NonNull<u8>,
        first: Pfn,
        count: u64,
        release: fn(NonNull<u8>, Pfn, u64),
    ) -> Self {
        assert!(start.addr().get().is_multiple_of(PAGE_BYTES));
        Self {
            start,
            first,
            count,
            release,
        }
    }

    /// The first frame's number.
    #[must_use]
    pub fn first(&self) -> Pfn {
        self.first
    }

    /// Frames in the run.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Gives all frames but the first `count` back.
    pub fn truncate(&mut self, count: u64) {
        if count >= self.count {
            return;
        }
        let rest = self.count - count;
        // SAFETY: inside the run, as `count` is less than its length; the tail is this value's to give away.
        let tail = unsafe { self.start.add(count as usize * PAGE_BYTES) };
        self.count = count;
        (self.release)(tail, Pfn(self.first.0 + count), rest);
    }

    /// Bytes in the run.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        // A run is mapped, so its bytes can be counted by a usize.
        self.count as usize * PAGE_BYTES
    }
}

impl Deref for Frames {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the type's invariant: mapped, owned by this value, and borrowed as long as the slice lives.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len_bytes()) }
    }
}

impl DerefMut for Frames {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the type's invariant: mapped, owned by this value, and exclusively borrowed here.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len_bytes()) }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        (self.release)(self.start, self.first, self.count);
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames from {:?}", self.count, self.first)
    }
}

impl fmt::Display for NoFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no room for {} KiB in one piece ({} KiB are free)",
            self.wanted * 4,
            self.free * 4
        )
    }
}

impl core::error::Error for NoFrames {}
