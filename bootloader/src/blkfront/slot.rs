//! A slot of a disk's pool: pages for one request, and what is in them.

use alloc::vec::Vec;
use core::ops::Range;

use arch::abi::blkif::{Operation, SECTOR_BYTES, Segment, Status};
use arch::addr::PAGE_BYTES;

use crate::frontend::Granted;

/// Bytes of a page, as an offset.
pub(super) const PAGE: u64 = PAGE_BYTES as u64;

/// Who a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// The read that is going on: an error is tried again once and then reported.
    Read,
    /// A read to come: an error is forgotten, since that read will ask for what it needs.
    Prefetch,
    /// A write: an error is tried again once and then reported.
    Write,
    /// Puts what was written on the medium; has no bytes.
    Flush,
}

impl Purpose {
    /// What the back end is asked to do.
    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Read | Self::Prefetch => Operation::READ,
            Self::Write => Operation::WRITE,
            Self::Flush => Operation::FLUSH,
        }
    }

    /// What a message says the back end could not do.
    pub(super) const fn verb(self) -> &'static str {
        match self {
            Self::Read | Self::Prefetch => "read",
            Self::Write => "write",
            Self::Flush => "flush",
        }
    }
}

/// A request or the bytes that came of it.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    /// Bytes of the disk. Only empty in a flush.
    pub(super) range: Range<u64>,
    pub(super) purpose: Purpose,
    /// Number of the request; grows with time.
    pub(super) id: u64,
    pub(super) retried: Retried,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retried {
    No,
    Once,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Free,
    /// The back end has the request.
    Flying(Extent),
    /// The bytes are here.
    Ready(Extent),
    /// The back end answered with an error, twice.
    Failed(Extent, Status),
}

/// Pages for one request.
pub(super) struct Slot {
    pub(super) pages: Vec<Granted>,
    /// The page of segments of an indirect request.
    pub(super) table: Option<Granted>,
    pub(super) content: Content,
}

impl Slot {
    /// A slot without pages.
    pub(super) const fn empty() -> Self {
        Self {
            pages: Vec::new(),
            table: None,
            content: Content::Free,
        }
    }

    pub(super) fn extent(&self) -> Option<&Extent> {
        match &self.content {
            Content::Free => None,
            Content::Flying(extent) | Content::Ready(extent) | Content::Failed(extent, _) => {
                Some(extent)
            }
        }
    }
}

/// The first `len` bytes of `pages` as segments. `len` is a multiple of a sector and fits the pages.
pub(super) fn segments(pages: &[Granted], len: u64) -> Vec<Segment> {
    let mut rest = len;
    let mut segments = Vec::new();
    for granted in pages {
        if rest == 0 {
            break;
        }
        let bytes = rest.min(PAGE);
        segments.push(Segment {
            grant: granted.grant.0,
            first: 0,
            // 1 to 8 sectors.
            last: (bytes / SECTOR_BYTES - 1) as u8,
        });
        rest -= bytes;
    }
    segments
}

/// Copies `bytes` to the beginning of the row of `pages`, which has room for them.
pub(super) fn copy_in(pages: &[Granted], bytes: &[u8]) {
    for (granted, part) in pages.iter().zip(bytes.chunks(PAGE_BYTES)) {
        granted.page.write(0, part);
    }
}

/// Copies the bytes at `skip` in the row of `pages` to `out`.
pub(super) fn copy_out(pages: &[Granted], skip: u64, out: &mut [u8]) {
    let mut from = skip;
    let mut rest = out;
    while !rest.is_empty() {
        // Inside the pages of one slot, so it fits a usize.
        let (page, at) = ((from / PAGE) as usize, (from % PAGE) as usize);
        let count = rest.len().min(PAGE_BYTES - at);
        let (now, later) = rest.split_at_mut(count);
        pages[page].page.read(at, now);
        from += count as u64;
        rest = later;
    }
}
