//! What `pvgrub check` says of a guest beforehand, held against what the guest then did under Xen.
//!
//! [`Foresight::of`] asks for every guest that a scenario starts with the loader and disks of its own, without the
//! scenario saying so; [`Foresight::disagreement`] compares at the scenario's end: the menu's place, each entry that was tried, its
//! error's number, whether its kernel was entered, and the command line that the kernel then printed. Where somebody typed, the
//! entry that was booted is compared with that entry by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use pvgrub::output::Reader;
use serde_json::Value;

use crate::xen::disk::DiskImage;
use crate::xen::guest::Config;

/// The keys that were typed into a guest's console.
pub(crate) type Typed = Arc<Mutex<Vec<u8>>>;

/// Guests of this run that agreed, and that there was nothing to compare of.
static AGREED: AtomicU32 = AtomicU32::new(0);
static SILENT: AtomicU32 = AtomicU32::new(0);

/// One guest's future.
pub(crate) struct Foresight {
    report: Value,
    /// Whether the guest has a network, which `pvgrub check` does not try.
    has_network: bool,
    /// The guest's console, as a file.
    pub(crate) console: PathBuf,
    /// What was typed into it.
    pub(crate) typed: Typed,
}

/// One entry that a guest tried, as its console has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tried {
    title: String,
    code: Option<u64>,
    is_entered: bool,
}

/// A guest's past.
#[derive(Debug, Default, PartialEq, Eq)]
struct Past {
    place: Option<String>,
    has_no_menu: bool,
    tried: Vec<Tried>,
    command_line: Option<String>,
}

impl Foresight {
    /// Asks about the guest of `config`, whose disks are among `plugged` (by their devices in dom0) and whose other files are
    /// below `share`. `None` for a guest that does not start with a loader from disks or a ramdisk.
    pub(crate) fn of(
        config: &Config,
        plugged: &BTreeMap<String, DiskImage>,
        share: &Path,
        loader: &Path,
    ) -> Option<Self> {
        let kernel = config.value("kernel")?;
        let name = kernel.rsplit('/').next()?;
        let is_64 = loader.file_name()?.to_str()? == name;
        let image = match (is_64, name) {
            (true, _) => "x86_64",
            (false, "pv-grub-x86_32.gz") => "x86_32",
            _ => return None,
        };
        let mut words = vec![
            "pvgrub".to_owned(),
            "check".into(),
            "--format=json".into(),
            "--no-sandbox".into(),
            format!("--image={image}"),
            format!("--extra={}", config.value("extra").unwrap_or_default()),
        ];
        // In the shim Xen takes a part of it.
        if let (Some(mib), None) = (config.value("memory"), config.value("pvshim")) {
            words.push(format!("--memory={mib}"));
        }
        if let Some(ramdisk) = config.value("ramdisk") {
            let file = share.join(ramdisk.strip_prefix("/share/")?);
            words.push(format!("--ramdisk={}", file.display()));
        }
        let mut sector = 512;
        for disk in config.disk_words() {
            let word = |key: &str| {
                disk.split(',')
                    .find_map(|word| word.trim_matches('\'').strip_prefix(key)?.strip_prefix('='))
            };
            let image = plugged.get(word("target")?)?;
            sector = sector.max(image.sector_bytes);
            words.push(format!("{}=raw:{}", word("vdev")?, image.path.display()));
        }
        words.push(format!("--sector-size={sector}"));
        if config.has_interface() {
            words.push("--vif".into());
        }
        Some(Self {
            report: ask(&words)?,
            has_network: config.has_interface(),
            console: PathBuf::new(),
            typed: Typed::default(),
        })
    }

    /// What the guest did otherwise than was said, if anything.
    pub(crate) fn disagreement(&self) -> Option<String> {
        let console = std::fs::read(&self.console).unwrap_or_default();
        let past = Past::of(&String::from_utf8_lossy(&console));
        let typed = self
            .typed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let difference = if typed.is_empty() {
            self.compare(&past)
        } else {
            self.compare_typed(&past, &typed)
        };
        let counted = match &difference {
            Ok(true) => &AGREED,
            Ok(false) => &SILENT,
            Err(_) => return difference.err(),
        };
        counted.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Whether there was anything to compare; or what differs.
    fn compare(&self, past: &Past) -> Result<bool, String> {
        let said = |what: &str, said: &Value, was: &dyn std::fmt::Debug| {
            Err(format!(
                "pvgrub check said {what} {said}, and the guest had {was:?}"
            ))
        };
        let place = &self.report["menu"]["place"];
        if let Some(found) = &past.place {
            if found.starts_with("(nd") {
                return Ok(false);
            }
            if place.as_str() != Some(found) {
                return said("the menu is", place, found);
            }
        }
        if past.has_no_menu {
            return match place.is_null() {
                true => Ok(true),
                false => said("the menu is", place, &"none"),
            };
        }
        let steps = self.report["boot"].as_array().cloned().unwrap_or_default();
        if let (Some(first), true) = (past.tried.first(), steps.is_empty()) {
            return said("verdict", &self.report["verdict"], first);
        }
        let mut compared = false;
        for (tried, step) in past.tried.iter().zip(&steps) {
            if step["title"]
                .as_str()
                .is_some_and(|title| title != tried.title)
            {
                return said("the entry is", &step["title"], &tried.title);
            }
            if self.has_network && needs_network(step) {
                continue;
            }
            let code = foreseen_code(step);
            if tried.code.is_some() && tried.code != code {
                return said("the entry's failure is", &step["failure"], tried);
            }
            if tried.is_entered && step["boots"] != Value::Bool(true) {
                return said("the entry's failure is", &step["failure"], tried);
            }
            compared |= tried.code.is_some() || tried.is_entered;
            if let (true, Some(line)) = (tried.is_entered, &past.command_line)
                && step["command_line"].as_str() != Some(line)
            {
                return said("the command line is", &step["command_line"], line);
            }
        }
        Ok(compared)
    }

    /// The same where somebody typed: entries by themselves, but for those whose lines may have been changed.
    fn compare_typed(&self, past: &Past, typed: &[u8]) -> Result<bool, String> {
        if typed
            .iter()
            .any(|key| matches!(key, b'e' | b'a' | b'c' | b'p'))
        {
            return Ok(false);
        }
        let entries = self.report["entries"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut compared = false;
        for tried in &past.tried {
            let line = past.command_line.as_deref().filter(|_| tried.is_entered);
            let mut same = entries
                .iter()
                .filter(|entry| entry["title"].as_str() == Some(&tried.title))
                .peekable();
            if same.peek().is_none() || (tried.code.is_none() && !tried.is_entered) {
                continue;
            }
            compared = true;
            let fits = |entry: &Value| {
                (self.has_network && needs_network(entry))
                    || entry["boots"] == Value::Bool(tried.is_entered)
                        && (tried.is_entered || foreseen_code(entry) == tried.code)
                        && line.is_none_or(|line| entry["command_line"].as_str() == Some(line))
            };
            if !same.any(fits) {
                return Err(format!(
                    "pvgrub check said of no entry what the guest did: {tried:?}, {line:?}"
                ));
            }
        }
        Ok(compared)
    }
}

/// Whether an entry was not judged because it needs the network.
fn needs_network(entry: &Value) -> bool {
    entry["network"].is_string()
}

/// The number of an entry's failure. What needs the network fails with 21 in a guest that has none.
fn foreseen_code(entry: &Value) -> Option<u64> {
    match needs_network(entry) {
        true => Some(21),
        false => entry["failure"]["code"].as_u64(),
    }
}

/// Runs `pvgrub` in this process; nothing where it cannot read the disks.
fn ask(words: &[String]) -> Option<Value> {
    serde_json::from_slice(&said(words)?).ok()
}

/// What `pvgrub` with these words, its name included, writes to standard output. Nothing for a wrong command line.
pub(crate) fn said(words: &[String]) -> Option<Vec<u8>> {
    let arguments = pvgrub::Arguments::try_parse_from(words).ok()?;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let io = &mut pvgrub::Io {
        input: &mut std::io::empty(),
        output: &mut output,
        errors: &mut errors,
        output_reader: Reader::Other,
        errors_reader: Reader::Other,
        colors: pvgrub::output::ColorWishes::default(),
    };
    pvgrub::run(&arguments, io).ok()?;
    Some(output)
}

/// One line on how many guests did what was said.
pub(crate) fn tally() -> Option<String> {
    let (agreed, silent) = (
        AGREED.load(Ordering::Relaxed),
        SILENT.load(Ordering::Relaxed),
    );
    (agreed + silent > 0).then(|| {
        format!("pvgrub check: {agreed} guests did what it had said; {silent} more gave nothing to compare")
    })
}

impl Past {
    /// Reads a console up to the first kernel that was entered and the command line that it prints.
    fn of(console: &str) -> Self {
        let mut past = Self::default();
        for line in console.split(['\r', '\n']) {
            let is_entered = past.tried.last().is_some_and(|tried| tried.is_entered);
            if is_entered {
                past.command_line = command_line(line);
                if past.command_line.is_some() || line.starts_with("pv-grub ") {
                    break;
                }
                continue;
            }
            if let Some(rest) = line.strip_prefix("  menu from ") {
                let place = rest.rsplit_once(", ").map_or(rest, |(place, _)| place);
                if past.place.is_none() {
                    past.place = Some(place.to_owned());
                }
            } else if line.starts_with("No menu was found") && past.place.is_none() {
                past.has_no_menu = true;
                break;
            } else if let Some(title) = line
                .strip_prefix("  Booting '")
                .and_then(|rest| rest.strip_suffix('\''))
            {
                past.tried.push(Tried {
                    title: title.trim().to_owned(),
                    ..Tried::default()
                });
            } else if let (Some(tried), Some(rest)) =
                (past.tried.last_mut(), line.strip_prefix("Error "))
            {
                let number = rest
                    .split(':')
                    .next()
                    .and_then(|number| number.parse().ok());
                tried.code = tried.code.or(number);
            } else if let (Some(tried), true) =
                (past.tried.last_mut(), line.starts_with("   [image of "))
            {
                tried.is_entered = true;
            }
        }
        past
    }
}

/// The command line that one of the test guests prints.
fn command_line(line: &str) -> Option<String> {
    for start in ["GUEST: cmdline=[", "HELLO cmdline=["] {
        if let Some(rest) = line.strip_prefix(start) {
            return rest.strip_suffix(']').map(str::to_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "pv-grub 0.1.0\r\n  menu from (hd0,0)/boot/grub/menu.lst, 12 ms after the start\r\n\
        \r\n  Booting 'A'\r\n\r\nkernel /x\r\n\r\nError 15: File not found\r\n  kernel /x: none\r\n\
        \r\n  Booting 'B '\r\n   [image of 4 KiB; the loader used 1 KiB more; 9 ms after its start]\r\n\
        HELLO cmdline=[ro quiet]\r\nError 1: of the kernel\r\n";

    fn foresight(report: &str) -> Foresight {
        Foresight {
            report: serde_json::from_str(report).expect("JSON"),
            has_network: false,
            console: PathBuf::new(),
            typed: Typed::default(),
        }
    }

    #[test]
    fn a_console_tells_what_was_tried() {
        let past = Past::of(CONSOLE);
        assert_eq!(past.place.as_deref(), Some("(hd0,0)/boot/grub/menu.lst"));
        assert_eq!(past.tried.len(), 2);
        assert_eq!(past.tried[0].code, Some(15));
        assert!(past.tried[1].is_entered && past.tried[1].code.is_none());
        assert_eq!(past.command_line.as_deref(), Some("ro quiet"));
        assert!(Past::of("No menu was found. Tried:\r\n").has_no_menu);
    }

    #[test]
    fn every_difference_is_found() {
        let right = r#"{"menu": {"place": "(hd0,0)/boot/grub/menu.lst"}, "boot": [
            {"title": "A", "boots": false, "failure": {"code": 15}},
            {"title": "B", "boots": true, "failure": null, "command_line": "ro quiet"}]}"#;
        let past = Past::of(CONSOLE);
        assert_eq!(foresight(right).compare(&past), Ok(true));
        for (from, to) in [
            ("menu.lst", "grub.conf"),
            ("\"A\"", "\"C\""),
            ("15", "17"),
            ("true", "false"),
            ("quiet", "loud"),
        ] {
            let wrong = foresight(&right.replace(from, to));
            assert!(wrong.compare(&past).is_err(), "{from}");
        }
        let none = foresight(r#"{"menu": null, "boot": []}"#);
        assert_eq!(
            none.compare(&Past::of("No menu was found. Tried:\r\n")),
            Ok(true)
        );
        assert!(none.compare(&past).is_err());
    }

    #[test]
    fn the_network_is_not_foreseen() {
        let report = r#"{"menu": {"place": "(hd0,0)/boot/grub/menu.lst"}, "boot": [
            {"title": "A", "boots": false, "failure": null, "network": "(nd)/x"},
            {"title": "B", "boots": true, "failure": null, "command_line": "ro quiet"}]}"#;
        let past = Past::of(CONSOLE);
        let mut foresight = foresight(report);
        assert!(foresight.compare(&past).is_err());
        foresight.has_network = true;
        assert_eq!(foresight.compare(&past), Ok(true));
    }

    #[test]
    fn typed_keys_choose_an_entry() {
        let report = r#"{"entries": [
            {"title": "A", "boots": false, "failure": {"code": 15}},
            {"title": "B", "boots": true, "failure": null, "command_line": "ro quiet"}]}"#;
        let past = Past::of(CONSOLE);
        assert_eq!(foresight(report).compare_typed(&past, b"1\r"), Ok(true));
        let wrong = foresight(&report.replace("ro quiet", "rw"));
        assert!(wrong.compare_typed(&past, b"1\r").is_err());
        assert_eq!(wrong.compare_typed(&past, b"e"), Ok(false));
    }
}
