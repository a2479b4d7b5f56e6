//! A disk that answers reads of any offset and length, and the rare write: [`ReadAhead`].
//!
//! File systems ask for an inode here and a directory block there; the device wants few, large, aligned reads.
//! The disk is read in whole chunks of [`CHUNK_BYTES`], and a chunk that is held is not read again. A miss loads one,
//! and a miss that follows on from the one before loads twice as much as that one did, up to [`WINDOW_MAX`], and tells
//! the device what will come next. [`CACHE_BYTES`] are held at most; what was used longest ago goes first. Where
//! [`WINDOW_MAX`] and more are wanted together and none of it is held, the chunks go straight into the caller's buffer:
//! kernels and initrds are read once, and would only push out the rest.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::bytes::{index, size};
use crate::device::{BlockDevice, BlockError, Geometry};

/// Bytes loaded by a miss that follows on from nothing. A multiple of every sector size.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// The most that one miss loads; also the size from which reads bypass the cache.
pub const WINDOW_MAX: u64 = 512 << 10;
/// The most that the cache holds.
pub const CACHE_BYTES: u64 = 2 << 20;

/// A block device with a small cache and read-ahead. Shared by all volumes of a disk.
pub struct ReadAhead {
    device: Rc<dyn BlockDevice>,
    /// `len_bytes` is rounded down to whole sectors: the device cannot read a last part of one.
    geometry: Geometry,
    state: RefCell<State>,
}

struct State {
    /// Disjoint; every `start` is a multiple of [`CHUNK_BYTES`].
    chunks: Vec<Chunk>,
    /// Counts lookups; says which chunk was used last.
    clock: u64,
    /// Where the last miss ended: a miss that starts here is sequential.
    expected: u64,
    /// How much the last miss loaded.
    window: u64,
}

struct Chunk {
    start: u64,
    data: Vec<u8>,
    used: u64,
}

impl Chunk {
    fn from(&self, offset: u64) -> Option<&[u8]> {
        let skip = offset.checked_sub(self.start)?;
        self.data.get(index(skip)..).filter(|rest| !rest.is_empty())
    }
}

impl ReadAhead {
    /// Wraps `device`; reads nothing yet.
    #[must_use]
    pub fn new(device: Rc<dyn BlockDevice>) -> Self {
        let Geometry {
            sector_bytes,
            len_bytes,
        } = device.geometry();
        let sector = u64::from(sector_bytes.max(1));
        let whole = len_bytes.saturating_sub(len_bytes.checked_rem(sector).unwrap_or(0));
        Self {
            device,
            geometry: Geometry {
                sector_bytes: sector_bytes.max(1),
                len_bytes: whole,
            },
            state: RefCell::new(State {
                chunks: Vec::new(),
                clock: 0,
                expected: u64::MAX,
                window: CHUNK_BYTES,
            }),
        }
    }

    /// The disk's shape, with the length in whole sectors.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The device underneath.
    #[must_use]
    pub fn device(&self) -> &Rc<dyn BlockDevice> {
        &self.device
    }

    /// Forgets everything cached, so that the next read sees what is on the disk now.
    pub fn forget(&self) {
        self.state.borrow_mut().chunks = Vec::new();
    }

    /// Fills `out` with the bytes at `offset`; neither needs any alignment.
    /// # Errors
    /// [`BlockError::OutOfRange`] before any I/O if the range leaves the disk, else what the device says. The
    /// contents of `out` are then unspecified.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        self.check(offset, size(out.len()))?;
        let mut offset = offset;
        let mut out = out;
        while !out.is_empty() {
            let mut state = self.state.borrow_mut();
            let count = if let Some(found) = state.find(offset) {
                let count = found.len().min(out.len());
                if let (Some(to), Some(from)) = (out.get_mut(..count), found.get(..count)) {
                    to.copy_from_slice(from);
                }
                count
            } else {
                let free = state.next_after(offset).saturating_sub(offset);
                drop(state);
                let len = chunks_of(size(out.len()).min(free));
                if len < WINDOW_MAX || !offset.is_multiple_of(CHUNK_BYTES) {
                    self.load(offset)?;
                    continue;
                }
                if let Some(straight) = out.get_mut(..index(len)) {
                    self.device.read(offset, straight)?;
                }
                index(len)
            };
            out = out.get_mut(count..).unwrap_or_default();
            offset = offset.saturating_add(size(count));
        }
        Ok(())
    }

    /// Says that these bytes will be read soon. What leaves the disk is ignored, and so is what is held already.
    pub fn prefetch(&self, offset: u64, len: u64) {
        let end = offset.saturating_add(len).min(self.geometry.len_bytes);
        let mut first = offset;
        let mut state = self.state.borrow_mut();
        while let Some(found) = state.find(first) {
            first = first.saturating_add(size(found.len()));
        }
        if first >= end {
            return;
        }
        let end = end.min(state.next_after(first));
        drop(state);
        // In whole chunks, as it will be read.
        first = chunks_of(first);
        let end = chunks_of(end.saturating_add(CHUNK_BYTES - 1)).min(self.geometry.len_bytes);
        self.device.prefetch(first, end.saturating_sub(first));
    }

    /// Puts `bytes` at `offset`, on the medium and checked by reading them back; neither needs any alignment. What
    /// shares a sector with them is read first and written as it was. Nothing cached is older than the disk afterwards.
    /// # Errors
    /// [`BlockError::OutOfRange`] before any I/O, [`BlockError::ReadOnly`], [`BlockError::Io`] where other bytes are read
    /// back than were written, else what the device says.
    pub fn overwrite(&self, offset: u64, bytes: &[u8]) -> Result<(), BlockError> {
        let len = size(bytes.len());
        self.check(offset, len)?;
        let first = self.round_down(offset);
        let end = self.round_up(offset.saturating_add(len));
        if bytes.is_empty() {
            return Ok(());
        }
        // From the device, not the cache: what shares the sector must be what is there now.
        let mut sectors = vec![0; index(end.saturating_sub(first))];
        self.device.read(first, &mut sectors)?;
        let within = index(offset.saturating_sub(first));
        let into = sectors
            .get_mut(within..)
            .and_then(|rest| rest.get_mut(..bytes.len()));
        // It always is: the sectors were made to hold the bytes.
        if let Some(into) = into {
            into.copy_from_slice(bytes);
        }
        self.forget();
        self.device.write(first, &sectors)?;
        let mut found = vec![0; sectors.len()];
        self.device.read(first, &mut found)?;
        if found == sectors {
            Ok(())
        } else {
            Err(BlockError::Io(alloc::format!(
                "other bytes are read back at {first} than were written"
            )))
        }
    }

    fn check(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.geometry.len_bytes => Ok(()),
            _ => Err(BlockError::OutOfRange {
                offset,
                len,
                disk: self.geometry.len_bytes,
            }),
        }
    }

    fn round_down(&self, bytes: u64) -> u64 {
        let sector = u64::from(self.geometry.sector_bytes);
        bytes.saturating_sub(bytes.checked_rem(sector).unwrap_or(0))
    }

    fn round_up(&self, bytes: u64) -> u64 {
        bytes
            .checked_next_multiple_of(u64::from(self.geometry.sector_bytes))
            .unwrap_or(u64::MAX)
    }

    /// Loads a chunk that holds `offset`, which is on the disk and not in the cache.
    fn load(&self, offset: u64) -> Result<(), BlockError> {
        let start = chunks_of(offset);
        let mut state = self.state.borrow_mut();
        let sequential = start == state.expected;
        let window = if sequential {
            state.window.saturating_mul(2).min(WINDOW_MAX)
        } else {
            CHUNK_BYTES
        };
        // Never over a chunk that is already there: chunks stay disjoint.
        let end = start
            .saturating_add(window)
            .min(state.next_after(start))
            .min(self.geometry.len_bytes);
        let len = end.saturating_sub(start);
        state.make_room(len);
        drop(state);

        let mut data = vec![0; index(len)];
        self.device.read(start, &mut data)?;

        let mut state = self.state.borrow_mut();
        state.clock = state.clock.saturating_add(1);
        let used = state.clock;
        state.chunks.push(Chunk { start, data, used });
        state.expected = end;
        state.window = window;
        drop(state);
        if sequential {
            self.prefetch(end, window.saturating_mul(2).min(WINDOW_MAX));
        }
        Ok(())
    }
}

/// `bytes` rounded down to whole chunks.
const fn chunks_of(bytes: u64) -> u64 {
    bytes.saturating_sub(bytes % CHUNK_BYTES)
}

impl State {
    /// Where the next chunk begins that is held.
    fn next_after(&self, offset: u64) -> u64 {
        let starts = self.chunks.iter().map(|chunk| chunk.start);
        starts.filter(|&at| at > offset).min().unwrap_or(u64::MAX)
    }

    /// The cached bytes from `offset` to the end of its chunk.
    fn find(&mut self, offset: u64) -> Option<&[u8]> {
        self.clock = self.clock.saturating_add(1);
        let clock = self.clock;
        let chunk = self
            .chunks
            .iter_mut()
            .find(|chunk| chunk.from(offset).is_some())?;
        chunk.used = clock;
        chunk.from(offset)
    }

    /// Drops the chunks not used for longest until `len` more bytes fit.
    fn make_room(&mut self, len: u64) {
        let mut held: u64 = self.chunks.iter().map(|chunk| size(chunk.data.len())).sum();
        while held.saturating_add(len) > CACHE_BYTES {
            let oldest = self
                .chunks
                .iter()
                .enumerate()
                .min_by_key(|(_, chunk)| chunk.used)
                .map(|(at, _)| at);
            let Some(oldest) = oldest else { return };
            held = held.saturating_sub(size(self.chunks.swap_remove(oldest).data.len()));
        }
    }
}
