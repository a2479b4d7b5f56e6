//! The hypercalls that the loader makes, in either width: the convention is in the width's folder. Numbers: `public/xen.h`.

use super::width;
use crate::Errno;
use crate::addr::{Mfn, Pfn, Virt};

const SET_TRAP_TABLE: usize = 0;
const MMU_UPDATE: usize = 1;
const SET_CALLBACKS: usize = 4;
const MEMORY_OP: usize = 12;
const UPDATE_VA_MAPPING: usize = 14;
const GRANT_TABLE_OP: usize = 20;
const MMUEXT_OP: usize = 26;
const SCHED_OP: usize = 29;
const EVENT_CHANNEL_OP: usize = 32;

/// `DOMID_SELF`
const SELF: usize = 0x7FF0;

/// # Safety
/// What the hypercall's own description asks of its arguments: pointers must be valid for what Xen reads and writes.
unsafe fn call(number: usize, args: [usize; 5]) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    let result = unsafe { width::call(number, args) };
    if result < 0 {
        Err(Errno(i32::try_from(-result).unwrap_or(i32::MAX)))
    } else {
        Ok(result.unsigned_abs())
    }
}

/// One request of `mmu_update`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct MmuUpdate {
    ptr: u64,
    val: u64,
}

impl MmuUpdate {
    /// Writes `value` to the page table entry at machine address `at`.
    pub(super) fn entry(at: u64, value: u64) -> Self {
        Self {
            ptr: at,
            val: value,
        }
    }

    /// Says that machine frame `mfn` is our `pfn` (`MMU_MACHPHYS_UPDATE`).
    pub(super) fn machine_to_physical(mfn: Mfn, pfn: Pfn) -> Self {
        Self {
            ptr: mfn.address() | 1,
            val: pfn.0,
        }
    }
}

/// Applies `updates` in order.
///
/// # Safety
/// No mapping that running code or a live reference relies on may change.
pub(super) unsafe fn mmu_update(updates: &[MmuUpdate]) -> Result<(), Errno> {
    // SAFETY: Xen reads `updates.len()` requests at the pointer and writes nothing (no done count is asked for);
    // what the updates mean is the caller's promise.
    unsafe {
        call(
            MMU_UPDATE,
            [updates.as_ptr() as usize, updates.len(), 0, SELF, 0],
        )
    }
    .map(drop)
}

/// Maps `entry` (machine address and flags) at `at`; the level-1 table must exist. The TLB entry is flushed.
///
/// # Safety
/// No code, stack or live reference may rely on what was mapped at `at`.
pub(super) unsafe fn update_va_mapping(at: Virt, entry: u64) -> Result<(), Errno> {
    const INVLPG: usize = 2;
    // SAFETY: takes no pointers; the meaning of the new mapping is the caller's promise.
    unsafe {
        call(
            UPDATE_VA_MAPPING,
            width::mapping_arguments(at, entry, INVLPG),
        )
    }
    .map(drop)
}

/// `struct mmuext_op`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct MmuExtOp {
    cmd: u32,
    arg1: usize,
    arg2: usize,
}

impl MmuExtOp {
    fn new(cmd: u32, table: Mfn) -> Self {
        Self {
            cmd,
            arg1: table.0 as usize,
            arg2: 0,
        }
    }

    /// Pins a top-level table (`MMUEXT_PIN_L3_TABLE`, `MMUEXT_PIN_L4_TABLE`).
    pub(super) fn pin(top: Mfn) -> Self {
        Self::new(width::PIN_TOP, top)
    }

    /// Unpins a table (`MMUEXT_UNPIN_TABLE`).
    pub(super) fn unpin(top: Mfn) -> Self {
        Self::new(4, top)
    }

    /// Loads a new top-level table (`MMUEXT_NEW_BASEPTR`).
    pub(super) fn new_base(top: Mfn) -> Self {
        Self::new(5, top)
    }
}

/// Applies `ops` in order.
///
/// # Safety
/// The mappings that running code relies on must not change.
pub(super) unsafe fn mmuext_op(ops: &[MmuExtOp]) -> Result<(), Errno> {
    // SAFETY: Xen reads `ops.len()` operations at the pointer; their meaning is the caller's promise.
    unsafe { call(MMUEXT_OP, [ops.as_ptr() as usize, ops.len(), 0, SELF, 0]) }.map(drop)
}

macro_rules! with_argument {
    ($(#[$doc:meta])* $name:ident, $number:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// `T` must be the structure that Xen reads and writes for `command`, and pointers in it must be valid.
        pub(super) unsafe fn $name<T>(command: usize, argument: &mut T) -> Result<usize, Errno> {
            // SAFETY: Xen accesses `T` only, during the call, through an exclusive borrow; `T` is the caller's promise.
            unsafe { call($number, [command, core::ptr::from_mut(argument) as usize, 0, 0, 0]) }
        }
    };
}

with_argument!(
    /// `HYPERVISOR_event_channel_op`
    event_channel_op,
    EVENT_CHANNEL_OP
);
with_argument!(
    /// `HYPERVISOR_sched_op`
    sched_op,
    SCHED_OP
);
with_argument!(
    /// `HYPERVISOR_memory_op`
    memory_op,
    MEMORY_OP
);

/// `HYPERVISOR_grant_table_op` with one operation.
///
/// # Safety
/// `T` must be the structure that Xen reads and writes for `command`, and pointers in it must be valid.
pub(super) unsafe fn grant_table_op<T>(command: usize, operation: &mut T) -> Result<usize, Errno> {
    // SAFETY: Xen accesses one `T` during the call, through an exclusive borrow; `T` is the caller's promise.
    unsafe {
        call(
            GRANT_TABLE_OP,
            [command, core::ptr::from_mut(operation) as usize, 1, 0, 0],
        )
    }
}

/// `struct xen_memory_reservation`
#[repr(C)]
struct Reservation {
    extents: *mut usize,
    count: usize,
    order: u32,
    flags: u32,
    dom: u16,
}

/// `struct xen_memory_exchange`
#[repr(C)]
struct Exchange {
    give: Reservation,
    take: Reservation,
    done: usize,
}

/// Gives machine frame `mfn` back to Xen and takes one below 4 GiB for it, as our `pfn`. The old frame must not be mapped.
pub(super) fn exchange_for_low(mfn: Mfn, pfn: Pfn) -> Result<Mfn, Errno> {
    const XENMEM_EXCHANGE: usize = 11;
    const LOW_ADDRESS_BITS: u32 = 32;
    let (mut given, mut taken) = (mfn.0 as usize, pfn.0 as usize);
    let reservation = |extents: *mut usize, flags: u32| Reservation {
        extents,
        count: 1,
        order: 0,
        flags,
        dom: SELF as u16,
    };
    let mut exchange = Exchange {
        give: reservation(&raw mut given, 0),
        take: reservation(&raw mut taken, LOW_ADDRESS_BITS),
        done: 0,
    };
    // SAFETY: the structure is `xen_memory_exchange`; both of its lists have the one element that they name.
    unsafe { memory_op(XENMEM_EXCHANGE, &mut exchange) }?;
    Ok(Mfn(taken as u64))
}

/// `struct trap_info`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct TrapInfo {
    pub(super) vector: u8,
    pub(super) flags: u8,
    pub(super) cs: u16,
    pub(super) address: usize,
}

/// Installs trap handlers; `None` removes them all.
///
/// # Safety
/// The table must end with an entry whose address is 0, and the handlers must follow Xen's frame layout.
pub(super) unsafe fn set_trap_table(table: Option<&[TrapInfo]>) -> Result<(), Errno> {
    let pointer = table.map_or(0, |table| table.as_ptr() as usize);
    // SAFETY: Xen reads entries up to the one with address 0, which the caller promises; 0 clears.
    unsafe { call(SET_TRAP_TABLE, [pointer, 0, 0, 0, 0]) }.map(drop)
}

/// Clears the event, failsafe and syscall callbacks.
pub(super) fn clear_callbacks() -> Result<(), Errno> {
    // SAFETY: takes three addresses, no pointers to data; zero means none.
    unsafe { call(SET_CALLBACKS, [0, 0, 0, 0, 0]) }.map(drop)
}
