//! Where Xen jumps to: notes that describe the image, the first instructions, and what is known by then.
//!
//! On entry: the image, the module, the p2m list, start_info, both rings and at least 512 KiB more are mapped from
//! `virt_base` on; a register holds start_info's address; events are masked; nothing else is set up. The stack given is
//! one page, so the first thing is to take our own: that and what else is a matter of width is `_start`, in the width's
//! folder.

use core::arch::global_asm;
use core::ptr::NonNull;

use super::memory::{self, Start};
use super::platform::Platform;
use super::{trap, width};
use crate::abi::Width;
use crate::abi::start_info::{StartInfo, flags, layout};
use crate::addr::{Mfn, PAGE_BYTES, PAGE_SHIFT, Virt};
use crate::hypervisor::{Instant, Port};
use crate::native::m2p;
use crate::shared::SharedPage;

/// Bytes of the loader's stack; a guard page lies below it.
pub(super) const STACK_BYTES: usize = 256 * 1024;

// `entry_stack_end` is where the width's first instructions set the stack pointer.
global_asm!(
    ".section .bss.entry_stack, \"aw\", @nobits",
    ".balign 4096",
    ".global entry_guard, entry_stack_end",
    "entry_guard:",
    "    .skip 4096",
    "    .skip {stack}",
    "entry_stack_end:",
    stack = const STACK_BYTES,
);

// Notes (public/elfnote.h): 1 ENTRY, 3 VIRT_BASE, 4 PADDR_OFFSET, 5 XEN_VERSION, 6 GUEST_OS, 7 GUEST_VERSION, 8 LOADER.
// No HYPERCALL_PAGE: the loader traps directly. No MOD_START_PFN: a ramdisk with a menu is to be mapped.
global_asm!(
    ".macro xen_number id, value",
    "    .long 4, 4, \\id",
    "    .asciz \"Xen\"",
    "    .long \\value",
    ".endm",
    ".macro xen_text id, text",
    "    .long 4, 2f - 1f, \\id",
    "    .asciz \"Xen\"",
    "1:  .asciz \"\\text\"",
    "2:  .balign 4",
    ".endm",
    ".section .note.Xen, \"a\", @note",
    ".balign 4",
    "xen_number 1, _start",
    "xen_number 3, __virt_base",
    "xen_number 4, __virt_base",
    "xen_text 5, \"xen-3.0\"",
    "xen_text 6, \"pv-grub\"",
    "xen_text 7, \"{version}\"",
    "xen_text 8, \"generic\"",
    ".purgem xen_number",
    ".purgem xen_text",
    version = const VERSION,
);

const VERSION: u32 = 1;

unsafe extern "C" {
    #[link_name = "entry_guard"]
    static GUARD: u8;
    static __image_end: u8;
}

unsafe extern "Rust" {
    /// The loader's main function: the one symbol that the program has to define.
    fn pv_grub_main(boot: BootInfo) -> !;
}

/// What Xen handed this domain, checked once.
#[derive(Debug)]
pub struct BootInfo {
    /// When Xen entered the loader.
    pub started: Instant,
    /// `start_info` as it was found.
    pub start_info: StartInfo,
    /// The hypervisor.
    pub platform: Platform,
    /// The console ring and its event channel.
    pub console: (SharedPage, Port),
    /// The xenstore ring and its event channel.
    pub store: (SharedPage, Port),
    /// The module's bytes (the domain configuration's `ramdisk`).
    pub ramdisk: Option<&'static [u8]>,
}

/// The run of frames that `len` bytes at `at` of the direct map touch.
fn frames(at: u64, len: u64) -> (u64, u64) {
    let Some(offset) = at.checked_sub(memory::virt_base()) else {
        return (0, 0);
    };
    let first = offset >> PAGE_SHIFT;
    let end = (offset + len).div_ceil(PAGE_BYTES as u64);
    (first, end - first)
}

pub(super) extern "C" fn start(start_info: *const u8) -> ! {
    // There is no clock before the shared info page is mapped.
    let begun = width::counter();
    // SAFETY: Xen passes the address of start_info's page, mapped and not written by anyone else.
    let page = unsafe { core::slice::from_raw_parts(start_info, PAGE_BYTES) };
    // The command line needs the heap, and the heap needs the numbers below: read them first.
    let numbers = Numbers::read(page);
    let image_end = (&raw const __image_end).addr() as u64;
    let module = if numbers.flags & flags::MOD_START_PFN != 0 {
        (
            numbers.mod_start,
            numbers.mod_len.div_ceil(PAGE_BYTES as u64),
        )
    } else {
        frames(numbers.mod_start, numbers.mod_len)
    };
    let ring = |mfn: u64| (m2p::pfn_of(Mfn(mfn)).0, 1);
    memory::start(&Start {
        nr_pages: numbers.nr_pages,
        mfn_list: Virt(numbers.mfn_list),
        pt_base: Virt(numbers.pt_base),
        nr_pt_frames: numbers.nr_pt_frames,
        reserved: &[
            frames(memory::virt_base(), image_end - memory::virt_base()),
            frames(page.as_ptr().addr() as u64, PAGE_BYTES as u64),
            ring(numbers.store_mfn),
            ring(numbers.console_mfn),
            module,
        ],
    });
    // SAFETY: nothing lives in the guard page; from here on running out of stack is a fault, not corruption.
    unsafe { memory::unmap(Virt((&raw const GUARD).addr() as u64)) };
    let info = StartInfo::read(page, Width::NATIVE);
    let (platform, store, console) =
        Platform::start(info.shared_info, Mfn(info.store_mfn), Mfn(info.console_mfn));
    let console_port = Port(info.console_evtchn);
    // SAFETY: a second view of the same page: shared pages are only touched by atomics and byte copies.
    let view = unsafe { SharedPage::new(console.start(), console.mfn()) };
    trap::start(view, console_port);
    let ramdisk = (info.mod_len > 0 && info.flags & flags::MOD_START_PFN == 0)
        .then(|| module_bytes(info.mod_start, info.mod_len));
    let boot = BootInfo {
        started: platform.time_of(begun),
        console: (console, console_port),
        store: (store, Port(info.store_evtchn)),
        platform,
        ramdisk,
        start_info: info,
    };
    // SAFETY: the program defines this function with this signature (it could not be linked without).
    unsafe { pv_grub_main(boot) }
}

fn module_bytes(start: u64, len: u64) -> &'static [u8] {
    let at: NonNull<u8> = NonNull::new(core::ptr::with_exposed_provenance_mut(start as usize))
        .unwrap_or_else(|| panic!("the ramdisk is at address 0"));
    // SAFETY: the domain builder mapped the module at `start` for `len` bytes (no MOD_START_PFN note asks otherwise),
    // and its frames were taken out of the free list, so nothing else uses them.
    unsafe { core::slice::from_raw_parts(at.as_ptr(), len as usize) }
}

/// The fields that are needed before there is a heap.
struct Numbers {
    nr_pages: u64,
    flags: u32,
    store_mfn: u64,
    console_mfn: u64,
    pt_base: u64,
    nr_pt_frames: u64,
    mfn_list: u64,
    mod_start: u64,
    mod_len: u64,
}

impl Numbers {
    fn read(page: &[u8]) -> Self {
        let at = layout(Width::NATIVE);
        let word = |offset: usize, len: usize| {
            let mut bytes = [0; 8];
            bytes[..len].copy_from_slice(&page[offset..offset + len]);
            u64::from_le_bytes(bytes)
        };
        Self {
            nr_pages: word(at.nr_pages, at.word),
            flags: word(at.flags, 4) as u32,
            store_mfn: word(at.store_mfn, at.word),
            console_mfn: word(at.console_mfn, at.word),
            pt_base: word(at.pt_base, at.word),
            nr_pt_frames: word(at.nr_pt_frames, at.word),
            mfn_list: word(at.mfn_list, at.word),
            mod_start: word(at.mod_start, at.word),
            mod_len: word(at.mod_len, at.word),
        }
    }
}

/// Names the function that the entry code calls: `fn(BootInfo) -> !`.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        #[expect(
            unsafe_code,
            reason = "the one symbol that the entry code links against"
        )]
        #[unsafe(no_mangle)]
        fn pv_grub_main(boot: $crate::native::BootInfo) -> ! {
            $main(boot)
        }
    };
}
