//! Runs of a file's blocks, as the leaves of extent trees hold them.
//!
//! [`Leaf`] is what one leaf says, [`Span`] the part of it from one block on.

use alloc::vec::Vec;
use core::ops::Range;

/// Blocks of a file that lie together on the volume, or are missing together.
pub(crate) struct Span {
    /// First block on the volume; `None` is a hole or an extent never written: zeros.
    pub(crate) physical: Option<u64>,
    pub(crate) blocks: u64,
}

struct Extent {
    logical: Range<u64>,
    /// `None` if never written.
    physical: Option<u64>,
}

/// One leaf's extents, and the file blocks that it alone speaks for.
pub(crate) struct Leaf {
    covers: Range<u64>,
    extents: Vec<Extent>,
}

/// Extents that overlap, are empty, or are not in the order of the file.
pub(crate) struct OutOfOrder;

impl Leaf {
    /// A leaf for the file blocks `covers`, with nothing but a hole as yet, and room for `count` extents.
    pub(crate) fn new(covers: Range<u64>, count: usize) -> Self {
        Self {
            covers,
            extents: Vec::with_capacity(count),
        }
    }

    /// Whether this leaf speaks for file block `block`.
    pub(crate) fn covers(&self, block: u64) -> bool {
        self.covers.contains(&block)
    }

    /// Adds the next extent: file blocks `logical`, from block `physical` of the volume on if they were written.
    ///
    /// # Errors
    /// [`OutOfOrder`] when it does not come behind the one before.
    pub(crate) fn push(
        &mut self,
        logical: Range<u64>,
        physical: Option<u64>,
    ) -> Result<(), OutOfOrder> {
        let is_sorted = self
            .extents
            .last()
            .is_none_or(|before| before.logical.end <= logical.start);
        if logical.is_empty() || !is_sorted {
            return Err(OutOfOrder);
        }
        self.extents.push(Extent { logical, physical });
        Ok(())
    }

    /// The span from `block` on, which the leaf covers.
    pub(crate) fn span(&self, block: u64) -> Span {
        let position = self
            .extents
            .partition_point(|extent| extent.logical.end <= block);
        let hole = |end: u64| Span {
            physical: None,
            blocks: end.min(self.covers.end).saturating_sub(block),
        };
        let Some(extent) = self.extents.get(position) else {
            return hole(u64::MAX);
        };
        match block.checked_sub(extent.logical.start) {
            Some(skip) => Span {
                physical: extent.physical.map(|start| start.saturating_add(skip)),
                blocks: extent.logical.end.saturating_sub(block),
            },
            None => hole(extent.logical.start),
        }
    }
}
