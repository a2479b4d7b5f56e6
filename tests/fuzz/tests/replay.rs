//! Every target over its seeds, every crash of the past, and a short burst of mutations that are the same in every run.
//! No coverage and no special compiler: this keeps the targets alive; `cargo xtask fuzz` looks for what is new.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pv_grub_fuzz::{Mutator, TARGETS, Target, past};

/// Mutations of one target, and the time they may take together.
const BURST: usize = 600;
const BURST_TIME: Duration = Duration::from_secs(2);
/// How long one input may take, on a machine that is busy with something else. The honest ones take milliseconds.
const HANG: Duration = Duration::from_secs(60);

/// What runs, since when.
static RUNNING: Mutex<Option<(&str, Vec<u8>, Instant)>> = Mutex::new(None);

fn running() -> std::sync::MutexGuard<'static, Option<(&'static str, Vec<u8>, Instant)>> {
    RUNNING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Keeps an input that broke something, and says how to have it again.
fn keep(target: &str, input: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{target}"));
    let kept = std::fs::write(&path, input)
        .map_or_else(|error| error.to_string(), |()| path.display().to_string());
    format!(
        "the input is {kept}; again: cargo run -p pv-grub-fuzz --bin fuzz replay {target} {kept}"
    )
}

fn try_one(target: &'static Target, input: &[u8], file: Option<&PathBuf>) {
    *running() = Some((target.name, input.to_vec(), Instant::now()));
    let outcome = catch_unwind(AssertUnwindSafe(|| target.try_one(input)));
    *running() = None;
    if outcome.is_err() {
        match file {
            Some(path) => panic!("{}: {} breaks it", target.name, path.display()),
            None => panic!("{}: {}", target.name, keep(target.name, input)),
        }
    }
}

/// Ends the test when one input takes too long.
fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        if let Some((target, input, since)) = &*running()
            && since.elapsed() > HANG
        {
            eprintln!("{target} hangs: {}", keep(target, input));
            std::process::exit(1);
        }
    }
}

/// One test for all targets: they share the count of memory.
#[test]
fn seeds_and_past_crashes_and_a_burst() {
    std::thread::spawn(watch);
    for target in TARGETS {
        let begun = Instant::now();
        let files = past(target.name);
        for (path, bytes) in &files {
            try_one(target, bytes, Some(path));
        }
        let mut seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for seed in &seeds {
            assert!(
                seed.len() <= target.longest,
                "{}: a seed of {} bytes",
                target.name,
                seed.len()
            );
            try_one(target, seed, None);
        }
        seeds.extend(files.into_iter().map(|(_, bytes)| bytes));
        let mut mutator = Mutator::new(1);
        let burst = Instant::now();
        let mut count = 0;
        while count < BURST && burst.elapsed() < BURST_TIME {
            let input = mutator.make(&seeds, target.words, target.longest);
            try_one(target, &input, None);
            count += 1;
        }
        println!(
            "{}: {} seeds, {count} mutations, {:.1} s",
            target.name,
            seeds.len(),
            begun.elapsed().as_secs_f32()
        );
    }
}

#[test]
fn names_are_told_apart() {
    for (number, target) in TARGETS.iter().enumerate() {
        let first = TARGETS.iter().position(|other| other.name == target.name);
        assert_eq!(first, Some(number), "{}", target.name);
        assert!(Target::named(target.name).is_some());
    }
}
