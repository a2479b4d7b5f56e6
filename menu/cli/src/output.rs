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
    /// What the environment says of colours.
    pub colors: ColorWishes,
}

/// What the environment says of colours.
#[derive(Clone, Default, Debug)]
pub struct ColorWishes {
    /// `NO_COLOR`: not empty means none (<https://no-color.org>).
    pub no_color: String,
    /// `CLICOLOR`: `0` means none (<https://bixense.com/clicolors>).
    pub clicolor: String,
    /// `CLICOLOR_FORCE`: anything but `0` means colours, terminal or not.
    pub clicolor_force: String,
    /// `TERM`: `dumb` means none.
    pub term: String,
}

impl ColorWishes {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let value = |name| std::env::var(name).unwrap_or_default();
        Self {
            no_color: value("NO_COLOR"),
            clicolor: value("CLICOLOR"),
            clicolor_force: value("CLICOLOR_FORCE"),
            term: value("TERM"),
        }
    }

    /// Whether output for `reader` is to be coloured.
    fn paint(&self, reader: Reader) -> Paint {
        let is_forced = !matches!(self.clicolor_force.as_str(), "" | "0");
        let is_wanted = reader == Reader::Terminal && self.clicolor != "0" && self.term != "dumb";
        if self.no_color.is_empty() && (is_forced || is_wanted) {
            Paint::Colored
        } else {
            Paint::Plain
        }
    }
}

impl Io<'_> {
    /// Whether results are to be coloured.
    #[must_use]
    pub fn paint(&self, manner: &Manner) -> Paint {
        match manner.color {
            When::Always => Paint::Colored,
            When::Never => Paint::Plain,
            When::Auto => self.colors.paint(self.output_reader),
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

/// A stream whose reader may go away, as in `pvgrub … | head`: who has read enough changes nothing of what is done, nor of
/// the exit code.
pub struct Patient<W>(Option<W>);

impl<W: Write> Patient<W> {
    /// Writes to `inner` as long as somebody reads.
    #[must_use]
    pub fn new(inner: W) -> Self {
        Self(Some(inner))
    }

    fn attempt<T>(
        &mut self,
        otherwise: T,
        act: impl FnOnce(&mut W) -> std::io::Result<T>,
    ) -> std::io::Result<T> {
        let Some(inner) = &mut self.0 else {
            return Ok(otherwise);
        };
        match act(inner) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.0 = None;
                Ok(otherwise)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.attempt(bytes.len(), |inner| inner.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.attempt((), Write::flush)
    }
}

impl<W> std::fmt::Debug for Patient<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Patient").field(&self.0.is_some()).finish()
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
            colors: ColorWishes {
                no_color: no_color.into(),
                ..ColorWishes::default()
            },
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
