//! Commands that look at disks and files.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::commands::boot::file_name;
use crate::error::{Code, Failure};
use crate::eval::{Exit, Session};
use crate::lexer::{quoted_word, split_word};
use crate::machine::{ItemKind, Search, Verify};
use crate::order::sorted;
use crate::text::{self, visible};
use crate::tree::Command;

/// Longest file that `cat` and `cmp` read, in bytes: they hold it whole.
const MAX_SHOWN_BYTES: usize = 16 << 20;

/// Differences that `cmp` lists before it stops.
const MAX_DIFFERENCES: usize = 10;

pub(crate) fn cat(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let (file, _) = split_word(&command.args);
    let bytes = session
        .machine
        .read_file(file_name(file)?, MAX_SHOWN_BYTES)?;
    let mut text = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (line, newline) = match line.strip_suffix(b"\n") {
            Some(line) => (line.strip_suffix(b"\r").unwrap_or(line), "\n"),
            None => (line, ""),
        };
        for (index, part) in line.split(|byte| *byte == b'\t').enumerate() {
            if index > 0 {
                text.push_str("    ");
            }
            text.push_str(&visible(part));
        }
        text.push_str(newline);
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    session.page(&text)
}

pub(crate) fn cmp(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let (first, rest) = split_word(&command.args);
    let (second, _) = split_word(rest);
    if second.is_empty() {
        return Err(Failure::new(Code::BAD_ARGUMENT)
            .because("cmp: two files are needed")
            .into());
    }
    let mut read = |file: &[u8]| {
        let bytes = session.machine.read_file(file, MAX_SHOWN_BYTES);
        bytes.map_err(|failure| failure.during(&format!("cmp {}", visible(file))))
    };
    let (one, two) = (read(first)?, read(second)?);
    let mut text = String::new();
    if one.len() != two.len() {
        text.push_str(&format!(
            "Differ in size: {} and {} bytes\n",
            one.len(),
            two.len()
        ));
    }
    let differences = one
        .iter()
        .zip(&two)
        .enumerate()
        .filter(|(_, (a, b))| a != b);
    for (offset, (a, b)) in differences.take(MAX_DIFFERENCES) {
        text.push_str(&format!(
            "Differ at offset {offset}: {a:#04x} and {b:#04x}\n"
        ));
    }
    if text.is_empty() {
        text.push_str("The files are identical\n");
    }
    session.page(&text)
}

pub(crate) fn find(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let mut set_root = false;
    let mut search = None;
    let mut label = Vec::new();
    let mut rest = command.args.as_slice();
    loop {
        let (word, more) = split_word(rest);
        rest = more;
        match word {
            b"" => break,
            b"--set-root" => set_root = true,
            b"--label" => (label, rest) = quoted_word(more),
            b"--uuid" => {
                let (uuid, more) = split_word(more);
                rest = more;
                search = (!uuid.is_empty()).then_some(Search::Uuid(uuid));
            }
            option if option.starts_with(b"--") => {
                return Err(Failure::new(Code::BAD_ARGUMENT)
                    .because("the options of `find` are --set-root, --label and --uuid")
                    .into());
            }
            file => search = Some(Search::File(file)),
        }
    }
    if !label.is_empty() {
        search = Some(Search::Label(&label));
    }
    let Some(search) = search else {
        return Err(Failure::new(Code::BAD_ARGUMENT)
            .because("`find` takes a file, --label or --uuid")
            .into());
    };
    let devices = session.machine.find(search)?;
    let mut text = String::new();
    for device in &devices {
        text.push_str(&format!(" {}\n", visible(device)));
    }
    session.page(&text)?;
    match devices.first() {
        None => Err(Code::FILE_NOT_FOUND.into()),
        Some(device) if set_root => {
            let reply = session.machine.set_root(device, Verify::Mount);
            session.note(reply)
        }
        Some(_) => Ok(()),
    }
}

pub(crate) fn ls(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let (folder, _) = split_word(&command.args);
    let names: Vec<String> = if folder.is_empty() {
        session
            .machine
            .devices()?
            .iter()
            .map(|name| visible(name))
            .collect()
    } else {
        let mut folder = folder.to_vec();
        if folder.last() != Some(&b'/') {
            folder.push(b'/');
        }
        let names: Vec<String> = session
            .machine
            .list(&folder)?
            .iter()
            .map(|item| match item.kind {
                ItemKind::File => visible(&item.name),
                ItemKind::Folder => format!("{}/", visible(&item.name)),
            })
            .collect();
        sorted(names, |a, b| a < b)
    };
    let text = columns(&names, session.state.columns);
    session.page(&text)
}

/// Names in columns, down and then across, at most `width` columns wide.
pub(crate) fn columns(names: &[String], width: usize) -> String {
    let longest = names
        .iter()
        .map(|name| text::columns(name))
        .max()
        .unwrap_or(0);
    let cell = longest.saturating_add(2);
    let across = width
        .saturating_sub(1)
        .checked_div(cell)
        .unwrap_or(1)
        .max(1);
    let rows = names.len().div_ceil(across);
    let mut list = String::new();
    for row in 0..rows {
        let mut line = String::new();
        for name in names.iter().skip(row).step_by(rows.max(1)) {
            line.push_str(&text::fitted(name, cell));
        }
        list.push_str(line.trim_end());
        list.push('\n');
    }
    list
}

pub(crate) fn blocklist(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let (file, _) = split_word(&command.args);
    let reply = session.machine.blocklist(file_name(file)?);
    session.note(reply)
}

pub(crate) fn geometry(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let (device, _) = split_word(&command.args);
    if device.is_empty() {
        return Err(Failure::new(Code::UNKNOWN_DEVICE)
            .because("a device's name is missing")
            .into());
    }
    let reply = session.machine.geometry(device);
    session.note(reply)
}
