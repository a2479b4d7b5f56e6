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
