//! A file on a server: [`Remote`], what is known of it between reads.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Bytes at the start of each file that are kept, because formats are recognised there and read again from 0.
pub(crate) const HEAD: usize = 64 << 10;
/// The same for a file whose server does not tell its size: it is read through once to be measured, and one this small
/// need not be read again.
pub(crate) const HEAD_UNKNOWN: usize = 1 << 20;

/// A file on a TFTP server, as opened by [`crate::Stack::open`].
///
/// It is read front to back with [`crate::Stack::read`]; going back beyond the first 64 KiB asks the server for the
/// whole file again.
#[derive(Debug)]
pub struct Remote {
    pub(crate) server: Ipv4Addr,
    pub(crate) path: Vec<u8>,
    pub(crate) len: u64,
    /// Which transfer is this file's.
    pub(crate) id: u64,
    pub(crate) head: Vec<u8>,
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
