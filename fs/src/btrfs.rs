//! btrfs on one disk, read only.
//!
//! Source of the format: the btrfs documentation's "On-disk Format", whose names are kept; numbers are little-endian.
//! Everything is an item in a B-tree, found by its key. A tree's blocks have logical addresses, which [`chunk`]s map to
//! places on the disk, often two of them. [`superblock`] says where the tree of trees and the tree of chunks are,
//! [`tree`] searches, [`file`](mod@file) reads extents, packed or not, and [`sum`] checks what is read.
//!
//! A path starts in the default subvolume. Subvolumes look like directories; where a name is not in the default
//! subvolume's own root, the root of all subvolumes is looked in as well, so that `/@/boot` works whatever the default.
//! Whatever happened, the trees are as they were when last written together: nothing has to be replayed but what
//! single files were synced after that, which is left aside with a warning.

mod chunk;
mod file;
mod sum;
mod superblock;
mod tree;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::bytes::{Fields, index, size, until_nul};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::path::{LINK_BYTES_MAX, Listing, Tree};
use crate::run::MappedFile;
use crate::tree::{DirEntry, EntryKind, File, Kind, has};
use crate::volume::Volume;
use file::FileLayout;
use superblock::Superblock;
use tree::{Key, Next, Root, Trees, kinds};

/// The tree that holds a `default` entry, its directory there, and the tree of all files.
const ROOT_TREE_DIRECTORY: u64 = 6;
const TOP_LEVEL: u64 = 5;
/// A subvolume's own root directory.
const FIRST_INODE: u64 = 256;
/// An inode that no tree has: a directory without entries.
const EMPTY: u64 = 2;

/// A mounted btrfs file system.
pub(crate) struct Btrfs {
    trees: Rc<Trees>,
    /// The default subvolume.
    root: Rc<Root>,
    /// The subvolume that holds all others, if it is not the default.
    top: Option<Rc<Root>>,
    /// Checksums of data.
    sums: Option<Rc<Root>>,
    label: Vec<u8>,
    uuid: [u8; 16],
    warnings: Vec<String>,
    unpacked: Rc<RefCell<Option<file::Unpacked>>>,
}

/// A file, directory or link.
#[derive(Clone)]
pub(crate) struct Node {
    root: Rc<Root>,
    inode: u64,
    kind: EntryKind,
    size: u64,
    has_sums: bool,
    #[cfg(feature = "inspect")]
    mode: u16,
}

/// Whether a btrfs superblock is at its place.
pub(crate) fn probe(volume: &Volume) -> Result<bool, FsError> {
    has(volume, superblock::AT.saturating_add(64), superblock::MAGIC)
}

impl Btrfs {
    pub(crate) fn open(volume: Volume) -> Result<Self, FsError> {
        let superblock = Superblock::read(&volume)?;
        let mut warnings = Vec::new();
        if superblock.log_root != 0 {
            warnings.push(
                "not unmounted; files synced in its last seconds are read as they were before"
                    .to_string(),
            );
        }
        if let Some(name) = superblock.sum.unchecked() {
            warnings.push(alloc::format!("its checksums ({name}) are not checked"));
        }
        let trees = Trees::open(volume, &superblock)?;
        let root_tree = superblock.root;
        let default = default_subvolume(&trees, &root_tree)?;
        let root = Rc::new(trees.root(&root_tree, default)?);
        let top = if default == TOP_LEVEL {
            None
        } else {
            Some(Rc::new(trees.root(&root_tree, TOP_LEVEL)?))
        };
        // A file system without any data has none.
        let sums = trees.root(&root_tree, 7).ok().map(Rc::new);
        Ok(Self {
            trees: Rc::new(trees),
            root,
            top,
            sums,
            label: until_nul(&superblock.label).to_vec(),
            uuid: superblock.uuid,
            warnings,
            unpacked: Rc::default(),
        })
    }

    fn node(&self, root: &Rc<Root>, inode: u64) -> Result<Node, FsError> {
        const NO_SUMS: u64 = 1;
        let key = Key::new(inode, kinds::INODE, 0);
        let item = self.trees.get(root, key)?;
        let item = item.ok_or(FsError::corrupt("no such inode", inode))?;
        let bytes = item.bytes()?;
        let mode = bytes.le32(52)?;
        Ok(Node {
            root: Rc::clone(root),
            inode,
            kind: EntryKind::of_mode(mode),
            size: bytes.le64(16)?,
            has_sums: bytes.le64(64)? & NO_SUMS == 0,
            #[cfg(feature = "inspect")]
            mode: u16::try_from(mode).unwrap_or(0),
        })
    }

    /// The entry `name` of directory `inode` in `root`.
    fn find(&self, root: &Rc<Root>, inode: u64, name: &[u8]) -> Result<Option<Node>, FsError> {
        let Some(place) = entry(&self.trees, root, inode, name)? else {
            return Ok(None);
        };
        match place.kind {
            kinds::INODE => self.node(root, place.id).map(Some),
            kinds::ROOT => {
                // A snapshot has the entries of the subvolumes in what it is of, but not these themselves.
                let here = Key::new(root.id, kinds::ROOT_REF, place.id);
                if self.trees.get(&self.trees.root_tree, here)?.is_none() {
                    return Ok(Some(Node {
                        root: Rc::clone(root),
                        inode: EMPTY,
                        kind: EntryKind::Directory,
                        size: 0,
                        has_sums: false,
                        #[cfg(feature = "inspect")]
                        mode: 0o40755,
                    }));
                }
                let other = Rc::new(self.trees.root(&self.trees.root_tree, place.id)?);
                self.node(&other, FIRST_INODE).map(Some)
            }
            other => Err(FsError::corrupt(
                "directory entry of an unknown kind",
                u64::from(other),
            )),
        }
    }

    fn layout(&self, node: &Node) -> FileLayout {
        FileLayout::new(
            Rc::clone(&self.trees),
            node,
            self.sums.clone().filter(|_| node.has_sums),
            Rc::clone(&self.unpacked),
        )
    }
}

/// Which subvolume is mounted if none is named.
fn default_subvolume(trees: &Trees, root_tree: &Root) -> Result<u64, FsError> {
    let found = entry(trees, root_tree, ROOT_TREE_DIRECTORY, b"default")?;
    Ok(found
        .filter(|place| place.kind == kinds::ROOT)
        .map_or(TOP_LEVEL, |place| place.id))
}

/// Where the directory entry `name` of `inode` leads: an inode of the same tree, or another tree.
fn entry(trees: &Trees, root: &Root, inode: u64, name: &[u8]) -> Result<Option<Key>, FsError> {
    let hash = crc32c(!1, name);
    let key = Key::new(inode, kinds::ENTRY, u64::from(hash));
    let Some(item) = trees.get(root, key)? else {
        return Ok(None);
    };
    let mut found = None;
    // Names of the same hash share an item.
    entries(item.bytes()?, &mut |place, _, entry| {
        if entry == name && found.is_none() {
            found = Some(place);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Sees a directory's entry: where it leads, its type and its name.
type Visit<'a> = dyn FnMut(Key, u8, &[u8]) -> Result<(), FsError> + 'a;

/// Gives each entry of one item.
fn entries(bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), FsError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (data_len, name_len) = (usize::from(rest.le16(25)?), usize::from(rest.le16(27)?));
        visit(
            Key::parse(rest, 0)?,
            rest.u8(29)?,
            rest.slice(30, name_len)?,
        )?;
        let len = data_len.saturating_add(name_len).saturating_add(30);
        rest = rest.get(len..).unwrap_or_default();
    }
    Ok(())
}

impl Tree for Btrfs {
    type Node = Node;

    fn kind(&self) -> Kind {
        Kind::Btrfs
    }

    fn label(&self) -> Option<Vec<u8>> {
        (!self.label.is_empty()).then(|| self.label.clone())
    }

    fn uuid(&self) -> Option<String> {
        crate::bytes::uuid_text(&self.uuid)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn root(&self) -> Result<Node, FsError> {
        let root = self.node(&self.root, FIRST_INODE)?;
        if root.kind == EntryKind::Directory {
            Ok(root)
        } else {
            Err(FsError::corrupt("root is no directory, inode", root.inode))
        }
    }

    fn node_kind(&self, node: &Node) -> EntryKind {
        node.kind
    }

    fn lookup(&self, dir: &Node, name: &[u8]) -> Result<Option<Node>, FsError> {
        let found = self.find(&dir.root, dir.inode, name)?;
        match &self.top {
            Some(top)
                if found.is_none() && dir.inode == FIRST_INODE && dir.root.id == self.root.id =>
            {
                self.find(top, FIRST_INODE, name)
            }
            _ => Ok(found),
        }
    }

    fn read_link(&self, link: &Node) -> Result<Vec<u8>, FsError> {
        if link.size > LINK_BYTES_MAX {
            return Err(FsError::corrupt(
                "symbolic link too long, inode",
                link.inode,
            ));
        }
        let mut target = crate::bytes::buffer(link.size);
        self.file(link)?.read_at(0, &mut target)?;
        Ok(until_nul(&target).to_vec())
    }

    fn children(&self, dir: &Node) -> Result<Vec<DirEntry>, FsError> {
        let mut found = Listing::default();
        let from = Key::new(dir.inode, kinds::ENTRY_BY_NUMBER, 0);
        self.trees.walk(&dir.root, from, &mut |key, bytes| {
            if (key.id, key.kind) != (dir.inode, kinds::ENTRY_BY_NUMBER) {
                return Ok(Next::Stop);
            }
            entries(bytes, &mut |_, kind, name| {
                found.add(name, || Ok(EntryKind::of_entry(kind)))
            })?;
            Ok(Next::More)
        })?;
        Ok(found.into())
    }

    #[cfg(feature = "inspect")]
    fn mode(&self, node: &Node) -> Option<u16> {
        Some(node.mode)
    }

    fn file(&self, node: &Node) -> Result<Box<dyn File>, FsError> {
        Ok(Box::new(MappedFile(self.layout(node))))
    }
}

/// `bytes` as a number of items, each `unit` bytes long.
fn count(bytes: &[u8], unit: usize) -> u64 {
    size(bytes.len().checked_div(unit).unwrap_or(0))
}

/// The part of `bytes` from `offset` on that is not longer than `len`.
fn part(bytes: &[u8], offset: u64, len: usize) -> &[u8] {
    let rest = bytes.get(index(offset)..).unwrap_or_default();
    rest.get(..len).unwrap_or(rest)
}
