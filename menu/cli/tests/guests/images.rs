//! Guests' disks for the tests: real file systems by the real tools, with small kernels that have Xen's notes.
//!
//! Needs the Debian package e2fsprogs.

#[path = "../../../../bootloader/tests/image/builder.rs"]
#[expect(dead_code, reason = "these tests use a part of it")]
pub(crate) mod builder;

use std::path::Path;
use std::process::Command;

pub(crate) use super::scratch::Scratch;
use builder::{Elf, note};

/// A kernel of 64 bits, shaped like Linux.
pub(crate) fn kernel() -> Vec<u8> {
    Elf::linux(300_000).write()
}

/// The same of 32 bits.
pub(crate) fn kernel_32() -> Vec<u8> {
    const BASE: u64 = 0xc000_0000;
    let notes = [
        note(6, b"linux\0"),
        note(5, b"xen-3.0\0"),
        note(3, &0xc000_0000_u32.to_le_bytes()),
        note(9, b"yes\0"),
    ]
    .concat();
    Elf::linux(300_000)
        .with_notes(notes)
        .with_32_bits(BASE)
        .write()
}

/// Where a disk's file system is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In the first partition.
    Partition,
    /// On the whole disk.
    Whole,
}

/// Writes the disk `name` with these files.
pub(crate) fn disk(
    scratch: &Scratch,
    name: &str,
    layout: Layout,
    files: &[(&str, &[u8])],
) -> String {
    const MIB: usize = 1 << 20;
    let folder = scratch.path(format!("{name}.files"));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (file, bytes) in files {
        let path = folder.join(file.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    let part = scratch.path(format!("{name}.part"));
    make_ext4(&folder, &part);
    let image = scratch.path(name);
    let bytes = std::fs::read(&part).expect("what mke2fs wrote");
    match layout {
        Layout::Whole => std::fs::write(&image, bytes),
        Layout::Partition => {
            let mut disk = vec![0; MIB];
            let sectors = u32::try_from(bytes.len() / 512).expect("a small disk");
            disk[446 + 4] = 0x83;
            disk[446 + 8..446 + 12].copy_from_slice(&2048_u32.to_le_bytes());
            disk[446 + 12..446 + 16].copy_from_slice(&sectors.to_le_bytes());
            disk[510..512].copy_from_slice(&[0x55, 0xaa]);
            disk.extend(bytes);
            std::fs::write(&image, disk)
        }
    }
    .expect("the disk");
    scratch.word(name)
}

fn make_ext4(folder: &Path, part: &Path) {
    let path = format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-L", "guest", "-U"])
        .arg("01234567-89ab-cdef-0123-456789abcdef")
        .arg("-d")
        .args([folder, part])
        .arg("16M")
        .env("PATH", path)
        .output()
        .expect("mke2fs; install the Debian package e2fsprogs");
    assert!(
        output.status.success(),
        "mke2fs: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
