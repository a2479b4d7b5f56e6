//! The one place that knows commands: builds the image, prepares a real Xen in QEMU, boots and tests in it.
//!
//! `cargo xtask build | boot | test | bed`; each prints what it runs.

mod bed;
mod command;
mod problem;
mod scenario;
mod scenarios;
mod workspace;
mod xen;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use problem::Result;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds pv-grub and tries it under a real Xen in QEMU")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Fetch and check everything the Xen bed needs
    Bed,
    /// Run all tests
    Test {
        /// Run only these scenarios
        #[arg(long, num_args = 1..)]
        only: Vec<String>,
    },
}

fn main() -> ExitCode {
    match act(Arguments::parse().action) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action) -> Result<ExitCode> {
    match action {
        Action::Bed => {
            let begun = std::time::Instant::now();
            let bed = bed::Bed::prepare()?;
            println!("bed: ready in {:.1} s, QEMU is {}, Xen {}", begun.elapsed().as_secs_f64(), bed.qemu.display(), bed.hypervisor.display());
        }
        Action::Test { only } => {
            let bed = Arc::new(bed::Bed::prepare()?);
            let chosen: Vec<_> = scenarios::all().into_iter().filter(|s| only.is_empty() || only.iter().any(|o| o == s.name)).collect();
            let plan = scenario::Plan { folder: workspace::runs().join("try"), loader: workspace::dist().join("pv-grub-x86_64.gz"), machines: 1, workers: 2 };
            scenario::run(&bed, &chosen, &plan)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
