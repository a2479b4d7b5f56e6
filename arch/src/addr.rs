//! Addresses and frame numbers, one type for each kind.
//!
//! A paravirtualised guest sees two numberings of the same frames: its own dense one ([`Pfn`]) and the
//! machine's ([`Mfn`]). Page tables, grants and hypercalls take machine frames; everything else takes ours.

use core::fmt;

/// Bytes in a page or frame.
pub const PAGE_BYTES: usize = 4096;

/// log2 of [`PAGE_BYTES`].
pub const PAGE_SHIFT: u32 = 12;

/// A pseudo-physical frame number: the guest's own numbering, dense from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pfn(pub u64);

/// A machine frame number: the hypervisor's numbering.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mfn(pub u64);

/// A virtual address of this guest, 64 bits wide whatever the guest's own width.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Virt(pub u64);

impl Mfn {
    /// What a p2m list holds for a frame number without a frame (a balloon's hole, vNUMA's gaps), 64-bit spelling.
    pub const INVALID: Self = Self(u64::MAX);

    /// The machine address of the frame's first byte.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0 << PAGE_SHIFT
    }
}

impl fmt::Debug for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pfn {:#x}", self.0)
    }
}

impl fmt::Debug for Mfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mfn {:#x}", self.0)
    }
}

impl fmt::Debug for Virt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
