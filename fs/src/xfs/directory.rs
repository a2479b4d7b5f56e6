//! Directories: a few entries in the inode, or blocks of entries, searched from the front.
//!
//! Large directories also have a tree of hashes behind their entries, which is not used: a search from the front finds
//! everything in few large reads.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::Core;
use super::bmap::FileLayout;
use super::inode::{Format, Inode};
use crate::bytes::{Fields, buffer, index, join, size};
use crate::error::FsError;
use crate::path::Listing;
use crate::tree::{DirEntry, EntryKind};

/// The largest directory that is searched: more than half a million names.
const BYTES_MAX: u64 = 64 << 20;
/// Starts an unused stretch in the place of an inode's number.
const FREE: u16 = 0xffff;

/// One entry in use.
struct Entry<'a> {
    inode: u64,
    name: &'a [u8],
    /// `ftype`, 0 where the file system does not keep it.
    kind: u8,
}

/// Whether to see more entries.
enum Walk {
    On,
    Stop,
}

type Visit<'a> = dyn FnMut(Entry<'_>) -> Result<Walk, FsError> + 'a;

/// The inode number of `name`.
pub(super) fn lookup(core: &Rc<Core>, dir: &Inode, name: &[u8]) -> Result<Option<u64>, FsError> {
    let folds = core.superblock.folds_case;
    let (mut exact, mut folded) = (None, None);
    walk(core, dir, &mut |entry| {
        if entry.name == name {
            exact = Some(entry.inode);
            return Ok(Walk::Stop);
        }
        if folds && folded.is_none() && entry.name.eq_ignore_ascii_case(name) {
            folded = Some(entry.inode);
        }
        Ok(Walk::On)
    })?;
    Ok(exact.or(folded))
}

/// All entries but `.` and `..`.
pub(super) fn list(core: &Rc<Core>, dir: &Inode) -> Result<Vec<DirEntry>, FsError> {
    let mut found = Listing::default();
    walk(core, dir, &mut |entry| {
        if !matches!(entry.name, b"." | b"..") {
            found.add(entry.name, || match entry.kind {
                0 => Ok(Inode::read(core, entry.inode)?.kind()),
                byte => Ok(EntryKind::of_entry(byte)),
            })?;
        }
        Ok(Walk::On)
    })?;
    Ok(found.into())
}

fn walk(core: &Rc<Core>, dir: &Inode, visit: &mut Visit<'_>) -> Result<(), FsError> {
    if dir.format == Format::Local {
        return short(core, dir, visit);
    }
    if dir.size > BYTES_MAX {
        return Err(FsError::unsupported("XFS directory larger than 64 MiB"));
    }
    let superblock = &core.superblock;
    let layout = FileLayout::new(Rc::clone(core), dir)?;
    let mut block = buffer(superblock.directory_block_bytes);
    let mut at: u64 = 0;
    while at < dir.size {
        let (first, _) = superblock.split(at);
        let place = match layout.metadata_or_hole(first)? {
            Ok(place) => place,
            // A block without entries is given back.
            Err(missing) => {
                let skip = missing.saturating_mul(superblock.block_bytes);
                let next = at.saturating_add(skip.max(superblock.block_bytes));
                at = next
                    .checked_next_multiple_of(superblock.directory_block_bytes)
                    .unwrap_or(u64::MAX);
                continue;
            }
        };
        let is_newer = read_block(core, &layout, first, &mut block)?;
        let entries = entries(core, dir, &block, place, is_newer)?;
        if matches!(visit_all(core, dir, entries, visit)?, Walk::Stop) {
            break;
        }
        at = at.saturating_add(superblock.directory_block_bytes);
    }
    Ok(())
}

/// Reads a directory block, which may be several blocks of the file system in several places. Says whether the log
/// holds a part of it.
fn read_block(
    core: &Core,
    layout: &FileLayout,
    first: u64,
    block: &mut [u8],
) -> Result<bool, FsError> {
    let mut is_newer = false;
    let mut number = first;
    for part in block.chunks_mut(index(core.superblock.block_bytes)) {
        let (at, _) = layout.metadata(number)?;
        core.store.read(at, part)?;
        is_newer |= core.store.is_newer(at, size(part.len()));
        number = number.saturating_add(1);
    }
    Ok(is_newer)
}

/// The part of a directory block that holds entries.
fn entries<'a>(
    core: &Core,
    dir: &Inode,
    block: &'a [u8],
    place: u64,
    is_newer: bool,
) -> Result<&'a [u8], FsError> {
    let header = if core.superblock.is_v5 { 64 } else { 16 };
    let end = match block.slice(0, 4)? {
        b"XD2D" | b"XDD3" => block.len(),
        // The only block of its directory: the hashes of its names are at its end.
        b"XD2B" | b"XDB3" => {
            let tail = block.len().saturating_sub(8);
            let hashes = index(u64::from(block.be32(tail)?).saturating_mul(8));
            tail.saturating_sub(hashes)
        }
        _ => {
            return Err(FsError::corrupt(
                "magic of a directory block, inode",
                dir.number,
            ));
        }
    };
    if core.superblock.is_v5 && !is_newer {
        super::verify(block, 4, "checksum of a directory block, inode", dir.number)?;
    }
    block
        .get(header..end)
        .ok_or(FsError::corrupt("directory block's end, at byte", place))
}

/// Visits the entries and passes over unused stretches. Their lengths must cover `rest` exactly.
fn visit_all(
    core: &Core,
    dir: &Inode,
    entries: &[u8],
    visit: &mut Visit<'_>,
) -> Result<Walk, FsError> {
    let types = usize::from(core.superblock.has_file_types);
    let mut rest = entries;
    while !rest.is_empty() {
        let len = if rest.be16(0)? == FREE {
            usize::from(rest.be16(2)?)
        } else {
            let name_len = usize::from(rest.u8(8)?);
            let name = rest.slice(9, name_len)?;
            let after = name_len.saturating_add(9);
            let kind = if types == 1 { rest.u8(after)? } else { 0 };
            let inode = rest.be64(0)?;
            if matches!(visit(Entry { inode, name, kind })?, Walk::Stop) {
                return Ok(Walk::Stop);
            }
            // Behind it is its own offset, two bytes.
            after
                .saturating_add(types)
                .saturating_add(2)
                .next_multiple_of(8)
        };
        rest = match rest.get(len..).filter(|_| len >= 8) {
            Some(rest) => rest,
            None => {
                return Err(FsError::corrupt(
                    "directory entry's length, inode",
                    dir.number,
                ));
            }
        };
    }
    Ok(Walk::On)
}

/// A directory in its inode: a count, the parent's number, entries without padding.
fn short(core: &Core, dir: &Inode, visit: &mut Visit<'_>) -> Result<(), FsError> {
    let fork = dir.fork.slice(0, index(dir.size).min(dir.fork.len()))?;
    let count = fork.u8(0)?;
    // Inode numbers take 8 bytes if one of them needs more than 4.
    let wide = fork.u8(1)? != 0;
    let number_len: usize = if wide { 8 } else { 4 };
    let types = usize::from(core.superblock.has_file_types);
    let mut rest = fork.get(number_len.saturating_add(2)..).unwrap_or_default();
    for _ in 0..count {
        let name_len = usize::from(rest.u8(0)?);
        let name = rest.slice(3, name_len)?;
        let after = name_len.saturating_add(3);
        let kind = if types == 1 { rest.u8(after)? } else { 0 };
        let at = after.saturating_add(types);
        let inode = if wide {
            rest.be64(at)?
        } else {
            join(rest.be32(at)?, 0)
        };
        if matches!(visit(Entry { inode, name, kind })?, Walk::Stop) {
            break;
        }
        rest = rest
            .get(at.saturating_add(number_len)..)
            .unwrap_or_default();
    }
    Ok(())
}
