//! A Rust of Debian's own that can compile the standard library from source: for machines where rustup cannot fetch
//! the 32-bit one.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::Apt;
use super::cache::Cache;
use super::{products, tools};
use crate::problem::{Context, Result};
use crate::workspace;

/// The release whose security archive has a new enough Rust (there to build browsers with).
const SUITE: &str = "bookworm";
const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];

/// The cache's folder with `usr/bin/cargo`, `usr/bin/rustc` and the standard library's source, made when missing.
///
/// # Errors
/// When a package cannot be had.
pub(crate) fn debian_rust() -> Result<PathBuf> {
    let cache = Cache::open(workspace::cache())?;
    cache.product("rust", &format!("{PACKAGES:?} and libraries; 1"), |into| {
        let apt = Apt::with_security(&cache.path("apt-bookworm-security"), SUITE)?;
        let wanted: Vec<String> = PACKAGES.iter().map(|p| (*p).to_owned()).collect();
        products::unpack_with_libraries(&apt, &wanted, into)?;
        only_library(into)?;
        tools::drop_libc(into)
    })
}

/// Drops what is not needed to compile: of the source everything but the standard library, and documents.
fn only_library(root: &Path) -> Result<()> {
    let sources = root.join("usr/src");
    for entry in fs::read_dir(&sources).context(|| "the package of Rust's source is empty")? {
        let version = entry?.path();
        for part in fs::read_dir(&version)? {
            let part = part?.path();
            if part.is_dir() && !part.ends_with("library") {
                fs::remove_dir_all(part)?;
            }
        }
    }
    let unused = root.join("usr/share");
    if unused.exists() {
        fs::remove_dir_all(unused)?;
    }
    Ok(())
}

/// Whether [`debian_rust`] has been made already (by this version of it or another).
pub(crate) fn is_rust_cached() -> bool {
    fs::read_dir(workspace::cache()).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| {
                let name = entry.file_name();
                name.to_string_lossy().starts_with("rust-")
                    && !name.to_string_lossy().ends_with(".new")
            })
        })
    })
}
