//! Why a file could not be reached or read: [`FsError`], with GRUB's number for it.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use crate::device::BlockError;

/// Why a partition table, file system or file could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FsError {
    /// A directory has no entry of that name.
    NotFound {
        /// The path component that is missing.
        name: Vec<u8>,
        /// The directory that was searched, as far as the path led to it.
        directory: Vec<u8>,
    },
    /// A file was wanted; the path leads to a directory or a device node.
    NotAFile {
        /// The path as resolved.
        path: Vec<u8>,
    },
    /// A directory was wanted; the path leads to something else.
    NotADirectory {
        /// The path as resolved so far.
        path: Vec<u8>,
    },
    /// The path went through more symbolic links than [`LINKS_MAX`](crate::tree::LINKS_MAX).
    TooManyLinks,
    /// The range asked for leaves the file.
    BeyondEnd {
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Size of the file in bytes.
        size: u64,
    },
    /// The file system contradicts itself.
    Corrupt {
        /// Which structure is wrong, and how.
        what: &'static str,
        /// The number that identifies it: a block, inode, cluster or byte, or the bad value.
        at: u64,
    },
    /// The partition table contradicts itself.
    BadTable {
        /// Which structure is wrong, and how.
        what: &'static str,
        /// The number that identifies it: a sector, or the bad value.
        at: u64,
    },
    /// The disk uses something that this code cannot read; the text names it.
    Unsupported(Cow<'static, str>),
    /// What is here is known by name only; the text is the name.
    Foreign(&'static str),
    /// What is here is part of something larger; the text says of what, and how that is named.
    Member(&'static str),
    /// No known file system starts here.
    Unrecognised,
    /// A file's bytes cannot be replaced where they are; the text says why.
    NotInPlace(&'static str),
    /// The disk could not be read.
    Device(BlockError),
}

impl FsError {
    /// The number GRUB 0.97 gave to this error.
    #[must_use]
    pub const fn grub_error(&self) -> u8 {
        match self {
            Self::NotAFile { .. } | Self::NotADirectory { .. } => 2,
            Self::BadTable { .. } => 5,
            Self::NotFound { .. } => 15,
            Self::Corrupt { .. } => 16,
            Self::Unsupported(_) | Self::Foreign(_) | Self::Member(_) | Self::Unrecognised => 17,
            Self::BeyondEnd { .. } | Self::Device(BlockError::OutOfRange { .. }) => 24,
            Self::Device(_) => 25,
            Self::TooManyLinks => 26,
            Self::NotInPlace(_) => 29,
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) const fn corrupt(what: &'static str, at: u64) -> Self {
        Self::Corrupt { what, at }
    }

    #[cold]
    #[inline(never)]
    pub(crate) const fn unsupported(what: &'static str) -> Self {
        Self::Unsupported(Cow::Borrowed(what))
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name, directory } => {
                write!(
                    f,
                    "no such entry: {} in {}",
                    name.escape_ascii(),
                    directory.escape_ascii()
                )
            }
            Self::NotAFile { path } => write!(f, "not a regular file: {}", path.escape_ascii()),
            Self::NotADirectory { path } => write!(f, "not a directory: {}", path.escape_ascii()),
            Self::TooManyLinks => f.write_str("too many symbolic links"),
            Self::BeyondEnd { offset, len, size } => {
                write!(f, "bytes {offset}+{len} are beyond the file's end ({size})")
            }
            Self::Corrupt { what, at } => write!(f, "corrupt file system: {what} ({at:#x})"),
            Self::BadTable { what, at } => write!(f, "bad partition table: {what} ({at:#x})"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::Foreign(what) => write!(f, "this is {what}, which pv-grub does not read"),
            Self::Member(what) => write!(f, "this is {what}"),
            Self::Unrecognised => f.write_str("no known file system here"),
            Self::NotInPlace(why) => write!(f, "cannot be written in place: {why}"),
            Self::Device(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for FsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Device(error) => Some(error),
            _ => None,
        }
    }
}

impl From<BlockError> for FsError {
    fn from(error: BlockError) -> Self {
        Self::Device(error)
    }
}
