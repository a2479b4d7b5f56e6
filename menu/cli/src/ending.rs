//! How a run ended, and the exit code that says so.

use std::process::ExitCode;

/// How a run ended. The order is that of gravity: of several files the worst one counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Ending {
    /// Nothing to complain about: 0.
    #[default]
    Clean,
    /// Something was found: 1.
    Findings,
    /// Something could not be read, so nothing can be said about it: 2. clap's own code for a wrong command line, too.
    Unreadable,
}

impl Ending {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Findings => 1,
            Self::Unreadable => 2,
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending.code())
    }
}
