//! A page that another domain may read and write at any moment.
//!
//! [`SharedPage`] gives access by offset only: atomics for indices, byte copies for contents, never a reference.
//! The peer is hostile: copy a slot out, check the copy, use the copy.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::addr::{Mfn, PAGE_BYTES};

/// One page shared with another domain, or ready to be.
///
/// Invariant: `start` is page aligned and valid for reads and writes of [`PAGE_BYTES`] bytes for as long as
/// the value lives, and no Rust reference to those bytes exists.
#[derive(Debug)]
pub struct SharedPage {
    start: NonNull<u8>,
    mfn: Mfn,
}

impl SharedPage {
    /// Wraps the page at `start`, which is machine frame `mfn`.
    ///
    /// # Safety
    /// `start` must be page aligned and valid for reads and writes of a page until the value is given back to
    /// whoever made it, and no reference to the bytes may exist meanwhile.
    #[must_use]
    pub unsafe fn new(start: NonNull<u8>, mfn: Mfn) -> Self {
        assert!(start.addr().get().is_multiple_of(PAGE_BYTES));
        Self { start, mfn }
    }

    /// The machine frame: what a grant or a page table entry names.
    #[must_use]
    pub fn mfn(&self) -> Mfn {
        self.mfn
    }

    /// The page's first byte, for its allocator.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    fn at(&self, offset: usize, len: usize) -> NonNull<u8> {
        assert!(
            offset <= PAGE_BYTES && len <= PAGE_BYTES - offset,
            "shared page access at {offset}+{len}"
        );
        // SAFETY: offset + len <= PAGE_BYTES was checked above, and the type's invariant makes that range valid.
        unsafe { self.start.add(offset) }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4), "unaligned word at {offset}");
        let at = self.at(offset, 4).cast::<u32>();
        // SAFETY: aligned (the page is page aligned, offset a multiple of 4), inside the page (checked by `at`),
        // valid while `self` is borrowed; all accesses on this side are atomic or byte copies.
        unsafe { AtomicU32::from_ptr(at.as_ptr()) }
    }

    /// The 32-bit word at `offset` (bytes, a multiple of 4), with acquire ordering: what the peer wrote before
    /// it published this word is visible afterwards.
    ///
    /// # Panics
    /// For an offset outside the page or unaligned: a caller's bug.
    #[must_use]
    pub fn load(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Acquire)
    }

    /// Publishes `value` at `offset` (bytes, a multiple of 4), with release ordering: what this side wrote before
    /// is visible to a peer that reads the word.
    ///
    /// # Panics
    /// For an offset outside the page or unaligned: a caller's bug.
    pub fn store(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Release);
    }

    /// Clears the bits of `mask` in the word at `offset` (bytes, a multiple of 4) and returns what was there, as one
    /// step against the other side.
    ///
    /// # Panics
    /// For an offset outside the page or unaligned: a caller's bug.
    pub fn clear_bits(&self, offset: usize, mask: u32) -> u32 {
        self.word(offset).fetch_and(!mask, Ordering::AcqRel)
    }

    /// Replaces the word at `offset` (bytes, a multiple of 4) by `new` if it is `current`.
    ///
    /// # Errors
    /// What is there instead.
    /// # Panics
    /// For an offset outside the page or unaligned: a caller's bug.
    pub fn replace(&self, offset: usize, current: u32, new: u32) -> Result<(), u32> {
        self.word(offset)
            .compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }

    /// Writes the byte at `offset`.
    ///
    /// # Panics
    /// For an offset outside the page: a caller's bug.
    pub fn store_byte(&self, offset: usize, value: u8) {
        let at = self.at(offset, 1);
        // SAFETY: inside the page (checked by `at`); this side touches it only through atomics and byte copies.
        unsafe { AtomicU8::from_ptr(at.as_ptr()) }.store(value, Ordering::Release);
    }

    /// The byte at `offset`.
    ///
    /// # Panics
    /// For an offset outside the page: a caller's bug.
    #[must_use]
    pub fn load_byte(&self, offset: usize) -> u8 {
        let at = self.at(offset, 1);
        // SAFETY: inside the page (checked by `at`); this side touches it only through atomics and byte copies.
        unsafe { AtomicU8::from_ptr(at.as_ptr()) }.load(Ordering::Acquire)
    }

    /// Copies bytes from `offset` on into `out`.
    ///
    /// # Panics
    /// When the range leaves the page: a caller's bug.
    pub fn read(&self, offset: usize, out: &mut [u8]) {
        let at = self.at(offset, out.len());
        // SAFETY: the source range is inside the page (checked by `at`), `out` is a distinct exclusive borrow (no
        // reference to the page exists), and bytes have no invalid values if the peer writes meanwhile.
        unsafe { core::ptr::copy_nonoverlapping(at.as_ptr(), out.as_mut_ptr(), out.len()) }
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    /// When the range leaves the page: a caller's bug.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let at = self.at(offset, bytes.len());
        // SAFETY: the target range is inside the page (checked by `at`), and `bytes` cannot overlap it because no
        // reference to the page exists.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), at.as_ptr(), bytes.len()) }
    }

    /// Orders every earlier access before every later one, also against the other domain (a full barrier).
    pub fn barrier(&self) {
        core::sync::atomic::fence(Ordering::SeqCst);
    }
}
