//! `cargo xtask fuzz`: the targets of `tests/fuzz` under libFuzzer, with coverage, by the plain compiler.
//!
//! What was found to reach new code stays in the cache (`fuzz/corpus/TARGET`) for the next run; what broke a target is
//! kept in `fuzz/crashes/TARGET`, and the run fails with its path.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::command::{self, run, text};
use crate::problem::{Context, Problem, Result};
use crate::workspace;

/// Options of `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only these targets
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// Name the targets and end
    #[arg(long)]
    list: bool,
}

/// Coverage as libFuzzer reads it: counters, places, and what is compared with what.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// The profile `fuzz`: fast, and every check that a test has.
const PROFILE: &[&str] = &[
    "inherits='release'",
    "opt-level=2",
    "codegen-units=16",
    "debug='line-tables-only'",
    "debug-assertions=true",
    "overflow-checks=true",
];
/// Build scripts and macros of the host must not get the flags, so the target has to be named.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// A process runs for so long: what the tested code leaks by design (a buffer for each interface) must not add up.
const SLICE: Duration = Duration::from_secs(120);
/// Seconds after which one input counts as a hang. Generous: the machine may be busy.
const HANG: u64 = 25;
/// Memory of the process in MiB; each target has a limit of its own below that.
const MEMORY: u64 = 3000;

/// What a target has done.
#[derive(Default)]
struct Tally {
    seconds: f64,
    runs: u64,
    corpus: usize,
    coverage: u64,
}

/// Runs the targets that are wished for, all by default.
///
/// # Errors
/// When one of them breaks, with the input that does it; when the engine cannot be built.
pub(crate) fn fuzz(options: &Options) -> Result<ExitCode> {
    let list = text(Command::new("cargo").current_dir(workspace::root()).args([
        "run",
        "--quiet",
        "--package",
        "pv-grub-fuzz",
        "--bin",
        "fuzz",
        "list",
    ]))?;
    if options.list {
        print!("{list}");
        return Ok(ExitCode::SUCCESS);
    }
    let all: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    if let Some(unknown) = options.targets.iter().find(|name| !all.contains(&&***name)) {
        return Err(Problem::new(format!(
            "there is no target {unknown}; `cargo xtask fuzz --list` names them"
        )));
    }
    let engine = build()?;
    let mut broken = Vec::new();
    let mut table = Vec::new();
    for name in all {
        if !options.targets.is_empty() && !options.targets.iter().any(|wish| wish == name) {
            continue;
        }
        let (tally, crash) = attack(&engine, name, Duration::from_secs(options.seconds))?;
        table.push(format!(
            "| `{name}` | {:.0} s | {} | {} | {} | {} |",
            tally.seconds,
            tally.runs,
            tally.coverage,
            tally.corpus,
            if crash.is_some() { "broken" } else { "nothing" }
        ));
        broken.extend(crash);
    }
    println!(
        "| target | time | inputs | edges | kept | found |\n| --- | --- | --- | --- | --- | --- |"
    );
    println!("{}", table.join("\n"));
    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Problem::new(broken.join("\n")))
}

/// Builds the engine with its own flags, in a folder of its own.
fn build() -> Result<PathBuf> {
    if command::find("g++").is_none() {
        return Err(Problem::new(
            "libFuzzer is built with g++, which is missing; install the Debian package g++",
        ));
    }
    let folder = target_folder().join("fuzz");
    run(Command::new("cargo")
        .current_dir(workspace::root())
        .args(["build", "--package", "pv-grub-fuzz", "--bin", "fuzz-engine"])
        .args(["--features", "libfuzzer", "--profile", "fuzz"])
        .args(
            PROFILE
                .iter()
                .map(|line| format!("--config=profile.fuzz.{line}")),
        )
        .args(["--target", TARGET, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", FLAGS.join(" ")))?;
    Ok(folder.join(TARGET).join("fuzz").join("fuzz-engine"))
}

/// Where cargo puts results.
fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace::root().join("target"), PathBuf::from)
}

/// Runs a target for `time`, and returns what it has done and how it broke.
fn attack(engine: &Path, name: &str, time: Duration) -> Result<(Tally, Option<String>)> {
    let home = workspace::cache().join("fuzz");
    let corpus = home.join("corpus").join(name);
    let crashes = home.join("crashes").join(name);
    for folder in [&corpus, &crashes] {
        std::fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
    }
    let words = home.join(format!("{name}.words"));
    std::fs::write(&words, "").context(|| format!("cannot write {}", words.display()))?;
    let past = workspace::root().join("tests/fuzz/seeds").join(name);
    let mut tally = Tally::default();
    let mut left = time;
    while !left.is_zero() {
        let slice = left.min(SLICE).max(Duration::from_secs(1));
        left = left.saturating_sub(slice);
        let mut engine = Command::new(engine);
        engine
            .env("PV_GRUB_FUZZ_TARGET", name)
            .env("PV_GRUB_FUZZ_SEEDS", &corpus)
            .env("PV_GRUB_FUZZ_WORDS", &words)
            .env("RUST_BACKTRACE", "0")
            .arg(format!("-max_total_time={}", slice.as_secs()))
            .arg(format!("-timeout={HANG}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-artifact_prefix={}/", crashes.display()))
            .arg(format!("-dict={}", words.display()))
            .args(["-print_final_stats=1", "-use_value_profile=1", "-reload=0"])
            .arg(&corpus);
        if past.is_dir() {
            engine.arg(&past);
        }
        println!("$ PV_GRUB_FUZZ_TARGET={name} {}", command::shown(&engine));
        let begun = Instant::now();
        let out = engine
            .output()
            .context(|| format!("cannot run {}", command::shown(&engine)))?;
        tally.seconds += begun.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&out.stderr);
        tally.read(&said);
        if !out.status.success() {
            return Ok((tally, Some(explain(name, &said))));
        }
    }
    tally.corpus = std::fs::read_dir(&corpus)?.count();
    println!(
        "{name}: {} inputs in {:.0} s, {} edges, {} kept",
        tally.runs, tally.seconds, tally.coverage, tally.corpus
    );
    Ok((tally, None))
}

impl Tally {
    /// Adds what libFuzzer says at its end, and on the way there.
    fn read(&mut self, said: &str) {
        for line in said.lines() {
            if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
                self.runs += number.trim().parse::<u64>().unwrap_or(0);
            }
            // `#1234	NEW    cov: 321 ft: …`
            let edges = line
                .split_once("cov: ")
                .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
            self.coverage = self.coverage.max(edges.unwrap_or(0));
        }
    }
}

/// What broke, where the input is, and how to have it again.
fn explain(name: &str, said: &str) -> String {
    let kept = said
        .lines()
        .find_map(|line| line.split_once("Test unit written to "))
        .map(|(_, path)| path.trim());
    // The panic or libFuzzer's own line, not the pages around it.
    let why: Vec<&str> = said
        .lines()
        .skip_while(|line| !line.contains("panicked at") && !line.contains("ERROR: libFuzzer"))
        .take(4)
        .collect();
    let Some(kept) = kept else {
        let tail: Vec<&str> = said.lines().rev().take(12).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return format!("{name}: the engine failed:\n{}", tail.join("\n"));
    };
    format!(
        "{name} breaks:\n{}\nthe input is {kept}; again: cargo run -p pv-grub-fuzz --bin fuzz replay {name} {kept}",
        why.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::{Tally, explain};

    #[test]
    fn what_the_engine_says_is_read() {
        let mut tally = Tally::default();
        tally.read("#2\tINITED cov: 12 ft: 13 corp: 1/1b\n#9\tNEW    cov: 30 ft: 40\nstat::number_of_executed_units: 512\n");
        tally.read("stat::number_of_executed_units: 8\n");
        assert_eq!((tally.runs, tally.coverage), (520, 30));
    }

    #[test]
    fn a_crash_names_its_input() {
        let said = "INFO: x\nthread '<unnamed>' panicked at a.rs:1:2:\nindex out of range\n==1== ERROR: libFuzzer: deadly signal\nartifact_prefix='/c/'; Test unit written to /c/crash-1\n";
        let text = explain("iso", said);
        assert!(
            text.contains("a.rs:1:2") && text.contains("replay iso /c/crash-1"),
            "{text}"
        );
        assert!(explain("iso", "ERROR: no interesting inputs\n").contains("the engine failed"));
    }
}
