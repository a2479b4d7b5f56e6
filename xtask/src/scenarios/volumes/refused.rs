//! Volumes and arrays of kinds that are not read, as `lvcreate`, `lvconvert` and `mdadm` make them: each keeps its name,
//! and says what it is. A volume beside them boots.

use std::time::Duration;

use super::{LVM, file_system};
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{SOON, expect_hello_with, loader};
use crate::scenarios::menu::type_line;
use crate::scenarios::volumes::empty_disk;
use crate::xen::disk::{self, Table};
use crate::xen::guest::Trouble;
use crate::xen::storage;

const GUEST_MIB: u32 = 64;

pub(in crate::scenarios) const TABLE: &[Scenario] = &[Scenario {
    name: "volumes-refused",
    limit: Duration::from_secs(300),
    mib: GUEST_MIB,
    run: refused,
}];

/// Waits until dom0 has seen the partitions of `$d1`, `$d2` and `$d3`.
const SEEN: &str = "for d in $d1 $d2 $d3; do for n in 1 2 3 4; do i=0; until [ -b $d$n ]; do i=$((i+1)); \
    [ $i -lt 500 ] || exit 1; usleep 20000; done; done; done; ";
/// The first partitions are LVM's. dom0 has no programs to check thin pools and caches with.
const PARTS: &str = "a=${d1}1 b=${d2}1,${d3}1; \
    conf=\"$conf global { thin_check_executable=\\\"\\\" cache_check_executable=\\\"\\\" }\"; ";
/// Each is one command to dom0, which may have something else to do: they all together take half a minute.
const STEPS: &[&str] = &[
    "L pvcreate ${d1}1 ${d2}1 ${d3}1; L vgcreate -s 1M group ${d1}1 ${d2}1 ${d3}1; \
     L lvcreate -Wn -L 20M -n boot group; dd if=$fs of=/dev/group/boot bs=1M conv=fsync 2>/dev/null",
    "L lvcreate -Wn -L 4M -n old group; L lvcreate -s -L 4M -n snap group/old",
    "L lvcreate -Wn --type thin -V 16M -L 8M --thinpool pool -n thin group; L lvcreate -s -n thinner group/thin",
    "L lvcreate -Wn -L 8M -n cached group; L lvcreate --type cache-pool -L 8M -n fast group; \
     L lvconvert --type cache --cachepool group/fast group/cached",
    "L lvcreate -Wn --type raid5 -i 2 -L 8M -n five group; \
     L lvcreate -Wn --type raid0 -i 2 -L 8M -n zero group; L vgchange -an group",
    "for n in 0 5 10; do p=$((2+n/5)); mdadm --create /dev/md$((40+n)) --run --metadata=1.2 --name=level$n \
     --level=$n --raid-devices=3 $d1$p $d2$p $d3$p; mdadm --stop /dev/md$((40+n)); done",
];

fn refused(stage: &mut Stage) -> Outcome {
    let (files, module) = file_system(stage, "(lvm/group-boot)")?;
    let mut parts = Vec::new();
    for (index, mib) in [112, 8, 8, 8].into_iter().enumerate() {
        parts.push(empty_disk(stage, index, mib)?.path);
    }
    let mut disks = Vec::new();
    for number in 0..3 {
        let path = stage.folder.join(format!("whole{number}.img"));
        let image = disk::join(Table::Gpt, &parts, 512, &path)?;
        disks.push(stage.plug(&image)?);
    }
    let [one, two, three] = disks.as_slice() else {
        return Err(Trouble::Bed("three disks".to_owned()));
    };
    for kind in [
        "dm-thin-pool",
        "dm-cache",
        "dm-cache-smq",
        "raid0",
        "raid10",
        "raid456",
    ] {
        stage.load_modules(&[kind])?;
    }
    for step in STEPS {
        storage::run(
            stage,
            &format!("d1={one} d2={two} d3={three} fs={files}; {SEEN}{PARTS}{LVM}{step}"),
        )?;
    }
    let mut config = loader(stage, GUEST_MIB)?;
    for (letter, disk) in ('a'..).zip(&disks) {
        config = config.disk(&format!("vdev=xvd{letter},access=rw,target={disk}"));
    }
    let mut guest = stage.start(&config)?;
    let kinds = [
        ("root (lvm/group-thin)", "of type thin,"),
        ("geometry (lvm/group-thinner)", "of type thin,"),
        ("root (lvm/group-pool)", "of type thin-pool,"),
        ("kernel (lvm/group-cached)/boot/hello", "of type cache,"),
        ("root (lvm/group-snap)", "a snapshot of old,"),
        ("geometry (lvm/group-five)", "of type raid5"),
        ("kernel (lvm/group-zero)/boot/hello", "of type raid0"),
        ("root (md/level0)", "RAID 0,"),
        ("kernel (md/level5)/boot/hello", "RAID 5,"),
        ("geometry (md/level10)", "RAID 10,"),
    ];
    for (line, what) in kinds {
        type_line(&mut guest, "grub> ", line)?;
        guest.expect(&format!("it is {what}"), SOON)?;
        guest.expect("which pv-grub does not read", SOON)?;
    }
    // A search passes over them, and says so only where it finds nothing.
    type_line(&mut guest, "grub> ", "find /nothing")?;
    guest.expect("it is of type", SOON)?;
    type_line(&mut guest, "grub> ", "find --set-root /boot/menu")?;
    guest.expect("Filesystem type is ext4, LVM volume", SOON)?;
    type_line(&mut guest, "grub> ", "kernel /boot/hello beside=them")?;
    type_line(&mut guest, "grub> ", "initrd /boot/module")?;
    type_line(&mut guest, "grub> ", "boot")?;
    expect_hello_with(&mut guest, "beside=them", &module)
}
