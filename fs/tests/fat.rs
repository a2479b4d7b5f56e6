//! FAT images by real mkfs.fat and mtools.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;
use std::rc::Rc;

use fs::FsError;
use images::{
    Links, MemoryDisk, Sample, Scratch, XorShift, check_tree, mount, read, run, sample_tree, whole,
    write_tree,
};

/// Makes a file system of `kib` and copies the folder `root` into it.
fn make(scratch: &Scratch, kib: u32, options: &[&str]) -> Vec<u8> {
    let image = scratch.path("image");
    let _ = host::remove_file(&image);
    let image = image.to_str().unwrap();
    let size = kib.to_string();
    let mut arguments = vec!["-C", "-n", "SAMPLE", "-i", "1234ABCD"];
    arguments.extend_from_slice(options);
    arguments.extend_from_slice(&[image, &size]);
    run("dosfstools", "mkfs.fat", &arguments);
    let entries = host::read_dir(scratch.path("root"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let entries: Vec<String> = entries
        .map(|path| path.to_str().unwrap().to_string())
        .collect();
    let mut arguments = vec!["-i", image, "-s", "-Q", "-m"];
    arguments.extend(entries.iter().map(String::as_str));
    arguments.push("::");
    run("mtools", "mcopy", &arguments);
    host::read(image).unwrap()
}

fn tree() -> Vec<(String, Sample)> {
    let mut tree = sample_tree();
    tree.retain(|(_, sample)| !matches!(sample, Sample::Link(_)));
    for name in [
        "UPPER.TXT",
        "lower.txt",
        "Mixed Case Name.Txt",
        "a.b.c.d",
        "grüße-日本.cfg",
        "noext",
        "x.longext",
    ] {
        tree.push((name.into(), Sample::File(name.as_bytes().to_vec())));
    }
    let longest = "l".repeat(255);
    tree.push((longest, Sample::File(b"longest".to_vec())));
    tree
}

#[test]
fn every_kind_that_mkfs_makes() {
    let scratch = Scratch::new();
    let tree = tree();
    write_tree(&scratch.path("root"), &tree);
    let matrix: &[(&str, &str, u32, &[&str])] = &[
        ("FAT12", "fat12", 16_000, &["-F", "12", "-s", "8"]),
        (
            "FAT12, one cluster is 64 KiB",
            "fat12",
            32_000,
            &["-F", "12", "-s", "128"],
        ),
        ("FAT16", "fat16", 32_000, &["-F", "16"]),
        (
            "FAT16, 4096-byte sectors",
            "fat16",
            64_000,
            &["-F", "16", "-S", "4096", "-s", "1"],
        ),
        ("FAT32", "fat32", 64_000, &["-F", "32"]),
        (
            "FAT32, 1024-byte sectors",
            "fat32",
            80_000,
            &["-F", "32", "-S", "1024"],
        ),
        (
            "FAT32, 4096-byte sectors",
            "fat32",
            300_000,
            &["-F", "32", "-S", "4096"],
        ),
        (
            "FAT32, 512-byte clusters",
            "fat32",
            40_000,
            &["-F", "32", "-s", "1"],
        ),
    ];
    for (name, kind, kib, options) in matrix {
        let image = make(&scratch, *kib, options);
        let disk = Rc::new(fs::ReadAhead::new(
            MemoryDisk::new(image.clone(), 512) as Rc<dyn fs::BlockDevice>
        ));
        assert_eq!(
            fs::partitions(&disk).unwrap().kind,
            fs::TableKind::None,
            "{name}"
        );
        let files = mount(image).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(files.kind().to_string(), *kind, "{name}");
        check_tree(files.as_ref(), &tree, Links::Absent, name);
        assert_eq!(files.label().unwrap(), b"SAMPLE", "{name}");
        assert_eq!(files.uuid().unwrap(), "1234-ABCD", "{name}");
        for path in [
            "BOOT/GRUB/Menu.LST",
            "mixed case name.txt",
            "MIXEDC~1.TXT",
            "/upper.txt",
            "BOOT/../boot/grub/menu.lst",
        ] {
            assert!(files.open(path.as_bytes()).is_ok(), "{name}: {path}");
        }
    }
}

/// `mkfs.fat --mbr` adds an entry that spans the whole disk from its first sector.
#[test]
fn an_entry_for_the_whole_disk_is_no_partition() {
    let scratch = Scratch::new();
    let image = scratch.path("image");
    let arguments = [
        "-C",
        "--mbr=y",
        "-F",
        "32",
        image.to_str().unwrap(),
        "64000",
    ];
    run("dosfstools", "mkfs.fat", &arguments);
    let image = host::read(image).unwrap();
    assert_ne!(image[450], 0, "no entry was written");
    let disk = Rc::new(fs::ReadAhead::new(MemoryDisk::new(image.clone(), 512)));
    assert_eq!(fs::partitions(&disk).unwrap().kind, fs::TableKind::None);
    assert_eq!(mount(image).unwrap().list(b"/").unwrap(), Vec::new());
}

#[test]
fn fragments_and_contiguous_files() {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    let mut random = XorShift(9);
    let big = random.bytes(48 << 20);
    host::write(scratch.path("root/big"), &big).unwrap();
    let image = make(&scratch, 64_000, &["-F", "32", "-s", "1"]);
    let disk = MemoryDisk::new(image, 512);
    let files = fs::mount(&whole(&disk)).unwrap();
    let file = files.open(b"big").unwrap();
    let mut start = [0; 16];
    file.read_at(0, &mut start).unwrap();
    let before = disk.reads.get();
    let mut bytes = vec![0; big.len()];
    file.read_at(0, &mut bytes).unwrap();
    assert!(bytes == big);
    // One read of the file, and 384 KiB of table.
    assert!(
        disk.reads.get() - before <= 5,
        "{} reads",
        disk.reads.get() - before
    );
}

#[test]
fn broken_chains_are_errors() {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    let bytes = XorShift(3).bytes(20_000);
    host::write(scratch.path("root/file"), &bytes).unwrap();
    let image = make(&scratch, 32_000, &["-F", "16", "-s", "4"]);
    let reserved = usize::from(u16::from_le_bytes([image[14], image[15]]));
    let table = reserved * 512;
    // The file is the first thing on the volume: clusters 2 to 11, linked in order.
    assert_eq!(image[table + 4], 3);
    assert_eq!(
        read(mount(image.clone()).unwrap().as_ref(), "file").unwrap(),
        bytes
    );
    let with = |cluster: usize, value: u16| {
        let mut image = image.clone();
        image[table + 2 * cluster..][..2].copy_from_slice(&value.to_le_bytes());
        read(mount(image).unwrap().as_ref(), "file")
    };
    for (cluster, value) in [(4, 0), (4, 1), (4, 0xfff7), (4, 0xffff), (4, 0xf000)] {
        let result = with(cluster, value);
        assert!(
            matches!(result, Err(FsError::Corrupt { .. })),
            "{cluster} {value:#x}: {result:?}"
        );
    }
    // What is wrong after the file's last cluster does not matter.
    assert_eq!(with(11, 0).unwrap(), bytes);
}

#[test]
fn a_directory_in_a_loop_ends() {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root/folder")).unwrap();
    for number in 0..200 {
        host::write(
            scratch.path(&format!("root/folder/a name that is long enough {number}")),
            b"x",
        )
        .unwrap();
    }
    let image = make(&scratch, 32_000, &["-F", "16", "-s", "1"]);
    let table = usize::from(u16::from_le_bytes([image[14], image[15]])) * 512;
    let mut image = image;
    let first = u16::from_le_bytes([image[table + 4], image[table + 5]]);
    image[table + 2 * usize::from(first)..][..2].copy_from_slice(&2u16.to_le_bytes());
    let files = mount(image).unwrap();
    let _ = files.list(b"folder");
    assert!(files.open(b"folder/nothing").is_err());
}
