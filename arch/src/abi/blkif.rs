//! Block requests and responses (`io/blkif.h`), encoded and decoded as data for either width of guest.
//!
//! The two layouts differ because a 64-bit field is aligned to 8 bytes in `x86_64` and to 4 in i686; a back end
//! learns which one is used from the front end's `protocol` key. Sectors are always 512 bytes.

use alloc::vec::Vec;

use super::{Width, ring};

/// Bytes of a sector in every field of this protocol, whatever the device's own sector size.
pub const SECTOR_BYTES: u64 = 512;
/// Most segments in a direct request.
pub const MAX_SEGMENTS: usize = 11;
/// Most pages of segments in an indirect request.
pub const MAX_INDIRECT_PAGES: usize = 8;
/// Segments in one page of an indirect request.
pub const SEGMENTS_PER_INDIRECT_PAGE: usize = 512;
/// Bytes of a segment.
pub const SEGMENT_BYTES: usize = 8;
/// Most bytes of a request's encoding in either width.
pub const MAX_ENTRY_BYTES: usize = 112;

/// Bit of the back end's `info` key: a CD-ROM.
pub const INFO_CDROM: u64 = 1;
/// Bit of the back end's `info` key: removable.
pub const INFO_REMOVABLE: u64 = 2;
/// Bit of the back end's `info` key: read-only.
pub const INFO_READ_ONLY: u64 = 4;

/// What a request asks for (`BLKIF_OP_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation(pub u8);

impl Operation {
    /// Read sectors.
    pub const READ: Self = Self(0);
    /// Write sectors.
    pub const WRITE: Self = Self(1);
    /// Flush the device's cache.
    pub const FLUSH: Self = Self(3);
    /// The segments are in pages of their own.
    pub const INDIRECT: Self = Self(6);
}

/// How a request ended (`BLKIF_RSP_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status(pub i16);

impl Status {
    /// Done.
    pub const OKAY: Self = Self(0);
    /// Failed.
    pub const ERROR: Self = Self(-1);
    /// The back end does not know the operation.
    pub const UNSUPPORTED: Self = Self(-2);
}

/// A run of sectors in one granted page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// The page's grant reference.
    pub grant: u32,
    /// First sector in the page, 0 to 7.
    pub first: u8,
    /// Last sector in the page, inclusive, 0 to 7.
    pub last: u8,
}

impl Segment {
    /// The segment as it stands in a request or an indirect page. Alike in both widths.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_BYTES] {
        let [a, b, c, d] = self.grant.to_le_bytes();
        [a, b, c, d, self.first, self.last, 0, 0]
    }

    /// Reads a segment. Nothing is checked.
    #[must_use]
    pub fn decode(bytes: [u8; SEGMENT_BYTES]) -> Self {
        let [a, b, c, d, first, last, _, _] = bytes;
        Self {
            grant: u32::from_le_bytes([a, b, c, d]),
            first,
            last,
        }
    }
}

/// Where a request's segments are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Segments {
    /// In the request: at most [`MAX_SEGMENTS`].
    Direct(Vec<Segment>),
    /// In granted pages of [`SEGMENTS_PER_INDIRECT_PAGE`] each.
    Indirect {
        /// How many segments there are.
        count: u16,
        /// The pages' grant references: at most [`MAX_INDIRECT_PAGES`].
        pages: Vec<u32>,
    },
}

/// A request to read, write or flush.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Read, write or flush.
    pub operation: Operation,
    /// The device's number, as in its xenstore directory.
    pub handle: u16,
    /// The asker's number, repeated in the response.
    pub id: u64,
    /// First sector on the disk, in units of [`SECTOR_BYTES`].
    pub sector: u64,
    /// Where the data goes.
    pub segments: Segments,
}

/// The back end's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// The request's number.
    pub id: u64,
    /// The request's operation. Back ends answer an indirect request with either operation.
    pub operation: Operation,
    /// How it ended.
    pub status: Status,
}

/// Where the fields are for one width of guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Value of the front end's `protocol` key.
    pub protocol: &'static str,
    /// Bytes of a ring entry: the larger of request and response.
    pub entry_bytes: usize,
    /// Offset of `id` in a direct request.
    pub id: usize,
    /// Offset of `sector_number` in a direct request.
    pub sector: usize,
    /// Offset of the first segment in a direct request.
    pub segments: usize,
    /// Offset of `id` in an indirect request.
    pub indirect_id: usize,
    /// Offset of `sector_number` in an indirect request.
    pub indirect_sector: usize,
    /// Offset of `handle` in an indirect request.
    pub indirect_handle: usize,
    /// Offset of the grant references in an indirect request.
    pub indirect_grants: usize,
    /// Offset of `operation` in a response.
    pub response_operation: usize,
    /// Offset of `status` in a response.
    pub response_status: usize,
    /// Bytes of a response.
    pub response_bytes: usize,
}

/// The layout that a 32-bit guest uses.
pub const LAYOUT_32: Layout = Layout {
    protocol: "x86_32-abi",
    entry_bytes: 108,
    id: 4,
    sector: 12,
    segments: 20,
    indirect_id: 4,
    indirect_sector: 12,
    indirect_handle: 20,
    indirect_grants: 24,
    response_operation: 8,
    response_status: 10,
    response_bytes: 12,
};

/// The layout that a 64-bit guest uses.
pub const LAYOUT_64: Layout = Layout {
    protocol: "x86_64-abi",
    entry_bytes: 112,
    id: 8,
    sector: 16,
    segments: 24,
    indirect_id: 8,
    indirect_sector: 16,
    indirect_handle: 24,
    indirect_grants: 28,
    response_operation: 8,
    response_status: 10,
    response_bytes: 16,
};

const _: () = assert!(LAYOUT_64.segments + MAX_SEGMENTS * SEGMENT_BYTES == LAYOUT_64.entry_bytes);
const _: () = assert!(LAYOUT_32.segments + MAX_SEGMENTS * SEGMENT_BYTES == LAYOUT_32.entry_bytes);
const _: () = assert!(ring::entry_count(LAYOUT_64.entry_bytes) == 32);
const _: () = assert!(ring::entry_count(LAYOUT_32.entry_bytes) == 32);
const _: () = assert!(SEGMENTS_PER_INDIRECT_PAGE * SEGMENT_BYTES == crate::addr::PAGE_BYTES);

impl Layout {
    /// The layout for guests of `width`.
    #[must_use]
    pub const fn of(width: Width) -> Self {
        match width {
            Width::Bits32 => LAYOUT_32,
            Width::Bits64 => LAYOUT_64,
        }
    }

    /// Encodes `request`; the first [`Layout::entry_bytes`] of the result are the ring entry.
    ///
    /// Segments or pages beyond the protocol's limits are left out and not counted.
    #[must_use]
    pub fn encode(&self, request: &Request) -> [u8; MAX_ENTRY_BYTES] {
        let mut bytes = [0; MAX_ENTRY_BYTES];
        match &request.segments {
            Segments::Direct(segments) => {
                let count = segments.len().min(MAX_SEGMENTS);
                // At most MAX_SEGMENTS, which is 11.
                bytes[0] = request.operation.0;
                bytes[1] = u8::try_from(count).unwrap_or(0);
                put(&mut bytes, 2, &request.handle.to_le_bytes());
                put(&mut bytes, self.id, &request.id.to_le_bytes());
                put(&mut bytes, self.sector, &request.sector.to_le_bytes());
                for (index, segment) in segments.iter().take(count).enumerate() {
                    let at = self.segments + index * SEGMENT_BYTES;
                    put(&mut bytes, at, &segment.encode());
                }
            }
            Segments::Indirect { count, pages } => {
                bytes[0] = Operation::INDIRECT.0;
                bytes[1] = request.operation.0;
                put(&mut bytes, 2, &count.to_le_bytes());
                put(&mut bytes, self.indirect_id, &request.id.to_le_bytes());
                put(
                    &mut bytes,
                    self.indirect_sector,
                    &request.sector.to_le_bytes(),
                );
                put(
                    &mut bytes,
                    self.indirect_handle,
                    &request.handle.to_le_bytes(),
                );
                for (index, page) in pages.iter().take(MAX_INDIRECT_PAGES).enumerate() {
                    put(
                        &mut bytes,
                        self.indirect_grants + index * 4,
                        &page.to_le_bytes(),
                    );
                }
            }
        }
        bytes
    }

    /// Decodes a ring entry: the back end's half. `None` for an operation other than read, write, flush or an
    /// indirect read or write, or for too many segments.
    #[must_use]
    pub fn decode(&self, bytes: &[u8; MAX_ENTRY_BYTES]) -> Option<Request> {
        let operation = Operation(bytes[0]);
        match operation {
            Operation::READ | Operation::WRITE | Operation::FLUSH => {
                let count = usize::from(bytes[1]);
                if count > MAX_SEGMENTS {
                    return None;
                }
                let segments = (0..count)
                    .map(|index| Segment::decode(get(bytes, self.segments + index * SEGMENT_BYTES)))
                    .collect();
                Some(Request {
                    operation,
                    handle: u16::from_le_bytes(get(bytes, 2)),
                    id: u64::from_le_bytes(get(bytes, self.id)),
                    sector: u64::from_le_bytes(get(bytes, self.sector)),
                    segments: Segments::Direct(segments),
                })
            }
            Operation::INDIRECT => {
                let operation = Operation(bytes[1]);
                let count = u16::from_le_bytes(get(bytes, 2));
                let needed = usize::from(count).div_ceil(SEGMENTS_PER_INDIRECT_PAGE);
                if !matches!(operation, Operation::READ | Operation::WRITE)
                    || needed > MAX_INDIRECT_PAGES
                {
                    return None;
                }
                let pages = (0..needed)
                    .map(|index| u32::from_le_bytes(get(bytes, self.indirect_grants + index * 4)))
                    .collect();
                Some(Request {
                    operation,
                    handle: u16::from_le_bytes(get(bytes, self.indirect_handle)),
                    id: u64::from_le_bytes(get(bytes, self.indirect_id)),
                    sector: u64::from_le_bytes(get(bytes, self.indirect_sector)),
                    segments: Segments::Indirect { count, pages },
                })
            }
            _ => None,
        }
    }

    /// Encodes `response`: the back end's half. The first [`Layout::response_bytes`] of the result are meant.
    #[must_use]
    pub fn encode_response(&self, response: &Response) -> [u8; MAX_ENTRY_BYTES] {
        let mut bytes = [0; MAX_ENTRY_BYTES];
        put(&mut bytes, 0, &response.id.to_le_bytes());
        bytes[self.response_operation] = response.operation.0;
        put(
            &mut bytes,
            self.response_status,
            &response.status.0.to_le_bytes(),
        );
        bytes
    }

    /// Decodes a response. Nothing is checked.
    #[must_use]
    pub fn decode_response(&self, bytes: &[u8; MAX_ENTRY_BYTES]) -> Response {
        Response {
            id: u64::from_le_bytes(get(bytes, 0)),
            operation: Operation(bytes[self.response_operation]),
            status: Status(i16::from_le_bytes(get(bytes, self.response_status))),
        }
    }
}

/// Copies a field into an entry. Every caller's offset comes from a [`Layout`], which the assertions above bound.
fn put(bytes: &mut [u8; MAX_ENTRY_BYTES], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// Copies a field out of an entry; offsets as in [`put`].
fn get<const N: usize>(bytes: &[u8; MAX_ENTRY_BYTES], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[cfg(test)]
mod tests;
