//! GRUB 2's grub.cfg, as far as generated ones go: `menuentry` and `submenu`, `set` and simple variables, `if` with
//! tests that can be answered, `search`, `linux` and `initrd`, `configfile`, `load_env`, `blscfg`.
//!
//! The file is a script. What its conditions depend on (`$feature_…`, the platform) is not known here; where a test cannot be
//! answered both branches are gone through, the second one having the last word, as it is the plainer one in what
//! `grub-mkconfig` writes. Source of the language: the GRUB 2 manual, "Writing your own configuration".

use std::collections::BTreeMap;

use fs::DeviceName;

use super::words::{Quoted, Token, WORD_MAX, expand, tokens};
use super::{Disks, Entry};

/// Most files that `configfile` leads to, all together.
const LOADS_MAX: usize = 8;

/// Most entries that are taken.
const ENTRIES_MAX: usize = 500;

/// The value of `root` where `search` or a file's own place gave it: a name of menu.lst's, without brackets.
const OWN_NAME: &str = "pv:";

/// What a grub.cfg says.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) entries: Vec<Entry>,
    /// Paths of each entry as `default` may name it: numbers, titles or ids, joined with `>`.
    names: Vec<[String; 3]>,
    variables: BTreeMap<String, String>,
    /// Files that `configfile` led to so far.
    loads: usize,
    /// `blscfg` was met.
    pub(super) wants_bls: bool,
}

impl Script {
    /// Reads the file `text`, which is on `device`.
    pub(super) fn read(disks: &Disks<'_>, device: &DeviceName, place: &str, text: &str) -> Self {
        let mut script = Self::default();
        script.set("root", &own(device));
        let folder = folder(place);
        script.set("prefix", &format!("({}){folder}", own(device)));
        for (key, value) in environment(disks, device, folder) {
            script.set(&key, &value);
        }
        script.run(disks, text);
        script
    }

    fn set(&mut self, name: &str, value: &str) {
        if value.len() <= WORD_MAX {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The variables, for entries that are elsewhere.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The entry that `default` names.
    pub(super) fn default_entry(&self) -> Option<usize> {
        let wanted = self.variable("default").filter(|name| !name.is_empty())?;
        let fits = |names: &[String; 3]| names.iter().any(|name| name == wanted);
        // `1` may be a submenu: its first entry then.
        let begins = |names: &[String; 3]| {
            names.iter().any(|name| {
                name.strip_prefix(wanted)
                    .is_some_and(|rest| rest.starts_with('>'))
            })
        };
        let position = self.names.iter().position(fits);
        position.or_else(|| self.names.iter().position(begins))
    }

    /// Seconds before the default entry boots.
    pub(super) fn timeout(&self) -> Option<u32> {
        self.variable("timeout")?.parse().ok()
    }

    fn run(&mut self, disks: &Disks<'_>, text: &str) {
        let tokens = tokens(text);
        let mut runner = Runner {
            script: self,
            disks,
            levels: Vec::new(),
            conditions: Vec::new(),
            at: [String::new(), String::new(), String::new()],
            counts: vec![0],
        };
        let mut statement = Vec::new();
        for token in tokens {
            match token {
                Token::End => runner.statement(&std::mem::take(&mut statement)),
                Token::Word(word, Quoted::No) if word == "{" || word == "}" => {
                    statement.push((word.clone(), Quoted::No));
                    runner.statement(&std::mem::take(&mut statement));
                }
                Token::Word(word, Quoted::No)
                    if statement.is_empty()
                        && matches!(word.as_str(), "then" | "else" | "fi" | "do" | "done") =>
                {
                    runner.statement(&[(word, Quoted::No)]);
                }
                Token::Word(word, quoted) => statement.push((word, quoted)),
            }
        }
        runner.statement(&statement);
    }
}

/// What a `{` opened.
#[derive(Debug)]
enum Level {
    Menuentry {
        entry: Entry,
        names: [String; 3],
        before: BTreeMap<String, String>,
    },
    Submenu {
        outer: [String; 3],
    },
    /// A function: not run.
    Other,
}

/// One `if`: what its test said, and whether an earlier branch was right.
#[derive(Clone, Copy, Debug)]
struct Condition {
    now: Option<bool>,
    was_right: bool,
}

struct Runner<'a, 'b> {
    script: &'a mut Script,
    disks: &'a Disks<'b>,
    levels: Vec<Level>,
    conditions: Vec<Condition>,
    /// The path of the submenu we are in: numbers, titles, ids.
    at: [String; 3],
    /// Entries and submenus so far, in each submenu.
    counts: Vec<usize>,
}

impl Runner<'_, '_> {
    fn is_skipping(&self) -> bool {
        self.levels
            .iter()
            .any(|level| matches!(level, Level::Other))
            || self.conditions.iter().any(|c| c.now == Some(false))
    }

    fn statement(&mut self, raw: &[(String, Quoted)]) {
        let Some((first, _)) = raw.first() else {
            return;
        };
        match first.as_str() {
            "if" => {
                let now = self.test(raw.get(1..).unwrap_or_default());
                return self.conditions.push(Condition {
                    now,
                    was_right: now == Some(true),
                });
            }
            "elif" => {
                let now = self.test(raw.get(1..).unwrap_or_default());
                if let Some(last) = self.conditions.last_mut() {
                    last.now = if last.was_right { Some(false) } else { now };
                    last.was_right |= now == Some(true);
                }
                return;
            }
            "else" => {
                if let Some(last) = self.conditions.last_mut() {
                    last.now = match (last.was_right, last.now) {
                        (true, _) => Some(false),
                        (false, Some(_)) => Some(true),
                        (false, None) => None,
                    };
                }
                return;
            }
            "fi" => {
                self.conditions.pop();
                return;
            }
            "then" | "do" | "done" => return,
            "}" => return self.close(),
            _ => {}
        }
        let opens = raw
            .last()
            .is_some_and(|(word, quoted)| word == "{" && *quoted == Quoted::No);
        let words: Vec<String> = raw
            .iter()
            .filter(|(word, quoted)| !(word == "{" && *quoted == Quoted::No))
            .flat_map(|(word, quoted)| self.expand(word, *quoted))
            .collect();
        if opens {
            return self.open(&words);
        }
        if !self.is_skipping() {
            self.command(&words);
        }
    }

    /// Puts in variables. An unquoted word that becomes nothing is no word.
    fn expand(&self, word: &str, quoted: Quoted) -> Option<String> {
        let expanded = expand(word, |name| self.script.variable(name).unwrap_or_default());
        (quoted == Quoted::Yes || !expanded.is_empty()).then_some(expanded)
    }

    /// The answer to `[ … ]`, where it can be given.
    fn test(&self, raw: &[(String, Quoted)]) -> Option<bool> {
        let mut words: Vec<String> = raw
            .iter()
            .filter_map(|(word, quoted)| self.expand(word, *quoted))
            .collect();
        if words
            .first()
            .is_some_and(|word| word == "[" || word == "test")
        {
            words.remove(0);
        } else {
            return None;
        }
        if words.last().is_some_and(|word| word == "]") {
            words.pop();
        }
        // What GRUB itself would know is not known here.
        if raw
            .iter()
            .any(|(word, _)| word.contains("$feature_") || word.contains("$grub_"))
        {
            return None;
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => Some(false),
            [one] => Some(!one.is_empty()),
            ["-n", text] => Some(!text.is_empty()),
            ["-z", text] => Some(text.is_empty()),
            [a, "=" | "==", b] => Some(a == b),
            [a, "!=", b] => Some(a != b),
            _ => None,
        }
    }

    fn open(&mut self, words: &[String]) {
        let rest = words.get(1..).unwrap_or_default();
        let title = rest.first().cloned().unwrap_or_default();
        let id = rest
            .iter()
            .zip(rest.iter().skip(1))
            .find_map(|(option, value)| (option == "--id").then(|| value.clone()))
            .or_else(|| {
                rest.iter()
                    .find_map(|word| Some(word.strip_prefix("--id=")?.to_owned()))
            })
            // $menuentry_id_option is set by GRUB itself.
            .or_else(|| {
                let last = rest.last()?;
                (rest.len() > 1 && !last.starts_with('-') && last.contains('-'))
                    .then(|| last.clone())
            })
            .unwrap_or_default();
        let is_menu = matches!(
            words.first().map(String::as_str),
            Some("menuentry" | "submenu")
        );
        if !is_menu || self.is_skipping() {
            return self.levels.push(Level::Other);
        }
        let number = self.counts.last_mut().map_or(0, |count| {
            *count = count.saturating_add(1);
            count.saturating_sub(1)
        });
        let joined = |at: &str, name: &str| match at {
            "" => name.to_owned(),
            at => format!("{at}>{name}"),
        };
        let [numbers, titles, ids] = &self.at;
        let names = [
            joined(numbers, &number.to_string()),
            joined(titles, &title),
            joined(ids, &id),
        ];
        if words.first().is_some_and(|word| word == "submenu") {
            let outer = std::mem::replace(&mut self.at, names);
            self.counts.push(0);
            return self.levels.push(Level::Submenu { outer });
        }
        self.levels.push(Level::Menuentry {
            entry: Entry {
                title,
                ..Entry::default()
            },
            names,
            before: self.script.variables.clone(),
        });
    }

    fn close(&mut self) {
        match self.levels.pop() {
            Some(Level::Menuentry {
                entry,
                names,
                before,
            }) => {
                self.script.variables = before;
                if self.script.entries.len() < ENTRIES_MAX {
                    self.script.entries.push(entry);
                    self.script.names.push(names);
                }
            }
            Some(Level::Submenu { outer }) => {
                self.at = outer;
                self.counts.pop();
            }
            Some(Level::Other) | None => {}
        }
    }

    fn command(&mut self, words: &[String]) {
        let Some((command, arguments)) = words.split_first() else {
            return;
        };
        match command.as_str() {
            "set" | "export" => arguments.iter().for_each(|word| self.assign(word)),
            "search" => self.search(arguments),
            name if name.starts_with("search.") => self.search(
                &words
                    .iter()
                    .map(|word| match word.as_str() {
                        "search.fs_uuid" => "--fs-uuid".to_owned(),
                        "search.fs_label" => "--label".to_owned(),
                        "search.file" => "--file".to_owned(),
                        other => other.to_owned(),
                    })
                    .collect::<Vec<_>>(),
            ),
            "blscfg" => self.script.wants_bls = true,
            "linux" | "linux16" | "linuxefi" => self.linux(arguments),
            "initrd" | "initrd16" | "initrdefi" => self.initrd(arguments),
            "chainloader" | "multiboot" | "multiboot2" | "xen_hypervisor" | "ntldr" | "freedos"
            | "kfreebsd" | "kopenbsd" | "knetbsd" | "xnu_kernel" | "fwsetup" => {
                self.problem(&format!(
                    "it uses `{command}`, for which there is nothing here"
                ));
            }
            "configfile" | "source" => self.load(arguments),
            // A plain assignment.
            _ if words.len() == 1 && command.contains('=') => self.assign(command),
            _ => {}
        }
    }

    fn assign(&mut self, word: &str) {
        if let Some((name, value)) = word.split_once('=') {
            self.script.set(name, value);
        }
    }

    fn problem(&mut self, text: &str) {
        if let Some(Level::Menuentry { entry, .. }) = self.levels.last_mut() {
            entry.problem.get_or_insert_with(|| text.to_owned());
        }
    }

    /// `search [--no-floppy] --fs-uuid|--label|--file [--set=root] [--hint…] WHAT [root]`.
    fn search(&mut self, words: &[String]) {
        let mut by = "--file";
        let mut variable = "root".to_owned();
        let mut what = None;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--fs-uuid" | "-u" => by = "--fs-uuid",
                "--label" | "--fs-label" | "-l" => by = "--label",
                "--file" | "-f" => by = "--file",
                "--set" | "-s" => {}
                "--hint" => drop(words.next()),
                word if word.starts_with("--set=") => variable = word.replacen("--set=", "", 1),
                word if word.starts_with('-') => {}
                word if what.is_none() => what = Some(word.to_owned()),
                word if !word.contains(',') => variable = word.to_owned(),
                _ => {}
            }
        }
        let Some(what) = what else {
            return;
        };
        let found = match by {
            "--fs-uuid" => self.disks.by_uuid(&what),
            "--label" => self.disks.by_label(&what),
            _ => self.disks.by_file(&what),
        };
        if let Some(device) = found {
            self.script.set(&variable, &own(&device));
        }
    }

    fn place(&self, path: &str) -> Result<(DeviceName, String), String> {
        let (device, path) = match path.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            Some((device, path)) => (device, path),
            None => (self.script.variable("root").unwrap_or_default(), path),
        };
        match named(device) {
            Some(device) => Ok((device, path.to_owned())),
            None => Err(format!(
                "its device ({device}) is none of the guest's disks"
            )),
        }
    }

    fn linux(&mut self, words: &[String]) {
        let Some((path, arguments)) = words.split_first() else {
            return;
        };
        let place = self.place(path);
        if let Some(Level::Menuentry { entry, .. }) = self.levels.last_mut() {
            entry.arguments = arguments.join(" ");
            match place {
                Ok((device, path)) => {
                    entry.device = Some(device);
                    entry.kernel = path;
                }
                Err(why) => entry.problem = Some(why),
            }
        }
    }

    fn initrd(&mut self, words: &[String]) {
        for word in words {
            let Ok((device, path)) = self.place(word) else {
                continue;
            };
            if let Some(Level::Menuentry { entry, .. }) = self.levels.last_mut() {
                let is_same = entry.device.as_ref() == Some(&device);
                entry.initrds.push(if is_same {
                    path
                } else {
                    format!("{device}{path}")
                });
            }
        }
    }

    /// Another file: gone through as if it stood here, where it can be found.
    fn load(&mut self, words: &[String]) {
        if self.script.loads >= LOADS_MAX
            || self
                .levels
                .iter()
                .any(|level| matches!(level, Level::Menuentry { .. }))
        {
            return self.problem("it loads another configuration");
        }
        let Some(Ok((device, path))) = words.first().map(|path| self.place(path)) else {
            return;
        };
        if let Some(text) = self.disks.read(&device, &path) {
            self.script.loads = self.script.loads.saturating_add(1);
            self.script.run(self.disks, &text);
        }
    }
}

fn own(device: &DeviceName) -> String {
    let name = device.to_string();
    format!("{OWN_NAME}{}", name.trim_matches(['(', ')']))
}

/// The device that GRUB 2 calls `name`: `hd0,msdos1`, `hd0,gpt2`, `xen/xvda,msdos1`, `hd0`.
pub(crate) fn named(name: &str) -> Option<DeviceName> {
    if let Some(name) = name.strip_prefix(OWN_NAME) {
        return DeviceName::parse(format!("({name})").as_bytes()).ok();
    }
    let (disk, part) = match name.split_once(',') {
        Some((disk, part)) => (disk, Some(part)),
        None => (name, None),
    };
    let disk = match disk.strip_prefix("hd") {
        Some(number) => number.parse().ok()?,
        None => {
            let letter = disk
                .strip_prefix("xen/xvd")
                .and_then(|rest| rest.bytes().next())?;
            u32::from(letter.checked_sub(b'a')?)
        }
    };
    let partition = match part {
        None => None,
        Some(part) => {
            let digits = part.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            Some(digits.parse::<u32>().ok()?.checked_sub(1)?)
        }
    };
    Some(DeviceName::Disk { disk, partition })
}

/// The folder of a file, without a slash at its end.
pub(super) fn folder(place: &str) -> &str {
    place.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What the grubenv in `folder` holds.
pub(super) fn environment(
    disks: &Disks<'_>,
    device: &DeviceName,
    folder: &str,
) -> Vec<(String, String)> {
    let text = disks.read(device, &format!("{folder}/grubenv"));
    let text = text.unwrap_or_default();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.replace('\\', "")))
        .collect()
}
