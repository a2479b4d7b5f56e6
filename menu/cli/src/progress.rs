//! How far a long run is, for somebody at a terminal.

use std::io;
use std::time::{Duration, Instant};

use crate::args::Manner;
use crate::output::{Io, Reader};

/// Nobody wants to read about a run that is over before it can be read.
const FIRST_AFTER: Duration = Duration::from_millis(500);
const NEXT_AFTER: Duration = Duration::from_millis(100);

/// A line on standard error that is written over and over, and is gone at the end.
#[derive(Debug)]
pub struct Progress {
    all: usize,
    done: usize,
    /// When it is to be shown again; `None`: never.
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// Progress through so many files. It is shown on a terminal, and not with `--quiet`.
    #[must_use]
    pub fn new(all: usize, manner: &Manner, io: &Io<'_>) -> Self {
        let is_wanted = io.errors_reader == Reader::Terminal && !manner.quiet && all > 1;
        Self {
            all,
            done: 0,
            next: is_wanted.then(|| Instant::now() + FIRST_AFTER),
            shown: false,
        }
    }

    /// The next file begins.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn step(&mut self, io: &mut Io<'_>) -> io::Result<()> {
        if self.next.is_some_and(|next| Instant::now() >= next) {
            self.next = Some(Instant::now() + NEXT_AFTER);
            self.shown = true;
            write!(io.errors, "\r{} of {}", self.done, self.all)?;
            io.errors.flush()?;
        }
        self.done += 1;
        Ok(())
    }

    /// Takes the line away.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(self, io: &mut Io<'_>) -> io::Result<()> {
        if self.shown {
            write!(io.errors, "\r\x1b[K")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::ColorWishes;

    /// What a run of so many files writes; `wait` passes the time before each.
    fn written(
        files: usize,
        errors_reader: Reader,
        manner: &Manner,
        wait: fn(&mut Progress),
    ) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io {
            input: &mut io::empty(),
            output: &mut out,
            errors: &mut err,
            output_reader: Reader::Other,
            errors_reader,
            colors: ColorWishes::default(),
        };
        let mut progress = Progress::new(files, manner, &io);
        for _ in 0..files {
            wait(&mut progress);
            progress.step(&mut io).expect("memory can be written");
        }
        progress.end(&mut io).expect("memory can be written");
        assert_eq!(out, b"");
        String::from_utf8(err).expect("text")
    }

    /// As if enough time had passed.
    fn long(progress: &mut Progress) {
        progress.next = progress.next.map(|_| Instant::now());
    }

    #[test]
    fn progress_is_for_terminals_and_many_files() {
        let plain = Manner::default();
        let quiet = Manner {
            quiet: true,
            ..Manner::default()
        };
        let shown = written(3, Reader::Terminal, &plain, long);
        assert_eq!(shown, "\r0 of 3\r1 of 3\r2 of 3\r\x1b[K");
        assert_eq!(written(3, Reader::Other, &plain, long), "");
        assert_eq!(written(3, Reader::Terminal, &quiet, long), "");
        assert_eq!(written(1, Reader::Terminal, &plain, long), "");
    }

    #[test]
    fn a_short_run_shows_none() {
        let shown = written(2, Reader::Terminal, &Manner::default(), |_| ());
        assert_eq!(shown, "");
    }
}
