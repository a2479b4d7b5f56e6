//! The frames of this domain: which are free, and the direct map that makes them addressable.
//!
//! Frame n is at `virt_base + n * 4096`, where the domain builder mapped the first few megabytes; [`claim`] extends
//! that map, two megabytes a table, only as far as frames are used. So start-up costs the same in a guest of 64 MiB
//! and of 64 GiB, and address and frame number turn into each other by arithmetic.

use core::ptr::NonNull;

use super::hypercall;
use super::paging::{self, Tables};
use super::single::SingleCore;
use super::width;
use crate::addr::{Mfn, PAGE_BYTES, PAGE_SHIFT, Pfn, Virt};
use crate::extents::Extents;
use crate::frames::{Frames, LOW_FRAMES, NoFrames};
use crate::hypervisor::Errno;

/// Table frames kept ready, so that mapping never has to allocate in the middle of mapping.
const READY_TABLES: usize = 2048;
/// Fewest of them to have before anything is mapped.
const MIN_TABLES: u64 = 8;
/// Frames that one level-1 table maps.
const CHUNK: u64 = 512;

struct Memory {
    p2m: Option<NonNull<usize>>,
    nr_pages: u64,
    extents: Extents,
    /// Frames below this number are mapped (holes apart).
    mapped: u64,
    tables: Tables,
    ready: [u64; READY_TABLES],
    ready_len: usize,
    /// For the figure printed at the jump: fewest frames free so far, and how many there would be without the loader.
    least_free: u64,
    all: u64,
}

static MEMORY: SingleCore<Memory> = SingleCore::new(Memory {
    p2m: None,
    nr_pages: 0,
    extents: Extents::new(),
    mapped: 0,
    tables: Tables::NONE,
    ready: [0; READY_TABLES],
    ready_len: 0,
    least_free: 0,
    all: 0,
});

unsafe extern "C" {
    static __virt_base: u8;
}

/// Where frame 0 is mapped.
pub(super) fn virt_base() -> u64 {
    (&raw const __virt_base).addr() as u64
}

/// Frames that the direct map has addresses for. A 32-bit loader does without the rest: it can give every frame any
/// number, so the next kernel may find its image wherever it likes.
fn mappable() -> u64 {
    (width::SPECIAL - virt_base()) >> PAGE_SHIFT
}

/// Most frames in one run: a slice may not have more bytes than that.
const MAX_RUN: u64 = isize::MAX as u64 >> PAGE_SHIFT;

/// The address of frame `pfn` in the direct map.
pub(super) fn virt_of(pfn: Pfn) -> Virt {
    Virt(virt_base() + (pfn.0 << PAGE_SHIFT))
}

/// The frame that the direct map shows at `at`.
pub(super) fn pfn_at(at: NonNull<u8>) -> Pfn {
    Pfn((at.addr().get() as u64 - virt_base()) >> PAGE_SHIFT)
}

fn pointer(pfn: Pfn) -> NonNull<u8> {
    NonNull::new(core::ptr::with_exposed_provenance_mut(
        virt_of(pfn).0 as usize,
    ))
    .expect("OK to unwrap: the direct map starts far above address 0")
}

/// What the domain builder told us about memory.
pub(super) struct Start<'a> {
    pub(super) nr_pages: u64,
    pub(super) mfn_list: Virt,
    pub(super) pt_base: Virt,
    pub(super) nr_pt_frames: u64,
    /// Runs of frames that hold something to keep: image, module, rings.
    pub(super) reserved: &'a [(u64, u64)],
}

/// Takes stock. Called once, before anything allocates.
pub(super) fn start(start: &Start<'_>) {
    let memory = &mut *MEMORY.get();
    memory.p2m = NonNull::new(core::ptr::with_exposed_provenance_mut(
        start.mfn_list.0 as usize,
    ));
    memory.nr_pages = start.nr_pages;
    memory.tables = Tables::new(start.pt_base);
    let first_table = (start.pt_base.0 - virt_base()) >> PAGE_SHIFT;
    let mut mapped = first_table + start.nr_pt_frames;
    while mapped < start.nr_pages && memory.tables.is_mapped(virt_of(Pfn(mapped))) {
        mapped += 1;
    }
    memory.mapped = mapped;
    memory.extents.add(0, start.nr_pages.min(mappable()));
    memory.all = memory.extents.free();
    memory.extents.subtract(first_table, start.nr_pt_frames);
    let list_frames = (start.nr_pages * size_of::<usize>() as u64).div_ceil(PAGE_BYTES as u64);
    if let Some(first) = start.mfn_list.0.checked_sub(virt_base()) {
        memory.extents.subtract(first >> PAGE_SHIFT, list_frames);
    }
    for &(first, count) in start.reserved {
        memory.extents.subtract(first, count);
    }
    memory.refill(MIN_TABLES);
    memory.least_free = memory.extents.free();
}

impl Memory {
    fn mfn(&self, pfn: u64) -> Mfn {
        let Some(list) = self.p2m.filter(|_| pfn < self.nr_pages) else {
            return Mfn::INVALID;
        };
        // SAFETY: the list has `nr_pages` words (start_info), `pfn` is below that, and it stays mapped: its frames
        // were taken out of the free list at the start.
        let place = unsafe { list.add(pfn as usize) };
        // SAFETY: as above.
        let word = unsafe { place.read() };
        // All ones, in the guest's own width, is a hole.
        if word == usize::MAX {
            Mfn::INVALID
        } else {
            Mfn(word as u64)
        }
    }

    /// Frames that can be mapped but are not there (a balloon's holes) leave the free list when they are met.
    fn drop_holes(&mut self, first: u64, count: u64) -> bool {
        let mut clean = true;
        for pfn in first..first + count {
            if self.mfn(pfn) == Mfn::INVALID {
                self.extents.subtract(pfn, 1);
                clean = false;
            }
        }
        clean
    }

    fn take_table(&mut self) -> Pfn {
        assert!(self.ready_len > 0, "no frame left for a page table");
        self.ready_len -= 1;
        Pfn(self.ready[self.ready_len])
    }

    /// Puts frames aside for `count` page tables, lowest free numbers first. Fewer, when memory is short.
    fn refill(&mut self, count: u64) {
        while (self.ready_len as u64) < count && self.ready_len < READY_TABLES {
            let Some(first) = self.extents.first_fit(1) else {
                return;
            };
            if !self.drop_holes(first, 1) {
                continue;
            }
            if first >= self.mapped {
                if self.ready_len < 4 {
                    return;
                }
                self.map_below(first + 1);
            }
            self.extents.subtract(first, 1);
            self.ready[self.ready_len] = first;
            self.ready_len += 1;
        }
    }

    /// Extends the direct map so that every frame below `end` is mapped.
    fn map_below(&mut self, end: u64) {
        while self.mapped < end.min(self.nr_pages) {
            let at = virt_of(Pfn(self.mapped));
            if self.mapped.is_multiple_of(CHUNK) && !self.tables.has_level_1(at) {
                self.map_chunk(at);
                self.mapped += CHUNK;
            } else {
                let mfn = self.mfn(self.mapped);
                if mfn != Mfn::INVALID {
                    // SAFETY: the address is beyond the map so far; nothing can rely on it.
                    unsafe { self.tables.set(at, paging::writable(mfn)) };
                }
                self.mapped += 1;
            }
        }
    }

    fn map_chunk(&mut self, at: Virt) {
        let table = self.take_table();
        let mut entries = [0; CHUNK as usize];
        for (entry, pfn) in entries.iter_mut().zip(self.mapped..self.nr_pages) {
            let mfn = self.mfn(pfn);
            if mfn != Mfn::INVALID {
                *entry = paging::writable(mfn);
            }
        }
        self.add_table(table, &entries, at, 1);
    }

    /// Makes frame `table` a page table with `entries`, the one for `at` at `level`, and the levels above it.
    fn add_table(&mut self, table: Pfn, entries: &[u64; CHUNK as usize], at: Virt, level: u32) {
        if level < width::TOP_LEVEL - 1 && !self.tables.has_level(at, level + 1) {
            let upper = self.take_table();
            self.add_table(upper, &[0; CHUNK as usize], at, level + 1);
        }
        let mfn = self.mfn(table.0);
        // SAFETY: `table` was put aside by `refill`: mapped, ours alone, and no reference to it exists.
        unsafe {
            core::ptr::copy_nonoverlapping(
                entries.as_ptr().cast::<u8>(),
                pointer(table).as_ptr(),
                PAGE_BYTES,
            );
        }
        // SAFETY: the frame becomes read only where it is mapped; nothing writes it from here on but Xen.
        unsafe { self.tables.set(virt_of(table), paging::read_only(mfn)) };
        // SAFETY: adds mappings where there were none (the callers checked).
        unsafe { self.tables.link(at, level, mfn) };
    }

    /// Maps machine frame `entry` at `at`, outside the direct map.
    fn map_special(&mut self, at: Virt, entry: u64) {
        if !self.tables.has_level_1(at) {
            self.refill(MIN_TABLES);
            let table = self.take_table();
            self.add_table(table, &[0; CHUNK as usize], at, 1);
        }
        // SAFETY: callers name addresses of the special area or of the trampoline, which nothing else uses.
        unsafe { self.tables.set(at, entry) };
    }

    fn claim(&mut self, near: Option<Pfn>, count: u64) -> Option<NonNull<u8>> {
        if count > MAX_RUN {
            return None;
        }
        loop {
            let first = near
                .map(|pfn| pfn.0)
                .filter(|&first| self.extents.holds(first, count))
                .or_else(|| self.extents.first_fit(count))?;
            let tables = first
                .checked_add(count)?
                .saturating_sub(self.mapped)
                .div_ceil(CHUNK)
                + MIN_TABLES;
            if (self.ready_len as u64) < tables {
                let before = self.ready_len;
                self.refill(tables);
                if self.ready_len != before {
                    continue;
                }
                if (self.ready_len as u64) < tables - MIN_TABLES + 3 {
                    return None;
                }
            }
            if !self.drop_holes(first, count) {
                continue;
            }
            self.map_below(first + count);
            self.extents.subtract(first, count);
            self.least_free = self.least_free.min(self.extents.free());
            return Some(pointer(Pfn(first)));
        }
    }

    fn resize(&mut self, first: u64, old: u64, new: u64) -> bool {
        if new <= old {
            self.extents.add(first + new, old - new);
            return true;
        }
        let (next, more) = (first + old, new - old);
        if !self.extents.holds(next, more) {
            return false;
        }
        match self.claim(Some(Pfn(next)), more) {
            Some(got) if got == pointer(Pfn(next)) => true,
            Some(elsewhere) => {
                self.extents.add(pfn_at(elsewhere).0, more);
                false
            }
            None => false,
        }
    }
}

/// A run of `count` mapped frames, from `near` on if those are free; contents unspecified.
pub(super) fn claim(near: Option<Pfn>, count: u64) -> Option<NonNull<u8>> {
    MEMORY.get().claim(near, count)
}

/// Gives `count` frames at `start` back. They stay mapped.
pub(super) fn release(start: NonNull<u8>, count: u64) {
    MEMORY.get().extents.add(pfn_at(start).0, count);
}

/// Makes the run of `old` frames at `start` one of `new` frames without moving it, if that can be.
pub(super) fn resize(start: NonNull<u8>, old: u64, new: u64) -> bool {
    MEMORY.get().resize(pfn_at(start).0, old, new)
}

/// An owned run of frames.
pub(super) fn allocate(near: Option<Pfn>, count: u64) -> Result<Frames, NoFrames> {
    let mut memory = MEMORY.get();
    let start = memory.claim(near, count).ok_or(NoFrames {
        wanted: count,
        free: memory.extents.free(),
    })?;
    // SAFETY: `claim` returned a mapped run that is in no other hands; `release` puts it back.
    Ok(unsafe {
        Frames::new(start, pfn_at(start), count, |start, _, count| {
            release(start, count);
        })
    })
}

/// The machine frame behind `pfn`.
pub(super) fn mfn(pfn: Pfn) -> Mfn {
    MEMORY.get().mfn(pfn.0)
}

/// Copies the p2m list; words beyond its end become all ones.
pub(super) fn copy_p2m(list: &mut [u8]) {
    let memory = MEMORY.get();
    let len = (memory.nr_pages as usize * size_of::<usize>()).min(list.len());
    if let Some(words) = memory.p2m {
        // SAFETY: the list has `nr_pages` words (start_info), stays mapped, and `list` is a distinct exclusive borrow
        // of at least `len` bytes.
        unsafe {
            core::ptr::copy_nonoverlapping(words.cast::<u8>().as_ptr(), list.as_mut_ptr(), len);
        }
    }
    list[len..].fill(0xff);
}

/// Frame numbers this domain has.
pub(super) fn nr_pages() -> u64 {
    MEMORY.get().nr_pages
}

/// Frames that the direct map can show.
pub(super) fn reach() -> u64 {
    nr_pages().min(mappable())
}

/// Frames free at present.
pub(super) fn free_frames() -> u64 {
    MEMORY.get().extents.free()
}

/// Frames that were in use at once at most, the loader's own image and what came with it included.
pub fn peak_frames() -> u64 {
    let memory = MEMORY.get();
    memory.all - memory.least_free
}

/// Maps `mfn` at `at`, writable, outside the direct map.
pub(super) fn map(at: Virt, mfn: Mfn) {
    MEMORY.get().map_special(at, paging::writable(mfn));
}

/// Makes sure that a level-1 table exists for `at`, so that a single hypercall can map a page there.
pub(super) fn prepare(at: Virt) {
    let mut memory = MEMORY.get();
    if !memory.tables.has_level_1(at) {
        memory.refill(MIN_TABLES);
        let table = memory.take_table();
        memory.add_table(table, &[0; CHUNK as usize], at, 1);
    }
}

/// Removes the page at `at` from the address space.
///
/// # Safety
/// Nothing may use the page.
pub(super) unsafe fn unmap(at: Virt) {
    // SAFETY: the caller's promise.
    unsafe { MEMORY.get().tables.set(at, 0) };
}

/// Makes the direct map show `pfn` read only, as frames that become page tables must be, or writable again.
///
/// # Safety
/// No one may write through the direct map, or hold a reference to the frame, while it is read only.
pub(super) unsafe fn protect(pfn: Pfn, access: crate::Access) {
    let memory = MEMORY.get();
    let mfn = memory.mfn(pfn.0);
    let entry = match access {
        crate::Access::ReadOnly => paging::read_only(mfn),
        crate::Access::ReadWrite => paging::writable(mfn),
    };
    // SAFETY: the frame stays mapped to itself; the caller promises that nobody minds the change of access.
    unsafe { memory.tables.set(virt_of(pfn), entry) };
}

/// Exchanges the machine frame behind `pfn`, whose contents are of no more use, for one below 4 GiB, unless it is there
/// already. The direct map and the p2m list show the new one.
pub(super) fn make_low(pfn: Pfn) -> Result<(), Errno> {
    let memory = MEMORY.get();
    let old = memory.mfn(pfn.0);
    if old.0 < LOW_FRAMES {
        return Ok(());
    }
    // Xen takes a frame only when it is mapped nowhere.
    // SAFETY: the caller owns the frame and gives its contents up; it is mapped again below.
    unsafe { memory.tables.set(virt_of(pfn), 0) };
    let exchanged = hypercall::exchange_for_low(old, pfn);
    let mfn = exchanged.unwrap_or(old);
    if let Some(list) = memory.p2m {
        // SAFETY: the list has `nr_pages` words, and a frame with a machine frame has a number below that.
        let place = unsafe { list.add(pfn.0 as usize) };
        // SAFETY: as above; the domain builder mapped the list writable, and no reference to it exists.
        unsafe { place.write(mfn.0 as usize) };
    }
    // SAFETY: the page was unmapped above.
    unsafe { memory.tables.set(virt_of(pfn), paging::writable(mfn)) };
    exchanged.map(drop)
}

/// The frames that hold the page tables this code runs on, in no order.
pub(super) fn live_tables(found: &mut dyn FnMut(Pfn)) {
    MEMORY.get().tables.each(found);
}

/// The machine frame of the top table this code runs on.
pub(super) fn top_table() -> Mfn {
    MEMORY.get().tables.top()
}
