//! Cluster chains as runs: [`ChainFile`] follows a chain as far as it is asked for and remembers it as stretches of
//! neighbouring clusters.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::Core;
use super::boot::Boot;
use crate::bytes::{Fields, buffer, index};
use crate::error::FsError;
use crate::run::{Layout, Run, Source};
use crate::tree::Kind;
use crate::volume::Volume;

/// The most stretches that are kept for one file. A 4 GiB file in pieces of 16 KiB has as many.
const STRETCHES_MAX: usize = 1 << 18;
/// The largest directory: 65536 entries of 32 bytes.
const DIRECTORY_MAX: u64 = 2 << 20;
/// Bytes of the table that are decoded at a time; a multiple of 3 and 4, so that no entry is cut.
const WINDOW: u64 = 3072;

/// How many clusters beyond the wanted one a chain is followed at once.
const AHEAD: u32 = 4096;

/// Neighbouring clusters, in order.
struct Stretch {
    /// Clusters of the file up to this stretch's end.
    end: u32,
    first: u32,
    count: u32,
}

/// Where a chain goes on. The entry of a file's last cluster is not looked at before something beyond it is asked for.
enum Link {
    At(u32),
    After(u32),
    End,
}

/// How far a chain has been followed.
struct Progress {
    stretches: Vec<Stretch>,
    link: Link,
    /// Part of the table: (first byte, bytes).
    window: (u64, Vec<u8>),
}

/// A file or directory.
pub(super) struct ChainFile {
    core: Rc<Core>,
    len: u64,
    progress: RefCell<Progress>,
}

impl ChainFile {
    pub(super) fn file(core: Rc<Core>, cluster: u32, len: u32) -> Self {
        let progress = Progress {
            stretches: Vec::new(),
            link: Link::At(cluster),
            window: (0, Vec::new()),
        };
        Self {
            core,
            len: u64::from(len),
            progress: RefCell::new(progress),
        }
    }

    /// A directory is as long as its chain.
    pub(super) fn directory(core: Rc<Core>, cluster: u32) -> Result<Self, FsError> {
        let mut file = Self::file(core, cluster, u32::MAX);
        let cluster_bytes = file.core.boot.cluster_bytes;
        let most = u32::try_from(DIRECTORY_MAX.checked_div(cluster_bytes).unwrap_or(0))
            .unwrap_or(0)
            .max(1);
        let progress = file.progress.get_mut();
        while progress.followed() < most && progress.advance(&file.core)? {}
        file.len = u64::from(progress.followed()).saturating_mul(cluster_bytes);
        Ok(file)
    }
}

impl Progress {
    /// Clusters known so far.
    fn followed(&self) -> u32 {
        self.stretches.last().map_or(0, |stretch| stretch.end)
    }

    /// Follows the chain by one cluster; false at its end.
    fn advance(&mut self, core: &Core) -> Result<bool, FsError> {
        let cluster = match self.link {
            Link::At(cluster) => cluster,
            Link::After(before) => match self.entry(core, before)? {
                Some(cluster) => cluster,
                None => {
                    self.link = Link::End;
                    return Ok(false);
                }
            },
            Link::End => return Ok(false),
        };
        core.boot.position(cluster)?;
        let end = self.followed().saturating_add(1);
        // A chain that is longer than there are clusters goes in circles.
        if end > core.boot.clusters {
            return Err(FsError::corrupt(
                "cluster chain is a loop, cluster",
                u64::from(cluster),
            ));
        }
        let neighbour = self
            .stretches
            .last_mut()
            .filter(|last| last.first.checked_add(last.count) == Some(cluster));
        match neighbour {
            Some(last) => {
                last.count = last.count.saturating_add(1);
                last.end = end;
            }
            None => self.stretches.push(Stretch {
                end,
                first: cluster,
                count: 1,
            }),
        }
        if self.stretches.len() > STRETCHES_MAX {
            return Err(FsError::unsupported("FAT file in more than 262144 pieces"));
        }
        self.link = Link::After(cluster);
        Ok(true)
    }

    /// The table's entry for `cluster`; `None` marks the end of a chain.
    fn entry(&mut self, core: &Core, cluster: u32) -> Result<Option<u32>, FsError> {
        let number = u64::from(cluster);
        let (value, limit) = match core.boot.kind {
            Kind::Fat12 => {
                let pair = self.table(core, number.saturating_mul(3) / 2, 2)?;
                (
                    if cluster & 1 == 0 {
                        pair & 0xfff
                    } else {
                        pair >> 4 & 0xfff
                    },
                    0xff7,
                )
            }
            Kind::Fat16 => (self.table(core, number.saturating_mul(2), 2)?, 0xfff7),
            _ => (
                self.table(core, number.saturating_mul(4), 4)? & 0x0fff_ffff,
                0x0fff_fff7,
            ),
        };
        if value > limit {
            return Ok(None);
        }
        // 0 is free, 1 reserved, `limit` a bad cluster: none belongs in a chain.
        if value < 2 || value == limit {
            return Err(FsError::corrupt(
                "cluster chain is broken after cluster",
                number,
            ));
        }
        Ok(Some(value))
    }

    /// A little-endian number of `len` (2 or 4) bytes at byte `at` of the table.
    fn table(&mut self, core: &Core, at: u64, len: usize) -> Result<u32, FsError> {
        let start = at.saturating_sub(at % WINDOW);
        if self.window.0 != start || self.window.1.is_empty() {
            let from = core.boot.table.saturating_add(start);
            // One byte more than the window: a 12-bit entry's second byte may be there.
            let mut bytes = buffer(
                WINDOW
                    .saturating_add(1)
                    .min(core.volume.len_bytes().saturating_sub(from)),
            );
            core.volume.read_at(from, &mut bytes)?;
            self.window = (start, bytes);
        }
        let at = index(at % WINDOW);
        if len == 2 {
            self.window.1.le16(at).map(u32::from)
        } else {
            self.window.1.le32(at)
        }
    }
}

impl Layout for ChainFile {
    fn volume(&self) -> &Volume {
        &self.core.volume
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn run_at(&self, offset: u64) -> Result<Run, FsError> {
        let boot: &Boot = &self.core.boot;
        let wanted =
            u32::try_from(offset.checked_div(boot.cluster_bytes).unwrap_or(0)).unwrap_or(u32::MAX);
        let mut progress = self.progress.borrow_mut();
        while progress.followed() <= wanted {
            if !progress.advance(&self.core)? {
                return Err(FsError::corrupt(
                    "cluster chain ends early, at byte",
                    offset,
                ));
            }
        }
        // As long as neighbours follow each other, look ahead: this makes one read of them. Not to the end of
        // everything: a read of the first bytes of a huge file must not read its whole chain.
        let last = u32::try_from(
            self.len
                .saturating_sub(1)
                .checked_div(boot.cluster_bytes)
                .unwrap_or(0),
        )
        .unwrap_or(0);
        let last = last.min(wanted.saturating_add(AHEAD));
        let stretches = progress.stretches.len();
        while progress.followed() <= last
            && progress.stretches.len() == stretches
            && progress.advance(&self.core)?
        {}

        let position = progress
            .stretches
            .partition_point(|stretch| stretch.end <= wanted);
        let stretch = progress
            .stretches
            .get(position)
            .ok_or(FsError::corrupt("no cluster for byte", offset))?;
        let left = u64::from(stretch.end.saturating_sub(wanted)).saturating_mul(boot.cluster_bytes);
        let skip = stretch
            .count
            .saturating_sub(stretch.end.saturating_sub(wanted));
        let within = offset.checked_rem(boot.cluster_bytes).unwrap_or(0);
        let start = boot
            .position(stretch.first.saturating_add(skip))?
            .saturating_add(within);
        Ok(Run {
            source: Source::Disk(start),
            len: left.saturating_sub(within),
        })
    }

    /// FAT has neither journal nor checksums.
    fn hazard(&self) -> Option<&'static str> {
        None
    }
}
