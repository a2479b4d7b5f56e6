//! Hypercalls of a 32-bit guest, made with a bare `int 0x82`: no hypercall page is needed, so none can go missing.

use core::arch::global_asm;

use crate::addr::Virt;

// cdecl: number, pointer to five arguments. A routine of its own, because the compiler keeps esi for itself.
global_asm!(
    ".section .text.hypercall, \"ax\", @progbits",
    ".balign 16",
    "trap_to_xen:",
    "    push ebx",
    "    push esi",
    "    push edi",
    "    mov eax, [esp + 16]",
    "    mov edi, [esp + 20]",
    "    mov ebx, [edi]",
    "    mov ecx, [edi + 4]",
    "    mov edx, [edi + 8]",
    "    mov esi, [edi + 12]",
    "    mov edi, [edi + 16]",
    "    int 0x82",
    "    pop edi",
    "    pop esi",
    "    pop ebx",
    "    ret",
);

unsafe extern "C" {
    fn trap_to_xen(number: usize, args: *const usize) -> isize;
}

/// Number in eax, arguments in ebx, ecx, edx, esi, edi, result in eax (negated errno); a debugging Xen destroys the
/// argument registers.
///
/// # Safety
/// What the hypercall's own description asks of its arguments: pointers must be valid for what Xen reads and writes.
pub(in crate::native) unsafe fn call(number: usize, args: [usize; 5]) -> isize {
    // SAFETY: the routine above keeps every register that its ABI says it keeps; the caller vouches for pointers.
    unsafe { trap_to_xen(number, args.as_ptr()) }
}

/// Arguments of `update_va_mapping`: address, entry's halves, flags.
pub(in crate::native) fn mapping_arguments(at: Virt, entry: u64, flags: usize) -> [usize; 5] {
    [
        at.0 as usize,
        entry as usize,
        (entry >> 32) as usize,
        flags,
        0,
    ]
}
