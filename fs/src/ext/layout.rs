//! Where an inode's bytes are: [`FileLayout`] over extents, a block map, or the inode itself.

use alloc::rc::Rc;

use super::Core;
use super::blockmap::BlockMap;
use super::extent::ExtentTree;
use super::inline;
use super::inode::{Inode, flags};
use crate::bytes::{index, size};
use crate::error::FsError;
use crate::run::{Layout, Run, Source};
use crate::volume::Volume;

enum Mapping {
    Extents(ExtentTree),
    Blocks(BlockMap),
    Inline(Rc<[u8]>),
}

/// An ext file's place on its volume.
pub(super) struct FileLayout {
    core: Rc<Core>,
    mapping: Mapping,
    len: u64,
    /// `i_flags`.
    flags: u32,
}

impl FileLayout {
    pub(super) fn new(core: Rc<Core>, inode: &Inode) -> Result<Self, FsError> {
        inode.check_readable()?;
        let mapping = if inode.has(flags::INLINE_DATA) {
            Mapping::Inline(inline::data(inode)?.into())
        } else if inode.has(flags::EXTENTS) {
            Mapping::Extents(ExtentTree::new(inode))
        } else {
            Mapping::Blocks(BlockMap::new(inode))
        };
        Ok(Self {
            core,
            mapping,
            len: inode.size,
            flags: inode.flags,
        })
    }
}

impl Layout for FileLayout {
    fn volume(&self) -> &Volume {
        self.core.store.volume()
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn run_at(&self, offset: u64) -> Result<Run, FsError> {
        let block_bytes = self.core.superblock.block_bytes;
        let block = offset.checked_div(block_bytes).unwrap_or(0);
        let within = offset.checked_rem(block_bytes).unwrap_or(0);
        let span = match &self.mapping {
            Mapping::Extents(tree) => tree.find(&self.core, block)?,
            Mapping::Blocks(map) => map.find(&self.core, block)?,
            Mapping::Inline(bytes) => {
                // Inline data may be shorter than the file: the rest was never written.
                let left = size(bytes.len()).saturating_sub(offset);
                return Ok(if left > 0 {
                    Run {
                        source: Source::Memory(Rc::clone(bytes), index(offset)),
                        len: left,
                    }
                } else {
                    Run {
                        source: Source::Zeros,
                        len: self.len.saturating_sub(offset),
                    }
                });
            }
        };
        let len_of = |blocks: u64| blocks.saturating_mul(block_bytes).saturating_sub(within);
        let Some(physical) = span.physical else {
            return Ok(Run {
                source: Source::Zeros,
                len: len_of(span.blocks),
            });
        };
        let blocks = match self.core.store.first_copied(physical, span.blocks) {
            Some(first) if first == physical => {
                if let Some(copy) = self.core.store.copy_of(physical)? {
                    return Ok(Run {
                        source: Source::Memory(copy, index(within)),
                        len: len_of(1),
                    });
                }
                1
            }
            Some(first) => first.saturating_sub(physical),
            None => span.blocks,
        };
        let at = self.core.store.position(physical)?.saturating_add(within);
        Ok(Run {
            source: Source::Disk(at),
            len: len_of(blocks),
        })
    }

    /// File data in ext has no checksum; what is in the inode or the journal is not [`Source::Disk`].
    fn hazard(&self) -> Option<&'static str> {
        if self.flags & flags::IMMUTABLE != 0 {
            return Some("the file is marked immutable");
        }
        if self.flags & flags::VERITY != 0 {
            return Some("fs-verity holds checksums of the file");
        }
        if self.core.store.is_replayed() {
            // The superblock in the journal may say that all is well.
            return Some("the journal waits to be replayed");
        }
        self.core.superblock.write_hazard()
    }
}
