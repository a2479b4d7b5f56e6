//! PC partition tables: four entries at byte 446 of the first sector, and a chain of further sectors ("EBR") for
//! logical partitions. Sectors are the device's.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{Partition, PartitionType, Table, TableKind};
use crate::bytes::{Fields, buffer};
use crate::cache::ReadAhead;
use crate::error::FsError;

/// The type of an entry that guards a GPT.
pub(super) const PROTECTIVE: u8 = 0xee;
/// More logical partitions than Linux names.
const LOGICAL_MAX: u32 = 256;

/// One entry, in sectors.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    index: u32,
    status: u8,
    pub(super) kind: u8,
    start: u64,
    count: u64,
}

impl Entry {
    const fn is_extended(&self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }

    const fn is_used(&self) -> bool {
        self.kind != 0 && self.count != 0
    }
}

fn entries(sector: &[u8]) -> Result<[Entry; 4], FsError> {
    let one = |index: u32, at: usize| -> Result<Entry, FsError> {
        let raw: [u8; 16] = sector.array(at)?;
        Ok(Entry {
            index,
            status: raw.u8(0)?,
            kind: raw.u8(4)?,
            start: u64::from(raw.le32(8)?),
            count: u64::from(raw.le32(12)?),
        })
    };
    Ok([one(0, 446)?, one(1, 462)?, one(2, 478)?, one(3, 494)?])
}

/// The used entries of the first sector, or `None` if it is no partition table.
///
/// The first sector of a FAT or ext file system ends in the same 55AA. There, boot code or zeros stand in the
/// entries' place; and `mkfs.fat` may write an entry that spans the whole disk from sector 0, which no real table has.
/// Under such a file system the entries must be sound in every respect to be believed; a table alone may be a
/// little wrong (a disk image cut short) and still be of use.
pub(super) fn plausible(
    first: &[u8],
    disk_len: u64,
    sector: u64,
) -> Result<Option<Vec<Entry>>, FsError> {
    let all = entries(first)?;
    let used: Vec<Entry> = all.into_iter().filter(Entry::is_used).collect();
    let sectors = disk_len.checked_div(sector).unwrap_or(0);
    let strict = crate::fat::is_boot_sector(first) || first.le16(1080)? == crate::ext::MAGIC;
    let sound = all.iter().all(|entry| matches!(entry.status, 0 | 0x80))
        && used
            .iter()
            .all(|entry| entry.start > 0 && entry.start < sectors);
    let within = used
        .iter()
        .all(|entry| entry.start.saturating_add(entry.count) <= sectors);
    let apart = used.iter().enumerate().all(|(at, one)| {
        used.iter().skip(at.saturating_add(1)).all(|other| {
            one.start.saturating_add(one.count) <= other.start
                || other.start.saturating_add(other.count) <= one.start
        })
    });
    let guards = used.iter().any(|entry| entry.kind == PROTECTIVE);
    let believed = sound && (guards || !strict || (within && apart));
    Ok((believed && !used.is_empty()).then_some(used))
}

/// Lists primary and logical partitions. `first` is the disk's first sector.
pub(super) fn read(disk: &ReadAhead, first: &[u8], primary: &[Entry]) -> Result<Table, FsError> {
    let signature = first.le32(440)?;
    let mut table = Table {
        kind: TableKind::Mbr,
        partitions: Vec::new(),
        warnings: Vec::new(),
    };
    for entry in primary.iter().filter(|entry| !entry.is_extended()) {
        push(&mut table, disk, entry.index, entry.start, entry, signature);
    }
    for entry in primary.iter().filter(|entry| entry.is_extended()) {
        logical(&mut table, disk, entry, signature)?;
    }
    Ok(table)
}

/// Follows one chain. A break in it ends the list with a warning: what came before is still good.
fn logical(
    table: &mut Table,
    disk: &ReadAhead,
    extended: &Entry,
    signature: u32,
) -> Result<(), FsError> {
    let sector = u64::from(disk.geometry().sector_bytes);
    let mut seen: Vec<u64> = Vec::new();
    let mut here = extended.start;
    let mut first = buffer(512);
    loop {
        let at = here.saturating_mul(sector);
        if at.saturating_add(512) > disk.geometry().len_bytes {
            table
                .warnings
                .push("the chain of logical partitions leaves the disk".to_string());
            return Ok(());
        }
        if seen.contains(&here) {
            table
                .warnings
                .push("the chain of logical partitions is a loop".to_string());
            return Ok(());
        }
        seen.push(here);
        disk.read_at(at, &mut first)?;
        if first.be16(510)? != 0x55aa {
            table
                .warnings
                .push("the chain of logical partitions is broken".to_string());
            return Ok(());
        }
        let all = entries(&first)?;
        if let Some(entry) = all
            .iter()
            .find(|entry| entry.is_used() && !entry.is_extended())
        {
            let last = table
                .partitions
                .iter()
                .map(|partition| partition.number)
                .max()
                .unwrap_or(0);
            let number = last.saturating_add(1).max(4);
            if number > LOGICAL_MAX {
                return Ok(());
            }
            push(
                table,
                disk,
                number,
                here.saturating_add(entry.start),
                entry,
                signature,
            );
        }
        match all
            .iter()
            .find(|entry| entry.is_used() && entry.is_extended())
        {
            Some(next) => here = extended.start.saturating_add(next.start),
            None => return Ok(()),
        }
        if seen.len() > 1024 {
            return Ok(());
        }
    }
}

fn push(
    table: &mut Table,
    disk: &ReadAhead,
    number: u32,
    start: u64,
    entry: &Entry,
    signature: u32,
) {
    let sector = u64::from(disk.geometry().sector_bytes);
    let start = start.saturating_mul(sector);
    let claimed = entry.count.saturating_mul(sector);
    let len = claimed.min(disk.geometry().len_bytes.saturating_sub(start));
    if len < claimed {
        table.warnings.push(alloc::format!(
            "partition {number} reaches beyond the disk's end"
        ));
    }
    table.partitions.push(Partition {
        number,
        start,
        len,
        kind: PartitionType::Mbr(entry.kind),
        uuid: alloc::format!("{signature:08x}-{:02x}", number.saturating_add(1)),
        label: Vec::new(),
    });
}
