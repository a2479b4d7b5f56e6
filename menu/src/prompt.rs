//! Prompts: reading a line, and the command line made of them.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use crate::commands::files::columns;
use crate::complete::{Completion, complete};
use crate::eval::{Exit, Session};
use crate::line_editor::{History, LineAction, LineEditor, LineView};
use crate::tree::Command;

/// What the command line's prompt says. Scripts that drive the original's console wait for its end.
pub const PROMPT: &str = "grub> ";

/// Where ESC leads on a command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Escape {
    /// Back to the menu.
    ToMenu,
    /// Nowhere: there is no menu.
    Nowhere,
}

/// Reads a line that starts out as `text`. `None` where the user left with ESC. The first key may take until
/// `deadline`, the others as long as they like.
///
/// # Errors
/// [`Exit::Outcome`] where the toolstack asked the domain to stop; [`Exit::Deserted`].
pub fn read_line(
    session: &mut Session<'_>,
    prompt: &str,
    text: &[u8],
    history: &History,
    deadline: Option<Duration>,
) -> Result<Option<Vec<u8>>, Exit> {
    let mut deadline = deadline;
    let mut editor = LineEditor::new(text, history);
    let width = session
        .state
        .columns
        .saturating_sub(prompt.len())
        .saturating_sub(1);
    let mut view = LineView::new(width);
    session.print(prompt);
    loop {
        let bytes = view.draw(&editor);
        if !bytes.is_empty() {
            session.terminal.write(&bytes);
        }
        let Some(key) = session.key(deadline)? else {
            session.print("\n");
            return Err(Exit::Deserted);
        };
        deadline = None;
        match editor.key(key) {
            LineAction::Changed => {}
            LineAction::Done => {
                session.print("\n");
                return Ok(Some(editor.text().to_vec()));
            }
            LineAction::Cancelled => {
                session.print("\n");
                return Ok(None);
            }
            LineAction::Complete => match complete(session.machine, editor.before_cursor()) {
                Completion::Insert(bytes) => editor.insert(&bytes),
                Completion::Nothing => {}
                Completion::Choices(choices) => {
                    let list = columns(&choices, session.state.columns);
                    session.print("\n");
                    session.page(&list)?;
                    session.print(prompt);
                    view = LineView::new(width);
                }
            },
        }
    }
}

/// Runs commands as they are typed, until ESC or until one leads elsewhere. The very first key may take until
/// `deadline`.
///
/// # Errors
/// Where a command leads, or [`Exit::Deserted`]; never a failure: those are shown, and the prompt comes again.
pub fn command_line(
    session: &mut Session<'_>,
    history: &mut History,
    escape: Escape,
    deadline: Option<Duration>,
) -> Result<(), Exit> {
    let mut deadline = deadline;
    session.reset();
    session.state.running = None;
    let ways = match escape {
        Escape::ToMenu => "ESC returns to the menu",
        Escape::Nowhere => "`configfile FILE` loads a menu",
    };
    session.print(&format!(
        "\n [ TAB lists the possible commands, devices and files; `help` explains them.\n   {ways}. ]\n\n"
    ));
    loop {
        let first = deadline.take();
        let Some(line) = read_line(session, PROMPT, b"", history, first)? else {
            match escape {
                Escape::ToMenu => return Ok(()),
                Escape::Nowhere => continue,
            }
        };
        history.push(&line);
        let command = Command::typed(&line);
        if command.word.is_empty() || command.word.starts_with(b"#") {
            continue;
        }
        match session.run_command(&command) {
            Ok(()) | Err(Exit::Cancelled) => {}
            Err(Exit::Failure(failure)) => session.show_failure(&failure),
            Err(exit) => return Err(exit),
        }
    }
}
