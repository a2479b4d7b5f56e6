//! What is not read is named.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;
use std::rc::Rc;

use fs::{BlockDevice, FsError, ReadAhead, Volume, partitions};
use images::{MemoryDisk, Scratch, mount, run};

/// (tool, byte offset, bytes that it wrote there, what they are).
type Head = (&'static str, usize, &'static str, &'static str);

/// Taken from images that the tools of Debian 12 made.
const HEADS: &[Head] = &[
    (
        "mkswap 2.38",
        4080,
        "0000000000005357415053504143453200000000000000000000000000000000",
        "Linux swap space",
    ),
    (
        "cryptsetup 2.6 --type luks1",
        0,
        "4c554b53babe0001616573000000000000000000000000000000000000000000",
        "a LUKS 1 (encrypted) volume",
    ),
    (
        "cryptsetup 2.6 --type luks2",
        0,
        "4c554b53babe0002000000000000400000000000000000030000000000000000",
        "a LUKS 2 (encrypted) volume",
    ),
    (
        "mkfs.f2fs 1.15",
        1024,
        "1020f5f201000f0009000000030000000c000000090000000100000001000000",
        "an F2FS file system",
    ),
    (
        "mkfs.jfs 1.1.15",
        32768,
        "4a46533101000000504e090000000000001000000c0003000002000009000000",
        "a JFS file system",
    ),
    (
        "mkfs.reiserfs 3.6.27",
        65584,
        "0200010052654973457232467300000003000000020003000200000000000000",
        "a ReiserFS file system",
    ),
    (
        "mkntfs 2022.10",
        0,
        "eb52904e5446532020202000020800000000000000f800000000000000000000",
        "an NTFS file system",
    ),
    (
        "mkfs.exfat 1.2",
        0,
        "eb76904558464154202020000000000000000000000000000000000000000000",
        "an exFAT file system",
    ),
    (
        "mkfs.erofs 1.5",
        1024,
        "e2e1f5e0edd9db5f030000000c00240002000000000000003f84026b00000000",
        "an EROFS file system",
    ),
    (
        "mkfs.nilfs2 2.2.9",
        1024,
        "020000000000343418010000af4bb28a6a4ef779020000002500000000000000",
        "a NILFS2 file system",
    ),
    (
        "mkfs.minix 2.38 -3",
        1040,
        "ffffff7f002800005a4d00000004000000000000000000000000000000000000",
        "a Minix file system",
    ),
    (
        "mkfs.minix 2.38",
        1040,
        "8f13010000000000000000000000000000000000000000000000000000000000",
        "a Minix file system",
    ),
    (
        "mkfs.cramfs 2.38",
        0,
        "453dcd28001000000300000000000000436f6d7072657373656420524f4d4653",
        "a cramfs file system",
    ),
    (
        "makefs 20190105 -t ffs",
        9552,
        "0100000000000000000000005419010000000000000000000000000000000000",
        "a UFS file system",
    ),
    (
        "makefs 20190105 -t ffs -o version=2",
        9552,
        "0000000000000000000000001901541900000000000000000000000000000000",
        "a UFS2 file system",
    ),
    (
        "make-bcache 1.0.8 -B",
        4112,
        "0100000000000000c68573f64e1a45ca8265f57f48ba6d81dec069ff32f743f8",
        "a bcache device",
    ),
    (
        "mkfs.gfs2 3.5.0",
        65536,
        "01161970000000010000000000000000",
        "a GFS2 file system",
    ),
    (
        "fdisk 2.38, command b",
        512,
        "5745568206000000000000000000000000000000000000000000000000000000",
        "a BSD disk label",
    ),
    (
        "fdisk 2.38, command s",
        176,
        "000000000000000000000000600ddeee",
        "a Sun disk label",
    ),
];

/// Taken from the formats' descriptions.
const DESCRIBED: &[Head] = &[
    (
        "swsusp",
        4080,
        "000000000000533153555350454e4400",
        "Linux swap space with a suspended system",
    ),
    (
        "linux/swap.h",
        4080,
        "000000000000535741502d5350414345",
        "Linux swap space",
    ),
    (
        "ReiserFS 3.5",
        8240,
        "00000000526549734572467300000000",
        "a ReiserFS file system",
    ),
    (
        "BitLocker",
        0,
        "eb58902d4656452d46532d0002080000",
        "a BitLocker (encrypted) volume",
    ),
    (
        "ZFS vdev label",
        16384,
        "01010000000000000000000100000024000000200000000776657273696f6e00",
        "a member of a ZFS pool",
    ),
    (
        "bcachefs.h",
        4112,
        "0000000000000000c68573f666ce90a9d96a60cf803df7ef",
        "a bcachefs file system",
    ),
    (
        "UFS2 of FreeBSD",
        66896,
        "00000000000000000000000019015419",
        "a UFS2 file system",
    ),
    ("UDF", 32768, "0042454130310100", "a UDF file system"),
    (
        "struct solaris_x86_vtoc",
        512,
        "000000000000000000000000eedd0d6001000000",
        "a Solaris label with slices",
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn the_magic_of_each_is_known() {
    for (tool, at, hex, what) in HEADS.iter().chain(DESCRIBED) {
        let mut image = vec![0; 128 << 10];
        let head = bytes(hex);
        image[*at..at + head.len()].copy_from_slice(&head);
        let error = mount(image).err().unwrap();
        let expected = format!("this is {what}, which pv-grub does not read");
        assert_eq!(error.to_string(), expected, "{tool}");
        assert_eq!(error.grub_error(), 17);
    }
}

/// A BSD partition of a PC's table is one device. What is at its beginning is read; of what its label says, nothing.
#[test]
fn a_partition_with_a_bsd_label() {
    let scratch = Scratch::new();
    let path = scratch.path("image");
    run(
        "e2fsprogs",
        "mke2fs",
        &["-q", "-F", "-t", "ext2", path.to_str().unwrap(), "1M"],
    );
    let mut image = vec![0; 1 << 20];
    image[450] = 0xa5;
    image[454..462].copy_from_slice(&[0, 8, 0, 0, 0, 8, 0, 0]);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image.extend(host::read(path).unwrap());
    let label = bytes("57455682060000000000000000000000");
    image[(1 << 20) + 512..][..label.len()].copy_from_slice(&label);
    let first = |image: Vec<u8>| {
        let cache = Rc::new(ReadAhead::new(
            MemoryDisk::new(image, 512) as Rc<dyn BlockDevice>
        ));
        let table = partitions(&cache).unwrap();
        assert_eq!(table.partitions.len(), 1);
        fs::mount(&Volume::partition(cache, &table.partitions[0])).map(|files| files.kind())
    };
    assert_eq!(first(image.clone()), Ok(fs::Kind::Ext2));
    // The file system is elsewhere in it.
    image[(1 << 20) + 1024..].fill(0);
    assert_eq!(first(image), Err(FsError::Foreign("a BSD disk label")));
}

#[test]
fn a_volume_too_short_for_a_magic_is_not_read_beyond_its_end() {
    for len in [0, 512, 1024, 1536, 4096, 16384, 65536] {
        assert_eq!(mount(vec![0; len]).err(), Some(FsError::Unrecognised));
    }
}

#[test]
fn an_external_journal_is_no_file_system() {
    let scratch = Scratch::new();
    let image = scratch.path("journal");
    let path = image.to_str().unwrap();
    run(
        "e2fsprogs",
        "mke2fs",
        &["-q", "-F", "-O", "journal_dev", path, "4M"],
    );
    let error = mount(host::read(image).unwrap()).err().unwrap();
    assert_eq!(error, FsError::Foreign("an external ext journal"));
}
