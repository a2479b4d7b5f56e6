//! ext2/3/4 images by real mke2fs, with everything it can switch on.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;
use std::process::Command;
use std::rc::Rc;

use fs::{EntryKind, FileSystem, FsError};
use images::{
    Links, MemoryDisk, Scratch, XorShift, check_tree, mount, read, run, sample_tree, whole,
    write_tree,
};

/// Makes a file system of `size` (mke2fs notation) that holds the sample tree.
fn make(scratch: &Scratch, size: &str, options: &[&str]) -> Vec<u8> {
    let (root, image) = (scratch.path("root"), scratch.path("image"));
    if !root.exists() {
        write_tree(&root, &sample_tree());
    }
    let _ = host::remove_file(&image);
    let (root, image) = (root.to_str().unwrap(), image.to_str().unwrap());
    let mut arguments = vec!["-q", "-F", "-d", root, "-L", "sample", "-U", UUID];
    arguments.extend_from_slice(options);
    arguments.extend_from_slice(&[image, size]);
    run("e2fsprogs", "mke2fs", &arguments);
    host::read(image).unwrap()
}

const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";

/// (name, kind, size, mke2fs options)
const MATRIX: &[(&str, &str, &str, &[&str])] = &[
    ("ext2", "ext2", "24M", &["-t", "ext2"]),
    (
        "ext2 revision 0",
        "ext2",
        "24M",
        &["-t", "ext2", "-r", "0", "-O", "none"],
    ),
    (
        "ext2 without filetype",
        "ext2",
        "24M",
        &["-t", "ext2", "-O", "^filetype,^dir_index"],
    ),
    ("ext2 1k", "ext2", "24M", &["-t", "ext2", "-b", "1024"]),
    ("ext2 64k", "ext2", "40M", &["-t", "ext2", "-b", "65536"]),
    ("ext3", "ext3", "32M", &["-t", "ext3"]),
    (
        "ext3 1k, 128-byte inodes",
        "ext3",
        "32M",
        &["-t", "ext3", "-b", "1024", "-I", "128"],
    ),
    ("ext4", "ext4", "32M", &["-t", "ext4"]),
    ("ext4 1k", "ext4", "32M", &["-t", "ext4", "-b", "1024"]),
    ("ext4 2k", "ext4", "32M", &["-t", "ext4", "-b", "2048"]),
    ("ext4 64k", "ext4", "48M", &["-t", "ext4", "-b", "65536"]),
    (
        "ext4 512-byte inodes",
        "ext4",
        "32M",
        &["-t", "ext4", "-I", "512"],
    ),
    (
        "ext4 1024-byte inodes",
        "ext4",
        "32M",
        &["-t", "ext4", "-I", "1024"],
    ),
    (
        "ext4 128-byte inodes",
        "ext4",
        "32M",
        &["-t", "ext4", "-I", "128"],
    ),
    (
        "ext4 without extents",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "^extents,^64bit"],
    ),
    (
        "ext4 32-bit",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "^64bit"],
    ),
    (
        "ext4 without checksums",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "^metadata_csum"],
    ),
    (
        "ext4 uninit_bg",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "^metadata_csum,uninit_bg"],
    ),
    (
        "ext4 uninit_bg 32-bit",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "^metadata_csum,^64bit,uninit_bg"],
    ),
    (
        "ext4 seed",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "metadata_csum_seed"],
    ),
    (
        "ext4 without flex_bg",
        "ext4",
        "32M",
        &["-t", "ext4", "-b", "1024", "-O", "^flex_bg"],
    ),
    (
        "ext4 meta_bg",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "meta_bg,^resize_inode"],
    ),
    ("ext4 meta_bg 1k, many groups", "ext4", "32M", META_BG),
    (
        "ext4 sparse_super2",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "sparse_super2", "-b", "1024"],
    ),
    (
        "ext4 inline_data",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "inline_data"],
    ),
    (
        "ext4 inline_data, 1024-byte inodes",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "inline_data", "-I", "1024"],
    ),
    (
        "ext4 large_dir, ea_inode",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "large_dir,ea_inode"],
    ),
    (
        "ext4 casefold",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "casefold"],
    ),
    (
        "ext4 encrypt, verity",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "encrypt,verity"],
    ),
    (
        "ext4 quota, project",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "quota,project"],
    ),
    (
        "ext4 orphan_file",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "orphan_file"],
    ),
    (
        "ext4 fast_commit",
        "ext4",
        "32M",
        &["-t", "ext4", "-O", "fast_commit"],
    ),
    (
        "ext4 bigalloc",
        "ext4",
        "64M",
        &["-t", "ext4", "-O", "bigalloc", "-C", "16384"],
    ),
    ("ext4 bigalloc 1k, meta_bg", "ext4", "64M", BIGALLOC),
    ("ext4 mmp", "ext4", "32M", &["-t", "ext4", "-O", "mmp"]),
];

const META_BG: &[&str] = &[
    "-t",
    "ext4",
    "-b",
    "1024",
    "-g",
    "1024",
    "-O",
    "meta_bg,^resize_inode,^flex_bg",
];
const BIGALLOC: &[&str] = &[
    "-t",
    "ext4",
    "-b",
    "1024",
    "-C",
    "4096",
    "-O",
    "bigalloc,meta_bg,^resize_inode",
];

#[test]
fn every_kind_that_mke2fs_makes() {
    let scratch = Scratch::new();
    let tree = sample_tree();
    let mut agreed = 0;
    for (name, kind, size, options) in MATRIX {
        let image = make(&scratch, size, options);
        let files = mount(image.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(files.kind().to_string(), *kind, "{name}");
        assert_eq!(files.warnings(), Vec::<String>::new(), "{name}");
        check_tree(files.as_ref(), &tree, Links::Present, name);
        if *name != "ext2 revision 0" {
            assert_eq!(files.label().unwrap(), b"sample", "{name}");
            assert_eq!(files.uuid().unwrap(), UUID, "{name}");
        }
        // A second opinion. It refuses many features, and fails on holes in block maps.
        let Ok(other) = ext4_view::Ext4::load(Box::new(image)) else {
            continue;
        };
        if other.read("/sparse").is_ok() {
            assert!(compare(files.as_ref(), &other, "", name) > 150, "{name}");
            assert!(other.label().as_bytes().starts_with(b"sample"), "{name}");
            agreed += 1;
        }
    }
    assert!(agreed >= 12, "only {agreed} images were compared");
}

/// Compares every file and list with what another reader says, where that reader can open the image.
fn compare(files: &dyn FileSystem, other: &ext4_view::Ext4, folder: &str, name: &str) -> u32 {
    let mut compared = 0;
    for entry in files.list(folder.as_bytes()).unwrap() {
        let path = format!("{folder}/{}", String::from_utf8(entry.name).unwrap());
        let theirs = other
            .symlink_metadata(path.as_str())
            .unwrap_or_else(|error| panic!("{name}: {path}: {error}"));
        assert_eq!(
            theirs.is_symlink(),
            entry.kind == EntryKind::Symlink,
            "{name}: {path}"
        );
        assert_eq!(
            theirs.is_dir(),
            entry.kind == EntryKind::Directory,
            "{name}: {path}"
        );
        match entry.kind {
            EntryKind::Directory => compared += compare(files, other, &path, name),
            EntryKind::File => {
                let same = read(files, &path).unwrap() == other.read(path.as_str()).unwrap();
                assert!(same, "{name}: {path}");
                compared += 1;
            }
            _ => {}
        }
    }
    compared
}

/// Writes `bytes` at some places of a file of `len` bytes, holes between them.
fn sparse_file(path: &std::path::Path, len: u64, places: &[u64], bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = host::File::create(path).unwrap();
    file.set_len(len).unwrap();
    for &place in places {
        file.write_all_at(bytes, place).unwrap();
    }
}

/// Makes an image of what is under `root` and counts the reads of it.
fn make_counted(
    scratch: &Scratch,
    size: &str,
    options: &[&str],
) -> (Rc<MemoryDisk>, Box<dyn FileSystem>) {
    let disk = MemoryDisk::new(make(scratch, size, options), 512);
    let files = fs::mount(&whole(&disk)).unwrap();
    (disk, files)
}

#[test]
fn a_large_file_is_a_handful_of_reads() {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root/boot")).unwrap();
    let big = XorShift(6).bytes(64 << 20);
    host::write(scratch.path("root/boot/initrd"), &big).unwrap();
    for (options, most) in [
        (&["-t", "ext4"][..], 24),
        (&["-t", "ext4", "-b", "1024"], 60),
        (&["-t", "ext2", "-b", "4096"], 100),
    ] {
        let (disk, files) = make_counted(&scratch, "96M", options);
        let file = files.open(b"/boot/initrd").unwrap();
        let opened = disk.reads.get();
        assert!(opened <= 8, "{options:?}: {opened} reads to open");
        let mut bytes = vec![0; big.len()];
        file.read_at(0, &mut bytes).unwrap();
        assert!(bytes == big);
        let reads = disk.reads.get() - opened;
        assert!(reads <= most, "{options:?}: {reads} reads");
        // Announced in as few pieces, and within the disk.
        disk.hints.borrow_mut().clear();
        file.prefetch(0, u64::MAX);
        let hinted: u64 = disk.hints.borrow().iter().map(|&(_, len)| len).sum();
        assert!(hinted >= 63 << 20, "{options:?}: {hinted}");
    }
}

#[test]
fn holes_at_every_level() {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    let places = [5_000, 270_000, 400_000, 40_000_000, 67_500_000, 68_000_000];
    sparse_file(
        &scratch.path("root/triple"),
        70_000_000,
        &places,
        b"not zero",
    );
    sparse_file(
        &scratch.path("root/last"),
        5_000_000_000,
        &[4_999_999_992, 4_294_967_294],
        b"not zero",
    );
    sparse_file(&scratch.path("root/none"), 3_000_000_000, &[], b"");
    // An extent for each odd block: a tree of depth 2.
    let odd: Vec<u64> = (0..1500).map(|number| number * 8192 + 4096).collect();
    sparse_file(&scratch.path("root/many"), 1500 * 8192, &odd, &[7; 4096]);
    for options in [
        &["-t", "ext2", "-b", "1024"][..],
        &["-t", "ext3", "-b", "4096"],
        &["-t", "ext4", "-b", "1024"],
        &["-t", "ext4"],
    ] {
        let (disk, files) = make_counted(&scratch, "24M", options);
        let mut expected = vec![0; 70_000_000];
        for place in places {
            expected[place as usize..place as usize + 8].copy_from_slice(b"not zero");
        }
        assert!(
            read(files.as_ref(), "triple").unwrap() == expected,
            "{options:?}"
        );
        let last = files.open(b"last").unwrap();
        assert_eq!(last.len(), 5_000_000_000);
        let mut bytes = [1; 20];
        last.read_at(4_999_999_980, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0\0\0\0\0\0\0\0\0\0\0not zero", "{options:?}");
        last.read_at(4_294_967_290, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0\0\0not zero\0\0\0\0\0\0\0\0", "{options:?}");
        let before = disk.reads.get();
        let mut bytes = vec![1; 50_000_000];
        files
            .open(b"none")
            .unwrap()
            .read_at(1_000_000_000, &mut bytes)
            .unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0), "{options:?}");
        assert!(
            disk.reads.get() - before < 4,
            "{options:?}: holes are not read"
        );
        let many = read(files.as_ref(), "many").unwrap();
        let right = many
            .chunks(4096)
            .enumerate()
            .all(|(at, part)| part.iter().all(|&byte| byte == (at as u8 & 1) * 7));
        assert!(right, "{options:?}");
    }
}

#[test]
fn extents_never_written_are_zeros() {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    host::write(scratch.path("root/file"), vec![9; 100 * 4096]).unwrap();
    make(&scratch, "16M", &["-t", "ext4", "-b", "4096"]);
    let image = scratch.path("image");
    // Blocks 20 to 39 are dropped; then 30 to 49 allocated where missing, without being written.
    let script = scratch.path("script");
    host::write(&script, "punch file 20 39\nfallocate file 30 49\nset_inode_field file size 614400\nfallocate file 100 149\n").unwrap();
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
    let bytes = read(mount(host::read(image).unwrap()).unwrap().as_ref(), "file").unwrap();
    assert_eq!(bytes.len(), 150 * 4096);
    for (block, part) in bytes.chunks(4096).enumerate() {
        let value = if (20..40).contains(&block) || block >= 100 {
            0
        } else {
            9
        };
        assert!(part.iter().all(|&byte| byte == value), "block {block}");
    }
}

#[test]
fn directories_with_hash_trees() {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root/many")).unwrap();
    for number in 0..4000 {
        host::write(
            scratch.path(&format!("root/many/a file with number {number}")),
            number.to_string(),
        )
        .unwrap();
    }
    for options in [
        &["-t", "ext4", "-b", "1024"][..],
        &["-t", "ext4", "-N", "5000"],
        &["-t", "ext3", "-b", "1024"],
    ] {
        make(&scratch, "32M", options);
        let image = scratch.path("image");
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
        let done = Command::new("e2fsck")
            .args(["-fyD", image.to_str().unwrap()])
            .env("PATH", path)
            .output()
            .unwrap();
        assert!(done.status.code().unwrap() < 4, "{done:?}");
        let disk = MemoryDisk::new(host::read(&image).unwrap(), 512);
        let files = fs::mount(&whole(&disk)).unwrap();
        assert_eq!(files.list(b"many").unwrap().len(), 4000, "{options:?}");
        for number in [0, 1, 777, 3999] {
            let path = format!("many/a file with number {number}");
            assert_eq!(
                read(files.as_ref(), &path).unwrap(),
                number.to_string().into_bytes(),
                "{options:?}"
            );
        }
        assert!(files.open(b"many/a file with number 4000").is_err());
    }
}

#[test]
fn names_without_regard_to_case_where_asked_for() {
    let scratch = Scratch::new();
    write_tree(&scratch.path("root"), &sample_tree());
    make(&scratch, "32M", &["-t", "ext4", "-O", "casefold"]);
    let image = scratch.path("image");
    let fold = "set_inode_field boot/grub flags 0x40080000\n";
    let script = scratch.path("script");
    host::write(&script, fold).unwrap();
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
    let files = mount(host::read(image).unwrap()).unwrap();
    assert!(files.open(b"boot/grub/MENU.LST").is_ok());
    assert!(files.open(b"BOOT/grub/menu.lst").is_err());
}

#[test]
fn what_cannot_be_read_is_named() {
    let scratch = Scratch::new();
    write_tree(&scratch.path("root"), &sample_tree());
    make(
        &scratch,
        "32M",
        &["-t", "ext4", "-O", "encrypt,^metadata_csum"],
    );
    let image = scratch.path("image");
    let script = scratch.path("script");
    host::write(
        &script,
        "set_inode_field sized-100 flags 0x80800\nset_inode_field names flags 0x80800\n",
    )
    .unwrap();
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
    let good = host::read(image).unwrap();
    let files = mount(good.clone()).unwrap();
    for path in ["sized-100", "names/entry number 0001"] {
        let error = files.open(path.as_bytes()).err().unwrap();
        assert!(error.to_string().contains("encrypted"), "{error}");
        assert_eq!(error.grub_error(), 17);
    }
    // Unknown features, an external journal, a bad block size.
    for (at, value, text) in [
        (0x63, 0x80, "0x80000000"),
        (0x60, 0xca, "journal"),
        (0x19, 1, "no known"),
    ] {
        let mut image = good.clone();
        image[1024 + at] = value;
        let error = mount(image).err().unwrap();
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn bad_checksums_are_corrupt() {
    let scratch = Scratch::new();
    write_tree(&scratch.path("root"), &sample_tree());
    let good = make(&scratch, "32M", &["-t", "ext4", "-b", "4096"]);
    // Superblock, first group descriptor.
    for at in [1024 + 0x30, 4096 + 4] {
        let mut image = good.clone();
        image[at] ^= 1;
        let error = mount(image)
            .and_then(|files| files.open(b"boot/empty").map(drop))
            .err()
            .unwrap();
        assert!(matches!(error, FsError::Corrupt { .. }), "{error}");
        assert_eq!(error.grub_error(), 16);
    }
    // Every directory block: the root's has the name lost+found.
    let at = good
        .windows(10)
        .position(|name| name == b"lost+found")
        .unwrap();
    let mut image = good.clone();
    image[at] = b'L';
    let error = mount(image).unwrap().open(b"boot/empty").err().unwrap();
    assert!(matches!(error, FsError::Corrupt { .. }), "{error}");
}
