//! Prompts: reading a line, and the command line made of them.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use crate::commands::files::columns;
use crate::complete::{Completion, complete};
use crate::eval::{Exit, Origin, Session};
use crate::line_editor::{History, LineAction, LineEditor, LineView};
use crate::tree::Command;

/// What the command line's prompt says. Scripts that drive the original's console wait for its end.
pub const PROMPT: &str = "grub> ";

/// Keys that are taken before the line is drawn again while more are waiting.
const MAX_UNSEEN: usize = 256;

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
    let mut unseen: usize = 0;
    loop {
        // What is pasted is shown when it stops coming, or now and then.
        let waiting = if unseen < MAX_UNSEEN {
            session.key(Some(Duration::ZERO))
        } else {
            Ok(None)
        };
        let key = if let Ok(Some(key)) = waiting {
            unseen = unseen.saturating_add(1);
            key
        } else {
            unseen = 0;
            show(session, &mut view, &editor);
            waiting?;
            let Some(key) = session.key(deadline)? else {
                session.print("\n");
                return Err(Exit::Deserted);
            };
            key
        };
        deadline = None;
        match editor.key(key) {
            LineAction::Changed => {}
            LineAction::Done => {
                show(session, &mut view, &editor);
                session.print("\n");
                return Ok(Some(editor.text().to_vec()));
            }
            LineAction::Cancelled => {
                show(session, &mut view, &editor);
                session.print("\n");
                return Ok(None);
            }
            LineAction::Complete => match complete(session.machine, editor.before_cursor()) {
                Completion::Insert(bytes) => editor.insert(&bytes),
                Completion::Nothing => {}
                Completion::Choices(choices) => {
                    show(session, &mut view, &editor);
                    let list = columns(&choices, session.state.columns);
                    session.print("\n");
                    session.page(&list)?;
                    session.print(prompt);
                    view = LineView::new(width);
                }
                Completion::Failed(failure) => {
                    show(session, &mut view, &editor);
                    session.show_failure(&failure);
                    session.print(prompt);
                    view = LineView::new(width);
                }
            },
        }
    }
}

/// Brings what the terminal shows of the line up to date.
fn show(session: &mut Session<'_>, view: &mut LineView, editor: &LineEditor) {
    let bytes = view.draw(editor);
    if !bytes.is_empty() {
        session.terminal.write(&bytes);
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
        session.state.origin = Origin::Typed;
        match session.run_command(&command) {
            Ok(()) | Err(Exit::Cancelled) => {}
            Err(Exit::Failure(failure)) => session.show_failure(&failure),
            Err(exit) => return Err(exit),
        }
    }
}
