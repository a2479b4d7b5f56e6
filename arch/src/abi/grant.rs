//! Version 1 grant table entries (`grant_table.h`, `struct grant_entry_v1`). Alike in both widths.

use crate::addr::PAGE_BYTES;

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 8;
/// Offset of the 16-bit flags in an entry.
pub const FLAGS: usize = 0;
/// Offset of the 16-bit number of the domain that is granted access.
pub const DOMID: usize = 2;
/// Offset of the 32-bit frame number.
pub const FRAME: usize = 4;
/// Entries in a frame of the table.
pub const ENTRIES_PER_FRAME: usize = PAGE_BYTES / ENTRY_BYTES;

/// Entries at the start of the table that belong to the toolstack (console and xenstore rings among them).
pub const RESERVED_ENTRIES: u32 = 8;

/// Flag: the frame may be mapped (`GTF_permit_access`).
pub const PERMIT_ACCESS: u16 = 1;
/// Flag: only for reading (`GTF_readonly`).
pub const READ_ONLY: u16 = 1 << 2;
/// Flag, set by Xen: mapped for reading now (`GTF_reading`).
pub const READING: u16 = 1 << 3;
/// Flag, set by Xen: mapped for writing now (`GTF_writing`).
pub const WRITING: u16 = 1 << 4;

const _: () = assert!(ENTRIES_PER_FRAME == 512);
