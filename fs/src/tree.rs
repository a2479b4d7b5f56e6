//! What every file system offers: [`FileSystem`] and [`File`]; and [`mount`], which finds out which one a volume holds.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::error::FsError;
use crate::path::{Mounted, Tree};
use crate::volume::Volume;
#[cfg(feature = "more-readers")]
use crate::{btrfs, squashfs, xfs};
use crate::{ext, fat, foreign, iso, md};

/// How many symbolic links one path may go through, as in Linux.
pub const LINKS_MAX: u32 = 40;
/// How many entries [`FileSystem::list`] gives at most; a larger directory is refused.
pub const LIST_MAX: usize = 1 << 16;

/// How many stretches [`File::stretches`] gives at most.
pub const STRETCHES_MAX: usize = 1 << 12;

/// Bytes of a file that lie together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// First byte on the volume; `None` where the bytes have no place of their own: a hole, data kept in the inode, a
    /// block that is newer in the journal.
    pub start: Option<u64>,
    /// Number of bytes, not 0.
    pub len: u64,
}

/// Which file system it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// ext2: no journal, no extents.
    Ext2,
    /// ext3: a journal, no extents.
    Ext3,
    /// ext4: any feature that ext3 does not have.
    Ext4,
    /// FAT with 12-bit entries.
    Fat12,
    /// FAT with 16-bit entries.
    Fat16,
    /// FAT with 32-bit entries.
    Fat32,
    /// ISO9660, with Rock Ridge, Joliet or neither.
    Iso9660,
    /// XFS, version 4 or 5.
    Xfs,
    /// btrfs on one disk.
    Btrfs,
    /// squashfs 4.0.
    Squashfs,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Fat12 => "fat12",
            Self::Fat16 => "fat16",
            Self::Fat32 => "fat32",
            Self::Iso9660 => "iso9660",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Squashfs => "squashfs",
        })
    }
}

/// What a directory entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device node, pipe or socket, or an entry whose kind the disk does not say.
    Other,
}

impl EntryKind {
    /// The kind in the type bits of `st_mode`, which file systems for Unix keep as they are.
    pub(crate) const fn of_mode(mode: u32) -> Self {
        match mode & 0xf000 {
            0x8000 => Self::File,
            0x4000 => Self::Directory,
            0xa000 => Self::Symlink,
            _ => Self::Other,
        }
    }

    /// The kind in the type byte that ext, XFS and btrfs keep beside a name; 0 says that it is not kept there.
    pub(crate) const fn of_entry(byte: u8) -> Self {
        match byte {
            1 => Self::File,
            2 => Self::Directory,
            7 => Self::Symlink,
            _ => Self::Other,
        }
    }
}

/// One name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    /// The name as stored; on FAT and Joliet turned from UTF-16 into UTF-8.
    pub name: Vec<u8>,
    /// What it names; a symbolic link is not followed.
    pub kind: EntryKind,
}

/// All that a directory's entry says of itself, for tests to compare.
#[cfg(feature = "inspect")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// What it is; a symbolic link is not followed.
    pub kind: EntryKind,
    /// `st_mode`: type and permissions, where the file system keeps them.
    pub mode: Option<u16>,
    /// Size in bytes of a file; 0 for others.
    pub len: u64,
    /// Where a symbolic link leads.
    pub target: Option<Vec<u8>>,
}

/// A mounted file system. Keeps its own hold on the disk, so it can be stored away.
///
/// Paths are bytes, parted by `/`; a leading `/` may be left out; `.`, `..` and doubled slashes have their usual
/// meaning, and `..` of the root is the root. Symbolic links are followed, absolute ones from this file system's root.
pub trait FileSystem {
    /// Which file system it is.
    fn kind(&self) -> Kind;

    /// The volume's label, if it has one.
    fn label(&self) -> Option<Vec<u8>>;

    /// The volume's UUID as `blkid` writes it: `01234567-89ab-…` for ext, `0123-ABCD` for FAT, a date for ISO9660.
    fn uuid(&self) -> Option<String>;

    /// What the user should know about how it was mounted, such as a journal that was left aside.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Opens the regular file at `path`.
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::NotAFile`], [`FsError::NotADirectory`] or [`FsError::TooManyLinks`] for the
    /// path; the others for the disk.
    fn open(&self, path: &[u8]) -> Result<Box<dyn File>, FsError>;

    /// Lists the directory at `path`, in the disk's order, without `.` and `..`.
    /// # Errors
    /// As [`FileSystem::open`]; [`FsError::Unsupported`] for a directory with more than [`LIST_MAX`] entries.
    fn list(&self, path: &[u8]) -> Result<Vec<DirEntry>, FsError>;

    /// What `path` is; a last component that is a symbolic link is not followed.
    /// # Errors
    /// As [`FileSystem::open`].
    #[cfg(feature = "inspect")]
    fn inspect(&self, path: &[u8]) -> Result<Inspection, FsError>;
}

/// An open file. Keeps its own hold on the file system.
///
/// [`File::overwrite`] is the only thing in this room that writes.
pub trait File {
    /// Size in bytes.
    fn len(&self) -> u64;

    /// Whether the file holds nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with the bytes at `offset`. Bytes that lie together on the disk are one read of the device,
    /// straight into `out`: ask for much at once.
    /// # Errors
    /// [`FsError::BeyondEnd`] before any I/O if the range leaves the file; others as the disk has it. The contents of
    /// `out` are then unspecified.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), FsError>;

    /// Says that these bytes will be read soon, so that the device may start on them.
    fn prefetch(&self, offset: u64, len: u64);

    /// Where the file's bytes are, in their order, neighbours joined.
    /// # Errors
    /// As the disk has it; [`FsError::Unsupported`] for more than [`STRETCHES_MAX`] of them, and for files that are on no
    /// disk, the default.
    fn stretches(&self) -> Result<Vec<Stretch>, FsError> {
        Err(FsError::unsupported("blocks of a file that is on no disk"))
    }

    /// Replaces the bytes at `offset` where they are on the disk, and has read them back when it returns. Nothing
    /// else of the file system changes, not even the file's date.
    /// # Errors
    /// [`FsError::BeyondEnd`] and [`FsError::NotInPlace`] before anything is written: where the bytes are not simply on
    /// the disk, or changing them would contradict a journal or a checksum. [`FsError::Device`] for what the disk says;
    /// the bytes are then the old ones, the new ones or both in part.
    fn overwrite(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        let _ = (offset, bytes);
        Err(FsError::NotInPlace("the file is on no disk"))
    }
}

/// Finds out which file system `volume` holds and opens it.
/// # Errors
/// [`FsError::Unrecognised`] if nothing known is there, [`FsError::Foreign`] and [`FsError::Member`] for what is known by
/// name only, [`FsError::Corrupt`] or [`FsError::Device`] for a known one that cannot be opened.
pub fn mount(volume: &Volume) -> Result<Box<dyn FileSystem>, FsError> {
    md::begins_here(volume)?;
    if ext::probe(volume)? {
        return mounted(ext::Ext::open(volume.clone()));
    }
    if iso::probe(volume)? {
        return mounted(iso::Iso::open(volume.clone()));
    }
    #[cfg(feature = "more-readers")]
    {
        if xfs::probe(volume)? {
            return mounted(xfs::Xfs::open(volume.clone()));
        }
        if btrfs::probe(volume)? {
            return mounted(btrfs::Btrfs::open(volume.clone()));
        }
        if squashfs::probe(volume)? {
            return mounted(squashfs::Squash::open(volume.clone()));
        }
    }
    // Before FAT: a volume's first sector may keep an old FAT header under another file system.
    if let Some(what) = foreign::identify(volume)? {
        return Err(what);
    }
    if fat::probe(volume)? {
        return mounted(fat::Fat::open(volume.clone()));
    }
    md::is_part(volume)?;
    Err(FsError::Unrecognised)
}

fn mounted<T: Tree + 'static>(tree: Result<T, FsError>) -> Result<Box<dyn FileSystem>, FsError> {
    Ok(Box::new(Mounted::new(tree?)))
}

/// Whether `volume` has the bytes `magic` at `at`; it has not if it is too short.
pub(crate) fn has(volume: &Volume, at: u64, magic: &[u8]) -> Result<bool, FsError> {
    let mut found = [0; 16];
    let Some(found) = found.get_mut(..magic.len()) else {
        return Ok(false);
    };
    if at.saturating_add(crate::bytes::size(magic.len())) > volume.len_bytes() {
        return Ok(false);
    }
    volume.read_at(at, found)?;
    Ok(found == magic)
}
