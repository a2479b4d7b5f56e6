//! `cargo xtask abi-check`: our idea of Xen's binary interface against Xen's own headers.
//!
//! [`table`] names each number, the C expression for it, and ours for both widths. A C probe with all of them is
//! compiled to assembly with `-m64` and `-m32`, which needs no C library of either width, and the numbers are read
//! from there. [`ring`] then runs Xen's ring macros and our rings side by side on two pages.

mod ring;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use arch::abi::Width;

use crate::bed::Bed;
use crate::command::{output, shown};
use crate::problem::{Context, Problem, Result};
use crate::workspace;

/// What marks a number in the assembly.
const MARK: &str = "->";

/// Checks against the headers in `/usr/include`, or, when there are none, against those of the bed.
///
/// # Errors
/// As [`check`]; or when there are no headers and none can be fetched.
pub(crate) fn check_here() -> Result<()> {
    let system = PathBuf::from("/usr/include");
    if system.join("xen/xen.h").is_file() {
        return check(&system);
    }
    let header = Bed::prepare()?.file("/include/xen/xen.h")?;
    let include = header.ancestors().nth(2);
    check(include.context(|| "xen.h lies in no folder")?)
}

/// Checks every number of the table and every script of the ring test against the headers in `include`, the
/// folder that holds `xen/xen.h`.
///
/// # Errors
/// A list of what differs; or why the compiler could not be asked.
pub(crate) fn check(include: &Path) -> Result<()> {
    let folder = workspace::runs().with_file_name("abi");
    std::fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
    let lines = table::lines();
    let mut wrong = Vec::new();
    for width in [Width::Bits64, Width::Bits32] {
        let theirs = probe(include, &folder, &lines, width)?;
        for line in &lines {
            let ours = match width {
                Width::Bits64 => line.ours64,
                Width::Bits32 => line.ours32,
            };
            match theirs.get(&line.name) {
                Some(value) if *value == ours => {}
                Some(value) => wrong.push(format!(
                    "{} ({width:?}): ours is {ours}, Xen's is {value}",
                    line.name
                )),
                None => wrong.push(format!("{} ({width:?}): the probe lost it", line.name)),
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Problem::new(wrong.join("\n")));
    }
    println!(
        "{} numbers agree with {} in both widths",
        lines.len(),
        include.join("xen").display()
    );
    ring::check(include, &folder)
}

/// Asks the compiler for the numbers of one width.
fn probe(
    include: &Path,
    folder: &Path,
    lines: &[table::Line],
    width: Width,
) -> Result<BTreeMap<String, i64>> {
    let mut source = String::from(table::HEADERS);
    source.push_str("void probe(void) {\n");
    for line in lines {
        // %c prints a constant without the assembler's dollar sign.
        source.push_str(&format!(
            "    __asm__ volatile(\"\\n.ascii \\\"{MARK}{} %c0\\\"\" : : \"i\"({}));\n",
            line.name, line.c
        ));
    }
    source.push_str("}\n");
    let switch = match width {
        Width::Bits64 => "-m64",
        Width::Bits32 => "-m32",
    };
    let file = folder.join(format!("probe{switch}.c"));
    std::fs::write(&file, source).context(|| format!("cannot write {}", file.display()))?;
    let mut compiler = Command::new("gcc");
    compiler
        .args([switch, "-O1", "-ffreestanding", "-fno-pie", "-S", "-o", "-"])
        .arg("-I")
        .arg(include)
        .arg(&file);
    let assembly = String::from_utf8(output(&mut compiler)?)
        .context(|| format!("`{}` wrote no text", shown(&compiler)))?;
    let mut numbers = BTreeMap::new();
    for line in assembly.lines() {
        let Some(text) = line.split(MARK).nth(1) else {
            continue;
        };
        let number = text
            .trim_end_matches('"')
            .split_once(' ')
            .and_then(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
            .context(|| format!("cannot read \"{line}\" of the probe"))?;
        numbers.insert(number.0, number.1);
    }
    Ok(numbers)
}
