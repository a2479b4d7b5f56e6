//! Copying and filling with the string instructions of a 64-bit processor, eight bytes a step.

use core::arch::asm;

/// # Safety
/// Both ranges must be valid, and `to` not begin inside `from`'s range, unless they are the same.
pub(in crate::native) unsafe fn copy_upwards(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller's promise covers both ranges; the direction flag is clear by the ABI.
    unsafe {
        asm!(
            "mov rcx, {len}",
            "shr rcx, 3",
            "rep movsq",
            "mov rcx, {len}",
            "and rcx, 7",
            "rep movsb",
            len = in(reg) len,
            inout("rdi") to => _,
            inout("rsi") from => _,
            out("rcx") _,
            options(nostack),
        );
    }
}

/// # Safety
/// Both ranges must be valid, and `from` not begin inside `to`'s range, unless they are the same.
pub(in crate::native) unsafe fn copy_downwards(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller's promise covers both ranges; the direction flag is set for the copy from the end and
    // cleared again as the ABI asks. The odd bytes at the end go first, then whole words downwards.
    unsafe {
        asm!(
            "std",
            "lea rdi, [{to} + {len} - 1]",
            "lea rsi, [{from} + {len} - 1]",
            "mov rcx, {len}",
            "and rcx, 7",
            "rep movsb",
            "sub rdi, 7",
            "sub rsi, 7",
            "mov rcx, {len}",
            "shr rcx, 3",
            "rep movsq",
            "cld",
            to = in(reg) to,
            from = in(reg) from,
            len = in(reg) len,
            out("rcx") _,
            out("rsi") _,
            out("rdi") _,
            options(nostack),
        );
    }
}

/// # Safety
/// The range must be valid.
pub(in crate::native) unsafe fn fill(to: *mut u8, byte: u8, len: usize) {
    let word = u64::from(byte) * 0x0101_0101_0101_0101;
    // SAFETY: the caller's promise covers the range; the direction flag is clear by the ABI.
    unsafe {
        asm!(
            "mov rcx, {len}",
            "shr rcx, 3",
            "rep stosq",
            "mov rcx, {len}",
            "and rcx, 7",
            "rep stosb",
            len = in(reg) len,
            inout("rdi") to => _,
            in("rax") word,
            out("rcx") _,
            options(nostack),
        );
    }
}
