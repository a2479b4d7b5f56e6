//! Debian's kernel from disks as installers lay them out: all of the system in a logical volume, or `/boot` on a partition
//! of its own and the rest in one. The guest's Linux activates the volume and mounts it.

use std::time::Duration;

use super::empty_disk;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::xen::disk::{self, FileSystem, Table};
use crate::xen::guest::Config;
use crate::xen::ramdisk::{self, Recipe};
use crate::xen::storage;

const LIMIT: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(150);
const GUEST_MIB: u32 = 256;
const ROOT_MIB: u64 = 112;

pub(in crate::scenarios) const TABLE: &[Scenario] = &[
    Scenario {
        name: "boot-debian12-in-lvm",
        limit: LIMIT,
        mib: GUEST_MIB,
        run: |stage| boot(stage, Layout::All),
    },
    Scenario {
        name: "boot-debian12-root-in-lvm",
        limit: LIMIT,
        mib: GUEST_MIB,
        run: |stage| boot(stage, Layout::BootApart),
    },
];

/// Where `/boot` is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layout {
    /// In the logical volume, which is on the first partition.
    All,
    /// On the first partition; the logical volume is on the second.
    BootApart,
}

/// What an initrd of Debian's does for a root in LVM, and words that say that it worked.
const ACTIVATE: &str = "export DM_DISABLE_UDEV=1 LVM_SUPPRESS_FD_WARNINGS=1; mkdir -p /run/lock/lvm /dev/mapper
lvm vgchange -ay --config 'global { locking_type=1 event_activation=0 } activation { udev_sync=0 udev_rules=0 monitoring=0 } \
devices { obtain_device_list_from_udev=0 external_device_info_source=none use_devicesfile=0 }' 2>&1
root=$(sed 's/.*root=\\([^ ]*\\).*/\\1/' /proc/cmdline)
mount -r -t ext4 $root /mnt && say \"root $root: $(cat /mnt/marker)\"
";

fn boot(stage: &mut Stage, layout: Layout) -> Outcome {
    let kernel = stage.bed.debian12.clone();
    let recipe = Recipe {
        payload_bytes: 100_000,
        more: ACTIVATE.to_owned(),
        programs: vec!["sbin/lvm"],
        modules: vec!["dm-mod"],
    };
    let initrd = ramdisk::build(&stage.bed, &kernel, &recipe)?;
    let (device, prefix) = match layout {
        Layout::All => ("(lvm/debian--vg-root)", "boot/"),
        Layout::BootApart => ("(hd0,0)", ""),
    };
    let menu = format!(
        "default 0\ntimeout 2\ntitle Debian GNU/Linux\n  root {device}\n  \
         kernel /{prefix}vmlinuz root=/dev/mapper/debian--vg-root ro console=hvc0\n  initrd /{prefix}initrd.img\n"
    );
    let with_boot = disk::fresh_folder(&stage.folder.join("with-boot"))?;
    disk::put(&with_boot, &format!("{prefix}vmlinuz"), &kernel.image)?;
    disk::put_text(&with_boot, &format!("{prefix}initrd.img"), &initrd.bytes)?;
    disk::put_text(
        &with_boot,
        &format!("{prefix}grub/menu.lst"),
        menu.as_bytes(),
    )?;
    let root = match layout {
        Layout::All => with_boot.clone(),
        Layout::BootApart => disk::fresh_folder(&stage.folder.join("root"))?,
    };
    disk::put_text(&root, "marker", b"the installed system")?;
    let root_image = stage.folder.join("root.img");
    let kind = FileSystem::Ext4OfDebian12;
    disk::make_file_system(&stage.bed, kind, &root, ROOT_MIB - 16, &root_image)?;
    let mut parts = vec![empty_disk(stage, 0, ROOT_MIB)?.path];
    if layout == Layout::BootApart {
        let boot_image = stage.folder.join("boot.img");
        disk::make_file_system(&stage.bed, FileSystem::Ext2, &with_boot, 96, &boot_image)?;
        parts.insert(0, boot_image);
    }
    let image = disk::join(Table::Gpt, &parts, 512, &stage.folder.join("disk.img"))?;
    let plugged = stage.plug(&image)?;
    let shared = stage.share(&root_image)?;
    let number = parts.len();
    storage::run(
        stage,
        &format!(
            "p={plugged}{number}; i=0; until [ -b $p ]; do i=$((i+1)); [ $i -lt 500 ] || exit 1; usleep 20000; done; \
             L() {{ c=$1; shift; lvm $c --config \"$conf\" --devices $p -y \"$@\"; }}; \
             L pvcreate $p; L vgcreate debian-vg $p; L lvcreate -Wn -l 100%FREE -n root debian-vg; \
             dd if={shared} of=/dev/debian-vg/root bs=1M conv=fsync 2>/dev/null; L vgchange -an debian-vg"
        ),
    )?;
    let loader = stage.share(&stage.loader)?;
    let config = Config::new(&loader, GUEST_MIB)
        .extra(&format!("{device}/{prefix}grub/menu.lst"))
        .disk(&format!("vdev=xvda,access=rw,target={plugged}"));
    let mut guest = stage.start(&config)?;
    guest.expect(
        "GUEST: cmdline=[root=/dev/mapper/debian--vg-root ro console=hvc0]",
        SOON,
    )?;
    guest.expect(
        &format!("GUEST: payload-sha256={}", initrd.payload_sha256),
        SOON,
    )?;
    guest.expect(
        "GUEST: root /dev/mapper/debian--vg-root: the installed system",
        SOON,
    )?;
    guest.expect("GUEST: user space reached", SOON)?;
    guest.wait_gone(SOON)?;
    Ok(())
}
