//! Arrays and logical volumes at the prompt: searched for, by label and UUID, completed, described, refused.

use std::time::Duration;

use super::{COPY, LVM, file_system, plug_empty};
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{SOON, expect_hello_with, loader};
use crate::scenarios::menu::type_line;
use crate::scenarios::wide32::SHIM_MIB;
use crate::xen::guest::Trouble;
use crate::xen::storage;

const LIMIT: Duration = Duration::from_secs(240);
const MIB: u32 = 64;

pub(in crate::scenarios) const TABLE: &[Scenario] = &[
    Scenario {
        name: "volumes-by-name",
        limit: LIMIT,
        mib: MIB,
        run: |stage| by_name(stage, "wide"),
    },
    Scenario {
        name: "shim-volumes-by-name",
        limit: LIMIT,
        mib: MIB + SHIM_MIB,
        run: |stage| by_name(stage.of_32_bits(), "narrow"),
    },
];

/// A mirror whose halves look like file systems, and a volume with a snapshot, on three disks. dom0 knows the scenario's
/// word as `$w`.
const MAKE: &str = "mdadm --create /dev/md/$w --run --metadata=1.0 --name=$w --level=1 --raid-devices=2 --assume-clean $x $y; \
                    dev=$(readlink -f /dev/md/$w); ";
const THEN: &str = "mdadm --stop $dev; L pvcreate $a; L vgcreate $w $a; L lvcreate -Wn -L 28M -n root $w; dev=/dev/$w/root; ";
const LAST: &str = "L lvcreate -s -L 4M -n snap $w/root; L vgchange -an $w";

/// `word` is the name of the array and of the group; two scenarios may run in one dom0.
fn by_name(stage: &mut Stage, word: &str) -> Outcome {
    let array = format!("(md/{word})");
    let (files, module) = file_system(stage, &array)?;
    let disks = plug_empty(stage, &[32, 32, 48])?;
    let names = disks.join(" ");
    storage::run(
        stage,
        &format!(
            "set -- {names}; w={word} x=$1 y=$2 a=$3 b=$3 fs={files}; {LVM}{MAKE}{COPY}{THEN}{COPY}{LAST}"
        ),
    )?;
    let mut config = loader(stage, MIB)?;
    for (letter, disk) in ('a'..).zip(&disks) {
        config = config.disk(&format!("vdev=xvd{letter},access=rw,target={disk}"));
    }
    let mut guest = stage.start(&config)?;
    let mirror = "Filesystem type is ext4, RAID 1, 2 of 2 members";
    let answers = [
        ("find /boot/menu", format!("(lvm/{word}-root)")),
        ("find --set-root --label pvgrub", mirror.into()),
        (
            "root UUID=3e6be9de-8139-4c4a-9106-a43f08d823a6",
            mirror.into(),
        ),
        (
            "root (hd0)",
            format!("(hd0) is a member of the RAID array {array}, and read by itself"),
        ),
        (&format!("geometry {array}"), format!("drive {array}: 65")),
        (
            &format!("root (lvm/{word}-snap)"),
            "it is a snapshot of root, which pv-grub does not read; root it does".into(),
        ),
        (
            "root (lvm/nothing)",
            format!("the domain's disks hold {array} (lvm/{word}-root) (lvm/{word}-snap)"),
        ),
        ("root (hd2)", "this is an LVM physical volume".into()),
        (
            &format!("root (lvm/{word}-root)"),
            "Filesystem type is ext4, LVM volume".into(),
        ),
    ];
    for (line, answer) in answers {
        type_line(&mut guest, "grub> ", line)?;
        guest.expect(&answer, SOON)?;
    }
    let console = String::from_utf8_lossy(&guest.console()).into_owned();
    let lists = |name: &str| console.lines().any(|line| line.trim() == name);
    if lists("(hd0)") || lists("(hd1)") || !lists(&array) {
        return Err(Trouble::Guest(
            "`find` lists halves of the mirror, or not the mirror".into(),
        ));
    }
    // TAB knows the array and the file.
    guest.expect("grub> ", SOON)?;
    guest.type_keys(b"kernel (m\t/boot/hel\tby=names\r")?;
    type_line(&mut guest, "grub> ", &format!("initrd {array}/boot/module"))?;
    type_line(&mut guest, "grub> ", "boot")?;
    expect_hello_with(&mut guest, "by=names", &module)
}
