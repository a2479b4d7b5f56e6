//! Layout of a generic shared ring (`io/ring.h`): four indices, then the entries. Alike in both widths.

use crate::addr::PAGE_BYTES;

/// Offset of the request producer index (`req_prod`).
pub const REQ_PROD: usize = 0;
/// Offset of the request index at which the back end wants a notification (`req_event`).
pub const REQ_EVENT: usize = 4;
/// Offset of the response producer index (`rsp_prod`).
pub const RSP_PROD: usize = 8;
/// Offset of the response index at which the front end wants a notification (`rsp_event`).
pub const RSP_EVENT: usize = 12;
/// Offset of the first entry.
pub const ENTRIES: usize = 64;

/// Number of entries of `entry_bytes` bytes that a one-page ring holds: what fits, rounded down to a power of
/// two. Zero for a size that does not fit at all.
#[must_use]
pub const fn entry_count(entry_bytes: usize) -> u32 {
    if entry_bytes == 0 || entry_bytes > PAGE_BYTES - ENTRIES {
        return 0;
    }
    let fitting = (PAGE_BYTES - ENTRIES) / entry_bytes;
    // At most 4032, so neither the shift nor the width can overflow.
    1 << fitting.ilog2()
}

const _: () = assert!(entry_count(112) == 32 && entry_count(108) == 32);
const _: () = assert!(entry_count(12) == 256 && entry_count(8) == 256);
