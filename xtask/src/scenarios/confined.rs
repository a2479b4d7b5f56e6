//! `pvgrub` where it is meant to run: in dom0, over an image and a block device, behind the walls that dom0's kernel has.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::command::output;
use crate::problem::{Context, Result};
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::media;
use crate::workspace;
use crate::xen::guest::Trouble;

/// dom0 unpacks a kernel in emulation.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) const TABLE: &[Scenario] = &[Scenario {
    name: "pvgrub-in-dom0",
    limit: Duration::from_secs(300),
    mib: 0,
    run: in_dom0,
}];

/// Prints the state of the confined process that the program `$own` has started, once both walls stand around it.
const WATCH: &str = "for try in $(seq 2000); do \
    for about in /proc/[0-9]*/status; do \
        if grep -q \"^PPid:.$own$\" $about && grep -q '^Seccomp:.2$' $about; then \
            grep -E '^(NoNewPrivs|Seccomp):' $about; break 2; \
        fi; \
    done 2>/dev/null; \
    kill -0 $own 2>/dev/null || break; \
done; ";

fn in_dom0(stage: &mut Stage) -> Outcome {
    let [pvgrub, walls] = build()?;
    let root = make_root(stage, &pvgrub, &walls)?;
    let dom0 = stage.dom0.clone();
    let run = |words: &str| {
        let line = format!("TMPDIR=/run PVGRUB_WANTS_LANDLOCK=1 chroot {root} {words} 2>&1");
        dom0.try_run(&line, PATIENCE)
    };
    // What is refused there, and by what.
    let refused = run("/walls --nocapture")?;
    let said = &refused.output;
    if !said.contains("refused by Version(V") || !said.contains("3 passed") {
        return Err(Trouble::Guest(refused.output));
    }
    // The same answers as here, of a file and of a block device.
    let kernel = stage.bed.debian12.clone();
    let disk = media::sample(stage, &kernel)?;
    let device = stage.plug(&disk)?;
    let image = stage.share(&disk.path)?;
    const WORDS: [&str; 3] = ["check", "--quick", "--format=json"];
    let here = answer(&output(Command::new(&pvgrub).args(WORDS).arg(&disk.path))?)?;
    for (place, format) in [(&image, "raw"), (&device, "block device")] {
        let there = run(&format!("/pvgrub {} {place}", WORDS.join(" ")))?;
        let said = answer(there.output.as_bytes())?;
        let same = ["verdict", "menu", "boot", "entries"].map(|key| said[key] == here[key]);
        let is_right = said["verdict"] == "boots" && said["disks"][0]["format"] == format;
        if there.code != 0 || same != [true; 4] || !is_right {
            return Err(Trouble::Guest(format!(
                "of {place} it says {}",
                there.output
            )));
        }
    }
    // While it is at work.
    let state = stage.dom0.try_run(
        &format!(
            "chroot {root} /pvgrub check -v {device} > {root}/run/said 2>&1 & own=$!; {WATCH}\
             wait $own; echo code=$?; cat {root}/run/said; umount {root}/proc {root}/dev {root}/share; rm -r {root}"
        ),
        PATIENCE,
    )?;
    for wanted in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "code=0",
        "pvgrub: the host's files are guarded by Landlock V",
        "boots: entry 0, `Debian`",
        "block device",
    ] {
        if !state.output.contains(wanted) {
            return Err(Trouble::Guest(format!("no {wanted} in: {}", state.output)));
        }
    }
    Ok(())
}

/// Makes a root folder in dom0 for the two programs, with the libraries that they were built for: dom0's may be older. Returns
/// its path there.
fn make_root(stage: &Stage, pvgrub: &Path, walls: &Path) -> Result<String> {
    let root = "/run/pvgrub-in-dom0";
    let mut line = format!(
        "set -e; mkdir -p {root}/run; for f in proc dev share; do mkdir {root}/$f; mount --bind /$f {root}/$f; done; "
    );
    let mut copy = |file: &Path, to: &str| -> Result<()> {
        let shared = stage.share(file)?;
        let folder = Path::new(to)
            .parent()
            .map(|folder| folder.display().to_string());
        line.push_str(&format!(
            "mkdir -p {root}{}; cp {shared} {root}{to}; ",
            folder.unwrap_or_default()
        ));
        Ok(())
    };
    copy(pvgrub, "/pvgrub")?;
    copy(walls, "/walls")?;
    let needed = output(Command::new("ldd").args([pvgrub, walls]))?;
    for word in String::from_utf8_lossy(&needed).split_whitespace() {
        if word.starts_with('/') && !word.ends_with(':') {
            copy(&std::fs::canonicalize(word)?, word)?;
        }
    }
    stage.dom0.run(&line)?;
    Ok(root.to_owned())
}

fn answer(json: &[u8]) -> Result<Value> {
    serde_json::from_slice(json).context(|| {
        format!(
            "pvgrub's answer is no JSON: {}",
            String::from_utf8_lossy(json)
        )
    })
}

/// The program and the test of its walls, built as the host's tests build them.
fn build() -> Result<[PathBuf; 2]> {
    let built = output(
        Command::new("cargo")
            .args(["test", "--package", "pvgrub", "--test", "walls", "--no-run"])
            .args(["--message-format", "json"])
            .current_dir(workspace::root()),
    )?;
    let messages = String::from_utf8_lossy(&built).into_owned();
    let of = |kind: &str, name: &str| {
        let made = messages.lines().find_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            let is_it = message["target"]["name"] == name && message["target"]["kind"][0] == kind;
            Some(PathBuf::from(
                message["executable"].as_str().filter(|_| is_it)?,
            ))
        });
        made.context(|| format!("cargo has not made {name}"))
    };
    Ok([of("bin", "pvgrub")?, of("test", "walls")?])
}
