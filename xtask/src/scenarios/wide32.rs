//! 32-bit guests, through Debian's xen-shim: the hypervisor itself is built without them.
//!
//! A guest of the shim sees a PV hypervisor of its own, with real back ends behind it.

use std::path::PathBuf;
use std::time::Duration;

use crate::problem::Result;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::media;
use crate::xen::disk::{self, DiskImage, FileSystem, Table};
use crate::xen::guest::{Config, Trouble};

const TWO_MINUTES: Duration = Duration::from_secs(120);
const MIB: u32 = 192;

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "shim-grub",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| chain(stage, Table::Mbr, FileSystem::Ext3, MIB),
    },
    Scenario {
        name: "shim-64bit",
        limit: TWO_MINUTES,
        mib: 320,
        run: shim_64,
    },
];

/// What GRUB's menu entry writes: only its own configuration can know.
const GRUB_SAYS: &str = "GRUB read its menu from the same disk";

/// The 32-bit loader.
fn loader(stage: &Stage) -> PathBuf {
    stage.loader.with_file_name("pv-grub-x86_32.gz")
}

/// A guest of the shim.
fn config(kernel: &str, mib: u32) -> Config {
    Config::new(kernel, mib)
        .line("type=\"pvh\"")
        .line("pvshim=1")
}

/// The menu of disks for 32-bit guests, whose first entry, at once, is GRUB's own image.
fn menu(root: &str) -> String {
    format!(
        "default 0\ntimeout 0\ntitle GRUB\n  root {root}\n  kernel /boot/grub.bin\n\
         title Itself\n  root {root}\n  kernel /boot/pv-grub {root}/boot/grub/menu.lst\n\
         title Wrong width\n  root {root}\n  kernel /boot/vmlinuz\n"
    )
}

/// A disk with GRUB's 32-bit image, the loader and a 64-bit kernel, whose first partition has file system `kind`.
fn disk_with(stage: &Stage, table: Table, kind: FileSystem) -> Result<DiskImage> {
    let root = match table {
        Table::None => "(hd0)",
        _ => "(hd0,0)",
    };
    let loader = loader(stage);
    stage.image(&format!("wide32-{table:?}-{kind:?}"), |bed, folder| {
        let content = disk::fresh_folder(&folder.join("content"))?;
        let grub = bed.file("/grub-i386-xen.bin")?;
        disk::put(&content, "boot/grub.bin", &grub)?;
        disk::put(&content, "boot/pv-grub", &loader)?;
        disk::put(&content, "boot/vmlinuz", &bed.debian12.image)?;
        disk::put_text(&content, "boot/grub/menu.lst", menu(root).as_bytes())?;
        let entry = format!(
            "set timeout=0\nmenuentry 'here' {{\n  echo '{GRUB_SAYS}'\n  cat /boot/grub/said\n  halt\n}}\n"
        );
        disk::put_text(&content, "boot/grub/grub.cfg", entry.as_bytes())?;
        disk::put_text(&content, "boot/grub/said", b"and a file as well\n")?;
        let part = folder.join("part.img");
        disk::make_file_system(bed, kind, &content, 48, &part)?;
        disk::join(table, &[part], 512, &folder.join("disk.img"))
    })
}

/// Loader, menu, GRUB, its own menu: from one disk.
fn chain(stage: &mut Stage, table: Table, kind: FileSystem, mib: u32) -> Outcome {
    let disk = disk_with(stage, table, kind)?;
    let device = stage.plug(&disk)?;
    let kernel = stage.share(&loader(stage))?;
    let config = config(&kernel, mib)
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    guest.expect("(x86_32)", TWO_MINUTES)?;
    guest.expect(GRUB_SAYS, TWO_MINUTES)?;
    guest.expect("and a file as well", TWO_MINUTES)?;
    match guest.wait_gone(TWO_MINUTES)? {
        0 => Ok(()),
        reason => Err(Trouble::Guest(format!("GRUB ended with reason {reason}"))),
    }
}

/// The 64-bit loader and Debian's kernel as guests of the shim.
fn shim_64(stage: &mut Stage) -> Outcome {
    let kernel = stage.bed.debian12.clone();
    let disk = media::sample(stage, &kernel)?;
    let device = stage.plug(&disk)?;
    let loader = stage.share(&stage.loader)?;
    let config = config(&loader, 320)
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    guest.expect("(x86_64)", TWO_MINUTES)?;
    let sum = media::sample_payload_sha256(stage, &kernel)?;
    guest.expect(&format!("GUEST: payload-sha256={sum}"), TWO_MINUTES)?;
    guest.expect("GUEST: mounted xvda1 as ext4", TWO_MINUTES)?;
    guest.expect("GUEST: user space reached", TWO_MINUTES)?;
    Ok(())
}
