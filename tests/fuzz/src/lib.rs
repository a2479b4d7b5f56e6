//! Fuzz targets: each takes any bytes, turns them into what a disk, a network, another domain or a person could send,
//! and gives that to the code that has to survive it.
//!
//! [`TARGETS`] lists them. `cargo xtask fuzz` runs them under libFuzzer with coverage; the test of this crate replays
//! the seeds, every past crash (`seeds/`) and a short burst of mutations on a plain compiler, so that none of them
//! rots. A target fails by panicking; [`Target::try_one`] adds a limit on memory, and the runners one on time.

mod disk;
mod image;
mod input;
mod mutate;
mod patches;
mod seeds;
mod targets;

use peak_alloc::PeakAlloc;

pub use image::Image;
pub use mutate::Mutator;
pub use seeds::past;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// A piece of the loader under attack.
pub struct Target {
    /// What the command line calls it.
    pub name: &'static str,
    /// What is fed to what.
    pub about: &'static str,
    /// The longest input that is worth trying, in bytes.
    pub longest: usize,
    /// The most memory that one input may take, in MiB.
    pub heap_mib: usize,
    /// Words that inputs are made of.
    pub words: &'static [&'static [u8]],
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    run: fn(&[u8]),
}

/// A small kernel for PV guests, for images to hold.
#[must_use]
pub fn kernel() -> Vec<u8> {
    targets::small_kernel()
}

/// All targets.
pub const TARGETS: &[Target] = targets::ALL;

impl Target {
    /// The target called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Runs one input.
    ///
    /// # Panics
    /// When the code under attack panics, breaks a promise, or takes more memory than it may.
    pub fn try_one(&self, input: &[u8]) {
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        (self.run)(input);
        let taken = HEAP.peak_usage().saturating_sub(before) >> 20;
        assert!(
            taken <= self.heap_mib,
            "{} took {taken} MiB of memory, more than {}",
            self.name,
            self.heap_mib
        );
    }
}
