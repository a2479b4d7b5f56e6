//! The first instructions of a 64-bit guest.

use core::arch::global_asm;

use crate::native::entry::start;

// In: rsi = start_info. Out: rdi = start_info, on our stack. Clobbers nothing that anyone still wants.
// The floating point state is set as the ABI of compiled code expects it: a kernel that booted us may have left its own.
global_asm!(
    ".section .text.entry, \"ax\", @progbits",
    ".global _start",
    "_start:",
    "    cld",
    "    lea rsp, [rip + entry_stack_end]",
    "    fninit",
    "    push 0x1f80",
    "    ldmxcsr [rsp]",
    "    pop rax",
    "    xor ebp, ebp",
    "    mov rdi, rsi",
    "    call {start}",
    "    ud2",
    start = sym start,
);
