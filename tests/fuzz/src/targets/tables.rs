//! Disks with partition tables, and the checksums of a GPT (UEFI 2.10, chapter 5.3).

use crc::{CRC_32_ISO_HDLC, Crc};

use crate::disk::read_changed;
use crate::image::Image;
use crate::patches::Changes;

const CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
/// Sectors of a disk with a GPT.
const SECTORS: u64 = 256;
/// Bytes of a header that its checksum covers.
const HEADER: usize = 92;
/// Entries of a table, 128 bytes each.
const ENTRIES: usize = 128;

fn put(disk: &mut [u8], at: usize, bytes: &[u8]) {
    disk[at..at + bytes.len()].copy_from_slice(bytes);
}

/// An entry of an MBR: type, first sector and number of sectors.
fn put_entry(disk: &mut [u8], at: usize, kind: u8, start: u32, count: u32) {
    disk[at + 4] = kind;
    put(disk, at + 8, &start.to_le_bytes());
    put(disk, at + 12, &count.to_le_bytes());
}

/// Two primary partitions, and five logical ones in an extended one.
pub(crate) fn mbr() -> Image {
    let mut disk = vec![0; 256 * 512];
    put_entry(&mut disk, 446, 0x83, 64, 100);
    put_entry(&mut disk, 462, 0x05, 20, 40);
    put_entry(&mut disk, 478, 0x0c, 170, 80);
    put(&mut disk, 510, &[0x55, 0xaa]);
    for number in 0..5_u32 {
        let at = (20 + number as usize * 4) * 512;
        put_entry(&mut disk, at + 446, 0x83, 1, 3);
        if number < 4 {
            put_entry(&mut disk, at + 462, 5, (number + 1) * 4, 4);
        }
        put(&mut disk, at + 510, &[0x55, 0xaa]);
    }
    Image::from_bytes(&disk)
}

/// A header in `own` whose twin is in `other`.
fn header(own: u64, other: u64, table: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    put(&mut header, 0, b"EFI PART\0\0\x01\0\x5c\0\0\0");
    for (at, value) in [
        (24, own),
        (32, other),
        (40, 34),
        (48, SECTORS - 35),
        (72, table),
    ] {
        put(&mut header, at, &value.to_le_bytes());
    }
    put(&mut header, 56, &[0xd1; 16]);
    put(&mut header, 80, &(ENTRIES as u32).to_le_bytes());
    put(&mut header, 84, &128_u32.to_le_bytes());
    header
}

/// A disk with three partitions, the table twice.
pub(crate) fn gpt(sector: usize) -> Image {
    let mut disk = vec![0; SECTORS as usize * sector];
    let linux = *b"\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4";
    let mut table = vec![0; ENTRIES * 128];
    for (number, first, last) in [(0, 40_u64, 99_u64), (1, 100, 149), (7, 150, 219)] {
        let at = number * 128;
        put(&mut table, at, &linux);
        put(&mut table, at + 16, &[number as u8 + 1; 16]);
        put(&mut table, at + 32, &first.to_le_bytes());
        put(&mut table, at + 40, &last.to_le_bytes());
        put(&mut table, at + 56, b"r\0o\0o\0t\0");
    }
    put_entry(&mut disk, 446, 0xee, 1, SECTORS as u32 - 1);
    put(&mut disk, 510, &[0x55, 0xaa]);
    let sectors = (table.len() / sector) as u64;
    let last = SECTORS - 1;
    for (own, other, at) in [(1, last, 2), (last, 1, last - sectors)] {
        put(&mut disk, own as usize * sector, &header(own, other, at));
        put(&mut disk, at as usize * sector, &table);
    }
    let mut changes = Vec::new();
    repair(&Image::from_bytes(&disk), &mut changes, sector as u64);
    for (at, bytes) in changes {
        put(&mut disk, at as usize, &bytes);
    }
    Image::from_bytes(&disk)
}

pub(crate) fn repair_512(image: &Image, changes: &mut Changes) {
    repair(image, changes, 512);
}

pub(crate) fn repair_4096(image: &Image, changes: &mut Changes) {
    repair(image, changes, 4096);
}

/// Makes both headers' checksums right, of the tables first.
fn repair(image: &Image, changes: &mut Changes, sector: u64) {
    for own in [1, SECTORS - 1] {
        let at = own * sector;
        let mut header = [0; HEADER];
        read_changed(image, changes, at, &mut header);
        let word = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&header[at..at + 4]);
            u32::from_le_bytes(bytes)
        };
        // What is absurd stays wrong.
        let bytes = u64::from(word(80)) * u64::from(word(84));
        let table = u64::from(word(72)).saturating_mul(sector);
        if bytes <= 1 << 16 && word(76) == 0 {
            let mut entries = vec![0; bytes as usize];
            read_changed(image, changes, table, &mut entries);
            put(&mut header, 88, &CRC32.checksum(&entries).to_le_bytes());
        }
        put(&mut header, 16, &[0; 4]);
        let sum = CRC32.checksum(&header);
        put(&mut header, 16, &sum.to_le_bytes());
        changes.push((at, header.to_vec()));
    }
}
