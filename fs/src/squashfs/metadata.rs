//! Metadata: blocks of 8 KiB, each packed by itself behind its length, read as one stream.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use unpack::Packing;

use crate::bytes::{Fields, buffer, index, size};
use crate::error::FsError;
use crate::volume::Volume;

/// Bytes of a block, unpacked.
const BLOCK: usize = 8192;
/// Unpacked blocks that are kept: inodes and directories of a path.
const BLOCKS_KEPT: usize = 8;
/// Bit of a block's length: it is not packed.
const PLAIN: u16 = 1 << 15;

/// A place in metadata: where its block begins, counted from the start of a table, and the byte in it, unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) block: u64,
    pub(super) within: u32,
}

impl Place {
    /// A reference as inodes are named by: 48 bits and 16.
    pub(super) fn new(reference: u64) -> Self {
        let [low, high, block @ ..] = reference.to_le_bytes();
        let [b0, b1, b2, b3, _, _] = block;
        Self {
            block: u64::from(u32::from_le_bytes([b0, b1, b2, b3])),
            within: u32::from(u16::from_le_bytes([low, high])),
        }
    }
}

/// An unpacked block of metadata, and where the next one begins.
struct Block {
    at: u64,
    next: u64,
    bytes: Rc<[u8]>,
}

/// A volume, and how it is packed.
pub(super) struct Store {
    pub(super) volume: Volume,
    pub(super) packing: Packing,
    recent: RefCell<Vec<Block>>,
    /// The file block or fragment unpacked last: its place and bytes.
    last: RefCell<Option<(u64, Rc<[u8]>)>>,
}

impl Store {
    pub(super) const fn new(volume: Volume, packing: Packing) -> Self {
        Self {
            volume,
            packing,
            recent: RefCell::new(Vec::new()),
            last: RefCell::new(None),
        }
    }

    /// The block of metadata at byte `at` of the volume, and where the next one begins.
    fn metadata(&self, at: u64) -> Result<(Rc<[u8]>, u64), FsError> {
        if let Some(block) = self.recent.borrow().iter().find(|block| block.at == at) {
            return Ok((Rc::clone(&block.bytes), block.next));
        }
        let mut header = [0; 2];
        self.volume.read_at(at, &mut header)?;
        let header = u16::from_le_bytes(header);
        let len = u64::from(header & !PLAIN);
        let start = at.saturating_add(2);
        if len == 0 || len > size(BLOCK) {
            return Err(FsError::corrupt("length of squashfs metadata at", at));
        }
        let mut stored = buffer(len);
        self.volume.read_at(start, &mut stored)?;
        if header & PLAIN == 0 {
            let mut bytes = buffer(size(BLOCK));
            let made = self.packing.unpack(&stored, &mut bytes);
            let made = made.map_err(|_| FsError::corrupt("packed squashfs metadata at", at))?;
            bytes.truncate(made);
            stored = bytes;
        }
        let (bytes, next) = (Rc::<[u8]>::from(stored), start.saturating_add(len));
        let mut recent = self.recent.borrow_mut();
        if recent.len() >= BLOCKS_KEPT {
            recent.remove(0);
        }
        recent.push(Block {
            at,
            next,
            bytes: Rc::clone(&bytes),
        });
        Ok((bytes, next))
    }

    /// The block of `stored` bytes at byte `at` of the volume, packed, which makes at most `unpacked` bytes.
    pub(super) fn block(&self, at: u64, stored: u64, unpacked: u64) -> Result<Rc<[u8]>, FsError> {
        if let Some((kept, bytes)) = &*self.last.borrow()
            && *kept == at
        {
            return Ok(Rc::clone(bytes));
        }
        let mut out = buffer(unpacked);
        let made = self.unpack_block(at, stored, &mut out)?;
        out.truncate(made);
        let bytes: Rc<[u8]> = out.into();
        *self.last.borrow_mut() = Some((at, Rc::clone(&bytes)));
        Ok(bytes)
    }

    /// Unpacks the block of `stored` bytes at byte `at` into `out` and says how many bytes that made.
    pub(super) fn unpack_block(
        &self,
        at: u64,
        stored: u64,
        out: &mut [u8],
    ) -> Result<usize, FsError> {
        // A block that would grow is stored plain.
        if stored > size(out.len()).max(1 << 20) {
            return Err(FsError::corrupt("length of squashfs block at", at));
        }
        let mut packed = buffer(stored);
        self.volume.read_at(at, &mut packed)?;
        let made = self.packing.unpack(&packed, out);
        made.map_err(|_| FsError::corrupt("packed squashfs block at", at))
    }
}

/// A stream of metadata from a place on.
pub(super) struct Reader<'a> {
    store: &'a Store,
    /// Byte of the volume of the block that is read.
    at: u64,
    within: usize,
}

impl<'a> Reader<'a> {
    /// Reads from `place` of the table that begins at byte `table` of the volume.
    pub(super) fn new(store: &'a Store, table: u64, place: Place) -> Self {
        Self {
            store,
            at: table.saturating_add(place.block),
            within: index(u64::from(place.within)),
        }
    }

    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<(), FsError> {
        let mut out = out;
        while !out.is_empty() {
            let (block, next) = self.store.metadata(self.at)?;
            let found = block.get(self.within..).unwrap_or_default();
            let len = found.len().min(out.len());
            if len == 0 {
                // Only a whole block goes on in the next one.
                if block.len() != BLOCK || self.within != BLOCK {
                    return Err(FsError::corrupt("end of squashfs metadata at", self.at));
                }
                (self.at, self.within) = (next, 0);
                continue;
            }
            let (now, later) = out.split_at_mut(len);
            now.copy_from_slice(found.slice(0, len)?);
            self.within = self.within.saturating_add(len);
            out = later;
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FsError> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }
}
