//! Inputs that are kept as files: `seeds/TARGET/`. Crashes of the past are among them, under a name that says what broke.

use std::path::{Path, PathBuf};

/// The files kept for `target`, sorted by name, with their bytes.
///
/// # Panics
/// When the folder of a checked-out repository cannot be read.
#[must_use]
pub fn past(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("OK to unwrap: a folder of the repository")
                .path()
        })
        .map(|path| {
            let bytes = std::fs::read(&path);
            (path, bytes.expect("OK to unwrap: a file of the repository"))
        })
        .collect();
    found.sort();
    found
}
