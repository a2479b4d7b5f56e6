//! Directory records (ECMA-119 section 9.1) and the names in them.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::{DIRECTORY_MAX, Node, SECTOR};
use crate::bytes::{Fields, buffer, index, utf8};
use crate::error::FsError;
use crate::tree::EntryKind;
use crate::volume::Volume;

/// Which names a volume is read by.
#[derive(Clone, Copy)]
pub(super) enum Names {
    Plain,
    Joliet,
    RockRidge {
        /// Bytes before the system use fields of each record (`LEN_SKP`).
        skip: u8,
    },
}

/// One record.
pub(super) struct Record<'a> {
    block: u32,
    len: u32,
    /// Blocks of extended attributes before the data.
    attributes: u8,
    flags: u8,
    interleaved: bool,
    pub(super) name: &'a [u8],
    pub(super) system_use: &'a [u8],
}

impl<'a> Record<'a> {
    /// `bytes` is the record with its full length.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, FsError> {
        let name_len = usize::from(bytes.u8(32)?);
        let name = bytes.slice(33, name_len)?;
        // The fields after the name start at an even byte.
        let after = name_len.saturating_add(33).next_multiple_of(2);
        Ok(Self {
            block: bytes.le32(2)?,
            len: bytes.le32(10)?,
            attributes: bytes.u8(1)?,
            flags: bytes.u8(25)?,
            interleaved: bytes.le16(26)? != 0,
            name,
            system_use: bytes.get(after..).unwrap_or_default(),
        })
    }

    pub(super) fn is_self_or_parent(&self) -> bool {
        matches!(self.name, [0 | 1])
    }

    /// A resource fork of an old Macintosh.
    pub(super) const fn is_associated(&self) -> bool {
        self.flags & 0x04 != 0
    }

    /// Whether the next record goes on with the same file.
    pub(super) const fn continues(&self) -> bool {
        self.flags & 0x80 != 0
    }

    pub(super) fn node(&self, block_bytes: u64) -> Result<Node, FsError> {
        let start = u64::from(self.block).saturating_add(u64::from(self.attributes));
        let is_directory = self.flags & 0x02 != 0;
        if is_directory && u64::from(self.len) > DIRECTORY_MAX {
            return Err(FsError::unsupported("ISO9660 directory larger than 64 MiB"));
        }
        Ok(Node {
            kind: if is_directory {
                EntryKind::Directory
            } else {
                EntryKind::File
            },
            pieces: Rc::new([(start.saturating_mul(block_bytes), u64::from(self.len))]),
            link: Rc::new([]),
            unreadable: self.interleaved.then_some("interleaved ISO9660 file"),
            moved_to: None,
        })
    }
}

/// Gives the records of a directory, sector by sector.
pub(super) struct Reader<'a> {
    volume: &'a Volume,
    start: u64,
    len: u64,
    at: u64,
    sector: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(volume: &'a Volume, dir: &Node) -> Result<Self, FsError> {
        let &[(start, len)] = &*dir.pieces else {
            return Err(FsError::unsupported("ISO9660 directory in several pieces"));
        };
        Ok(Self {
            volume,
            start,
            len,
            at: 0,
            sector: Vec::new(),
        })
    }

    /// The bytes of the next record; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, FsError> {
        while self.at < self.len {
            let within = self.at % SECTOR;
            if within == 0 {
                self.sector = buffer(SECTOR.min(self.len.saturating_sub(self.at)));
                self.volume
                    .read_at(self.start.saturating_add(self.at), &mut self.sector)?;
            }
            let rest = self.sector.get(index(within)..).unwrap_or_default();
            match rest.first() {
                // No more records in this sector.
                None | Some(0) => self.at = self.at.saturating_add(SECTOR.saturating_sub(within)),
                Some(&len) => {
                    let record = rest.slice(0, usize::from(len))?.to_vec();
                    self.at = self.at.saturating_add(u64::from(len));
                    return Ok(Some(record));
                }
            }
        }
        Ok(None)
    }
}

/// `README.TXT;1` as `readme.txt`, as Linux shows it.
pub(super) fn plain_name(stored: &[u8]) -> Vec<u8> {
    let end = stored
        .iter()
        .position(|&byte| byte == b';')
        .unwrap_or(stored.len());
    let name = stored.get(..end).unwrap_or_default();
    name.strip_suffix(b".").unwrap_or(name).to_ascii_lowercase()
}

/// Big-endian UCS-2, also with a version at its end.
pub(super) fn joliet_name(stored: &[u8]) -> Vec<u8> {
    let units = stored.chunks_exact(2).map(|unit| unit.be16(0).unwrap_or(0));
    let mut bytes = utf8(units);
    if let Some(end) = bytes.iter().position(|&byte| byte == b';') {
        bytes.truncate(end);
    }
    bytes
}
