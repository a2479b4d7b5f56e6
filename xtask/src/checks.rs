//! `cargo xtask test`: every check in order, then the scenarios, then one line with the count.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bed::{Bed, tools};
use crate::command::{self, run};
use crate::image::{self, Contents, Target};
use crate::problem::{Context, Problem, Result};
use crate::scenario::{self, Plan, Scenario, Verdict};
use crate::toolchain::Toolchain;
use crate::{abi, rooms, scenarios, workspace};

/// What to test.
pub(crate) struct Wish {
    /// Names of scenarios; empty for all steps and scenarios.
    pub(crate) only: Vec<String>,
    /// Where to stop.
    pub(crate) extent: Extent,
    /// QEMU runs side by side.
    pub(crate) machines: usize,
    /// Scenarios at the same time in each.
    pub(crate) workers: u32,
}

/// How far a test run goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Host checks only.
    Host,
    /// Host checks and scenarios.
    All,
}

/// A check that needs no Xen: a name and what to do.
type Step = (&'static str, fn() -> Result<()>);

/// The same for what needs a target of Rust's that not every machine can have: what gets hold of a Rust for it, and what
/// to do with that.
type StepFor = (
    &'static str,
    fn() -> Result<Toolchain>,
    fn(Toolchain) -> Result<()>,
);

const STEPS: &[Step] = &[
    ("fmt", || cargo(&["fmt", "--all", "--check"])),
    ("clippy", || {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("clippy of the image", || {
        image::clippy(Target::X86_64, Toolchain::own())
    }),
    ("house rules", rooms::check),
    ("licences and sources of dependencies", deny),
    ("Xen's interface", abi::check_here),
    ("host tests", || {
        tools::for_host_tests()?;
        cargo(&["test", "--workspace"])
    }),
    ("documentation", || {
        run(tool(&[
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
        ])
        .env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("small image", || {
        image::build(Target::X86_64, Contents::Small)?.check_sizes()
    }),
    ("small 32-bit image", || {
        image::build(Target::X86_32, Contents::Small)?.check_sizes()
    }),
    ("image", || {
        image::build(Target::X86_64, Contents::Full)?.check_sizes()
    }),
    ("32-bit image", || {
        image::build(Target::X86_32, Contents::Full)?.check_sizes()
    }),
    ("image is reproducible", || {
        image::check_reproducible(Target::X86_64)
    }),
    ("32-bit image is reproducible", || {
        image::check_reproducible(Target::X86_32)
    }),
];

/// The 32-bit target that brings its own C library, so that a 64-bit machine needs none.
const HOST_32: &str = "i686-unknown-linux-musl";

const STEPS_32: &[StepFor] = &[
    (
        "clippy of the 32-bit image",
        || Toolchain::own_with_library(Target::X86_32.triple()),
        |rust| image::clippy(Target::X86_32, rust),
    ),
    (
        "host tests, 32 bits",
        || Toolchain::installed(HOST_32),
        host_tests_32,
    ),
];

/// Runs what is wished for; success only if nothing failed.
///
/// # Errors
/// When a wished name is unknown, or the run's folder cannot be written.
pub(crate) fn test(wish: &Wish) -> Result<ExitCode> {
    let all = scenarios::all();
    let chosen = choose(&all, &wish.only)?;
    let mut verdicts = Vec::new();
    let partial = !wish.only.is_empty();
    if !partial {
        let mut perform = |name: &str, act: &dyn Fn() -> Verdict| {
            let begun = Instant::now();
            println!("--- {name}");
            verdicts.push((name.to_owned(), act(), begun.elapsed()));
        };
        let ended = |result: Result<()>| match result {
            Ok(()) => Verdict::Pass,
            Err(problem) => Verdict::Fail(problem.to_string()),
        };
        for (name, act) in STEPS {
            perform(name, &|| ended(act()));
        }
        for (name, rust, act) in STEPS_32 {
            perform(name, &|| match rust() {
                Ok(rust) => ended(act(rust)),
                Err(missing) => Verdict::Skip(missing.to_string()),
            });
        }
        println!("---");
        for (name, verdict, took) in &verdicts {
            verdict.print(name, *took);
        }
    }
    if wish.extent == Extent::All {
        verdicts.extend(under_xen(&chosen, wish)?);
    }
    Ok(count(&verdicts))
}

/// The scenarios with these names; all for no names.
fn choose<'a>(all: &[&'a Scenario], only: &[String]) -> Result<Vec<&'a Scenario>> {
    for name in only {
        if !all.iter().any(|s| s.name == name) {
            return Err(Problem::new(format!(
                "there is no scenario {name}; `cargo xtask test --list` names them"
            )));
        }
    }
    Ok(all
        .iter()
        .copied()
        .filter(|s| only.is_empty() || only.iter().any(|o| o == s.name))
        .collect())
}

/// Runs scenarios; a bed that cannot even be prepared fails as a step of its own.
fn under_xen(chosen: &[&Scenario], wish: &Wish) -> Result<Vec<(String, Verdict, Duration)>> {
    let begun = Instant::now();
    let bed = match Bed::prepare() {
        Ok(bed) => Arc::new(bed),
        Err(problem) => {
            let verdict = Verdict::Fail(problem.to_string());
            verdict.print("bed", begun.elapsed());
            return Ok(vec![("bed".to_owned(), verdict, begun.elapsed())]);
        }
    };
    let plan = Plan {
        folder: run_folder("test")?,
        loader: workspace::dist().join("pv-grub-x86_64.gz"),
        machines: wish.machines,
        workers: wish.workers,
    };
    let done = scenario::run(&bed, chosen, &plan)?;
    Ok(done
        .into_iter()
        .map(|(name, verdict, took)| (name.to_owned(), verdict, took))
        .collect())
}

/// Prints the final line and turns it into an exit code.
fn count(verdicts: &[(String, Verdict, Duration)]) -> ExitCode {
    let of = |accept: fn(&Verdict) -> bool| verdicts.iter().filter(|(_, v, _)| accept(v)).count();
    let failed = of(|v| matches!(v, Verdict::Fail(_) | Verdict::Error(_)));
    for (name, verdict, took) in verdicts {
        if matches!(verdict, Verdict::Fail(_) | Verdict::Error(_)) {
            verdict.print(name, *took);
        }
    }
    println!(
        "{} passed, {failed} failed, {} skipped",
        of(|v| matches!(v, Verdict::Pass)),
        of(|v| matches!(v, Verdict::Skip(_)))
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A new folder for a run's logs, below `target/xen`; `target/xen/last` leads to it.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn run_folder(what: &str) -> Result<PathBuf> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let runs = workspace::runs();
    let name = format!("{what}-{}-{}", now.as_secs(), std::process::id());
    let folder = runs.join(&name);
    std::fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    let last = runs.join("last");
    let _ = std::fs::remove_file(&last);
    let _ = std::os::unix::fs::symlink(&name, &last); // a convenience only
    Ok(folder)
}

fn tool(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace::root()).args(arguments);
    cargo
}

fn cargo(arguments: &[&str]) -> Result<()> {
    run(&mut tool(arguments))
}

/// The tests of all that goes into the image, as 32-bit programs: what is cut off when a `usize` is that narrow shows
/// here.
fn host_tests_32(rust: Toolchain) -> Result<()> {
    tools::for_host_tests()?;
    let mut cargo = rust.cargo();
    cargo
        .current_dir(workspace::root())
        .args(["test", "--target", HOST_32]);
    for room in ["arch", "bootloader", "fs", "menu", "net", "pv-grub-fuzz"] {
        cargo.args(["--package", room]);
    }
    run(&mut cargo)
}

/// Checks licences, bans and sources (advisories would need the network at every run).
fn deny() -> Result<()> {
    let program = match command::find("cargo-deny") {
        Some(found) => found,
        None => {
            let home = workspace::cache().join("cargo-deny");
            let own = home.join("bin").join("cargo-deny");
            if !own.exists() {
                println!(
                    "cargo-deny is missing; building it into {} (once, some minutes)",
                    home.display()
                );
                run(Command::new("cargo")
                    .args(["install", "--locked", "cargo-deny", "--root"])
                    .arg(&home)
                    .env_remove("CARGO_TARGET_DIR"))?;
            }
            own
        }
    };
    let check = |network: &[&str]| {
        let mut deny = Command::new(&program);
        deny.current_dir(workspace::root());
        run(deny
            .arg("--workspace")
            .args(network)
            .args(["check", "bans", "licenses", "sources"]))
    };
    // cargo-deny reads the manifests of crates for other systems too, which only it fetches.
    check(&["--offline"]).or_else(|_| check(&[]))
}
