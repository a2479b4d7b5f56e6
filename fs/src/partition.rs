//! What partitions a disk has: [`partitions`]. MBR with logical partitions, GPT, or none.

mod gpt;
mod mbr;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::bytes::{Fields, buffer};
use crate::cache::ReadAhead;
use crate::error::FsError;

/// A partition's place on its disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// GRUB's number: MBR primary 0 to 3, logical from 4 in chain order; GPT the entry's index.
    pub number: u32,
    /// First byte on the disk.
    pub start: u64,
    /// Size in bytes; what the table claims beyond the disk's end is cut off.
    pub len: u64,
    /// What the table says it is for.
    pub kind: PartitionType,
    /// Linux's `PARTUUID`: a GUID of GPT; `SIGNATURE-NN` of MBR.
    pub uuid: String,
    /// Linux's `PARTLABEL`: the name that a GPT has for it, in UTF-8; empty if there is none.
    pub label: Vec<u8>,
}

/// What a partition is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartitionType {
    /// The type byte of an MBR entry.
    Mbr(u8),
    /// The type GUID of a GPT entry.
    Gpt(Guid),
}

/// A GUID as stored in a GPT: the first three fields are little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guid(pub [u8; 16]);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q] = self.0;
        let first = u32::from_le_bytes([a, b, c, d]);
        let (second, third) = (u16::from_le_bytes([e, g]), u16::from_le_bytes([h, i]));
        write!(
            f,
            "{first:08x}-{second:04x}-{third:04x}-{j:02x}{k:02x}-{l:02x}{m:02x}{n:02x}{o:02x}{p:02x}{q:02x}"
        )
    }
}

impl fmt::Display for PartitionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mbr(kind) => write!(f, "{kind:#04x}"),
            Self::Gpt(guid) => write!(f, "{guid}"),
        }
    }
}

/// Which kind of table was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableKind {
    /// No table: the disk may hold a file system as a whole.
    None,
    /// A PC partition table.
    Mbr,
    /// A GUID partition table.
    Gpt,
}

/// A disk's partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// Where the list is from.
    pub kind: TableKind,
    /// In order of their numbers. Extended partitions are not listed, what is in them is.
    pub partitions: Vec<Partition>,
    /// What is wrong with the table although it could be used, such as a broken primary GPT header.
    pub warnings: Vec<String>,
}

impl Table {
    /// The partition with GRUB's number `number`.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.number == number)
    }
}

/// Lists the partitions of `disk`.
///
/// A disk without a table, or with a file system whose first sector only looks like one, gives an empty
/// [`TableKind::None`].
/// # Errors
/// [`FsError::BadTable`] for a protective MBR without a sound GPT; [`FsError::Device`] if the disk cannot be read.
pub fn partitions(disk: &ReadAhead) -> Result<Table, FsError> {
    let none = Table {
        kind: TableKind::None,
        partitions: Vec::new(),
        warnings: Vec::new(),
    };
    if disk.geometry().len_bytes < 2048 {
        return Ok(none);
    }
    let mut first = buffer(2048);
    disk.read_at(0, &mut first)?;
    if first.be16(510)? != 0x55aa {
        return Ok(none);
    }
    let sector = u64::from(disk.geometry().sector_bytes);
    let Some(entries) = mbr::plausible(&first, disk.geometry().len_bytes, sector)? else {
        return Ok(none);
    };
    if entries.iter().any(|entry| entry.kind == mbr::PROTECTIVE) {
        return gpt::read(disk);
    }
    mbr::read(disk, &first, &entries)
}
