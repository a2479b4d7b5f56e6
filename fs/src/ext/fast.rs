//! Fast commits: small changes since the last whole transaction, logged as what was done rather than as blocks.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/journal.rst`, "Fast commits", and `fs/ext4/fast_commit.h`;
//! numbers are little-endian. [`Reader`] takes the blocks of their area one by one and keeps what whole commits say;
//! [`Changes`] answers for inodes, names and places of data what the disk would say after a replay.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

use super::extent;
use super::inode::flags;
use crate::bytes::{Fields, size};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::extents::Span;

/// `EXT4_FC_TAG_*`.
mod tags {
    pub(super) const ADD_RANGE: u16 = 1;
    pub(super) const DEL_RANGE: u16 = 2;
    pub(super) const CREATE: u16 = 3;
    pub(super) const LINK: u16 = 4;
    pub(super) const INODE: u16 = 6;
    pub(super) const PAD: u16 = 7;
    pub(super) const TAIL: u16 = 8;
    pub(super) const HEAD: u16 = 9;
}

/// The most tags that are applied: four times what an area of the usual size can hold of its usual content.
const TAGS_MAX: u64 = 1 << 16;
/// `i_block` in an inode.
const PLACES: Range<usize> = 0x28..0x64;

/// One change, of an inode or of a name in the directory that the inode is.
struct Change {
    inode: u32,
    /// Empty where the inode itself changes.
    name: Vec<u8>,
    /// Changes are applied in this order.
    age: u64,
    what: What,
}

enum What {
    /// The name is of this inode, unless it was of one already.
    Link(u32),
    /// The name is not of this inode any more.
    Unlink(u32),
    /// The inode was made: a directory holds nothing but what changes say of its names.
    Made,
    /// The inode is this.
    Inode(Vec<u8>),
    /// The file's blocks from here to there are elsewhere now: where, if they were written.
    Blocks(Range<u64>, Option<u64>),
}

impl Ord for Change {
    fn cmp(&self, other: &Self) -> Ordering {
        let first = self.inode.cmp(&other.inode);
        let second = || self.name.cmp(&other.name);
        first
            .then_with(second)
            .then_with(|| self.age.cmp(&other.age))
    }
}

impl PartialOrd for Change {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Change {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Change {}

/// Blocks of file `inode`, behind the last of which is `end`, that lie from `physical` on if they were written.
struct Piece {
    inode: u32,
    start: u64,
    end: u64,
    physical: Option<u64>,
}

/// What fast commits have changed.
#[derive(Default)]
pub(super) struct Changes {
    /// By inode, then by name, then by age.
    all: Vec<Change>,
    /// What became of those of blocks: by inode, then in the file's order.
    pieces: Vec<Piece>,
}

impl Changes {
    fn new(changes: BinaryHeap<Change>) -> Self {
        let all = changes.into_sorted_vec();
        let mut pieces = Vec::new();
        for group in all.chunk_by(|one, other| one.inode == other.inode) {
            settle(group, &mut pieces);
        }
        Self { all, pieces }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The changes that `key` finds equal to what is looked for.
    fn equal(&self, key: &dyn Fn(&Change) -> Ordering) -> &[Change] {
        let start = self.all.partition_point(|change| key(change).is_lt());
        let rest = self.all.get(start..).unwrap_or_default();
        let len = rest.partition_point(|change| key(change).is_eq());
        rest.get(..len).unwrap_or_default()
    }

    /// The changes of one name, or of the inode itself.
    fn of(&self, inode: u32, name: &[u8]) -> &[Change] {
        self.equal(&|change| {
            let first = change.inode.cmp(&inode);
            first.then_with(|| (*change.name).cmp(name))
        })
    }

    /// Makes of `raw`, the inode `number` as the disk has it, what it is now; whether that is anything else.
    pub(super) fn apply(&self, number: u32, raw: &mut [u8]) -> Result<bool, FsError> {
        let mut newest = self.of(number, &[]).iter().rev();
        let newer = newest.find_map(|change| match &change.what {
            What::Inode(raw) => Some(raw),
            _ => None,
        });
        let Some(newer) = newer else {
            return Ok(false);
        };
        let mut put = |range: Range<usize>| {
            if let (Some(to), Some(from)) = (raw.get_mut(range.clone()), newer.get(range)) {
                to.copy_from_slice(from);
            }
        };
        put(0..PLACES.start);
        put(PLACES.end..newer.len());
        if newer.le32(0x20)? & flags::EXTENTS == 0 {
            put(PLACES);
        } else if !extent::is_node(raw.get(PLACES).unwrap_or_default())?
            && let Some(places) = raw.get_mut(PLACES)
        {
            // The tree that the disk has for it is nobody's; all that the file has is in `pieces`.
            places.fill(0);
            if let Some(header) = places.first_chunk_mut::<8>() {
                *header = extent::EMPTY;
            }
        }
        Ok(true)
    }

    /// The inode that `name` in directory `dir` is of, where the disk says `found`.
    pub(super) fn name(&self, dir: u32, name: &[u8], found: Option<u32>) -> Option<u32> {
        let mut found = found;
        for change in self.of(dir, name) {
            found = match (&change.what, found) {
                (&What::Link(inode), None) => Some(inode),
                (&What::Unlink(inode), Some(now)) if inode == now => None,
                _ => found,
            };
        }
        found
    }

    /// Whether anything is known of `name` in directory `dir`.
    pub(super) fn knows(&self, dir: u32, name: &[u8]) -> bool {
        !self.of(dir, name).is_empty()
    }

    /// The names in directory `dir` of which anything is known, in their own order.
    pub(super) fn names_in(&self, dir: u32) -> impl Iterator<Item = &[u8]> {
        let own = self.equal(&|change| change.inode.cmp(&dir));
        own.chunk_by(|one, other| one.name == other.name)
            .filter_map(|group| group.first())
            .map(|change| change.name.as_slice())
            .filter(|name| !name.is_empty())
    }

    /// Whether directory `dir` is so new that the disk's blocks say nothing of it.
    pub(super) fn is_made(&self, dir: u32) -> bool {
        let mut own = self.of(dir, &[]).iter();
        own.any(|change| matches!(change.what, What::Made))
    }

    /// Where `block` of file `inode` is: a span of what changed, or else how many blocks from there on did not.
    pub(super) fn span(&self, inode: u32, block: u64) -> Result<Span, u64> {
        let position = self
            .pieces
            .partition_point(|piece| (piece.inode, piece.end) <= (inode, block));
        match self.pieces.get(position) {
            Some(piece) if piece.inode == inode => match block.checked_sub(piece.start) {
                Some(skip) => Ok(Span {
                    physical: piece.physical.map(|start| start.saturating_add(skip)),
                    blocks: piece.end.saturating_sub(block),
                }),
                None => Err(piece.start.saturating_sub(block)),
            },
            _ => Err(u64::MAX),
        }
    }
}

/// Adds the changed blocks of one inode in the file's order: the youngest change, where several speak of the same.
fn settle(group: &[Change], pieces: &mut Vec<Piece>) {
    let blocks = |at: usize| match group.get(at).map(|change| &change.what) {
        Some(What::Blocks(range, physical)) => Some((range, *physical)),
        _ => None,
    };
    // Heaps give the largest first: these are turned over where the smallest is wanted.
    let (mut bounds, mut waiting) = (BinaryHeap::new(), BinaryHeap::new());
    for at in 0..group.len() {
        if let Some((range, _)) = blocks(at) {
            bounds.push((!range.start, 0));
            bounds.push((!range.end, 0));
            waiting.push((!range.start, at));
        }
    }
    // Those that have begun, the youngest first.
    let mut begun: BinaryHeap<(u64, usize)> = BinaryHeap::new();
    while let Some((bound, _)) = bounds.pop() {
        let Some(&(next, _)) = bounds.peek() else {
            return;
        };
        let (start, end) = (!bound, !next);
        while let Some(&(first, at)) = waiting.peek()
            && !first <= start
        {
            waiting.pop();
            begun.push((size(at), at));
        }
        while let Some((range, physical)) = begun.peek().and_then(|&(_, at)| blocks(at)) {
            if range.end <= start {
                begun.pop();
                continue;
            }
            if start < end {
                let skip = start.saturating_sub(range.start);
                pieces.push(Piece {
                    inode: group.first().map_or(0, |change| change.inode),
                    start,
                    end,
                    physical: physical.map(|first| first.saturating_add(skip)),
                });
            }
            break;
        }
    }
}

/// What a tag with `value` says.
fn change(tag: u16, value: &[u8], age: u64) -> Result<Change, FsError> {
    let inode = value.le32(0)?;
    let mut name = Vec::new();
    let what = match tag {
        tags::ADD_RANGE => {
            let (logical, physical) = extent::record(value.get(4..).unwrap_or_default())?;
            What::Blocks(logical, physical)
        }
        tags::DEL_RANGE => {
            let start = u64::from(value.le32(4)?);
            let count = u64::from(value.le32(8)?);
            What::Blocks(start..start.saturating_add(count), None)
        }
        tags::INODE => What::Inode(value.get(4..).unwrap_or_default().to_vec()),
        _ => {
            let child = value.le32(4)?;
            name = value.get(8..).unwrap_or_default().to_vec();
            match tag {
                tags::CREATE | tags::LINK => What::Link(child),
                _ => What::Unlink(child),
            }
        }
    };
    Ok(Change {
        inode,
        name,
        age,
        what,
    })
}

/// Whether more blocks of the area may hold something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Block,
    End,
}

/// Takes the area's blocks in their order.
pub(super) struct Reader {
    /// The transaction that would have come next.
    sequence: u32,
    /// Of the tags of the commit that is being read.
    sum: u32,
    /// What these say.
    open: Vec<Change>,
    has_begun: bool,
    count: u64,
    /// What whole commits say.
    changes: BinaryHeap<Change>,
}

impl Reader {
    pub(super) fn new(sequence: u32) -> Self {
        Self {
            sequence,
            sum: 0,
            open: Vec::new(),
            has_begun: false,
            count: 0,
            changes: BinaryHeap::new(),
        }
    }

    /// Reads the next block.
    ///
    /// # Errors
    /// [`FsError::Unsupported`] for features of tomorrow and too many tags; [`FsError::Corrupt`] for tags that are too
    /// short.
    pub(super) fn block(&mut self, block: &[u8]) -> Result<Next, FsError> {
        let mut rest = block;
        while rest.len() >= 4 {
            let (tag, len) = (rest.le16(0)?, usize::from(rest.le16(2)?));
            let whole = len.saturating_add(4);
            let Some(value) = rest.get(4..whole) else {
                return Ok(Next::End);
            };
            // The first of the area says which transaction it follows.
            if !self.has_begun && tag != tags::HEAD {
                return Ok(Next::End);
            }
            match tag {
                tags::HEAD => {
                    if value.le32(4)? != self.sequence {
                        return Ok(Next::End);
                    }
                    if value.le32(0)? != 0 {
                        return Err(FsError::unsupported("unknown features of fast commits"));
                    }
                    self.has_begun = true;
                }
                tags::TAIL => {
                    self.sum = crc32c(self.sum, rest.slice(0, 8)?);
                    let is_whole = value.le32(4)? == self.sum || cfg!(fuzzing);
                    if value.le32(0)? != self.sequence || !is_whole {
                        return Ok(Next::End);
                    }
                    self.sum = 0;
                    self.changes.extend(self.open.drain(..));
                    rest = rest.get(whole..).unwrap_or_default();
                    continue;
                }
                tags::PAD => {}
                tags::ADD_RANGE..=tags::INODE => {
                    self.count = self.count.saturating_add(1);
                    if self.count > TAGS_MAX {
                        return Err(FsError::unsupported("more than 65536 fast commits"));
                    }
                    let one = change(tag, value, self.count)?;
                    if tag == tags::CREATE
                        && let What::Link(inode) = one.what
                    {
                        self.open.push(Change {
                            inode,
                            name: Vec::new(),
                            age: self.count,
                            what: What::Made,
                        });
                    }
                    self.open.push(one);
                }
                _ => return Ok(Next::End),
            }
            self.sum = crc32c(self.sum, rest.slice(0, whole)?);
            rest = rest.get(whole..).unwrap_or_default();
        }
        Ok(Next::Block)
    }

    /// What the commits that are whole have changed. One that is not was being written when the machine stopped.
    pub(super) fn changes(self) -> Changes {
        Changes::new(self.changes)
    }
}
