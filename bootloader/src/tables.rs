//! The next kernel's page tables, written as plain memory before Xen pins them.
//!
//! Entries have 64 bits in both widths; levels and counts come from [`tables_for`]. Tables of one level lie in the order
//! of the addresses they serve, the top table first, level 1 last, as the domain builder lays them.

use core::ops::Range;

use arch::Mfn;
use arch::abi::Width;
use arch::addr::{PAGE_BYTES, PAGE_SHIFT};

use crate::plan::{Plan, tables_for};

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;

/// Flags of an entry for a page that may be written.
pub const PAGE_WRITABLE: u64 = PRESENT | WRITABLE | ACCESSED;
/// Flags of an entry for a page table, which may only be read.
pub const PAGE_READ_ONLY: u64 = PRESENT | ACCESSED;
/// Flags of an entry that leads to a table of a lower level.
pub const TABLE: u64 = PRESENT | WRITABLE | USER | ACCESSED | DIRTY;
/// Flags of an entry in the top table of a 32-bit kernel, which may not have more.
pub const TABLE_PAE_TOP: u64 = PRESENT;

const ENTRY_BYTES: usize = 8;
const ENTRIES: u64 = 512;

/// A run of page tables for one area of addresses, being written.
struct Writer<'a> {
    bytes: &'a mut [u8],
    /// The next kernel's number for the first table.
    first: u64,
    /// Start of the served area.
    start: u64,
    /// Tables of each level, level 1 first.
    counts: [u64; 4],
    /// Level of the run's first table.
    top: usize,
}

impl Writer<'_> {
    /// Index, in the run, of the first table of `level`.
    fn base(&self, level: usize) -> u64 {
        self.counts[level..self.top].iter().sum()
    }

    fn shift(level: usize) -> u32 {
        PAGE_SHIFT + 9 * (level as u32 - 1)
    }

    /// Index, in the run, of the table of `level` that serves `at`.
    fn table(&self, at: u64, level: usize) -> u64 {
        let span = Self::shift(level) + 9;
        self.base(level) + (at >> span) - (self.start >> span)
    }

    fn set(&mut self, table: u64, index: u64, entry: u64) {
        let offset = table as usize * PAGE_BYTES + index as usize * ENTRY_BYTES;
        self.bytes[offset..offset + ENTRY_BYTES].copy_from_slice(&entry.to_le_bytes());
    }

    /// Fills the entries of `level` that lead to the tables below it.
    fn connect(&mut self, level: usize, mfn: &dyn Fn(u64) -> Mfn, flags: u64) {
        let shift = Self::shift(level);
        let first = self.start >> shift;
        for step in 0..self.counts[level - 2] {
            let at = (first + step) << shift;
            let child = self.first + self.base(level - 1) + step;
            let index = (first + step) % ENTRIES;
            self.set(self.table(at, level), index, mfn(child).address() | flags);
        }
    }

    /// Maps `frames` from the area's start on; those in `read_only` may not be written.
    fn map(&mut self, frames: Range<u64>, read_only: &Range<u64>, mfn: &dyn Fn(u64) -> Mfn) {
        for (page, frame) in (self.start >> PAGE_SHIFT..).zip(frames) {
            let flags = if read_only.contains(&frame) {
                PAGE_READ_ONLY
            } else {
                PAGE_WRITABLE
            };
            let table = self.table(page << PAGE_SHIFT, 1);
            self.set(table, page % ENTRIES, mfn(frame).address() | flags);
        }
    }
}

/// Writes the tables of `plan` into `tables`, and those of its p2m list into `p2m_tables`; both must have the planned
/// size. `mfn` tells the machine frame that will have a number.
pub fn write(plan: &Plan, tables: &mut [u8], p2m_tables: &mut [u8], mfn: &dyn Fn(u64) -> Mfn) {
    tables.fill(0);
    p2m_tables.fill(0);
    let counts = tables_for(&plan.area(), plan.width);
    let top = match plan.width {
        Width::Bits64 => 4,
        Width::Bits32 => 3,
    };
    let mut area = Writer {
        bytes: tables,
        first: plan.tables.start,
        start: plan.virt_base,
        counts,
        top,
    };
    for level in 2..=top {
        let flags = if level == 3 && plan.width == Width::Bits32 {
            TABLE_PAE_TOP
        } else {
            TABLE
        };
        area.connect(level, mfn, flags);
    }
    area.map(0..plan.mapped, &plan.tables, mfn);
    if plan.p2m_tables.is_empty() {
        return;
    }
    let end = plan.p2m_at + (plan.p2m.end - plan.p2m.start) * PAGE_BYTES as u64;
    let mut list = Writer {
        bytes: p2m_tables,
        first: plan.p2m_tables.start,
        start: plan.p2m_at,
        counts: tables_for(&(plan.p2m_at..end), plan.width),
        top: 3,
    };
    list.connect(2, mfn, TABLE);
    list.connect(3, mfn, TABLE);
    list.map(plan.p2m.clone(), &(0..0), mfn);
    // The list has no top table of its own: its level-3 tables hang in the area's.
    let slot = plan.p2m_at >> 39;
    for step in 0..list.counts[2] {
        let entry = mfn(plan.p2m_tables.start + step).address() | TABLE;
        area.set(0, (slot + step) % ENTRIES, entry);
    }
}
