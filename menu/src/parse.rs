//! Lines to a [`Menu`]. Total: any bytes give a menu, and [`Diagnostic`]s for what it does not do with them.
//!
//! As in GRUB 0.97: before the first `title`, known global commands take effect in order and everything else is
//! ignored; after it, lines belong to the entry; a title without a command makes no entry.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::diagnostic::{Diagnostic, Kind, Severity, shorten};
use crate::lexer::{Lexer, Line, split_command, split_word, words};
use crate::number;
use crate::order::sorted;
use crate::table::{self, Place};
use crate::tree::{
    Colors, Command, DefaultEntry, Entry, MAX_FALLBACKS, Menu, Password, Position, Scheme, Span,
};

/// Most diagnostics for one file: a file of noise must not cost more memory in remarks than it has bytes.
pub const MAX_DIAGNOSTICS: usize = 200;

/// Reads a whole configuration file. Work and memory are linear in its length.
#[must_use]
pub fn parse(text: &[u8]) -> (Menu, Vec<Diagnostic>) {
    parse_within(text, MAX_DIAGNOSTICS)
}

/// The same with another limit of remarks, for programs on a host.
#[must_use]
pub fn parse_within(text: &[u8], most: usize) -> (Menu, Vec<Diagnostic>) {
    let mut parser = Parser {
        most,
        ..Parser::default()
    };
    let mut lexer = Lexer::new(text);
    let mut line = Line::default(); // the same for all, as its memory is
    while lexer.read(&mut line) {
        parser.line(&line);
    }
    parser.end_entry();
    parser.check_numbers();
    let odd = lexer.oddities();
    for (place, kind, severity) in [
        (odd.nul, Kind::Nul, Severity::Warning),
        (odd.lone_cr, Kind::LoneCarriageReturn, Severity::Note),
        (
            odd.comment_continued,
            Kind::CommentContinued,
            Severity::Warning,
        ),
    ] {
        if let Some(start) = place {
            parser.report(severity, kind, Span { start, end: start });
        }
    }
    if parser.menu.entries.is_empty() {
        let start = Position { line: 1, column: 1 };
        parser.report(
            Severity::Warning,
            Kind::NoEntries,
            Span { start, end: start },
        );
    }
    let remarks = sorted(parser.diagnostics, |a, b| a.span.start < b.span.start);
    (parser.menu, remarks)
}

/// Reads the arguments of `password`. `None` where no password is given.
#[must_use]
pub fn password(args: &[u8]) -> Option<Password> {
    let (first, rest) = split_word(args);
    let (scheme, args) = match first {
        b"--md5" => (Scheme::Md5Crypt, rest),
        b"--sha256" => (Scheme::Sha256Crypt, rest),
        b"--sha512" => (Scheme::Sha512Crypt, rest),
        _ => (Scheme::Plain, args),
    };
    let (secret, file) = split_word(args);
    let (file, _) = split_word(file);
    let file = Some(file.to_vec()).filter(|file| !file.is_empty());
    Some(Password {
        scheme,
        secret: secret.to_vec(),
        file,
    })
    .filter(|password| !password.secret.is_empty())
}

/// Reads the arguments of `color`: names (`light-gray/black`) or numbers, the second optional.
#[must_use]
pub fn colors(args: &[u8]) -> Option<Colors> {
    let mut words = words(args);
    let normal = color(words.next()?)?;
    let highlight = match words.next() {
        Some(word) => color(word)?,
        // Without a second one the highlight is the first with its colours exchanged.
        None => ((normal & 0x07) << 4) | ((normal >> 4) & 0x07),
    };
    Some(Colors { normal, highlight })
}

fn color(word: &[u8]) -> Option<u8> {
    if let Some(value) = number::whole(word) {
        return u8::try_from(value).ok();
    }
    let (blink, word) = match word.strip_prefix(b"blink-") {
        Some(rest) => (0x80, rest),
        None => (0, word),
    };
    let slash = word.iter().position(|byte| *byte == b'/')?;
    let foreground = color_name(word.get(..slash)?)?;
    let background = color_name(word.get(slash.checked_add(1)?..)?).filter(|index| *index < 8)?;
    Some(blink | (background << 4) | foreground)
}

fn color_name(name: &[u8]) -> Option<u8> {
    const NAMES: [&[u8]; 16] = [
        b"black",
        b"blue",
        b"green",
        b"cyan",
        b"red",
        b"magenta",
        b"brown",
        b"light-gray",
        b"dark-gray",
        b"light-blue",
        b"light-green",
        b"light-cyan",
        b"light-red",
        b"light-magenta",
        b"yellow",
        b"white",
    ];
    NAMES
        .iter()
        .position(|known| *known == name)
        .and_then(|index| u8::try_from(index).ok())
}

#[derive(Default)]
struct Parser {
    menu: Menu,
    /// The entry whose lines are being read.
    entry: Option<Entry>,
    diagnostics: Vec<Diagnostic>,
    /// How many remarks there may be, without the one that says that there are more.
    most: usize,
    default_span: Span,
    fallback_span: Span,
}

impl Parser {
    fn report(&mut self, severity: Severity, kind: Kind, span: Span) {
        match self.diagnostics.len() {
            len if len < self.most => self.diagnostics.push(Diagnostic {
                severity,
                kind,
                span,
            }),
            len if len == self.most => {
                // It sorts behind all others: the place of the first remark left out may be anywhere.
                let end = Position {
                    line: u32::MAX,
                    column: u32::MAX,
                };
                let span = Span { start: end, end };
                self.diagnostics.push(Diagnostic {
                    severity: Severity::Note,
                    kind: Kind::More,
                    span,
                });
            }
            _ => {}
        }
    }

    /// A remark on a word that is no command.
    fn report_word(&mut self, severity: Severity, kind: fn(String) -> Kind, command: &Command) {
        // Behind the last remark that is kept there may be many words, which need not be made fit to be shown.
        let word = match self.diagnostics.len() < self.most {
            true => shorten(&command.word),
            false => String::new(),
        };
        self.report(severity, kind(word), command.word_span);
    }

    fn line(&mut self, line: &Line) {
        let (word, args) = split_command(&line.text);
        let args_start = line.text.len().saturating_sub(args.len());
        let known = table::find(word);
        let command = Command {
            word: match known {
                Some(info) => Cow::Borrowed(info.name.as_bytes()),
                None => Cow::Owned(word.to_vec()),
            },
            args: args.to_vec(),
            word_span: line.span(0, word.len()),
            args_span: line.span(args_start, line.text.len()),
        };
        if known.is_some_and(|info| info.place == Place::Title) {
            self.end_entry();
            self.entry = Some(Entry {
                title: command.args,
                span: command.word_span,
                commands: Vec::new(),
            });
        } else if self.entry.is_some() {
            self.entry_command(command, known);
        } else {
            self.global_command(command, known);
        }
    }

    fn entry_command(&mut self, command: Command, known: Option<&'static table::CommandInfo>) {
        let span = command.word_span;
        match known {
            None => self.report_word(Severity::Error, Kind::UnknownInEntry, &command),
            Some(info) if info.place == Place::Setting => {
                self.report(Severity::Error, Kind::GlobalOnly(info.name), span);
            }
            Some(_) => {}
        }
        if let Some(entry) = &mut self.entry {
            entry.commands.push(command);
        }
    }

    fn global_command(&mut self, command: Command, known: Option<&'static table::CommandInfo>) {
        let Some(info) = known else {
            self.report_word(Severity::Note, Kind::UnknownGlobal, &command);
            return;
        };
        match info.place {
            Place::Title => {}
            Place::Entry => self.report(
                Severity::Warning,
                Kind::EntryOnly(info.name),
                command.word_span,
            ),
            Place::Setting | Place::SettingOrEntry => {
                self.setting(&command, info.name);
                self.menu.globals.push(command);
            }
            Place::Anywhere => self.menu.globals.push(command),
        }
    }

    fn setting(&mut self, command: &Command, name: &'static str) {
        let expected = match name {
            "default" => self.set_default(command).err(),
            "timeout" => match self.number_setting(command, name) {
                Some(value) => {
                    self.menu.timeout = Some(u32::try_from(value).unwrap_or(u32::MAX));
                    None
                }
                None => Some("a number of seconds"),
            },
            "fallback" => self.set_fallback(command).err(),
            "hiddenmenu" => {
                self.menu.hidden = true;
                None
            }
            "color" => match colors(&command.args) {
                Some(colors) => {
                    self.menu.colors = Some(colors);
                    None
                }
                None => Some("one or two colours such as light-gray/black"),
            },
            "password" => match password(&command.args) {
                Some(password) => {
                    self.menu.password = Some(password);
                    None
                }
                None => Some("[--md5|--sha256|--sha512] PASSWORD [FILE]"),
            },
            _ => None,
        };
        if let Some(expected) = expected {
            self.report(
                Severity::Warning,
                Kind::BadArgument {
                    command: name,
                    expected,
                },
                command.args_span,
            );
        }
    }

    /// The number at the start of the arguments; a remark where more follows it.
    fn number_setting(&mut self, command: &Command, name: &'static str) -> Option<u64> {
        let (value, rest) = number::leading(&command.args)?;
        if words(rest).next().is_some() {
            self.report(Severity::Note, Kind::Trailing(name), command.args_span);
        }
        Some(value)
    }

    fn set_default(&mut self, command: &Command) -> Result<(), &'static str> {
        self.default_span = command.args_span;
        if command.args.starts_with(b"saved") {
            self.menu.default = DefaultEntry::Saved;
            return Ok(());
        }
        let value = self
            .number_setting(command, "default")
            .ok_or("an entry's number, from 0, or `saved`")?;
        self.menu.default = DefaultEntry::Index(usize::try_from(value).unwrap_or(usize::MAX));
        Ok(())
    }

    fn set_fallback(&mut self, command: &Command) -> Result<(), &'static str> {
        self.fallback_span = command.args_span;
        let (list, complete) = fallback_list(&command.args);
        if list.len() > MAX_FALLBACKS {
            self.report(Severity::Warning, Kind::TooManyFallbacks, command.args_span);
        }
        self.menu.fallback = list;
        self.menu.fallback.truncate(MAX_FALLBACKS);
        if complete && !self.menu.fallback.is_empty() {
            Ok(())
        } else {
            Err("entries' numbers, from 0")
        }
    }

    fn end_entry(&mut self) {
        match self.entry.take() {
            Some(entry) if entry.commands.is_empty() => {
                self.report(Severity::Warning, Kind::EmptyEntry, entry.span);
            }
            Some(entry) => self.menu.entries.push(entry),
            None => {}
        }
    }

    fn check_numbers(&mut self) {
        let count = self.menu.entries.len();
        if let DefaultEntry::Index(number) = self.menu.default
            && number >= count
            && count > 0
        {
            self.report(
                Severity::Warning,
                Kind::NoSuchEntry {
                    command: "default",
                    number,
                },
                self.default_span,
            );
        }
        for number in self.menu.fallback.clone() {
            if number >= count && count > 0 {
                self.report(
                    Severity::Warning,
                    Kind::NoSuchEntry {
                        command: "fallback",
                        number,
                    },
                    self.fallback_span,
                );
            }
        }
    }
}

/// The numbers `fallback` lists, one more than it takes at most, and whether all words were numbers.
#[must_use]
pub fn fallback_list(args: &[u8]) -> (Vec<usize>, bool) {
    let mut list = Vec::new();
    for word in words(args) {
        if list.len() > MAX_FALLBACKS {
            break;
        }
        match number::whole(word) {
            Some(value) => list.push(usize::try_from(value).unwrap_or(usize::MAX)),
            None => return (list, false),
        }
    }
    (list, true)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
