//! Writes a GUID partition table. Format: UEFI specification, chapter 5.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use super::disk::{mbr_entry, write_entries};
use crate::problem::Result;

/// "Linux filesystem data", as bytes on disk.
const LINUX: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];
const ENTRIES: u64 = 128;
const ENTRY_BYTES: u64 = 128;

/// Writes the protective MBR and both copies of the table for partitions given as (first sector, sectors).
///
/// # Errors
/// When the disk cannot be written.
pub(crate) fn write(disk: &mut File, extents: &[(u64, u64)], sector: u64) -> Result<()> {
    let sectors = disk.metadata()?.len() / sector;
    let table_sectors = (ENTRIES * ENTRY_BYTES).div_ceil(sector);
    let mut table = Vec::new();
    for (number, &(first, count)) in (1u8..).zip(extents) {
        table.extend_from_slice(&LINUX);
        table.extend_from_slice(&[number; 16]);
        table.extend_from_slice(&first.to_le_bytes());
        table.extend_from_slice(&(first + count - 1).to_le_bytes());
        table.extend_from_slice(&[0; 8 + 72]);
    }
    table.resize(usize::try_from(ENTRIES * ENTRY_BYTES).unwrap_or(0), 0);
    let usable = (2 + table_sectors, sectors - 2 - table_sectors);
    for (own, other, at) in [
        (1, sectors - 1, 2),
        (sectors - 1, 1, sectors - 1 - table_sectors),
    ] {
        disk.seek(SeekFrom::Start(at * sector))?;
        disk.write_all(&table)?;
        disk.seek(SeekFrom::Start(own * sector))?;
        disk.write_all(&header(own, other, usable, at, crc32(&table)))?;
    }
    write_entries(disk, 0, &[mbr_entry(0xee, 1, sectors - 1)])
}

fn header(own: u64, other: u64, usable: (u64, u64), table: u64, table_crc: u32) -> [u8; 92] {
    let mut h = [0; 92];
    h[..8].copy_from_slice(b"EFI PART");
    h[8..12].copy_from_slice(&0x0001_0000u32.to_le_bytes());
    h[12..16].copy_from_slice(&92u32.to_le_bytes());
    for (at, value) in [
        (24, own),
        (32, other),
        (40, usable.0),
        (48, usable.1),
        (72, table),
    ] {
        h[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    h[56..72].copy_from_slice(&[0xd1; 16]);
    for (at, value) in [(80, 128), (84, 128), (88, table_crc)] {
        h[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    let crc = crc32(&h);
    h[16..20].copy_from_slice(&crc.to_le_bytes());
    h
}

/// The CRC of gzip and GPT, bit by bit: tables here are small.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| {
            if c & 1 == 1 {
                (c >> 1) ^ 0xedb8_8320
            } else {
                c >> 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
