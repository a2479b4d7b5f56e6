//! FAT12, FAT16 and FAT32 with long names, read only.
//!
//! Source of the format: Microsoft's "FAT File System Specification" (fatgen103). [`boot`] reads the boot sector,
//! [`chain`] follows clusters, [`directory`] reads names. Names are compared without regard to ASCII case.

mod boot;
mod chain;
mod directory;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::bytes::buffer;
use crate::error::FsError;
use crate::path::{Listing, Tree};
use crate::run::{MappedFile, Pieces};
use crate::tree::{DirEntry, EntryKind, File, Kind};
use crate::volume::Volume;
use boot::Boot;
use chain::ChainFile;
use directory::Reader;

pub(crate) use boot::is_boot_sector;

struct Core {
    volume: Volume,
    boot: Boot,
}

/// A mounted FAT file system.
pub(crate) struct Fat {
    core: Rc<Core>,
}

/// A file or directory.
#[derive(Clone, Copy)]
pub(crate) struct Node {
    kind: EntryKind,
    /// First cluster; 0 for an empty file and for the root directory.
    cluster: u32,
    size: u32,
}

/// Whether a FAT boot sector is at the start.
pub(crate) fn probe(volume: &Volume) -> Result<bool, FsError> {
    if volume.len_bytes() < 512 {
        return Ok(false);
    }
    let mut first = buffer(512);
    volume.read_at(0, &mut first)?;
    Ok(is_boot_sector(&first))
}

impl Fat {
    pub(crate) fn open(volume: Volume) -> Result<Self, FsError> {
        let mut first = buffer(512);
        volume.read_at(0, &mut first)?;
        let boot = Boot::parse(&first)?;
        Ok(Self {
            core: Rc::new(Core { volume, boot }),
        })
    }

    /// Calls `visit` with each entry of `dir` until it gives something.
    fn scan<T>(
        &self,
        dir: Node,
        visit: &mut dyn FnMut(&directory::Entry) -> Result<Option<T>, FsError>,
    ) -> Result<Option<T>, FsError> {
        let boot = &self.core.boot;
        let file: Box<dyn File> = match (dir.cluster, boot.root_area) {
            (0, Some(area)) => Box::new(MappedFile(Pieces::new(self.core.volume.clone(), [area]))),
            (0, None) => Box::new(MappedFile(ChainFile::directory(
                Rc::clone(&self.core),
                boot.root_cluster,
            )?)),
            (cluster, _) => Box::new(MappedFile(ChainFile::directory(
                Rc::clone(&self.core),
                cluster,
            )?)),
        };
        let mut reader = Reader::new(file.as_ref());
        while let Some(entry) = reader.next()? {
            if let Some(found) = visit(&entry)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn root_node() -> Node {
        Node {
            kind: EntryKind::Directory,
            cluster: 0,
            size: 0,
        }
    }
}

impl Tree for Fat {
    type Node = Node;

    fn kind(&self) -> Kind {
        self.core.boot.kind
    }

    /// The root directory's label entry; the one in the boot sector is often stale.
    fn label(&self) -> Option<Vec<u8>> {
        let mut visit = |entry: &directory::Entry| Ok(entry.is_label.then(|| entry.name.clone()));
        let label = self.scan(Self::root_node(), &mut visit).ok().flatten();
        label
            .or_else(|| self.core.boot.label.clone())
            .filter(|label| !label.is_empty())
    }

    fn uuid(&self) -> Option<String> {
        let serial = self.core.boot.serial?;
        Some(alloc::format!(
            "{:04X}-{:04X}",
            serial >> 16,
            serial & 0xffff
        ))
    }

    fn root(&self) -> Result<Node, FsError> {
        Ok(Self::root_node())
    }

    fn node_kind(&self, node: &Node) -> EntryKind {
        node.kind
    }

    fn lookup(&self, dir: &Node, name: &[u8]) -> Result<Option<Node>, FsError> {
        self.scan(*dir, &mut |entry| {
            let same = !entry.is_label
                && (entry.name.eq_ignore_ascii_case(name)
                    || entry.short_name.eq_ignore_ascii_case(name));
            Ok(same.then_some(Node {
                kind: entry.kind,
                cluster: entry.cluster,
                size: entry.size,
            }))
        })
    }

    fn read_link(&self, link: &Node) -> Result<Vec<u8>, FsError> {
        Err(FsError::corrupt(
            "symbolic link on FAT, cluster",
            u64::from(link.cluster),
        ))
    }

    fn children(&self, dir: &Node) -> Result<Vec<DirEntry>, FsError> {
        let mut found = Listing::default();
        self.scan::<()>(*dir, &mut |entry| {
            if entry.is_label || matches!(entry.short_name.as_slice(), b"." | b"..") {
                return Ok(None);
            }
            found.add(&entry.name, || Ok(entry.kind))?;
            Ok(None)
        })?;
        Ok(found.into())
    }

    fn file(&self, node: &Node) -> Result<Box<dyn File>, FsError> {
        Ok(Box::new(MappedFile(ChainFile::file(
            Rc::clone(&self.core),
            node.cluster,
            node.size,
        ))))
    }
}
