//! Fast commits: small changes since the last whole transaction, logged as what was done rather than as blocks.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/journal.rst`, "Fast commits", and `fs/ext4/fast_commit.h`;
//! numbers are little-endian. [`Reader`] takes the blocks of their area one by one and keeps what whole commits say;
//! [`Changes`] answers for inodes, names and places of data what the disk would say after a replay.

use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;

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
    pub(super) const UNLINK: u16 = 5;
    pub(super) const INODE: u16 = 6;
    pub(super) const PAD: u16 = 7;
    pub(super) const TAIL: u16 = 8;
    pub(super) const HEAD: u16 = 9;
}

/// The most tags that are applied: four times what an area of the usual size can hold of its usual content.
const TAGS_MAX: usize = 1 << 16;
/// `i_block` in an inode.
const PLACES: core::ops::Range<usize> = 0x28..0x64;

/// One thing done to a name.
#[derive(Clone, Copy)]
enum Step {
    /// It names this inode, unless it named one already.
    Link(u32),
    /// It does not name this inode any more.
    Unlink(u32),
}

/// A stretch of a file's blocks that lies elsewhere now: first, behind the last, and where, if it was written.
#[derive(Clone, Copy)]
struct Range {
    start: u64,
    end: u64,
    physical: Option<u64>,
}

/// What fast commits have changed.
#[derive(Default)]
pub(super) struct Changes {
    inodes: BTreeMap<u32, Vec<u8>>,
    /// Parts of files; in the order of the commits, and after [`Changes::settle`] in the order of the file.
    ranges: BTreeMap<u32, Vec<Range>>,
    /// By directory and name.
    names: BTreeMap<(u32, Vec<u8>), Vec<Step>>,
    /// Inodes that were made: directories among them hold nothing but what `names` says.
    made: BTreeSet<u32>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.inodes.is_empty() && self.ranges.is_empty() && self.names.is_empty()
    }

    /// Makes of `raw`, the inode `number` as the disk has it, what it is now; whether that is anything else.
    pub(super) fn apply(&self, number: u32, raw: &mut [u8]) -> Result<bool, FsError> {
        let Some(newer) = self.inodes.get(&number) else {
            return Ok(false);
        };
        let mut put = |range: core::ops::Range<usize>| {
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
            // The tree that the disk has for it is nobody's; all that the file has is in `ranges`.
            places.fill(0);
            if let Some(header) = places.first_chunk_mut::<8>() {
                *header = extent::EMPTY;
            }
        }
        Ok(true)
    }

    /// The inode that `name` in directory `dir` is of, where the disk says `found`.
    pub(super) fn name(&self, dir: u32, name: &[u8], found: Option<u32>) -> Option<u32> {
        if self.names.is_empty() {
            return found;
        }
        let steps = self.names.get(&(dir, name.to_vec()));
        steps
            .into_iter()
            .flatten()
            .fold(found, |found, step| match (step, found) {
                (&Step::Link(inode), None) => Some(inode),
                (Step::Unlink(inode), Some(now)) if *inode == now => None,
                _ => found,
            })
    }

    /// Whether anything is known of `name` in directory `dir`.
    pub(super) fn knows(&self, dir: u32, name: &[u8]) -> bool {
        !self.names.is_empty() && self.names.contains_key(&(dir, name.to_vec()))
    }

    /// The names in directory `dir` of which anything is known, in their own order.
    pub(super) fn names_in(&self, dir: u32) -> impl Iterator<Item = &[u8]> {
        self.names
            .range((dir, Vec::new())..)
            .take_while(move |((at, _), _)| *at == dir)
            .map(|((_, name), _)| name.as_slice())
    }

    /// Whether directory `dir` is so new that the disk's blocks say nothing of it.
    pub(super) fn is_made(&self, dir: u32) -> bool {
        self.made.contains(&dir)
    }

    /// Where `block` of file `inode` is: a span of what changed, or else how many blocks from there on did not.
    pub(super) fn span(&self, inode: u32, block: u64) -> Result<Span, u64> {
        let Some(ranges) = self.ranges.get(&inode) else {
            return Err(u64::MAX);
        };
        let position = ranges.partition_point(|range| range.end <= block);
        let Some(range) = ranges.get(position) else {
            return Err(u64::MAX);
        };
        match block.checked_sub(range.start) {
            Some(skip) => Ok(Span {
                physical: range.physical.map(|start| start.saturating_add(skip)),
                blocks: range.end.saturating_sub(block),
            }),
            None => Err(range.start.saturating_sub(block)),
        }
    }

    fn add(&mut self, tag: u16, value: &[u8]) -> Result<(), FsError> {
        let inode = value.le32(0)?;
        match tag {
            tags::ADD_RANGE => {
                let (logical, extent) = extent::record(value.get(4..).unwrap_or_default())?;
                self.ranges.entry(inode).or_default().push(Range {
                    start: logical.start,
                    end: logical.end,
                    physical: extent,
                });
            }
            tags::DEL_RANGE => {
                let start = u64::from(value.le32(4)?);
                self.ranges.entry(inode).or_default().push(Range {
                    start,
                    end: start.saturating_add(u64::from(value.le32(8)?)),
                    physical: None,
                });
            }
            tags::CREATE | tags::LINK | tags::UNLINK => {
                let child = value.le32(4)?;
                let name = value.get(8..).unwrap_or_default().to_vec();
                let step = match tag {
                    tags::UNLINK => Step::Unlink(child),
                    _ => Step::Link(child),
                };
                self.names.entry((inode, name)).or_default().push(step);
                if tag == tags::CREATE {
                    self.made.insert(child);
                }
            }
            tags::INODE => {
                let raw = value.get(4..).unwrap_or_default().to_vec();
                self.inodes.insert(inode, raw);
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts the ranges of each file in its order, the younger ones before the older where both speak.
    fn settle(mut self) -> Self {
        for ranges in self.ranges.values_mut() {
            *ranges = settled(ranges);
        }
        self
    }
}

fn settled(ranges: &[Range]) -> Vec<Range> {
    let mut bounds: BinaryHeap<Reverse<u64>> = BinaryHeap::new();
    let mut waiting: BinaryHeap<(Reverse<u64>, usize)> = BinaryHeap::new();
    for (age, range) in ranges.iter().enumerate() {
        bounds.push(Reverse(range.start));
        bounds.push(Reverse(range.end));
        waiting.push((Reverse(range.start), age));
    }
    // Those that have begun, the youngest first.
    let mut begun: BinaryHeap<usize> = BinaryHeap::new();
    let mut found: Vec<Range> = Vec::new();
    while let Some(Reverse(at)) = bounds.pop() {
        while let Some(&(Reverse(start), age)) = waiting.peek()
            && start <= at
        {
            waiting.pop();
            begun.push(age);
        }
        let Some(&Reverse(next)) = bounds.peek() else {
            break;
        };
        let now = loop {
            let range = begun.peek().and_then(|&age| ranges.get(age));
            match range {
                Some(range) if range.end <= at => begun.pop(),
                other => break other,
            };
        };
        if let Some(range) = now.filter(|_| at < next) {
            let skip = at.saturating_sub(range.start);
            found.push(Range {
                start: at,
                end: next,
                physical: range.physical.map(|start| start.saturating_add(skip)),
            });
        }
    }
    found
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
    /// Those tags.
    open: Vec<(u16, Vec<u8>)>,
    has_begun: bool,
    count: usize,
    bytes: u64,
    changes: Changes,
}

impl Reader {
    pub(super) fn new(sequence: u32) -> Self {
        Self {
            sequence,
            sum: 0,
            open: Vec::new(),
            has_begun: false,
            count: 0,
            bytes: 0,
            changes: Changes::default(),
        }
    }

    /// Reads the next block.
    ///
    /// # Errors
    /// [`FsError::Unsupported`] for features of tomorrow and too many tags; [`FsError::Corrupt`] for tags that are too
    /// short.
    pub(super) fn block(&mut self, block: &[u8]) -> Result<Next, FsError> {
        self.bytes = self.bytes.saturating_add(size(block.len()));
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
                    for (tag, value) in core::mem::take(&mut self.open) {
                        self.changes.add(tag, &value)?;
                    }
                    rest = rest.get(whole..).unwrap_or_default();
                    continue;
                }
                tags::PAD => {}
                tags::ADD_RANGE..=tags::INODE => {
                    self.count = self.count.saturating_add(1);
                    if self.count > TAGS_MAX {
                        return Err(FsError::unsupported("more than 65536 fast commits"));
                    }
                    self.open.push((tag, value.to_vec()));
                }
                _ => return Ok(Next::End),
            }
            self.sum = crc32c(self.sum, rest.slice(0, whole)?);
            rest = rest.get(whole..).unwrap_or_default();
        }
        Ok(Next::Block)
    }

    /// How many bytes were read.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the commits that are whole have changed. One that is not was being written when the machine stopped.
    pub(super) fn changes(self) -> Changes {
        self.changes.settle()
    }
}
