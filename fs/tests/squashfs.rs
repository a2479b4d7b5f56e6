//! squashfs images by real mksquashfs, in each of its packings.
#![cfg(feature = "more-readers")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;

use images::squashfs::make;
use images::{
    Links, MemoryDisk, Sample, Scratch, XorShift, check_tree, mount, sample_tree, whole, write_tree,
};

/// The sample tree, and what packs well: many names and files of all sizes around a block's.
fn tree() -> Vec<(String, Sample)> {
    let mut tree = sample_tree();
    tree.push(("packs".into(), Sample::Directory));
    for size in [10, 4095, 4096, 4097, 131_071, 131_072, 131_073, 3_000_000] {
        let bytes = (0..size)
            .map(|at: u32| (at / 100 % 251) as u8 ^ (at % 7) as u8)
            .collect();
        tree.push((format!("packs/{size}"), Sample::File(bytes)));
    }
    tree.push(("many".into(), Sample::Directory));
    for number in 0..800 {
        tree.push((
            format!("many/a name that is long enough for several blocks {number}"),
            Sample::File(Vec::new()),
        ));
    }
    tree
}

#[test]
fn whatever_mksquashfs_can_make() {
    let scratch = Scratch::new();
    let tree = tree();
    write_tree(&scratch.path("root"), &tree);
    for options in [
        &["-comp", "gzip"][..],
        &["-comp", "lzo"],
        &["-comp", "xz"],
        &["-comp", "xz", "-Xbcj", "x86"],
        &["-comp", "lz4"],
        &["-comp", "lz4", "-Xhc"],
        &["-comp", "zstd"],
        &["-comp", "lzma"],
        &["-b", "4096"],
        &["-b", "1M"],
        &["-no-fragments"],
        &["-always-use-fragments"],
        &["-noI", "-noD", "-noF"],
        &["-no-duplicates", "-no-exports"],
    ] {
        let name = format!("{options:?}");
        let image = make(&scratch, options);
        let files = mount(host::read(image).unwrap()).unwrap();
        assert_eq!(files.kind(), fs::Kind::Squashfs);
        check_tree(files.as_ref(), &tree, Links::Present, &name);
    }
}

#[test]
fn a_plain_file_is_one_read() {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    let big = XorShift(5).bytes(32 << 20);
    host::write(scratch.path("root/big"), &big).unwrap();
    let image = host::read(make(&scratch, &["-noD"])).unwrap();
    let disk = MemoryDisk::new(image, 512);
    let files = fs::mount(&whole(&disk)).unwrap();
    let file = files.open(b"big").unwrap();
    assert_eq!(file.stretches().unwrap().len(), 1);
    let before = disk.reads.get();
    let mut bytes = vec![0; big.len()];
    file.read_at(0, &mut bytes).unwrap();
    assert!(bytes == big);
    let reads = disk.reads.get() - before;
    // Its ends may share sectors with other things.
    assert!(reads <= 3, "{reads} reads");
}

#[test]
fn other_versions_are_named() {
    let scratch = Scratch::new();
    write_tree(&scratch.path("root"), &sample_tree());
    let mut image = host::read(make(&scratch, &[])).unwrap();
    image[28] = 3;
    let error = mount(image.clone()).err().unwrap();
    assert_eq!(error.to_string(), "not supported: squashfs 3.0");
    image[28] = 4;
    image[20] = 9;
    let error = mount(image).err().unwrap();
    assert_eq!(error.to_string(), "not supported: squashfs compression 9");
}
