//! btrfs images by real mkfs.btrfs, filled by it and, where it can, by this machine's kernel.
#![cfg(feature = "more-readers")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fs::FsError;
use images::btrfs::make;
use images::{
    Links, MemoryDisk, Sample, Scratch, XorShift, check_tree, kernel, mount, read, run,
    sample_tree, whole, write_tree,
};

const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";
const MENU: &[u8] = b"timeout 5\ndefault 0\n";

/// The sample tree, and files that pack well: of many extents, inline, of all sizes around a sector's.
fn tree() -> Vec<(String, Sample)> {
    let mut tree = sample_tree();
    tree.push(("packs".into(), Sample::Directory));
    for size in [10, 1000, 4095, 4096, 4097, 131_072, 131_073, 3_000_000] {
        let bytes = (0..size)
            .map(|at: u32| (at / 100 % 251) as u8 ^ (at % 7) as u8)
            .collect();
        tree.push((format!("packs/{size}"), Sample::File(bytes)));
    }
    tree.push(("many".into(), Sample::Directory));
    for number in 0..1500 {
        tree.push((format!("many/name {number}"), Sample::File(Vec::new())));
    }
    tree
}

/// (name, mkfs.btrfs options)
const MATRIX: &[(&str, &[&str])] = &[
    ("default", &[]),
    ("dup", &["-m", "dup", "-d", "dup"]),
    ("single", &["-m", "single", "-d", "single"]),
    ("mixed", &["-M"]),
    ("xxhash", &["--csum", "xxhash"]),
    ("4 KiB nodes", &["-n", "4096"]),
    ("64 KiB nodes", &["-n", "65536"]),
    ("no holes off", &["-O", "^no-holes"]),
    ("16 KiB sectors", &["-s", "16384"]),
];

/// Holds the other tests up: mkfs.btrfs refuses a UUID that a mounted file system has.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn whatever_mkfs_can_make() {
    let _alone = alone();
    let scratch = Scratch::new();
    let tree = tree();
    write_tree(&scratch.path("root"), &tree);
    for (name, options) in MATRIX {
        let image = make(
            &scratch,
            256,
            &[options, &["-U", UUID][..]].concat(),
            "root",
        );
        let files = mount(host::read(image).unwrap()).unwrap();
        assert_eq!(files.kind(), fs::Kind::Btrfs);
        assert_eq!(files.warnings(), [""; 0], "{name}");
        check_tree(files.as_ref(), &tree, Links::Present, name);
        assert_eq!(files.label().unwrap(), b"sample");
        assert_eq!(files.uuid().unwrap(), UUID);
    }
}

#[test]
fn sums_that_are_not_checked_are_named() {
    let _alone = alone();
    let scratch = Scratch::new();
    write_tree(&scratch.path("root"), &sample_tree());
    for name in ["sha256", "blake2"] {
        let image = make(&scratch, 128, &["--csum", name], "root");
        let files = mount(host::read(image).unwrap()).unwrap();
        let warnings = files.warnings();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains(name), "{warnings:?}");
        check_tree(files.as_ref(), &sample_tree(), Links::Present, name);
    }
}

/// Fills an empty file system by the kernel.
fn filled(scratch: &Scratch, options: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    host::create_dir_all(scratch.path("empty")).unwrap();
    let image = make(scratch, 256, &[], "empty");
    let mounted = kernel::Mount::new("btrfs", &image, &scratch.path("mounted"), options);
    fill(&mounted.path);
    image
}

#[test]
fn packed_by_the_kernel() {
    let _alone = alone();
    if !kernel::knows("btrfs") {
        return;
    }
    let scratch = Scratch::new();
    let tree = tree();
    for packing in ["zlib", "lzo", "zstd", "zstd:15"] {
        let options = format!(",compress-force={packing}");
        let image = filled(&scratch, &options, |root| write_tree(root, &tree));
        let image = host::read(image).unwrap();
        let files = mount(image).unwrap();
        check_tree(files.as_ref(), &tree, Links::Present, packing);
        // It is packed indeed: no bytes have a place of their own.
        let stretches = files.open(b"packs/3000000").unwrap().stretches().unwrap();
        assert!(stretches.iter().all(|stretch| stretch.start.is_none()));
    }
}

#[test]
fn holes_rewrites_clones_and_lost_beginnings() {
    let _alone = alone();
    if !kernel::knows("btrfs") {
        return;
    }
    let scratch = Scratch::new();
    let mut expected = Vec::new();
    let image = filled(&scratch, ",compress=zstd", |root| {
        use std::os::unix::fs::FileExt;
        let mut random = XorShift(3);
        let text: Vec<u8> = (0..600_000_u32).map(|at| (at / 50) as u8).collect();
        host::write(root.join("rewritten"), &text).unwrap();
        run("coreutils", "sync", &["-f", root.to_str().unwrap()]);
        let file = host::File::options()
            .write(true)
            .open(root.join("rewritten"))
            .unwrap();
        for at in [0, 50_000, 131_000, 400_000] {
            file.write_all_at(&random.bytes(9000), at).unwrap();
        }
        file.write_all_at(b"far away", 5_000_000).unwrap();
        run("coreutils", "sync", &["-f", root.to_str().unwrap()]);
        let clone = [root.join("rewritten"), root.join("clone")];
        run(
            "coreutils",
            "cp",
            &[
                "--reflink=always",
                clone[0].to_str().unwrap(),
                clone[1].to_str().unwrap(),
            ],
        );
        run(
            "util-linux",
            "fallocate",
            &["-l", "1M", root.join("reserved").to_str().unwrap()],
        );
        expected = kernel::tree(root);
    });
    let files = mount(host::read(image).unwrap()).unwrap();
    check_list(files.as_ref(), &expected);
}

fn check_list(files: &dyn fs::FileSystem, expected: &[(String, Sample)]) {
    for (name, sample) in expected {
        if let Sample::File(bytes) = sample {
            assert!(read(files, name).unwrap() == *bytes, "{name}");
        }
    }
}

#[test]
fn subvolumes_and_the_default_one() {
    let _alone = alone();
    if !kernel::knows("btrfs") {
        return;
    }
    let scratch = Scratch::new();
    let image = filled(&scratch, "", |root| {
        let btrfs = |arguments: &[&str]| run("btrfs-progs", "btrfs", arguments);
        let root = root.to_str().unwrap();
        btrfs(&["subvolume", "create", &format!("{root}/@")]);
        host::create_dir_all(format!("{root}/@/boot/grub")).unwrap();
        host::write(format!("{root}/@/boot/grub/menu.lst"), MENU).unwrap();
        std::os::unix::fs::symlink("/boot/grub/menu.lst", format!("{root}/@/menu")).unwrap();
        btrfs(&["subvolume", "create", &format!("{root}/@/inner")]);
        host::write(format!("{root}/@/inner/x"), "inner").unwrap();
        btrfs(&[
            "subvolume",
            "snapshot",
            &format!("{root}/@"),
            &format!("{root}/old"),
        ]);
        host::write(format!("{root}/@/boot/grub/menu.lst"), "new").unwrap();
    });
    let files = mount(host::read(&image).unwrap()).unwrap();
    assert_eq!(
        read(files.as_ref(), "@/boot/grub/menu.lst").unwrap(),
        b"new"
    );
    assert_eq!(
        read(files.as_ref(), "old/boot/grub/menu.lst").unwrap(),
        MENU
    );
    assert_eq!(read(files.as_ref(), "@/inner/x").unwrap(), b"inner");
    assert_eq!(
        read(files.as_ref(), "@/inner/../inner/x").unwrap(),
        b"inner"
    );
    // An absolute link starts where paths start: in the default subvolume.
    assert!(matches!(
        files.open(b"@/menu"),
        Err(FsError::NotFound { .. })
    ));
    {
        let mounted = kernel::Mount::new("btrfs", &image, &scratch.path("mounted"), "");
        let at = mounted.path.join("@");
        run(
            "btrfs-progs",
            "btrfs",
            &["subvolume", "set-default", at.to_str().unwrap()],
        );
    }
    let files = mount(host::read(&image).unwrap()).unwrap();
    assert_eq!(read(files.as_ref(), "boot/grub/menu.lst").unwrap(), b"new");
    assert_eq!(read(files.as_ref(), "menu").unwrap(), b"new");
    assert_eq!(read(files.as_ref(), "inner/x").unwrap(), b"inner");
    let names: Vec<_> = files
        .list(b"/")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, [&b"boot"[..], b"menu", b"inner"]);
    // What is not in it is looked for among all subvolumes.
    assert_eq!(
        read(files.as_ref(), "@/boot/grub/menu.lst").unwrap(),
        b"new"
    );
    assert_eq!(
        read(files.as_ref(), "old/boot/grub/menu.lst").unwrap(),
        MENU
    );
}

/// A copy of a file system that was never unmounted: as it was when last written together.
#[test]
fn never_unmounted() {
    let _alone = alone();
    if !kernel::knows("btrfs") {
        return;
    }
    let scratch = Scratch::new();
    let copy = scratch.path("copy");
    filled(&scratch, "", |root| {
        write_tree(&root.join("tree"), &sample_tree());
        run("coreutils", "sync", &["-f", root.to_str().unwrap()]);
        let file = host::File::create(root.join("synced")).unwrap();
        std::io::Write::write_all(&mut &file, b"synced").unwrap();
        file.sync_all().unwrap();
        host::copy(scratch.path("image"), &copy).unwrap();
    });
    let files = mount(host::read(copy).unwrap()).unwrap();
    assert_eq!(files.warnings().len(), 1);
    assert_eq!(
        read(files.as_ref(), "tree/boot/grub/menu.lst").unwrap(),
        MENU
    );
    assert!(files.open(b"synced").is_err());
}

/// Where one copy is damaged the other is read; where there is none, the error names the inode.
#[test]
fn damage_is_mended_or_told() {
    let _alone = alone();
    let scratch = Scratch::new();
    let tree = [
        ("boot".into(), Sample::Directory),
        ("boot/data".into(), Sample::File(XorShift(8).bytes(300_000))),
    ];
    write_tree(&scratch.path("root"), &tree);
    for (data, mends) in [("dup", true), ("single", false)] {
        let options = ["-m", "dup", "-d", data];
        let mut image = host::read(make(&scratch, 256, &options, "root")).unwrap();
        let Sample::File(bytes) = &tree[1].1 else {
            unreachable!()
        };
        let needle = &bytes[200_000..200_032];
        let at = image.windows(32).position(|part| part == needle).unwrap();
        image[at] ^= 1;
        let files = mount(image).unwrap();
        let result = read(files.as_ref(), "boot/data");
        if mends {
            assert!(result.unwrap() == *bytes);
        } else {
            let text = result.unwrap_err().to_string();
            let expected = "corrupt file system: checksum of data, inode (0x";
            assert!(text.starts_with(expected), "{text}");
        }
    }
}

#[test]
fn a_large_file_is_few_reads() {
    let _alone = alone();
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    let big = XorShift(5).bytes(64 << 20);
    host::write(scratch.path("root/big"), &big).unwrap();
    let disk = MemoryDisk::new(
        host::read(make(&scratch, 512, &["-d", "single"], "root")).unwrap(),
        512,
    );
    let files = fs::mount(&whole(&disk)).unwrap();
    let file = files.open(b"big").unwrap();
    let stretches = file.stretches().unwrap().len();
    let before = disk.reads.get();
    let mut bytes = vec![0; big.len()];
    file.read_at(0, &mut bytes).unwrap();
    assert!(bytes == big);
    let reads = disk.reads.get() - before;
    // The data, and 64 KiB of checksums in their tree.
    assert!(
        reads <= stretches as u64 + 8,
        "{reads} reads, {stretches} stretches"
    );
}

#[test]
fn one_name_of_a_hundred_thousand() {
    let _alone = alone();
    if !kernel::knows("btrfs") {
        return;
    }
    let scratch = Scratch::new();
    let image = filled(&scratch, "", |root| {
        host::create_dir(root.join("many")).unwrap();
        for number in 0..100_000 {
            host::File::create(root.join(format!("many/{number:05}"))).unwrap();
        }
    });
    let disk = MemoryDisk::new(host::read(image).unwrap(), 512);
    for name in ["many/00000", "many/47110", "many/99999"] {
        let files = fs::mount(&whole(&disk)).unwrap();
        let before = disk.reads.get();
        assert!(files.open(name.as_bytes()).is_ok());
        let reads = disk.reads.get() - before;
        assert!(reads < 50, "{reads} reads for {name} of 100000 names");
    }
}
