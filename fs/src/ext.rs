//! ext2, ext3 and ext4, read only.
//!
//! Source of the format: the Linux kernel's `Documentation/filesystems/ext4/`, whose field names are kept.
//! [`Core`] is what all parts share: the [`superblock`], and the [`store`] that reads blocks, through the journal's
//! copies where a journal waits to be replayed ([`journal`]; [`fast`] commits behind it). An [`inode`] says how its file is laid out
//! ([`layout`]: [`extent`]s, a [`blockmap`], or [`inline`]); [`directory`] finds names.

mod blockmap;
mod directory;
mod extent;
mod fast;
mod group;
mod hash;
mod index;
mod inline;
mod inode;
mod journal;
mod layout;
mod store;
mod superblock;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::bytes::{Fields, buffer, until_nul};
use crate::error::FsError;
use crate::path::{LINK_BYTES_MAX, Tree};
use crate::run::MappedFile;
use crate::tree::{DirEntry, EntryKind, File, Kind};
use crate::volume::Volume;
use inode::Inode;
use layout::FileLayout;
use store::{Replay, Store};
use superblock::Superblock;

pub(crate) use superblock::MAGIC;

/// What every part needs to read anything.
struct Core {
    superblock: Superblock,
    store: Store,
}

/// A mounted ext file system.
pub(crate) struct Ext {
    core: Rc<Core>,
    warnings: Vec<String>,
}

/// Whether an ext superblock is at its place.
pub(crate) fn probe(volume: &Volume) -> Result<bool, FsError> {
    if volume.len_bytes() < superblock::AT.saturating_add(superblock::BYTES) {
        return Ok(false);
    }
    let mut raw = buffer(superblock::BYTES);
    volume.read_at(superblock::AT, &mut raw)?;
    superblock::is_plausible(&raw)
}

impl Ext {
    /// Reads the superblock and, if the file system was not unmounted, the journal.
    pub(crate) fn open(volume: Volume) -> Result<Self, FsError> {
        let mut raw = buffer(superblock::BYTES);
        volume.read_at(superblock::AT, &mut raw)?;
        let superblock = Superblock::parse(&raw)?;
        let store = Store::new(volume.clone(), &superblock, Replay::default());
        let plain = Rc::new(Core { superblock, store });
        if !plain.superblock.needs_recovery() {
            return Ok(Self {
                core: plain,
                warnings: Vec::new(),
            });
        }
        let (replay, warnings) = journal::read(&plain)?;
        if replay.is_empty() {
            return Ok(Self {
                core: plain,
                warnings,
            });
        }
        // The journal may hold a newer superblock: a file system that was grown just before the crash.
        let store = Store::new(volume.clone(), &plain.superblock, replay);
        let block_bytes = plain.superblock.block_bytes;
        let (block, at) = if block_bytes > superblock::AT {
            (0, superblock::AT)
        } else {
            (1, 0)
        };
        store.read(block, at, &mut raw)?;
        let newer = Superblock::parse(&raw).and_then(|newer| match newer.block_bytes {
            found if found == block_bytes => Ok(newer),
            found => Err(FsError::corrupt(
                "the superblock's copy has blocks of",
                found,
            )),
        });
        let superblock = match newer {
            Ok(newer) => newer,
            Err(error) => {
                return Ok(Self {
                    core: plain,
                    warnings: alloc::vec![journal::left_aside(&error)],
                });
            }
        };
        let store = Store::new(volume, &superblock, store.into_replay());
        Ok(Self {
            core: Rc::new(Core { superblock, store }),
            warnings,
        })
    }
}

impl Tree for Ext {
    type Node = Inode;

    fn kind(&self) -> Kind {
        self.core.superblock.kind()
    }

    fn label(&self) -> Option<Vec<u8>> {
        let label = until_nul(&self.core.superblock.label);
        (!label.is_empty()).then(|| label.to_vec())
    }

    fn uuid(&self) -> Option<String> {
        crate::bytes::uuid_text(&self.core.superblock.uuid)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        if self.core.store.damaged() > 0 {
            warnings.push(
                "not unmounted, and its journal is damaged: read without a part of it".to_string(),
            );
        }
        warnings
    }

    fn root(&self) -> Result<Inode, FsError> {
        let root = Inode::read(&self.core, inode::ROOT)?;
        if root.kind() == EntryKind::Directory {
            Ok(root)
        } else {
            Err(FsError::corrupt(
                "root inode is no directory, mode",
                u64::from(root.mode),
            ))
        }
    }

    fn node_kind(&self, node: &Inode) -> EntryKind {
        node.kind()
    }

    fn lookup(&self, dir: &Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        match directory::lookup(&self.core, dir, name)? {
            Some(number) => Inode::read(&self.core, number).map(Some),
            None => Ok(None),
        }
    }

    fn read_link(&self, link: &Inode) -> Result<Vec<u8>, FsError> {
        link.check_readable()?;
        if link.size > LINK_BYTES_MAX {
            return Err(FsError::corrupt(
                "symbolic link too long, inode",
                u64::from(link.number),
            ));
        }
        let mut target = buffer(link.size);
        match link.fast_link() {
            Some(bytes) => target.copy_from_slice(bytes),
            None => self.file(link)?.read_at(0, &mut target)?,
        }
        Ok(until_nul(&target).to_vec())
    }

    fn children(&self, dir: &Inode) -> Result<Vec<DirEntry>, FsError> {
        directory::list(&self.core, dir)
    }

    #[cfg(feature = "inspect")]
    fn mode(&self, node: &Inode) -> Option<u16> {
        Some(node.mode)
    }

    fn file(&self, node: &Inode) -> Result<Box<dyn File>, FsError> {
        Ok(Box::new(MappedFile(FileLayout::new(
            Rc::clone(&self.core),
            node,
        )?)))
    }
}

/// `what` with the inode it was found in.
fn unsupported_in(what: &str, inode: u32) -> FsError {
    let mut text = what.to_string();
    text.push_str(&alloc::format!(" (inode {inode})"));
    FsError::Unsupported(text.into())
}

/// Checks a stored checksum.
fn verify(computed: u32, stored: u32, what: &'static str, at: u64) -> Result<(), FsError> {
    if computed == stored {
        Ok(())
    } else {
        Err(FsError::corrupt(what, at))
    }
}

/// The 16 bytes at `at`.
fn uuid_at(raw: &[u8], at: usize) -> Result<[u8; 16], FsError> {
    raw.array(at)
}
