//! XFS, versions 4 and 5, read only.
//!
//! Source of the format: "XFS Filesystem Structure" (`xfs_filesystem_structure.pdf` of the xfs documentation project),
//! whose field names are kept; numbers are big-endian. [`Core`] is what all parts share: the [`superblock`] and the
//! [`store`], which reads metadata as it is after the log's replay ([`log`]). An [`inode`] holds a root of its [`bmap`],
//! which says where the file's blocks are; [`directory`] finds names.
//!
//! Allocation, reverse mappings, reference counts and quotas only matter to who writes.

mod bmap;
mod directory;
mod inode;
mod log;
mod store;
mod superblock;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::bytes::{Fields, buffer, size, until_nul};
use crate::checksum::crc32c;
use crate::error::FsError;
use crate::path::{LINK_BYTES_MAX, Tree};
use crate::run::MappedFile;
use crate::tree::{DirEntry, EntryKind, File, Kind, has};
use crate::volume::Volume;
use bmap::FileLayout;
use inode::{Format, Inode};
use store::{Replay, Store};
use superblock::Superblock;

/// What every part needs to read anything.
struct Core {
    superblock: Superblock,
    store: Store,
}

/// A mounted XFS file system.
pub(crate) struct Xfs {
    core: Rc<Core>,
    warnings: Vec<String>,
}

/// Whether an XFS superblock is at its place.
pub(crate) fn probe(volume: &Volume) -> Result<bool, FsError> {
    has(volume, 0, b"XFSB")
}

impl Xfs {
    /// Reads the superblock and, if the file system was not unmounted, the log.
    pub(crate) fn open(volume: Volume) -> Result<Self, FsError> {
        let mut raw = buffer(superblock::BYTES);
        volume.read_at(0, &mut raw)?;
        let superblock = Superblock::parse(&raw)?;
        superblock.check_sum(&volume)?;
        let (replay, mut warnings) = match log::read(&volume, &superblock) {
            Ok(found) => found,
            Err(FsError::Device(error)) => return Err(FsError::Device(error)),
            Err(error) => {
                let warning = alloc::format!("not unmounted, and its log cannot be read: {error}");
                (Replay::default(), alloc::vec![warning])
            }
        };
        if superblock.needs_repair() {
            warnings.push("marked as in need of xfs_repair".to_string());
        }
        let store = Store::new(volume, replay);
        // The log may hold a newer superblock: a file system that was grown just before the crash.
        let geometry = superblock.geometry();
        store.read(0, &mut raw)?;
        let superblock = Superblock::parse(&raw)?;
        if superblock.geometry() != geometry {
            return Err(FsError::corrupt(
                "the log's superblock has another shape",
                superblock.block_bytes,
            ));
        }
        Ok(Self {
            core: Rc::new(Core { superblock, store }),
            warnings,
        })
    }
}

impl Tree for Xfs {
    type Node = Inode;

    fn kind(&self) -> Kind {
        Kind::Xfs
    }

    fn label(&self) -> Option<Vec<u8>> {
        let label = until_nul(&self.core.superblock.label);
        (!label.is_empty()).then(|| label.to_vec())
    }

    fn uuid(&self) -> Option<String> {
        crate::bytes::uuid_text(&self.core.superblock.uuid)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn root(&self) -> Result<Inode, FsError> {
        let root = Inode::read(&self.core, self.core.superblock.root)?;
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
        if link.size > LINK_BYTES_MAX {
            return Err(FsError::corrupt(
                "symbolic link too long, inode",
                link.number,
            ));
        }
        if link.format == Format::Local {
            let len = crate::bytes::index(link.size);
            return Ok(link.fork.slice(0, len)?.to_vec());
        }
        remote_link(&self.core, link)
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

/// Bytes of the header that version 5 puts before each piece of a link's target.
const LINK_HEADER: usize = 56;

/// The target of a link that is too long for its inode: in blocks of its own, which the log may hold.
fn remote_link(core: &Rc<Core>, link: &Inode) -> Result<Vec<u8>, FsError> {
    let layout = FileLayout::new(Rc::clone(core), link)?;
    let block_bytes = core.superblock.block_bytes;
    let mut target = Vec::new();
    let mut block: u64 = 0;
    while size(target.len()) < link.size {
        let left = link.size.saturating_sub(size(target.len()));
        let (at, blocks) = layout.metadata(block)?;
        // A target takes an extent or two; one has a header for each extent.
        let room = blocks.saturating_mul(block_bytes).min(64 << 10);
        let mut piece = buffer(room);
        core.store.read(at, &mut piece)?;
        let text = if core.superblock.is_v5 {
            check_block(core, &piece, at, 12, b"XSLM", link.number)?;
            let len = piece.be32(8)?;
            piece.slice(LINK_HEADER, crate::bytes::index(u64::from(len)))?
        } else {
            &piece
        };
        let text = text
            .get(..crate::bytes::index(left).min(text.len()))
            .unwrap_or_default();
        if text.is_empty() {
            return Err(FsError::corrupt(
                "symbolic link cut short, inode",
                link.number,
            ));
        }
        target.extend_from_slice(text);
        block = block.saturating_add(blocks);
    }
    Ok(target)
}

/// Checks the magic and, unless the log holds newer parts of it, the checksum of a version 5 block that starts at byte
/// `at` of the volume and keeps its sum at `sum_at`.
fn check_block(
    core: &Core,
    block: &[u8],
    at: u64,
    sum_at: usize,
    magic: &[u8; 4],
    inode: u64,
) -> Result<(), FsError> {
    if block.slice(0, 4)? != magic {
        return Err(FsError::corrupt("magic of a metadata block, inode", inode));
    }
    if core.store.is_newer(at, size(block.len())) {
        return Ok(());
    }
    verify(block, sum_at, "checksum of a metadata block, inode", inode)
}

/// Checks the CRC32C that `block` keeps, little-endian, at `sum_at`. Fuzzers do not stop here.
fn verify(block: &[u8], sum_at: usize, what: &'static str, at: u64) -> Result<(), FsError> {
    let sum = crc32c(!0, block.slice(0, sum_at)?);
    let sum = crc32c(sum, &[0; 4]);
    let rest = block.get(sum_at.saturating_add(4)..).unwrap_or_default();
    if !crc32c(sum, rest) == block.le32(sum_at)? || cfg!(fuzzing) {
        Ok(())
    } else {
        Err(FsError::corrupt(what, at))
    }
}
