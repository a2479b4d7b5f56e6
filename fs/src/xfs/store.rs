//! Reads metadata as it is after the log's replay, which happens in memory.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;

use crate::bytes::{index, size};
use crate::error::FsError;
use crate::volume::Volume;

/// Buffers are logged in pieces of this many bytes (`XFS_BLF_CHUNK`).
pub(super) const CHUNK: u64 = 128;

/// An inode as the log has it.
#[derive(Clone, Default)]
pub(super) struct LoggedInode {
    /// `struct xfs_log_dinode`: the inode's core in the byte order of the machine that logged it.
    pub(super) core: Rc<[u8]>,
    /// The data fork, if it was logged.
    pub(super) fork: Option<Rc<[u8]>>,
}

/// What the log has that is newer than its place.
#[derive(Default)]
pub(super) struct Replay {
    /// Pieces of metadata by the number of the piece on the volume; `None` for one that is as on the volume again: code that
    /// removes from a tree is large.
    pub(super) chunks: BTreeMap<u64, Option<[u8; 128]>>,
    /// Inodes by the byte of the volume where they are; `None` likewise.
    pub(super) inodes: BTreeMap<u64, Option<LoggedInode>>,
}

/// A volume whose metadata is read through a [`Replay`].
pub(super) struct Store {
    volume: Volume,
    replay: Replay,
}

impl Store {
    pub(super) const fn new(volume: Volume, replay: Replay) -> Self {
        Self { volume, replay }
    }

    pub(super) const fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Fills `out` with the metadata at byte `at`.
    pub(super) fn read(&self, at: u64, out: &mut [u8]) -> Result<(), FsError> {
        self.volume.read_at(at, out)?;
        let len = size(out.len());
        for (&number, chunk) in self.replay.chunks.range(numbers(at, len)) {
            let Some(chunk) = chunk else { continue };
            let start = number.saturating_mul(CHUNK);
            // The part of the piece that lies in `out`.
            let skip = index(at.saturating_sub(start));
            let into = index(start.saturating_sub(at));
            let from = chunk.get(skip..).unwrap_or_default();
            let into = out.get_mut(into..).unwrap_or_default();
            for (to, byte) in into.iter_mut().zip(from) {
                *to = *byte;
            }
        }
        Ok(())
    }

    /// Whether the log has a part of these bytes, so that their checksum is not that of what is read.
    pub(super) fn is_newer(&self, at: u64, len: u64) -> bool {
        let mut chunks = self.replay.chunks.range(numbers(at, len));
        chunks.any(|(_, chunk)| chunk.is_some())
    }

    /// The inode at byte `at`, if the log has it.
    pub(super) fn inode(&self, at: u64) -> Option<&LoggedInode> {
        self.replay.inodes.get(&at)?.as_ref()
    }
}

/// The numbers of the pieces that `len` bytes at `at` touch.
pub(super) fn numbers(at: u64, len: u64) -> core::ops::Range<u64> {
    let end = at.saturating_add(len).div_ceil(CHUNK);
    let first = at.checked_div(CHUNK).unwrap_or(0);
    first..end.max(first)
}
