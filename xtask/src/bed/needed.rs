//! Which shared libraries a program needs: `DT_NEEDED`, followed through an unpacked root.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use elf::ElfBytes;
use elf::abi::DT_NEEDED;
use elf::endian::LittleEndian;

use super::cache::files_under;
use crate::problem::{Context, Problem, Result};

/// The `DT_NEEDED` names of one ELF file; empty for anything else.
fn needed(bytes: &[u8]) -> Vec<String> {
    let read = || -> std::result::Result<Vec<String>, elf::ParseError> {
        let file = ElfBytes::<LittleEndian>::minimal_parse(bytes)?;
        let common = file.find_common_data()?;
        let (Some(dynamic), Some(strings)) = (common.dynamic, common.dynsyms_strs) else {
            return Ok(Vec::new());
        };
        dynamic
            .iter()
            .filter(|d| d.d_tag == DT_NEEDED)
            .map(|d| {
                Ok(strings
                    .get(usize::try_from(d.d_val()).unwrap_or(usize::MAX))?
                    .to_owned())
            })
            .collect()
    };
    read().unwrap_or_default()
}

/// Every library that `programs` (and their libraries) need, found by name anywhere under `root`:
/// name to file.
///
/// # Errors
/// When a program cannot be read or a library is not there.
pub(crate) fn with_libraries(
    root: &Path,
    programs: &[PathBuf],
) -> Result<BTreeMap<String, PathBuf>> {
    let mut shelf: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in all_names(root)? {
        if let Some(name) = file
            .file_name()
            .and_then(|n| n.to_str())
            .filter(|n| n.contains(".so"))
        {
            shelf.insert(name.to_owned(), file);
        }
    }
    let mut open: Vec<PathBuf> = programs.to_vec();
    let mut seen: BTreeSet<PathBuf> = programs.iter().cloned().collect();
    let mut found = BTreeMap::new();
    while let Some(program) = open.pop() {
        let bytes = fs::read(&program).context(|| format!("cannot read {}", program.display()))?;
        for name in needed(&bytes) {
            let file = shelf
                .get(&name)
                .context(|| format!("{} needs {name}", program.display()))?;
            found.insert(name, file.clone());
            if seen.insert(file.clone()) {
                open.push(file.clone());
            }
        }
    }
    if found.is_empty() {
        return Err(Problem::new(
            "no program needs a library: the unpacked root is wrong",
        ));
    }
    Ok(found)
}

/// Regular files, and symbolic links that lead to one inside the same folder.
fn all_names(root: &Path) -> Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    for file in files_under(root)? {
        let path = root.join(&file);
        if let Some(parent) = path.parent() {
            folders.insert(parent.to_path_buf());
        }
        names.push(path);
    }
    for folder in folders {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_symlink() && path.is_file() {
                names.push(path);
            }
        }
    }
    Ok(names)
}
