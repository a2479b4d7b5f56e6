//! B-trees: items sorted by key, in leaves; above them nodes of keys and addresses.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::chunk::Chunks;
use super::sum::Sum;
use super::superblock::Superblock;
use crate::bytes::{Fields, buffer, index};
use crate::error::FsError;
use crate::volume::Volume;

/// `BTRFS_MAX_LEVEL`.
const LEVELS_MAX: u8 = 8;
/// `struct btrfs_header`, in front of every block.
const HEADER: usize = 101;
/// `struct btrfs_item` and `struct btrfs_key_ptr`.
const ITEM: usize = 25;
const POINTER: usize = 33;
/// Blocks kept: the way to a leaf in the few trees that one file needs.
const BLOCKS_KEPT: usize = 12;

/// Types of keys.
pub(super) mod kinds {
    pub(in crate::btrfs) const INODE: u8 = 1;
    /// By the hash of its name.
    pub(in crate::btrfs) const ENTRY: u8 = 84;
    /// By the order in which it was made.
    pub(in crate::btrfs) const ENTRY_BY_NUMBER: u8 = 96;
    pub(in crate::btrfs) const EXTENT: u8 = 108;
    pub(in crate::btrfs) const SUMS: u8 = 128;
    pub(in crate::btrfs) const ROOT: u8 = 132;
    /// Of a tree, to a tree in one of its directories.
    pub(in crate::btrfs) const ROOT_REF: u8 = 156;
    pub(in crate::btrfs) const CHUNK: u8 = 228;
}

/// What items are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub(super) id: u64,
    pub(super) kind: u8,
    pub(super) offset: u64,
}

impl Key {
    pub(super) const BYTES: usize = 17;

    pub(super) const fn new(id: u64, kind: u8, offset: u64) -> Self {
        Self { id, kind, offset }
    }

    pub(super) fn parse(bytes: &[u8], at: usize) -> Result<Self, FsError> {
        Ok(Self {
            id: bytes.le64(at)?,
            kind: bytes.u8(at.saturating_add(8))?,
            offset: bytes.le64(at.saturating_add(9))?,
        })
    }
}

/// Where a tree's root block is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    /// The tree's number.
    pub(super) id: u64,
    pub(super) at: u64,
    pub(super) level: u8,
}

/// Whether to see more items.
pub(super) enum Next {
    More,
    Stop,
}

/// Sees a key and its item.
type Visit<'a> = dyn FnMut(Key, &[u8]) -> Result<Next, FsError> + 'a;

/// One item, with its leaf.
pub(super) struct Item {
    pub(super) key: Key,
    leaf: Rc<[u8]>,
    start: usize,
    len: usize,
}

impl Item {
    pub(super) fn bytes(&self) -> Result<&[u8], FsError> {
        self.leaf.slice(self.start, self.len)
    }
}

/// A leaf, and the first key of what comes behind it.
struct Leaf {
    block: Rc<[u8]>,
    next: Option<Key>,
}

/// The trees of a volume.
pub(super) struct Trees {
    pub(super) volume: Volume,
    pub(super) chunks: Chunks,
    pub(super) root_tree: Root,
    pub(super) sector_bytes: u64,
    pub(super) sum: Sum,
    node_bytes: u64,
    recent: RefCell<Vec<(u64, Rc<[u8]>)>>,
}

impl Trees {
    /// Reads the chunks, without which no address has a place.
    pub(super) fn open(volume: Volume, superblock: &Superblock) -> Result<Self, FsError> {
        let device = superblock.device;
        let mut chunks = Chunks::default();
        let mut rest: &[u8] = &superblock.system_chunks;
        while !rest.is_empty() {
            let key = Key::parse(rest, 0)?;
            let item = rest.get(Key::BYTES..).unwrap_or_default();
            let len = chunks.add(key, item, device)?;
            rest = item.get(len..).unwrap_or_default();
        }
        let mut trees = Self {
            volume,
            chunks,
            root_tree: superblock.root,
            sector_bytes: superblock.sector_bytes,
            sum: superblock.sum,
            node_bytes: superblock.node_bytes,
            recent: RefCell::default(),
        };
        let mut all = Chunks::default();
        trees.walk(
            &superblock.chunk_root,
            Key::new(0, 0, 0),
            &mut |key, item| {
                if key.kind == kinds::CHUNK {
                    all.add(key, item, device)?;
                }
                Ok(Next::More)
            },
        )?;
        trees.chunks = all;
        Ok(trees)
    }

    /// The root of the tree with number `id`, as `root_tree` has it.
    pub(super) fn root(&self, root_tree: &Root, id: u64) -> Result<Root, FsError> {
        // The offset of a snapshot's is when it was made.
        let item = self.last_up_to(root_tree, Key::new(id, kinds::ROOT, u64::MAX))?;
        let item = item
            .filter(|item| (item.key.id, item.key.kind) == (id, kinds::ROOT))
            .ok_or(FsError::corrupt("no such tree", id))?;
        let bytes = item.bytes()?;
        Ok(Root {
            id,
            at: bytes.le64(176)?,
            level: bytes.u8(238)?,
        })
    }

    /// The item with exactly this key.
    pub(super) fn get(&self, root: &Root, key: Key) -> Result<Option<Item>, FsError> {
        let item = self.last_up_to(root, key)?;
        Ok(item.filter(|item| item.key == key))
    }

    /// The item with the largest key that is not above `key`.
    pub(super) fn last_up_to(&self, root: &Root, key: Key) -> Result<Option<Item>, FsError> {
        let leaf = self.leaf(root, key)?.block;
        let count = entry_count(&leaf, ITEM)?;
        match last_not_above(&leaf, count, ITEM, key)? {
            Some(number) => item(&leaf, number).map(Some),
            None => Ok(None),
        }
    }

    /// Gives the items from `from` on, in order, until `visit` stops.
    pub(super) fn walk(
        &self,
        root: &Root,
        from: Key,
        visit: &mut Visit<'_>,
    ) -> Result<(), FsError> {
        let mut from = from;
        loop {
            let leaf = self.leaf(root, from)?;
            let count = entry_count(&leaf.block, ITEM)?;
            let first = match last_not_above(&leaf.block, count, ITEM, from)? {
                Some(number) if item(&leaf.block, number)?.key == from => number,
                Some(number) => number.saturating_add(1),
                None => 0,
            };
            for number in first..count {
                let item = item(&leaf.block, number)?;
                if matches!(visit(item.key, item.bytes()?)?, Next::Stop) {
                    return Ok(());
                }
            }
            // Keys only grow, so that a tree of circles ends.
            match leaf.next {
                Some(next) if next > from => from = next,
                Some(_) => return Err(FsError::corrupt("keys out of order in tree", root.id)),
                None => return Ok(()),
            }
        }
    }

    /// The leaf that holds `key`, if anything does.
    fn leaf(&self, root: &Root, key: Key) -> Result<Leaf, FsError> {
        let (mut at, mut level) = (root.at, root.level);
        if level >= LEVELS_MAX {
            return Err(FsError::corrupt("levels of a tree", u64::from(level)));
        }
        let mut next = None;
        loop {
            let block = self.block(at, level)?;
            let Some(below) = level.checked_sub(1) else {
                return Ok(Leaf { block, next });
            };
            let count = entry_count(&block, POINTER)?;
            let number = last_not_above(&block, count, POINTER, key)?.unwrap_or(0);
            if number >= count {
                return Err(FsError::corrupt("empty node at address", at));
            }
            let after = number.saturating_add(1);
            if after < count {
                next = Some(Key::parse(&block, place(after, POINTER))?);
            }
            at = block.le64(place(number, POINTER).saturating_add(Key::BYTES))?;
            level = below;
        }
    }

    /// Reads the block at logical address `at`, from the first place where it is right.
    fn block(&self, at: u64, level: u8) -> Result<Rc<[u8]>, FsError> {
        let is_kept = |&&(kept, _): &&(u64, Rc<[u8]>)| kept == at;
        if let Some((_, block)) = self.recent.borrow().iter().find(is_kept)
            && block.u8(100)? == level
        {
            return Ok(Rc::clone(block));
        }
        let (places, len) = self.chunks.places(at)?;
        let mut failure = FsError::corrupt("block across chunks at address", at);
        for place in places.into_iter().filter(|_| len >= self.node_bytes) {
            let mut block = buffer(self.node_bytes);
            if let Err(error) = self.volume.read_at(place, &mut block) {
                failure = error.into();
                continue;
            }
            let is_right = self.sum.is_right(&block)?;
            if is_right && block.le64(48)? == at && block.u8(100)? == level {
                let block: Rc<[u8]> = block.into();
                let mut recent = self.recent.borrow_mut();
                if recent.len() >= BLOCKS_KEPT {
                    recent.remove(0);
                }
                recent.push((at, Rc::clone(&block)));
                return Ok(block);
            }
            failure = FsError::corrupt(
                if is_right {
                    "another block at address"
                } else {
                    "checksum of the block at address"
                },
                at,
            );
        }
        Err(failure)
    }
}

/// Byte of a block where entry `number` is.
fn place(number: usize, entry_bytes: usize) -> usize {
    number.saturating_mul(entry_bytes).saturating_add(HEADER)
}

/// How many entries a block has.
fn entry_count(block: &[u8], entry_bytes: usize) -> Result<usize, FsError> {
    let count = index(u64::from(block.le32(96)?));
    if place(count, entry_bytes) > block.len() {
        return Err(FsError::corrupt(
            "entries of the block at address",
            block.le64(48)?,
        ));
    }
    Ok(count)
}

/// The last of `count` entries whose key is not above `key`.
fn last_not_above(
    block: &[u8],
    count: usize,
    entry_bytes: usize,
    key: Key,
) -> Result<Option<usize>, FsError> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if Key::parse(block, place(middle, entry_bytes))? <= key {
            low = middle.saturating_add(1);
        } else {
            high = middle;
        }
    }
    Ok(low.checked_sub(1))
}

fn item(leaf: &Rc<[u8]>, number: usize) -> Result<Item, FsError> {
    let at = place(number, ITEM);
    let start = index(u64::from(leaf.le32(at.saturating_add(17))?));
    Ok(Item {
        key: Key::parse(leaf, at)?,
        leaf: Rc::clone(leaf),
        start: start.saturating_add(HEADER),
        len: index(u64::from(leaf.le32(at.saturating_add(21))?)),
    })
}
