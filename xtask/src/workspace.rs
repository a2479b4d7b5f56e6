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

/// A hypervisor that runs 32-bit PV guests itself (built with `CONFIG_PV32`), if `PV_GRUB_PV32` names one: an ELF file, as
/// `make -C xen` leaves it. The bed then boots it in place of Debian's, and 32-bit guests need no shim.
pub(crate) fn hypervisor_with_pv32() -> Option<PathBuf> {
    std::env::var_os("PV_GRUB_PV32")
        .filter(|file| !file.is_empty())
        .map(PathBuf::from)
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
