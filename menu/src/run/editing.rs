//! Changing an entry before it boots: `e` and `a` in the menu.

use super::display::REDRAW;
use super::{Return, Runner, Trigger};
use crate::edit::{self, Editor};
use crate::eval::Exit;
use crate::lexer::split_word;
use crate::line_editor::History;
use crate::page;
use crate::prompt::{Escape, read_line};
use crate::tree::{Entry, Menu};

impl Runner<'_, '_> {
    /// The entry editor.
    pub(super) fn edit(&mut self, menu: &Menu, index: usize) -> Result<Return, Exit> {
        let Some(entry) = menu.entries.get(index) else {
            return Ok(Return::ToMenu);
        };
        let mut editor = Editor::new(entry, page::box_rows(self.session.state.rows));
        self.forget();
        loop {
            let rows = page::box_rows(self.session.state.rows);
            editor.list.set_rows(rows);
            self.draw_editor(&editor);
            let Some(key) = self.session.key_or_report(None)? else {
                continue;
            };
            if key == REDRAW {
                self.forget();
            }
            match editor.key(key) {
                edit::Action::Draw => continue,
                edit::Action::Leave => return Ok(Return::ToMenu),
                edit::Action::Boot => {
                    self.boot_typed(&editor.entry(), index)?;
                }
                edit::Action::CommandLine => {
                    self.clear();
                    self.command_line(Escape::ToMenu)?;
                }
                edit::Action::EditLine => {
                    self.clear();
                    self.session.print(
                        "\n [ Enter keeps the changes, ESC forgets them. TAB completes. ]\n\n",
                    );
                    let line = read_line(
                        &mut self.session,
                        "grub edit> ",
                        editor.line(),
                        &History::default(),
                        None,
                    )?;
                    if let Some(line) = line {
                        editor.set_line(line);
                    }
                }
            }
            self.forget();
        }
    }

    /// Boots an entry as the user changed it; it has no fallback.
    pub(super) fn boot_typed(&mut self, entry: &Entry, index: usize) -> Result<Return, Exit> {
        self.session.state.running = Some(index);
        self.session.state.fallback.clear();
        match self.attempt(entry)? {
            Ok(()) => Ok(Return::ToMenu),
            Err(_) => self.wait_after_failure(Trigger::User),
        }
    }

    /// Lets the user change the arguments of an entry's kernel, and boots.
    pub(super) fn append(&mut self, menu: &Menu, index: usize) -> Result<Return, Exit> {
        let Some(mut entry) = menu.entries.get(index).cloned() else {
            return Ok(Return::ToMenu);
        };
        let Some(command) = entry
            .commands
            .iter_mut()
            .find(|command| command.is(b"kernel"))
        else {
            self.note = "This entry has no `kernel` line to change; 'e' edits its commands".into();
            return Ok(Return::ToMenu);
        };
        let (file, args) = split_kernel(&command.args);
        self.clear();
        self.session
            .print("\n [ Enter boots with these arguments, ESC returns to the menu. ]\n\n");
        let Some(line) = read_line(
            &mut self.session,
            "grub append> ",
            args,
            &History::default(),
            None,
        )?
        else {
            return Ok(Return::ToMenu);
        };
        command.args = [file, b" ", &line].concat();
        self.boot_typed(&entry, index)
    }
}

/// Splits the arguments of `kernel` behind the file's name.
fn split_kernel(args: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = args;
    loop {
        let (word, more) = split_word(rest);
        rest = more;
        if !word.starts_with(b"--") {
            let file = args
                .get(..args.len().saturating_sub(rest.len()))
                .unwrap_or(args);
            return (file.trim_ascii_end(), rest);
        }
    }
}
