//! The boot sector: where the tables, the root directory and the clusters are.

use alloc::vec::Vec;

use crate::bytes::Fields;
use crate::error::FsError;
use crate::tree::Kind;

/// Sizes and places, in bytes on the volume.
pub(super) struct Boot {
    pub(super) kind: Kind,
    pub(super) cluster_bytes: u64,
    /// Clusters are numbered 2 to `clusters + 1`.
    pub(super) clusters: u32,
    pub(super) table: u64,
    /// Byte of cluster 2.
    pub(super) data: u64,
    /// Root directory of FAT12 and FAT16: (byte, length).
    pub(super) root_area: Option<(u64, u64)>,
    /// Root directory of FAT32.
    pub(super) root_cluster: u32,
    pub(super) serial: Option<u32>,
    pub(super) label: Option<Vec<u8>>,
}

/// Whether a disk's first 512 bytes are a FAT boot sector.
///
/// There is no magic number; every field with few valid values is looked at. NTFS and exFAT have zeros in some.
pub(crate) fn is_boot_sector(first: &[u8]) -> bool {
    looks_right(first).unwrap_or(false)
}

fn looks_right(first: &[u8]) -> Result<bool, FsError> {
    let jumps = matches!(first.u8(0)?, 0xe9 | 0xeb) || first.be16(510)? == 0x55aa;
    let sector = first.le16(11)?;
    let media = first.u8(21)?;
    Ok(jumps
        && matches!(sector, 512 | 1024 | 2048 | 4096)
        && first.u8(13)?.is_power_of_two()
        && first.le16(14)? != 0
        && matches!(first.u8(16)?, 1 | 2)
        && (media == 0xf0 || media >= 0xf8)
        && (first.le16(22)? != 0 || first.le32(36)? != 0)
        && (first.le16(19)? != 0 || first.le32(32)? != 0))
}

impl Boot {
    pub(super) fn parse(first: &[u8]) -> Result<Self, FsError> {
        let sector = u64::from(first.le16(11)?);
        let cluster_bytes = sector.saturating_mul(u64::from(first.u8(13)?));
        let reserved = u64::from(first.le16(14)?);
        let tables = u64::from(first.u8(16)?);
        let root_entries = u64::from(first.le16(17)?);
        let total = match first.le16(19)? {
            0 => u64::from(first.le32(32)?),
            small => u64::from(small),
        };
        let (table_sectors, wide) = match first.le16(22)? {
            0 => (u64::from(first.le32(36)?), true),
            small => (u64::from(small), false),
        };
        if sector == 0 || cluster_bytes == 0 {
            return Err(FsError::corrupt("FAT sector size", sector));
        }
        // 32-bit counts times 4096 fit easily.
        let table = reserved.saturating_mul(sector);
        let table_bytes = table_sectors.saturating_mul(sector);
        let root = table.saturating_add(tables.saturating_mul(table_bytes));
        let root_bytes = root_entries.saturating_mul(32).next_multiple_of(sector);
        let data = root.saturating_add(root_bytes);
        let space = total.saturating_mul(sector).checked_sub(data);
        let space = space.ok_or(FsError::corrupt(
            "FAT volume smaller than its tables, sectors",
            total,
        ))?;
        let clusters = space.checked_div(cluster_bytes).unwrap_or(0);

        let kind = match clusters {
            _ if wide => Kind::Fat32,
            0..4085 => Kind::Fat12,
            _ => Kind::Fat16,
        };
        // Bytes of four entries: one of FAT12 has one and a half.
        let four_entries: u64 = match kind {
            Kind::Fat12 => 6,
            Kind::Fat16 => 8,
            _ => 16,
        };
        // What the table cannot describe is not there.
        let described = table_bytes
            .saturating_mul(4)
            .checked_div(four_entries)
            .unwrap_or(0)
            .saturating_sub(2);
        let clusters = u32::try_from(clusters.min(described))
            .unwrap_or(0)
            .min(0x0fff_fff5);
        if clusters == 0 {
            return Err(FsError::corrupt(
                "FAT volume without clusters, sectors",
                total,
            ));
        }
        let extended: usize = if wide { 64 } else { 36 };
        let has_serial = matches!(first.u8(extended.saturating_add(2))?, 0x28 | 0x29);
        let label = if first.u8(extended.saturating_add(2))? == 0x29 {
            let label = first
                .slice(extended.saturating_add(7), 11)?
                .trim_ascii_end();
            (label != b"NO NAME").then(|| label.to_vec())
        } else {
            None
        };
        Ok(Self {
            kind,
            cluster_bytes,
            clusters,
            table,
            data,
            root_area: (!wide).then_some((root, root_bytes)),
            root_cluster: if wide {
                first.le32(44)? & 0x0fff_ffff
            } else {
                0
            },
            serial: if has_serial {
                Some(first.le32(extended.saturating_add(3))?)
            } else {
                None
            },
            label,
        })
    }

    /// Byte of the volume where a cluster starts.
    pub(super) fn position(&self, cluster: u32) -> Result<u64, FsError> {
        let zero_based = cluster
            .checked_sub(2)
            .filter(|&number| number < self.clusters);
        let zero_based =
            zero_based.ok_or(FsError::corrupt("cluster number", u64::from(cluster)))?;
        Ok(self
            .data
            .saturating_add(u64::from(zero_based).saturating_mul(self.cluster_bytes)))
    }
}
