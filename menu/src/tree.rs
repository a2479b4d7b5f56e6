//! The menu as a tree: what a configuration file says, with where it says it.
//!
//! [`Menu`] holds the global settings and the [`Entry`]s; both keep their [`Command`]s as raw bytes, so that nothing a
//! file says is lost (titles and kernel arguments need not be UTF-8). [`Menu::to_text`] writes a file that parses
//! to the same menu.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// A place in the source: both numbers count from 1, the column in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Position {
    /// Line, from 1. 0 in text that was typed and never stood in a file.
    pub line: u32,
    /// Byte of the line, from 1.
    pub column: u32,
}

/// A stretch of source: from the first byte to just past the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// The first byte.
    pub start: Position,
    /// Just past the last byte.
    pub end: Position,
}

/// One command line: a word and what follows it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Command {
    /// The first word: everything before the first blank or `=`.
    pub word: Cow<'static, [u8]>,
    /// The rest, after the blanks and `=` that follow the word; tabs have become blanks.
    pub args: Vec<u8>,
    /// Where the word stands.
    pub word_span: Span,
    /// Where the rest stands.
    pub args_span: Span,
}

impl Command {
    /// The command of a line that was typed: no place in any file.
    #[must_use]
    pub fn typed(line: &[u8]) -> Self {
        let start = line
            .iter()
            .position(|b| !matches!(b, b' ' | b'\t'))
            .unwrap_or(line.len());
        let (word, args) = crate::lexer::split_command(line.get(start..).unwrap_or_default());
        Self {
            word: Cow::Owned(word.to_vec()),
            args: args.to_vec(),
            ..Self::default()
        }
    }

    /// Whether its word is this one.
    #[must_use]
    pub fn is(&self, word: &[u8]) -> bool {
        *self.word == *word
    }

    /// The line as a file would hold it, without its newline.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = self.word.to_vec();
        if self.word.is_empty() {
            line.push(b'='); // a line that starts with `=` has an empty word; a blank would be skipped
            line.extend_from_slice(&self.args);
        } else if !self.args.is_empty() {
            line.push(b' ');
            line.extend_from_slice(&self.args);
        }
        line
    }
}

/// One bootable choice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// What the menu shows, as bytes of no certain encoding.
    pub title: Vec<u8>,
    /// Where the word `title` stands.
    pub span: Span,
    /// What runs when the entry is chosen; never empty in a parsed menu.
    pub commands: Vec<Command>,
}

/// Which entry `default` names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultEntry {
    /// The entry with this number, from 0. It may be beyond the last.
    Index(usize),
    /// `default saved`: the number that `savedefault` last wrote.
    Saved,
}

/// The menu's colours, as VGA attribute bytes: background in bits 4 to 6, foreground in bits 0 to 3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Colors {
    /// Entries and box.
    pub normal: u8,
    /// The highlighted entry.
    pub highlight: u8,
}

/// How a password in the menu is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// As typed.
    Plain,
    /// `--md5`: `$1$salt$hash`.
    Md5Crypt,
    /// `--sha256`: `$5$…`.
    Sha256Crypt,
    /// `--sha512`: `$6$…`.
    Sha512Crypt,
}

/// `password [--md5|--sha256|--sha512] SECRET [FILE]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Password {
    /// How [`Password::secret`] is to be compared.
    pub scheme: Scheme,
    /// The password or its hash.
    pub secret: Vec<u8>,
    /// The menu to load when the password is right; `None` unlocks the present one.
    pub file: Option<Vec<u8>>,
}

/// Most numbers that `fallback` takes, as in the original.
pub const MAX_FALLBACKS: usize = 8;

/// A whole configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Menu {
    /// `default`: the entry highlighted at first.
    pub default: DefaultEntry,
    /// `timeout` in seconds; `None` waits for ever.
    pub timeout: Option<u32>,
    /// `fallback`: entries tried in this order when one fails; at most [`MAX_FALLBACKS`].
    pub fallback: Vec<usize>,
    /// `hiddenmenu` was given: count down without showing the list.
    pub hidden: bool,
    /// `color`, where it was given and understood.
    pub colors: Option<Colors>,
    /// `password`, the last one given.
    pub password: Option<Password>,
    /// The known commands before the first title, in order, those above among them.
    pub globals: Vec<Command>,
    /// The entries, in order.
    pub entries: Vec<Entry>,
}

impl Default for Menu {
    fn default() -> Self {
        Self {
            default: DefaultEntry::Index(0),
            timeout: None,
            fallback: Vec::new(),
            hidden: false,
            colors: None,
            password: None,
            globals: Vec::new(),
            entries: Vec::new(),
        }
    }
}

impl Menu {
    /// The entry that is highlighted at first: `default` where it exists, else the first `fallback` that does, else 0.
    ///
    /// `saved` is the number that `savedefault` wrote, where the menu says `default saved` and one was found.
    #[must_use]
    pub fn first_choice(&self, saved: Option<usize>) -> usize {
        let wanted = match self.default {
            DefaultEntry::Index(index) => index,
            DefaultEntry::Saved => saved.unwrap_or(0),
        };
        let exists = |index: &usize| *index < self.entries.len();
        Some(wanted)
            .filter(exists)
            .or_else(|| self.fallback.iter().copied().find(exists))
            .unwrap_or(0)
    }

    /// A file that parses to this menu, apart from the spans.
    #[must_use]
    pub fn to_text(&self) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = self.globals.iter().map(Command::to_line).collect();
        for entry in &self.entries {
            let mut title = b"title".to_vec();
            if !entry.title.is_empty() {
                title.push(b' ');
                title.extend_from_slice(&entry.title);
            }
            lines.push(title);
            lines.extend(entry.commands.iter().map(Command::to_line));
        }
        // A backslash before a newline would join lines. Arguments can end in one only at the very end of a file, where no
        // newline followed; a word can anywhere, with a blank behind it.
        let last = lines.len().saturating_sub(1);
        for line in lines
            .iter_mut()
            .take(last)
            .filter(|line| line.ends_with(b"\\"))
        {
            line.push(b' ');
        }
        let mut text = lines.join(&b'\n');
        if !text.is_empty() && !text.ends_with(b"\\") {
            text.push(b'\n');
        }
        text
    }

    /// The same menu with every span cleared, for comparing what two files say.
    #[must_use]
    pub fn without_spans(mut self) -> Self {
        let clear = |command: &mut Command| {
            command.word_span = Span::default();
            command.args_span = Span::default();
        };
        self.globals.iter_mut().for_each(clear);
        for entry in &mut self.entries {
            entry.span = Span::default();
            entry.commands.iter_mut().for_each(clear);
        }
        self
    }
}
