//! The hash tree of a large directory: which block a name is in.
//!
//! Its blocks look like directory blocks with one unused entry, so a search from the front works too, and is what
//! [`directory`] falls back to. Source: the kernel's `Documentation/filesystems/ext4/directory.rst`, "Hash Tree
//! Directories".

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::directory::{self, Visit, Walk};
use super::inode::Inode;
use super::layout::FileLayout;
use super::{Core, verify};
use crate::bytes::{Fields, buffer};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::run::MappedFile;
use crate::tree::File;

/// Where entries start: behind `.`, `..` and the root's own fields; and behind one unused entry.
const ROOT_AT: usize = 0x20;
const NODE_AT: usize = 8;
/// An entry is a hash and a block; in place of the first one's hash are the room for entries and their count.
const ENTRY: usize = 8;
/// Levels below the root, with large_dir.
const LEVELS_MAX: u8 = 2;
/// The most blocks that are read for one name. Names of one hash may fill several.
const BLOCKS_MAX: u32 = 256;

struct Index<'a> {
    core: &'a Core,
    dir: &'a Inode,
    file: MappedFile<FileLayout>,
    hash: u32,
    /// Blocks that may still be read.
    left: u32,
}

/// Visits the entries of the blocks that `name` can be in; of none, if the tree makes no sense.
pub(super) fn visit(
    core: &Rc<Core>,
    dir: &Inode,
    name: &[u8],
    visit: &mut Visit<'_>,
) -> Result<(), FsError> {
    let mut index = Index {
        core,
        dir,
        file: MappedFile(FileLayout::new(Rc::clone(core), dir)?),
        hash: 0,
        left: BLOCKS_MAX,
    };
    let Some(root) = index.block(0)? else {
        return Ok(());
    };
    let (reserved, info_len, levels) = (root.le32(0x18)?, root.u8(0x1d)?, root.u8(0x1e)?);
    let hash = core.superblock.hashing.of(root.u8(0x1c)?, name);
    let Some(hash) = hash.filter(|_| reserved == 0 && info_len == 8 && levels <= LEVELS_MAX) else {
        return Ok(());
    };
    index.hash = hash;
    index.descend(&root, ROOT_AT, levels, visit).map(drop)
}

impl Index<'_> {
    /// Block `number` of the directory; `None` if there is no such block, or too many have been read.
    fn block(&mut self, number: u32) -> Result<Option<Vec<u8>>, FsError> {
        let bytes = self.core.superblock.block_bytes;
        let at = u64::from(number).saturating_mul(bytes);
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        if at.saturating_add(bytes) > self.dir.size {
            return Ok(None);
        }
        let mut block = buffer(bytes);
        self.file.read_at(at, &mut block)?;
        Ok(Some(block))
    }

    fn descend(
        &mut self,
        node: &[u8],
        at: usize,
        levels: u8,
        visit: &mut Visit<'_>,
    ) -> Result<Walk, FsError> {
        let (limit, count) = (
            usize::from(node.le16(at)?),
            usize::from(node.le16(at.saturating_add(2))?),
        );
        let entries = node.get(at..).unwrap_or_default();
        let (entries, tail) = match entries.split_at_checked(limit.saturating_mul(ENTRY)) {
            Some(parts) if count > 0 && count <= limit => parts,
            _ => return Ok(Walk::On),
        };
        let used = entries
            .get(..count.saturating_mul(ENTRY))
            .unwrap_or_default();
        if self.core.superblock.has_checksums() {
            let sum = crc32c(self.dir.seed, node.get(..at).unwrap_or_default());
            let sum = crc32c(crc32c(sum, used), tail.slice(0, 4)?);
            let what = "checksum of a directory's index, inode";
            verify(
                crc32c(sum, &[0; 4]),
                tail.le32(4)?,
                what,
                u64::from(self.dir.number),
            )?;
        }
        // The last block whose hashes begin no later, and those behind it that go on with this very hash.
        let begins_in_time = |entry: &&[u8]| entry.le32(0).is_ok_and(|begin| begin <= self.hash);
        let later = used.chunks_exact(ENTRY).skip(1);
        let chosen = later.take_while(begins_in_time).count();
        for (position, entry) in used.chunks_exact(ENTRY).enumerate().skip(chosen) {
            if position > chosen && entry.le32(0)? != self.hash | 1 {
                break;
            }
            let Some(block) = self.block(entry.le32(4)? & 0x0fff_ffff)? else {
                break;
            };
            let walk = match levels.checked_sub(1) {
                Some(levels) => self.descend(&block, NODE_AT, levels, visit)?,
                None => directory::block(self.core, self.dir, &block, visit)?,
            };
            if matches!(walk, Walk::Stop) {
                return Ok(walk);
            }
        }
        Ok(Walk::On)
    }
}
