//! Kernel and module on logical volumes and RAID arrays that LVM and mdadm made in dom0.

mod debian;
mod names;
mod refused;
mod trees;

use std::time::Duration;

use crate::problem::Result;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{self, Content, Entry, content, expect_hello_with, loader};
use crate::scenarios::wide32::SHIM_MIB;
use crate::xen::disk::{self, DiskImage, FileSystem, MIB};
use crate::xen::storage;

const LIMIT: Duration = Duration::from_secs(240);
const GUEST_MIB: u32 = 64;

/// Where the file system on the volume comes from; dom0 knows it as `$fs`.
const COPY: &str = "dd if=$fs of=$dev bs=1M conv=fsync 2>/dev/null; ";

/// Disks of a guest and what dom0 makes of them.
struct Volume {
    /// Size of each disk in MiB.
    disks: &'static [u64],
    /// Shell that makes the volume, puts its device into `$dev`, and after [`COPY`] takes it apart again. The disks are
    /// `$a` and `$b`.
    make: &'static str,
    close: &'static str,
    /// The volume's name in the menu.
    name: &'static str,
    /// Which of the disks the guest gets.
    given: &'static [usize],
}

macro_rules! volumes {
    ($($name:literal $disks:expr, $given:expr, $volume:literal $make:expr, $close:expr;)*) => {
        &[$(Scenario {
            name: $name,
            limit: LIMIT,
            mib: GUEST_MIB + SHIM_MIB,
            run: |stage| {
                let stage = if $name.starts_with("shim-") { stage.of_32_bits() } else { stage };
                place(stage, &Volume {
                    disks: &$disks, make: $make, close: $close, name: $volume, given: &$given,
                })
            },
        }),*]
    };
}

/// `lvm` for the two disks alone.
const LVM: &str = "L() { c=$1; shift; lvm $c --config \"$conf\" --devices $a,$b -y \"$@\"; }; ";

pub(super) use debian::TABLE as DEBIAN;
pub(super) use names::TABLE as NAMES;
pub(super) use refused::TABLE as REFUSED;
pub(super) use trees::TABLE as TREES;

pub(super) const PLACES: &[Scenario] = volumes! {
    "place-lvm-linear" [24, 24], [0, 1], "(lvm/my--group-ro--ot)"
        "L pvcreate $a $b; L vgcreate -s 1M my-group $a $b; L lvcreate -Wn -l 1 -n ro-ot my-group $b; \
         for d in $a $b $a $b; do L lvextend -l +1 my-group/ro-ot $d; done; \
         L lvextend -l +100%FREE my-group/ro-ot; dev=/dev/my-group/ro-ot; ",
        "L vgchange -an my-group";
    "place-lvm-striped-two-disks" [24, 24], [0, 1], "(lvm/striped-root)"
        "L pvcreate $a $b; L vgcreate striped $a $b; L lvcreate -Wn -i 2 -I 64k -l 100%FREE -n root striped; dev=/dev/striped/root; ",
        "L vgchange -an striped";
    "place-lvm-raid1" [48, 48], [0, 1], "(lvm/raid-root)"
        "L pvcreate $a $b; L vgcreate raid $a $b; L lvcreate -Wn --type raid1 -m 1 -L 28M -n root raid; dev=/dev/raid/root; ",
        "L vgchange -an raid";
    "place-lvm-raid1-one-leg-missing" [48, 48], [1], "(lvm/half-root)"
        "L pvcreate $a $b; L vgcreate half $a $b; L lvcreate -Wn --type raid1 -m 1 -L 28M -n root half; dev=/dev/half/root; ",
        "until L lvs --noheadings -o copy_percent half | grep -q 100; do sleep 1; done; L vgchange -an half";
    "place-lvm-mirror" [48, 48], [0, 1], "(lvm/mirror-root)"
        "L pvcreate $a $b; L vgcreate mirror $a $b; L lvcreate -Wn --type mirror --mirrorlog core -m 1 -L 28M -n root mirror; dev=/dev/mirror/root; ",
        "L vgchange -an mirror";
    "place-lvm-snapshot-origin" [48, 48], [0, 1], "(lvm/origin-root)"
        "L pvcreate $a $b; L vgcreate origin $a $b; L lvcreate -Wn -L 28M -n root origin; dev=/dev/origin/root; ",
        "L lvcreate -s -L 8M -n snap origin/root; dd if=/dev/zero of=/dev/origin/snap bs=1M count=4 conv=fsync 2>/dev/null; L vgchange -an origin";
    "place-lvm-on-md" [48, 48], [0, 1], "(lvm/above-root)"
        "mdadm --create /dev/md122 --run --metadata=1.0 --level=1 --raid-devices=2 --assume-clean $a $b; p=$a q=$b a=/dev/md122 b=/dev/md122; \
         L pvcreate $a; L vgcreate above $a; L lvcreate -Wn -l 100%FREE -n root above; dev=/dev/above/root; ",
        "L vgchange -an above; mdadm --stop /dev/md122";
    "shim-place-lvm-linear" [24, 24], [0, 1], "(lvm/thirty--two-root)"
        "L pvcreate $a $b; L vgcreate thirty-two $a $b; L lvcreate -Wn -l 100%FREE -n root thirty-two; dev=/dev/thirty-two/root; ",
        "L vgchange -an thirty-two";
    "shim-place-md-1.2" [32, 32], [0, 1], "(md/bits)"
        "mdadm --create /dev/md123 --run --metadata=1.2 --name=bits --level=1 --raid-devices=2 --assume-clean $a $b; dev=/dev/md123; ",
        "mdadm --stop $dev";
    "place-md-0.90" [32, 32], [0, 1], "(md/90)"
        "mdadm --create /dev/md90 --run --metadata=0.90 --level=1 --raid-devices=2 --assume-clean $a $b; dev=/dev/md90; ",
        "mdadm --stop $dev";
    "place-md-1.0" [32, 32], [0, 1], "(md/ten)"
        "mdadm --create /dev/md100 --run --metadata=1.0 --name=ten --level=1 --raid-devices=2 --assume-clean $a $b; dev=/dev/md100; ",
        "mdadm --stop $dev";
    "place-md-1.1" [32, 32], [0, 1], "(md/eleven)"
        "mdadm --create /dev/md110 --run --metadata=1.1 --name=eleven --level=1 --raid-devices=2 --assume-clean $a $b; dev=/dev/md110; ",
        "mdadm --stop $dev";
    "place-md-1.2" [32, 32], [0, 1], "(md/120)"
        "mdadm --create /dev/md120 --run --metadata=1.2 --homehost=dom0 --level=1 --raid-devices=2 --assume-clean $a $b; dev=/dev/md120; ",
        "mdadm --stop $dev";
    "place-md-1.0-one-half" [32, 32], [1], "(md/half)"
        "mdadm --create /dev/md101 --run --metadata=1.0 --name=half --level=1 --raid-devices=2 --assume-clean $a $b; dev=/dev/md101; ",
        "mdadm --stop $dev";
    // The first half was taken out before anything was written: what it has is old.
    "place-md-1.2-stale-half" [32, 32], [0, 1], "(md/stale)"
        "mdadm --create /dev/md124 --run --metadata=1.2 --name=stale --level=1 --raid-devices=2 --assume-clean $a $b; dev=/dev/md124; \
         mdadm $dev --fail $a --remove $a; ",
        "mdadm --stop $dev";
    "place-md-0.90-stale-half" [32, 32], [0, 1], "(md/89)"
        "mdadm --create /dev/md89 --run --metadata=0.90 --level=1 --raid-devices=2 --assume-clean $a $b; dev=/dev/md89; \
         mdadm $dev --fail $a --remove $a; ",
        "mdadm --stop $dev";
    // The first half was put in last, and has hardly been written yet.
    "place-md-1.0-half-being-rebuilt" [32, 32], [0, 1], "(md/rebuilt)"
        "mdadm --create /dev/md125 --run --metadata=1.0 --name=rebuilt --level=1 --raid-devices=2 missing $b; dev=/dev/md125; ",
        "echo 1 > /sys/block/md125/md/sync_speed_max; echo 1 > /sys/block/md125/md/sync_speed_min; mdadm $dev --add $a; \
         grep -q recover /sys/block/md125/md/sync_action; mdadm --stop $dev";
    "place-md-linear" [24, 24], [0, 1], "(md/lin)"
        "mdadm --create /dev/md121 --run --metadata=1.2 --name=lin --level=linear --raid-devices=2 $a $b; dev=/dev/md121; ",
        "mdadm --stop $dev";
};

fn place(stage: &mut Stage, volume: &Volume) -> Outcome {
    let (file_system, module) = file_system(stage, volume.name)?;
    let devices = plug_empty(stage, volume.disks)?;
    let names = devices.join(" ");
    storage::run(
        stage,
        &format!(
            "set -- {names}; a=$1 b=$2 fs={file_system}; {LVM}{}{COPY}{}",
            volume.make, volume.close
        ),
    )?;
    let mut config = loader(stage, GUEST_MIB)?.extra(&format!("{}/boot/menu", volume.name));
    for (letter, &index) in ('a'..='z').zip(volume.given) {
        config = config.disk(&format!(
            "vdev=xvd{letter},access=rw,target={}",
            devices[index]
        ));
    }
    let mut guest = stage.start(&config)?;
    expect_hello_with(&mut guest, &format!("on={}", volume.name), &module)
}

/// Plugs empty disks of `sizes` MiB into dom0, and returns their devices there.
fn plug_empty(stage: &mut Stage, sizes: &[u64]) -> Result<Vec<String>> {
    let plug = |(index, &mib)| {
        let image = empty_disk(stage, index, mib)?;
        stage.plug(&image)
    };
    sizes.iter().enumerate().map(plug).collect()
}

fn empty_disk(stage: &Stage, index: usize, mib: u64) -> Result<DiskImage> {
    let path = stage.folder.join(format!("disk{index}.img"));
    std::fs::File::create(&path)?.set_len(mib * MIB)?;
    Ok(DiskImage::new(&path))
}

/// A file system of 16 MiB with kernel, module and menu, as a path in dom0; and the module.
fn file_system(stage: &Stage, name: &str) -> Result<(String, Vec<u8>)> {
    let module = hello::module(3_000_001);
    let menu = format!(
        "default 0\ntimeout 0\ntitle Hello\n  root {name}\n  kernel /boot/hello on={name}\n  initrd /boot/module\n"
    );
    let files: Vec<Content> = vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content("boot/module", &module),
        content("boot/menu", menu),
    ];
    let folder = disk::fresh_folder(&stage.folder.join("content"))?;
    for (path, bytes) in &files {
        disk::put_text(&folder, path, bytes)?;
    }
    let image = stage.folder.join("fs.img");
    disk::make_file_system(&stage.bed, FileSystem::Ext4, &folder, 16, &image)?;
    Ok((stage.share(&image)?, module))
}
