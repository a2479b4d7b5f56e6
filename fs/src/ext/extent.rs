//! Extent trees: sorted runs of blocks, in a tree whose root is in the inode.

use core::cell::RefCell;
use core::ops::Range;

use super::Core;
use super::inode::Inode;
use crate::bytes::{Fields, join};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::extents::{Leaf, Span};

const MAGIC: u16 = 0xf30a;
/// The most levels below the root, as in Linux.
const DEPTH_MAX: u16 = 5;
const RECORD: usize = 12;
/// Extents longer than this are allocated but never written; their length is what exceeds it.
const WRITTEN_MAX: u64 = 32768;
/// File blocks are numbered in 32 bits.
const BLOCKS_END: u64 = 1 << 32;

/// The header of a root without extents.
pub(super) const EMPTY: [u8; 8] = [0x0a, 0xf3, 0, 0, 4, 0, 0, 0];

/// Whether `bytes` begin as a node of a tree does.
pub(super) fn is_node(bytes: &[u8]) -> Result<bool, FsError> {
    Ok(bytes.le16(0)? == MAGIC)
}

/// An extent: blocks of the file, and where they are if they were written.
pub(super) fn record(bytes: &[u8]) -> Result<(Range<u64>, Option<u64>), FsError> {
    let first = u64::from(bytes.le32(0)?);
    let count = u64::from(bytes.le16(4)?);
    let start = join(bytes.le32(8)?, u32::from(bytes.le16(6)?));
    let written = count <= WRITTEN_MAX;
    let count = if written {
        count
    } else {
        count.saturating_sub(WRITTEN_MAX)
    };
    Ok((first..first.saturating_add(count), written.then_some(start)))
}

/// A file's extent tree, with the leaf used last.
pub(super) struct ExtentTree {
    root: [u8; 60],
    inode: u32,
    seed: u32,
    last: RefCell<Option<Leaf>>,
}

impl ExtentTree {
    pub(super) fn new(inode: &Inode) -> Self {
        Self {
            root: inode.block,
            inode: inode.number,
            seed: inode.seed,
            last: RefCell::new(None),
        }
    }

    /// The span that holds file block `block`, from there on.
    pub(super) fn find(&self, core: &Core, block: u64) -> Result<Span, FsError> {
        match core.store.changes().span(self.inode, block) {
            Ok(span) => Ok(span),
            Err(unchanged) => {
                let mut span = self.find_on_disk(core, block)?;
                span.blocks = span.blocks.min(unchanged);
                Ok(span)
            }
        }
    }

    fn find_on_disk(&self, core: &Core, block: u64) -> Result<Span, FsError> {
        let mut last = self.last.borrow_mut();
        if let Some(leaf) = last.as_ref().filter(|leaf| leaf.covers(block)) {
            return Ok(leaf.span(block));
        }
        let leaf = self.leaf(core, block)?;
        if !leaf.covers(block) {
            return Err(FsError::corrupt("file block beyond the extent tree", block));
        }
        let span = leaf.span(block);
        *last = Some(leaf);
        Ok(span)
    }

    fn leaf(&self, core: &Core, block: u64) -> Result<Leaf, FsError> {
        let mut covers = 0..BLOCKS_END;
        let mut node = self.root.to_vec();
        let mut expected: Option<u16> = None;
        loop {
            let header = self.header(&node, expected)?;
            if header.depth == 0 {
                return self.read_leaf(&node, header.entries, covers);
            }
            let mut child = None;
            for number in 0..header.entries {
                let at = RECORD.saturating_mul(number.saturating_add(1));
                let first = u64::from(node.le32(at)?);
                if first > block {
                    covers.end = covers.end.min(first);
                    break;
                }
                covers.start = covers.start.max(first);
                child = Some(join(
                    node.le32(at.saturating_add(4))?,
                    u32::from(node.le16(at.saturating_add(8))?),
                ));
            }
            // Before the first child: a hole.
            let Some(child) = child else {
                return Ok(Leaf::new(covers, 0));
            };
            node = core.store.read_block(child)?.to_vec();
            expected = header.depth.checked_sub(1);
            if core.superblock.has_checksums() {
                self.check(&node)?;
            }
        }
    }

    fn header(&self, node: &[u8], expected: Option<u16>) -> Result<Header, FsError> {
        let inode = u64::from(self.inode);
        let (magic, entries, max, depth) =
            (node.le16(0)?, node.le16(2)?, node.le16(4)?, node.le16(6)?);
        if magic != MAGIC {
            return Err(FsError::corrupt("extent node's magic, inode", inode));
        }
        let room = node
            .len()
            .checked_div(RECORD)
            .unwrap_or(0)
            .saturating_sub(1);
        if entries > max || usize::from(max) > room {
            return Err(FsError::corrupt("extent node's entry count, inode", inode));
        }
        if depth > DEPTH_MAX || expected.is_some_and(|expected| depth != expected) {
            return Err(FsError::corrupt("extent node's depth, inode", inode));
        }
        Ok(Header {
            entries: usize::from(entries),
            depth,
        })
    }

    fn check(&self, node: &[u8]) -> Result<(), FsError> {
        let tail = RECORD.saturating_mul(usize::from(node.le16(4)?).saturating_add(1));
        let sum = crc32c(self.seed, node.slice(0, tail)?);
        let what = "checksum of an extent block, inode";
        super::verify(sum, node.le32(tail)?, what, u64::from(self.inode))
    }

    fn read_leaf(&self, node: &[u8], entries: usize, covers: Range<u64>) -> Result<Leaf, FsError> {
        let mut leaf = Leaf::new(covers, entries);
        for number in 0..entries {
            let at = RECORD.saturating_mul(number.saturating_add(1));
            let (logical, start) = record(node.slice(at, RECORD)?)?;
            leaf.push(logical, start).map_err(|_| {
                FsError::corrupt("extents out of order, inode", u64::from(self.inode))
            })?;
        }
        Ok(leaf)
    }
}

struct Header {
    entries: usize,
    depth: u16,
}
