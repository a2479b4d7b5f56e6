//! `--only check`: how long `pvgrub check` takes on the host beside Debian's pygrub, over one disk.
//!
//! pygrub's `-l` reads the menu and lists it; started as xl does, it also copies kernel and initrd out of the guest's disk.
//! `check --quick` reads headers, `check` unpacks the kernel and reads the initrd.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::report::{Goal, Report, median_seconds};
use crate::bed::Bed;
use crate::command::output;
use crate::problem::{Context, Problem, Result};
use crate::workspace;
use crate::xen::disk::DiskImage;

/// Measures with `rounds` turns of each, and prints the table. Returns how many goals were missed.
///
/// # Errors
/// When pvgrub does not build, or the bed has no pygrub that runs here.
pub(super) fn measure(bed: &Bed, disk: &DiskImage, folder: &Path, rounds: usize) -> Result<usize> {
    let root = workspace::root();
    output(
        Command::new("cargo")
            .args(["build", "--release", "--package", "pvgrub", "--target-dir"])
            .arg(root.join("target/pvgrub"))
            .current_dir(&root),
    )?;
    let own = root.join("target/pvgrub/release/pvgrub");
    let script = bed.file("/bin/pygrub")?;
    let home = script.ancestors().nth(2);
    let libraries = home
        .context(|| "pygrub is in no folder")?
        .join("lib/x86_64-linux-gnu");
    let copies = folder.join("copies");
    std::fs::create_dir_all(&copies)?;
    let pygrub = |words: &[&str]| {
        let mut command = Command::new("python3");
        command
            .arg(&script)
            .args(words)
            .arg(&disk.path)
            .env("LD_LIBRARY_PATH", &libraries);
        command
    };
    let check = |words: &[&str]| {
        let mut command = Command::new(&own);
        command.arg("check").args(words).arg(&disk.path);
        command
    };
    let folder_word = format!("--output-directory={}", copies.display());
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..rounds {
        let turns = [
            pygrub(&["-l"]),
            pygrub(&["-q", &folder_word]),
            check(&["--quick"]),
            check(&[]),
        ];
        for (command, all) in turns.into_iter().zip(&mut times) {
            all.push(timed(command)?);
        }
    }
    let [list, copy, quick, whole] = times.map(|all| median_seconds(&all));
    let mut report = Report::default();
    report.judge(
        "`pvgrub check --quick`, beside `pygrub -l`",
        &format!("{:.0} ms, pygrub {:.0} ms", quick * 1000.0, list * 1000.0),
        quick / list,
        " x",
        Goal::AtMost(0.5),
    );
    report.tell(
        "`pvgrub check`, which unpacks the kernel",
        &format!("{:.0} ms", whole * 1000.0),
    );
    report.tell(
        "pygrub as xl starts it, which copies kernel and initrd",
        &format!("{:.0} ms", copy * 1000.0),
    );
    println!("\n{}", report.table());
    Ok(report.missed())
}

fn timed(mut command: Command) -> Result<Duration> {
    let begun = Instant::now();
    let done = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    if !done.status.success() {
        return Err(Problem::new(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        )));
    }
    Ok(begun.elapsed())
}
