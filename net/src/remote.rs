//! A file on a server: [`Remote`], what is known of it between reads.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Bytes at the start of each file that are kept, because formats are recognised there and read again from 0: a kernel's
/// packed data begins in its first 64 KiB, and decoders ask for 256 KiB at a time.
pub(crate) const HEAD: usize = 320 << 10;
/// The same for a file whose server does not tell its size: it is read through once to be measured, and one this small
/// need not be read again.
pub(crate) const HEAD_UNKNOWN: usize = 1 << 20;

/// A file on a TFTP server, as opened by [`crate::Stack::open`].
///
/// It is read front to back with [`crate::Stack::read`]. The first 320 KiB are kept, and what was passed over by reading
/// further on (a kernel's size stands at its end), as far as [`crate::Stack::keep_at_most`] allows; going back beyond that
/// asks the server for the whole file again.
#[derive(Debug)]
pub struct Remote {
    pub(crate) server: Ipv4Addr,
    pub(crate) path: Vec<u8>,
    pub(crate) len: u64,
    /// Which transfer is this file's.
    pub(crate) id: u64,
    pub(crate) head: Vec<u8>,
    pub(crate) kept: Kept,
}

impl Remote {
    /// Size in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The path on the server.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> Ipv4Addr {
        self.server
    }

    /// Keeps `bytes`, which stand at `offset`, if they belong to the first `limit` bytes.
    pub(crate) fn keep(&mut self, offset: u64, bytes: &[u8], limit: usize) {
        if usize::try_from(offset) == Ok(self.head.len()) {
            let room = limit.saturating_sub(self.head.len());
            let (kept, _) = bytes.split_at(room.min(bytes.len()));
            self.head.extend_from_slice(kept);
        }
    }
}

/// Bytes of one chunk of [`Kept`].
const CHUNK: usize = 64 << 10;
/// A reader who reads on for more than this behind what was passed over does not come back to it.
const FOLLOW_MAX: u64 = 1 << 20;

/// What was passed over: bytes in a row, given back chunk by chunk as they are read.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Offset of the first byte.
    start: u64,
    /// All full but the last.
    chunks: VecDeque<Vec<u8>>,
    len: u64,
    /// How many of them were read, behind those that were passed over.
    followed: u64,
    /// There were more than may be kept, or nobody wants them.
    full: bool,
}

impl Kept {
    /// Keeps `bytes`, which stand at `offset` and are passed over.
    pub(crate) fn pass(&mut self, offset: u64, bytes: &[u8], limit: u64) {
        if self.chunks.is_empty() {
            self.start = offset;
            self.len = 0;
        }
        self.followed = 0;
        self.push(offset, bytes, limit);
    }

    /// Keeps `bytes`, which stand at `offset` and were read, if they follow what was passed over.
    pub(crate) fn follow(&mut self, offset: u64, bytes: &[u8], limit: u64) {
        if self.chunks.is_empty() {
            return;
        }
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.followed = self.followed.saturating_add(count);
        if self.followed > FOLLOW_MAX {
            self.chunks = VecDeque::new();
            self.full = true;
            return;
        }
        self.push(offset, bytes, limit);
    }

    fn push(&mut self, offset: u64, bytes: &[u8], limit: u64) {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let len = self.len.saturating_add(count);
        if self.full || len > limit || offset != self.start.saturating_add(self.len) {
            self.chunks = VecDeque::new();
            self.full = true;
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let chunk = match self.chunks.back_mut().filter(|chunk| chunk.len() < CHUNK) {
                Some(chunk) => chunk,
                None => {
                    let mut chunk = Vec::new();
                    if chunk.try_reserve_exact(CHUNK).is_err() {
                        self.chunks = VecDeque::new();
                        self.full = true;
                        return;
                    }
                    self.chunks.push_back(chunk);
                    continue;
                }
            };
            let room = CHUNK.saturating_sub(chunk.len());
            let (now, later) = rest.split_at(room.min(rest.len()));
            chunk.extend_from_slice(now);
            rest = later;
        }
        self.len = len;
    }

    /// Copies what there is of the bytes at `offset` and returns how many; what lies before them is given up.
    pub(crate) fn take(&mut self, offset: u64, out: &mut [u8]) -> usize {
        let mut done = 0_usize;
        while done < out.len() {
            let at = offset.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
            let Some(inside) = at
                .checked_sub(self.start)
                .and_then(|at| usize::try_from(at).ok())
            else {
                break;
            };
            let Some(chunk) = self.chunks.front() else {
                break;
            };
            if inside >= CHUNK {
                self.drop_first();
                continue;
            }
            let from = chunk.get(inside..).unwrap_or_default();
            let target = out.get_mut(done..).unwrap_or_default();
            let count = from.len().min(target.len());
            if count == 0 {
                break;
            }
            target
                .split_at_mut(count)
                .0
                .copy_from_slice(from.split_at(count).0);
            done = done.saturating_add(count);
        }
        done
    }

    fn drop_first(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            let count = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            self.start = self.start.saturating_add(count);
            self.len = self.len.saturating_sub(count);
        }
    }
}
