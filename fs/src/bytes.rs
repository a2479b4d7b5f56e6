//! Checked access to the fields of structures from a disk, and the two conversions that every file system needs.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::error::FsError;

/// Little- and big-endian fields at byte offsets. A field beyond the slice's end is a corrupt structure.
pub(crate) trait Fields {
    fn slice(&self, at: usize, len: usize) -> Result<&[u8], FsError>;
    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], FsError>;

    fn u8(&self, at: usize) -> Result<u8, FsError> {
        self.array::<1>(at).map(|[byte]| byte)
    }
    fn le16(&self, at: usize) -> Result<u16, FsError> {
        self.array(at).map(u16::from_le_bytes)
    }
    fn le32(&self, at: usize) -> Result<u32, FsError> {
        self.array(at).map(u32::from_le_bytes)
    }
    fn le64(&self, at: usize) -> Result<u64, FsError> {
        self.array(at).map(u64::from_le_bytes)
    }
    fn be16(&self, at: usize) -> Result<u16, FsError> {
        self.array(at).map(u16::from_be_bytes)
    }
    fn be32(&self, at: usize) -> Result<u32, FsError> {
        self.array(at).map(u32::from_be_bytes)
    }
    fn be64(&self, at: usize) -> Result<u64, FsError> {
        self.array(at).map(u64::from_be_bytes)
    }
}

impl Fields for [u8] {
    fn slice(&self, at: usize, len: usize) -> Result<&[u8], FsError> {
        at.checked_add(len)
            .and_then(|end| self.get(at..end))
            .ok_or_else(|| cut_short(at))
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], FsError> {
        self.get(at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .copied()
            .ok_or_else(|| cut_short(at))
    }
}

/// Apart, as fields are read in hundreds of places.
#[cold]
#[inline(never)]
fn cut_short(at: usize) -> FsError {
    FsError::corrupt("structure cut short at byte", size(at))
}

/// The little-endian number of `width` bytes, at most 8, at `at`; bytes beyond the slice's end are 0. For structures that a
/// checksum vouches for, where it takes less code than [`Fields`].
#[inline(never)]
pub(crate) fn number(raw: &[u8], at: usize, width: usize) -> u64 {
    let field = raw.get(at..).unwrap_or_default();
    let field = field.get(..width).unwrap_or(field);
    field
        .iter()
        .rev()
        .fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
}

/// A size in memory as a size on disk. Exact: `usize` is never wider than 64 bits here.
pub(crate) fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// A size on disk as an index in memory; a value that a 32-bit machine cannot hold becomes `usize::MAX`,
/// which no slice reaches.
pub(crate) fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// A zeroed buffer. The caller has bounded `len` to something a small guest can afford.
pub(crate) fn buffer(len: u64) -> Vec<u8> {
    vec![0; index(len)]
}

/// The bytes before the first NUL.
pub(crate) fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or(text)
}

/// UTF-16 as UTF-8; half a surrogate pair becomes U+FFFD.
pub(crate) fn utf8(units: impl Iterator<Item = u16>) -> Vec<u8> {
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect::<String>()
        .into_bytes()
}

/// A UUID with its dashes; `None` for one of zeros.
pub(crate) fn uuid_text(uuid: &[u8; 16]) -> Option<String> {
    if *uuid == [0; 16] {
        return None;
    }
    let mut text = String::new();
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&alloc::format!("{byte:02x}"));
    }
    Some(text)
}

/// Joins two halves of a 64-bit number.
pub(crate) fn join(low: u32, high: u32) -> u64 {
    u64::from(low) | (u64::from(high) << 32)
}
