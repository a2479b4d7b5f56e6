//! `memcpy` and its kin, which compiled code calls and no C library supplies here.
//!
//! On the bare-metal target the compiler brings weak ones of its own; these win. String instructions move a whole word
//! a step: byte-wise ones are an order of magnitude slower under emulation, and no slower on real processors.

use super::width::{copy_downwards, copy_upwards, fill};

/// # Safety
/// `to` and `from` must be valid for `len` bytes and not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { copy_upwards(to, from, len) };
    to
}

/// # Safety
/// `to` and `from` must be valid for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: the target does not begin inside the source, so copying upwards reads every byte before it is
        // overwritten.
        unsafe { copy_upwards(to, from, len) };
    } else {
        // SAFETY: the target begins inside the source, so the source does not begin inside the target.
        unsafe { copy_downwards(to, from, len) };
    }
    to
}

/// # Safety
/// `to` must be valid for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { fill(to, byte as u8, len) };
    to
}

/// Byte `index` from `start`, read so that the compiler cannot turn the loop around it into a call of the very function
/// it is in.
///
/// # Safety
/// The byte must be valid.
unsafe fn byte(start: *const u8, index: usize) -> u8 {
    // SAFETY: the caller's promise.
    let at = unsafe { start.add(index) };
    // SAFETY: as above.
    unsafe { at.read_volatile() }
}

/// # Safety
/// `a` and `b` must be valid for `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    let mut at = 0;
    while at < len {
        // SAFETY: `at < len`, and the caller's promise covers `len` bytes.
        let left = unsafe { byte(a, at) };
        // SAFETY: as above.
        let right = unsafe { byte(b, at) };
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
    while unsafe { byte(text, len) } != 0 {
        len += 1;
    }
    len
}

/// Named by landing pads in a prebuilt standard library; never called, as panics do not unwind here.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    super::shutdown(super::Shutdown::Crash)
}
