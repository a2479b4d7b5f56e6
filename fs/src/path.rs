//! From a path to a file, for all file systems: components, `.` and `..`, symbolic links.
//!
//! A file system implements [`Tree`], which knows single names only; [`Mounted`] adds the walk.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::FsError;
use crate::tree::{DirEntry, EntryKind, File, FileSystem, Kind, LINKS_MAX, LIST_MAX};

/// The longest target of a symbolic link that is followed, as in Linux.
pub(crate) const LINK_BYTES_MAX: u64 = 4096;
/// How many components a walk may take, those of the links included: 40 links of 4096 bytes must end in good time.
const STEPS_MAX: u32 = 8192;

/// A file system's directories, one name at a time.
pub(crate) trait Tree {
    type Node;

    fn kind(&self) -> Kind;
    fn label(&self) -> Option<Vec<u8>>;
    fn uuid(&self) -> Option<String>;
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn root(&self) -> Result<Self::Node, FsError>;
    fn node_kind(&self, node: &Self::Node) -> EntryKind;
    /// The entry `name` of directory `dir`; `name` is not empty, `.` or `..`.
    fn lookup(&self, dir: &Self::Node, name: &[u8]) -> Result<Option<Self::Node>, FsError>;
    /// The target of a symbolic link, at most [`LINK_BYTES_MAX`] long.
    fn read_link(&self, link: &Self::Node) -> Result<Vec<u8>, FsError>;
    fn children(&self, dir: &Self::Node) -> Result<Vec<DirEntry>, FsError>;
    fn file(&self, node: &Self::Node) -> Result<Box<dyn File>, FsError>;
    /// Type and permissions, where they are kept.
    #[cfg(feature = "inspect")]
    fn mode(&self, node: &Self::Node) -> Option<u16> {
        let _ = node;
        None
    }
}

/// A directory's entries as they are found, as many as may be listed.
#[derive(Default)]
pub(crate) struct Listing(Vec<DirEntry>);

impl Listing {
    /// Adds the entry `name`; `kind` is asked for if there is room for it.
    ///
    /// # Errors
    /// [`FsError::Unsupported`] for one more than [`LIST_MAX`]; what `kind` returns.
    pub(crate) fn add(
        &mut self,
        name: &[u8],
        kind: impl FnOnce() -> Result<EntryKind, FsError>,
    ) -> Result<(), FsError> {
        if self.0.len() >= LIST_MAX {
            return Err(FsError::unsupported(
                "listing a directory with more than 65536 entries",
            ));
        }
        let kind = kind()?;
        self.0.push(DirEntry {
            name: name.to_vec(),
            kind,
        });
        Ok(())
    }
}

impl From<Listing> for Vec<DirEntry> {
    fn from(listing: Listing) -> Self {
        listing.0
    }
}

/// A [`Tree`] with paths.
pub(crate) struct Mounted<T>(Rc<T>);

impl<T: Tree + 'static> Mounted<T> {
    pub(crate) fn new(tree: T) -> Self {
        Self(Rc::new(tree))
    }

    fn root(&self) -> Result<Box<dyn Place>, FsError> {
        Ok(Box::new(Node(Rc::clone(&self.0), self.0.root()?)))
    }
}

/// A place in a tree, whatever the file system: all walks share one copy of the code, as the image has little room.
trait Place {
    fn kind(&self) -> EntryKind;
    fn lookup(&self, name: &[u8]) -> Result<Option<Box<dyn Place>>, FsError>;
    fn read_link(&self) -> Result<Vec<u8>, FsError>;
    fn children(&self) -> Result<Vec<DirEntry>, FsError>;
    fn file(&self) -> Result<Box<dyn File>, FsError>;
    #[cfg(feature = "inspect")]
    fn mode(&self) -> Option<u16>;
}

/// A node and the tree that it is of.
struct Node<T: Tree>(Rc<T>, T::Node);

impl<T: Tree + 'static> Place for Node<T> {
    fn kind(&self) -> EntryKind {
        self.0.node_kind(&self.1)
    }

    fn lookup(&self, name: &[u8]) -> Result<Option<Box<dyn Place>>, FsError> {
        let found = self.0.lookup(&self.1, name)?;
        Ok(match found {
            Some(node) => Some(Box::new(Self(Rc::clone(&self.0), node))),
            None => None,
        })
    }

    fn read_link(&self) -> Result<Vec<u8>, FsError> {
        self.0.read_link(&self.1)
    }

    fn children(&self) -> Result<Vec<DirEntry>, FsError> {
        self.0.children(&self.1)
    }

    fn file(&self) -> Result<Box<dyn File>, FsError> {
        self.0.file(&self.1)
    }

    #[cfg(feature = "inspect")]
    fn mode(&self) -> Option<u16> {
        self.0.mode(&self.1)
    }
}

/// Where `path` leads from `root`, and how that place is called.
fn resolve(root: Box<dyn Place>, path: &[u8]) -> Result<(Box<dyn Place>, Vec<u8>), FsError> {
    // The way from the root: `..` is answered from here, not from the disk, where it may lie.
    let mut way: Vec<(Box<dyn Place>, Vec<u8>)> = Vec::new();
    // Components still to go, the next one last.
    let mut pending = components(path);
    let mut links: u32 = 0;
    for _ in 0..STEPS_MAX {
        let Some(name) = pending.pop() else {
            let path = spell(&way);
            return Ok((way.pop().map_or(root, |(place, _)| place), path));
        };
        let here = way.last().map_or(&root, |(place, _)| place);
        if here.kind() != EntryKind::Directory {
            return Err(FsError::NotADirectory { path: spell(&way) });
        }
        match name.as_slice() {
            b"." => continue,
            b".." => {
                way.pop();
                continue;
            }
            _ => {}
        }
        let Some(place) = here.lookup(&name)? else {
            return Err(FsError::NotFound {
                name,
                directory: spell(&way),
            });
        };
        if place.kind() == EntryKind::Symlink {
            links = links.saturating_add(1);
            if links > LINKS_MAX {
                return Err(FsError::TooManyLinks);
            }
            let target = place.read_link()?;
            if target.is_empty() {
                return Err(FsError::NotFound {
                    name,
                    directory: spell(&way),
                });
            }
            if target.starts_with(b"/") {
                way.clear();
            }
            pending.extend(components(&target));
            continue;
        }
        way.push((place, name));
    }
    Err(FsError::TooManyLinks)
}

fn open(root: Box<dyn Place>, path: &[u8]) -> Result<Box<dyn File>, FsError> {
    let (place, path) = resolve(root, path)?;
    match place.kind() {
        EntryKind::File => place.file(),
        _ => Err(FsError::NotAFile { path }),
    }
}

fn list(root: Box<dyn Place>, path: &[u8]) -> Result<Vec<DirEntry>, FsError> {
    let (place, path) = resolve(root, path)?;
    match place.kind() {
        EntryKind::Directory => {
            let mut entries = place.children()?;
            // Some disks have them; nobody can ask for one.
            entries.retain(|entry| !entry.name.is_empty());
            Ok(entries)
        }
        _ => Err(FsError::NotADirectory { path }),
    }
}

#[cfg(feature = "inspect")]
fn inspect(root: Box<dyn Place>, path: &[u8]) -> Result<crate::tree::Inspection, FsError> {
    let mut names = components(path);
    let last = (!names.is_empty()).then(|| names.remove(0));
    names.reverse();
    let (mut place, directory) = resolve(root, &names.join(&b'/'))?;
    if let Some(name) = last {
        place = place
            .lookup(&name)?
            .ok_or(FsError::NotFound { name, directory })?;
    }
    let kind = place.kind();
    Ok(crate::tree::Inspection {
        kind,
        mode: place.mode(),
        len: match kind {
            EntryKind::File => place.file()?.len(),
            _ => 0,
        },
        target: match kind {
            EntryKind::Symlink => Some(place.read_link()?),
            _ => None,
        },
    })
}

/// The components of `path`, last one first. A trailing slash leaves a `.`, which only a directory has.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = path
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    if path.ends_with(b"/") {
        parts.push(b".".to_vec());
    }
    parts.reverse();
    parts
}

fn spell(way: &[(Box<dyn Place>, Vec<u8>)]) -> Vec<u8> {
    if way.is_empty() {
        return b"/".to_vec();
    }
    way.iter()
        .flat_map(|(_, name)| core::iter::once(b'/').chain(name.iter().copied()))
        .collect()
}

impl<T: Tree + 'static> FileSystem for Mounted<T> {
    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn label(&self) -> Option<Vec<u8>> {
        self.0.label()
    }

    fn uuid(&self) -> Option<String> {
        self.0.uuid()
    }

    fn warnings(&self) -> Vec<String> {
        self.0.warnings()
    }

    fn open(&self, path: &[u8]) -> Result<Box<dyn File>, FsError> {
        open(self.root()?, path)
    }

    fn list(&self, path: &[u8]) -> Result<Vec<DirEntry>, FsError> {
        list(self.root()?, path)
    }

    #[cfg(feature = "inspect")]
    fn inspect(&self, path: &[u8]) -> Result<crate::tree::Inspection, FsError> {
        inspect(self.root()?, path)
    }
}
