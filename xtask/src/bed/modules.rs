//! Kernel modules: which ones a list of names needs, in loading order, without depmod.
//!
//! Each module names its dependencies in its `.modinfo` section (`depends=a,b`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::cache::files_under;
use super::tools::Tools;
use crate::command::output;
use crate::problem::{Context, Problem, Result};

/// Modules taken out of a kernel package, uncompressed, in one flat folder with the list `order`.
pub(crate) struct KernelModules {
    folder: PathBuf,
    dependencies: BTreeMap<String, Vec<String>>,
}

impl KernelModules {
    /// Copies `wanted` and all that they need from `tree` (a kernel package's module folder) to `into`.
    /// Names that the kernel has built in, or does not know, are passed over: releases differ.
    ///
    /// # Errors
    /// When a module cannot be read or unpacked.
    pub(crate) fn collect(tools: &Tools, tree: &Path, wanted: &[&str], into: &Path) -> Result<()> {
        let mut shelf = BTreeMap::new();
        for file in files_under(tree)? {
            if let Some(name) = module_name(&file) {
                shelf.insert(name, tree.join(&file));
            }
        }
        let mut open: Vec<String> = wanted.iter().map(|w| normal(w)).collect();
        let mut lines = BTreeMap::new();
        while let Some(name) = open.pop() {
            let (Some(file), false) = (shelf.get(&name), lines.contains_key(&name)) else {
                continue;
            };
            let bytes = unpacked(tools, file)?;
            let needs = depends(&bytes);
            open.extend(needs.iter().cloned());
            fs::write(into.join(format!("{name}.ko")), &bytes)?;
            lines.insert(name.clone(), format!("{name}:{}\n", needs.join(",")));
        }
        fs::write(
            into.join("dependencies"),
            lines.into_values().collect::<String>(),
        )
        .context(|| format!("cannot write to {}", into.display()))
    }

    /// Opens a folder that [`KernelModules::collect`] filled.
    ///
    /// # Errors
    /// When the list of dependencies is missing.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let text = fs::read_to_string(folder.join("dependencies"))
            .context(|| format!("no modules in {}", folder.display()))?;
        let mut dependencies = BTreeMap::new();
        for line in text.lines() {
            let (name, needs) = line
                .split_once(':')
                .context(|| "the list of modules is damaged")?;
            let needs = needs
                .split(',')
                .filter(|n| !n.is_empty())
                .map(str::to_owned)
                .collect();
            dependencies.insert(name.to_owned(), needs);
        }
        Ok(KernelModules {
            folder: folder.to_path_buf(),
            dependencies,
        })
    }

    /// The files to load for `wanted`, in an order in which each finds what it needs.
    ///
    /// # Errors
    /// When modules need each other in a circle.
    pub(crate) fn in_order(&self, wanted: &[&str]) -> Result<Vec<PathBuf>> {
        let mut order = Vec::new();
        for name in wanted {
            self.visit(&normal(name), 0, &mut order)?;
        }
        Ok(order
            .iter()
            .map(|name| self.folder.join(format!("{name}.ko")))
            .collect())
    }

    fn visit(&self, name: &str, depth: usize, order: &mut Vec<String>) -> Result<()> {
        if depth > self.dependencies.len() {
            return Err(Problem::new(format!(
                "kernel modules need each other in a circle near {name}"
            )));
        }
        let Some(needs) = self.dependencies.get(name) else {
            return Ok(());
        }; // built in
        if order.iter().any(|n| n == name) {
            return Ok(());
        }
        for need in needs {
            self.visit(need, depth + 1, order)?;
        }
        order.push(name.to_owned());
        Ok(())
    }
}

/// Module names spell `-` and `_` alike.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The module's name, if `file` is one: `x.ko`, `x.ko.xz`, `x.ko.zst`, `x.ko.gz`.
fn module_name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let (stem, rest) = name.split_once(".ko")?;
    matches!(rest, "" | ".xz" | ".zst" | ".gz").then(|| normal(stem))
}

fn unpacked(tools: &Tools, file: &Path) -> Result<Vec<u8>> {
    let tool = match file.extension().and_then(|e| e.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(file).context(|| format!("cannot read {}", file.display())),
    };
    output(tools.command(tool)?.arg("-dc").arg(file))
}

/// The `depends=` entry of a module's `.modinfo`.
fn depends(bytes: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = bytes.windows(key.len()).position(|w| w == key) else {
        return Vec::new();
    };
    let rest = &bytes[at + key.len()..];
    let end = rest.iter().position(|&b| b == 0).unwrap_or(rest.len());
    let text = String::from_utf8_lossy(&rest[..end]);
    text.split(',')
        .filter(|n| !n.is_empty())
        .map(normal)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_dependencies_are_read() {
        assert_eq!(
            module_name(Path::new("a/xen-blkfront.ko.xz")).as_deref(),
            Some("xen_blkfront")
        );
        assert_eq!(module_name(Path::new("a/modules.order")), None);
        assert_eq!(
            depends(b"license=GPL\0depends=mbcache,jbd2,crc-16\0x"),
            ["mbcache", "jbd2", "crc_16"]
        );
        assert_eq!(depends(b"a\0depends=\0x"), [""; 0]);
    }
}
