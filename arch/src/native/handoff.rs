//! The last step: pin the next kernel's page tables, give its frames their new numbers, and jump.
//!
//! [`HandOff::pin`] is the last thing that can fail without harm; [`hand_off`] is the way without return.
//! The jump runs in the next kernel's boot stack page, which holds code and parameters and is mapped at the same
//! address before and after the switch of page tables, so the switching hypercall can be restarted by Xen on either
//! side, and nothing is left to unmap (the idea is the original PV-GRUB's).

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::mem::offset_of;

use super::hypercall::{self, MmuExtOp, MmuUpdate};
use super::platform::Platform;
use super::{memory, paging, trap, width};
use crate::Access;
use crate::addr::{Mfn, PAGE_BYTES, Pfn, Virt};
use crate::frames::Frames;
use crate::hypervisor::Errno;

/// Where the trampoline's [`Parameters`] are in its page.
pub(super) const DATA: usize = 0x200;

/// What the trampoline needs.
#[repr(C)]
struct Parameters {
    /// Where the page will be mapped.
    stack_at: usize,
    /// The level-1 entry that maps it there.
    page_entry: u64,
    /// Load the new tables, unpin the old ones.
    ops: [MmuExtOp; 2],
    start_info: usize,
    entry: usize,
    stack_top: usize,
}

/// Offset of [`Parameters`]' field.
pub(super) const STACK_AT: usize = offset_of!(Parameters, stack_at);
/// Offset of [`Parameters`]' field.
pub(super) const PAGE_ENTRY: usize = offset_of!(Parameters, page_entry);
/// Offset of [`Parameters`]' field.
pub(super) const OPS: usize = offset_of!(Parameters, ops);
/// Offset of [`Parameters`]' field.
pub(super) const START_INFO: usize = offset_of!(Parameters, start_info);
/// Offset of [`Parameters`]' field.
pub(super) const ENTRY: usize = offset_of!(Parameters, entry);
/// Offset of [`Parameters`]' field.
pub(super) const STACK_TOP: usize = offset_of!(Parameters, stack_top);

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
            // In place, and in few bytes of code.
            return BinaryHeap::from(found).into_sorted_vec();
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
        let pin = MmuExtOp::pin(self.top());
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
        let unpin = MmuExtOp::unpin(self.0.top());
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
    unsafe { width::enter(stack) }
}

unsafe extern "C" {
    /// The trampoline's first byte, in the width's folder.
    #[link_name = "trampoline_start"]
    static START: u8;
    /// The first byte behind it.
    #[link_name = "trampoline_end"]
    static END: u8;
}

/// The trampoline's code, which runs at any address.
fn trampoline() -> &'static [u8] {
    let (start, end) = (&raw const START, &raw const END);
    // SAFETY: the two symbols enclose the width's code, in read-only data of this image.
    unsafe { core::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// Fills the boot stack page with code and parameters, and returns where the direct map shows it.
fn write_trampoline(jump: &HandOff) -> u64 {
    let stack = jump.stack.first();
    let at = memory::virt_of(stack);
    let start = core::ptr::with_exposed_provenance_mut::<u8>(at.0 as usize);
    let mfn = memory::mfn(stack);
    let top = jump.top();
    let old = memory::top_table();
    let parameters = Parameters {
        stack_at: jump.stack_at.0 as usize,
        page_entry: paging::writable(mfn),
        ops: [MmuExtOp::new_base(top), MmuExtOp::unpin(old)],
        start_info: jump.start_info_at.0 as usize,
        entry: jump.entry.0 as usize,
        stack_top: jump.stack_at.0 as usize + PAGE_BYTES,
    };
    let code = trampoline();
    assert!(code.len() <= DATA, "the trampoline has outgrown its place");
    // SAFETY: the frame is mapped, owned by `jump`, and not borrowed.
    unsafe { core::ptr::write_bytes(start, 0, PAGE_BYTES) };
    // SAFETY: as above; the code fits before the parameters (asserted).
    unsafe { core::ptr::copy_nonoverlapping(code.as_ptr(), start, code.len()) };
    // SAFETY: the parameters are inside the page.
    let place = unsafe { start.add(DATA) };
    // SAFETY: as above; the place is aligned for any word, in a page-aligned frame.
    unsafe { place.cast::<Parameters>().write(parameters) };
    at.0
}
