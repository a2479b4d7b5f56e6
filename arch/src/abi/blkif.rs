//! Block requests and responses (`io/blkif.h`), encoded and decoded as data.
//!
//! There are two layouts, because a 64-bit field is aligned to 8 bytes in `x86_64` and to 4 in i686, and a back end
//! learns from the front end's [`PROTOCOL`] key which one is used. It need not be the guest's own: the loader speaks
//! that of `x86_64` in either width. Sectors are always 512 bytes.

use alloc::vec::Vec;

use super::ring;

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
/// Value of the front end's `protocol` key.
pub const PROTOCOL: &str = "x86_64-abi";
/// Bytes of a ring entry: the larger of request and response.
pub const ENTRY_BYTES: usize = 112;
/// Bytes of a response.
pub const RESPONSE_BYTES: usize = 16;

/// Offset of `id` in a request of either kind.
pub const ID: usize = 8;
/// Offset of `sector_number` in a request of either kind.
pub const SECTOR: usize = 16;
/// Offset of the first segment in a direct request.
pub const SEGMENTS: usize = 24;
/// Offset of `handle` in an indirect request.
pub const INDIRECT_HANDLE: usize = 24;
/// Offset of the grant references in an indirect request.
pub const INDIRECT_GRANTS: usize = 28;
/// Offset of `operation` in a response.
pub const RESPONSE_OPERATION: usize = 8;
/// Offset of `status` in a response.
pub const RESPONSE_STATUS: usize = 10;

const _: () = assert!(SEGMENTS + MAX_SEGMENTS * SEGMENT_BYTES == ENTRY_BYTES);
const _: () = assert!(INDIRECT_GRANTS + MAX_INDIRECT_PAGES * 4 <= ENTRY_BYTES);
const _: () = assert!(ring::entry_count(ENTRY_BYTES) == 32);
const _: () = assert!(SEGMENTS_PER_INDIRECT_PAGE * SEGMENT_BYTES == crate::addr::PAGE_BYTES);

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

impl Request {
    /// The request as a ring entry.
    ///
    /// Segments or pages beyond the protocol's limits are left out and not counted.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        put(&mut bytes, ID, &self.id.to_le_bytes());
        put(&mut bytes, SECTOR, &self.sector.to_le_bytes());
        match &self.segments {
            Segments::Direct(segments) => {
                let count = segments.len().min(MAX_SEGMENTS);
                bytes[0] = self.operation.0;
                // At most MAX_SEGMENTS, which is 11.
                bytes[1] = u8::try_from(count).unwrap_or(0);
                put(&mut bytes, 2, &self.handle.to_le_bytes());
                for (index, segment) in segments.iter().take(count).enumerate() {
                    put(
                        &mut bytes,
                        SEGMENTS + index * SEGMENT_BYTES,
                        &segment.encode(),
                    );
                }
            }
            Segments::Indirect { count, pages } => {
                bytes[0] = Operation::INDIRECT.0;
                bytes[1] = self.operation.0;
                put(&mut bytes, 2, &count.to_le_bytes());
                put(&mut bytes, INDIRECT_HANDLE, &self.handle.to_le_bytes());
                for (index, page) in pages.iter().take(MAX_INDIRECT_PAGES).enumerate() {
                    put(&mut bytes, INDIRECT_GRANTS + index * 4, &page.to_le_bytes());
                }
            }
        }
        bytes
    }

    /// Reads a ring entry: the back end's half. `None` for an operation other than read, write, flush or an indirect
    /// read or write, or for too many segments.
    #[must_use]
    pub fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let operation = Operation(bytes[0]);
        let id = u64::from_le_bytes(get(bytes, ID));
        let sector = u64::from_le_bytes(get(bytes, SECTOR));
        match operation {
            Operation::READ | Operation::WRITE | Operation::FLUSH => {
                let count = usize::from(bytes[1]);
                if count > MAX_SEGMENTS {
                    return None;
                }
                let segments = (0..count)
                    .map(|index| Segment::decode(get(bytes, SEGMENTS + index * SEGMENT_BYTES)))
                    .collect();
                Some(Self {
                    operation,
                    handle: u16::from_le_bytes(get(bytes, 2)),
                    id,
                    sector,
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
                    .map(|index| u32::from_le_bytes(get(bytes, INDIRECT_GRANTS + index * 4)))
                    .collect();
                Some(Self {
                    operation,
                    handle: u16::from_le_bytes(get(bytes, INDIRECT_HANDLE)),
                    id,
                    sector,
                    segments: Segments::Indirect { count, pages },
                })
            }
            _ => None,
        }
    }
}

impl Response {
    /// The response as it stands in the ring: the back end's half.
    #[must_use]
    pub fn encode(&self) -> [u8; RESPONSE_BYTES] {
        let mut bytes = [0; RESPONSE_BYTES];
        put(&mut bytes, 0, &self.id.to_le_bytes());
        bytes[RESPONSE_OPERATION] = self.operation.0;
        put(&mut bytes, RESPONSE_STATUS, &self.status.0.to_le_bytes());
        bytes
    }

    /// Reads a response. Nothing is checked.
    #[must_use]
    pub fn decode(bytes: &[u8; RESPONSE_BYTES]) -> Self {
        Self {
            id: u64::from_le_bytes(get(bytes, 0)),
            operation: Operation(bytes[RESPONSE_OPERATION]),
            status: Status(i16::from_le_bytes(get(bytes, RESPONSE_STATUS))),
        }
    }
}

/// Copies a field into an entry. Every caller's offset is one of the constants above, with assertions that bound it.
fn put<const LEN: usize>(bytes: &mut [u8; LEN], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// Copies a field out of an entry; offsets as in [`put`].
fn get<const LEN: usize, const N: usize>(bytes: &[u8; LEN], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[cfg(test)]
mod tests;
