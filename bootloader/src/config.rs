//! Where the menu comes from: the domain's command line, its ramdisk, or a file at a usual place.
//!
//! [`Arguments::parse`] reads the command line as the original PV-GRUB did (first word: the file), with words behind
//! it that the original ignored. [`find`] tries the places in order and says what it tried.
//!
//! With neither an argument nor a ramdisk the DHCP server is asked first (option 150), as the original did. A menu on a
//! disk waits for that no longer than [`QUIET_NETWORK`].

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use menu::run::DEFAULT_UNATTENDED;
use menu::{Choice, Failure, Unattended};

use crate::network::{self, DHCP_PATIENCE, Network};
use crate::volumes::Volumes;

/// The largest menu that is read.
pub const MAX_MENU_BYTES: usize = 16 << 20;

/// How long a network on which nobody answers may keep a menu on a disk waiting.
pub const QUIET_NETWORK: Duration = Duration::from_secs(4);

/// Where a menu is looked for when nothing says where it is.
pub const DEFAULT_PLACES: [&str; 8] = [
    "(hd0,0)/boot/grub/menu.lst",
    "(hd0)/boot/grub/menu.lst",
    "(hd0,0)/grub/menu.lst",
    "(hd0)/grub/menu.lst",
    "(hd0,0)/boot/grub/grub.conf",
    "(hd0)/boot/grub/grub.conf",
    "(hd0,0)/grub/grub.conf",
    "(hd0)/grub/grub.conf",
];

/// What the domain configuration's `extra` says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Arguments {
    /// The menu's file.
    pub menu: Option<Vec<u8>>,
    /// `--append=TEXT`: added to every kernel's command line.
    pub append: Vec<u8>,
    /// `--entry=N|TITLE`: the entry to highlight instead of the menu's default.
    pub entry: Option<Choice>,
    /// `--timeout=SECONDS`: instead of the menu's.
    pub timeout: Option<u32>,
    /// `--unattended=wait|retry[:SECONDS]|reboot|poweroff`: what is done when nothing boots and nobody types.
    pub unattended: Option<Unattended>,
    /// `--dhcp-timeout=SECONDS`: how long a lease is waited for; 0 leaves the network alone until it is
    /// named.
    pub dhcp_timeout: Option<u32>,
    /// Words that mean nothing here.
    pub ignored: Vec<Vec<u8>>,
}

/// Splits at blanks; quotes keep blanks together and are dropped.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    for &byte in line {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b' ' | b'\t' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

impl Arguments {
    /// Reads the command line. A word that is neither a path nor an option is ignored: `root=/dev/xvda1`, which xl puts
    /// first, was mistaken for the menu's path by the original.
    #[must_use]
    pub fn parse(line: &[u8]) -> Self {
        let mut arguments = Self::default();
        for word in words(line) {
            if let Some(text) = word.strip_prefix(b"--append=") {
                if !arguments.append.is_empty() {
                    arguments.append.push(b' ');
                }
                arguments.append.extend_from_slice(text);
            } else if let Some(text) = word.strip_prefix(b"--entry=") {
                arguments.entry = Some(Choice::new(text));
            } else if let Some(seconds) = word.strip_prefix(b"--timeout=").and_then(number) {
                arguments.timeout = Some(seconds);
            } else if let Some(way) = word.strip_prefix(b"--unattended=").and_then(unattended) {
                arguments.unattended = Some(way);
            } else if let Some(seconds) = word.strip_prefix(b"--dhcp-timeout=").and_then(number) {
                arguments.dhcp_timeout = Some(seconds);
            } else if arguments.menu.is_none() && matches!(word.first(), Some(b'(' | b'/')) {
                arguments.menu = Some(word);
            } else {
                arguments.ignored.push(word);
            }
        }
        arguments
    }

    /// Words that were ignored and look as if they were meant for this loader.
    pub fn misspelt(&self) -> impl Iterator<Item = &[u8]> {
        let ignored = self.ignored.iter().map(Vec::as_slice);
        ignored.filter(|word| word.starts_with(b"--"))
    }

    /// How long a lease is waited for.
    #[must_use]
    pub fn dhcp_patience(&self) -> Duration {
        let wish = self.dhcp_timeout.map(u64::from).map(Duration::from_secs);
        wish.unwrap_or(DHCP_PATIENCE)
    }
}

fn number(text: &[u8]) -> Option<u32> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

fn unattended(text: &[u8]) -> Option<Unattended> {
    match text {
        b"wait" => Some(Unattended::Wait),
        b"retry" => Some(DEFAULT_UNATTENDED),
        b"reboot" => Some(Unattended::Reboot),
        b"poweroff" => Some(Unattended::PowerOff),
        _ => number(text.strip_prefix(b"retry:")?).map(Unattended::RetryAfter),
    }
}

/// A menu's text and where it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The bytes.
    pub text: Vec<u8>,
    /// The file, or what stands for one.
    pub place: String,
    /// The file's name as it was read; empty where the menu is in no file.
    pub name: Vec<u8>,
}

/// A place where no menu was, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    /// The file.
    pub place: String,
    /// What happened.
    pub failure: Failure,
}

/// Looks for the menu: the argument's file, else the ramdisk's bytes, else the file that the DHCP server names, else
/// [`DEFAULT_PLACES`]. What takes long is told through `notice`, a line at a time.
///
/// # Errors
/// Every place that was tried.
pub fn find(
    volumes: &Volumes,
    arguments: &Arguments,
    ramdisk: Option<&[u8]>,
    notice: &dyn Fn(&str),
) -> Result<Found, Vec<Tried>> {
    if let Some(path) = &arguments.menu {
        return from_argument(volumes, path);
    }
    if let Some(bytes) = ramdisk {
        return Ok(Found {
            text: bytes.to_vec(),
            place: "the ramdisk".to_string(),
            name: Vec::new(),
        });
    }
    // The disk is looked at first although the network goes before it: how long to wait depends on it.
    let on_disk = from_default_places(volumes);
    let Some(network) = volumes.network() else {
        return on_disk;
    };
    let patience = match on_disk {
        Ok(_) => arguments.dhcp_patience().min(QUIET_NETWORK),
        Err(_) => arguments.dhcp_patience(),
    };
    if patience.is_zero() {
        return on_disk;
    }
    notice("Asking the network for a menu (DHCP option 150)");
    let failed = match from_option_150(volumes, network, patience) {
        Ok(found) => return Ok(found),
        Err(tried) => tried,
    };
    match on_disk {
        Ok(found) => {
            notice(&format!("  {}: {}", failed.place, reason(&failed.failure)));
            Ok(found)
        }
        Err(mut tried) => {
            tried.insert(0, failed);
            Err(tried)
        }
    }
}

fn from_default_places(volumes: &Volumes) -> Result<Found, Vec<Tried>> {
    let mut tried = Vec::new();
    for place in DEFAULT_PLACES {
        match read(volumes, place.as_bytes()) {
            Ok(found) => return Ok(found),
            Err(failure) => tried.push(Tried {
                place: place.to_string(),
                failure,
            }),
        }
    }
    Err(tried)
}

/// Asks for a lease, and reads the menu that comes with it; server and lease have `patience` together.
fn from_option_150(
    volumes: &Volumes,
    network: &alloc::rc::Rc<Network>,
    patience: Duration,
) -> Result<Found, Tried> {
    let deadline = network.after(patience);
    let failed = |place: String, failure| Tried { place, failure };
    let place = network
        .ready(None, deadline)
        .map_err(|failure| failed("the network".to_string(), failure))?;
    let menu = network.menu_of(place).ok_or_else(|| {
        let failure = Failure::new(menu::Code::FILE_NOT_FOUND)
            .because("the DHCP server names no menu (option 150)");
        failed("the network".to_string(), failure)
    })?;
    let name = network::on_network(&menu.path);
    let shown = format!("{} ({})", name.escape_ascii(), menu.from);
    let found = match name.strip_prefix(b"(nd)") {
        Some(path) => network
            .open_by(place, path, deadline)
            .and_then(|file| read_menu(file.as_ref(), &name)),
        None => read(volumes, &name),
    };
    match found {
        Ok(found) => Ok(Found {
            place: shown,
            ..found
        }),
        Err(failure) => Err(failed(shown, failure)),
    }
}

/// A path without a device is looked for on the first partition, then on the whole first disk.
fn from_argument(volumes: &Volumes, path: &[u8]) -> Result<Found, Vec<Tried>> {
    let names: Vec<Vec<u8>> = if path.first() == Some(&b'(') {
        alloc::vec![path.to_vec()]
    } else {
        [&b"(hd0,0)"[..], b"(hd0)"]
            .iter()
            .map(|device| [device, path].concat())
            .collect()
    };
    let mut tried = Vec::new();
    for name in names {
        match read(volumes, &name) {
            Ok(found) => return Ok(found),
            Err(failure) => tried.push(Tried {
                place: name.escape_ascii().to_string(),
                failure,
            }),
        }
    }
    Err(tried)
}

fn read(volumes: &Volumes, name: &[u8]) -> Result<Found, Failure> {
    read_menu(volumes.open(name, None)?.as_ref(), name)
}

fn read_menu(file: &dyn fs::File, name: &[u8]) -> Result<Found, Failure> {
    let text = crate::files::read_unpacked(file, MAX_MENU_BYTES)?;
    Ok(Found {
        text,
        place: name.escape_ascii().to_string(),
        name: name.to_vec(),
    })
}

/// A failure in one line.
#[must_use]
pub fn reason(failure: &Failure) -> String {
    let first = failure.detail.first();
    first.map_or_else(|| failure.code.text().to_string(), Clone::clone)
}

/// Says what was tried, a line each.
#[must_use]
pub fn report(tried: &[Tried]) -> String {
    let mut text = String::from("No menu was found. Tried:\n");
    for Tried { place, failure } in tried {
        text.push_str(&format!("  {place}: {}\n", reason(failure)));
    }
    text.push_str("Name the file in the domain's configuration, such as extra = \"(hd0,0)/boot/grub/menu.lst\".\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_path_is_the_menu() {
        let arguments = Arguments::parse(b"(hd0,0)/boot/grub/menu.lst (hd1)/other more");
        assert_eq!(
            arguments.menu.as_deref(),
            Some(&b"(hd0,0)/boot/grub/menu.lst"[..])
        );
        assert_eq!(
            arguments.ignored,
            [b"(hd1)/other".to_vec(), b"more".to_vec()]
        );
    }

    #[test]
    fn xl_puts_root_first() {
        let arguments = Arguments::parse(b"root=/dev/xvda1 ro (hd0)/menu.lst");
        assert_eq!(arguments.menu.as_deref(), Some(&b"(hd0)/menu.lst"[..]));
        assert_eq!(Arguments::parse(b"root=/dev/xvda1 ro 4").menu, None);
    }

    #[test]
    fn the_network_is_waited_for_as_long_as_is_said() {
        let patience = |line: &[u8]| Arguments::parse(line).dhcp_patience();
        assert_eq!(patience(b""), Duration::from_secs(30));
        assert_eq!(patience(b"--dhcp-timeout=5"), Duration::from_secs(5));
        assert_eq!(patience(b"--dhcp-timeout=0"), Duration::ZERO);
    }

    #[test]
    fn options_follow() {
        let arguments = Arguments::parse(
            b"/m.lst --append=\"console=hvc0 quiet\" --append=x --entry=2 --timeout=7 --timeout=no",
        );
        assert_eq!(arguments.append, b"console=hvc0 quiet x");
        assert_eq!(arguments.entry, Some(Choice::Number(2)));
        assert_eq!(arguments.timeout, Some(7));
        assert_eq!(arguments.ignored, [b"--timeout=no".to_vec()]);
        let arguments = Arguments::parse(b"root=/dev/xvda1 ro --timout=5");
        assert!(arguments.misspelt().eq([b"--timout=5"]));
        assert_eq!(
            Arguments::parse(b"\"--entry=My Linux\"").entry,
            Some(Choice::Title(b"My Linux".to_vec()))
        );
        for (text, expected) in [
            ("wait", Some(Unattended::Wait)),
            ("retry", Some(DEFAULT_UNATTENDED)),
            ("retry:5", Some(Unattended::RetryAfter(5))),
            ("reboot", Some(Unattended::Reboot)),
            ("poweroff", Some(Unattended::PowerOff)),
            ("retry:", None),
            ("off", None),
        ] {
            let arguments = Arguments::parse(format!("--unattended={text}").as_bytes());
            assert_eq!(arguments.unattended, expected, "{text}");
            assert_eq!(arguments.ignored.is_empty(), expected.is_some(), "{text}");
        }
    }

    /// Every word that `docs/menu.md` offers is understood, and every word understood is offered.
    #[test]
    fn the_words_are_on_the_page() {
        let page = include_str!("../../docs/menu.md");
        let mut offered: Vec<String> = Vec::new();
        for row in page.lines().filter(|line| line.starts_with("| `--")) {
            let cell = row.split('|').nth(1).unwrap_or_default();
            for word in cell.split('`').filter(|part| part.starts_with("--")) {
                let word = word.replace("SECONDS", "7").replace("NUMBER", "1");
                let arguments = Arguments::parse(word.as_bytes());
                assert!(arguments.ignored.is_empty(), "{word}");
                offered.push(word);
            }
        }
        let source = include_str!("config.rs");
        let (source, _) = source.split_once("mod tests").unwrap_or_default();
        let options = source.split("strip_prefix(b\"--").skip(1);
        let mut count = 0;
        for option in options.filter_map(|rest| rest.split('"').next()) {
            let option = format!("--{option}");
            assert!(
                offered.iter().any(|word| word.starts_with(&option)),
                "{option}"
            );
            count += 1;
        }
        assert_eq!(count, 5);
    }
}
