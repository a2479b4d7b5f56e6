//! The targets without an engine: `fuzz list`, `fuzz replay TARGET FILE…`, `fuzz pack RAW PACKED`.

use std::process::ExitCode;

use pv_grub_fuzz::{Image, TARGETS, Target};

const HELP: &str = "fuzz list                     name the targets
fuzz replay TARGET FILE...    run files through a target, as the engine did
fuzz kernel FILE              write the small kernel that images hold
fuzz pack RAW PACKED          keep a disk image without its zeros, for tests/fuzz/images";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => {
            for target in TARGETS {
                println!("{:<14}{}", target.name, target.about);
            }
        }
        ["replay", name, files @ ..] => {
            let Some(target) = Target::named(name) else {
                eprintln!("there is no target {name}; `fuzz list` names them");
                return ExitCode::FAILURE;
            };
            for file in files {
                match std::fs::read(file) {
                    Ok(bytes) => target.try_one(&bytes),
                    Err(error) => {
                        eprintln!("{file}: {error}");
                        return ExitCode::FAILURE;
                    }
                }
                println!("{file}: survived");
            }
        }
        ["kernel", file] => {
            if let Err(error) = std::fs::write(file, pv_grub_fuzz::kernel()) {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        }
        ["pack", raw, packed] => {
            if let Err(error) = std::fs::read(raw)
                .and_then(|bytes| std::fs::write(packed, Image::from_bytes(&bytes).packed()))
            {
                eprintln!("{raw} to {packed}: {error}");
                return ExitCode::FAILURE;
            }
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
