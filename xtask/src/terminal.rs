//! The person's own terminal, handed over to a guest: raw mode while [`Raw`] lives.

use std::io::IsTerminal;
use std::process::Command;

use crate::command::text;
use crate::problem::{Problem, Result};

/// Ctrl-]: leaves the guest's console, as in `xl console`.
pub(crate) const LEAVE: u8 = 0x1d;

/// The terminal in raw mode; restored when dropped.
pub(crate) struct Raw {
    before: String,
}

impl Raw {
    /// Switches the terminal to raw mode.
    ///
    /// # Errors
    /// When standard input is no terminal.
    pub(crate) fn enter() -> Result<Self> {
        if !std::io::stdin().is_terminal() {
            return Err(Problem::new(
                "--interactive needs a terminal on standard input",
            ));
        }
        let before = text(stty().arg("-g"))?.trim().to_owned();
        text(stty().args(["raw", "-echo"]))?;
        Ok(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = text(stty().arg(&self.before));
    }
}

/// stty on our own terminal, whatever its standard input will be.
fn stty() -> Command {
    let mut stty = Command::new("stty");
    stty.args(["-F", "/dev/tty"]);
    stty
}
