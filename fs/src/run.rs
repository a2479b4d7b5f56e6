//! Files as runs of bytes: where a file's bytes lie, and one reader for all file systems.
//!
//! A file system says, through [`Layout`], where the bytes at an offset are and how many follow on there.
//! [`MappedFile`] joins neighbouring runs, so that a file in one piece is one read of the disk, and reads those of a
//! file in many pieces in the disk's order.

use alloc::boxed::Box;
use alloc::collections::BinaryHeap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::bytes::{index, size};
use crate::cache::CHUNK_BYTES;
use crate::error::FsError;
use crate::name::BlockRange;
use crate::tree::{File, STRETCHES_MAX, Stretch};
use crate::volume::Volume;

/// Where bytes of a file are.
#[derive(Clone)]
pub(crate) enum Source {
    /// On the volume, from this byte.
    Disk(u64),
    /// Nowhere: a hole, or allocated and never written.
    Zeros,
    /// In memory, from this index of the slice: inline data, blocks of a journal.
    Memory(Rc<[u8]>, usize),
    /// Nowhere as they are: [`Layout::make`] makes them, from packed bytes on the volume (first byte and length) if it
    /// needs those. Such a run is never joined to another.
    Made { packed: Option<(u64, u64)> },
}

/// `len` bytes of a file that lie together.
pub(crate) struct Run {
    pub(crate) source: Source,
    pub(crate) len: u64,
}

/// How a file lies on its volume.
pub(crate) trait Layout {
    fn volume(&self) -> &Volume;

    /// Size of the file in bytes.
    fn len(&self) -> u64;

    /// The run that starts at byte `offset`, which is below [`Layout::len`]. It may be longer than the file.
    fn run_at(&self, offset: u64) -> Result<Run, FsError>;

    /// Fills `out`, a part of one run, with the bytes at `offset` of a [`Source::Made`].
    fn make(&self, offset: u64, out: &mut [u8]) -> Result<(), FsError> {
        let _ = out;
        Err(FsError::corrupt("file bytes that are not made at", offset))
    }

    /// Checks `bytes`, which were read from one run on the volume for `offset` of the file, and mends them if it can.
    fn check(&self, offset: u64, bytes: &mut [u8]) -> Result<(), FsError> {
        let _ = (offset, bytes);
        Ok(())
    }

    /// Why bytes of the file must not be changed where they are, even if they are simply on the disk.
    fn hazard(&self) -> Option<&'static str>;
}

/// The most runs that one [`File::prefetch`] looks up.
const PREFETCH_RUNS: usize = 64;

/// The most pieces that are put into the disk's order at a time: a third of a MiB of memory, and 64 MiB of a file in
/// pieces of 4 KiB.
const PIECES_MAX: usize = 1 << 14;

/// How many of these small pieces are on their way at once.
const AHEAD: usize = 8;

/// A part of a reader's buffer behind the places of its bytes on the volume and in the file; in the volume's order.
struct Piece<'a>(u64, u64, &'a mut [u8]);

impl Ord for Piece<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Piece<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Piece<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Piece<'_> {}

/// A file read by its [`Layout`].
pub(crate) struct MappedFile<L>(pub(crate) L);

/// One copy of the code for all layouts: the image has little room.
impl dyn Layout + '_ {
    /// The longest run at `offset`, not longer than `limit`, with its neighbours joined on.
    fn joined(&self, offset: u64, limit: u64) -> Result<Run, FsError> {
        let mut run = self.checked_run(offset)?;
        while run.len < limit {
            let next_at = offset.saturating_add(run.len);
            // A last block may reach beyond the file's end; there is no run after it.
            if next_at >= self.len() {
                break;
            }
            let next = self.checked_run(next_at)?;
            let follows = match (&run.source, &next.source) {
                (Source::Disk(first), Source::Disk(second)) => {
                    first.checked_add(run.len) == Some(*second)
                }
                (Source::Zeros, Source::Zeros) => true,
                _ => false,
            };
            if !follows {
                break;
            }
            run.len = run.len.saturating_add(next.len);
        }
        run.len = run.len.min(limit);
        Ok(run)
    }

    fn read_pieces(&self, pieces: BinaryHeap<Piece<'_>>) -> Result<(), FsError> {
        let volume = self.volume();
        let mut pieces = pieces.into_sorted_vec();
        for number in 0..pieces.len().saturating_add(AHEAD) {
            if let Some(Piece(at, _, bytes)) = pieces.get(number)
                && size(bytes.len()) < CHUNK_BYTES
            {
                volume.prefetch(*at, size(bytes.len()));
            }
            let now = number.checked_sub(AHEAD);
            if let Some(Piece(at, offset, bytes)) = now.and_then(|now| pieces.get_mut(now)) {
                if size(bytes.len()) >= CHUNK_BYTES {
                    volume.prefetch(*at, size(bytes.len()));
                }
                volume.read_at(*at, bytes)?;
                self.check(*offset, bytes)?;
            }
        }
        Ok(())
    }

    fn checked_run(&self, offset: u64) -> Result<Run, FsError> {
        let run = self.run_at(offset)?;
        if run.len == 0 {
            Err(FsError::corrupt("empty run of file bytes at", offset))
        } else {
            Ok(run)
        }
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), FsError> {
        let len = size(out.len());
        if offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(FsError::BeyondEnd {
                offset,
                len,
                size: self.len(),
            });
        }
        let mut offset = offset;
        let mut out = out;
        let mut pieces = BinaryHeap::new();
        while !out.is_empty() {
            let run = self.joined(offset, size(out.len()))?;
            let (now, later) = out.split_at_mut(index(run.len).min(out.len()));
            // Nothing is gained by waiting for more, and its neighbours that say what follows may still be held.
            let is_large = size(now.len()) >= CHUNK_BYTES;
            let here = offset;
            offset = offset.saturating_add(size(now.len()));
            out = later;
            match run.source {
                Source::Disk(at) => pieces.push(Piece(at, here, now)),
                Source::Made { .. } => self.make(here, now)?,
                Source::Zeros => now.fill(0),
                Source::Memory(bytes, from) => {
                    let found = from
                        .checked_add(now.len())
                        .and_then(|end| bytes.get(from..end));
                    now.copy_from_slice(
                        found.ok_or(FsError::corrupt("data in memory cut short at", offset))?,
                    );
                }
            }
            if out.is_empty() || is_large || pieces.len() >= PIECES_MAX {
                self.read_pieces(core::mem::take(&mut pieces))?;
            }
        }
        Ok(())
    }

    fn prefetch(&self, offset: u64, len: u64) {
        let end = offset.saturating_add(len).min(self.len());
        let mut offset = offset;
        for _ in 0..PREFETCH_RUNS {
            let Some(left) = end.checked_sub(offset).filter(|&left| left > 0) else {
                return;
            };
            // A hint: an error will show when the bytes are read.
            let Ok(run) = self.joined(offset, left) else {
                return;
            };
            match run.source {
                Source::Disk(at) => self.volume().prefetch(at, run.len),
                Source::Made {
                    packed: Some((at, len)),
                } => self.volume().prefetch(at, len),
                _ => {}
            }
            offset = offset.saturating_add(run.len);
        }
    }

    fn stretches(&self) -> Result<Vec<Stretch>, FsError> {
        let mut found = Vec::new();
        let mut offset = 0;
        while offset < self.len() {
            if found.len() >= STRETCHES_MAX {
                return Err(FsError::unsupported("a file in more than 4096 pieces"));
            }
            let run = self.joined(offset, self.len().saturating_sub(offset))?;
            offset = offset.saturating_add(run.len);
            found.push(Stretch {
                start: match run.source {
                    Source::Disk(at) => Some(at),
                    _ => None,
                },
                len: run.len,
            });
        }
        Ok(found)
    }

    fn overwrite(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        let len = size(bytes.len());
        if offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(FsError::BeyondEnd {
                offset,
                len,
                size: self.len(),
            });
        }
        if let Some(why) = self.hazard() {
            return Err(FsError::NotInPlace(why));
        }
        // All places are known before the first byte is written.
        let mut places = Vec::new();
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let run = self.joined(at, size(rest.len()))?;
            let Source::Disk(place) = run.source else {
                return Err(FsError::NotInPlace(match run.source {
                    Source::Zeros => "a part of the file was never written",
                    _ => "its bytes are packed, or kept in the inode or the journal",
                }));
            };
            let (now, later) = rest.split_at(index(run.len).min(rest.len()));
            places.push((place, now));
            at = at.saturating_add(size(now.len()));
            rest = later;
        }
        for (place, bytes) in places {
            self.volume().overwrite(place, bytes)?;
        }
        Ok(())
    }
}

impl<L: Layout> MappedFile<L> {
    fn layout(&self) -> &dyn Layout {
        &self.0
    }
}

impl<L: Layout> File for MappedFile<L> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), FsError> {
        self.layout().read_at(offset, out)
    }

    fn prefetch(&self, offset: u64, len: u64) {
        self.layout().prefetch(offset, len);
    }

    fn stretches(&self) -> Result<Vec<Stretch>, FsError> {
        self.layout().stretches()
    }

    fn overwrite(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.layout().overwrite(offset, bytes)
    }
}

/// A file of which all pieces are known from the start: ISO9660 files, block lists.
pub(crate) struct Pieces {
    volume: Volume,
    /// (end in the file, first byte on the volume, length); lengths are not 0.
    pieces: Vec<(u64, u64, u64)>,
    len: u64,
}

impl Pieces {
    pub(crate) fn new(volume: Volume, pieces: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut end: u64 = 0;
        let pieces = pieces
            .into_iter()
            .filter(|&(_, len)| len > 0)
            .map(|(at, len)| {
                end = end.saturating_add(len);
                (end, at, len)
            })
            .collect();
        Self {
            volume,
            pieces,
            len: end,
        }
    }
}

impl Layout for Pieces {
    fn volume(&self) -> &Volume {
        &self.volume
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn run_at(&self, offset: u64) -> Result<Run, FsError> {
        let position = self.pieces.partition_point(|&(end, _, _)| end <= offset);
        let &(end, at, len) = self
            .pieces
            .get(position)
            .ok_or(FsError::corrupt("no piece of the file at", offset))?;
        let left = end.saturating_sub(offset);
        Ok(Run {
            source: Source::Disk(at.saturating_add(len.saturating_sub(left))),
            len: left,
        })
    }

    fn hazard(&self) -> Option<&'static str> {
        Some("only files of ext and FAT are written")
    }
}

/// The file that a GRUB block list names: 512-byte sectors of `volume`, in the order of `ranges`.
#[must_use]
pub fn block_list(volume: Volume, ranges: &[BlockRange]) -> Box<dyn File> {
    let pieces: Vec<_> = ranges
        .iter()
        .map(|range| {
            (
                range.start.saturating_mul(512),
                range.count.saturating_mul(512),
            )
        })
        .collect();
    Box::new(MappedFile(Pieces::new(volume, pieces)))
}
