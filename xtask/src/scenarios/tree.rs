//! Trees of files: written and listed by dom0's Linux, and compared on the host with what the `fs` room reads from the
//! same disk.
//!
//! dom0's part are the scripts in `tree/`. A list has a line for each name with type, permissions and size, one for each
//! symbolic link with its target, and one for each file with its SHA-256.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use fs::{BlockDevice, BlockError, EntryKind, FileSystem, Geometry, ReadAhead, Volume};
use sha2::{Digest, Sha256};

use crate::problem::{Context, Result};
use crate::scenario::{Outcome, Stage};
use crate::xen::guest::Trouble;

const FILL: &str = include_str!("tree/fill.sh");
const CHANGE: &str = include_str!("tree/change.sh");
const LIST: &str = include_str!("tree/list.sh");
/// For one of the scripts; emulation is slow, and dom0 has other things to do.
const PATIENCE: Duration = Duration::from_secs(150);

/// What a file system can hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Names {
    /// Links, modes, device nodes.
    Posix,
    /// Files and folders.
    Fat,
}

/// How changes are made to last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Commit {
    /// By whole transactions.
    Whole,
    /// By ext4's fast commits, the last of them.
    Fast,
}

/// Runs a script in dom0.
fn script(stage: &Stage, name: &str, text: &str, arguments: &str) -> Outcome {
    let path = stage.share_bytes(name, text.as_bytes())?;
    let answer = stage
        .dom0
        .try_run(&format!("sh {path} {arguments}"), PATIENCE)?;
    if answer.code == 0 {
        return Ok(());
    }
    Err(Trouble::Guest(format!(
        "{name} {arguments} ended with {}: {}",
        answer.code, answer.output
    )))
}

/// Writes the tree into `folder` of dom0.
///
/// # Errors
/// When it does not fit, or dom0 cannot.
pub(crate) fn fill(stage: &Stage, folder: &str, names: Names) -> Outcome {
    let kind = match names {
        Names::Posix => "posix",
        Names::Fat => "fat",
    };
    script(stage, "fill.sh", FILL, &format!("{folder} {kind}"))
}

/// Changes the tree in `folder` of dom0.
///
/// # Errors
/// When dom0 cannot.
pub(crate) fn change(stage: &Stage, folder: &str, commit: Commit) -> Outcome {
    let way = match commit {
        Commit::Whole => "whole",
        Commit::Fast => "fast",
    };
    script(stage, "change.sh", CHANGE, &format!("{folder} {way}"))
}

/// What dom0's Linux sees in `folder`.
///
/// # Errors
/// When dom0 cannot read it.
pub(crate) fn list(stage: &Stage, folder: &str) -> std::result::Result<String, Trouble> {
    let path = stage.share_bytes("list", b"")?;
    script(stage, "list.sh", LIST, &format!("{folder} {path}"))?;
    Ok(stage.read_shared("list")?)
}

/// A file of the host as a disk.
struct FileDisk {
    file: File,
    len_bytes: u64,
}

impl BlockDevice for FileDisk {
    fn geometry(&self) -> Geometry {
        Geometry {
            sector_bytes: 512,
            len_bytes: self.len_bytes,
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::result::Result<(), BlockError> {
        self.file
            .read_exact_at(out, offset)
            .map_err(|error| BlockError::Io(error.to_string()))
    }
}

/// The file `image` as a disk of the loader's.
///
/// # Errors
/// When it cannot be opened.
pub(crate) fn disk(image: &Path) -> Result<Rc<ReadAhead>> {
    let file = File::open(image).context(|| format!("cannot open {}", image.display()))?;
    let len_bytes = file.metadata().context(|| "no length")?.len();
    Ok(Rc::new(ReadAhead::new(Rc::new(FileDisk {
        file,
        len_bytes,
    }))))
}

/// Mounts the file system that fills `image`, as the loader would.
///
/// # Errors
/// [`Trouble::Guest`] with what the file system says.
pub(crate) fn mount(image: &Path) -> std::result::Result<Box<dyn FileSystem>, Trouble> {
    fs::mount(&Volume::whole(disk(image)?))
        .map_err(|error| Trouble::Guest(format!("{}: {error}", image.display())))
}

/// Reads a whole file.
///
/// # Errors
/// What the file system says.
pub(crate) fn read(files: &dyn FileSystem, path: &[u8]) -> Result<Vec<u8>> {
    let file = files
        .open(path)
        .context(|| path.escape_ascii().to_string())?;
    let mut bytes = vec![0; usize::try_from(file.len()).context(|| "too large")?];
    file.read_at(0, &mut bytes)
        .context(|| path.escape_ascii().to_string())?;
    Ok(bytes)
}

/// Compares what `files` holds with dom0's `list`, but for names for which `passed_over` holds. Returns how many names
/// were compared.
///
/// # Errors
/// [`Trouble::Guest`] with the first ten differences.
pub(crate) fn compare(
    files: &dyn FileSystem,
    list: &str,
    passed_over: fn(&str) -> bool,
) -> std::result::Result<usize, Trouble> {
    let mut wrong = Vec::new();
    let mut theirs = BTreeSet::new();
    for line in list.lines() {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let name = match kind {
            "S" => rest.splitn(3, ' ').nth(2),
            "H" => rest.split_once("  ").map(|(_, name)| name),
            _ => rest.split_once(" -> ").map(|(name, _)| name),
        };
        let name = name.unwrap_or_default();
        if passed_over(name) {
            continue;
        }
        let path = name.strip_prefix('.').unwrap_or(name);
        let fault = match kind {
            "S" => {
                theirs.insert(path.to_owned());
                check_entry(files, path, rest)
            }
            "H" => check_sum(files, path, rest),
            "L" => check_target(files, path, rest),
            _ => Some("a line that makes no sense".to_owned()),
        };
        wrong.extend(fault.map(|why| format!("{line}: {why}")));
    }
    if theirs.len() < 100 {
        wrong.push(format!("Linux lists only {} names", theirs.len()));
    }
    let mut ours = 0;
    walk(files, "", passed_over, &mut |path| {
        ours += 1;
        if !theirs.contains(path) {
            wrong.push(format!("{path}: Linux does not see it"));
        }
    })?;
    // The list has the root, too.
    if ours + 1 != theirs.len() {
        wrong.push(format!("{ours} names, Linux sees {}", theirs.len() - 1));
    }
    if wrong.is_empty() {
        return Ok(ours);
    }
    wrong.truncate(10);
    Err(Trouble::Guest(wrong.join("; ")))
}

/// `rest` is mode in hex, size, name.
fn check_entry(files: &dyn FileSystem, path: &str, rest: &str) -> Option<String> {
    let found = match files.inspect(path.as_bytes()) {
        Ok(found) => found,
        Err(error) => return Some(error.to_string()),
    };
    let mut fields = rest.split(' ');
    let mode = u16::from_str_radix(fields.next()?, 16).ok()?;
    if found.mode.is_some_and(|own| own != mode) {
        return Some(format!("mode {:x?}", found.mode));
    }
    let size: u64 = fields.next()?.parse().ok()?;
    (found.kind == EntryKind::File && found.len != size).then(|| format!("{} bytes", found.len))
}

fn check_sum(files: &dyn FileSystem, path: &str, rest: &str) -> Option<String> {
    let bytes = match read(files, path.as_bytes()) {
        Ok(bytes) => bytes,
        Err(error) => return Some(error.to_string()),
    };
    let own: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    (!rest.starts_with(&own)).then(|| format!("sum {own}"))
}

fn check_target(files: &dyn FileSystem, path: &str, rest: &str) -> Option<String> {
    let found = match files.inspect(path.as_bytes()) {
        Ok(found) => found.target.unwrap_or_default(),
        Err(error) => return Some(error.to_string()),
    };
    let (_, target) = rest.split_once(" -> ")?;
    (found != target.as_bytes()).then(|| found.escape_ascii().to_string())
}

fn walk(
    files: &dyn FileSystem,
    folder: &str,
    passed_over: fn(&str) -> bool,
    visit: &mut dyn FnMut(&str),
) -> Outcome {
    let entries = files
        .list(folder.as_bytes())
        .map_err(|error| Trouble::Guest(format!("{folder}: {error}")))?;
    for entry in entries {
        let path = format!("{folder}/{}", String::from_utf8_lossy(&entry.name));
        if passed_over(&format!(".{path}")) {
            continue;
        }
        visit(&path);
        if entry.kind == EntryKind::Directory {
            walk(files, &path, passed_over, visit)?;
        }
    }
    Ok(())
}
