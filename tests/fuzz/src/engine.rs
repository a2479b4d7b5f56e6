//! The targets under libFuzzer. `cargo xtask fuzz` builds and starts this; which target runs is in `PV_GRUB_FUZZ_TARGET`.
//! Before libFuzzer looks, the target's seeds go to the folder in `PV_GRUB_FUZZ_SEEDS` and its words to the file in
//! `PV_GRUB_FUZZ_WORDS`.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pv_grub_fuzz::Target;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

/// The target that the environment names.
fn target() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var("PV_GRUB_FUZZ_TARGET").unwrap_or_default();
        let Some(target) = Target::named(&name) else {
            eprintln!("there is no target \"{name}\"; set PV_GRUB_FUZZ_TARGET");
            std::process::exit(2);
        };
        target
    })
}

fn write_seeds() -> std::io::Result<()> {
    if let Some(folder) = std::env::var_os("PV_GRUB_FUZZ_SEEDS") {
        for (number, seed) in (target().seeds)().iter().enumerate() {
            let path = std::path::Path::new(&folder).join(format!("seed-{number:03}"));
            std::fs::write(path, seed)?;
        }
    }
    if let Some(path) = std::env::var_os("PV_GRUB_FUZZ_WORDS") {
        // libFuzzer refuses a file without words.
        let none: &[&[u8]] = &[b"\0"];
        let words = Some(target().words).filter(|words| !words.is_empty());
        let lines: Vec<String> = words
            .unwrap_or(none)
            .iter()
            .map(|word| {
                let hex: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
                format!("\"{hex}\"\n")
            })
            .collect();
        std::fs::write(path, lines.concat())?;
    }
    Ok(())
}

fuzz_target!(
    init: {
        if let Err(error) = write_seeds() {
            eprintln!("cannot write the seeds: {error}");
            std::process::exit(2);
        }
    },
    |input: &[u8]| target().try_one(input)
);
