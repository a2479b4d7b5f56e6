//! A disk that answers reads of any offset and length, and the rare write: [`ReadAhead`].
//!
//! File systems ask for an inode here and a directory block there; the device wants few, large, aligned reads.
//! Small reads go through a cache of at most [`CACHE_BYTES`]: a miss loads [`CHUNK_BYTES`], and a miss that follows
//! on from the one before loads twice as much as that one did, up to [`WINDOW_MAX`], and tells the device what will
//! come next. Reads of [`CHUNK_BYTES`] and more bypass the cache: one device read goes straight into the caller's
//! buffer, only ragged ends smaller than a sector are copied.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::bytes::{index, size};
use crate::device::{BlockDevice, BlockError, Geometry};

/// Bytes loaded by a miss that follows on from nothing; also the size from which reads bypass the cache.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// The most that one miss loads.
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
        if size(out.len()) < CHUNK_BYTES {
            return self.read_cached(offset, out);
        }
        let head = index(self.round_up(offset).saturating_sub(offset)).min(out.len());
        let (head, rest) = out.split_at_mut(head);
        let middle_at = offset.saturating_add(size(head.len()));
        let (middle, tail) = rest.split_at_mut(index(self.round_down(size(rest.len()))));
        if !head.is_empty() {
            self.read_cached(offset, head)?;
        }
        self.device.read(middle_at, middle)?;
        if !tail.is_empty() {
            self.read_cached(middle_at.saturating_add(size(middle.len())), tail)?;
        }
        Ok(())
    }

    /// Says that these bytes will be read soon. What leaves the disk is ignored.
    pub fn prefetch(&self, offset: u64, len: u64) {
        let first = self.round_down(offset);
        let end = self
            .round_up(offset.saturating_add(len))
            .min(self.geometry.len_bytes);
        if let Some(len) = end.checked_sub(first).filter(|&len| len > 0) {
            self.device.prefetch(first, len);
        }
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

    /// The range has been checked against the disk.
    fn read_cached(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        let mut offset = offset;
        let mut out = out;
        while !out.is_empty() {
            let mut state = self.state.borrow_mut();
            let Some(found) = state.find(offset) else {
                drop(state);
                self.load(offset)?;
                continue;
            };
            let count = found.len().min(out.len());
            let (now, later) = out.split_at_mut(count);
            now.copy_from_slice(found.get(..count).unwrap_or_default());
            out = later;
            offset = offset.saturating_add(size(count));
        }
        Ok(())
    }

    /// Loads a chunk that holds `offset`, which is on the disk and not in the cache.
    fn load(&self, offset: u64) -> Result<(), BlockError> {
        let start = offset.saturating_sub(offset % CHUNK_BYTES);
        let mut state = self.state.borrow_mut();
        let sequential = start == state.expected;
        let window = if sequential {
            state.window.saturating_mul(2).min(WINDOW_MAX)
        } else {
            CHUNK_BYTES
        };
        // Never over a chunk that is already there: chunks stay disjoint.
        let next = state
            .chunks
            .iter()
            .map(|chunk| chunk.start)
            .filter(|&at| at > start)
            .min()
            .unwrap_or(u64::MAX);
        let end = start
            .saturating_add(window)
            .min(next)
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

impl State {
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
