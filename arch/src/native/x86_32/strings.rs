//! Copying and filling with the string instructions of a 32-bit processor, four bytes a step.

use core::arch::global_asm;

// cdecl: to, from or byte, length. Routines of their own, because the compiler keeps esi for itself.
global_asm!(
    ".section .text.strings, \"ax\", @progbits",
    ".balign 16",
    "move_up:",
    "    push esi",
    "    push edi",
    "    mov edi, [esp + 12]",
    "    mov esi, [esp + 16]",
    "    mov edx, [esp + 20]",
    "    mov ecx, edx",
    "    shr ecx, 2",
    "    rep movsd",
    "    mov ecx, edx",
    "    and ecx, 3",
    "    rep movsb",
    "    pop edi",
    "    pop esi",
    "    ret",
    // From the end: the odd bytes first, then whole words downwards.
    ".balign 16",
    "move_down:",
    "    push esi",
    "    push edi",
    "    mov edi, [esp + 12]",
    "    mov esi, [esp + 16]",
    "    mov edx, [esp + 20]",
    "    lea edi, [edi + edx - 1]",
    "    lea esi, [esi + edx - 1]",
    "    std",
    "    mov ecx, edx",
    "    and ecx, 3",
    "    rep movsb",
    "    sub edi, 3",
    "    sub esi, 3",
    "    mov ecx, edx",
    "    shr ecx, 2",
    "    rep movsd",
    "    cld",
    "    pop edi",
    "    pop esi",
    "    ret",
    ".balign 16",
    "fill_bytes:",
    "    push edi",
    "    mov edi, [esp + 8]",
    "    mov eax, [esp + 12]",
    "    mov edx, [esp + 16]",
    "    mov ecx, edx",
    "    shr ecx, 2",
    "    rep stosd",
    "    mov ecx, edx",
    "    and ecx, 3",
    "    rep stosb",
    "    pop edi",
    "    ret",
);

unsafe extern "C" {
    fn move_up(to: *mut u8, from: *const u8, len: usize);
    fn move_down(to: *mut u8, from: *const u8, len: usize);
    fn fill_bytes(to: *mut u8, word: u32, len: usize);
}

/// # Safety
/// Both ranges must be valid, and `to` not begin inside `from`'s range, unless they are the same.
pub(in crate::native) unsafe fn copy_upwards(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller's promise covers both ranges; the direction flag is clear by the ABI.
    unsafe { move_up(to, from, len) }
}

/// # Safety
/// Both ranges must be valid, and `from` not begin inside `to`'s range, unless they are the same.
pub(in crate::native) unsafe fn copy_downwards(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller's promise covers both ranges; the routine leaves the direction flag as the ABI asks.
    unsafe { move_down(to, from, len) }
}

/// # Safety
/// The range must be valid.
pub(in crate::native) unsafe fn fill(to: *mut u8, byte: u8, len: usize) {
    // SAFETY: the caller's promise covers the range; the direction flag is clear by the ABI.
    unsafe { fill_bytes(to, u32::from(byte) * 0x0101_0101, len) }
}
