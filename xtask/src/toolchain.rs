//! Which Rust compiles what: the one that runs xtask wherever it can, else one that can build the standard library.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bed;
use crate::command::{self, run, text};
use crate::problem::{Context, Problem, Result};

/// A cargo and its rustc, ready for one target.
pub(crate) struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    variables: Vec<(&'static str, OsString)>,
    library: Library,
}

/// Where the target's standard library comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Library {
    /// Installed.
    Prebuilt,
    /// Compiled with the program.
    Source,
}

impl Toolchain {
    /// The Rust that runs xtask.
    pub(crate) fn own() -> Self {
        Toolchain {
            cargo: "cargo".into(),
            rustc: "rustc".into(),
            variables: Vec::new(),
            library: Library::Prebuilt,
        }
    }

    /// A Rust that compiles for `target`: with rustup's library if it is there or can be fetched, else with one built
    /// from source.
    ///
    /// # Errors
    /// When none can be had, with the one command that helps.
    pub(crate) fn with_library(target: &str) -> Result<Self> {
        let own = Self::own();
        if own.has_library(target) {
            return Ok(own);
        }
        if own.has_source() {
            println!("rust: no library for {target} is installed; compiling it from rust-src");
            return Ok(own.building_library());
        }
        let debian = Self::debian;
        if bed::is_rust_cached() {
            return debian();
        }
        if command::find("rustup").is_some() {
            println!("rust: no library for {target} is installed; asking rustup for it");
            let added = run(Command::new("rustup").args(["target", "add", target]));
            if added.is_ok() && own.has_library(target) {
                return Ok(own);
            }
        }
        println!("rust: taking Debian's, to compile the library from source");
        debian().context(|| format!("there is no Rust for {target}; `rustup target add {target}` on a machine with network would do"))
    }

    /// The Rust that runs xtask, with rustup's library for `target`, fetched if it is not there.
    ///
    /// # Errors
    /// When rustup cannot fetch it.
    pub(crate) fn installed(target: &str) -> Result<Self> {
        let own = Self::own();
        if !own.has_library(target) {
            println!("rust: no library for {target} is installed; asking rustup for it");
            run(Command::new("rustup").args(["target", "add", target]))
                .context(|| format!("`rustup target add {target}` has to work once"))?;
        }
        Ok(own)
    }

    /// Debian's Rust out of the cache.
    fn debian() -> Result<Self> {
        let root = bed::debian_rust()?;
        let bin = root.join("usr/bin");
        let rustc = bin.join("rustc");
        let libraries = std::env::join_paths([
            root.join("usr/lib/x86_64-linux-gnu"),
            root.join("lib/x86_64-linux-gnu"),
        ])
        .context(|| "the cache's path holds a colon")?;
        let toolchain = Toolchain {
            cargo: bin.join("cargo"),
            variables: vec![
                ("RUSTC", rustc.clone().into()),
                ("RUSTDOC", bin.join("rustdoc").into()),
                ("LD_LIBRARY_PATH", libraries),
            ],
            rustc,
            library: Library::Prebuilt,
        }
        .building_library();
        if toolchain.has_source() {
            return Ok(toolchain);
        }
        Err(Problem::new(
            "Debian's Rust brings no source of its library",
        ))
    }

    fn building_library(mut self) -> Self {
        // What `-Zbuild-std` asks for; stable compilers can do it, but promise nothing.
        self.variables.push(("RUSTC_BOOTSTRAP", "1".into()));
        self.library = Library::Source;
        self
    }

    fn prepared(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if !self.variables.is_empty() {
            command.env_remove("RUSTC_WRAPPER");
        }
        command
    }

    /// A cargo command; [`Toolchain::library_args`] has to be among its arguments.
    pub(crate) fn cargo(&self) -> Command {
        self.prepared(&self.cargo)
    }

    /// What cargo is told about the standard library; `crates` are those that the program uses.
    pub(crate) fn library_args(&self, crates: &str) -> Vec<String> {
        match self.library {
            Library::Prebuilt => Vec::new(),
            Library::Source => vec![format!("-Zbuild-std={crates}")],
        }
    }

    /// The folder that rustc lives in.
    ///
    /// # Errors
    /// When rustc cannot be asked.
    pub(crate) fn sysroot(&self) -> Result<PathBuf> {
        let said = text(self.prepared(&self.rustc).args(["--print", "sysroot"]))?;
        Ok(PathBuf::from(said.trim()))
    }

    /// Whether `target`'s library is installed.
    pub(crate) fn has_library(&self, target: &str) -> bool {
        let mut ask = self.prepared(&self.rustc);
        match text(ask.args(["--print", "target-libdir", "--target", target])) {
            Ok(folder) => Path::new(folder.trim()).exists(),
            Err(_) => false,
        }
    }

    fn has_source(&self) -> bool {
        self.sysroot().is_ok_and(|root| {
            root.join("lib/rustlib/src/rust/library/Cargo.toml")
                .exists()
        })
    }
}
