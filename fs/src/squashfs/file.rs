//! Files: blocks that lie one after the other, each packed or plain, and the end of the file, perhaps in a fragment.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::inode::{Content, Inode};
use super::metadata::{Place, Reader};
use super::{Core, stored};
use crate::bytes::{Fields, index, size};
use crate::error::FsError;
use crate::run::{Layout, Run, Source};
use crate::volume::Volume;

/// One block of a file.
#[derive(Clone, Copy)]
struct Block {
    /// Byte of the volume.
    at: u64,
    /// Bytes there; 0 for a block of zeros.
    stored: u64,
    is_packed: bool,
    /// Where the file's bytes begin in it, unpacked.
    skip: u64,
}

/// A file's place on its volume.
pub(super) struct FileLayout {
    core: Rc<Core>,
    len: u64,
    /// Whole blocks: byte of the volume, and length as it is stored.
    blocks: Vec<(u64, u32)>,
    end: Option<Block>,
}

impl FileLayout {
    pub(super) fn new(core: Rc<Core>, inode: &Inode) -> Result<Self, FsError> {
        let Content::File(content) = &inode.content else {
            return Err(FsError::corrupt("file without content", 0));
        };
        let mut at = content.start;
        let mut blocks = Vec::new();
        for length in content.lengths(&core)? {
            blocks.push((at, length));
            at = at.saturating_add(stored(length).0);
        }
        let has_end = !content.size.is_multiple_of(core.block_bytes);
        let end = match content.fragment.filter(|_| has_end) {
            Some((number, offset)) => Some(fragment(&core, number, offset)?),
            None => None,
        };
        Ok(Self {
            core,
            len: content.size,
            blocks,
            end,
        })
    }

    /// The block with byte `offset` of the file, where the file's part of it begins there, and how long that is.
    fn block(&self, offset: u64) -> Result<(Block, u64, u64), FsError> {
        let block_bytes = self.core.block_bytes;
        let number = offset.checked_div(block_bytes).unwrap_or(0);
        let within = offset.checked_rem(block_bytes).unwrap_or(0);
        let whole = self.blocks.get(index(number)).map(|&(at, length)| {
            let (stored, is_packed) = stored(length);
            Block {
                at,
                stored,
                is_packed,
                skip: 0,
            }
        });
        let block = whole.or(self.end);
        let block = block.ok_or(FsError::corrupt("no block for file's byte", offset))?;
        let len = block_bytes
            .saturating_sub(within)
            .min(self.len.saturating_sub(offset));
        Ok((block, within, len))
    }
}

/// The block that is shared by the ends of files.
fn fragment(core: &Core, number: u32, offset: u32) -> Result<Block, FsError> {
    if number >= core.fragment_count {
        return Err(FsError::corrupt("squashfs fragment", u64::from(number)));
    }
    // 512 entries of 16 bytes to a block of metadata, whose places are listed in the open.
    let mut place = [0; 8];
    let list = u64::from(number / 512).saturating_mul(8);
    core.store
        .volume
        .read_at(core.fragments.saturating_add(list), &mut place)?;
    let within = Place {
        block: 0,
        within: (number % 512).saturating_mul(16),
    };
    let entry: [u8; 16] = Reader::new(&core.store, u64::from_le_bytes(place), within).array()?;
    let (stored, is_packed) = stored(entry.le32(8)?);
    Ok(Block {
        at: entry.le64(0)?,
        stored,
        is_packed,
        skip: u64::from(offset),
    })
}

impl Layout for FileLayout {
    fn volume(&self) -> &Volume {
        &self.core.store.volume
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn run_at(&self, offset: u64) -> Result<Run, FsError> {
        let (block, within, len) = self.block(offset)?;
        let from = block.skip.saturating_add(within);
        let source = if block.stored == 0 {
            Source::Zeros
        } else if block.is_packed {
            Source::Made {
                packed: Some((block.at, block.stored)),
            }
        } else if from.saturating_add(len) <= block.stored {
            Source::Disk(block.at.saturating_add(from))
        } else {
            return Err(FsError::corrupt("squashfs block cut short at", block.at));
        };
        Ok(Run { source, len })
    }

    fn make(&self, offset: u64, out: &mut [u8]) -> Result<(), FsError> {
        let (block, within, _) = self.block(offset)?;
        let store = &self.core.store;
        let from = block.skip.saturating_add(within);
        let short = FsError::corrupt("squashfs block too short at", block.at);
        if from == 0 && size(out.len()) == self.core.block_bytes {
            // All of it is wanted: straight to its place.
            let made = store.unpack_block(block.at, block.stored, out)?;
            return if made == out.len() {
                Ok(())
            } else {
                Err(short)
            };
        }
        let bytes = store.block(block.at, block.stored, self.core.block_bytes)?;
        let found = bytes.slice(index(from), out.len()).map_err(|_| short)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn hazard(&self) -> Option<&'static str> {
        Some("only files of ext and FAT are written")
    }
}
