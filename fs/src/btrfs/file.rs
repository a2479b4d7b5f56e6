//! Files: extents on the disk, in the tree, or packed in pieces of at most 128 KiB; and the sums of their data.

use alloc::rc::Rc;
use core::cell::RefCell;

use unpack::{Fault, Packing};

use super::tree::{Item, Key, Next, Root, Trees, kinds};
use super::{Node, count, part};
use crate::bytes::{Fields, buffer, index, size};
use crate::error::FsError;
use crate::run::{Layout, Run, Source};
use crate::volume::Volume;

/// The largest packed extent, packed or not; `BTRFS_MAX_COMPRESSED` and `BTRFS_MAX_UNCOMPRESSED` are 128 KiB.
const PACKED_MAX: u64 = 1 << 20;
/// The id of the items that hold the sums of data.
const SUMS_ID: u64 = u64::MAX - 9;
/// `btrfs_file_extent_item`'s part before the data, in an extent that holds its data itself.
const INLINE: usize = 21;

/// An extent that was unpacked: its address and bytes.
pub(crate) struct Unpacked(u64, Rc<[u8]>);

/// What an extent's item says.
struct Extent {
    /// The bytes of the file that it is.
    start: u64,
    end: u64,
    packing: Option<Compression>,
    data: Data,
}

enum Data {
    Zeros,
    /// In the tree: the item.
    Inline(Item),
    /// On the disk.
    Disk {
        /// Logical address of the whole extent.
        at: u64,
        /// Bytes it takes there.
        len: u64,
        /// Bytes it is unpacked.
        unpacked: u64,
        /// Where the part begins that is in the file, in the unpacked extent.
        skip: u64,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    Zlib,
    Lzo,
    Zstd,
}

/// A file's place on its volume.
pub(super) struct FileLayout {
    trees: Rc<Trees>,
    root: Rc<Root>,
    inode: u64,
    len: u64,
    sums: Option<Rc<Root>>,
    unpacked: Rc<RefCell<Option<Unpacked>>>,
}

impl FileLayout {
    pub(super) fn new(
        trees: Rc<Trees>,
        node: &Node,
        sums: Option<Rc<Root>>,
        unpacked: Rc<RefCell<Option<Unpacked>>>,
    ) -> Self {
        Self {
            trees,
            root: Rc::clone(&node.root),
            inode: node.inode,
            len: node.size,
            sums,
            unpacked,
        }
    }

    fn corrupt(&self, what: &'static str) -> FsError {
        FsError::corrupt(what, self.inode)
    }

    /// The extent or hole that holds byte `offset`.
    fn extent(&self, offset: u64) -> Result<Extent, FsError> {
        let key = Key::new(self.inode, kinds::EXTENT, offset);
        let is_ours = |key: &Key| (key.id, key.kind) == (self.inode, kinds::EXTENT);
        if let Some(item) = self.trees.last_up_to(&self.root, key)?
            && is_ours(&item.key)
        {
            let extent = self.parse(item)?;
            if extent.end > offset {
                return Ok(extent);
            }
        }
        // Without an item: a hole, up to the next one.
        let mut end = u64::MAX;
        self.trees.walk(&self.root, key, &mut |key, _| {
            if is_ours(&key) {
                end = key.offset;
            }
            Ok(Next::Stop)
        })?;
        Ok(Extent {
            start: offset,
            end: end.max(offset.saturating_add(1)),
            packing: None,
            data: Data::Zeros,
        })
    }

    fn parse(&self, item: Item) -> Result<Extent, FsError> {
        let bytes = item.bytes()?;
        let start = item.key.offset;
        let unpacked = bytes.le64(8)?;
        let packing = match bytes.u8(16)? {
            0 => None,
            1 => Some(Compression::Zlib),
            2 => Some(Compression::Lzo),
            3 => Some(Compression::Zstd),
            other => {
                return Err(FsError::Unsupported(
                    alloc::format!("btrfs compression {other} (inode {})", self.inode).into(),
                ));
            }
        };
        if bytes.u8(17)? != 0 || bytes.le16(18)? != 0 {
            return Err(FsError::unsupported("encrypted btrfs file"));
        }
        if packing.is_some() && unpacked > PACKED_MAX {
            return Err(self.corrupt("length of a packed extent, inode"));
        }
        let kind = bytes.u8(20)?;
        if kind == 0 {
            let stored = size(bytes.len().saturating_sub(INLINE));
            let len = if packing.is_some() { unpacked } else { stored };
            return Ok(Extent {
                start,
                end: start.saturating_add(len),
                packing,
                data: Data::Inline(item),
            });
        }
        let (at, len) = (bytes.le64(21)?, bytes.le64(29)?);
        let (skip, held) = (bytes.le64(37)?, bytes.le64(45)?);
        let is_inside = skip.checked_add(held).is_some_and(|end| end <= unpacked);
        if held == 0 || !is_inside || (packing.is_some() && len > PACKED_MAX) {
            return Err(self.corrupt("extent's lengths, inode"));
        }
        Ok(Extent {
            start,
            end: start.saturating_add(held),
            packing,
            // Kind 2 is allocated and was never written.
            data: if kind != 1 || at == 0 {
                Data::Zeros
            } else {
                Data::Disk {
                    at,
                    len,
                    unpacked,
                    skip,
                }
            },
        })
    }

    /// The unpacked bytes of a packed extent.
    fn whole(&self, extent: &Extent, packing: Compression) -> Result<Rc<[u8]>, FsError> {
        match &extent.data {
            Data::Zeros => Err(self.corrupt("packed extent without data, inode")),
            Data::Inline(item) => {
                let packed = item.bytes()?.get(INLINE..).unwrap_or_default();
                let len = extent.end.saturating_sub(extent.start);
                self.unpack(packing, packed, len)
            }
            &Data::Disk {
                at, len, unpacked, ..
            } => {
                if let Some(Unpacked(kept, bytes)) = &*self.unpacked.borrow()
                    && *kept == at
                    && size(bytes.len()) == unpacked
                {
                    return Ok(Rc::clone(bytes));
                }
                let mut packed = buffer(len);
                self.read(at, &mut packed)?;
                let bytes = self.unpack(packing, &packed, unpacked)?;
                *self.unpacked.borrow_mut() = Some(Unpacked(at, Rc::clone(&bytes)));
                Ok(bytes)
            }
        }
    }

    fn unpack(&self, packing: Compression, packed: &[u8], len: u64) -> Result<Rc<[u8]>, FsError> {
        let mut out = buffer(len);
        let result = match packing {
            Compression::Zlib => Packing::Zlib.unpack(packed, &mut out),
            Compression::Zstd => Packing::Zstd.unpack(packed, &mut out),
            Compression::Lzo => unpack_lzo(packed, &mut out, index(self.trees.sector_bytes)),
        };
        match result {
            // What is missing at the end is zeros; what is too much is the rest of a sector.
            Ok(_) | Err(Fault::Full) => Ok(out.into()),
            Err(_) => Err(self.corrupt("packed data, inode")),
        }
    }

    /// Reads data at logical address `at`, which is a multiple of the sector size, from the first copy that is right.
    fn read(&self, at: u64, out: &mut [u8]) -> Result<(), FsError> {
        let (places, len) = self.trees.chunks.places(at)?;
        let mut failure = self.corrupt("extent across chunks, inode");
        let is_together = size(out.len()) <= len;
        for place in places.into_iter().filter(|_| is_together) {
            let read = self.trees.volume.read_at(place, out);
            match read
                .map_err(FsError::from)
                .and_then(|()| self.check_sums(at, out))
            {
                Ok(()) => return Ok(()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Checks bytes that were read from logical address `at` on, of which the first and last sector may be parts.
    fn check_and_mend(&self, at: u64, bytes: &mut [u8]) -> Result<(), FsError> {
        let sector = self.trees.sector_bytes;
        let head = at.checked_next_multiple_of(sector).unwrap_or(at);
        let head = index(head.saturating_sub(at)).min(bytes.len());
        let (head, rest) = bytes.split_at_mut(head);
        let tail = rest.len().checked_rem(index(sector)).unwrap_or(0);
        let (middle, tail) = rest.split_at_mut(rest.len().saturating_sub(tail));
        let middle_at = at.saturating_add(size(head.len()));
        self.read_part(at, head)?;
        if self.check_sums(middle_at, middle).is_err() {
            self.read(middle_at, middle)?;
        }
        self.read_part(middle_at.saturating_add(size(middle.len())), tail)
    }

    /// Fills `out`, less than a sector, from the sector that holds logical address `at`.
    fn read_part(&self, at: u64, out: &mut [u8]) -> Result<(), FsError> {
        if out.is_empty() {
            return Ok(());
        }
        let sector = self.trees.sector_bytes;
        let skip = at.checked_rem(sector).unwrap_or(0);
        let mut whole = buffer(sector);
        self.read(at.saturating_sub(skip), &mut whole)?;
        let found = part(&whole, skip, out.len());
        if found.len() < out.len() {
            return Err(self.corrupt("data across sectors, inode"));
        }
        out.copy_from_slice(found);
        Ok(())
    }

    /// Checks the sums of whole sectors from logical address `at` on.
    fn check_sums(&self, at: u64, bytes: &[u8]) -> Result<(), FsError> {
        let (Some(sums), None) = (&self.sums, self.trees.sum.unchecked()) else {
            return Ok(());
        };
        let sum_len = self.trees.sum.len();
        let sector = self.trees.sector_bytes;
        let mut at = at;
        let mut rest = bytes;
        while !rest.is_empty() {
            let key = Key::new(SUMS_ID, kinds::SUMS, at);
            let item = self.trees.last_up_to(sums, key)?;
            let item = item.filter(|item| (item.key.id, item.key.kind) == (SUMS_ID, kinds::SUMS));
            let Some(item) = item else {
                return Err(self.corrupt("data without a checksum, inode"));
            };
            let stored = item.bytes()?;
            let first = at
                .saturating_sub(item.key.offset)
                .checked_div(sector)
                .unwrap_or(0);
            let known = count(stored, sum_len).saturating_sub(first);
            if known == 0 {
                return Err(self.corrupt("data without a checksum, inode"));
            }
            let stored = part(stored, first.saturating_mul(size(sum_len)), stored.len());
            for sum in stored.chunks_exact(sum_len) {
                let (now, later) = rest.split_at(index(sector).min(rest.len()));
                if now.is_empty() {
                    break;
                }
                if !self.trees.sum.matches(now, sum)? {
                    return Err(self.corrupt("checksum of data, inode"));
                }
                at = at.saturating_add(sector);
                rest = later;
            }
        }
        Ok(())
    }
}

/// btrfs's own container for lzo: a length, then segments of a length and the packed form of one sector each. No length
/// lies across the end of a sector.
fn unpack_lzo(packed: &[u8], out: &mut [u8], sector: usize) -> Result<usize, Fault> {
    const BAD: Fault = Fault::Corrupt("bad lzo segments");
    let total = packed.le32(0).map_err(|_| BAD)?;
    let packed = packed
        .get(..index(u64::from(total)))
        .filter(|packed| packed.len() > 4)
        .ok_or(BAD)?;
    let mut at: usize = 4;
    let mut made = 0;
    for out in out.chunks_mut(sector) {
        let left = sector.saturating_sub(at.checked_rem(sector).unwrap_or(0));
        if left < 4 {
            at = at.saturating_add(left);
        }
        // Fewer segments than sectors: the rest is zeros.
        let Ok(len) = packed.le32(at) else { break };
        at = at.saturating_add(4);
        let segment = packed.slice(at, index(u64::from(len))).map_err(|_| BAD)?;
        made = Packing::Lzo.unpack(segment, out)?.saturating_add(made);
        at = at.saturating_add(segment.len());
    }
    Ok(made)
}

impl Layout for FileLayout {
    fn volume(&self) -> &Volume {
        &self.trees.volume
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn run_at(&self, offset: u64) -> Result<Run, FsError> {
        let extent = self.extent(offset)?;
        let within = offset.saturating_sub(extent.start);
        let len = extent.end.saturating_sub(offset);
        let source = match (&extent.data, extent.packing) {
            (Data::Zeros, _) => Source::Zeros,
            (Data::Inline(_), Some(_)) => Source::Made { packed: None },
            (Data::Inline(item), None) => {
                let bytes = item.bytes()?.get(INLINE..).unwrap_or_default();
                Source::Memory(bytes.into(), index(within))
            }
            (&Data::Disk { at, len, .. }, Some(_)) => {
                let (places, _) = self.trees.chunks.places(at)?;
                let place = places.first().map(|&place| (place, len));
                Source::Made { packed: place }
            }
            (&Data::Disk { at, skip, .. }, None) => {
                let at = at.saturating_add(skip).saturating_add(within);
                let (places, together) = self.trees.chunks.places(at)?;
                if together < len {
                    return Err(self.corrupt("extent across chunks, inode"));
                }
                match places.first() {
                    Some(&place) => Source::Disk(place),
                    None => Source::Zeros,
                }
            }
        };
        Ok(Run { source, len })
    }

    fn make(&self, offset: u64, out: &mut [u8]) -> Result<(), FsError> {
        let extent = self.extent(offset)?;
        let Some(packing) = extent.packing else {
            return Err(self.corrupt("extent is not packed, inode"));
        };
        let whole = self.whole(&extent, packing)?;
        let skip = match extent.data {
            Data::Disk { skip, .. } => skip,
            _ => 0,
        };
        let from = skip.saturating_add(offset.saturating_sub(extent.start));
        let found = part(&whole, from, out.len());
        let cut = self.corrupt("packed extent too short, inode");
        if found.len() < out.len() {
            return Err(cut);
        }
        out.copy_from_slice(found);
        Ok(())
    }

    /// What is wrong, or only a part of a sector, is read once more: the rest of the sector with it, and the other copy
    /// if there is one.
    fn check(&self, offset: u64, bytes: &mut [u8]) -> Result<(), FsError> {
        if self.sums.is_none() || self.trees.sum.unchecked().is_some() {
            return Ok(());
        }
        let (mut offset, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let extent = self.extent(offset)?;
            let Data::Disk { at, skip, .. } = extent.data else {
                return Err(self.corrupt("extent is not on the disk, inode"));
            };
            let within = offset.saturating_sub(extent.start);
            let at = at.saturating_add(skip).saturating_add(within);
            let len = index(extent.end.saturating_sub(offset)).min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            self.check_and_mend(at, now)?;
            offset = offset.saturating_add(size(len));
            rest = later;
        }
        Ok(())
    }

    fn hazard(&self) -> Option<&'static str> {
        Some("only files of ext and FAT are written")
    }
}
