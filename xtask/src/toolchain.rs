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

/// A way to a Rust that compiles for a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// The library is installed.
    Installed,
    /// Our own Rust has its library's source.
    Source,
    /// rustup may fetch the library.
    Rustup,
    /// Debian has a Rust that comes with its library's source.
    Debian,
}

/// What this machine has.
struct Facts {
    has_library: bool,
    has_source: bool,
    has_rustup: bool,
    has_debians: bool,
}

impl Facts {
    fn of(target: &str) -> Self {
        let own = Toolchain::own();
        Facts {
            has_library: own.has_library(target),
            has_source: own.has_source(),
            has_rustup: command::find("rustup").is_some(),
            has_debians: bed::is_rust_cached(),
        }
    }

    /// The ways to try, in this order: first what needs no network.
    fn ways(&self) -> Vec<Way> {
        if self.has_library {
            return vec![Way::Installed];
        }
        let mut ways = Vec::new();
        if self.has_source {
            ways.push(Way::Source);
        }
        if self.has_debians {
            ways.push(Way::Debian);
        }
        if self.has_rustup {
            ways.push(Way::Rustup);
        }
        if !self.has_debians {
            ways.push(Way::Debian);
        }
        ways
    }
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
        Self::first(&Facts::of(target).ways(), target)
    }

    /// The same, but of the version that runs xtask: for what another version may judge differently.
    ///
    /// # Errors
    /// When it cannot be had, with the one command that helps.
    pub(crate) fn own_with_library(target: &str) -> Result<Self> {
        let mut ways = Facts::of(target).ways();
        ways.retain(|way| *way != Way::Debian);
        Self::first(&ways, target)
    }

    /// The same, with rustup's library and no other: for what needs a C library too, which comes with it.
    ///
    /// # Errors
    /// When it cannot be had, with the one command that helps.
    pub(crate) fn installed(target: &str) -> Result<Self> {
        let mut ways = Facts::of(target).ways();
        ways.retain(|way| matches!(way, Way::Installed | Way::Rustup));
        Self::first(&ways, target)
    }

    /// The first of `ways` that leads to a Rust for `target`.
    fn first(ways: &[Way], target: &str) -> Result<Self> {
        let mut said = Vec::new();
        for way in ways {
            match Self::by(*way, target) {
                Ok(toolchain) => return Ok(toolchain),
                Err(why) => said.push(why.to_string()),
            }
        }
        let why = if said.is_empty() {
            "this machine has no rustup".to_owned()
        } else {
            said.join("; ")
        };
        Err(Problem::new(format!(
            "there is no Rust for {target}; `rustup target add {target}` on a machine with network would do ({why})"
        )))
    }

    fn by(way: Way, target: &str) -> Result<Self> {
        let own = Self::own();
        match way {
            Way::Installed => Ok(own),
            Way::Source => {
                println!("rust: no library for {target} is installed; compiling it from rust-src");
                Ok(own.building_library())
            }
            Way::Rustup => {
                println!("rust: no library for {target} is installed; asking rustup for it");
                run(Command::new("rustup").args(["target", "add", target]))?;
                if own.has_library(target) {
                    Ok(own)
                } else {
                    Err(Problem::new(
                        "rustup added it to another Rust than the one that runs xtask",
                    ))
                }
            }
            Way::Debian => {
                println!("rust: taking Debian's, to compile the library from source");
                Self::debian()
            }
        }
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

#[cfg(test)]
mod tests {
    use super::Way::{Debian, Installed, Rustup, Source};
    use super::*;

    const BARE: Facts = Facts {
        has_library: false,
        has_source: false,
        has_rustup: false,
        has_debians: false,
    };

    #[test]
    fn an_installed_library_is_enough() {
        let all = Facts {
            has_library: true,
            has_source: true,
            has_rustup: true,
            has_debians: true,
        };
        assert_eq!(all.ways(), [Installed]);
    }

    #[test]
    fn what_needs_no_network_comes_first() {
        let user = Facts {
            has_rustup: true,
            ..BARE
        };
        assert_eq!(user.ways(), [Rustup, Debian]);
        let offline = Facts {
            has_debians: true,
            ..user
        };
        assert_eq!(offline.ways(), [Debian, Rustup]);
        let with_source = Facts {
            has_source: true,
            ..offline
        };
        assert_eq!(with_source.ways(), [Source, Debian, Rustup]);
        assert_eq!(BARE.ways(), [Debian]);
    }

    #[test]
    fn the_refusal_names_the_command_that_helps() {
        let Err(problem) = Toolchain::first(&[], "i686-unknown-linux-musl") else {
            panic!("a Rust out of nothing");
        };
        let text = problem.to_string();
        assert!(
            text.contains("`rustup target add i686-unknown-linux-musl`"),
            "{text}"
        );
    }
}
