//! GUID partition tables: UEFI specification 2.10, section 5.3. Both headers' checksums are verified; the backup at
//! the disk's end is used where the primary is bad.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{Guid, Partition, PartitionType, Table, TableKind};
use crate::bytes::{Fields, buffer, index, utf8};
use crate::cache::ReadAhead;
use crate::checksum::crc32;
use crate::error::FsError;

/// The most entries' bytes that are read; the usual table has 16 KiB.
const ENTRIES_BYTES_MAX: u64 = 1 << 20;

const fn bad(what: &'static str, at: u64) -> FsError {
    FsError::BadTable { what, at }
}

/// Reads the table that a protective MBR promised.
///
/// Sectors are the device's; a disk image made for the other size (512, 4096) is recognised too.
pub(super) fn read(disk: &ReadAhead) -> Result<Table, FsError> {
    let own = u64::from(disk.geometry().sector_bytes);
    let mut first = None;
    for sector in [own, 512, 4096] {
        match at_sector_size(disk, sector) {
            Err(FsError::BadTable { what, at }) => {
                first.get_or_insert(bad(what, at));
            }
            other => return other,
        }
    }
    Err(first.unwrap_or(bad("no GPT header", 1)))
}

fn at_sector_size(disk: &ReadAhead, sector: u64) -> Result<Table, FsError> {
    let last = disk
        .geometry()
        .len_bytes
        .checked_div(sector)
        .unwrap_or(0)
        .saturating_sub(1);
    let primary = match one(disk, sector, 1) {
        Err(FsError::BadTable { what, at }) => bad(what, at),
        other => return other,
    };
    let mut table = one(disk, sector, last).map_err(|error| match error {
        // The primary's fault says more than "no backup either".
        FsError::BadTable { .. } => primary.clone(),
        other => other,
    })?;
    table
        .warnings
        .push(alloc::format!("its backup was used: {primary}"));
    Ok(table)
}

/// Reads the header at sector `at` and the entries it names.
fn one(disk: &ReadAhead, sector: u64, at: u64) -> Result<Table, FsError> {
    let disk_len = disk.geometry().len_bytes;
    let header_at = at
        .checked_mul(sector)
        .filter(|start| start.saturating_add(sector) <= disk_len);
    let mut header = buffer(sector);
    disk.read_at(
        header_at.ok_or(bad("GPT header beyond the disk, sector", at))?,
        &mut header,
    )?;
    if header.slice(0, 8)? != b"EFI PART" {
        return Err(bad("no GPT header in sector", at));
    }
    let header_len = u64::from(header.le32(12)?);
    let stored = header.le32(16)?;
    if header_len < 92 || header_len > sector {
        return Err(bad("GPT header size", header_len));
    }
    header.truncate(index(header_len));
    if let Some(field) = header.get_mut(16..20) {
        field.fill(0);
    }
    if crc32(&header) != stored {
        return Err(bad("GPT header checksum, sector", at));
    }
    if header.le64(24)? != at {
        return Err(bad("GPT header is for sector", header.le64(24)?));
    }

    let entry_len = u64::from(header.le32(84)?);
    let count = u64::from(header.le32(80)?);
    if entry_len < 128 || !entry_len.is_power_of_two() || entry_len > 4096 {
        return Err(bad("GPT entry size", entry_len));
    }
    let len = count.saturating_mul(entry_len);
    if len > ENTRIES_BYTES_MAX {
        return Err(bad("GPT entry count", count));
    }
    let entries_at = header.le64(72)?.saturating_mul(sector);
    if entries_at.saturating_add(len) > disk_len {
        return Err(bad("GPT entries beyond the disk, byte", entries_at));
    }
    let mut entries = buffer(len);
    disk.read_at(entries_at, &mut entries)?;
    if crc32(&entries) != header.le32(88)? {
        return Err(bad("GPT entries' checksum, sector", header.le64(72)?));
    }
    list(&entries, index(entry_len), sector, disk_len)
}

/// A name of up to 36 units of UTF-16.
fn label(raw: &[u8]) -> Vec<u8> {
    let units = raw
        .chunks_exact(2)
        .map(|unit| unit.le16(0).unwrap_or(0))
        .take_while(|&unit| unit != 0);
    utf8(units)
}

fn list(entries: &[u8], entry_len: usize, sector: u64, disk_len: u64) -> Result<Table, FsError> {
    let mut table = Table {
        kind: TableKind::Gpt,
        partitions: Vec::new(),
        warnings: Vec::new(),
    };
    for (at, entry) in entries.chunks_exact(entry_len).enumerate() {
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        let kind: [u8; 16] = entry.array(0)?;
        let (first, last) = (entry.le64(32)?, entry.le64(40)?);
        if kind == [0; 16] {
            continue;
        }
        let start = first.saturating_mul(sector);
        let end = last.saturating_add(1).saturating_mul(sector);
        if first == 0 || last < first || start >= disk_len {
            table.warnings.push(alloc::format!(
                "GPT entry {number} makes no sense: sectors {first} to {last}"
            ));
            continue;
        }
        if end > disk_len {
            table.warnings.push(alloc::format!(
                "partition {number} reaches beyond the disk's end"
            ));
        }
        let len = end.min(disk_len).saturating_sub(start);
        table.partitions.push(Partition {
            number,
            start,
            len,
            kind: PartitionType::Gpt(Guid(kind)),
            uuid: Guid(entry.array(16)?).to_string(),
            label: label(entry.slice(56, 72)?),
        });
    }
    Ok(table)
}
