//! Checks the house rules that no compiler knows: who may use whom, where `unsafe` may be, how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

use crate::problem::{Context, Problem, Result};
use crate::workspace;

/// Rooms that know nothing of each other.
const APART: &[&str] = &["arch", "fs", "net", "menu"];
/// The longest a source file may be, in lines.
const LONGEST: usize = 600;

/// Checks the whole workspace.
///
/// # Errors
/// With every broken rule, one a line.
pub(crate) fn check() -> Result<()> {
    let root = workspace::root();
    let mut broken = Vec::new();
    // The decoders in `fs/unpack` serve `fs` and `bootloader`, and know nobody.
    for room in APART.iter().chain(&["fs/unpack"]) {
        let manifest = fs::read_to_string(root.join(room).join("Cargo.toml"))
            .context(|| format!("no room {room}"))?;
        broken.extend(forbidden_edges(room, &manifest));
    }
    for file in sources(&root)? {
        let shown = file
            .strip_prefix(&root)
            .unwrap_or(&file)
            .display()
            .to_string();
        let text = fs::read_to_string(&file).context(|| format!("cannot read {shown}"))?;
        broken.extend(broken_in_file(&shown, &text));
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Problem::new(format!(
            "house rules:\n  {}",
            broken.join("\n  ")
        )))
    }
}

/// Dependencies of `room` on rooms that it must not know.
fn forbidden_edges(room: &str, manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let key = line.split(['.', '=', ' ']).next().unwrap_or_default();
        let other = APART
            .iter()
            .chain(&["bootloader"])
            .find(|r| **r == key && **r != room);
        if let (true, Some(other)) = (section.contains("dependencies"), other) {
            found.push(format!("{room} must not use {other}"));
        }
    }
    found
}

/// Rules for one source file: its length and its `unsafe`.
fn broken_in_file(shown: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        found.push(format!("{shown} has {lines} lines, more than {LONGEST}"));
    }
    // Tests that need it live in `arch` too. Words inside comments and names are no use of it.
    if !shown.starts_with("arch/") && shown.ends_with(".rs") {
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            let uses = [
                "unsafe {",
                "unsafe fn",
                "unsafe impl",
                "unsafe trait",
                "unsafe extern",
                "unsafe(",
            ]
            .iter()
            .any(|u| code.contains(u));
            if uses && !code.contains('"') {
                found.push(format!("{shown}:{number}: `unsafe` outside arch"));
            }
        }
    }
    found
}

/// Source files of all kinds, without results.
fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "dist" {
                open.push(path);
            } else if matches!(
                path.extension().and_then(|e| e.to_str()),
                Some("rs" | "c" | "h" | "S" | "s" | "ld" | "sh")
            ) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_stay_apart() {
        let manifest = "[package]\nname = \"fs\"\n[dependencies]\narch.workspace = true\ncrc.workspace = true\n";
        assert_eq!(forbidden_edges("fs", manifest), ["fs must not use arch"]);
        assert_eq!(forbidden_edges("arch", manifest), [""; 0]);
        assert_eq!(
            forbidden_edges("fs/unpack", manifest),
            ["fs/unpack must not use arch"]
        );
    }

    #[test]
    fn unsafe_is_found_outside_arch_only() {
        let text = concat!("let a = uns", "afe { b() };\n// unsafe { no }\n");
        assert_eq!(broken_in_file("fs/src/a.rs", text).len(), 1);
        assert_eq!(broken_in_file("arch/src/a.rs", text).len(), 0);
        assert_eq!(broken_in_file("fs/src/a.rs", &"\n".repeat(601)).len(), 1);
    }
}
