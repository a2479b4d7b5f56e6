//! Rust's allocator: small pieces from a TLSF pool, large ones straight from runs of frames.
//!
//! A large buffer (a decompressor's window, a file) grows in place while the frames behind it are free, and its
//! frames go back to the frame allocator when it is dropped, so that the next kernel can have them.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use rlsf::Tlsf;

use super::memory;
use super::single::SingleCore;
use crate::addr::PAGE_BYTES;

/// From this size on an allocation is a run of frames of its own.
const LARGE_BYTES: usize = 64 * 1024;

/// Frames that the pool grows by.
const POOL_FRAMES: u64 = 64;

/// First-level classes for blocks up to 32 << 16 bytes, beyond anything below [`LARGE_BYTES`].
type Pool = Tlsf<'static, u32, u16, 16, 16>;

static POOL: SingleCore<Pool> = SingleCore::new(Pool::new());

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

fn frames_for(bytes: usize) -> u64 {
    bytes.div_ceil(PAGE_BYTES) as u64
}

fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE_BYTES
}

fn small(layout: Layout) -> *mut u8 {
    let mut pool = POOL.get();
    if let Some(found) = pool.allocate(layout) {
        return found.as_ptr();
    }
    let Some(start) = memory::claim(None, POOL_FRAMES) else {
        return ptr::null_mut();
    };
    let len = POOL_FRAMES as usize * PAGE_BYTES;
    let block = NonNull::slice_from_raw_parts(start, len);
    // SAFETY: the run was just claimed, is mapped, and is never given back: the pool may have it for good.
    let _ = unsafe { pool.insert_free_block_ptr(block) };
    pool.allocate(layout)
        .map_or(ptr::null_mut(), NonNull::as_ptr)
}

// SAFETY: blocks come from the pool or from exclusive runs of frames, sized and aligned as asked (runs are page
// aligned, larger alignments are refused), and stay valid until deallocated.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_large(layout) {
            return small(layout);
        }
        if layout.align() > PAGE_BYTES {
            return ptr::null_mut();
        }
        memory::claim(None, frames_for(layout.size())).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let Some(at) = NonNull::new(at) else { return };
        if is_large(layout) {
            memory::release(at, frames_for(layout.size()));
        } else {
            // SAFETY: a small block came from the pool with this alignment, and the caller gives it up.
            unsafe { POOL.get().deallocate(at, layout.align()) };
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps `new_size` within what a layout may have, and the alignment was valid already.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if is_large(layout) && is_large(new) {
            let (old_frames, new_frames) = (frames_for(layout.size()), frames_for(new_size));
            if let Some(start) = NonNull::new(at)
                && memory::resize(start, old_frames, new_frames)
            {
                return at;
            }
        }
        // SAFETY: `new` is a valid layout of non-zero size, as the caller promises.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            // SAFETY: both blocks are valid for the smaller of the two sizes and distinct.
            unsafe { ptr::copy_nonoverlapping(at, moved, layout.size().min(new_size)) };
            // SAFETY: the caller gives the old block up.
            unsafe { self.dealloc(at, layout) };
        }
        moved
    }
}
