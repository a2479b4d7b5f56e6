//! squashfs 4.0, read only as it is.
//!
//! Source of the format: the kernel's `Documentation/filesystems/squashfs.rst` and the description by D. Agner (the
//! "SquashFS Binary Format"); numbers are little-endian. Inodes and directories are in [`metadata`] blocks of 8 KiB,
//! which are packed; files are blocks of one size, each packed by itself or not, and their ends may share a block, a
//! fragment ([`file`](mod@file)).

mod file;
mod inode;
mod metadata;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use unpack::Packing;

use crate::bytes::{Fields, buffer, index, size};
use crate::error::FsError;
use crate::path::{Listing, Tree};
use crate::run::MappedFile;
use crate::tree::{DirEntry, EntryKind, File, Kind, has};
use crate::volume::Volume;
use file::FileLayout;
use inode::{Content, Inode};
use metadata::{Place, Reader, Store};

/// Bytes of the superblock.
const SUPERBLOCK: u64 = 96;
const MAGIC: &[u8] = b"hsqs";
/// The largest directory that is searched.
const DIRECTORY_MAX: u32 = 64 << 20;

/// What every part needs to read anything.
struct Core {
    store: Store,
    /// Bytes of a whole block of a file, at most 1 MiB.
    block_bytes: u64,
    /// Where the packed inodes and directories begin.
    inodes: u64,
    directories: u64,
    /// Where the list of the fragments' places begins, and how many fragments there are.
    fragments: u64,
    fragment_count: u32,
}

/// A mounted squashfs.
pub(crate) struct Squash {
    core: Rc<Core>,
    root: Place,
}

/// Sees a name, what it is of, and where its inode is.
type Visit<'a, T> = dyn FnMut(&[u8], EntryKind, Place) -> Result<Option<T>, FsError> + 'a;

/// Whether a squashfs superblock is at the start.
pub(crate) fn probe(volume: &Volume) -> Result<bool, FsError> {
    has(volume, 0, MAGIC)
}

impl Squash {
    pub(crate) fn open(volume: Volume) -> Result<Self, FsError> {
        let mut raw = buffer(SUPERBLOCK);
        volume.read_at(0, &mut raw)?;
        let version = (raw.le16(28)?, raw.le16(30)?);
        if version != (4, 0) {
            return Err(FsError::Unsupported(
                alloc::format!("squashfs {}.{}", version.0, version.1).into(),
            ));
        }
        let packing = match raw.le16(20)? {
            1 => Packing::Zlib,
            2 => Packing::Lzma,
            3 => Packing::Lzo,
            4 => Packing::Xz,
            5 => Packing::Lz4,
            6 => Packing::Zstd,
            other => {
                return Err(FsError::Unsupported(
                    alloc::format!("squashfs compression {other}").into(),
                ));
            }
        };
        let block_bytes = u64::from(raw.le32(12)?);
        let is_size = block_bytes.is_power_of_two() && (4096..=1 << 20).contains(&block_bytes);
        if !is_size {
            return Err(FsError::corrupt("squashfs block size", block_bytes));
        }
        Ok(Self {
            core: Rc::new(Core {
                store: Store::new(volume, packing),
                block_bytes,
                inodes: raw.le64(64)?,
                directories: raw.le64(72)?,
                fragments: raw.le64(80)?,
                fragment_count: raw.le32(16)?,
            }),
            root: Place::new(raw.le64(32)?),
        })
    }

    /// Gives each entry of `dir`, by its name, kind and inode, until `visit` gives something.
    fn scan<T>(&self, dir: &Inode, visit: &mut Visit<'_, T>) -> Result<Option<T>, FsError> {
        let Content::Directory { place, len } = dir.content else {
            return Ok(None);
        };
        if len > DIRECTORY_MAX {
            return Err(FsError::unsupported(
                "squashfs directory larger than 64 MiB",
            ));
        }
        // The length counts 3 bytes for `.` and `..`, which are not there.
        let mut left = u64::from(len).saturating_sub(3);
        let mut reader = Reader::new(&self.core.store, self.core.directories, place);
        while left > 0 {
            let header: [u8; 12] = reader.array()?;
            left = left.saturating_sub(12);
            let block = u64::from(header.le32(4)?);
            for _ in 0..=header.le32(0)?.min(255) {
                let entry: [u8; 8] = reader.array()?;
                let mut name = buffer(u64::from(entry.le16(6)?.min(255)).saturating_add(1));
                reader.read(&mut name)?;
                left = left.saturating_sub(size(name.len()).saturating_add(8));
                let kind = inode::kind(entry.le16(4)?);
                let place = Place {
                    block,
                    within: u32::from(entry.le16(0)?),
                };
                if let Some(found) = visit(&name, kind, place)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }
}

impl Tree for Squash {
    type Node = Inode;

    fn kind(&self) -> Kind {
        Kind::Squashfs
    }

    fn label(&self) -> Option<Vec<u8>> {
        None
    }

    fn uuid(&self) -> Option<String> {
        None
    }

    fn root(&self) -> Result<Inode, FsError> {
        let root = Inode::read(&self.core, self.root)?;
        if root.kind == EntryKind::Directory {
            Ok(root)
        } else {
            Err(FsError::corrupt(
                "root is no directory, block",
                self.root.block,
            ))
        }
    }

    fn node_kind(&self, node: &Inode) -> EntryKind {
        node.kind
    }

    fn lookup(&self, dir: &Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        let place = self.scan(dir, &mut |entry, _, place| {
            Ok((entry == name).then_some(place))
        })?;
        match place {
            Some(place) => Inode::read(&self.core, place).map(Some),
            None => Ok(None),
        }
    }

    fn read_link(&self, link: &Inode) -> Result<Vec<u8>, FsError> {
        match &link.content {
            Content::Link(target) => Ok(target.to_vec()),
            _ => Ok(Vec::new()),
        }
    }

    fn children(&self, dir: &Inode) -> Result<Vec<DirEntry>, FsError> {
        let mut found = Listing::default();
        self.scan::<()>(dir, &mut |name, kind, _| {
            found.add(name, || Ok(kind))?;
            Ok(None)
        })?;
        Ok(found.into())
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

/// A block's stored size: bytes, and whether they are packed.
fn stored(word: u32) -> (u64, bool) {
    const PLAIN: u32 = 1 << 24;
    (u64::from(word & PLAIN.wrapping_sub(1)), word & PLAIN == 0)
}

/// The number of list entries that fit into `bytes`.
fn entries(bytes: u64, unit: u64) -> usize {
    index(bytes.checked_div(unit).unwrap_or(0))
}
