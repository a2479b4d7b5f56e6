//! Running other programs: every command line is printed or ends up in the error.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::problem::{Context, Problem, Result};

/// The command line as a person would type it, without quoting subtleties.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Prints and runs `command`, its output going to the terminal.
///
/// # Errors
/// When it cannot be started or ends with anything but 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let status = command
        .status()
        .context(|| format!("cannot run {}", shown(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(Problem::new(format!(
            "`{}` ended with {status}",
            shown(command)
        )))
    }
}

/// Runs `command` silently and returns what it wrote on its standard output.
///
/// # Errors
/// When it cannot be started or ends with anything but 0; the message holds its standard error.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .context(|| format!("cannot run {}", shown(command)))?;
    if out.status.success() {
        return Ok(out.stdout);
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(Problem::new(format!(
        "`{}` ended with {}: {}",
        shown(command),
        out.status,
        said.trim()
    )))
}

/// [`output`] as text.
///
/// # Errors
/// As [`output`].
pub(crate) fn text(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&output(command)?).into_owned())
}

/// Finds `name` on the search path, or in the folders that only root has there.
pub(crate) fn find(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let name = Path::new(name.as_ref());
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
