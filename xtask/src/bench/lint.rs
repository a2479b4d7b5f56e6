//! `--only pvgrub`: how long `pvgrub lint` takes for menus of 10 MB, and for ten thousand ordinary ones.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pv_grub_tests::large_menus::KINDS;

use super::report::{Goal, Report, median_seconds};
use super::stopwatch::{clocked, processor_time};
use crate::package;
use crate::problem::Result;
use crate::workspace;
use crate::xen::disk::fresh_folder;

/// Bytes of a large menu.
const LARGE: usize = 10_000_000;
/// How many times shorter the menu is beside which the work for a large one is seen to be in proportion.
const SHORTER: usize = 10;
/// Ordinary menus.
const FILES: usize = 10_000;

/// Measures with `rounds` turns of each, and prints the table. Returns how many goals were missed.
///
/// # Errors
/// When pvgrub does not build, or a menu cannot be written.
pub(super) fn measure(folder: &Path, rounds: usize) -> Result<usize> {
    let pvgrub = package::build()?;
    let lint = |files: &[PathBuf]| {
        let mut command = clocked(&pvgrub);
        command.args(["lint", "--no-config"]).args(files);
        command
    };
    let words = |files: &[PathBuf]| {
        let mut command = clocked(Path::new("wc"));
        command.args(files);
        command
    };
    let mut report = Report::default();
    let mut growth = 0f64;
    for kind in KINDS {
        let write = |bytes: usize| -> Result<[PathBuf; 1]> {
            let file = folder.join(format!("{bytes}.lst"));
            std::fs::write(&file, kind.menu(bytes))?;
            Ok([file])
        };
        let (large, small) = (write(LARGE)?, write(LARGE / SHORTER)?);
        let [small, large, count] =
            medians(rounds, &|| [lint(&small), lint(&large), words(&large)])?;
        growth = growth.max(large / small);
        report.judge(
            &format!("`pvgrub lint`, 10 MB: {}", kind.name),
            &format!("a tenth of it {small:.0} ms; `wc` {count:.0} ms"),
            large,
            " ms",
            Goal::AtMost(200.0),
        );
    }
    report.judge(
        "10 MB beside 1 MB, the worst of these",
        "",
        growth,
        " x",
        Goal::AtMost(15.0),
    );
    let files = ordinary(&fresh_folder(&folder.join("menus"))?)?;
    let [many, count] = medians(rounds, &|| [lint(&files), words(&files)])?;
    report.judge(
        &format!("`pvgrub lint`, {FILES} menus of distributions"),
        &format!("`wc` {count:.0} ms"),
        many,
        " ms",
        Goal::AtMost(2000.0),
    );
    println!("\n{}", report.table());
    Ok(report.missed())
}

/// Medians of `rounds` turns of each, in milliseconds.
fn medians<const N: usize>(rounds: usize, turns: &dyn Fn() -> [Command; N]) -> Result<[f64; N]> {
    let mut times: [Vec<Duration>; N] = [(); N].map(|()| Vec::new());
    for _ in 0..rounds {
        for (command, all) in turns().into_iter().zip(&mut times) {
            // 1 is what a menu with findings ends in.
            all.push(processor_time(command, &[0, 1])?);
        }
    }
    Ok(times.map(|all| median_seconds(&all) * 1000.0))
}

/// Writes the menus of `menu/corpus` again and again, each into a file of its own.
fn ordinary(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut corpus = Vec::new();
    for entry in std::fs::read_dir(workspace::root().join("menu/corpus"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "lst") {
            corpus.push(std::fs::read(path)?);
        }
    }
    let mut files = Vec::new();
    for (number, text) in corpus.iter().cycle().take(FILES).enumerate() {
        let file = folder.join(format!("{number}.lst"));
        std::fs::write(&file, text)?;
        files.push(file);
    }
    Ok(files)
}
