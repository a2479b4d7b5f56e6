//! Exceptions of a 64-bit guest: stubs and the frame that Xen pushes.

use core::arch::global_asm;

use crate::native::trap::{STUB_BYTES, report};

/// Code segment of a 64-bit guest kernel (`FLAT_KERNEL_CS`).
pub(in crate::native) const KERNEL_CS: u16 = 0xe033;

// What every stub calls. Xen enters with rcx and r11 below the usual frame.
// In: rsp -> return address in the stub, rcx, r11, [error], rip, cs, rflags, rsp, ss. Out: rdi = vector, rsi = that frame; never returns.
global_asm!(
    ".section .text.trap, \"ax\", @progbits",
    ".global trap_common",
    "trap_common:",
    "    pop rdi",
    "    lea rax, [rip + trap_stubs]",
    "    sub rdi, rax",
    "    shr rdi, {shift}",
    "    mov rsi, rsp",
    "    and rsp, -16",
    "    cld",
    "    call {report}",
    "    ud2",
    shift = const STUB_BYTES.ilog2(),
    report = sym report,
);

/// Words of the frame below the error code, or below the instruction's address where there is none.
pub(in crate::native) const FRAME_HEAD: usize = 2;

/// Where the stack pointer was, given `frame` and the index of the instruction's address in it: Xen always pushes it.
///
/// # Safety
/// `frame` must be what a stub passes.
pub(in crate::native) unsafe fn stack_before(frame: *const usize, instruction: usize) -> usize {
    // SAFETY: the frame holds instruction, code segment, flags, stack pointer, stack segment, one after another.
    let place = unsafe { frame.add(instruction + 3) };
    // SAFETY: as above.
    unsafe { place.read() }
}
