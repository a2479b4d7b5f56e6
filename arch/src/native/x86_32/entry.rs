//! The first instructions of a 32-bit guest, and the note that only it has.

use core::arch::global_asm;

use crate::native::entry::start;

// Note 9, PAE_MODE: "yes" is what every Xen that can start this image accepts, and says that the top page table may be
// above 4 GiB.
// In: esi = start_info, flat segments. Out: start_info as argument, on our stack. Clobbers nothing that anyone still
// wants. The floating point state is set as the ABI of compiled code expects it: a kernel that booted us may have left
// its own.
global_asm!(
    ".section .note.Xen, \"a\", @note",
    ".balign 4",
    "    .long 4, 4, 9",
    "    .asciz \"Xen\"",
    "    .asciz \"yes\"",
    ".section .text.entry, \"ax\", @progbits",
    ".global _start",
    "_start:",
    "    cld",
    "    mov esp, offset entry_stack_end",
    "    fninit",
    "    push 0x1f80",
    "    ldmxcsr [esp]",
    "    pop eax",
    "    xor ebp, ebp",
    "    sub esp, 12",
    "    push esi",
    "    call {start}",
    "    ud2",
    start = sym start,
);
