//! A device made of pieces of others: what LVM's logical volumes and md's arrays are to the rest of this room.
//!
//! A [`Map`] is a list of [`Piece`]s. Reads are cut where pieces and stripes end and go through the [`Volume`]s
//! underneath, which take any alignment. A mirror is read from its first leg, and from the others only where that fails:
//! legs of a mirror that was not closed cleanly may differ, and one leg at least agrees with itself.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bytes::{index, size};
use crate::cache::CHUNK_BYTES;
use crate::device::{BlockDevice, BlockError, Geometry};
use crate::volume::Volume;

/// The most pieces of one read that are asked for beforehand.
const PREFETCH_RUNS: u32 = 64;

/// How the bytes of a piece lie on its areas.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// On the areas in turn, this many bytes on each. One area makes it linear.
    Striped(u64),
    /// The same on each area; the first is the best.
    Mirror,
}

/// A stretch of the device.
pub(crate) struct Piece {
    pub(crate) len: u64,
    pub(crate) layout: Layout,
    /// Where the bytes are, exactly as many as are used. Where there are none, reading fails.
    pub(crate) areas: Vec<Volume>,
}

/// The device.
pub(crate) struct Map {
    pieces: Vec<Piece>,
    len: u64,
    sector_bytes: u32,
    /// Why nothing may be written.
    read_only: Option<&'static str>,
}

impl Map {
    /// The pieces one after the other. `read_only` is why nothing may be written, if so; a mirror is never written.
    pub(crate) fn new(pieces: Vec<Piece>, read_only: Option<&'static str>) -> Self {
        let mut map = Self {
            pieces: Vec::new(),
            len: 0,
            sector_bytes: 512,
            read_only,
        };
        for piece in &pieces {
            if piece.layout == Layout::Mirror {
                map.read_only = Some("it is a mirror, whose halves would differ");
            }
            for area in &piece.areas {
                map.sector_bytes = map.sector_bytes.max(area.disk().geometry().sector_bytes);
            }
            map.len = map.len.saturating_add(piece.len);
        }
        map.pieces = pieces;
        map
    }

    /// The areas that hold the byte at `offset`, its place from their beginnings, and how many bytes follow there.
    fn run_at(&self, offset: u64) -> Result<(&[Volume], u64, u64), BlockError> {
        let mut within = offset;
        for piece in &self.pieces {
            let Some(left) = piece.len.checked_sub(within).filter(|&left| left > 0) else {
                within = within.saturating_sub(piece.len);
                continue;
            };
            let Layout::Striped(stripe) = piece.layout else {
                return Ok((&piece.areas, within, left));
            };
            let run = || {
                let count = size(piece.areas.len());
                let (number, into) = (within.checked_div(stripe)?, within.checked_rem(stripe)?);
                let which = index(number.checked_rem(count)?);
                let at = number.checked_div(count)?.checked_mul(stripe)?;
                Some((
                    piece.areas.get(which..=which)?,
                    at.checked_add(into)?,
                    stripe.checked_sub(into)?.min(left),
                ))
            };
            return run().ok_or_else(absent);
        }
        Err(BlockError::OutOfRange {
            offset,
            len: 1,
            disk: self.len,
        })
    }
}

fn absent() -> BlockError {
    BlockError::Absent(String::from("no part of it is there"))
}

impl BlockDevice for Map {
    fn geometry(&self) -> Geometry {
        Geometry {
            sector_bytes: self.sector_bytes,
            len_bytes: self.len,
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        // All disks at once, where it takes several.
        if self.run_at(offset)?.2 < size(out.len()) {
            self.prefetch(offset, size(out.len()));
        }
        let (mut offset, mut out) = (offset, out);
        while !out.is_empty() {
            let (areas, at, len) = self.run_at(offset)?;
            let (now, later) = out.split_at_mut(index(len).min(out.len()));
            // What the first says of itself is the error.
            let mut outcome = None;
            for area in areas {
                match (area.read_through(at, now), &outcome) {
                    (Err(_), Some(_)) => {}
                    (read, _) => outcome = Some(read),
                }
                if matches!(outcome, Some(Ok(()))) {
                    break;
                }
            }
            outcome.unwrap_or_else(|| Err(absent()))?;
            offset = offset.saturating_add(size(now.len()));
            out = later;
        }
        Ok(())
    }

    /// Small stripes are left alone: the volumes underneath read ahead by themselves.
    fn prefetch(&self, offset: u64, len: u64) {
        let end = offset.saturating_add(len).min(self.len);
        let mut offset = offset;
        for _ in 0..PREFETCH_RUNS {
            let left = end.saturating_sub(offset);
            let Ok((areas, at, run)) = self.run_at(offset) else {
                return;
            };
            let run = run.min(left);
            if run == 0 {
                return;
            }
            if run >= CHUNK_BYTES
                && let Some(area) = areas.first()
            {
                area.prefetch(at, run);
            }
            offset = offset.saturating_add(run);
        }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), BlockError> {
        if let Some(why) = self.read_only {
            return Err(BlockError::ReadOnly(why.into()));
        }
        let (mut offset, mut bytes) = (offset, bytes);
        while !bytes.is_empty() {
            let (areas, at, len) = self.run_at(offset)?;
            let (now, later) = bytes.split_at(index(len).min(bytes.len()));
            areas.first().ok_or_else(absent)?.overwrite(at, now)?;
            offset = offset.saturating_add(size(now.len()));
            bytes = later;
        }
        Ok(())
    }
}
