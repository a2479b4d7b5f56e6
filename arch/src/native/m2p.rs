//! The machine-to-physical table that Xen maps, read only, into every guest.

use crate::addr::{Mfn, Pfn};

/// `MACH2PHYS_VIRT_START` of a 64-bit guest (`public/arch-x86/xen-x86_64.h`): one word per machine frame.
const TABLE: usize = 0xFFFF_8000_0000_0000;
/// `MACH2PHYS_VIRT_END`
const TABLE_END: usize = 0xFFFF_8040_0000_0000;

/// Our number for machine frame `mfn`, which must be a frame of ours (a table we run on, a ring of ours).
pub(super) fn pfn_of(mfn: Mfn) -> Pfn {
    let at = (mfn.0 as usize)
        .checked_mul(size_of::<usize>())
        .and_then(|offset| TABLE.checked_add(offset))
        .filter(|&at| at < TABLE_END)
        .unwrap_or_else(|| panic!("{mfn:?} is beyond the machine-to-physical table"));
    // SAFETY: inside the table's address range (checked above); Xen maps it for every frame that a guest owns, and
    // the callers name frames of ours.
    Pfn(unsafe { (at as *const usize).read_volatile() } as u64)
}
