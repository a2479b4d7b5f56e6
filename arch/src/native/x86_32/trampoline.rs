//! The jump of a 32-bit guest.

use core::arch::{asm, global_asm};

use crate::native::handoff::{DATA, ENTRY, OPS, PAGE_ENTRY, STACK_AT, STACK_TOP, START_INFO};

// In: ebp = where this page is mapped now; parameters at ebp + DATA. Uses no stack, but for one word at the very end.
// Out: esi = start_info, esp = stack, everything else 0. A refusal by Xen is a crash by `ud2`: the old console is out
// of reach by then.
global_asm!(
    ".section .rodata.trampoline, \"a\", @progbits",
    ".balign 16",
    ".global trampoline_start, trampoline_end",
    "trampoline_start:",
    // Map this page at its final address (update_va_mapping, UVMF_INVLPG).
    "    mov ebx, [ebp + {stack_at}]",
    "    mov ecx, [ebp + {page_entry}]",
    "    mov edx, [ebp + {page_entry} + 4]",
    "    mov esi, 2",
    "    mov eax, 14",
    "    int 0x82",
    "    test eax, eax",
    "    jnz trampoline_failed",
    // Go on there.
    "    mov ebp, [ebp + {stack_at}]",
    "    mov eax, offset trampoline_there",
    "    sub eax, offset trampoline_start",
    "    add eax, ebp",
    "    jmp eax",
    "trampoline_there:",
    // NEW_BASEPTR, then UNPIN of the old top: one mmuext_op of two operations for DOMID_SELF.
    "    lea ebx, [ebp + {ops}]",
    "    mov ecx, 2",
    "    xor edx, edx",
    "    mov esi, 0x7ff0",
    "    mov eax, 26",
    "    int 0x82",
    "    test eax, eax",
    "    jnz trampoline_failed",
    // The state a kernel is promised. The entry point passes through the stack's last word: no register is left for it.
    "    mov esi, [ebp + {start_info}]",
    "    mov esp, [ebp + {stack_top}]",
    "    push dword ptr [ebp + {entry}]",
    "    xor eax, eax",
    "    xor ebx, ebx",
    "    xor ecx, ecx",
    "    xor edx, edx",
    "    xor edi, edi",
    "    xor ebp, ebp",
    "    cld",
    "    ret",
    "trampoline_failed:",
    "    ud2",
    "trampoline_end:",
    stack_at = const DATA + STACK_AT,
    page_entry = const DATA + PAGE_ENTRY,
    ops = const DATA + OPS,
    start_info = const DATA + START_INFO,
    stack_top = const DATA + STACK_TOP,
    entry = const DATA + ENTRY,
);

/// Runs the trampoline in the page at `at`.
///
/// # Safety
/// The page must hold the trampoline and its parameters, and what it leads to must take over for good.
pub(in crate::native) unsafe fn enter(at: u64) -> ! {
    // SAFETY: the caller's promise.
    unsafe { asm!("mov ebp, {at}", "jmp ebp", at = in(reg) at as usize, options(noreturn)) }
}
