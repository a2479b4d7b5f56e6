//! Frames of a fake guest: ordinary memory with invented machine frame numbers.

use alloc::boxed::Box;
use alloc::vec;
use core::cell::Cell;
use core::ptr::NonNull;

use crate::addr::{Mfn, PAGE_BYTES, Pfn};
use crate::frames::{FrameSource, Frames, NoFrames};

/// A guest's frames. Runs are given out upwards from the first free number and never given again; their memory is
/// leaked, which a test does not mind.
#[derive(Debug)]
pub struct FakeFrames {
    nr_pages: u64,
    next: Cell<u64>,
    hole: Option<u64>,
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
        }
    }

    /// Machine frames run downwards, so that no pfn is mistaken for an mfn.
    const TOP_MFN: u64 = 0x10_0000_0000;
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
        } else {
            Mfn(Self::TOP_MFN - pfn.0)
        }
    }

    fn pfn(&self, mfn: Mfn) -> Pfn {
        Pfn(Self::TOP_MFN - mfn.0)
    }

    fn copy_p2m(&self, list: &mut [u8]) {
        for (pfn, word) in list.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&self.mfn(Pfn(pfn as u64)).0.to_le_bytes());
        }
    }

    fn nr_pages(&self) -> u64 {
        self.nr_pages
    }

    fn free_frames(&self) -> u64 {
        self.nr_pages.saturating_sub(self.next.get())
    }
}
