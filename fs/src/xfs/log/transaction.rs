//! From records to changes: operations make up transactions, transactions hold items, an item is a few regions of
//! bytes. Numbers are little-endian here: the log keeps them as the machine had them.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

use super::super::store::{CHUNK, LoggedInode, Replay, numbers};
use super::super::superblock::Superblock;
use super::record::Record;
use crate::bytes::{Fields, index, size};
use crate::error::FsError;

/// The most that transactions without an end may hold together, and the most that may be kept: in bytes, each.
const BYTES_MAX: u64 = 16 << 20;
/// `sizeof(struct xfs_trans_header)`.
const TRANSACTION_HEADER: usize = 16;

/// `oh_flags` of an operation.
mod flags {
    pub(super) const START: u8 = 0x01;
    pub(super) const COMMIT: u8 = 0x02;
    /// Goes on from the record before.
    pub(super) const CONTINUED: u8 = 0x08;
    pub(super) const UNMOUNT: u8 = 0x20;
}

/// Types of items.
const INODE: u16 = 0x123b;
const BUFFER: u16 = 0x123c;

/// `blf_flags` of a buffer.
mod buffer {
    /// Only `di_next_unlinked` of its inodes was logged: their other fields have items of their own.
    pub(super) const INODES: u16 = 1;
    /// Not metadata any more.
    pub(super) const CANCEL: u16 = 1 << 1;
    /// Quotas.
    pub(super) const QUOTAS: u16 = 0x1c;
    /// Kinds (the upper five bits) that are read: unknown, B+tree, new inodes, link, directory, superblock.
    pub(super) const KINDS: [u16; 7] = [0, 4, 8, 9, 10, 11, 18];
}

/// `ilf_fields`: the data fork was logged, in one of its three forms.
mod fields {
    pub(super) const CONTENTS: u32 = 0x002;
    pub(super) const EXTENTS: u32 = 0x004;
    pub(super) const TREE: u32 = 0x008;
}

/// Several regions that belong together; the first says how many.
struct Item {
    wanted: usize,
    regions: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Transaction {
    header: usize,
    items: Vec<Item>,
}

/// Transactions as they are found, and what came of those that were committed.
pub(super) struct Transactions<'a> {
    superblock: &'a Superblock,
    open: BTreeMap<u32, Option<Transaction>>,
    /// Bytes in `open`.
    open_bytes: u64,
    replay: Replay,
    /// Bytes of forks in `replay`.
    fork_bytes: u64,
}

impl<'a> Transactions<'a> {
    pub(super) fn new(superblock: &'a Superblock) -> Self {
        Self {
            superblock,
            open: BTreeMap::new(),
            open_bytes: 0,
            replay: Replay::default(),
            fork_bytes: 0,
        }
    }

    pub(super) fn finish(self) -> Replay {
        self.replay
    }

    /// Takes in the operations of the next record.
    pub(super) fn add(&mut self, record: &Record) -> Result<(), FsError> {
        let mut rest: &[u8] = &record.data;
        for _ in 0..record.operations {
            let (id, len) = (rest.be32(0)?, index(u64::from(rest.be32(4)?)));
            let flags = rest.u8(9)?;
            let Some(bytes) = rest.get(12..).and_then(|bytes| bytes.get(..len)) else {
                return Err(corrupt("operation's length, at block", record));
            };
            self.operation(id, flags, bytes)
                .ok_or_else(|| corrupt("operation, at block", record))?;
            if self.held() > BYTES_MAX {
                return Err(FsError::unsupported("more than 16 MiB of changes"));
            }
            rest = rest.get(len.saturating_add(12)..).unwrap_or_default();
        }
        Ok(())
    }

    fn held(&self) -> u64 {
        let chunks = size(self.replay.chunks.len()).saturating_mul(CHUNK);
        let inodes = size(self.replay.inodes.len()).saturating_mul(256);
        self.open_bytes.max(
            chunks
                .saturating_add(inodes)
                .saturating_add(self.fork_bytes),
        )
    }

    /// One operation; `None` if it cannot be.
    fn operation(&mut self, id: u32, flags: u8, bytes: &[u8]) -> Option<()> {
        if flags & flags::UNMOUNT != 0 {
            return Some(());
        }
        if flags & flags::START != 0 {
            self.open.insert(id, Some(Transaction::default()));
            return Some(());
        }
        if flags & flags::COMMIT != 0 {
            // Begun before the log's oldest record: not needed any more.
            let Some(transaction) = self.open.get_mut(&id).and_then(Option::take) else {
                return Some(());
            };
            let held: u64 = transaction.items.iter().map(Item::len).sum();
            self.open_bytes = self.open_bytes.saturating_sub(held);
            return self.commit(&transaction);
        }
        let Some(Some(transaction)) = self.open.get_mut(&id) else {
            return Some(());
        };
        if bytes.is_empty() {
            return Some(());
        }
        if transaction.header < TRANSACTION_HEADER {
            transaction.header = transaction.header.saturating_add(bytes.len());
            return (transaction.header <= TRANSACTION_HEADER).then_some(());
        }
        self.open_bytes = self.open_bytes.saturating_add(size(bytes.len()));
        if flags & flags::CONTINUED != 0 {
            let region = transaction.items.last_mut()?.regions.last_mut()?;
            region.extend_from_slice(bytes);
            return Some(());
        }
        match transaction.items.last_mut() {
            Some(item) if item.regions.len() < item.wanted => item.regions.push(bytes.to_vec()),
            _ => {
                // The number of regions is known even if the first one goes on in the next record.
                let wanted = usize::from(bytes.le16(2).ok()?);
                transaction.items.push(Item {
                    wanted,
                    regions: alloc::vec![bytes.to_vec()],
                });
            }
        }
        Some(())
    }

    fn commit(&mut self, transaction: &Transaction) -> Option<()> {
        // What stops to be metadata did so before anything else was put there.
        for item in &transaction.items {
            self.cancel(item)?;
        }
        for item in &transaction.items {
            let format = item.regions.first()?;
            match format.le16(0).ok()? {
                BUFFER => self.buffer(format, item)?,
                INODE => self.inode(format, item)?,
                _ => {}
            }
        }
        Some(())
    }

    fn cancel(&mut self, item: &Item) -> Option<()> {
        let format = item.regions.first()?;
        if format.le16(0).ok()? != BUFFER || format.le16(4).ok()? & buffer::CANCEL == 0 {
            return Some(());
        }
        let at = format.le64(8).ok()?.checked_mul(512)?;
        let len = u64::from(format.le16(6).ok()?).checked_mul(512)?;
        // Keys are few between the two ends, whatever the ends are.
        for (_, chunk) in self.replay.chunks.range_mut(numbers(at, len)) {
            *chunk = None;
        }
        for (_, inode) in self.replay.inodes.range_mut(at..at.checked_add(len)?) {
            *inode = None;
        }
        Some(())
    }

    /// A buffer: a map of bits, one for each piece of 128 bytes, and a region for each stretch of ones in it.
    fn buffer(&mut self, format: &[u8], item: &Item) -> Option<()> {
        let flags = format.le16(4).ok()?;
        let is_read = flags & (buffer::INODES | buffer::CANCEL | buffer::QUOTAS) == 0
            && buffer::KINDS.contains(&(flags >> 11));
        if !is_read {
            return Some(());
        }
        let first = format.le64(8).ok()?.checked_mul(512)?.checked_div(CHUNK)?;
        let words = index(u64::from(format.le32(16).ok()?));
        let map = format.get(20..)?.get(..words.checked_mul(4)?)?;
        let is_set = |bit: usize| {
            let byte = map.get(bit / 8).copied().unwrap_or(0);
            byte >> (bit % 8) & 1 != 0
        };
        let mut bit: usize = 0;
        for region in item.regions.get(1..)? {
            while !is_set(bit) {
                bit = bit.checked_add(1)?;
                if bit >= map.len().checked_mul(8)? {
                    return None;
                }
            }
            // A stretch may be parted where the buffer's memory was: the region then ends earlier.
            for chunk in region.chunks_exact(128) {
                if !is_set(bit) {
                    return None;
                }
                let number = first.checked_add(size(bit))?;
                let chunk = chunk.try_into().ok()?;
                self.replay.chunks.insert(number, Some(chunk));
                bit = bit.checked_add(1)?;
            }
        }
        Some(())
    }

    /// An inode: its core, and its data fork if that changed.
    fn inode(&mut self, format: &[u8], item: &Item) -> Option<()> {
        let logged = format.le32(4).ok()?;
        // 32-bit machines have no padding before the number.
        let at = if format.len() >= 56 { 16 } else { 12 };
        let number = format.le64(at).ok()?;
        let position = self.superblock.inode_position(number).ok()?;
        let core = item.regions.get(1)?;
        let kept = self.replay.inodes.entry(position).or_default();
        let kept = kept.get_or_insert_default();
        let mut fork = kept.fork.take();
        if logged & (fields::CONTENTS | fields::EXTENTS | fields::TREE) != 0 {
            let bytes = item.regions.get(2)?;
            let bytes: Rc<[u8]> = if logged & fields::TREE != 0 {
                root(bytes, self.superblock.is_v5)?.into()
            } else {
                bytes.as_slice().into()
            };
            self.fork_bytes = self
                .fork_bytes
                .saturating_sub(fork.as_ref().map_or(0, |old| size(old.len())))
                .saturating_add(size(bytes.len()));
            fork = Some(bytes);
        }
        *kept = LoggedInode {
            core: core.as_slice().into(),
            fork,
        };
        Some(())
    }
}

impl Item {
    fn len(&self) -> u64 {
        self.regions.iter().map(|region| size(region.len())).sum()
    }
}

/// The root of an extent tree, logged as a whole node, in the form that it has in an inode. Big-endian.
fn root(node: &[u8], is_v5: bool) -> Option<Vec<u8>> {
    let header: usize = if is_v5 { 72 } else { 24 };
    let room = node.len().checked_sub(header)? / 16;
    let count = usize::from(node.be16(6).ok()?);
    if count > room {
        return None;
    }
    let keys = node.get(header..)?;
    let pointers = keys.get(room.checked_mul(8)?..)?;
    let len = count.checked_mul(8)?;
    let mut bytes = node.get(4..8)?.to_vec();
    bytes.extend_from_slice(keys.get(..len)?);
    bytes.extend_from_slice(pointers.get(..len)?);
    Some(bytes)
}

fn corrupt(what: &'static str, record: &Record) -> FsError {
    FsError::corrupt(what, record.block)
}
