//! The one place that knows commands: builds the image, prepares a real Xen in QEMU, boots and tests in it.
//!
//! `cargo xtask build | boot | test | bench | compare-pygrub | package | fuzz | abi-check | bed`; each prints what it runs.

mod abi;
mod bed;
mod bench;
mod boot;
mod checks;
mod command;
mod foresight;
mod fuzz;
mod guests;
mod image;
mod package;
mod problem;
mod progress;
mod pygrub;
mod rooms;
mod scenario;
mod scenarios;
mod terminal;
mod toolchain;
mod workspace;
mod xen;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

use image::{Contents, Target};
use problem::Result;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Builds pv-grub and tries it under a real Xen in QEMU"
)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build the image into dist/
    Build {
        /// The width of guest [default: XEN_TARGET_ARCH, else x86_64]
        #[arg(long, value_enum)]
        arch: Option<Width>,
        /// Without XFS, btrfs and squashfs, as dist/pv-grub-*-small.gz
        #[arg(long)]
        small: bool,
    },
    /// Boot a guest under Xen, by default from a sample disk through a freshly built image
    Boot(boot::Options),
    /// Run all checks, host tests and scenarios
    Test {
        /// Run only these scenarios
        #[arg(long, num_args = 1.., value_name = "NAME")]
        only: Vec<String>,
        /// Stop before the scenarios
        #[arg(long, conflicts_with = "only")]
        host: bool,
        /// Name the scenarios and end
        #[arg(long)]
        list: bool,
        /// QEMU runs side by side
        #[arg(long, default_value_t = 1, value_name = "N")]
        machines: usize,
        /// Scenarios at the same time in each
        #[arg(long, default_value_t = 2, value_name = "N")]
        workers: u32,
    },
    /// Measure the loader beside a direct boot and GRUB 2, and write docs/performance.md
    Bench(bench::Options),
    /// Attack the readers of everything foreign with made-up input, guided by coverage
    Fuzz(fuzz::Options),
    /// Ask Debian's pygrub and `pvgrub check` about the same disks, and write the table in docs/pvgrub-check.md
    ComparePygrub,
    /// Put pvgrub with its manual pages and completions into dist/pvgrub, as a package would install it
    Package,
    /// Compare our numbers and rings with Xen's own headers
    AbiCheck,
    /// Fetch and check everything that the Xen bed needs
    Bed,
}

/// What `--arch` takes: one width or both.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Width {
    /// 64-bit PV guests
    #[value(name = "x86_64")]
    X86_64,
    /// 32-bit PV guests with PAE
    #[value(name = "x86_32")]
    X86_32,
    /// Both
    All,
}

impl Width {
    fn targets(self) -> Vec<Target> {
        match self {
            Width::X86_64 => vec![Target::X86_64],
            Width::X86_32 => vec![Target::X86_32],
            Width::All => Target::ALL.to_vec(),
        }
    }
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
        Action::Build { arch, small } => {
            let contents = if small {
                Contents::Small
            } else {
                Contents::Full
            };
            let targets = match arch {
                Some(width) => width.targets(),
                None => vec![Target::from_environment()?],
            };
            for target in targets {
                image::build(target, contents)?;
            }
        }
        Action::Boot(options) => return boot::boot(&options),
        Action::Test { list: true, .. } => {
            for scenario in scenarios::all() {
                println!("{}", scenario.name);
            }
        }
        Action::Test {
            only,
            host,
            machines,
            workers,
            list: false,
        } => {
            let extent = if host {
                checks::Extent::Host
            } else {
                checks::Extent::All
            };
            return checks::test(&checks::Wish {
                only,
                extent,
                machines,
                workers,
            });
        }
        Action::Bench(options) => return bench::bench(&options),
        Action::Fuzz(options) => return fuzz::fuzz(&options),
        Action::ComparePygrub => pygrub::compare()?,
        Action::Package => package::package()?,
        Action::AbiCheck => abi::check_here()?,
        Action::Bed => {
            let begun = Instant::now();
            let bed = bed::Bed::prepare()?;
            let took = begun.elapsed().as_secs_f64();
            println!(
                "bed: ready in {took:.1} s; QEMU is {}, Xen {}",
                bed.qemu.display(),
                bed.hypervisor.display()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
