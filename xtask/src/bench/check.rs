//! `--only check`: how long `pvgrub check` takes on the host beside Debian's pygrub, over the same disks.
//!
//! pygrub's `-l` reads the menu and lists it; started as xl does, it also copies kernel and initrd out of the guest's disk.
//! `check --quick` reads headers, `check` unpacks the kernel and reads the initrd. One disk for each way in which
//! distributions pack their kernels.

use std::path::Path;
use std::time::Duration;

use super::report::{Goal, Report, median_seconds};
use super::stopwatch::{clocked, processor_time};
use crate::bed::Bed;
use crate::package;
use crate::problem::Result;
use crate::pygrub::Pygrub;
use crate::scenarios::packing::{self, Packing};
use crate::xen::disk::{self, DiskImage, FileSystem, Table};
use crate::xen::ramdisk::{self, Recipe};

/// Bytes of the initrd: as Debian's, which has modules for most machines.
const INITRD_BYTES: usize = 32 << 20;

/// As Debian's update-grub wrote it for one kernel.
const MENU: &str = "\
default 0
timeout 5

title Debian GNU/Linux
root (hd0,0)
kernel /boot/vmlinuz root=/dev/xvda1 ro console=hvc0
initrd /boot/initrd.img

title Debian GNU/Linux (Single-User)
root (hd0,0)
kernel /boot/vmlinuz root=/dev/xvda1 ro single console=hvc0
initrd /boot/initrd.img
";

/// Where a disk's kernel comes from.
#[derive(Clone, Copy)]
enum Origin {
    Debian12,
    Debian13,
    /// Debian 12's, packed anew.
    Repacked(Packing),
}

/// The disks, each named after what packs its kernel.
const DISKS: &[(&str, Origin)] = &[
    ("xz", Origin::Debian12),
    ("zstd", Origin::Debian13),
    ("gzip", Origin::Repacked(Packing::BzImageGzip)),
    (
        "lz4",
        Origin::Repacked(Packing::BzImage(&["lz4", "-l", "-9", "-c"])),
    ),
];

/// Measures with `rounds` turns of each, and prints the table. Returns how many goals were missed.
///
/// # Errors
/// When pvgrub does not build, or the bed has no pygrub that runs here.
pub(super) fn measure(bed: &Bed, folder: &Path, rounds: usize) -> Result<usize> {
    let pvgrub = package::build()?;
    let pygrub = Pygrub::find(bed, folder, clocked)?;
    let recipe = |payload_bytes| Recipe {
        payload_bytes,
        ..Recipe::default()
    };
    let small = ramdisk::build(bed, &bed.debian12, &recipe(0))?;
    let payload = INITRD_BYTES.saturating_sub(small.bytes.len());
    let initrd = ramdisk::build(bed, &bed.debian12, &recipe(payload))?.bytes;
    let mut report = Report::default();
    for (name, origin) in DISKS {
        println!("making the disk with {name}");
        let (disk, kernel_bytes) = make_disk(bed, folder, *origin, &initrd)?;
        let check = |words: &[&str]| {
            let mut command = clocked(&pvgrub);
            command.arg("check").args(words).arg(&disk.path);
            command
        };
        let mut times: [Vec<Duration>; 4] = Default::default();
        for round in 0..=rounds {
            let turns = [
                pygrub.list(&disk.path),
                pygrub.start(&disk.path),
                check(&["--quick"]),
                check(&[]),
            ];
            for (command, all) in turns.into_iter().zip(&mut times) {
                let time = processor_time(command, &[0])?;
                // The first one fills caches: the host's, and Python's of compiled modules.
                if round > 0 {
                    all.push(time);
                }
            }
        }
        std::fs::remove_file(&disk.path)?;
        let [list, copy, quick, whole] = times.map(|all| median_seconds(&all) * 1000.0);
        let kernel = format!(
            "{name}, {:.1} MiB",
            kernel_bytes as f64 / f64::from(1 << 20)
        );
        report.judge(
            &format!("`pvgrub check --quick`, beside `pygrub -l`: {kernel}"),
            &format!("{quick:.0} ms, pygrub {list:.0} ms"),
            quick / list,
            " x",
            Goal::AtMost(0.5),
        );
        report.tell(
            &format!("`pvgrub check`, which unpacks the kernel and reads the initrd: {kernel}"),
            &format!("{whole:.0} ms, pygrub as xl starts it, which copies both, {copy:.0} ms"),
        );
    }
    println!("\n{}", report.table());
    Ok(report.missed())
}

/// Makes a disk as Debian 12 makes one, and says how many bytes its kernel has.
fn make_disk(
    bed: &Bed,
    folder: &Path,
    origin: Origin,
    initrd: &[u8],
) -> Result<(DiskImage, usize)> {
    let kernel = match origin {
        Origin::Debian12 => std::fs::read(&bed.debian12.image)?,
        Origin::Debian13 => std::fs::read(&bed.debian13.image)?,
        Origin::Repacked(packing) => {
            let elf = folder.join("vmlinux");
            if !elf.exists() {
                packing::unpack(bed, &elf)?;
            }
            packing::packed(bed, &elf, packing)?
        }
    };
    let content = disk::fresh_folder(&folder.join("content"))?;
    disk::put_text(&content, "boot/vmlinuz", &kernel)?;
    disk::put_text(&content, "boot/initrd.img", initrd)?;
    disk::put_text(&content, "boot/grub/menu.lst", MENU.as_bytes())?;
    let part = folder.join("part.img");
    disk::make_file_system(bed, FileSystem::Ext4OfDebian12, &content, 96, &part)?;
    let joined = disk::join(Table::Mbr, &[part], 512, &folder.join("disk.img"))?;
    Ok((joined, kernel.len()))
}
