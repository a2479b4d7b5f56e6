//! `cargo xtask package`: pvgrub as a package would install it, below `dist/pvgrub`: the program, its manual pages and its
//! completions.
//!
//! Pages and completions come from the same tree as `--help`, out of the library that this program is linked with; so
//! `cargo install` needs no build script, and compiles clap once.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{output, run};
use crate::foresight;
use crate::problem::{Context, Result};
use crate::workspace;
use crate::xen::disk::fresh_folder;

/// Shells, and where below a prefix each looks for completions.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "share/bash-completion/completions/pvgrub"),
    ("zsh", "share/zsh/site-functions/_pvgrub"),
    ("fish", "share/fish/vendor_completions.d/pvgrub.fish"),
];

/// Where manual pages are below a prefix.
const PAGES: &str = "share/man/man1";

/// Builds the program and puts everything into `dist/pvgrub`.
///
/// # Errors
/// When it does not build, or the folder cannot be written.
pub(crate) fn package() -> Result<()> {
    let built = build()?;
    let prefix = fresh_folder(&workspace::dist().join("pvgrub"))?;
    let program = prefix.join("bin/pvgrub");
    std::fs::create_dir_all(prefix.join("bin"))?;
    std::fs::copy(built, &program)?;
    let files = write_share(&prefix)?;
    // What was built starts.
    let version = output(Command::new(&program).arg("--version"))?;
    println!(
        "{}: {} with {} manual pages and completions for {} shells; `cp -r {}/. /usr/local` installs it",
        program.display(),
        String::from_utf8_lossy(&version).trim(),
        files.len() - COMPLETIONS.len(),
        COMPLETIONS.len(),
        prefix.display(),
    );
    Ok(())
}

/// Builds the program as `cargo install` does, and returns where it is.
///
/// # Errors
/// When it does not build.
pub(crate) fn build() -> Result<PathBuf> {
    let root = workspace::root();
    let target = root.join("target/pvgrub");
    run(Command::new("cargo")
        .args(["build", "--locked", "--release", "--package", "pvgrub"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&root))?;
    Ok(target.join("release/pvgrub"))
}

/// Writes pages and completions below `prefix`, and returns the files.
fn write_share(prefix: &Path) -> Result<Vec<PathBuf>> {
    let pvgrub = |words: &[&str]| {
        let words: Vec<String> = std::iter::once("pvgrub")
            .chain(words.iter().copied())
            .map(str::to_owned)
            .collect();
        foresight::said(&words).context(|| format!("pvgrub does not know {}", words.join(" ")))
    };
    let pages = prefix.join(PAGES);
    std::fs::create_dir_all(&pages)?;
    pvgrub(&["man", "--dir", &pages.display().to_string()])?;
    let mut files = std::fs::read_dir(&pages)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    for (shell, place) in COMPLETIONS {
        let file = prefix.join(place);
        std::fs::create_dir_all(file.parent().context(|| "a file in no folder")?)?;
        std::fs::write(&file, pvgrub(&["completions", shell])?)?;
        files.push(file);
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_completions_are_made() {
        let prefix = std::env::temp_dir().join(format!("pvgrub-package-{}", std::process::id()));
        let files = write_share(&prefix).expect("a folder can be written");
        let names: Vec<String> = files
            .iter()
            .map(|file| {
                file.strip_prefix(&prefix)
                    .expect("below it")
                    .display()
                    .to_string()
            })
            .collect();
        for name in [
            "check",
            "completions",
            "fmt",
            "generate",
            "lint",
            "man",
            "show",
        ] {
            assert!(
                names.contains(&format!("{PAGES}/pvgrub-{name}.1")),
                "{names:?}"
            );
        }
        assert!(names.contains(&format!("{PAGES}/pvgrub.1")));
        for (_, place) in COMPLETIONS {
            let text = std::fs::read_to_string(prefix.join(place)).expect("a script");
            assert!(text.contains("backing-files"), "{place}");
        }
        std::fs::remove_dir_all(prefix).expect("it was made here");
    }
}
