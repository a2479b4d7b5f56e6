//! The last step: pin the next kernel's page tables, give its frames their new numbers, and jump.
//!
//! [`HandOff::pin`] is the last thing that can fail without harm; [`hand_off`] is the way without return.
//! The jump runs in the next kernel's boot stack page, which holds code and parameters and is mapped at the same
//! address before and after the switch of page tables, so the switching hypercall can be restarted by Xen on either
//! side, and nothing is left to unmap (the idea is the original PV-GRUB's).

use alloc::vec::Vec;
use core::arch::global_asm;

use super::hypercall::{self, MmuExtOp, MmuUpdate};
use super::platform::Platform;
use super::{memory, paging, trap};
use crate::Access;
use crate::addr::{Mfn, PAGE_BYTES, Pfn, Virt};
use crate::frames::Frames;
use crate::hypervisor::Errno;

/// Parameters of the trampoline, 8 bytes each, at this offset of its page.
const DATA: usize = 0x200;

// In: rbx = where this page is mapped now. Uses no stack. Parameters at rbx + DATA:
// +0 final address, +8 level-1 entry that maps the page there, +16 two mmuext_op of 24 bytes, +64 start_info,
// +72 entry point, +80 stack pointer. Out: rsi = start_info, rsp = stack, everything else 0. A refusal by Xen is a
// crash by `ud2`: the old console is out of reach by then.
global_asm!(
    ".section .rodata.trampoline, \"a\", @progbits",
    ".balign 16",
    "trampoline_start:",
    // Map this page at its final address (update_va_mapping, UVMF_INVLPG).
    "    mov rdi, [rbx + {data}]",
    "    mov rsi, [rbx + {data} + 8]",
    "    mov edx, 2",
    "    mov eax, 14",
    "    syscall",
    "    test rax, rax",
    "    jnz trampoline_failed",
    // Go on there.
    "    mov rbx, [rbx + {data}]",
    "    lea rax, [rip + trampoline_there]",
    "    lea rcx, [rip + trampoline_start]",
    "    sub rax, rcx",
    "    add rax, rbx",
    "    jmp rax",
    "trampoline_there:",
    // NEW_BASEPTR, then UNPIN of the old top: one mmuext_op of two operations for DOMID_SELF.
    "    lea rdi, [rbx + {data} + 16]",
    "    mov esi, 2",
    "    xor edx, edx",
    "    mov r10d, 0x7ff0",
    "    mov eax, 26",
    "    syscall",
    "    test rax, rax",
    "    jnz trampoline_failed",
    // The state a kernel is promised.
    "    mov rsi, [rbx + {data} + 64]",
    "    mov rsp, [rbx + {data} + 80]",
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
    "    jmp [rip + trampoline_start + {data} + 72]",
    "trampoline_failed:",
    "    ud2",
    "trampoline_end:",
    data = const DATA,
);

unsafe extern "C" {
    #[link_name = "trampoline_start"]
    static TRAMPOLINE: u8;
    #[link_name = "trampoline_end"]
    static TRAMPOLINE_END: u8;
}

/// What the jump needs. It owns the frames that nobody may write from the pin on.
#[derive(Debug)]
pub struct HandOff {
    /// The new page tables; the first frame is the top one.
    pub tables: Vec<Frames>,
    /// The frame that becomes the boot stack; its contents are overwritten.
    pub stack: Frames,
    /// Where the new tables map the boot stack page.
    pub stack_at: Virt,
    /// Where the new tables map start_info.
    pub start_info_at: Virt,
    /// The kernel's entry point.
    pub entry: Virt,
}

/// A set of pinned page tables.
#[derive(Debug)]
pub struct Pinned(HandOff);

/// Frames kept mapped and free for what happens between the pin and the jump.
const HEADROOM: u64 = 512;

/// The frames of the page tables this code runs on, once everything is mapped that the way to the jump to `stack_at`
/// needs. The next kernel's tables must not map them writable.
#[must_use]
pub fn live_tables(stack_at: Virt) -> Vec<u64> {
    memory::prepare(stack_at);
    // After the pin the loader's own tables must not grow: a frame that the new tables map cannot become a table.
    if let Some(start) = memory::claim(None, HEADROOM) {
        memory::release(start, HEADROOM);
    }
    let mut found = Vec::with_capacity(1024);
    loop {
        found.clear();
        // Growing the list in the middle could change the tables that are being listed: count first, then make room.
        let capacity = found.capacity();
        let mut count = 0_usize;
        memory::live_tables(&mut |pfn| {
            count += 1;
            if count <= capacity {
                found.push(pfn.0);
            }
        });
        if count <= capacity {
            found.sort_unstable();
            return found;
        }
        found = Vec::with_capacity(count + 64);
    }
}

/// Most updates given to Xen at once.
const BATCH: usize = 512;

impl HandOff {
    /// Has Xen check and pin the new tables. Their frames can only be read from here on.
    ///
    /// # Errors
    /// Xen's refusal; the tables are plain writable memory again, and nothing has changed. Xen's log says which
    /// entry it did not like.
    pub fn pin(self) -> Result<Pinned, Errno> {
        memory::prepare(self.stack_at);
        for pfn in self.table_frames() {
            // SAFETY: this value owns the frames and hands out no reference to them, so nobody writes them.
            unsafe { memory::protect(pfn, Access::ReadOnly) };
        }
        let pin = MmuExtOp {
            cmd: MmuExtOp::PIN_TOP,
            arg1: self.top().0,
            arg2: 0,
        };
        // SAFETY: pinning changes no mapping.
        match unsafe { hypercall::mmuext_op(&[pin]) } {
            Ok(()) => Ok(Pinned(self)),
            Err(error) => {
                self.unprotect();
                Err(error)
            }
        }
    }

    fn table_frames(&self) -> impl Iterator<Item = Pfn> + '_ {
        self.tables
            .iter()
            .flat_map(|run| (0..run.count()).map(|step| Pfn(run.first().0 + step)))
    }

    fn top(&self) -> Mfn {
        self.tables
            .first()
            .map_or(Mfn::INVALID, |run| memory::mfn(run.first()))
    }

    fn unprotect(&self) {
        for pfn in self.table_frames() {
            // SAFETY: the frames are no tables (any more), so a writable mapping harms nobody.
            unsafe { memory::protect(pfn, Access::ReadWrite) };
        }
    }
}

impl Pinned {
    /// Gives the tables up again: for when the devices could not be closed.
    pub fn unpin(self) {
        let unpin = MmuExtOp {
            cmd: MmuExtOp::UNPIN,
            arg1: self.0.top().0,
            arg2: 0,
        };
        // SAFETY: the tables are not the ones in use.
        if unsafe { hypercall::mmuext_op(&[unpin]) }.is_ok() {
            self.0.unprotect();
        }
    }
}

/// Tells Xen the new numbers of the frames in `renumbered` (machine frame, new number), and enters the kernel.
///
/// Every device must be quiet, every grant ended and every own port closed; `renumbered` must describe, together
/// with the frames it leaves out, a permutation of this domain's frames; the pinned tables must map the image that
/// the entry point expects. A kernel that is handed less comes to grief by itself: this program ends here.
pub fn hand_off(pinned: Pinned, renumbered: &mut dyn Iterator<Item = (Mfn, Pfn)>) -> ! {
    let Pinned(jump) = pinned;
    let stack = write_trampoline(&jump);
    trap::leave();
    Platform::leave();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        batch.extend(
            renumbered
                .take(BATCH)
                .map(|(mfn, pfn)| MmuUpdate::machine_to_physical(mfn, pfn)),
        );
        if batch.is_empty() {
            break;
        }
        // SAFETY: these updates change numbers, not mappings; nothing here asks for numbers any more.
        if let Err(error) = unsafe { hypercall::mmu_update(&batch) } {
            panic!("xen refused to renumber the frames ({error})");
        }
    }
    // SAFETY: the page holds the trampoline (above), is mapped executable in the direct map, and takes over for good.
    unsafe {
        core::arch::asm!(
            "mov rbx, {stack}",
            "jmp rbx",
            stack = in(reg) stack,
            options(noreturn),
        )
    }
}

/// Fills the boot stack page with code and parameters, and returns where the direct map shows it.
fn write_trampoline(jump: &HandOff) -> u64 {
    let stack = jump.stack.first();
    let at = memory::virt_of(stack);
    let start = core::ptr::with_exposed_provenance_mut::<u8>(at.0 as usize);
    let mfn = memory::mfn(stack);
    let top = jump.top();
    let old = memory::top_table();
    let parameters: [u64; 11] = [
        jump.stack_at.0,
        paging::writable(mfn),
        MmuExtOp::NEW_BASEPTR,
        top.0,
        0,
        MmuExtOp::UNPIN,
        old.0,
        0,
        jump.start_info_at.0,
        jump.entry.0,
        jump.stack_at.0 + PAGE_BYTES as u64,
    ];
    let code = (&raw const TRAMPOLINE).addr()..(&raw const TRAMPOLINE_END).addr();
    assert!(code.len() <= DATA, "the trampoline has outgrown its place");
    // SAFETY: the frame is mapped, owned by `jump`, and not borrowed.
    unsafe { core::ptr::write_bytes(start, 0, PAGE_BYTES) };
    // SAFETY: the code lies between two symbols of this image and fits before the parameters (asserted).
    unsafe { core::ptr::copy_nonoverlapping(&raw const TRAMPOLINE, start, code.len()) };
    for (index, value) in parameters.iter().enumerate() {
        // SAFETY: eleven words from DATA on are inside the page.
        let at = unsafe { start.add(DATA + index * 8) };
        // SAFETY: as above; DATA and the words are 8-byte aligned in a page-aligned frame.
        unsafe { at.cast::<u64>().write(*value) };
    }
    at.0
}
