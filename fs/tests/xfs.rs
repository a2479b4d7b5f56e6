//! XFS images: made by real mkfs.xfs, filled by this machine's kernel where it can, by mkfs.xfs itself everywhere.
#![cfg(feature = "more-readers")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;
use std::path::Path;

use images::xfs::{UUID, crash, make, prototype};
use images::{
    Links, MemoryDisk, Sample, Scratch, XorShift, check_tree, kernel, mount, read, run,
    sample_tree, whole, write_tree,
};

/// The sample tree, and what only XFS's own ways of storing show: directories of one block, of many, and of a tree
/// of blocks; a file in so many pieces that its extents need a tree; a link too long for its inode.
fn tree() -> Vec<(String, Sample)> {
    let mut tree = sample_tree();
    tree.push(("block".into(), Sample::Directory));
    for number in 0..30 {
        tree.push((format!("block/{number}"), Sample::File(Vec::new())));
    }
    tree.push(("many".into(), Sample::Directory));
    for number in 0..1200 {
        tree.push((
            format!("many/a name of middling length, number {number}"),
            Sample::File(Vec::new()),
        ));
    }
    let mut pieces = vec![0; 12 << 20];
    let mut random = XorShift(77);
    for piece in pieces.chunks_mut(8192) {
        piece[..4096].copy_from_slice(&random.bytes(4096));
    }
    tree.push(("pieces".into(), Sample::File(pieces)));
    let long: &str = String::leak(format!("{}boot/grub/menu.lst", "./".repeat(400)));
    tree.push(("very-long-link".into(), Sample::Link(long)));
    tree
}

/// (name, mkfs.xfs options)
const MATRIX: &[(&str, &[&str])] = &[
    ("default", &[]),
    ("1 KiB blocks", &["-b", "size=1024"]),
    ("2 KiB blocks", &["-b", "size=2048", "-i", "size=1024"]),
    ("64 KiB directory blocks", &["-n", "size=65536"]),
    (
        "1 KiB blocks, 16 KiB directory blocks",
        &["-b", "size=1024", "-n", "size=16384"],
    ),
    ("4096-byte sectors", &["-s", "size=4096"]),
    ("rmapbt and reflink", &["-m", "rmapbt=1,reflink=1"]),
    (
        "bigtime, nrext64",
        &["-m", "bigtime=1,inobtcount=1", "-i", "nrext64=1"],
    ),
    (
        "sparse inodes off, no free inode tree",
        &[
            "-m",
            "finobt=0,reflink=0,rmapbt=0,bigtime=0,inobtcount=0",
            "-i",
            "sparse=0",
        ],
    ),
    ("2048-byte inodes", &["-i", "size=2048"]),
    ("many groups", &["-d", "agcount=5"]),
];

#[test]
fn whatever_mkfs_can_make() {
    if !kernel::knows("xfs") {
        return;
    }
    let scratch = Scratch::new();
    let tree = tree();
    for (name, options) in MATRIX {
        let image = make(&scratch, 96, options);
        {
            let mounted = kernel::Mount::new("xfs", &image, &scratch.path("mounted"), ",nouuid");
            write_tree(&mounted.path, &tree);
        }
        let image = host::read(image).unwrap();
        let sectors: &[u32] = if options.is_empty() {
            &[512, 4096]
        } else {
            &[512]
        };
        for &sector in sectors {
            let files = fs::mount(&whole(&MemoryDisk::new(image.clone(), sector))).unwrap();
            assert_eq!(files.kind(), fs::Kind::Xfs);
            assert_eq!(files.warnings(), [""; 0], "{name}");
            check_tree(files.as_ref(), &tree, Links::Present, name);
            assert_eq!(read(files.as_ref(), "very-long-link").unwrap(), MENU);
            assert_eq!(files.label().unwrap(), b"sample");
            assert_eq!(files.uuid().unwrap(), UUID);
        }
    }
}

/// Changes of all kinds: names made, moved and removed, files grown, cut and replaced, directories that change form.
fn change(root: &Path) {
    let mut random = XorShift(99);
    host::remove_dir_all(root.join("block")).unwrap();
    for number in (0..1200).step_by(2) {
        host::remove_file(root.join(format!("many/a name of middling length, number {number}")))
            .unwrap();
    }
    host::create_dir(root.join("new")).unwrap();
    for number in 0..400 {
        let file = root.join(format!("new/{number}"));
        host::write(file, random.bytes(number * 37)).unwrap();
    }
    host::rename(root.join("new/7"), root.join("boot/seven")).unwrap();
    host::rename(root.join("boot/grub/menu.lst"), root.join("menu.old")).unwrap();
    host::write(root.join("boot/grub/menu.lst"), "timeout 5\ndefault 0\n").unwrap();
    host::remove_file(root.join("sized-65536")).unwrap();
    host::write(root.join("sized-4096"), random.bytes(200_000)).unwrap();
    let pieces = host::File::options()
        .write(true)
        .open(root.join("pieces"))
        .unwrap();
    pieces.set_len(9 << 20).unwrap();
    std::os::unix::fs::symlink("boot/grub/menu.lst", root.join("new-link")).unwrap();
}

/// The image with the blocks of its log cleared.
fn without_log(image: &Path) -> Vec<u8> {
    let mut image = host::read(image).unwrap();
    let number = |at: usize| u64::from(u32::from_be_bytes(image[at..at + 4].try_into().unwrap()));
    let (block_bytes, ag_blocks, log_blocks) = (number(4), number(84), number(96));
    let log_start = (number(48) << 32) | number(52);
    let log2 = u32::from(image[124]);
    let block = (log_start >> log2) * ag_blocks + (log_start & ((1 << log2) - 1));
    let start = usize::try_from(block * block_bytes).unwrap();
    let len = usize::try_from(log_blocks * block_bytes).unwrap();
    // Not with zeros: that is a log never used.
    image[start..start + len].fill(1);
    image
}

const MENU: &[u8] = b"timeout 5\ndefault 0\n";

/// What the kernel makes of a copy of the image, its log replayed.
fn seen_by_kernel(scratch: &Scratch, image: &Path) -> Vec<(String, Sample)> {
    let copy = scratch.path("copy");
    host::copy(image, &copy).unwrap();
    let mounted = kernel::Mount::new("xfs", &copy, &scratch.path("seen"), ",nouuid");
    kernel::tree(&mounted.path)
}

#[test]
fn a_log_that_waits_is_replayed() {
    if !kernel::knows("xfs") {
        return;
    }
    let scratch = Scratch::new();
    for (name, options, again) in [
        ("default", &[][..], 0),
        ("1 KiB blocks", &["-b", "size=1024"], 0),
        ("16 KiB directory blocks", &["-n", "size=16384"], 0),
        (
            "wrapped around",
            &[
                "-l",
                "size=1216b",
                "-m",
                "reflink=0,rmapbt=0,inobtcount=0",
                "-i",
                "nrext64=0",
            ],
            40,
        ),
    ] {
        for flush in ["shutdown -f", "shutdown"] {
            let image = make(&scratch, 96, options);
            {
                let mounted =
                    kernel::Mount::new("xfs", &image, &scratch.path("mounted"), ",nouuid");
                write_tree(&mounted.path, &tree());
                run("coreutils", "sync", &["-f", mounted.path.to_str().unwrap()]);
                for round in 0..again {
                    for number in 0..100 {
                        let file = mounted.path.join(format!("round-{number}"));
                        host::write(file, vec![7; round * 50 + number]).unwrap();
                    }
                    run("coreutils", "sync", &["-f", mounted.path.to_str().unwrap()]);
                }
                change(&mounted.path);
                crash(&mounted.path, flush);
            }
            let expected = seen_by_kernel(&scratch, &image);
            let files = mount(host::read(&image).unwrap()).unwrap();
            assert_eq!(files.warnings(), [""; 0], "{name}, {flush}");
            check_tree(
                files.as_ref(),
                &expected,
                Links::Listed,
                &format!("{name}, {flush}"),
            );
            if flush == "shutdown -f" {
                // All of this is in the log alone.
                assert_eq!(read(files.as_ref(), "menu.old").unwrap(), MENU);
                let files = mount(without_log(&image)).unwrap();
                let warning = "not unmounted, and its log cannot be read: ";
                assert!(files.warnings()[0].starts_with(warning), "{name}");
                assert!(files.open(b"menu.old").is_err(), "{name}");
            }
        }
    }
}

/// No kernel of today mounts version 4, so that mkfs.xfs fills it; and these need no root.
#[test]
fn version_4_and_5_by_prototype() {
    let scratch = Scratch::new();
    let mut tree = sample_tree();
    tree.retain(|(name, _)| !name.contains(' '));
    for number in 0..300 {
        tree.push((format!("names/{number:03}"), Sample::File(b"x".to_vec())));
    }
    write_tree(&scratch.path("root"), &tree);
    let text = scratch.path("prototype");
    host::write(&text, prototype(&scratch.path("root"), &tree)).unwrap();
    for (name, options) in [
        ("version 5", &[][..]),
        ("version 4", &["-m", "crc=0"]),
        ("version 4 with types", &["-m", "crc=0", "-n", "ftype=1"]),
        (
            "version 4, 512-byte blocks, 256-byte inodes",
            &["-m", "crc=0", "-b", "size=512", "-i", "size=256"],
        ),
        ("version 4, log 1", &["-m", "crc=0", "-l", "version=1"]),
        ("version 4, no case", &["-m", "crc=0", "-n", "version=ci"]),
        ("version 5, 64 KiB blocks", &["-b", "size=65536"]),
    ] {
        let mut options = options.to_vec();
        options.extend_from_slice(&["-p", text.to_str().unwrap()]);
        let image = make(
            &scratch,
            if name.contains("64 KiB") { 320 } else { 64 },
            &options,
        );
        let files = mount(host::read(image).unwrap()).unwrap();
        assert_eq!(files.warnings(), [""; 0], "{name}");
        check_tree(files.as_ref(), &tree, Links::Present, name);
        let folded = files.open(b"BOOT/GRUB/Menu.lst").is_ok();
        assert_eq!(folded, name.ends_with("no case"), "{name}");
    }
}

/// What damage says, and that it is not passed over.
#[test]
fn wrong_checksums_name_the_inode() {
    let scratch = Scratch::new();
    let tree = [
        ("boot".into(), Sample::Directory),
        ("boot/menu.lst".into(), Sample::File(MENU.to_vec())),
    ];
    write_tree(&scratch.path("root"), &tree);
    let text = scratch.path("prototype");
    host::write(&text, prototype(&scratch.path("root"), &tree)).unwrap();
    let image = make(&scratch, 64, &["-p", text.to_str().unwrap()]);
    let mut image = host::read(image).unwrap();
    assert_eq!(
        read(mount(image.clone()).unwrap().as_ref(), "boot/menu.lst").unwrap(),
        MENU
    );
    // The number of the file's inode, from its directory's entry in the directory's inode.
    let name = b"menu.lst\x01";
    let entry = image
        .windows(name.len())
        .position(|part| part == name)
        .unwrap();
    let number = entry + name.len();
    let number = u32::from_be_bytes(image[number..number + 4].try_into().unwrap());
    image[usize::try_from(number).unwrap() * 512 + 45] ^= 1;
    let error = mount(image).unwrap().open(b"boot/menu.lst").err().unwrap();
    let expected = format!("corrupt file system: checksum of inode ({number:#x})");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_large_file_is_one_read_and_a_large_directory_few() {
    if !kernel::knows("xfs") {
        return;
    }
    let scratch = Scratch::new();
    let image = make(&scratch, 320, &[]);
    let big = XorShift(5).bytes(64 << 20);
    {
        let mounted = kernel::Mount::new("xfs", &image, &scratch.path("mounted"), ",nouuid");
        host::write(mounted.path.join("big"), &big).unwrap();
        host::create_dir(mounted.path.join("many")).unwrap();
        for number in 0..100_000 {
            host::hard_link(
                mounted.path.join("big"),
                mounted.path.join(format!("many/{number:05}")),
            )
            .unwrap();
        }
    }
    let disk = MemoryDisk::new(host::read(image).unwrap(), 512);
    let files = fs::mount(&whole(&disk)).unwrap();
    let file = files.open(b"big").unwrap();
    // One, unless the kernel found no place for all of it.
    let stretches = file.stretches().unwrap().len() as u64;
    assert!(stretches <= 8, "{stretches} stretches");
    let before = disk.reads.get();
    let mut bytes = vec![0; big.len()];
    file.read_at(0, &mut bytes).unwrap();
    assert!(bytes == big);
    // The data, and what says where it is.
    let reads = disk.reads.get() - before;
    assert!(
        reads <= stretches + 4,
        "{reads} reads, {stretches} stretches"
    );
    let before = disk.reads.get();
    assert!(files.open(b"many/99999").is_ok());
    let reads = disk.reads.get() - before;
    assert!(reads < 50, "{reads} reads for one of 100000 names");
}
