//! Inodes: of 14 types, of which a file, a directory and a link come in a basic and an extended form.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::metadata::{Place, Reader};
use super::{Core, entries};
use crate::bytes::{Fields, buffer};
use crate::error::FsError;
use crate::path::LINK_BYTES_MAX;
use crate::tree::EntryKind;

/// The most blocks of one file whose lengths are kept: 16 GiB in blocks of 128 KiB, in 2 MiB of memory.
const BLOCKS_MAX: u64 = 1 << 17;
/// No fragment.
const NONE: u32 = u32::MAX;

/// Where a file's bytes are.
#[derive(Clone)]
pub(super) struct FileContent {
    pub(super) size: u64,
    /// Byte of the volume where the first block is.
    pub(super) start: u64,
    /// Fragment with the file's end: its number, and where in it, unpacked, that begins.
    pub(super) fragment: Option<(u32, u32)>,
    /// Where the blocks' lengths are listed.
    list: (Place, u64),
}

/// What an inode holds.
#[derive(Clone)]
pub(super) enum Content {
    File(FileContent),
    /// Where the entries begin, and the length that the inode gives for them.
    Directory {
        place: Place,
        len: u32,
    },
    Link(Rc<[u8]>),
    Other,
}

/// A file, directory or link.
#[derive(Clone)]
pub(crate) struct Inode {
    pub(super) kind: EntryKind,
    pub(super) content: Content,
    #[cfg(feature = "inspect")]
    pub(super) mode: u16,
}

/// What an inode of type `number`, basic or extended, is.
pub(super) const fn kind(number: u16) -> EntryKind {
    match number {
        1 | 8 => EntryKind::Directory,
        2 | 9 => EntryKind::File,
        3 | 10 => EntryKind::Symlink,
        _ => EntryKind::Other,
    }
}

impl Inode {
    pub(super) fn read(core: &Core, place: Place) -> Result<Self, FsError> {
        let mut reader = Reader::new(&core.store, core.inodes, place);
        let header: [u8; 16] = reader.array()?;
        let number = header.le16(0)?;
        #[cfg(feature = "inspect")]
        let mode = {
            let kinds = [0, 0x4000, 0x8000, 0xa000, 0x6000, 0x2000, 0x1000, 0xc000];
            // An extended inode's number is seven more.
            let of_kind = if number > 7 {
                number.wrapping_sub(7)
            } else {
                number
            };
            header.le16(2)? | kinds.get(usize::from(of_kind)).copied().unwrap_or(0)
        };
        let content = match number {
            1 => {
                let raw: [u8; 16] = reader.array()?;
                Content::Directory {
                    place: Place {
                        block: u64::from(raw.le32(0)?),
                        within: u32::from(raw.le16(10)?),
                    },
                    len: u32::from(raw.le16(8)?),
                }
            }
            8 => {
                let raw: [u8; 24] = reader.array()?;
                Content::Directory {
                    place: Place {
                        block: u64::from(raw.le32(8)?),
                        within: u32::from(raw.le16(18)?),
                    },
                    len: raw.le32(4)?,
                }
            }
            2 => {
                let raw: [u8; 16] = reader.array()?;
                Content::File(FileContent {
                    size: u64::from(raw.le32(12)?),
                    start: u64::from(raw.le32(0)?),
                    fragment: fragment(raw.le32(4)?, raw.le32(8)?),
                    list: (place, 32),
                })
            }
            9 => {
                let raw: [u8; 40] = reader.array()?;
                Content::File(FileContent {
                    size: raw.le64(8)?,
                    start: raw.le64(0)?,
                    fragment: fragment(raw.le32(28)?, raw.le32(32)?),
                    list: (place, 56),
                })
            }
            3 | 10 => {
                let raw: [u8; 8] = reader.array()?;
                let len = u64::from(raw.le32(4)?);
                if len > LINK_BYTES_MAX {
                    return Err(FsError::corrupt("symbolic link too long, bytes", len));
                }
                let mut target = buffer(len);
                reader.read(&mut target)?;
                Content::Link(target.into())
            }
            _ => Content::Other,
        };
        Ok(Self {
            kind: kind(number),
            content,
            #[cfg(feature = "inspect")]
            mode,
        })
    }
}

impl FileContent {
    /// The stored lengths of the file's blocks, as they are.
    pub(super) fn lengths(&self, core: &Core) -> Result<Vec<u32>, FsError> {
        let whole = entries(self.size, core.block_bytes);
        let has_rest = !self.size.is_multiple_of(core.block_bytes);
        let count = whole.saturating_add(usize::from(has_rest && self.fragment.is_none()));
        if crate::bytes::size(count) > BLOCKS_MAX {
            return Err(FsError::unsupported(
                "squashfs file of more than 131072 blocks",
            ));
        }
        let (place, skip) = self.list;
        let mut reader = Reader::new(&core.store, core.inodes, place);
        reader.read(&mut buffer(skip))?;
        let mut lengths = Vec::new();
        for _ in 0..count {
            lengths.push(u32::from_le_bytes(reader.array()?));
        }
        Ok(lengths)
    }
}

fn fragment(number: u32, offset: u32) -> Option<(u32, u32)> {
    (number != NONE).then_some((number, offset))
}
