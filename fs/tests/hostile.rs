//! Images changed at random: whatever a disk holds, every call ends, in a bounded number of reads, without a panic.
//!
//! The changes are the same in every run. A crash names the image, the round and the changes.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;
use std::rc::Rc;

use fs::{BlockDevice, EntryKind, FileSystem, ReadAhead, Volume, partitions};
use images::{MemoryDisk, Sample, Scratch, XorShift, run, write_tree};

/// Device reads that everything done to one image may take. The honest images need fewer than 100.
const READS_MAX: u64 = 20_000;

/// Walks the tree three levels deep and reads the start and end of every file.
fn walk(files: &dyn FileSystem, path: &str, depth: u32) {
    let Ok(entries) = files.list(path.as_bytes()) else {
        return;
    };
    for entry in entries.iter().take(12) {
        let name = format!("{path}/{}", String::from_utf8_lossy(&entry.name));
        if entry.kind == EntryKind::Directory && depth > 0 {
            walk(files, &name, depth - 1);
        } else if let Ok(file) = files.open(name.as_bytes()) {
            let mut bytes = vec![0; usize::try_from(file.len().min(20_000)).unwrap()];
            let _ = file.read_at(0, &mut bytes);
            let _ = file.read_at(file.len() - bytes.len() as u64, &mut bytes);
            file.prefetch(0, u64::MAX);
        }
    }
}

fn everything(disk: &Rc<MemoryDisk>) {
    let cache = Rc::new(ReadAhead::new(Rc::clone(disk) as Rc<dyn BlockDevice>));
    let mut volumes = vec![Volume::whole(Rc::clone(&cache))];
    if let Ok(table) = partitions(&cache) {
        volumes.extend(
            table
                .partitions
                .iter()
                .take(8)
                .map(|one| Volume::partition(Rc::clone(&cache), one)),
        );
    }
    for volume in volumes {
        if let Ok(files) = fs::mount(&volume) {
            let _ = (files.label(), files.uuid(), files.warnings().len());
            walk(files.as_ref(), "", 3);
            for path in [
                "boot/menu.lst",
                "link",
                "loop",
                "boot/a rather long name.txt",
            ] {
                let _ = files.open(path.as_bytes());
            }
        }
    }
}

/// Changes an image `rounds` times over and does everything with it.
fn torment(name: &str, image: Vec<u8>, sector: u32, rounds: u64) {
    // Bytes that mean something: not zeros, not the long stretches of equal bytes in bitmaps and files.
    let places: Vec<usize> = (0..image.len())
        .filter(|&at| image[at] != 0)
        .filter(|&at| {
            image[at.saturating_sub(8)..(at + 8).min(image.len())]
                .iter()
                .any(|&byte| byte != image[at])
        })
        .collect();
    let disk = MemoryDisk::new(image.clone(), sector);
    everything(&disk);
    assert!(
        disk.reads.get() < 100,
        "{name}: {} reads of the sound image",
        disk.reads.get()
    );
    disk.budget.set(READS_MAX);
    let mut random = XorShift(0x9e37_79b9_7f4a_7c15);
    for round in 0..rounds {
        let mut changed = Vec::new();
        for _ in 0..=random.below(6) {
            let at = (places[random.below(places.len())] + random.below(5))
                .saturating_sub(2)
                .min(image.len() - 4);
            let bytes: Vec<u8> = match random.below(6) {
                0 => vec![random.next() as u8],
                1 => vec![image[at] ^ (1 << random.below(8))],
                2 => vec![0xff],
                3 => vec![0; 2],
                4 => vec![0xff; 4],
                _ => image[places[random.below(places.len())].min(image.len() - 4)..][..4].to_vec(),
            };
            disk.change(at, &bytes);
            changed.push((at, bytes));
        }
        disk.reads.set(0);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| everything(&disk)));
        assert!(
            outcome.is_ok(),
            "{name}: round {round} panics: {changed:x?}"
        );
        assert!(
            disk.reads.get() < READS_MAX,
            "{name}: round {round} reads without end: {changed:x?}"
        );
        for (at, bytes) in changed {
            disk.change(at, &image[at..at + bytes.len()]);
        }
        disk.hints.borrow_mut().clear();
    }
}

fn tree() -> Vec<(String, Sample)> {
    vec![
        ("boot".into(), Sample::Directory),
        (
            "boot/menu.lst".into(),
            Sample::File(b"title x\nroot (hd0,0)\n".to_vec()),
        ),
        (
            "boot/a rather long name.txt".into(),
            Sample::File(vec![0; 3000]),
        ),
        (
            "boot/large".into(),
            Sample::File((0..300_000).map(|at| u8::from(at % 9000 == 0)).collect()),
        ),
        ("boot/deeper".into(), Sample::Directory),
        ("boot/deeper/file".into(), Sample::File(b"deep".to_vec())),
    ]
}

fn tree_with_links() -> Vec<(String, Sample)> {
    let mut tree = tree();
    tree.push(("link".into(), Sample::Link("boot/menu.lst")));
    tree.push(("loop".into(), Sample::Link("./loop")));
    tree.push(("long".into(), Sample::Link(images::LONG_TARGET)));
    tree
}

fn ext(scratch: &Scratch, options: &[&str]) -> Vec<u8> {
    let (root, image) = (scratch.path("root"), scratch.path("image"));
    if !root.exists() {
        write_tree(&root, &tree_with_links());
    }
    let _ = host::remove_file(&image);
    let mut arguments = vec!["-q", "-F", "-b", "1024", "-d", root.to_str().unwrap()];
    arguments.extend_from_slice(options);
    arguments.extend_from_slice(&[image.to_str().unwrap(), "2M"]);
    run("e2fsprogs", "mke2fs", &arguments);
    host::read(image).unwrap()
}

#[test]
fn ext2_and_ext4() {
    let scratch = Scratch::new();
    let matrix: &[(&str, &[&str])] = &[
        ("ext2", &["-t", "ext2"]),
        ("ext4", &["-t", "ext4", "-O", "^has_journal,^metadata_csum"]),
        (
            "ext4 inline_data",
            &[
                "-t",
                "ext4",
                "-O",
                "^has_journal,^metadata_csum,inline_data",
            ],
        ),
        ("ext4 with checksums", &["-t", "ext4", "-O", "^has_journal"]),
    ];
    for (name, options) in matrix {
        torment(name, ext(&scratch, options), 512, 1500);
    }
}

#[test]
fn journals() {
    let scratch = Scratch::new();
    for (name, options, open) in [
        ("ext3", &["-t", "ext3"][..], "jo"),
        (
            "ext4 v3",
            &["-t", "ext4", "-O", "^metadata_csum"],
            "jo -c -v 3",
        ),
    ] {
        let before = ext(&scratch, options);
        // Every block that is not empty, but for the journal's own, once more.
        let blocks = before
            .chunks(1024)
            .enumerate()
            .filter(|(_, block)| block.iter().any(|&byte| byte != 0))
            .take(60);
        let (list, bytes): (Vec<_>, Vec<_>) = blocks
            .map(|(number, block)| (number.to_string(), block))
            .unzip();
        let (changes, script) = (scratch.path("changes"), scratch.path("script"));
        host::write(&changes, bytes.concat()).unwrap();
        let commands = format!(
            "{open}\njw -b {} {}\njw -r {}\njc\n",
            list.join(","),
            changes.display(),
            list[5]
        );
        host::write(&script, commands).unwrap();
        let image = scratch.path("image");
        run(
            "e2fsprogs",
            "debugfs",
            &[
                "-w",
                "-f",
                script.to_str().unwrap(),
                image.to_str().unwrap(),
            ],
        );
        torment(name, host::read(image).unwrap(), 512, 1000);
    }
}

#[test]
fn fat() {
    let scratch = Scratch::new();
    write_tree(&scratch.path("root"), &tree());
    for (bits, kib) in [("12", "2000"), ("16", "4200"), ("32", "34000")] {
        let image = scratch.path("image");
        let _ = host::remove_file(&image);
        let image = image.to_str().unwrap();
        run(
            "dosfstools",
            "mkfs.fat",
            &["-C", "-F", bits, "-s", "1", "-n", "LABEL", image, kib],
        );
        run(
            "mtools",
            "mcopy",
            &[
                "-i",
                image,
                "-s",
                "-Q",
                scratch.path("root/boot").to_str().unwrap(),
                "::",
            ],
        );
        torment(&format!("FAT{bits}"), host::read(image).unwrap(), 512, 1500);
    }
}

#[test]
fn iso() {
    let scratch = Scratch::new();
    write_tree(&scratch.path("root"), &tree_with_links());
    for options in [&["-R"][..], &["--norock", "-J"]] {
        let (root, image) = (scratch.path("root"), scratch.path("image"));
        let _ = host::remove_file(&image);
        let mut arguments = vec!["-as", "mkisofs", "-quiet"];
        arguments.extend_from_slice(options);
        arguments.extend_from_slice(&["-o", image.to_str().unwrap(), root.to_str().unwrap()]);
        run("xorriso", "xorriso", &arguments);
        torment(
            &format!("ISO9660 {options:?}"),
            host::read(image).unwrap(),
            2048,
            2000,
        );
    }
}

/// Version 4 has no checksums that would catch the changes; version 5 has them, but not in a record that has none.
#[test]
fn xfs() {
    let scratch = Scratch::new();
    write_tree(&scratch.path("root"), &tree_with_links());
    let text = images::xfs::prototype(&scratch.path("root"), &tree_with_links());
    let prototype = scratch.path("prototype");
    host::write(&prototype, text).unwrap();
    let from = ["-p", prototype.to_str().unwrap()];
    for (name, options) in [
        ("XFS 4", &["-m", "crc=0"][..]),
        ("XFS 4, small blocks", &["-m", "crc=0", "-b", "size=512"]),
        ("XFS 5", &["-b", "size=1024"]),
    ] {
        let image = images::xfs::make(&scratch, 32, &[options, &from].concat());
        torment(name, host::read(image).unwrap(), 512, 1500);
    }
    if images::kernel::knows("xfs") {
        let image = images::xfs::make(&scratch, 32, &[]);
        {
            let at = scratch.path("mounted");
            let mounted = images::kernel::Mount::new("xfs", &image, &at, ",nouuid");
            write_tree(&mounted.path.join("tree"), &tree_with_links());
            images::xfs::crash(&mounted.path, "shutdown -f");
        }
        torment("XFS 5, its log full", host::read(image).unwrap(), 512, 1500);
    }
}

/// Every block has a checksum, so that a change shows: what comes behind is for the fuzzers, which leave sums out.
#[test]
fn btrfs() {
    let scratch = Scratch::new();
    write_tree(&scratch.path("root"), &tree_with_links());
    let image = images::btrfs::make(&scratch, 128, &[], "root");
    torment("btrfs", host::read(image).unwrap(), 512, 1500);
    if images::kernel::knows("btrfs") {
        for packing in ["zlib", "lzo", "zstd"] {
            host::create_dir_all(scratch.path("empty")).unwrap();
            let image = images::btrfs::make(&scratch, 128, &[], "empty");
            {
                let (at, options) = (scratch.path("mounted"), format!(",compress={packing}"));
                let mounted = images::kernel::Mount::new("btrfs", &image, &at, &options);
                write_tree(&mounted.path.join("tree"), &tree_with_links());
            }
            torment(packing, host::read(image).unwrap(), 512, 1500);
        }
    }
}

#[test]
fn squashfs() {
    let scratch = Scratch::new();
    write_tree(&scratch.path("root"), &tree_with_links());
    for packing in ["gzip", "lzma", "lzo", "xz", "lz4", "zstd"] {
        let image = images::squashfs::make(&scratch, &["-comp", packing]);
        torment(packing, host::read(image).unwrap(), 512, 1500);
    }
    let image = images::squashfs::make(&scratch, &["-noI", "-noD", "-noF"]);
    torment("squashfs, plain", host::read(image).unwrap(), 512, 3000);
}

/// Tables of partitions, with an ext2 file system in the first one.
#[test]
fn partition_tables() {
    let scratch = Scratch::new();
    let files = ext(&scratch, &["-t", "ext2"]);
    let mut image = vec![0; 512 * 64];
    image.extend_from_slice(&files);
    image.resize(image.len() + 512 * 64, 0);
    let mut chain = image.clone();
    for (at, kind, start, count) in [(446, 0x83u8, 64u32, 4096u32), (462, 5, 20, 4000)] {
        chain[at + 4] = kind;
        chain[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        chain[at + 12..at + 16].copy_from_slice(&count.to_le_bytes());
    }
    for sector in [20, 21, 22, 23] {
        let at = sector * 512;
        for (at, kind, start, count) in [
            (at + 446, 0x83u8, 2u32, 30u32),
            (at + 462, 5, sector as u32 - 19, 40),
        ] {
            chain[at + 4] = kind;
            chain[at + 8] = start as u8;
            chain[at + 12] = count as u8;
        }
        chain[at + 510..at + 512].copy_from_slice(&[0x55, 0xaa]);
    }
    chain[510..512].copy_from_slice(&[0x55, 0xaa]);
    // Only the tables are changed: the file systems have tests of their own.
    let tables = chain[..64 * 512].to_vec();
    torment("MBR", tables, 512, 3000);
    torment("MBR and ext2", chain, 512, 300);
}
