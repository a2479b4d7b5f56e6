//! ext2/3/4 images by real mke2fs, with everything it can switch on.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;

use images::{Links, Scratch, check_tree, mount, run, sample_tree, write_tree};

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
    for (name, kind, size, options) in MATRIX {
        let image = make(&scratch, size, options);
        let files = mount(image).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(files.kind().to_string(), *kind, "{name}");
        assert_eq!(files.warnings(), Vec::<String>::new(), "{name}");
        check_tree(files.as_ref(), &tree, Links::Present, name);
        if *name != "ext2 revision 0" {
            assert_eq!(files.label().unwrap(), b"sample", "{name}");
            assert_eq!(files.uuid().unwrap(), UUID, "{name}");
        }
    }
}
