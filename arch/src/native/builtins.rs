//! `memcpy` and its kin, which compiled code calls and no C library supplies here.
//!
//! On the bare-metal target the compiler brings weak ones of its own; these win. String instructions move eight
//! bytes a step: byte-wise ones are an order of magnitude slower under emulation, and no slower on real processors.

use core::arch::asm;

/// # Safety
/// `to` and `from` must be valid for `len` bytes and not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
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
    to
}

/// # Safety
/// `to` and `from` must be valid for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: the target does not begin inside the source, so copying upwards reads every byte before it is
        // overwritten: `rep movs` proceeds in that order.
        return unsafe { memcpy(to, from, len) };
    }
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
    to
}

/// # Safety
/// `to` must be valid for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    let word = u64::from(byte as u8) * 0x0101_0101_0101_0101;
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
    to
}

/// # Safety
/// `a` and `b` must be valid for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    let mut at = 0;
    while at < len {
        // SAFETY: `at < len`, and the caller's promise covers `len` bytes.
        let left = unsafe { a.add(at).read_volatile() };
        // SAFETY: as above.
        let right = unsafe { b.add(at).read_volatile() };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
        at += 1;
    }
    0
}

/// # Safety
/// `a` and `b` must be valid for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { memcmp(a, b, len) }
}

/// # Safety
/// `text` must be valid up to and including a NUL byte.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut len = 0;
    // SAFETY: the caller promises a NUL, and no byte beyond it is read.
    while unsafe { text.add(len).read_volatile() } != 0 {
        len += 1;
    }
    len
}

/// Named by landing pads in a prebuilt standard library; never called, as panics do not unwind here.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    super::shutdown(super::Shutdown::Crash)
}
