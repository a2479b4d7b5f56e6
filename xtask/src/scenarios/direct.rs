//! Guests that `xl` starts without the loader: proof that the bed itself works, and what the loader is compared with.

use std::time::Duration;

use crate::bed::Kernel;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::media::{self, Menu};
use crate::xen::disk::{FileSystem, Table};
use crate::xen::guest::{Config, Trouble};
use crate::xen::ramdisk::{self, Recipe};

const TWO_MINUTES: Duration = Duration::from_secs(120);

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "direct-debian12",
        limit: TWO_MINUTES,
        mib: 256,
        run: |stage| direct(stage, &stage.bed.debian12.clone()),
    },
    Scenario {
        name: "direct-debian13",
        limit: TWO_MINUTES,
        mib: 512,
        run: |stage| direct(stage, &stage.bed.debian13.clone()),
    },
    Scenario {
        name: "direct-grub2",
        limit: TWO_MINUTES,
        mib: 256,
        run: grub2,
    },
    Scenario {
        name: "direct-media",
        limit: TWO_MINUTES,
        mib: 256,
        run: media_seen_by_linux,
    },
];

/// A kernel and initrd loaded by xl itself, with disk and network.
fn direct(stage: &mut Stage, kernel: &Kernel) -> Outcome {
    let disk = media::sample(stage, kernel)?;
    let device = stage.plug(&disk)?;
    let image = stage.share(&kernel.image)?;
    let ramdisk = ramdisk::build(
        &stage.bed,
        kernel,
        &Recipe {
            payload_bytes: 100_000,
            ..Recipe::default()
        },
    )?;
    let joined = [
        ramdisk.bytes,
        ramdisk::addition("second", "a second archive"),
    ]
    .concat();
    let initrd = stage.share_bytes("initrd", &joined)?;
    let config = Config::new(&image, 256)
        .ramdisk(&initrd)
        .extra("console=hvc0 probe=1")
        .disk(&format!("vdev=xvda,access=rw,target={device}"))
        .interface(9);
    let mut guest = stage.start(&config)?;
    guest.expect("GUEST: cmdline=[console=hvc0 probe=1]", TWO_MINUTES)?;
    guest.expect(
        &format!("GUEST: payload-sha256={}", ramdisk.payload_sha256),
        TWO_MINUTES,
    )?;
    guest.expect("GUEST: second=a second archive", TWO_MINUTES)?;
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

/// Every kind of disk that the bed makes, judged by Linux; and keys typed into its shell.
fn media_seen_by_linux(stage: &mut Stage) -> Outcome {
    use FileSystem::{Ext2, Ext4, Fat16, Fat32, Iso9660};
    let kernel = stage.bed.debian12.clone();
    let disks = [
        ("xvda", Table::MbrLogical, 512, vec![Ext4, Fat16]),
        ("xvdb", Table::Gpt, 512, vec![Ext2, Fat32]),
        ("xvdc", Table::None, 512, vec![Iso9660]),
        ("xvdd", Table::Gpt, 4096, vec![Ext4]),
        ("xvde", Table::Mbr, 4096, vec![Ext4]),
    ];
    let mut config =
        Config::new(&stage.share(&kernel.image)?, 256).extra("console=hvc0 pvgrub.stay");
    for (name, table, sector, kinds) in disks {
        let image = stage.image(&format!("media-{name}"), |bed, folder| {
            media::marked(bed, folder, table, sector, &kinds)
        })?;
        let device = stage.plug(&image)?;
        config = config.disk(&format!("vdev={name},access=rw,target={device}"));
    }
    let huge = stage.image("media-huge", |_, folder| media::huge(folder))?;
    let device = stage.plug(&huge)?;
    config = config.disk(&format!("vdev=xvdf,access=rw,target={device}"));
    config = config.interface(10);
    let ramdisk = ramdisk::build(&stage.bed, &kernel, &Recipe::default())?;
    let initrd = stage.share_bytes("initrd", &ramdisk.bytes)?;
    let mut guest = stage.start(&config.ramdisk(&initrd))?;
    for line in [
        "disk xvdd sectors=", // in units of 512 bytes, whatever the size
        "sector-bytes=4096",
        "disk xvdf sectors=6442450944 sector-bytes=512",
        "marker xvda5=ext4 on logical",
        "marker xvda6=fat16 on logical",
        "marker xvdb1=ext2 on gpt",
        "marker xvdb2=fat32 on gpt",
        "marker xvdc=iso9660 on none",
        "marker xvdd1=ext4 on gpt",
        "marker xvde1=ext4 on mbr",
        "user space reached",
    ] {
        guest.expect(line, TWO_MINUTES)?;
    }
    guest.expect("# ", TWO_MINUTES)?;
    guest.type_keys(b"echo $((6*7))-is-typed; poweroff -f\n")?;
    guest.expect("42-is-typed", TWO_MINUTES)?;
    match guest.wait_gone(TWO_MINUTES)? {
        0 => Ok(()),
        reason => Err(Trouble::Guest(format!(
            "the guest ended with reason {reason}, not 0 for power-off"
        ))),
    }
}
