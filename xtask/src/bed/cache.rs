//! The cache folder: products made once, each with a manifest of checksums that is checked at every use.
//!
//! A product is a folder. Its `MANIFEST` starts with the recipe it was made by, then holds one line per file:
//! SHA-256, two spaces, path. A product whose recipe or checksums differ is made again.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::problem::{Context, Problem, Result};

const MANIFEST: &str = "MANIFEST";

/// The shared cache, locked against other runs that would change it.
pub(crate) struct Cache {
    folder: PathBuf,
    _lock: File,
}

impl Cache {
    /// Opens the cache and waits for any other run that is filling it.
    ///
    /// # Errors
    /// When the folder cannot be made or locked.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)
            .context(|| format!("cannot make the cache {}", folder.display()))?;
        let path = folder.join("lock");
        let lock = File::create(&path).context(|| format!("cannot open {}", path.display()))?;
        if lock.try_lock().is_err() {
            println!(
                "bed: another run is filling {}, waiting for it",
                folder.display()
            );
            lock.lock()
                .context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(Cache {
            folder,
            _lock: lock,
        })
    }

    /// The path of something in the cache.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the product `name`, made by `make` into an empty folder if it is absent, damaged or of another
    /// recipe.
    ///
    /// # Errors
    /// Those of `make`, and trouble with files.
    pub(crate) fn product(
        &self,
        name: &str,
        recipe: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        // The recipe is part of the name, so that clones of different age do not take turns in making it again.
        let short: String = sha256(recipe.as_bytes()).chars().take(8).collect();
        let name = &format!("{name}-{short}");
        let folder = self.path(name);
        match check(&folder, recipe) {
            Ok(()) => return Ok(folder),
            Err(why) if folder.exists() => println!("bed: making {name} again: {why}"),
            Err(_) => println!("bed: making {name}"),
        }
        let fresh = self.path(&format!("{name}.new"));
        remove(&fresh)?;
        fs::create_dir_all(&fresh)?;
        make(&fresh)?;
        write_manifest(&fresh, recipe)?;
        remove(&folder)?;
        fs::rename(&fresh, &folder).context(|| format!("cannot rename {}", fresh.display()))?;
        Ok(folder)
    }
}

/// Removes a folder that may be absent.
fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// SHA-256 of a file, in hex.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn sha256_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).context(|| format!("cannot open {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = file
            .read(&mut buffer)
            .context(|| format!("cannot read {}", path.display()))?;
        if count == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..count]);
    }
}

/// SHA-256 of bytes, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// All regular files under `folder`, as sorted relative paths.
pub(crate) fn files_under(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(current) = open.pop() {
        for entry in
            fs::read_dir(&current).context(|| format!("cannot list {}", current.display()))?
        {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push(
                    entry
                        .path()
                        .strip_prefix(folder)
                        .map(Path::to_path_buf)
                        .unwrap_or_default(),
                );
            }
        }
    }
    found.sort();
    Ok(found)
}

fn write_manifest(folder: &Path, recipe: &str) -> Result<()> {
    let mut text = format!("{}\n", sha256(recipe.as_bytes()));
    for file in files_under(folder)? {
        text.push_str(&format!(
            "{}  {}\n",
            sha256_of(&folder.join(&file))?,
            file.display()
        ));
    }
    fs::write(folder.join(MANIFEST), text)
        .context(|| format!("cannot write the manifest of {}", folder.display()))
}

/// Checks a product against its manifest.
fn check(folder: &Path, recipe: &str) -> Result<()> {
    let text = fs::read_to_string(folder.join(MANIFEST)).context(|| "it has no manifest")?;
    let mut lines = text.lines();
    if lines.next() != Some(sha256(recipe.as_bytes()).as_str()) {
        return Err(Problem::new("its recipe has changed"));
    }
    for line in lines {
        let (sum, name) = line
            .split_once("  ")
            .context(|| "its manifest is damaged")?;
        if sha256_of(&folder.join(name))? != sum {
            return Err(Problem::new(format!("{name} has changed")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_product_is_made_again() {
        let base = std::env::temp_dir().join(format!("pv-grub-cache-test-{}", std::process::id()));
        let cache = Cache::open(base.clone()).unwrap();
        let make = |folder: &Path| Ok(fs::write(folder.join("a"), "one")?);
        let product = cache.product("p", "r", make).unwrap();
        cache
            .product("p", "r", |_| Err(Problem::new("made twice")))
            .unwrap();
        fs::write(product.join("a"), "two").unwrap();
        cache.product("p", "r", make).unwrap();
        assert_eq!(fs::read_to_string(product.join("a")).unwrap(), "one");
        assert!(
            cache
                .product("p", "other", |_| Err(Problem::new("asked")))
                .is_err()
        );
        fs::remove_dir_all(base).unwrap();
    }
}
