//! Frames on a host: what a loader would do with a guest's memory, without the guest.
//!
//! [`HostFrames`] gives out frame numbers as the loader in a guest does, from one list of free runs; the bytes behind
//! them are ordinary memory, which costs nothing before it is written. [`HostClock`] is the rest of a hypervisor: the
//! time, and a refusal of everything else.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;

use crate::abi::Width;
use crate::addr::{Mfn, PAGE_BYTES, Pfn};
use crate::extents::Extents;
use crate::frames::{FrameSource, Frames, NoFrames};
use crate::hypervisor::{Access, DomId, Errno, GrantRef, Hypervisor, Instant, Port};
use crate::shared::SharedPage;

/// Machine frames run downwards from here, below what 32 bits can name.
const TOP_MFN: u64 = 0xffff_0000;

/// Most frames that a 32-bit loader has addresses for: 3670 MiB (docs/architecture.md).
const REACH_32: u64 = 3670 << 8;

/// One piece of memory behind frames that were given out.
struct Piece {
    start: NonNull<u8>,
    layout: Layout,
    /// The first page-aligned byte, as an address.
    first: usize,
    pages: u64,
    /// Pages of it that are still in use.
    used: u64,
}

/// What this thread's frames hold, and the runs that were given back since somebody looked.
struct Ledger {
    pieces: Vec<Piece>,
    returned: Vec<(u64, u64)>,
}

std::thread_local! {
    static LEDGER: RefCell<Ledger> = const {
        RefCell::new(Ledger { pieces: Vec::new(), returned: Vec::new() })
    };
}

/// A guest's frames, with host memory behind them. One at a time in each thread: runs find their way back through a
/// list of the thread's.
pub struct HostFrames {
    nr_pages: u64,
    reach: u64,
    free: RefCell<Extents>,
    short: Cell<bool>,
}

impl HostFrames {
    /// A guest with frame numbers `0..nr_pages` for a loader of `width`, of which those below `first_free` are in use.
    #[must_use]
    pub fn new(nr_pages: u64, first_free: u64, width: Width) -> Self {
        LEDGER.with_borrow_mut(|ledger| ledger.returned.clear());
        let mut free = Extents::new();
        let reach = match width {
            Width::Bits64 => nr_pages,
            Width::Bits32 => nr_pages.min(REACH_32),
        };
        free.add(first_free, reach.saturating_sub(first_free));
        Self {
            nr_pages,
            reach,
            free: RefCell::new(free),
            short: Cell::new(false),
        }
    }

    /// Whether the host had no memory for frames that the guest would have had.
    #[must_use]
    pub fn was_short(&self) -> bool {
        self.short.get()
    }

    fn take(&self, near: Option<u64>, count: u64) -> Result<Frames, NoFrames> {
        let mut free = self.free.borrow_mut();
        for (first, count) in LEDGER.with_borrow_mut(|ledger| core::mem::take(&mut ledger.returned))
        {
            free.add(first, count);
        }
        let none = |free: &Extents| NoFrames {
            wanted: count,
            free: free.free(),
        };
        let first = near
            .filter(|&first| free.holds(first, count))
            .or_else(|| free.first_fit(count))
            .ok_or_else(|| none(&free))?;
        let Some(start) = obtain(count) else {
            self.short.set(true);
            return Err(none(&free));
        };
        free.subtract(first, count);
        // SAFETY: `obtain` made page-aligned memory of that length for this run alone; it is let go of in `give_back`.
        Ok(unsafe { Frames::new(start, Pfn(first), count, give_back) })
    }
}

/// Zeroed memory of `pages` pages, page aligned; `None` where the host has none.
fn obtain(pages: u64) -> Option<NonNull<u8>> {
    // A page more than needed, with a small alignment: the allocator then takes zeroes from the kernel as they are,
    // and no page is touched before it is used.
    let bytes = usize::try_from(pages.checked_add(1)?).ok()?;
    let layout = Layout::from_size_align(bytes.checked_mul(PAGE_BYTES)?, 16).ok()?;
    // SAFETY: the layout has at least one page.
    let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
    let offset = start.as_ptr().align_offset(PAGE_BYTES);
    // SAFETY: there is one page more than is used, and an offset to the next page is less than that.
    let aligned = unsafe { start.add(offset) };
    LEDGER.with_borrow_mut(|ledger| {
        ledger.pieces.push(Piece {
            start,
            layout,
            first: aligned.addr().get(),
            pages,
            used: pages,
        });
    });
    Some(aligned)
}

/// Takes `count` pages from `start` on back; they are the whole of a piece, or a part of it.
fn give_back(start: NonNull<u8>, first: Pfn, count: u64) {
    // A thread that ends may drop runs after its ledger; their memory then goes with the process.
    let _ = LEDGER.try_with(|ledger| {
        let mut ledger = ledger.borrow_mut();
        ledger.returned.push((first.0, count));
        let at = start.addr().get();
        let index = ledger.pieces.iter().position(|piece| {
            at >= piece.first && (at - piece.first) / PAGE_BYTES < piece.pages as usize
        });
        let Some(index) = index else {
            return;
        };
        let piece = &mut ledger.pieces[index];
        piece.used = piece.used.saturating_sub(count);
        if piece.used == 0 {
            let piece = ledger.pieces.swap_remove(index);
            // SAFETY: allocated in `obtain` with this layout; every page of it has been given back.
            unsafe { dealloc(piece.start.as_ptr(), piece.layout) };
        }
    });
}

impl FrameSource for HostFrames {
    fn allocate(&self, count: u64) -> Result<Frames, NoFrames> {
        self.take(None, count)
    }

    fn allocate_near(&self, at: Pfn, count: u64) -> Result<Frames, NoFrames> {
        self.take(Some(at.0), count)
    }

    fn mfn(&self, pfn: Pfn) -> Mfn {
        if pfn.0 < self.nr_pages {
            Mfn(TOP_MFN.wrapping_sub(pfn.0))
        } else {
            Mfn::INVALID
        }
    }

    fn pfn(&self, mfn: Mfn) -> Pfn {
        Pfn(TOP_MFN.wrapping_sub(mfn.0))
    }

    fn make_low(&self, _pfn: Pfn) -> Result<(), Errno> {
        Ok(())
    }

    fn copy_p2m(&self, _list: &mut [u8]) {
        // Nobody reads it: what is built here is never entered. Megabytes that are not written cost nothing.
    }

    fn nr_pages(&self) -> u64 {
        self.nr_pages
    }

    fn free_frames(&self) -> u64 {
        self.free.borrow().free()
    }

    fn reach(&self) -> u64 {
        self.reach
    }
}

/// A clock, and nothing else of a hypervisor.
#[derive(Debug)]
pub struct HostClock(std::time::Instant);

impl HostClock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Hypervisor for HostClock {
    fn now(&self) -> Instant {
        Instant::default().after(self.0.elapsed())
    }

    fn poll(&self, _ports: &[Port], _deadline: Instant) {}

    fn take_pending(&self, _port: Port) -> bool {
        false
    }

    fn send(&self, _port: Port) -> Result<(), Errno> {
        Err(Errno::INVAL)
    }

    fn open(&self, _remote: DomId) -> Result<Port, Errno> {
        Err(Errno::INVAL)
    }

    fn close(&self, _port: Port) -> Result<(), Errno> {
        Err(Errno::INVAL)
    }

    fn alloc_page(&self) -> Result<SharedPage, Errno> {
        Err(Errno::NOMEM)
    }

    fn free_page(&self, _page: SharedPage) {}

    fn grant(&self, _page: &SharedPage, _to: DomId, _access: Access) -> Result<GrantRef, Errno> {
        Err(Errno::INVAL)
    }

    fn revoke(&self, _grant: GrantRef) -> Result<(), Errno> {
        Err(Errno::INVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_come_back_in_parts() {
        let frames = HostFrames::new(100, 10, Width::Bits64);
        let mut run = frames.allocate(50).expect("90 are free");
        assert_eq!(run.first(), Pfn(10));
        run.fill(7);
        run.truncate(20);
        assert!(run.iter().all(|&byte| byte == 7));
        let near = frames.allocate_near(Pfn(70), 30).expect("they are free");
        assert_eq!(near.first(), Pfn(70));
        let error = frames.allocate(41).expect_err("40 are free in one piece");
        assert_eq!((error.wanted, error.free), (41, 40));
        assert!(near.iter().all(|&byte| byte == 0));
        drop((run, near));
        assert_eq!(frames.allocate(90).expect("all").count(), 90);
        assert!(!frames.was_short());
    }

    #[test]
    fn memory_that_no_host_has_is_missed() {
        let frames = HostFrames::new(1 << 40, 0, Width::Bits64);
        frames.allocate(1 << 39).expect_err("two exabytes");
        assert!(frames.was_short());
        assert_eq!(frames.mfn(Pfn(1 << 40)), Mfn::INVALID);
    }

    #[test]
    fn a_32_bit_loader_has_addresses_for_less() {
        let frames = HostFrames::new(2 << 20, 0, Width::Bits32);
        assert_eq!(frames.reach(), REACH_32);
        assert_eq!(frames.free_frames(), REACH_32);
        assert_eq!(frames.pfn(frames.mfn(Pfn(77))), Pfn(77));
    }
}
