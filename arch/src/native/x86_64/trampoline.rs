//! The jump of a 64-bit guest.

use core::arch::{asm, global_asm};

use crate::native::handoff::{DATA, ENTRY, OPS, PAGE_ENTRY, STACK_AT, STACK_TOP, START_INFO};

// In: rbx = where this page is mapped now; parameters at rbx + DATA. Uses no stack. Out: rsi = start_info, rsp = stack,
// everything else 0. A refusal by Xen is a crash by `ud2`: the old console is out of reach by then.
global_asm!(
    ".section .rodata.trampoline, \"a\", @progbits",
    ".balign 16",
    ".global trampoline_start, trampoline_end",
    "trampoline_start:",
    // Map this page at its final address (update_va_mapping, UVMF_INVLPG).
    "    mov rdi, [rbx + {stack_at}]",
    "    mov rsi, [rbx + {page_entry}]",
    "    mov edx, 2",
    "    mov eax, 14",
    "    syscall",
    "    test rax, rax",
    "    jnz trampoline_failed",
    // Go on there.
    "    mov rbx, [rbx + {stack_at}]",
    "    lea rax, [rip + trampoline_there]",
    "    lea rcx, [rip + trampoline_start]",
    "    sub rax, rcx",
    "    add rax, rbx",
    "    jmp rax",
    "trampoline_there:",
    // NEW_BASEPTR, then UNPIN of the old top: one mmuext_op of two operations for DOMID_SELF.
    "    lea rdi, [rbx + {ops}]",
    "    mov esi, 2",
    "    xor edx, edx",
    "    mov r10d, 0x7ff0",
    "    mov eax, 26",
    "    syscall",
    "    test rax, rax",
    "    jnz trampoline_failed",
    // The state a kernel is promised.
    "    mov rsi, [rbx + {start_info}]",
    "    mov rsp, [rbx + {stack_top}]",
    "    xor eax, eax",
    "    xor ebx, ebx",
    "    xor ecx, ecx",
    "    xor edx, edx",
    "    xor edi, edi",
    "    xor ebp, ebp",
    "    xor r8d, r8d",
    "    xor r9d, r9d",
    "    xor r10d, r10d",
    "    xor r11d, r11d",
    "    xor r12d, r12d",
    "    xor r13d, r13d",
    "    xor r14d, r14d",
    "    xor r15d, r15d",
    "    cld",
    "    jmp [rip + trampoline_start + {entry}]",
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
    unsafe { asm!("mov rbx, {at}", "jmp rbx", at = in(reg) at, options(noreturn)) }
}
