//! Showing the menu and taking keys, on a vt100, on a dumb terminal, or hidden.

use alloc::format;
use core::time::Duration;

use super::Runner;
use crate::edit::Editor;
use crate::eval::{Exit, Size};
use crate::keys::Key;
use crate::line_editor::LineView;
use crate::page::{self, Surroundings};
use crate::select::{Action, List, Select, View};
use crate::terminal::TerminalKind;
use crate::text::{columns, visible};
use crate::tree::Menu;

const CLEAR: &[u8] = b"\x1b[0m\x1b[H\x1b[J";

/// Draws the whole page again, for a terminal that was attached only now.
pub(super) const REDRAW: Key = Key::Ctrl(b'l');

/// Saves the cursor, moves it as far as it goes, asks where it is, and puts it back.
const ASK_SIZE: &[u8] = b"\x1b7\x1b[999;999H\x1b[6n\x1b8";

impl Runner<'_, '_> {
    /// Shows the list and takes keys until there is something to do.
    pub(super) fn choose(&mut self, menu: &Menu, select: &mut Select) -> Result<Action, Exit> {
        if select.countdown == Some(0) {
            return Ok(Action::BootByTimeout);
        }
        let end = select
            .countdown
            .map(|seconds| self.session.after(Duration::from_secs(u64::from(seconds))));
        loop {
            let rows = page::box_rows(self.session.state.rows);
            select.list.set_rows(rows);
            self.draw_menu(menu, select);
            // The next change of the number shown, while it is still counting.
            let tick = end.zip(select.countdown).map(|(end, seconds)| {
                end.saturating_sub(Duration::from_secs(u64::from(seconds.saturating_sub(1))))
            });
            let action = match self.session.key_or_report(tick)? {
                Some(Key::Report { .. }) => Action::Draw,
                Some(key) => self.menu_key(select, key),
                None => {
                    let now = self.session.terminal.now();
                    let left = end.unwrap_or_default().saturating_sub(now);
                    let part = u64::from(left.subsec_nanos() > 0);
                    let seconds = left.as_secs().saturating_add(part);
                    select.tick(u32::try_from(seconds).unwrap_or(u32::MAX))
                }
            };
            if action != Action::Draw {
                return Ok(action);
            }
        }
    }

    fn menu_key(&mut self, select: &mut Select, key: Key) -> Action {
        let action = select.key(key);
        if key == REDRAW {
            self.forget();
        }
        if select.view == View::Shown {
            // Somebody is there: failures are theirs to see, as in the original.
            self.session.state.fallback.clear();
            self.loads = 0;
            self.ask_size();
        }
        action
    }

    /// Asks the terminal for its size, once, and only after a key: nobody's terminal answers later, at the login prompt
    /// of what was booted. The answer comes as a key.
    fn ask_size(&mut self) {
        let state = &mut *self.session.state;
        if state.size == Size::Unknown && state.kind == TerminalKind::Vt100 {
            state.size = Size::Asked;
            self.session.terminal.write(ASK_SIZE);
        }
    }

    /// Something else writes to the terminal: what was drawn is to be drawn again.
    pub(super) fn forget(&mut self) {
        self.painter.forget();
        self.line = None;
    }

    /// Clears the terminal for text.
    pub(super) fn clear(&mut self) {
        match self.session.state.kind {
            TerminalKind::Vt100 => self.session.terminal.write(CLEAR),
            TerminalKind::Dumb => self.session.print("\n"),
        }
    }

    fn draw_menu(&mut self, menu: &Menu, select: &Select) {
        match (select.view, select.countdown, self.session.state.kind) {
            (View::Hidden, Some(seconds), _) => {
                self.draw_line(&format!("Press `ESC' to enter the menu... {seconds}"));
            }
            (_, countdown, TerminalKind::Dumb) => {
                let titles = menu
                    .entries
                    .iter()
                    .map(|entry| visible(entry.title.trim_ascii_end()));
                self.list(
                    titles,
                    "Type a number, or ^ and v, to choose; then enter boots, `e` edits.",
                );
                self.draw_choice(&select.list, countdown);
            }
            (_, _, TerminalKind::Vt100) => {
                let page = page::menu_page(menu, select, self.surroundings(&self.note));
                self.painter.set_colors(self.session.state.colors);
                self.send(|runner| runner.painter.paint(&page));
            }
        }
    }

    pub(super) fn draw_editor(&mut self, editor: &Editor) {
        match self.session.state.kind {
            TerminalKind::Vt100 => {
                let page = page::edit_page(editor, self.surroundings(""));
                self.send(|runner| runner.painter.paint(&page));
            }
            TerminalKind::Dumb => {
                self.list(
                    editor.lines().iter().map(|line| visible(line)),
                    "`e` edits, `o` and `O` open, `d` deletes a line; `b` boots, ESC leaves.",
                );
                self.draw_choice(&editor.list, None);
            }
        }
    }

    fn surroundings<'a>(&'a self, note: &'a str) -> Surroundings<'a> {
        Surroundings {
            banner: &self.options.banner,
            note,
            columns: self.session.state.columns,
            rows: self.session.state.rows,
        }
    }

    /// On a dumb terminal: the lines with their numbers, unless they stand there already.
    fn list(&mut self, lines: impl Iterator<Item = alloc::string::String>, help: &str) {
        if self.line.is_some() {
            return;
        }
        let mut text = format!("\n{}\n\n", self.options.banner);
        for (index, line) in lines.enumerate() {
            text.push_str(&format!("{index:>3}: {line}\n"));
        }
        text.push_str(&format!("\n{help}\n"));
        if !self.note.is_empty() {
            text.push_str(&format!("{}\n", self.note));
        }
        self.session.print(&text);
    }

    fn draw_choice(&mut self, list: &List, countdown: Option<u32>) {
        let chosen = list.selected();
        let text = match countdown {
            Some(seconds) => {
                format!("Entry {chosen} will be booted automatically in {seconds} seconds.")
            }
            None => format!("The highlighted entry is {chosen}: "),
        };
        self.draw_line(&text);
    }

    /// Shows `text` in a line of its own, sending only what changed in it.
    fn draw_line(&mut self, text: &str) {
        let width = self.session.state.columns.saturating_sub(1);
        let end = columns(text);
        self.send(|runner| {
            let line = runner.line.get_or_insert_with(|| LineView::new(width));
            line.draw_text(text, end)
        });
    }

    fn send(&mut self, draw: impl FnOnce(&mut Self) -> alloc::vec::Vec<u8>) {
        let bytes = draw(self);
        if !bytes.is_empty() {
            self.session.terminal.write(&bytes);
        }
    }
}
