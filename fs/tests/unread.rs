//! What the readers of XFS, btrfs and ext refuse or leave aside, in the words of `docs/filesystems.md`.
#![cfg(feature = "more-readers")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;

use fs::checksum::crc32c;
use images::{Sample, Scratch, mount, read, run, write_tree};

fn refused(image: Vec<u8>) -> String {
    mount(image).err().unwrap().to_string()
}

fn warnings(image: Vec<u8>) -> Vec<String> {
    mount(image).unwrap().warnings().to_vec()
}

/// A v5 image with its superblock changed, and the checksum of that right.
fn with_superblock(image: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut image = image.to_vec();
    change(&mut image);
    image[224..228].fill(0);
    let sum = !crc32c(!0, &image[..512]);
    image[224..228].copy_from_slice(&sum.to_le_bytes());
    image
}

#[test]
fn xfs_of_other_kinds() {
    let scratch = Scratch::new();
    let image = host::read(images::xfs::make(&scratch, 64, &[])).unwrap();
    let feature = |at: usize, bit: u8| with_superblock(&image, |raw| raw[at] |= bit);
    assert_eq!(warnings(feature(216, 0)), [""; 0]);
    assert_eq!(
        refused(feature(218, 2)),
        "not supported: XFS on a zoned device"
    );
    assert_eq!(
        refused(feature(216, 0x80)),
        "not supported: XFS features 0x80000000"
    );
    assert_eq!(
        warnings(feature(219, 0x10)),
        ["marked as in need of xfs_repair"]
    );
    let elsewhere = with_superblock(&image, |raw| raw[48..56].fill(0));
    assert_eq!(
        warnings(elsewhere),
        ["its log is on another device: read without it"]
    );
}

#[test]
fn xfs_4_with_old_directories_and_realtime_files() {
    let scratch = Scratch::new();
    let tree = [("menu".into(), Sample::File(b"timeout 0\n".to_vec()))];
    write_tree(&scratch.path("root"), &tree);
    let text = scratch.path("prototype");
    let prototype = images::xfs::prototype(&scratch.path("root"), &tree);
    host::write(&text, prototype).unwrap();
    let options = [
        "-m",
        "crc=0",
        "-i",
        "size=512",
        "-p",
        text.to_str().unwrap(),
    ];
    let image = host::read(images::xfs::make(&scratch, 64, &options)).unwrap();
    assert!(read(mount(image.clone()).unwrap().as_ref(), "menu").is_ok());
    let mut old = image.clone();
    old[100] &= !0x20;
    assert_eq!(refused(old), "not supported: XFS directories of version 1");
    // Bit 0 of an inode's flags, in every inode of a file.
    let mut realtime = image;
    for inode in realtime.chunks_mut(512) {
        if inode.starts_with(b"IN\x81") {
            inode[91] |= 1;
        }
    }
    let files = mount(realtime).unwrap();
    let error = read(files.as_ref(), "menu").unwrap_err().to_string();
    assert!(
        error.starts_with("not supported: XFS file on a realtime device (inode "),
        "{error}"
    );
}

#[test]
fn btrfs_of_other_kinds() {
    const SUPERBLOCK: usize = 64 << 10;
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    let image = host::read(images::btrfs::make(&scratch, 128, &[], "root")).unwrap();
    let feature = |at: usize, bit: u8| {
        let mut image = image.clone();
        image[SUPERBLOCK + at] |= bit;
        let sum = !crc32c(!0, &image[SUPERBLOCK + 32..SUPERBLOCK + 4096]);
        image[SUPERBLOCK..SUPERBLOCK + 4].copy_from_slice(&sum.to_le_bytes());
        image
    };
    assert_eq!(warnings(feature(188, 0)), [""; 0]);
    assert_eq!(
        refused(feature(189, 0x10)),
        "not supported: btrfs on a zoned device"
    );
    assert_eq!(
        refused(feature(193, 1)),
        "not supported: btrfs features 0x10000000000"
    );
}

#[test]
fn btrfs_over_several_devices() {
    let scratch = Scratch::new();
    let disks: Vec<_> = (0..3)
        .map(|number| scratch.path(&format!("disk{number}")))
        .collect();
    for (profile, first, second) in [
        (
            "raid0",
            "striped over several devices (RAID 0, 10, 5 or 6)",
            None,
        ),
        (
            "raid5",
            "striped over several devices (RAID 0, 10, 5 or 6)",
            None,
        ),
        ("single", "", Some("whose data is on another device")),
    ] {
        for disk in &disks {
            host::File::create(disk)
                .unwrap()
                .set_len(256 << 20)
                .unwrap();
        }
        let mut arguments = vec!["-q", "-f", "-m", profile, "-d", profile];
        arguments.extend(disks.iter().map(|disk| disk.to_str().unwrap()));
        run("btrfs-progs", "mkfs.btrfs", &arguments);
        let says = |disk: usize| {
            let found = mount(host::read(&disks[disk]).unwrap());
            found
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        for (disk, what) in [(0, Some(first)), (1, second)] {
            let Some(what) = what.filter(|what| !what.is_empty()) else {
                continue;
            };
            assert_eq!(
                says(disk),
                format!("not supported: btrfs {what}"),
                "{profile}"
            );
        }
    }
}

#[test]
fn an_ext_folder_that_is_too_large() {
    let scratch = Scratch::new();
    let tree = [("many".into(), Sample::Directory)];
    write_tree(&scratch.path("root"), &tree);
    let (root, image) = (scratch.path("root"), scratch.path("image"));
    let image = image.to_str().unwrap();
    let options = [
        "-q",
        "-F",
        "-t",
        "ext2",
        "-O",
        "^dir_index",
        "-d",
        root.to_str().unwrap(),
    ];
    run(
        "e2fsprogs",
        "mke2fs",
        &[&options[..], &[image, "4M"]].concat(),
    );
    let change = "set_inode_field /many size 70000640";
    run("e2fsprogs", "debugfs", &["-w", "-R", change, image]);
    let files = mount(host::read(image).unwrap()).unwrap();
    let error = files.open(b"many/file").err().unwrap().to_string();
    assert!(
        error.starts_with("not supported: directory larger than 64 MiB (inode "),
        "{error}"
    );
}
