//! Where a file's blocks are: extents in the inode, or a B+tree of them whose root is in the inode.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::ops::Range;

use super::Core;
use super::inode::{Format, Inode};
use crate::bytes::{Fields, buffer, index, size};
use crate::error::FsError;
use crate::extents::{self, Leaf};
use crate::run::{Layout, Run, Source};
use crate::volume::Volume;

/// `struct xfs_bmbt_rec`.
const RECORD: usize = 16;
/// The most levels of a tree (`XFS_BM_MAXLEVELS` is 9 or less for every block size).
const LEVELS_MAX: u16 = 12;
/// File blocks are numbered in 54 bits.
const BLOCKS_END: u64 = 1 << 54;

/// Blocks of a file that lie together on the volume, or are missing together.
pub(super) struct Span {
    /// Byte of the volume where the span starts; `None` is a hole, or allocated and never written: zeros.
    at: Option<u64>,
    blocks: u64,
}

/// A file's place on its volume.
pub(super) struct FileLayout {
    core: Rc<Core>,
    inode: Inode,
    last: RefCell<Option<Leaf>>,
}

impl FileLayout {
    pub(super) fn new(core: Rc<Core>, inode: &Inode) -> Result<Self, FsError> {
        inode.check_readable()?;
        Ok(Self {
            core,
            inode: inode.clone(),
            last: RefCell::new(None),
        })
    }

    /// Byte of the volume and number of blocks from block `block` of a file that has no hole there.
    pub(super) fn metadata(&self, block: u64) -> Result<(u64, u64), FsError> {
        let span = self.find(block)?;
        match span.at {
            Some(at) => Ok((at, span.blocks)),
            None => Err(self.corrupt("hole in a directory or link, inode")),
        }
    }

    /// As [`FileLayout::metadata`], or the number of missing blocks.
    pub(super) fn metadata_or_hole(&self, block: u64) -> Result<Result<u64, u64>, FsError> {
        let span = self.find(block)?;
        Ok(span.at.ok_or(span.blocks))
    }

    fn corrupt(&self, what: &'static str) -> FsError {
        FsError::corrupt(what, self.inode.number)
    }

    /// The span that holds file block `block`, from there on.
    fn find(&self, block: u64) -> Result<Span, FsError> {
        if block >= BLOCKS_END {
            return Err(self.corrupt("file longer than can be, inode"));
        }
        let mut last = self.last.borrow_mut();
        if let Some(leaf) = last.as_ref().filter(|leaf| leaf.covers(block)) {
            return self.span(leaf, block);
        }
        let leaf = match self.inode.format {
            Format::Extents => {
                let count = index(self.inode.extents);
                self.leaf(&self.inode.fork, 0, count, 0..BLOCKS_END)?
            }
            Format::Tree => self.search(block)?,
            Format::Local | Format::Other => {
                return Err(self.corrupt("inode's format (di_format), inode"));
            }
        };
        let span = self.span(&leaf, block)?;
        *last = Some(leaf);
        Ok(span)
    }

    /// Goes down to the leaf that speaks for `block`.
    fn search(&self, block: u64) -> Result<Leaf, FsError> {
        let superblock = &self.core.superblock;
        let mut covers = 0..BLOCKS_END;
        let mut node: Rc<[u8]> = Rc::clone(&self.inode.fork);
        let mut header = 4;
        let mut level = node.be16(0)?;
        let mut count = node.be16(2)?;
        if level == 0 || level > LEVELS_MAX {
            return Err(self.corrupt("levels of the extent tree, inode"));
        }
        loop {
            let room = node.len().saturating_sub(header) / RECORD;
            let count_here = usize::from(count);
            if count_here > room {
                return Err(self.corrupt("entries of an extent tree's node, inode"));
            }
            if level == 0 {
                return self.leaf(&node, header, count_here, covers);
            }
            let mut child = None;
            for number in 0..count_here {
                let first = node.be64(header.saturating_add(number.saturating_mul(8)))?;
                if first > block {
                    covers.end = covers.end.min(first);
                    break;
                }
                covers.start = covers.start.max(first);
                // The pointers are behind as many keys as there is room for.
                let place = room.saturating_add(number).saturating_mul(8);
                child = Some(node.be64(header.saturating_add(place))?);
            }
            // Before the first child: a hole.
            let Some(child) = child else {
                return Ok(Leaf::new(covers, 0));
            };
            let at = superblock.position(child)?;
            let mut bytes = buffer(superblock.block_bytes);
            self.core.store.read(at, &mut bytes)?;
            if superblock.is_v5 {
                super::check_block(&self.core, &bytes, at, 64, b"BMA3", self.inode.number)?;
                header = 72;
            } else {
                if bytes.slice(0, 4)? != b"BMAP" {
                    return Err(self.corrupt("magic of an extent tree's node, inode"));
                }
                header = 24;
            }
            level = level.saturating_sub(1);
            if bytes.be16(4)? != level {
                return Err(self.corrupt("level of an extent tree's node, inode"));
            }
            count = bytes.be16(6)?;
            node = bytes.into();
        }
    }

    /// Decodes `count` extents at `start` of `node`.
    fn leaf(
        &self,
        node: &[u8],
        start: usize,
        count: usize,
        covers: Range<u64>,
    ) -> Result<Leaf, FsError> {
        let records = node.get(start..).unwrap_or_default();
        if count > records.len() / RECORD {
            return Err(self.corrupt("number of extents, inode"));
        }
        let mut leaf = Leaf::new(covers, count);
        for record in records.chunks_exact(RECORD).take(count) {
            let (high, low) = (record.be64(0)?, record.be64(8)?);
            let first = (high & (u64::MAX >> 1)) >> 9;
            let physical = ((high & 0x1ff) << 43) | (low >> 21);
            let blocks = low & 0x1f_ffff;
            let logical = first..first.saturating_add(blocks);
            let written = high >> 63 == 0;
            leaf.push(logical, written.then_some(physical))
                .map_err(|_| self.corrupt("extents out of order, inode"))?;
        }
        Ok(leaf)
    }

    /// The span from `block` on, which `leaf` covers.
    fn span(&self, leaf: &Leaf, block: u64) -> Result<Span, FsError> {
        let extents::Span { physical, blocks } = leaf.span(block);
        let Some(first) = physical else {
            return Ok(Span { at: None, blocks });
        };
        let at = self.core.superblock.position(first)?;
        // An extent does not leave its allocation group, whose blocks lie together.
        let end = self
            .core
            .superblock
            .position(first.saturating_add(blocks.saturating_sub(1)))?;
        let expected = at.saturating_add(
            blocks
                .saturating_sub(1)
                .saturating_mul(self.core.superblock.block_bytes),
        );
        if end != expected {
            return Err(self.corrupt("extent across allocation groups, inode"));
        }
        Ok(Span {
            at: Some(at),
            blocks,
        })
    }
}

impl Layout for FileLayout {
    fn volume(&self) -> &Volume {
        self.core.store.volume()
    }

    fn len(&self) -> u64 {
        self.inode.size
    }

    fn run_at(&self, offset: u64) -> Result<Run, FsError> {
        if self.inode.format == Format::Local {
            let fork = &self.inode.fork;
            return Ok(Run {
                source: Source::Memory(Rc::clone(fork), index(offset)),
                len: size(fork.len()).saturating_sub(offset),
            });
        }
        let superblock = &self.core.superblock;
        let (block, within) = superblock.split(offset);
        let span = self.find(block)?;
        Ok(Run {
            source: match span.at {
                Some(at) => Source::Disk(at.saturating_add(within)),
                None => Source::Zeros,
            },
            len: span
                .blocks
                .saturating_mul(superblock.block_bytes)
                .saturating_sub(within),
        })
    }

    fn hazard(&self) -> Option<&'static str> {
        Some("only files of ext and FAT are written")
    }
}
