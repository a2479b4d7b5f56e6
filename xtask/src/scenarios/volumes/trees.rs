//! Trees on logical volumes and arrays: written by dom0's Linux and compared on the host name by name, as
//! [`super::super::files`] does for file systems that fill a disk.
//!
//! The first volume of each set is filled. Its disks are copied while it is mounted and its journal waits, and again when
//! it is unmounted and its bytes are on the other volumes, too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::fs::{Candidate, DeviceName, Logical, assemble, partitions};

use super::{COPY, LVM, plug_empty};
use crate::command::output;
use crate::problem::Result;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::files::{copy, no_warnings, unmount};
use crate::scenarios::tree::{self, Commit, Names};
use crate::xen::disk::DiskImage;
use crate::xen::guest::Trouble;
use crate::xen::storage;

const LIMIT: Duration = Duration::from_secs(420);
/// Size of the file system; the volumes are at least as large.
const FILES_MIB: u64 = 20;

pub(in crate::scenarios) const TABLE: &[Scenario] = &[
    Scenario {
        name: "fs-lvm",
        limit: LIMIT,
        mib: 16,
        run: |stage| compare(stage, &LOGICAL_VOLUMES),
    },
    Scenario {
        name: "fs-md",
        limit: LIMIT,
        mib: 16,
        run: |stage| compare(stage, &ARRAYS),
    },
];

/// Volumes on the same disks.
struct Set {
    /// Size of each disk in MiB.
    disks: &'static [u64],
    /// Shell that makes them of the disks, which are `$1` and so on, and shell that takes them apart.
    make: &'static str,
    close: &'static str,
    /// Their devices in dom0, and their names in the loader.
    volumes: &'static [(&'static str, &'static str)],
}

const LOGICAL_VOLUMES: Set = Set {
    disks: &[64, 64],
    make: "L pvcreate $a $b; L vgcreate -s 1M trees $a $b; L lvcreate -Wn -l 5 -n linear trees $b; \
           for d in $a $b; do L lvextend -l +3 trees/linear $d; done; L lvextend -l 20 trees/linear; \
           L lvcreate -Wn -i 2 -I 64k -l 20 -n striped trees; \
           L lvcreate -Wn --type raid1 -m 1 -l 20 -n raid1 trees; ",
    close: "L vgchange -an trees",
    volumes: &[
        ("/dev/trees/linear", "(lvm/trees-linear)"),
        ("/dev/trees/striped", "(lvm/trees-striped)"),
        ("/dev/trees/raid1", "(lvm/trees-raid1)"),
    ],
};

const ARRAYS: Set = Set {
    disks: &[32, 32, 32, 32, 16, 16],
    make: "M() { n=$1; shift; mdadm --create /dev/md$n --run --raid-devices=2 \"$@\"; }; \
           M 110 --metadata=1.2 --name=trees --level=1 --assume-clean $1 $2; \
           M 111 --metadata=0.90 --level=1 --assume-clean $3 $4; \
           M 112 --metadata=1.2 --name=row --level=linear $5 $6; ",
    close: "for n in 110 111 112; do mdadm --stop /dev/md$n; done",
    volumes: &[
        ("/dev/md110", "(md/trees)"),
        ("/dev/md111", "(md/111)"),
        ("/dev/md112", "(md/row)"),
    ],
};

fn compare(stage: &mut Stage, set: &Set) -> Outcome {
    let devices = plug_empty(stage, set.disks)?.join(" ");
    let empty = stage.folder.join("fs.img");
    let mut command = stage.bed.tools.command("mke2fs")?;
    command.args(["-q", "-F", "-t", "ext4", "-b", "1024"]);
    output(command.arg(&empty).arg(format!("{FILES_MIB}M")))?;
    let files = stage.share(&empty)?;
    let [(filled, name), others @ ..] = set.volumes else {
        return Err(Trouble::Bed("no volumes".to_owned()));
    };
    let begin = format!("set -- {devices}; a=$1 b=$2 fs={files} dev={filled}; {LVM}");
    storage::run(stage, &format!("{begin}{}{COPY}", set.make))?;
    let folder = format!("/mnt{filled}");
    stage.dom0.run(&format!(
        "mkdir -p {folder} && mount -t ext4 {filled} {folder}"
    ))?;
    tree::fill(stage, &folder, Names::Posix)?;
    tree::change(stage, &folder, Commit::Whole)?;
    // All of it is committed then, and little of that is in its place.
    stage.dom0.run(&format!("sync -f {folder}"))?;
    let disks: Vec<PathBuf> = (0..set.disks.len())
        .map(|index| stage.folder.join(format!("disk{index}.img")))
        .collect();
    let crashed = copies(&disks)?;
    let list = tree::list(stage, &folder)?;
    unmount(stage, &folder)?;
    let targets: Vec<&str> = others.iter().map(|(device, _)| *device).collect();
    let more = format!(
        "S() {{ head -c {} $1 | md5sum; }}; sum=$(S $dev); for to in {}; do dd if=$dev of=$to bs=1M count={FILES_MIB} conv=fsync 2>/dev/null; \
         [ \"$sum\" = \"$(S $to)\" ]; done; ",
        FILES_MIB << 20,
        targets.join(" ")
    );
    storage::run(stage, &format!("{begin}{more}{}", set.close))?;
    check(&crashed, name, &list, State::Dirty)?;
    for (_, name) in set.volumes {
        check(&disks, name, &list, State::Clean)?;
    }
    Ok(())
}

/// Copies of disks as they are now. Nothing is being written.
fn copies(disks: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let numbered = disks.iter().enumerate();
    numbered
        .map(|(index, disk)| copy(&DiskImage::new(disk), &format!("crash{index}.img")))
        .collect()
}

/// How a file system was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Clean,
    /// Its journal waits.
    Dirty,
}

/// Compares what is on the volume `name` of `disks` with Linux' list.
fn check(disks: &[PathBuf], name: &str, list: &str, state: State) -> Outcome {
    let found = volumes(disks)?;
    let names: Vec<String> = found.iter().map(|one| one.name.to_string()).collect();
    let one = found.iter().find(|one| one.name.to_string() == name);
    let wrong = |why: String| Trouble::Guest(format!("{name}, {state:?}: {why}"));
    let one = one.ok_or_else(|| wrong(format!("there is only {}", names.join(" "))))?;
    let volume = one.volume.as_ref().map_err(|why| wrong(why.clone()))?;
    // `s_feature_incompat` and its bit for a journal that waits.
    let mut bits = [0];
    let read = volume.read_at(1024 + 0x60, &mut bits);
    read.map_err(|error| wrong(error.to_string()))?;
    if (bits[0] & 4 != 0) != (state == State::Dirty) {
        return Err(wrong("it was left in another way".to_owned()));
    }
    let files = ::fs::mount(volume).map_err(|error| wrong(error.to_string()))?;
    no_warnings(files.as_ref())?;
    let compared = tree::compare(files.as_ref(), list, |_| false);
    compared.map(drop).map_err(|trouble| match trouble {
        Trouble::Guest(why) => wrong(why),
        other => other,
    })
}

/// What `disks` make together.
fn volumes(disks: &[PathBuf]) -> std::result::Result<Vec<Logical>, Trouble> {
    let mut candidates = Vec::new();
    for (disk, path) in (0..).zip(disks) {
        let cache = tree::disk(path)?;
        let table = partitions(&cache).map_err(|error| unreadable(path, &error.to_string()))?;
        let whole = DeviceName::Disk {
            disk,
            partition: None,
        };
        candidates.extend(Candidate::all(&whole, &cache, &table));
    }
    Ok(assemble(candidates).logicals)
}

fn unreadable(path: &Path, why: &str) -> Trouble {
    Trouble::Guest(format!("{}: {why}", path.display()))
}
