//! Where words go: output and complaints, whether each is a terminal, and when to use colour.

use std::io::{Read, Write};

use crate::args::{Manner, When};

/// What stands at the other end of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// A terminal: somebody looks.
    Terminal,
    /// A file or a program.
    Other,
}

impl From<&dyn std::io::IsTerminal> for Reader {
    fn from(stream: &dyn std::io::IsTerminal) -> Self {
        if stream.is_terminal() {
            Self::Terminal
        } else {
            Self::Other
        }
    }
}

/// The streams of a run. Tests use their own.
pub struct Io<'a> {
    /// Standard input.
    pub input: &'a mut dyn Read,
    /// Results.
    pub output: &'a mut dyn Write,
    /// Complaints and progress.
    pub errors: &'a mut dyn Write,
    /// Who reads the results.
    pub output_reader: Reader,
    /// Who reads the complaints.
    pub errors_reader: Reader,
    /// The value of `NO_COLOR`: not empty means no colour (<https://no-color.org>).
    pub no_color: String,
}

impl Io<'_> {
    /// Whether results are to be coloured.
    #[must_use]
    pub fn paint(&self, manner: &Manner) -> Paint {
        match manner.color {
            When::Always => Paint::Colored,
            When::Never => Paint::Plain,
            When::Auto if self.output_reader == Reader::Terminal && self.no_color.is_empty() => {
                Paint::Colored
            }
            When::Auto => Paint::Plain,
        }
    }

    /// Complains about something on standard error: `pvgrub: ` and the text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn complain(&mut self, what: &str) -> std::io::Result<()> {
        writeln!(self.errors, "pvgrub: {what}")
    }
}

impl std::fmt::Debug for Io<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io")
            .field("output_reader", &self.output_reader)
            .field("errors_reader", &self.errors_reader)
            .finish_non_exhaustive()
    }
}

/// With or without colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paint {
    /// With escape sequences.
    Colored,
    /// Text alone.
    Plain,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paint(color: When, output_reader: Reader, no_color: &str) -> Paint {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let io = Io {
            input: &mut std::io::empty(),
            output: &mut out,
            errors: &mut err,
            output_reader,
            errors_reader: Reader::Other,
            no_color: no_color.into(),
        };
        io.paint(&Manner {
            color,
            ..Manner::default()
        })
    }

    #[test]
    fn colour_is_for_terminals() {
        for (when, reader, no_color, wanted) in [
            (When::Auto, Reader::Terminal, "", Paint::Colored),
            (When::Auto, Reader::Other, "", Paint::Plain),
            (When::Auto, Reader::Terminal, "1", Paint::Plain),
            (When::Always, Reader::Other, "1", Paint::Colored),
            (When::Never, Reader::Terminal, "", Paint::Plain),
        ] {
            assert_eq!(paint(when, reader, no_color), wanted, "{when:?} {reader:?}");
        }
    }
}
