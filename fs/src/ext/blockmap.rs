//! Block maps: 12 direct pointers and three trees of pointer blocks, as before ext4. A pointer of 0 is a hole, at any
//! level.

use alloc::rc::Rc;
use core::cell::RefCell;

use super::Core;
use super::inode::Inode;
use crate::bytes::{Fields, index, size};
use crate::error::FsError;
use crate::extents::Span;

const DIRECT: u64 = 12;

/// A pointer block and its number.
type Recent = Option<(u64, Rc<[u8]>)>;

/// A file's block map, with the pointer blocks used last: one for each level.
pub(super) struct BlockMap {
    root: [u8; 60],
    recent: RefCell<[Recent; 3]>,
}

impl BlockMap {
    pub(super) const fn new(inode: &Inode) -> Self {
        Self {
            root: inode.block,
            recent: RefCell::new([const { None }; 3]),
        }
    }

    /// The span that holds file block `block`, from there on.
    pub(super) fn find(&self, core: &Core, block: u64) -> Result<Span, FsError> {
        let Some(mut rest) = block.checked_sub(DIRECT) else {
            return scan(self.root.slice(0, 48)?, block);
        };
        let pointers = core.superblock.block_bytes / 4;
        let mut reach: u64 = 1;
        for level in 0..3usize {
            reach = reach.saturating_mul(pointers);
            if rest < reach {
                let top = self.root.le32(level.saturating_mul(4).saturating_add(48))?;
                return self.descend(core, u64::from(top), level, reach, rest);
            }
            rest = rest.saturating_sub(reach);
        }
        Err(FsError::corrupt(
            "file block beyond what a block map can hold",
            block,
        ))
    }

    /// Looks up entry `rest` of the `reach` file blocks under pointer block `table`, `level` levels above the last.
    fn descend(
        &self,
        core: &Core,
        table: u64,
        level: usize,
        reach: u64,
        rest: u64,
    ) -> Result<Span, FsError> {
        let pointers = core.superblock.block_bytes / 4;
        let (mut table, mut reach, mut rest) = (table, reach, rest);
        for level in (0..=level).rev() {
            if table == 0 {
                return Ok(Span {
                    physical: None,
                    blocks: reach.saturating_sub(rest),
                });
            }
            let bytes = self.table(core, table, level)?;
            if level == 0 {
                return scan(&bytes, rest);
            }
            reach = reach.checked_div(pointers).unwrap_or(0);
            let entry = rest.checked_div(reach).unwrap_or(0);
            rest = rest.checked_rem(reach).unwrap_or(0);
            table = u64::from(bytes.le32(index(entry.saturating_mul(4)))?);
        }
        Err(FsError::corrupt("block map's depth", size(level)))
    }

    fn table(&self, core: &Core, block: u64, level: usize) -> Result<Rc<[u8]>, FsError> {
        let mut recent = self.recent.borrow_mut();
        if let Some(Some((_, bytes))) = recent
            .get(level)
            .filter(|slot| slot.as_ref().is_some_and(|s| s.0 == block))
        {
            return Ok(Rc::clone(bytes));
        }
        let bytes = core.store.read_block(block)?;
        if let Some(slot) = recent.get_mut(level) {
            *slot = Some((block, Rc::clone(&bytes)));
        }
        Ok(bytes)
    }
}

/// The span from pointer `entry` of `table` on: as long as the pointers count up, or stay 0.
fn scan(table: &[u8], entry: u64) -> Result<Span, FsError> {
    let from = table
        .get(index(entry.saturating_mul(4))..)
        .unwrap_or_default();
    let first = u64::from(from.le32(0)?);
    let mut blocks: u64 = 0;
    for pointer in from.chunks_exact(4) {
        let expected = if first == 0 {
            0
        } else {
            first.saturating_add(blocks)
        };
        if u64::from(pointer.le32(0)?) != expected {
            break;
        }
        blocks = blocks.saturating_add(1);
    }
    Ok(Span {
        physical: (first != 0).then_some(first),
        blocks,
    })
}
