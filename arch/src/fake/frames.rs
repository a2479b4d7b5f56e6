//! Frames of a fake guest: ordinary memory with invented machine frame numbers.

use alloc::boxed::Box;
use alloc::vec;
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;

use alloc::vec::Vec;

use crate::abi::Width;
use crate::addr::{Mfn, PAGE_BYTES, Pfn};
use crate::frames::{FrameSource, Frames, LOW_FRAMES, NoFrames};
use crate::hypervisor::Errno;

/// A guest's frames. Runs are given out upwards from the first free number and never given again; their memory is
/// leaked, which a test does not mind.
#[derive(Debug)]
pub struct FakeFrames {
    nr_pages: u64,
    next: Cell<u64>,
    hole: Option<u64>,
    width: Width,
    /// Frame numbers whose machine frames were exchanged: the n-th of them has machine frame n.
    low: RefCell<Vec<u64>>,
}

impl FakeFrames {
    /// A guest with frame numbers `0..nr_pages`, of which those below `first_free` are in use. Frame number `hole`, if
    /// given, has no frame behind it (as after ballooning).
    #[must_use]
    pub fn new(nr_pages: u64, first_free: u64, hole: Option<u64>) -> Self {
        Self {
            nr_pages,
            next: Cell::new(first_free),
            hole,
            width: Width::Bits64,
            low: RefCell::new(Vec::new()),
        }
    }

    /// The same for a guest of another width: machine frames have that many bits.
    #[must_use]
    pub fn of_width(self, width: Width) -> Self {
        Self { width, ..self }
    }

    /// Machine frames run downwards from here, so that no pfn is mistaken for an mfn. All are above 4 GiB.
    fn top_mfn(&self) -> u64 {
        match self.width {
            Width::Bits64 => 0x10_0000_0000,
            Width::Bits32 => 0xffff_0000,
        }
    }
}

/// Page-aligned rubbish for ever: frames are not zero when they are given out.
fn leak(count: usize) -> NonNull<u8> {
    let bytes = Box::leak(vec![0xa5_u8; (count + 1) * PAGE_BYTES].into_boxed_slice());
    let offset = bytes.as_ptr().align_offset(PAGE_BYTES);
    NonNull::from(&mut bytes[offset]).cast()
}

impl FrameSource for FakeFrames {
    fn allocate(&self, count: u64) -> Result<Frames, NoFrames> {
        let mut first = self.next.get();
        if let Some(hole) = self.hole
            && (first..first + count).contains(&hole)
        {
            first = hole + 1;
        }
        if first + count > self.nr_pages {
            return Err(NoFrames {
                wanted: count,
                free: self.nr_pages.saturating_sub(first),
            });
        }
        self.next.set(first + count);
        let start = leak(count as usize);
        // SAFETY: the memory is page aligned, long enough, leaked (so valid for ever), and given to this run alone.
        Ok(unsafe { Frames::new(start, Pfn(first), count, |_, _, _| ()) })
    }

    fn mfn(&self, pfn: Pfn) -> Mfn {
        if pfn.0 >= self.nr_pages || self.hole == Some(pfn.0) {
            Mfn::INVALID
        } else if let Some(index) = self.low.borrow().iter().position(|low| *low == pfn.0) {
            Mfn(index as u64)
        } else {
            Mfn(self.top_mfn() - pfn.0)
        }
    }

    fn pfn(&self, mfn: Mfn) -> Pfn {
        let low = self.low.borrow();
        let low = usize::try_from(mfn.0).ok().and_then(|mfn| low.get(mfn));
        Pfn(low.map_or_else(|| self.top_mfn() - mfn.0, |pfn| *pfn))
    }

    fn make_low(&self, pfn: Pfn) -> Result<(), Errno> {
        let mfn = self.mfn(pfn);
        if mfn == Mfn::INVALID {
            return Err(Errno::INVAL);
        }
        if mfn.0 >= LOW_FRAMES {
            self.low.borrow_mut().push(pfn.0);
        }
        Ok(())
    }

    fn copy_p2m(&self, list: &mut [u8]) {
        let bytes = match self.width {
            Width::Bits64 => 8,
            Width::Bits32 => 4,
        };
        for (pfn, word) in list.chunks_exact_mut(bytes).enumerate() {
            let mfn = self.mfn(Pfn(pfn as u64)).0.to_le_bytes();
            word.copy_from_slice(&mfn[..bytes]);
        }
    }

    fn nr_pages(&self) -> u64 {
        self.nr_pages
    }

    fn free_frames(&self) -> u64 {
        self.nr_pages.saturating_sub(self.next.get())
    }
}
