//! Guests that `xl` starts without the loader: proof that the bed itself works, and what the loader is compared with.

use std::time::Duration;

use crate::bed::Kernel;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::media::{self, Menu};
use crate::xen::guest::Config;
use crate::xen::ramdisk::{self, Recipe};

const TWO_MINUTES: Duration = Duration::from_secs(120);

pub(super) const TABLE: &[Scenario] = &[
    Scenario { name: "direct-debian12", limit: TWO_MINUTES, mib: 256, run: |stage| direct(stage, &stage.bed.debian12.clone()) },
    Scenario { name: "direct-debian13", limit: TWO_MINUTES, mib: 512, run: |stage| direct(stage, &stage.bed.debian13.clone()) },
    Scenario { name: "direct-grub2", limit: TWO_MINUTES, mib: 256, run: grub2 },
];

/// A kernel and initrd loaded by xl itself, with disk and network.
fn direct(stage: &mut Stage, kernel: &Kernel) -> Outcome {
    let disk = media::sample(stage, kernel)?;
    let device = stage.plug(&disk)?;
    let image = stage.share(&kernel.image)?;
    let ramdisk = ramdisk::build(&stage.bed, kernel, &Recipe { payload_bytes: 100_000, ..Recipe::default() })?;
    let initrd = stage.share_bytes("initrd", &ramdisk.bytes)?;
    let config = Config::new(&image, 256)
        .ramdisk(&initrd)
        .extra("console=hvc0 probe=1")
        .disk(&format!("vdev=xvda,access=rw,target={device}"))
        .interface(9);
    let mut guest = stage.start(&config)?;
    guest.expect("GUEST: cmdline=[console=hvc0 probe=1]", TWO_MINUTES)?;
    guest.expect(&format!("GUEST: payload-sha256={}", ramdisk.payload_sha256), TWO_MINUTES)?;
    guest.expect("GUEST: mounted xvda1 as ext4", TWO_MINUTES)?;
    guest.expect("GUEST: network works", TWO_MINUTES)?;
    guest.expect("GUEST: user space reached", TWO_MINUTES)?;
    guest.wait_gone(TWO_MINUTES)?;
    Ok(())
}

/// GRUB 2's own image for Xen guests, which reads `grub.cfg` and the kernel from the guest's disk.
fn grub2(stage: &mut Stage) -> Outcome {
    let kernel = stage.bed.debian12.clone();
    let disk = media::disk_with(stage, "grub2-debian12", &kernel, &Menu::Grub2)?;
    let device = stage.plug(&disk)?;
    let grub = stage.share(&stage.bed.file("/grub-x86_64-xen.bin")?)?;
    let config = Config::new(&grub, 256).disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    guest.expect("GUEST: user space reached", TWO_MINUTES)?;
    Ok(())
}
