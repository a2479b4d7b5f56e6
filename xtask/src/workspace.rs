//! Where things lie: the repository, its results and the cache that clones share.

use std::path::{Path, PathBuf};

/// The folder with the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent()
        .map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Where `xtask build` puts its results.
pub(crate) fn dist() -> PathBuf {
    root().join("dist")
}

/// Where runs of the Xen bed leave logs, one folder each.
pub(crate) fn runs() -> PathBuf {
    root().join("target").join("xen")
}

/// The cache: `$XDG_CACHE_HOME/pv-grub`, else `~/.cache/pv-grub`.
pub(crate) fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|s| !s.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("pv-grub")
}
