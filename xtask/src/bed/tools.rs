//! Host programs that the bed runs: QEMU (installed when missing) and small tools (from the cache when missing).

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::files_under;
use crate::command::{self, text};
use crate::problem::{Context, Problem, Result};

/// Packages that hold the small tools, with the tools themselves.
pub(crate) const PACKAGES: &[(&str, &[&str])] = &[
    ("e2fsprogs", &["mke2fs", "debugfs", "e2fsck"]),
    ("dosfstools", &["mkfs.vfat"]),
    ("mtools", &["mcopy", "mmd"]),
    ("xorriso", &["xorriso"]),
    ("xz-utils", &["xz"]),
    ("zstd", &["zstd"]),
    ("lz4", &["lz4"]),
    ("lzop", &["lzop"]),
    ("bzip2", &["bzip2"]),
    ("xfsprogs", &["mkfs.xfs", "xfs_io"]),
    ("btrfs-progs", &["mkfs.btrfs", "btrfs"]),
    ("squashfs-tools", &["mksquashfs"]),
];

/// Small tools: the machine's own where it has them, else those unpacked in the cache.
#[derive(Clone)]
pub(crate) struct Tools {
    root: PathBuf,
}

impl Tools {
    pub(crate) fn new(root: PathBuf) -> Self {
        Tools { root }
    }

    /// A command that runs `name`.
    ///
    /// # Errors
    /// When neither the machine nor the cache has it.
    pub(crate) fn command(&self, name: &str) -> Result<Command> {
        if let Some(own) = command::find(name) {
            return Ok(Command::new(own));
        }
        for folder in ["bin", "sbin", "usr/bin", "usr/sbin"] {
            let file = self.root.join(folder).join(name);
            if file.exists() {
                let mut command = Command::new(file);
                let libraries: Vec<PathBuf> = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"]
                    .iter()
                    .map(|l| self.root.join(l))
                    .collect();
                let joined =
                    std::env::join_paths(libraries).context(|| "the cache's path holds a colon")?;
                command.env("LD_LIBRARY_PATH", joined);
                return Ok(command);
            }
        }
        Err(Problem::new(format!(
            "the tool {name} is neither on this machine nor in {}",
            self.root.display()
        )))
    }
}

/// Removes the C library from an unpacked root, so that tools run with the machine's own.
pub(crate) fn drop_libc(root: &Path) -> Result<()> {
    for file in files_under(root)? {
        let name = file
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let of_libc = [
            "libc.so",
            "libm.so",
            "libpthread.so",
            "libdl.so",
            "librt.so",
            "ld-linux",
        ];
        if of_libc.iter().any(|p| name.starts_with(p)) {
            std::fs::remove_file(root.join(&file))?;
        }
    }
    Ok(())
}

/// What only the host tests run, besides [`PACKAGES`]. They find tools in `PATH`, so what is missing is installed.
const PACKAGES_OF_TESTS: &[(&str, &[&str])] = &[("qemu-utils", &["qemu-img"])];

/// Finds QEMU, installing it if it is missing.
///
/// # Errors
/// When it is missing and cannot be installed.
pub(crate) fn qemu() -> Result<PathBuf> {
    const PROGRAM: &str = "qemu-system-x86_64";
    install(&[("qemu-system-x86", &[PROGRAM])])?;
    command::find(PROGRAM)
        .context(|| format!("{PROGRAM} is still missing after its package was installed"))
}

/// Installs what the host tests run and this machine lacks.
///
/// # Errors
/// When something is missing and cannot be installed.
pub(crate) fn for_host_tests() -> Result<()> {
    install(&[PACKAGES, PACKAGES_OF_TESTS].concat())
}

/// Those packages of whose programs this machine lacks one.
pub(super) fn missing<'a>(packages: &[(&'a str, &[&str])]) -> Vec<&'a str> {
    packages
        .iter()
        .filter(|(_, programs)| programs.iter().any(|p| command::find(p).is_none()))
        .map(|(package, _)| *package)
        .collect()
}

/// Installs what is [`missing`].
fn install(packages: &[(&str, &[&str])]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    println!("bed: installing what is missing with apt-get: {names}");
    let root = text(Command::new("id").arg("-u"))?.trim() == "0";
    let apt = |arguments: &[&str]| {
        let mut apt = if root {
            Command::new("apt-get")
        } else {
            Command::new("sudo")
        };
        if !root {
            apt.args(["-n", "apt-get"]);
        }
        command::run(apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["-q", "update"])
        .and_then(|()| {
            let mut arguments = vec!["-q", "install", "-y", "--no-install-recommends"];
            arguments.extend(&missing);
            apt(&arguments)
        })
        .context(|| {
            format!("these packages are needed and could not be installed; install them by hand: {names}")
        })
}
