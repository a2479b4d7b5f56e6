//! A disk that counts: it fails when too much is asked of it, and panics when it is asked for what it does not have.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use fs::{BlockDevice, BlockError, Geometry};

use crate::image::Image;

/// Device reads that everything done to one image may take. The honest images need fewer than 200.
pub(crate) const READS_MAX: u64 = 20_000;

/// An image with some bytes changed.
pub(crate) struct Disk {
    base: &'static Image,
    /// Later ones lie over earlier ones.
    changes: RefCell<Vec<(u64, Vec<u8>)>>,
    len: u64,
    sector_bytes: u32,
    reads: Cell<u64>,
}

impl Disk {
    /// The image `base`, cut or filled with zeros to `len` bytes, which is rounded down to whole sectors.
    pub(crate) fn new(
        base: &'static Image,
        changes: Vec<(u64, Vec<u8>)>,
        len: u64,
        sector_bytes: u32,
    ) -> Rc<Self> {
        Rc::new(Self {
            base,
            changes: RefCell::new(changes),
            len: len - len % u64::from(sector_bytes),
            sector_bytes,
            reads: Cell::new(0),
        })
    }

    /// Panics when more was read than anything honest or dishonest may need.
    pub(crate) fn check_steps(&self) {
        let reads = self.reads.get();
        assert!(reads < READS_MAX, "{reads} reads of the disk: no end");
    }

    fn check_range(&self, what: &str, offset: u64, len: u64) {
        let sector = u64::from(self.sector_bytes);
        assert!(len > 0, "empty {what} at {offset}");
        assert!(
            offset.is_multiple_of(sector) && len.is_multiple_of(sector),
            "{what} of {offset}+{len} in sectors of {sector}"
        );
        let end = offset.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.len),
            "{what} of {offset}+{len} on a disk of {}",
            self.len
        );
    }
}

/// Fills `out` with what an image with changes has at `offset`.
pub(crate) fn read_changed(base: &Image, changes: &[(u64, Vec<u8>)], offset: u64, out: &mut [u8]) {
    base.read(offset, out);
    let end = offset + out.len() as u64;
    for (at, bytes) in changes {
        let (from, until) = (offset.max(*at), end.min(at + bytes.len() as u64));
        if from < until {
            out[(from - offset) as usize..(until - offset) as usize]
                .copy_from_slice(&bytes[(from - at) as usize..(until - at) as usize]);
        }
    }
}

impl BlockDevice for Disk {
    fn geometry(&self) -> Geometry {
        Geometry {
            sector_bytes: self.sector_bytes,
            len_bytes: self.len,
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        self.check_range("read", offset, out.len() as u64);
        self.reads.set(self.reads.get() + 1);
        if self.reads.get() >= READS_MAX {
            return Err(BlockError::Timeout("too many reads".into()));
        }
        read_changed(self.base, &self.changes.borrow(), offset, out);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), BlockError> {
        self.check_range("write", offset, bytes.len() as u64);
        self.changes.borrow_mut().push((offset, bytes.to_vec()));
        Ok(())
    }

    fn prefetch(&self, offset: u64, len: u64) {
        self.check_range("hint", offset, len);
    }
}
