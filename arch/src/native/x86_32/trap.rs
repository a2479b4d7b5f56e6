//! Exceptions of a 32-bit guest: stubs and the frame that Xen pushes.

use core::arch::global_asm;

use crate::native::trap::{VECTORS, has_error_code, report};

/// Code segment of a 32-bit guest kernel (`FLAT_RING1_CS`).
pub(in crate::native) const KERNEL_CS: u16 = 0xe019;

/// Bytes from one vector's stub to the next one's.
pub(in crate::native) const STUB_BYTES: usize = 16;

// One stub per vector, 16 bytes apart; the common part knows the vector from the address that `call` pushed.
// In: esp -> [error], eip, cs, eflags, as on the bare processor for an exception without a change of ring.
// Out: vector and that frame as arguments; never returns.
global_asm!(
    ".section .text.trap, \"ax\", @progbits",
    ".balign 16",
    "trap_stubs:",
    ".rept {vectors}",
    "    .balign 16",
    "    call trap_common",
    ".endr",
    "trap_common:",
    "    pop eax",
    "    sub eax, offset trap_stubs",
    "    shr eax, 4",
    "    mov ecx, esp",
    "    and esp, -16",
    "    sub esp, 8",
    "    push ecx",
    "    push eax",
    "    cld",
    "    call {report}",
    "    ud2",
    vectors = const VECTORS,
    report = sym report,
);

unsafe extern "C" {
    #[link_name = "trap_stubs"]
    static STUBS: u8;
}

/// Where the first stub is.
pub(in crate::native) fn stubs() -> usize {
    (&raw const STUBS).addr()
}

/// What Xen tells of an exception.
pub(in crate::native) struct Fault {
    pub(in crate::native) error: usize,
    pub(in crate::native) instruction: usize,
    pub(in crate::native) stack: usize,
}

impl Fault {
    /// # Safety
    /// `frame` must be what the stub of `vector` passes.
    pub(in crate::native) unsafe fn read(vector: usize, frame: *const usize) -> Self {
        let word = |index: usize| {
            // SAFETY: the stub passes the frame that Xen pushed; indices stay below its length (3 words after `first`).
            let at = unsafe { frame.add(index) };
            // SAFETY: as above.
            unsafe { at.read() }
        };
        let (first, error) = if has_error_code(vector) {
            (1, word(0))
        } else {
            (0, 0)
        };
        Self {
            error,
            instruction: word(first),
            stack: frame.addr() + (first + 3) * size_of::<usize>(),
        }
    }
}
