//! What the parser has to say about a menu, with the place it concerns.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::text::visible;
use crate::tree::Span;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Harmless; the original would not have said a word.
    Note,
    /// Something the file says is not done.
    Warning,
    /// An entry will fail when it is chosen.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A word before the first title that is no command: ignored.
    UnknownGlobal(String),
    /// A command before the first title that only works in an entry: ignored, as in the original.
    EntryOnly(&'static str),
    /// A word in an entry that is no command: Error 27 when the entry runs.
    UnknownInEntry(String),
    /// A command in an entry that only works before the first title: Error 27 when the entry runs.
    GlobalOnly(&'static str),
    /// An argument that could not be understood; the command has no effect.
    BadArgument {
        /// The command.
        command: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// Text behind the argument of a command that does not read it.
    Trailing(&'static str),
    /// More numbers than `fallback` takes.
    TooManyFallbacks,
    /// `default` or `fallback` names an entry that does not exist.
    NoSuchEntry {
        /// The command.
        command: &'static str,
        /// The number it gives.
        number: usize,
    },
    /// A title without commands: no entry comes of it, as in the original.
    EmptyEntry,
    /// There is no entry at all.
    NoEntries,
    /// NULs inside the text, dropped.
    Nul,
    /// Carriage returns inside lines, dropped.
    LoneCarriageReturn,
    /// A comment that ends in a backslash: the next line belongs to it.
    CommentContinued,
    /// More was found; the list stops here.
    More,
}

/// One remark about a menu.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// Where.
    pub span: Span,
}

/// What is said about a menu on its page: the first thing that is not done as it is written, and how many there are.
/// Empty where there is none.
#[must_use]
pub fn note(remarks: &[Diagnostic]) -> String {
    let mut grave = remarks
        .iter()
        .filter(|remark| remark.severity > Severity::Note);
    let Some(first) = grave.next() else {
        return String::new();
    };
    let text = format!("Line {}: {}", first.span.start.line, first.kind);
    match grave.count() {
        0 => text,
        more => format!("{text} (and {more} more)"),
    }
}

/// A word for showing: at most 40 characters.
pub(crate) fn shorten(word: &[u8]) -> String {
    let text = visible(word.get(..200).unwrap_or(word));
    if text.chars().count() <= 40 && word.len() <= 200 {
        return text;
    }
    text.chars().take(37).chain("...".chars()).collect()
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownGlobal(word) => write!(f, "`{word}` is not a command; ignored"),
            Self::EntryOnly(word) => {
                write!(f, "`{word}` has no effect before the first title; ignored")
            }
            Self::UnknownInEntry(word) => write!(
                f,
                "`{word}` is not a command; the entry will fail with Error 27"
            ),
            Self::GlobalOnly(word) => {
                write!(
                    f,
                    "`{word}` only works before the first title; the entry will fail with Error 27"
                )
            }
            Self::BadArgument { command, expected } => {
                write!(f, "`{command}` takes {expected}; ignored")
            }
            Self::Trailing(word) => write!(f, "`{word}` does not read what follows its argument"),
            Self::TooManyFallbacks => write!(
                f,
                "`fallback` takes {} numbers; the rest is ignored",
                crate::tree::MAX_FALLBACKS
            ),
            Self::NoSuchEntry { command, number } => {
                write!(f, "`{command}` names entry {number}, which does not exist")
            }
            Self::EmptyEntry => f.write_str("a title without commands; no entry is made of it"),
            Self::NoEntries => f.write_str("no entries"),
            Self::Nul => f.write_str("NUL bytes; dropped"),
            Self::LoneCarriageReturn => f.write_str("carriage return inside a line; dropped"),
            Self::CommentContinued => {
                f.write_str("the comment ends in a backslash, so the next line belongs to it")
            }
            Self::More => f.write_str("too many remarks; the rest is left out"),
        }
    }
}

impl fmt::Display for Diagnostic {
    /// `12:3: warning: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.span.start.line, self.span.start.column, self.severity, self.kind
        )
    }
}
