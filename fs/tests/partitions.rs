//! Partition tables of all kinds, sound and damaged.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::rc::Rc;

use fs::checksum::crc32;
use fs::{FsError, Partition, PartitionType, ReadAhead, Table, TableKind, partitions};
use images::MemoryDisk;

fn table(image: &[u8], sector: u32) -> Result<Table, FsError> {
    partitions(&ReadAhead::new(MemoryDisk::new(image.to_vec(), sector)))
}

/// Writes an MBR entry: (status, type, first sector, sectors).
fn entry(image: &mut [u8], at: usize, (status, kind, start, count): (u8, u8, u32, u32)) {
    image[at] = status;
    image[at + 4] = kind;
    image[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
    image[at + 12..at + 16].copy_from_slice(&count.to_le_bytes());
}

fn sign(image: &mut [u8], at: usize) {
    image[at + 510..at + 512].copy_from_slice(&[0x55, 0xaa]);
}

/// (number, start, length, type) in sectors.
fn short(table: &Table, sector: u64) -> Vec<(u32, u64, u64, u8)> {
    let one = |partition: &Partition| {
        let PartitionType::Mbr(kind) = partition.kind else {
            panic!("{partition:?}")
        };
        (
            partition.number,
            partition.start / sector,
            partition.len / sector,
            kind,
        )
    };
    table.partitions.iter().map(one).collect()
}

/// 4000 sectors: two primary, an extended partition with three logical ones.
fn mbr(sector: usize) -> Vec<u8> {
    let mut image = vec![0; 4000 * sector];
    sign(&mut image, 0);
    entry(&mut image, 446, (0x80, 0x83, 8, 92));
    entry(&mut image, 478, (0, 0x0c, 100, 100));
    entry(&mut image, 494, (0, 0x05, 1000, 3000));
    for (place, next, start, count) in [(1000, 500, 63, 100), (1500, 800, 1, 99), (1800, 0, 2, 98)]
    {
        let at = place * sector;
        sign(&mut image, at);
        entry(&mut image, at + 446, (0, 0x83, start, count));
        if next != 0 {
            entry(&mut image, at + 462, (0, 0x05, next, 300));
        }
    }
    image
}

#[test]
fn primary_and_logical() {
    for sector in [512, 2048, 4096] {
        let found = table(&mbr(sector as usize), sector).unwrap();
        assert_eq!(found.kind, TableKind::Mbr);
        let expected = [
            (0, 8, 92, 0x83),
            (2, 100, 100, 0x0c),
            (4, 1063, 100, 0x83),
            (5, 1501, 99, 0x83),
            (6, 1802, 98, 0x83),
        ];
        assert_eq!(short(&found, u64::from(sector)), expected);
        assert_eq!(found.warnings, Vec::<String>::new());
        assert_eq!(found.get(5).unwrap().start, 1501 * u64::from(sector));
        assert_eq!(found.get(1), None);
    }
}

#[test]
fn a_chain_that_goes_in_circles_or_away() {
    for (next, count) in [(0, 300), (500, 300), (4_000_000, 300), (200, 300)] {
        let mut image = mbr(512);
        entry(&mut image, 1800 * 512 + 462, (0, 0x05, next, count));
        let found = table(&image, 512).unwrap();
        assert_eq!(found.partitions.len(), 5, "{next}");
        assert_eq!(found.warnings.len(), 1, "{next}");
    }
}

#[test]
fn disks_without_a_table() {
    assert_eq!(table(&[], 512).unwrap().kind, TableKind::None);
    assert_eq!(table(&[0; 512], 512).unwrap().kind, TableKind::None);
    assert_eq!(table(&[0; 65536], 512).unwrap().kind, TableKind::None);
    // Signed, but boot code where the entries would be.
    let mut image = vec![0xcc; 65536];
    sign(&mut image, 0);
    assert_eq!(table(&image, 512).unwrap().kind, TableKind::None);
    // An ext superblock, and entries that overlap: an old table under a new file system would not.
    let mut image = mbr(512);
    image[1080..1082].copy_from_slice(&[0x53, 0xef]);
    assert_eq!(table(&image, 512).unwrap().kind, TableKind::Mbr);
    entry(&mut image, 478, (0, 0x0c, 50, 100));
    assert_eq!(table(&image, 512).unwrap().kind, TableKind::None);
    // Without it, the same table is used.
    image[1080] = 0;
    assert_eq!(table(&image, 512).unwrap().kind, TableKind::Mbr);
}

#[test]
fn a_disk_cut_short_keeps_what_is_there() {
    let mut image = mbr(512);
    entry(&mut image, 478, (0, 0x0c, 3900, 1000));
    let found = table(&image, 512).unwrap();
    assert_eq!(short(&found, 512)[1], (2, 3900, 100, 0x0c));
    assert_eq!(found.warnings.len(), 1);
}

const LINUX: [u8; 16] = *b"\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4";

/// A GPT of 1000 sectors with entries 0 and 3, header and entries at both ends.
fn gpt(sector: usize) -> Vec<u8> {
    let mut image = vec![0; 1000 * sector];
    sign(&mut image, 0);
    entry(&mut image, 446, (0, 0xee, 1, 999));
    let mut entries = vec![0; 128 * 128];
    for (number, first, last) in [(0, 100u64, 199u64), (3, 300, 899)] {
        let at = number * 128;
        entries[at..at + 16].copy_from_slice(&LINUX);
        entries[at + 16] = 7;
        entries[at + 32..at + 40].copy_from_slice(&first.to_le_bytes());
        entries[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());
    }
    let span = entries.len().div_ceil(sector);
    for (own, other, at) in [(1, 999, 2), (999, 1, 999 - span)] {
        let mut header = vec![0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..16].copy_from_slice(b"\0\0\x01\0\x5c\0\0\0");
        for (place, value) in [(24, own), (32, other), (40, 34), (48, 900), (72, at)] {
            header[place..place + 8].copy_from_slice(&(value as u64).to_le_bytes());
        }
        header[80..84].copy_from_slice(&128u32.to_le_bytes());
        header[84..88].copy_from_slice(&128u32.to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        let sum = crc32(&header);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        image[own * sector..own * sector + 92].copy_from_slice(&header);
        image[at * sector..at * sector + entries.len()].copy_from_slice(&entries);
    }
    image
}

fn check_gpt(found: &Table, sector: u64) {
    assert_eq!(found.kind, TableKind::Gpt);
    let numbers: Vec<_> = found
        .partitions
        .iter()
        .map(|p| (p.number, p.start / sector, p.len / sector))
        .collect();
    assert_eq!(numbers, [(0, 100, 100), (3, 300, 600)]);
    assert_eq!(
        found.partitions[0].kind.to_string(),
        "0fc63daf-8483-4772-8e79-3d69d8477de4"
    );
}

#[test]
fn guid_tables() {
    for (made, device) in [(512, 512), (4096, 4096), (512, 4096), (4096, 512)] {
        let found = table(&gpt(made as usize), device).unwrap();
        check_gpt(&found, made);
        assert_eq!(found.warnings, Vec::<String>::new());
    }
}

#[test]
fn a_damaged_guid_table() {
    for sector in [512, 4096] {
        let step = sector as usize;
        let good = gpt(step);
        // Every byte of the primary header and some of its entries: the backup takes over.
        for at in (step..step + 92).chain([2 * step, 2 * step + 40]) {
            let mut image = good.clone();
            image[at] ^= 0x5a;
            let found = table(&image, sector).unwrap();
            check_gpt(&found, u64::from(sector));
            assert_eq!(found.warnings.len(), 1, "byte {at}");
            // Both damaged: an error, not a guess.
            image[999 * step + 20] ^= 1;
            let result = table(&image, sector);
            assert!(
                matches!(result, Err(FsError::BadTable { .. })),
                "byte {at}: {result:?}"
            );
            assert_eq!(result.unwrap_err().grub_error(), 5);
        }
    }
}

/// Sound checksums over senseless numbers.
#[test]
fn a_guid_table_that_asks_for_too_much() {
    for (place, value) in [
        (80, u32::MAX),
        (84, u32::MAX),
        (84, 0),
        (84, 130),
        (84, 1 << 31),
        (12, 8),
        (12, 4096),
        (72, u32::MAX),
    ] {
        let mut image = gpt(512);
        for header in [512, 999 * 512] {
            image[header + place..header + place + 4].copy_from_slice(&value.to_le_bytes());
            image[header + 16..header + 20].fill(0);
            let sum = crc32(&image[header..header + 92]);
            image[header + 16..header + 20].copy_from_slice(&sum.to_le_bytes());
        }
        let result = table(&image, 512);
        assert!(
            matches!(result, Err(FsError::BadTable { .. })),
            "{place} {value:#x}: {result:?}"
        );
    }
}

/// A disk of 5 TiB that holds nothing but its table.
struct Huge(Vec<u8>);

impl fs::BlockDevice for Huge {
    fn geometry(&self) -> fs::Geometry {
        fs::Geometry {
            sector_bytes: 512,
            len_bytes: 5 << 40,
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), fs::BlockError> {
        out.fill(0);
        if let Some(from) = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.0.get(offset..))
        {
            let len = from.len().min(out.len());
            out[..len].copy_from_slice(&from[..len]);
        }
        Ok(())
    }
}

#[test]
fn beyond_two_tebibytes() {
    let mut image = gpt(512);
    let mut entries = image[1024..1024 + 128 * 128].to_vec();
    entries[128 * 3 + 32..128 * 3 + 40].copy_from_slice(&(6u64 << 30).to_le_bytes());
    entries[128 * 3 + 40..128 * 3 + 48].copy_from_slice(&((8u64 << 30) - 1).to_le_bytes());
    image[1024..1024 + 128 * 128].copy_from_slice(&entries);
    image[512 + 88..512 + 92].copy_from_slice(&crc32(&entries).to_le_bytes());
    image[512 + 16..512 + 20].fill(0);
    let sum = crc32(&image[512..512 + 92]);
    image[512 + 16..512 + 20].copy_from_slice(&sum.to_le_bytes());
    let found = partitions(&ReadAhead::new(Rc::new(Huge(image)))).unwrap();
    assert_eq!(
        (found.partitions[1].start, found.partitions[1].len),
        (3 << 40, 1 << 40)
    );
}
