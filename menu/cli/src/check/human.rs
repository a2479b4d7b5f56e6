//! A [`Report`] for people: the verdict first, then how it comes about, then everything else.

use std::io::{self, Write};

use super::report::{
    Disk, EntryFacts, FailureFacts, FileFacts, KernelFacts, Report, Step, Verdict, VolumeFacts,
};
use crate::output::Paint;

/// How much is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Detail {
    /// The verdict alone.
    Verdict,
    /// All that is of use.
    Usual,
    /// Disks and notes as well.
    All,
}

/// The colours, as escape sequences.
struct Colors {
    good: &'static str,
    bad: &'static str,
    unknown: &'static str,
    faint: &'static str,
    end: &'static str,
}

impl Colors {
    fn new(paint: Paint) -> Self {
        match paint {
            Paint::Colored => Self {
                good: "\x1b[1;32m",
                bad: "\x1b[1;31m",
                unknown: "\x1b[1;33m",
                faint: "\x1b[2m",
                end: "\x1b[0m",
            },
            Paint::Plain => Self {
                good: "",
                bad: "",
                unknown: "",
                faint: "",
                end: "",
            },
        }
    }
}

/// Writes `report`.
///
/// # Errors
/// When `out` cannot be written.
pub(crate) fn write(
    out: &mut dyn Write,
    report: &Report,
    paint: Paint,
    detail: Detail,
) -> io::Result<()> {
    let colors = Colors::new(paint);
    let (color, word) = match report.verdict {
        Verdict::Boots => (colors.good, "boots"),
        Verdict::Waits => (colors.bad, "waits"),
        Verdict::Stops => (colors.bad, "stops"),
        Verdict::WouldNotBoot => (colors.bad, "would not boot"),
        Verdict::NotJudged => (colors.unknown, "not judged"),
    };
    let rest = report
        .summary
        .strip_prefix("boots ")
        .unwrap_or(&report.summary);
    writeln!(out, "{color}{word}{}: {rest}", colors.end)?;
    if detail == Detail::Verdict {
        return Ok(());
    }
    if let Some(image) = report.image {
        writeln!(out, "  loader   {image}")?;
    }
    if let Some(menu) = &report.menu {
        write!(out, "  menu     {}", menu.place)?;
        match menu.timeout {
            Some(seconds) => writeln!(out, ", boots after {seconds} s")?,
            None => writeln!(out, ", waits for a key")?,
        }
        if let Some(note) = &menu.note {
            writeln!(out, "           {note}")?;
        }
    }
    let several = report.boot.len() > 1;
    for step in &report.boot {
        if several || !step.boots {
            let title = step.title.as_deref().unwrap_or("of another menu");
            writeln!(out, "  entry {}  {title}", step.entry)?;
        }
        self::step(out, step, "  ", &colors)?;
    }
    for tried in &report.tried {
        writeln!(
            out,
            "  {}tried{}    {}: {}",
            colors.faint, colors.end, tried.place, tried.reason
        )?;
    }
    if detail == Detail::All || report.menu.is_none() {
        disks(out, report)?;
    }
    entries(out, report, &colors, detail)?;
    if !report.advice.is_empty() {
        writeln!(out)?;
    }
    for advice in &report.advice {
        writeln!(out, "{advice}")?;
    }
    Ok(())
}

fn step(out: &mut dyn Write, step: &Step, indent: &str, colors: &Colors) -> io::Result<()> {
    if let Some(kernel) = &step.kernel {
        writeln!(out, "{indent}kernel   {}", kernel_text(kernel))?;
    }
    for initrd in &step.initrds {
        writeln!(out, "{indent}initrd   {}", file_text(initrd))?;
    }
    if let (Some(line), None, None) = (&step.command_line, &step.failure, &step.network) {
        writeln!(out, "{indent}line     {line}")?;
    }
    if let Some(needs) = step.needs_mib {
        writeln!(out, "{indent}memory   {needs} MiB to start it")?;
    }
    if let Some(needed) = &step.network {
        writeln!(
            out,
            "{indent}network  {needed}: not tried, so this is not judged"
        )?;
    }
    if let Some(failure) = &step.failure {
        self::failure(out, failure, indent, colors)?;
    }
    Ok(())
}

fn failure(
    out: &mut dyn Write,
    failure: &FailureFacts,
    indent: &str,
    colors: &Colors,
) -> io::Result<()> {
    writeln!(
        out,
        "{indent}{}Error {}{}: {}",
        colors.bad, failure.code, colors.end, failure.text
    )?;
    for reason in &failure.reasons {
        writeln!(out, "{indent}  {reason}")?;
    }
    Ok(())
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn file_text(file: &FileFacts) -> String {
    match file.bytes {
        0 => file.file.clone(),
        bytes => format!("{}  ({})", file.file, size(bytes)),
    }
}

fn kernel_text(kernel: &KernelFacts) -> String {
    let mut words = Vec::new();
    if kernel.file.bytes > 0 {
        words.push(size(kernel.file.bytes));
    }
    words.extend(kernel.format.map(str::to_owned));
    words.extend(kernel.compression.clone());
    words.extend(kernel.width.map(|width| format!("{width} bits")));
    if let Some(os) = &kernel.guest_os {
        let version = kernel.guest_version.as_deref().unwrap_or_default();
        words.push(format!("{os} {version}").trim_end().to_owned());
    }
    match (kernel.pv, kernel.pvh) {
        (Some(true), Some(true)) => words.push("PV and PVH".to_owned()),
        (Some(true), _) => words.push("PV".to_owned()),
        (_, Some(true)) => words.push("PVH only".to_owned()),
        (None, _) => words.push("headers only".to_owned()),
        (Some(false), _) => {}
    }
    match words.as_slice() {
        [] => kernel.file.file.clone(),
        words => format!("{}  ({})", kernel.file.file, words.join(", ")),
    }
}

fn disks(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    for Disk {
        device,
        name,
        path,
        format,
        bytes,
        volumes,
        ..
    } in &report.disks
    {
        let size = size(*bytes);
        writeln!(
            out,
            "  disk     {device} is {name}: {path}, {format}, {size}"
        )?;
        self::volumes(out, volumes)?;
    }
    for logical in &report.logicals {
        let about = match (&logical.problem, logical.bytes) {
            (Some(problem), _) => format!("cannot be put together: {problem}"),
            (None, Some(bytes)) => format!("is {}, {}", logical.about, size(bytes)),
            (None, None) => format!("is {}", logical.about),
        };
        writeln!(out, "  volume   {} {about}", logical.device)?;
        volumes(out, &logical.volumes)?;
    }
    for warning in &report.warnings {
        writeln!(out, "           {warning}")?;
    }
    Ok(())
}

fn volumes(out: &mut dyn Write, volumes: &[VolumeFacts]) -> io::Result<()> {
    for volume in volumes {
        let about = match (&volume.file_system, &volume.problem) {
            (Some(kind), _) => {
                let mut text = kind.clone();
                if let Some(label) = &volume.label {
                    text.push_str(&format!(", label {label}"));
                }
                if let Some(uuid) = &volume.uuid {
                    text.push_str(&format!(", UUID {uuid}"));
                }
                text
            }
            (None, Some(problem)) => problem.clone(),
            (None, None) => String::new(),
        };
        writeln!(out, "           {}  {about}", volume.device)?;
        for warning in &volume.warnings {
            writeln!(out, "             {warning}")?;
        }
    }
    Ok(())
}

fn entries(
    out: &mut dyn Write,
    report: &Report,
    colors: &Colors,
    detail: Detail,
) -> io::Result<()> {
    if report.entries.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nentries")?;
    for entry in &report.entries {
        let EntryFacts {
            step: facts,
            verdict,
            image,
            fallback,
        } = entry;
        let (color, word) = match verdict {
            Verdict::Boots => (colors.good, "boots"),
            Verdict::Waits => (colors.bad, "waits"),
            Verdict::Stops => (colors.faint, "stops"),
            Verdict::NotJudged => (colors.unknown, "not judged"),
            Verdict::WouldNotBoot if facts.failure.is_none() => (colors.faint, "starts nothing"),
            Verdict::WouldNotBoot => (colors.bad, "fails"),
        };
        let title = facts.title.as_deref().unwrap_or_default();
        let other = image.filter(|image| Some(*image) != report.image);
        let other = other.map_or_else(String::new, |image| format!(", with {image}"));
        writeln!(
            out,
            "  {:>3}  {color}{word}{}{other}  {title}",
            facts.entry, colors.end
        )?;
        if detail == Detail::All || *verdict != Verdict::Boots {
            step(out, facts, "       ", colors)?;
        }
        if let Some(next) = fallback {
            let when = match verdict {
                Verdict::NotJudged => "if it fails",
                _ => "then",
            };
            writeln!(out, "       {when} entry {next} boots in its place")?;
        }
    }
    Ok(())
}
