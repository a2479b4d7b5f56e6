//! Checksums: of blocks, which carry theirs in front, and of data, whose sums are in a tree.

use unpack::xxh64;

use crate::bytes::Fields;
use crate::checksum::crc32c;
use crate::error::FsError;

/// Bytes in front of a block that are kept for its sum.
const ROOM: usize = 32;

/// `csum_type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sum {
    Crc32c,
    Xxhash64,
    Sha256,
    Blake2b,
}

impl Sum {
    pub(super) fn new(number: u16) -> Result<Self, FsError> {
        Ok(match number {
            0 => Self::Crc32c,
            1 => Self::Xxhash64,
            2 => Self::Sha256,
            3 => Self::Blake2b,
            other => {
                return Err(FsError::Unsupported(
                    alloc::format!("btrfs checksums of kind {other}").into(),
                ));
            }
        })
    }

    /// The name of a kind that is not checked here: a kernel is checked by those who sign it, if at all.
    pub(super) const fn unchecked(self) -> Option<&'static str> {
        match self {
            Self::Crc32c | Self::Xxhash64 => None,
            Self::Sha256 => Some("sha256"),
            Self::Blake2b => Some("blake2b"),
        }
    }

    /// Bytes of one sum.
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Crc32c => 4,
            Self::Xxhash64 => 8,
            Self::Sha256 | Self::Blake2b => 32,
        }
    }

    /// Whether `bytes` have the sum that `stored` starts with. Fuzzers do not stop here.
    pub(super) fn matches(self, bytes: &[u8], stored: &[u8]) -> Result<bool, FsError> {
        Ok(cfg!(fuzzing)
            || match self {
                Self::Crc32c => !crc32c(!0, bytes) == stored.le32(0)?,
                Self::Xxhash64 => xxh64(bytes) == stored.le64(0)?,
                Self::Sha256 | Self::Blake2b => true,
            })
    }

    /// Whether a block or superblock has the sum that it carries.
    pub(super) fn is_right(self, block: &[u8]) -> Result<bool, FsError> {
        self.matches(block.get(ROOM..).unwrap_or_default(), block)
    }
}
