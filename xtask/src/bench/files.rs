//! `--only files`: what a file system costs beside the bare disk. One boot reads, as three initrds, 64 MiB of the disk
//! by a block list, a file of 64 MiB in one piece, and one in pieces of 4 KiB.

use std::path::Path;

use super::report::Goal;
use super::{Bench, initrd_rates};
use crate::bed::Bed;
use crate::command::output;
use crate::problem::{Context, Problem, Result};
use crate::scenarios::tree;
use crate::xen::disk::{self, DiskImage};

const FILE_BYTES: usize = 64 << 20;
const PIECE_BYTES: usize = 4096;
const PIECES: usize = FILE_BYTES / PIECE_BYTES;
/// Files in each folder: e2fsprogs looks through a folder for each new name.
const IN_A_FOLDER: usize = 256;

const MENU: &str = "\
default 0
timeout 0
title Files
    kernel (hd0,0)/boot/witness
    initrd (hd1)0+131072
    initrd (hd1)/whole
    initrd (hd1)/pieces
";

/// Makes the disk: ext4 as mke2fs has it, filled with small files of which every other one goes, and the file in pieces
/// comes where they were.
fn make_disk(bed: &Bed, folder: &Path) -> Result<DiskImage> {
    let content = disk::fresh_folder(&folder.join("files"))?;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let bytes: Vec<u8> = (0..FILE_BYTES / 8)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    disk::put_text(&content, "whole", &bytes)?;
    disk::put_text(&content, "menu.lst", MENU.as_bytes())?;
    let mut script = String::new();
    for (number, piece) in bytes.chunks(PIECE_BYTES).enumerate() {
        let place = format!("{}/{number}", number / IN_A_FOLDER);
        disk::put_text(&content, &format!("{place}-stays"), piece)?;
        disk::put_text(&content, &format!("{place}-goes"), piece)?;
        script.push_str(&format!("rm {place}-goes\n"));
    }
    let image = folder.join("files.img");
    let mut make = bed.tools.command("mke2fs")?;
    make.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-N", "34000", "-d"]);
    output(make.arg(&content).arg(&image).arg("320M"))?;
    script.push_str(&format!(
        "write {} pieces\n",
        content.join("whole").display()
    ));
    let commands = folder.join("files.debugfs");
    std::fs::write(&commands, script)?;
    let mut change = bed.tools.command("debugfs")?;
    output(change.args(["-w", "-f"]).arg(&commands).arg(&image))?;
    std::fs::remove_dir_all(&content)?;

    // It is what it shall be: the one file in few pieces, the other in more than anybody counts.
    let files = tree::mount(&image).map_err(super::lab::problem)?;
    let count = |path: &[u8]| {
        let file = files
            .open(path)
            .context(|| path.escape_ascii().to_string())?;
        Ok::<_, Problem>(
            file.stretches()
                .map_or(usize::MAX, |stretches| stretches.len()),
        )
    };
    let (whole, pieces) = (count(b"whole")?, count(b"pieces")?);
    if whole > 32 || pieces < PIECES / 4 {
        return Err(Problem::new(format!(
            "the files have {whole} and {pieces} pieces"
        )));
    }
    Ok(DiskImage::new(&image))
}

impl Bench {
    /// Throughput of the bare disk, of a file in one piece and of one in pieces.
    pub(super) fn files(&mut self, bed: &Bed, folder: &Path) -> Result<()> {
        const TURNS: usize = 2;
        let image = make_disk(bed, folder)?;
        let device = self.lab.plug_bare(&image)?;
        let config = self
            .guest(&self.loader, 512)
            .extra("(hd1)/menu.lst")
            .disk(&format!("vdev=xvdb,access=r,target={device}"));
        let mut rates: [Vec<f64>; 3] = Default::default();
        for round in 1..=self.rounds * TURNS {
            let seen = self.watch(&config, &["[initrd, ", "[initrd, ", "[initrd, ", " s]"])?;
            let found = initrd_rates(&seen.console);
            let &[bare, whole, pieces] = &found[..] else {
                return Err(Problem::new(format!("three rates were wanted: {found:?}")));
            };
            println!(
                "round {round}: disk {bare:.0} MiB/s, file {whole:.0}, file in pieces {pieces:.0}"
            );
            for (all, rate) in rates.iter_mut().zip(found) {
                all.push(rate);
            }
        }
        let [bare, whole, pieces] = rates.map(|all| super::report::median(&all));
        self.report.judge(
            "reading a file of 64 MiB on ext4, beside the bare disk in the same boot",
            &format!("{whole:.0} MiB/s, disk {bare:.0} MiB/s"),
            whole / bare,
            " x",
            Goal::AtLeast(0.8),
        );
        self.report.judge(
            "the same in pieces of 4 KiB",
            &format!("{pieces:.0} MiB/s"),
            pieces / bare,
            " x",
            Goal::AtLeast(0.1),
        );
        let _ = std::fs::remove_file(&image.path); // large, and made anew by every run
        Ok(())
    }
}
