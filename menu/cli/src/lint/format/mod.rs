//! How findings are written: for people, and for the programs that look at them.

pub mod github;
pub mod human;
pub mod json;
pub mod sarif;

use std::io;

use super::linter::Linted;
use super::places::Places;
use crate::output::Io;

/// Edits of a fix that are written out for programs; of a fix of more they are left out.
const MAX_EDITS: usize = 100;

/// One menu and what was found in it.
#[derive(Debug)]
pub struct Report<'a> {
    /// The menu's name.
    pub name: &'a str,
    /// Its text.
    pub places: &'a Places<'a>,
    /// The findings.
    pub linted: &'a Linted,
}

/// A format: takes reports one after the other, and may have something to say at the end.
pub trait Format {
    /// Writes the findings of one menu.
    ///
    /// # Errors
    /// When they cannot be written.
    fn report(&mut self, report: &Report<'_>, io: &mut Io<'_>) -> io::Result<()>;

    /// Writes what comes after the last menu.
    ///
    /// # Errors
    /// When it cannot be written.
    fn end(&mut self, io: &mut Io<'_>) -> io::Result<()> {
        let _ = io;
        Ok(())
    }
}
