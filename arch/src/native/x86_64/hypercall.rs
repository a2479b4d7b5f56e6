//! Hypercalls of a 64-bit guest, made with a bare `syscall`: no hypercall page is needed, so none can go missing.

use core::arch::asm;

use crate::addr::Virt;

/// Number in rax, arguments in rdi, rsi, rdx, r10, r8, result in rax (negated errno); rcx and r11 are destroyed by
/// the instruction, and a debugging Xen destroys the argument registers too.
///
/// # Safety
/// What the hypercall's own description asks of its arguments: pointers must be valid for what Xen reads and writes.
pub(in crate::native) unsafe fn call(number: usize, args: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: Xen's 64-bit hypercall convention (see above): these registers and no others change, the stack is not
    // touched; the caller vouches for pointers.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            inlateout("rdi") args[0] => _,
            inlateout("rsi") args[1] => _,
            inlateout("rdx") args[2] => _,
            inlateout("r10") args[3] => _,
            inlateout("r8") args[4] => _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Arguments of `update_va_mapping`: address, entry, flags.
pub(in crate::native) fn mapping_arguments(at: Virt, entry: u64, flags: usize) -> [usize; 5] {
    [at.0 as usize, entry as usize, flags, 0, 0]
}
