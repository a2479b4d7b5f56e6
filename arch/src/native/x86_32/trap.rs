//! Exceptions of a 32-bit guest: stubs and the frame that Xen pushes.

use core::arch::global_asm;

use crate::native::trap::{STUB_BYTES, report};

/// Code segment of a 32-bit guest kernel (`FLAT_RING1_CS`).
pub(in crate::native) const KERNEL_CS: u16 = 0xe019;

// What every stub calls.
// In: esp -> return address in the stub, [error], eip, cs, eflags, as on the bare processor for an exception without a
// change of ring.
// Out: vector and that frame as arguments; never returns.
global_asm!(
    ".section .text.trap, \"ax\", @progbits",
    ".global trap_common",
    "trap_common:",
    "    pop eax",
    "    sub eax, offset trap_stubs",
    "    shr eax, {shift}",
    "    mov ecx, esp",
    "    and esp, -16",
    "    sub esp, 8",
    "    push ecx",
    "    push eax",
    "    cld",
    "    call {report}",
    "    ud2",
    shift = const STUB_BYTES.ilog2(),
    report = sym report,
);

/// Words of the frame below the error code, or below the instruction's address where there is none.
pub(in crate::native) const FRAME_HEAD: usize = 0;

/// Where the stack pointer was, given `frame` and the index of the instruction's address in it: right above the frame,
/// which ends with the flags.
///
/// # Safety
/// None to mind: nothing is read.
pub(in crate::native) unsafe fn stack_before(frame: *const usize, instruction: usize) -> usize {
    frame.addr() + (instruction + 3) * size_of::<usize>()
}
