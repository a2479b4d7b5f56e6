//! Network commands: handed to the machine as they stand.

use crate::commands::boot::load_menu;
use crate::eval::{Exit, Session};
use crate::lexer::words;
use crate::tree::Command;

pub(crate) fn network(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let reply = session.machine.network(&command.word, &command.args);
    session.note(reply)?;
    if words(&command.args).any(|word| word == b"--with-configfile") {
        let file = session.machine.network_menu()?;
        load_menu(session, &file)?;
    }
    Ok(())
}
