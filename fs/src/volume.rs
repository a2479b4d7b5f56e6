//! A window on a disk: the whole of it or one partition. File systems read through a [`Volume`].

use alloc::rc::Rc;

use crate::bytes::size;
use crate::cache::{CHUNK_BYTES, ReadAhead};
use crate::device::BlockError;
use crate::partition::Partition;

/// Bytes `start..start + len` of a shared disk. Cheap to clone.
#[derive(Clone)]
pub struct Volume {
    disk: Rc<ReadAhead>,
    start: u64,
    len: u64,
}

impl Volume {
    /// The whole disk.
    #[must_use]
    pub fn whole(disk: Rc<ReadAhead>) -> Self {
        let len = disk.geometry().len_bytes;
        Self {
            disk,
            start: 0,
            len,
        }
    }

    /// One partition of the disk that it was listed from.
    #[must_use]
    pub fn partition(disk: Rc<ReadAhead>, partition: &Partition) -> Self {
        Self {
            disk,
            start: partition.start,
            len: partition.len,
        }
    }

    /// Any window; one that leaves the disk gives errors when read there.
    #[must_use]
    pub const fn window(disk: Rc<ReadAhead>, start: u64, len: u64) -> Self {
        Self { disk, start, len }
    }

    /// The `len` bytes at `offset` of this window; `None` where they leave it.
    pub(crate) fn part(&self, offset: u64, len: u64) -> Option<Self> {
        let end = offset.checked_add(len)?;
        let start = self.start.checked_add(offset)?;
        (end <= self.len).then(|| Self::window(self.disk.clone(), start, len))
    }

    /// Size in bytes.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len
    }

    /// First byte of the window on the disk.
    #[must_use]
    pub const fn start_bytes(&self) -> u64 {
        self.start
    }

    /// The disk underneath.
    #[must_use]
    pub const fn disk(&self) -> &Rc<ReadAhead> {
        &self.disk
    }

    /// Fills `out` with the bytes at `offset` of the window.
    /// # Errors
    /// [`BlockError::OutOfRange`] if the range leaves the window (offsets in it are the window's), else what
    /// [`ReadAhead::read_at`] says.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        let at = self.place(offset, size(out.len()))?;
        self.disk.read_at(at, out)
    }

    /// As [`Volume::read_at`], but large and aligned reads are the device's own: what lies on the window has a cache already.
    pub(crate) fn read_through(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        let len = size(out.len());
        let at = self.place(offset, len)?;
        let sector = u64::from(self.disk.geometry().sector_bytes);
        let inside = at.saturating_add(len) <= self.disk.geometry().len_bytes;
        let aligned = at.is_multiple_of(sector) && len.is_multiple_of(sector);
        if len >= CHUNK_BYTES && aligned && inside {
            return self.disk.device().read(at, out);
        }
        self.disk.read_at(at, out)
    }

    /// Puts `bytes` at `offset` of the window; see [`ReadAhead::overwrite`].
    /// # Errors
    /// As [`Volume::read_at`], and [`BlockError::ReadOnly`].
    pub fn overwrite(&self, offset: u64, bytes: &[u8]) -> Result<(), BlockError> {
        let at = self.place(offset, size(bytes.len()))?;
        self.disk.overwrite(at, bytes)
    }

    /// Where the `len` bytes at `offset` of the window are on the disk.
    fn place(&self, offset: u64, len: u64) -> Result<u64, BlockError> {
        let end = offset.checked_add(len).filter(|&end| end <= self.len);
        let at = self.start.checked_add(offset);
        end.and(at).ok_or(BlockError::OutOfRange {
            offset,
            len,
            disk: self.len,
        })
    }

    /// Says that these bytes will be read soon; see [`ReadAhead::prefetch`].
    pub fn prefetch(&self, offset: u64, len: u64) {
        let len = len.min(self.len.saturating_sub(offset));
        self.disk.prefetch(self.start.saturating_add(offset), len);
    }
}
