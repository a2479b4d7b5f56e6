//! Replacing a file's bytes in place: what e2fsck and fsck.fat say afterwards, and what is refused.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;
use std::rc::Rc;

use fs::{BlockError, FsError, Stretch};
use images::{MemoryDisk, Sample, Scratch, Takes, XorShift, run, whole, write_tree};

/// A tree with a file `default` of about two blocks, as `grub-set-default` leaves it but longer.
fn tree(scratch: &Scratch) -> Vec<u8> {
    let mut text = b"10\n#\n#\n".to_vec();
    text.extend_from_slice(&XorShift(3).bytes(5000));
    let tree = [
        ("boot".into(), Sample::Directory),
        ("boot/before".into(), Sample::File(XorShift(1).bytes(9000))),
        ("boot/default".into(), Sample::File(text.clone())),
        ("boot/after".into(), Sample::File(XorShift(2).bytes(9000))),
        ("boot/tiny".into(), Sample::File(b"0\n".to_vec())),
    ];
    write_tree(&scratch.path("root"), &tree);
    text
}

fn make_ext(scratch: &Scratch, options: &[&str]) -> Vec<u8> {
    let (root, image) = (scratch.path("root"), scratch.path("image"));
    let mut arguments = vec!["-q", "-F", "-d", root.to_str().unwrap()];
    arguments.extend_from_slice(options);
    arguments.extend_from_slice(&[image.to_str().unwrap(), "16M"]);
    let _ = host::remove_file(&image);
    run("e2fsprogs", "mke2fs", &arguments);
    host::read(image).unwrap()
}

fn make_fat(scratch: &Scratch, width: &str) -> Vec<u8> {
    let image = scratch.path("image");
    let _ = host::remove_file(&image);
    let (image, boot) = (image.to_str().unwrap(), scratch.path("root/boot"));
    let size = if width == "32" { "40000" } else { "16000" };
    run("dosfstools", "mkfs.fat", &["-C", "-F", width, image, size]);
    let arguments = ["-i", image, "-s", "-Q", boot.to_str().unwrap(), "::"];
    run("mtools", "mcopy", &arguments);
    host::read(image).unwrap()
}

fn debugfs(scratch: &Scratch, command: &str) -> Vec<u8> {
    let image = scratch.path("image");
    run(
        "e2fsprogs",
        "debugfs",
        &["-w", "-R", command, image.to_str().unwrap()],
    );
    host::read(image).unwrap()
}

/// Replaces bytes at several places, and checks that nothing else of the image changed and that `fsck` is content.
fn replace(scratch: &Scratch, image: Vec<u8>, sector: u32, text: &[u8], fsck: [&str; 3]) {
    let disk = MemoryDisk::new(image.clone(), sector);
    let volume = whole(&disk);
    let files = fs::mount(&volume).unwrap();
    let file = files.open(b"boot/default").unwrap();
    let mut expected = text.to_vec();
    for (at, bytes) in [
        (0, &b"2\n\n"[..]),
        (0, b"1:0\n"),
        (700, b"over a sector's end"),
        (4090, b"over a block's end"),
        (text.len() - 1, b"!"),
        (5, b""),
    ] {
        file.overwrite(at as u64, bytes).unwrap();
        expected[at..at + bytes.len()].copy_from_slice(bytes);
        let mut found = vec![0; text.len()];
        file.read_at(0, &mut found).unwrap();
        assert!(found == expected, "{fsck:?} at {at}");
    }
    let after = disk.bytes();
    let different = image.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert!(different <= 45, "{different} bytes changed");
    let [package, program, options] = fsck;
    let path = scratch.path("after");
    host::write(&path, &after).unwrap();
    run(package, program, &[options, path.to_str().unwrap()]);
    // A fresh look at the disk finds the same.
    let files = fs::mount(&whole(&MemoryDisk::new(after, sector))).unwrap();
    let mut found = vec![0; text.len()];
    let file = files.open(b"boot/default").unwrap();
    file.read_at(0, &mut found).unwrap();
    assert!(found == expected);
    let past = file.overwrite(text.len() as u64, b"x");
    assert!(matches!(past, Err(FsError::BeyondEnd { .. })), "{past:?}");
}

#[test]
fn ext_is_clean_afterwards() {
    let scratch = Scratch::new();
    let text = tree(&scratch);
    for (options, sector) in [
        (&["-t", "ext2", "-b", "1024"][..], 512),
        (&["-t", "ext3"], 512),
        (&["-t", "ext4"], 512),
        (&["-t", "ext4", "-b", "4096"], 4096),
        (
            &["-t", "ext4", "-b", "1024", "-O", "metadata_csum,64bit"],
            512,
        ),
        (&["-t", "ext4", "-O", "inline_data"], 512),
        (&["-t", "ext4", "-O", "bigalloc"], 512),
    ] {
        let image = make_ext(&scratch, options);
        replace(
            &scratch,
            image,
            sector,
            &text,
            ["e2fsprogs", "e2fsck", "-fn"],
        );
    }
}

#[test]
fn fat_is_clean_afterwards() {
    let scratch = Scratch::new();
    let text = tree(&scratch);
    for width in ["12", "16", "32"] {
        let image = make_fat(&scratch, width);
        replace(
            &scratch,
            image,
            512,
            &text,
            ["dosfstools", "fsck.fat", "-n"],
        );
    }
}

/// What replacing the first byte of `path` comes to; nothing may have been written.
#[track_caller]
fn refusal(image: Vec<u8>, path: &str) -> String {
    let disk = MemoryDisk::new(image, 512);
    let files = fs::mount(&whole(&disk)).unwrap();
    let file = files.open(path.as_bytes()).unwrap();
    let error = file.overwrite(0, b"1").unwrap_err();
    assert!(matches!(error, FsError::NotInPlace(_)), "{error}");
    assert_eq!((error.grub_error(), disk.writes.get()), (29, 0));
    error.to_string()
}

#[test]
fn what_would_do_harm_is_refused() {
    let scratch = Scratch::new();
    tree(&scratch);
    let refused = |image: Vec<u8>, path: &str, reason: &str| {
        let text = refusal(image, path);
        assert!(text.contains(reason), "{text}");
    };
    let image = make_ext(&scratch, &["-t", "ext4", "-O", "inline_data"]);
    refused(image, "boot/tiny", "kept in the inode");
    for (command, reason) in [
        ("sif boot/default flags 0x80010", "immutable"),
        ("sif boot/default flags 0x180000", "fs-verity"),
        ("feature needs_recovery", "journal waits to be replayed"),
        ("ssv state 0", "was not unmounted"),
        ("ssv state 3", "damaged"),
        ("feature mmp", "another machine"),
        ("feature read-only", "marked read-only"),
        ("feature shared_blocks", "share blocks"),
    ] {
        make_ext(&scratch, &["-t", "ext4"]);
        refused(debugfs(&scratch, command), "boot/default", reason);
    }
    make_ext(&scratch, &["-t", "ext2"]);
    let image = debugfs(&scratch, "punch boot/default 0 0");
    refused(image, "boot/default", "never written");
    let iso = scratch.path("iso");
    let arguments = [
        "-as",
        "mkisofs",
        "-quiet",
        "-R",
        "-o",
        iso.to_str().unwrap(),
        scratch.path("root").to_str().unwrap(),
    ]
    .map(str::to_owned);
    run(
        "xorriso",
        "xorriso",
        &arguments.each_ref().map(String::as_str),
    );
    refused(host::read(iso).unwrap(), "boot/default", "ext and FAT");
}

#[test]
fn a_disk_that_does_not_keep_what_it_is_given_is_found_out() {
    let scratch = Scratch::new();
    tree(&scratch);
    let image = make_ext(&scratch, &["-t", "ext4"]);
    for (takes, budget) in [
        (Takes::AndForgets, u64::MAX),
        (Takes::Nothing, u64::MAX),
        (Takes::Writes, 1),
    ] {
        let disk = MemoryDisk::new(image.clone(), 512);
        let files = fs::mount(&whole(&disk)).unwrap();
        let file = files.open(b"boot/default").unwrap();
        disk.takes_writes.set(takes);
        disk.budget.set(disk.reads.get().saturating_add(budget));
        let error = file.overwrite(0, b"2").unwrap_err();
        match takes {
            Takes::AndForgets => assert!(error.to_string().contains("read back"), "{error}"),
            Takes::Nothing => assert!(matches!(error, FsError::Device(BlockError::ReadOnly(_)))),
            Takes::Writes => assert!(matches!(error, FsError::Device(BlockError::Timeout(_)))),
        }
    }
}

#[test]
fn stretches_say_where_bytes_are() {
    let scratch = Scratch::new();
    let text = tree(&scratch);
    make_ext(&scratch, &["-t", "ext4", "-b", "1024"]);
    let image = debugfs(&scratch, "punch boot/default 2 2");
    let disk = MemoryDisk::new(image.clone(), 512);
    let files = fs::mount(&whole(&disk)).unwrap();
    let found = files.open(b"boot/default").unwrap().stretches().unwrap();
    let [first, hole, last] = found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(
        (first.len, hole),
        (
            2048,
            Stretch {
                start: None,
                len: 1024
            }
        )
    );
    assert_eq!(last.len, text.len() as u64 - 3072);
    for (stretch, from) in [(first, 0), (last, 3072)] {
        let at = usize::try_from(stretch.start.unwrap()).unwrap();
        let len = usize::try_from(stretch.len).unwrap();
        assert!(image[at..at + len] == text[from..from + len]);
    }
    let volume = whole(&disk);
    let ranges = [
        fs::BlockRange { start: 4, count: 2 },
        fs::BlockRange { start: 9, count: 1 },
    ];
    let blocks = fs::block_list(volume, &ranges);
    let starts: Vec<_> = blocks.stretches().unwrap();
    let stretch = |start, len| Stretch {
        start: Some(start),
        len,
    };
    assert_eq!(starts, [stretch(2048, 1024), stretch(4608, 512)]);
    assert!(Rc::strong_count(&disk) > 1);
}
