//! What is peculiar to a 64-bit guest.

mod entry;
mod hypercall;
mod strings;
mod trampoline;
mod trap;

pub(super) use hypercall::{call, mapping_arguments};
pub(super) use strings::{copy_downwards, copy_upwards, fill};
pub(super) use trampoline::enter;
pub(super) use trap::{FRAME_HEAD, KERNEL_CS, stack_before};

/// Level of the top page table.
pub(super) const TOP_LEVEL: u32 = 4;

/// Entries of the top page table.
pub(super) const TOP_ENTRIES: u64 = 512;

/// Whether the top table's entries take no flags but "present".
pub(super) const BARE_TOP: bool = false;

/// `MMUEXT_PIN_L4_TABLE`
pub(super) const PIN_TOP: u32 = 3;

/// Addresses for machine frames that are not in this domain's own numbering, above any direct map: the last gigabyte
/// of the lower half.
pub(super) const SPECIAL: u64 = 0x7FFF_C000_0000;

/// Top-level slots that belong to Xen.
const XEN_SLOTS: core::ops::Range<u64> = 256..272;

/// Whether the hypervisor owns address `at`, whose upper bits may be anything.
pub(super) fn is_hypervisors(at: u64) -> bool {
    XEN_SLOTS.contains(&((at >> 39) & 511))
}

/// The processor's time-stamp counter.
pub(super) fn counter() -> u64 {
    // SAFETY: `rdtsc` has no memory effects; Xen lets guests read the counter (or emulates it).
    unsafe { core::arch::x86_64::_rdtsc() }
}
