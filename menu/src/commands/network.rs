//! Network commands: handed to the machine as they stand.

use crate::eval::{Exit, Session};
use crate::tree::Command;

pub(crate) fn network(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let reply = session.machine.network(&command.word, &command.args);
    session.note(reply)
}
