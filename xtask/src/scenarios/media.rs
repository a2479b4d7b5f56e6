//! Disks that scenarios boot from.

use std::path::Path;

use crate::bed::{Bed, Kernel};
use crate::problem::Result;
use crate::scenario::Stage;
use crate::xen::disk::{self, DiskImage, FileSystem, Table};
use crate::xen::ramdisk::{self, Recipe};

/// The menu a disk carries.
pub(crate) enum Menu {
    /// `/boot/grub/menu.lst` with this text.
    Lst(String),
    /// `/boot/grub/grub.cfg` that boots at once.
    Grub2,
}

/// The menu of the sample disk: Debian's kernel with the first initrd, at once unless a key is pressed.
pub(crate) const SAMPLE_MENU: &str = "\
default 0
timeout 2

title Debian
    root (hd0,0)
    kernel /boot/vmlinuz root=/dev/xvda1 ro console=hvc0
    initrd /boot/initrd.img

title Debian, staying in its shell
    root (hd0,0)
    kernel /boot/vmlinuz root=/dev/xvda1 ro console=hvc0 pvgrub.stay
    initrd /boot/initrd.img
";

/// The sample disk's initrd.
fn sample_recipe() -> Recipe {
    Recipe {
        payload_bytes: 100_000,
        ..Recipe::default()
    }
}

/// The checksum that the guest on the sample disk prints of its initrd's payload.
///
/// # Errors
/// When the bed lacks a part of the initrd.
pub(crate) fn sample_payload_sha256(stage: &Stage, kernel: &Kernel) -> Result<String> {
    Ok(ramdisk::build(&stage.bed, kernel, &sample_recipe())?.payload_sha256)
}

/// Makes the sample disk in `folder`: MBR, one ext4 partition, kernel, initrd and menu.
///
/// # Errors
/// When a tool fails.
pub(crate) fn make(bed: &Bed, folder: &Path, kernel: &Kernel, menu: &Menu) -> Result<DiskImage> {
    let content = disk::fresh_folder(&folder.join("content"))?;
    disk::put(&content, "boot/vmlinuz", &kernel.image)?;
    let initrd = ramdisk::build(bed, kernel, &sample_recipe())?;
    disk::put_text(&content, "boot/initrd.img", &initrd.bytes)?;
    disk::put_text(&content, "marker", b"sample disk\n")?;
    match menu {
        Menu::Lst(text) => disk::put_text(&content, "boot/grub/menu.lst", text.as_bytes())?,
        Menu::Grub2 => disk::put_text(
            &content,
            "boot/grub/grub.cfg",
            b"set root=(xen/xvda,msdos1)\nlinux /boot/vmlinuz root=/dev/xvda1 ro console=hvc0\ninitrd /boot/initrd.img\nboot\n",
        )?,
    }
    let part = folder.join("part.img");
    // GRUB 2.06 cannot read what mke2fs of today makes, so its disk is an older ext.
    let kind = if matches!(menu, Menu::Grub2) {
        FileSystem::Ext3
    } else {
        FileSystem::Ext4
    };
    disk::make_file_system(bed, kind, &content, 96, &part)?;
    disk::join(Table::Mbr, &[part], 512, &folder.join("disk.img"))
}

/// A disk with this menu, made once a run under `name`.
///
/// # Errors
/// When a tool fails.
pub(crate) fn disk_with(
    stage: &Stage,
    name: &str,
    kernel: &Kernel,
    menu: &Menu,
) -> Result<DiskImage> {
    stage.image(name, |bed, folder| make(bed, folder, kernel, menu))
}

/// The sample disk for `kernel`.
///
/// # Errors
/// When a tool fails.
pub(crate) fn sample(stage: &Stage, kernel: &Kernel) -> Result<DiskImage> {
    let release = kernel
        .image
        .parent()
        .and_then(|p| p.file_name())
        .map(|n| n.to_string_lossy().into_owned());
    disk_with(
        stage,
        &format!("sample-{}", release.unwrap_or_default()),
        kernel,
        &Menu::Lst(SAMPLE_MENU.to_owned()),
    )
}

/// A disk whose file systems each hold `marker`, a line that says what they are.
///
/// # Errors
/// When a tool fails.
pub(crate) fn marked(
    bed: &Bed,
    folder: &Path,
    table: Table,
    sector_bytes: u32,
    kinds: &[FileSystem],
) -> Result<DiskImage> {
    let table_name = match table {
        Table::None => "none",
        Table::Mbr => "mbr",
        Table::MbrLogical => "logical",
        Table::Gpt => "gpt",
    };
    let mut parts = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let content = disk::fresh_folder(&folder.join("content"))?;
        let text = format!("{} on {table_name}\n", format!("{kind:?}").to_lowercase());
        disk::put_text(&content, "marker", text.as_bytes())?;
        let part = folder.join(format!("part{index}.img"));
        disk::make_file_system(bed, *kind, &content, 40, &part)?;
        parts.push(part);
    }
    disk::join(table, &parts, sector_bytes, &folder.join("disk.img"))
}

/// An empty disk of 3 TiB that takes no space.
///
/// # Errors
/// When the host's file system cannot hold such a file.
pub(crate) fn huge(folder: &Path) -> Result<DiskImage> {
    let path = folder.join("disk.img");
    std::fs::File::create(&path)?.set_len(3 << 40)?;
    Ok(DiskImage::new(&path))
}
