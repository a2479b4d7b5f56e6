//! Directories: blocks of entries, searched by the hash tree of large ones ([`index`]) or from the front.

use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;

use super::inode::{Inode, flags};
use super::layout::FileLayout;
use super::superblock::{compat, incompat};
use super::{Core, index, inline};
use crate::bytes::{Fields, buffer, size};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::path::Listing;
use crate::run::MappedFile;
use crate::tree::{DirEntry, EntryKind, File};

/// The largest directory that is searched from the front: half a million names.
const BYTES_MAX: u64 = 64 << 20;

/// One entry in use.
pub(super) struct Entry<'a> {
    inode: u32,
    name: &'a [u8],
    /// `file_type`, 0 where the file system does not keep it.
    kind: u8,
}

/// Whether to see more entries.
pub(super) enum Walk {
    On,
    Stop,
}

/// The inode number of `name`.
pub(super) fn lookup(core: &Rc<Core>, dir: &Inode, name: &[u8]) -> Result<Option<u32>, FsError> {
    let changes = core.store.changes();
    if changes.is_made(dir.number) {
        return Ok(changes.name(dir.number, name, None));
    }
    let folds = dir.has(flags::CASEFOLD);
    let (exact, folded) = (Cell::new(None), Cell::new(None));
    let mut visit = |entry: Entry<'_>| {
        if entry.name == name {
            exact.set(Some(entry.inode));
            return Ok(Walk::Stop);
        }
        // Only ASCII is folded: the kernel's Unicode tables are larger than this whole file system.
        if folds && folded.get().is_none() && entry.name.eq_ignore_ascii_case(name) {
            folded.set(Some(entry.inode));
        }
        Ok(Walk::On)
    };
    let found = || exact.get().or(folded.get());
    if dir.has(flags::INDEX) && core.superblock.has_compat(compat::DIR_INDEX) {
        if folds {
            index::visit(core, dir, &name.to_ascii_lowercase(), &mut visit)?;
        } else {
            index::visit(core, dir, name, &mut visit)?;
        }
    }
    // What the index does not have is looked for all the same: where a journal could not be replayed, the index may be
    // older than the names.
    if found().is_none() {
        walk(core, dir, &mut visit)?;
    }
    Ok(changes.name(dir.number, name, found()))
}

/// All entries but `.` and `..`.
pub(super) fn list(core: &Rc<Core>, dir: &Inode) -> Result<Vec<DirEntry>, FsError> {
    let mut found = Listing::default();
    let changes = core.store.changes();
    // Names on the disk of which the journal knows something newer.
    let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
    let kind = |inode: u32| Ok(Inode::read(core, inode)?.kind());
    if !changes.is_made(dir.number) {
        walk(core, dir, &mut |entry| {
            if matches!(entry.name, b"." | b"..") {
                return Ok(Walk::On);
            }
            if changes.knows(dir.number, entry.name) {
                seen.insert(entry.name.to_vec());
            }
            let now = changes.name(dir.number, entry.name, Some(entry.inode));
            if let Some(inode) = now {
                found.add(entry.name, || match entry.kind {
                    byte if byte != 0 && inode == entry.inode => Ok(EntryKind::of_entry(byte)),
                    _ => kind(inode),
                })?;
            }
            Ok(Walk::On)
        })?;
    }
    for name in changes.names_in(dir.number) {
        if let Some(inode) = changes.name(dir.number, name, None)
            && !seen.contains(name)
        {
            found.add(name, || kind(inode))?;
        }
    }
    Ok(found.into())
}

pub(super) type Visit<'a> = dyn FnMut(Entry<'_>) -> Result<Walk, FsError> + 'a;

fn walk(core: &Rc<Core>, dir: &Inode, visit: &mut Visit<'_>) -> Result<(), FsError> {
    if dir.has(flags::INLINE_DATA) {
        dir.check_readable()?;
        for part in inline::directory(dir)? {
            if matches!(entries(core, dir, part, visit)?, Walk::Stop) {
                break;
            }
        }
        return Ok(());
    }
    if dir.size > BYTES_MAX {
        return Err(super::unsupported_in(
            "directory larger than 64 MiB",
            dir.number,
        ));
    }
    let file = MappedFile(FileLayout::new(Rc::clone(core), dir)?);
    let mut block = buffer(core.superblock.block_bytes);
    let mut at: u64 = 0;
    while at.saturating_add(size(block.len())) <= dir.size {
        file.read_at(at, &mut block)?;
        // Linux leaves in the root of an index what looks like the checksum that was there before.
        let walk = if at == 0 && dir.has(flags::INDEX) {
            entries(core, dir, &block, visit)?
        } else {
            self::block(core, dir, &block, visit)?
        };
        if matches!(walk, Walk::Stop) {
            break;
        }
        at = at.saturating_add(size(block.len()));
    }
    Ok(())
}

/// Visits the entries of one block of the directory's file.
pub(super) fn block(
    core: &Core,
    dir: &Inode,
    block: &[u8],
    visit: &mut Visit<'_>,
) -> Result<Walk, FsError> {
    check(core, dir, block)?;
    entries(core, dir, block, visit)
}

/// Visits the entries of one block. Their lengths must cover it exactly.
fn entries(core: &Core, dir: &Inode, block: &[u8], visit: &mut Visit<'_>) -> Result<Walk, FsError> {
    let typed = core.superblock.has_incompat(incompat::FILETYPE);
    let mut rest = block;
    // An inline directory's stretch may end in a few zeros.
    while rest.len() >= 8 {
        let len = record_len(rest.le16(4)?, block.len());
        let name_len = usize::from(rest.u8(6)?);
        let room = len
            .checked_sub(8)
            .filter(|&room| room >= name_len && len.is_multiple_of(4) && len <= rest.len());
        if room.is_none() {
            return Err(FsError::corrupt(
                "directory entry's length, inode",
                u64::from(dir.number),
            ));
        }
        let inode = rest.le32(0)?;
        if inode != 0 && name_len != 0 {
            // The upper half of the type is data of Lustre's (dirdata).
            let kind = if typed { rest.u8(7)? & 0xf } else { 0 };
            if matches!(
                visit(Entry {
                    inode,
                    name: rest.slice(8, name_len)?,
                    kind
                })?,
                Walk::Stop
            ) {
                return Ok(Walk::Stop);
            }
        }
        rest = rest.get(len..).unwrap_or_default();
    }
    Ok(Walk::On)
}

/// `rec_len` is 16 bits; a block of 64 KiB needs one more, kept in bits that are always zero otherwise.
fn record_len(stored: u16, block_len: usize) -> usize {
    if block_len < 65536 {
        return usize::from(stored);
    }
    match stored {
        0 | 0xffff => block_len,
        _ => (usize::from(stored) & 0xfffc) | ((usize::from(stored) & 3) << 16),
    }
}

/// A block of entries ends in a checksum that looks like an unused entry. Index blocks of the hash tree, which look
/// like one unused entry, have theirs elsewhere; nothing is taken from them.
fn check(core: &Core, dir: &Inode, block: &[u8]) -> Result<(), FsError> {
    let is_index = record_len(block.le16(4)?, block.len()) == block.len();
    if is_index || !core.superblock.has_checksums() {
        return Ok(());
    }
    let Some((data, tail)) = block.split_last_chunk::<12>() else {
        return Ok(());
    };
    if tail.le32(0)? != 0 || tail.le32(4)? != 0xde00_000c {
        return Ok(());
    }
    super::verify(
        crc32c(dir.seed, data),
        tail.le32(8)?,
        "checksum of a directory block, inode",
        u64::from(dir.number),
    )
}
