//! The page tables this code runs on, read directly, changed through Xen.
//!
//! A table is mapped read only in the direct map, so walking needs no hypercall; its frame number comes from the
//! machine-to-physical table.

use super::hypercall::{self, MmuUpdate};
use super::width::{self, TOP_LEVEL};
use super::{m2p, memory};
use crate::addr::{Mfn, PAGE_SHIFT, Pfn, Virt};

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
/// Bits of an entry that hold the machine address.
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
/// Entries of a table.
const ENTRIES: u64 = 512;
/// A level-1 entry for a page that may be written.
pub(super) fn writable(mfn: Mfn) -> u64 {
    mfn.address() | PRESENT | WRITABLE | ACCESSED | DIRTY
}

/// A level-1 entry for a page that may only be read: page tables are mapped so.
pub(super) fn read_only(mfn: Mfn) -> u64 {
    mfn.address() | PRESENT | ACCESSED
}

/// An entry of `level` that leads to a table.
fn table(mfn: Mfn, level: u32) -> u64 {
    if level == TOP_LEVEL && width::BARE_TOP {
        return mfn.address() | PRESENT;
    }
    mfn.address() | PRESENT | WRITABLE | USER | ACCESSED | DIRTY
}

/// The live tables.
#[derive(Clone, Copy)]
pub(super) struct Tables {
    top: Virt,
}

impl Tables {
    /// Before start-up.
    pub(super) const NONE: Self = Self { top: Virt(0) };

    /// The tables whose top one is mapped at `top`.
    pub(super) fn new(top: Virt) -> Self {
        Self { top }
    }

    fn index(at: Virt, level: u32) -> u64 {
        (at.0 >> (PAGE_SHIFT + 9 * (level - 1))) % ENTRIES
    }

    fn read(table: Virt, index: u64) -> u64 {
        let at = (table.0 + index * 8) as usize;
        // SAFETY: `table` is a live page table, mapped read only for as long as it is one, and index < 512. Volatile:
        // Xen changes entries behind the compiler's back.
        unsafe { core::ptr::with_exposed_provenance::<u64>(at).read_volatile() }
    }

    fn machine_frame(entry: u64) -> Mfn {
        Mfn((entry & ADDRESS) >> PAGE_SHIFT)
    }

    /// The table of `level` that serves `at`.
    fn table_at(self, at: Virt, level: u32) -> Option<Virt> {
        let mut table = self.top;
        for upper in (level + 1..=TOP_LEVEL).rev() {
            let entry = Self::read(table, Self::index(at, upper));
            if entry & PRESENT == 0 {
                return None;
            }
            table = memory::virt_of(m2p::pfn_of(Self::machine_frame(entry)));
        }
        Some(table)
    }

    /// Whether a table of `level` exists for `at`.
    pub(super) fn has_level(self, at: Virt, level: u32) -> bool {
        self.table_at(at, level).is_some()
    }

    /// Whether a level-1 table exists for `at`.
    pub(super) fn has_level_1(self, at: Virt) -> bool {
        self.has_level(at, 1)
    }

    /// Whether a page is mapped at `at`.
    pub(super) fn is_mapped(self, at: Virt) -> bool {
        self.table_at(at, 1)
            .is_some_and(|table| Self::read(table, Self::index(at, 1)) & PRESENT != 0)
    }

    /// The machine frame of the top table.
    pub(super) fn top(self) -> Mfn {
        self.frame_of(self.top)
    }

    fn frame_of(self, table: Virt) -> Mfn {
        let level_1 = self
            .table_at(table, 1)
            .expect("OK to unwrap: live tables are mapped");
        Self::machine_frame(Self::read(level_1, Self::index(table, 1)))
    }

    /// Sets the level-1 entry for `at`, whose table exists.
    ///
    /// # Safety
    /// Nothing may rely on what was mapped at `at` before.
    pub(super) unsafe fn set(self, at: Virt, entry: u64) {
        // SAFETY: the caller's promise.
        unsafe { hypercall::update_va_mapping(at, entry) }
            .unwrap_or_else(|error| panic!("cannot map {at:?} as {entry:#x}: {error}"));
    }

    /// Enters machine frame `mfn` as the table of `level` for `at`. The frame must be mapped read only.
    ///
    /// # Safety
    /// There must be no such table yet.
    pub(super) unsafe fn link(self, at: Virt, level: u32, mfn: Mfn) {
        let upper = self
            .table_at(at, level + 1)
            .expect("OK to unwrap: the caller made the levels above");
        let entry = self.frame_of(upper).address() + Self::index(at, level + 1) * 8;
        // SAFETY: the entry was not present, so no mapping changes that anything relies on.
        unsafe { hypercall::mmu_update(&[MmuUpdate::entry(entry, table(mfn, level + 1))]) }
            .unwrap_or_else(|error| panic!("cannot add a table for {at:?}: {error}"));
    }

    /// Calls `found` with the frame of every table, top one included.
    pub(super) fn each(self, found: &mut dyn FnMut(Pfn)) {
        found(m2p::pfn_of(self.top()));
        self.each_below(self.top, 0, TOP_LEVEL, found);
    }

    /// `start` is the first address that `table` serves.
    fn each_below(self, table: Virt, start: u64, level: u32, found: &mut dyn FnMut(Pfn)) {
        let entries = if level == TOP_LEVEL {
            width::TOP_ENTRIES
        } else {
            ENTRIES
        };
        for index in 0..entries {
            let at = start | index << (PAGE_SHIFT + 9 * (level - 1));
            if width::is_hypervisors(at) {
                continue;
            }
            let entry = Self::read(table, index);
            if entry & PRESENT == 0 {
                continue;
            }
            let pfn = m2p::pfn_of(Self::machine_frame(entry));
            found(pfn);
            if level > 2 {
                self.each_below(memory::virt_of(pfn), at, level - 1, found);
            }
        }
    }
}
