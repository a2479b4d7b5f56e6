//! Directory entries of 32 bytes: short names in 8.3, and the long names that stand before them in pieces.

use alloc::vec::Vec;

use crate::bytes::{Fields, buffer, index, size, utf8};
use crate::error::FsError;
use crate::tree::{EntryKind, File};

const RECORD: u64 = 32;
/// Bytes of a directory read at a time.
const PIECE: u64 = 4096;
/// UTF-16 units in a long name: 20 pieces of 13.
const LONG_PIECES: u8 = 20;
const LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
/// Attributes of a piece of a long name.
const LONG: u8 = 0x0f;

/// One name.
pub(super) struct Entry {
    /// The long name in UTF-8, or the short one.
    pub(super) name: Vec<u8>,
    pub(super) short_name: Vec<u8>,
    pub(super) kind: EntryKind,
    /// The volume's label, not a file.
    pub(super) is_label: bool,
    pub(super) cluster: u32,
    pub(super) size: u32,
}

/// Reads a directory from its front.
pub(super) struct Reader<'a> {
    file: &'a dyn File,
    at: u64,
    piece: Vec<u8>,
    long: LongName,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a dyn File) -> Self {
        Self {
            file,
            at: 0,
            piece: Vec::new(),
            long: LongName::default(),
        }
    }

    /// The next entry in use; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, FsError> {
        while let Some(record) = self.record()? {
            let attributes = record.u8(11)?;
            match record.u8(0)? {
                0 => return Ok(None),
                0xe5 => self.long = LongName::default(),
                _ if attributes & LONG == LONG => self.long.add(&record)?,
                _ => {
                    let long = core::mem::take(&mut self.long).finish(&record);
                    return entry(&record, long).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn record(&mut self) -> Result<Option<[u8; 32]>, FsError> {
        let within = self.at % PIECE;
        if within == 0 {
            let left = self.file.len().saturating_sub(self.at);
            self.piece = buffer(left.min(PIECE));
            self.file.read_at(self.at, &mut self.piece)?;
        }
        if within.saturating_add(RECORD) > size(self.piece.len()) {
            return Ok(None);
        }
        self.at = self.at.saturating_add(RECORD);
        self.piece.array(index(within)).map(Some)
    }
}

fn entry(record: &[u8; 32], long: Option<Vec<u8>>) -> Result<Entry, FsError> {
    let attributes = record.u8(11)?;
    let is_label = attributes & LABEL != 0;
    let short_name = if is_label {
        record.slice(0, 11)?.trim_ascii_end().to_vec()
    } else {
        short_name(record)?
    };
    let kind = if attributes & DIRECTORY == 0 {
        EntryKind::File
    } else {
        EntryKind::Directory
    };
    Ok(Entry {
        name: long
            .filter(|_| !is_label)
            .unwrap_or_else(|| short_name.clone()),
        short_name,
        kind,
        is_label,
        cluster: u32::from(record.le16(26)?) | (u32::from(record.le16(20)?) << 16),
        size: record.le32(28)?,
    })
}

/// `NAME    EXT` as `name.ext`, in the case that Windows NT's two flags ask for.
fn short_name(record: &[u8; 32]) -> Result<Vec<u8>, FsError> {
    let flags = record.u8(12)?;
    let part = |at, len, lower: u8| -> Result<Vec<u8>, FsError> {
        let part = record.slice(at, len)?;
        let end = part
            .iter()
            .rposition(|&byte| byte != b' ')
            .map_or(0, |last| last.saturating_add(1));
        let part = part.get(..end).unwrap_or_default();
        Ok(if flags & lower == 0 {
            part.to_vec()
        } else {
            part.to_ascii_lowercase()
        })
    };
    let mut name = part(0, 8, 0x08)?;
    // 0xe5 in the first place means "deleted"; a name that starts with it stores 0x05.
    if let Some(first) = name.first_mut().filter(|first| **first == 0x05) {
        *first = 0xe5;
    }
    let extension = part(8, 3, 0x10)?;
    if !extension.is_empty() {
        name.push(b'.');
        name.extend_from_slice(&extension);
    }
    Ok(name)
}

/// The pieces of a long name: they come last piece first, each with the checksum of the short name that follows.
#[derive(Default)]
struct LongName {
    /// Pieces, as they come.
    pieces: Vec<[u16; 13]>,
    /// Number of the piece expected next; 0 when complete.
    next: u8,
    checksum: u8,
}

impl LongName {
    fn add(&mut self, record: &[u8; 32]) -> Result<(), FsError> {
        let number = record.u8(0)? & 0x3f;
        let is_last = record.u8(0)? & 0x40 != 0;
        let checksum = record.u8(13)?;
        if is_last && (1..=LONG_PIECES).contains(&number) {
            *self = Self {
                pieces: Vec::new(),
                next: number,
                checksum,
            };
        } else if number == 0 || number != self.next || checksum != self.checksum {
            // A stray piece: the short name will do.
            *self = Self::default();
            return Ok(());
        }
        let mut units = [0; 13];
        for (unit, at) in units
            .iter_mut()
            .zip([1usize, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30])
        {
            *unit = record.le16(at)?;
        }
        self.pieces.push(units);
        self.next = number.saturating_sub(1);
        Ok(())
    }

    /// The name in UTF-8, if it is complete and belongs to `record`.
    fn finish(self, record: &[u8; 32]) -> Option<Vec<u8>> {
        let sum = record
            .iter()
            .take(11)
            .fold(0u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte));
        if self.pieces.is_empty() || self.next != 0 || sum != self.checksum {
            return None;
        }
        let units = self
            .pieces
            .iter()
            .rev()
            .flatten()
            .copied()
            .take_while(|&unit| unit != 0);
        let name = utf8(units);
        (!name.is_empty()).then_some(name)
    }
}
