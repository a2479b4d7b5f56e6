//! What is peculiar to a 32-bit guest, which has PAE page tables and runs in ring 1 of a 64-bit Xen.

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
pub(super) const TOP_LEVEL: u32 = 3;

/// Entries of the top page table, in a whole page.
pub(super) const TOP_ENTRIES: u64 = 4;

/// Whether the top table's entries take no flags but "present".
pub(super) const BARE_TOP: bool = true;

/// `MMUEXT_PIN_L3_TABLE`
pub(super) const PIN_TOP: u32 = 2;

/// Where Xen's addresses begin at the earliest (`HYPERVISOR_VIRT_START_PAE`, `public/arch-x86/xen-x86_32.h`); Xen lets
/// them begin later only for a kernel whose notes ask for it, and the loader's do not.
const HYPERVISOR: u64 = 0xF580_0000;

/// Addresses for machine frames that are not in this domain's own numbering, above the direct map: the last 2 MiB, one
/// level-1 table, before Xen's.
pub(super) const SPECIAL: u64 = HYPERVISOR - 0x20_0000;

/// Whether the hypervisor owns address `at`.
pub(super) fn is_hypervisors(at: u64) -> bool {
    at >= HYPERVISOR
}

/// The processor's time-stamp counter.
pub(super) fn counter() -> u64 {
    // SAFETY: `rdtsc` has no memory effects; Xen lets guests read the counter (or emulates it).
    unsafe { core::arch::x86::_rdtsc() }
}
