//! The entry editor as a state machine: a list of command lines, and the keys that change it.
//!
//! Edits last until the menu is shown again, as in the original.

use alloc::vec::Vec;

use crate::keys::Key;
use crate::select::List;
use crate::tree::{Command, Entry};

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing, or drawing what changed.
    Draw,
    /// Edit the highlighted line.
    EditLine,
    /// Boot what stands here.
    Boot,
    /// Open the command line.
    CommandLine,
    /// Back to the menu.
    Leave,
}

/// An entry being edited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Editor {
    /// The lines and the highlighted one.
    pub list: List,
    lines: Vec<Vec<u8>>,
    title: Vec<u8>,
}

impl Editor {
    /// An editor of `entry` that shows `rows` lines at once.
    #[must_use]
    pub fn new(entry: &Entry, rows: usize) -> Self {
        let lines: Vec<Vec<u8>> = entry.commands.iter().map(Command::to_line).collect();
        Self {
            list: List::new(lines.len(), rows, 0),
            lines,
            title: entry.title.clone(),
        }
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[Vec<u8>] {
        &self.lines
    }

    /// The highlighted line; empty where there is none.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        self.lines
            .get(self.list.selected())
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Replaces the highlighted line.
    pub fn set_line(&mut self, text: Vec<u8>) {
        match self.lines.get_mut(self.list.selected()) {
            Some(line) => *line = text,
            None => self.lines.push(text),
        }
        self.list.set_count(self.lines.len());
    }

    /// The entry as it stands now; blank lines are left out.
    #[must_use]
    pub fn entry(&self) -> Entry {
        let blank = |line: &[u8]| line.iter().all(|byte| matches!(byte, b' ' | b'\t'));
        let commands = self
            .lines
            .iter()
            .filter(|line| !blank(line))
            .map(|line| Command::typed(line))
            .collect();
        Entry {
            title: self.title.clone(),
            commands,
            ..Entry::default()
        }
    }

    /// A key was pressed.
    pub fn key(&mut self, key: Key) -> Action {
        if self.list.key(key) {
            return Action::Draw;
        }
        match key {
            Key::Char(b'b') => Action::Boot,
            Key::Char(b'e') | Key::Enter | Key::Right => Action::EditLine,
            Key::Char(b'c') => Action::CommandLine,
            Key::Escape | Key::Left | Key::Ctrl(b'c') => Action::Leave,
            Key::Char(b'd') | Key::Delete => {
                if self.list.selected() < self.lines.len() {
                    self.lines.remove(self.list.selected());
                    self.list.set_count(self.lines.len());
                }
                Action::Draw
            }
            Key::Char(b'o') => self.open(self.list.selected().saturating_add(1)),
            Key::Char(b'O') => self.open(self.list.selected()),
            _ => Action::Draw,
        }
    }

    /// A blank line before line `at`, highlighted.
    fn open(&mut self, at: usize) -> Action {
        let at = at.min(self.lines.len());
        self.lines.insert(at, Vec::new());
        self.list.set_count(self.lines.len());
        self.list.select(at);
        Action::Draw
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn editor(lines: &[&str]) -> Editor {
        let commands = lines
            .iter()
            .map(|line| Command::typed(line.as_bytes()))
            .collect();
        Editor::new(
            &Entry {
                title: b"t".to_vec(),
                commands,
                ..Entry::default()
            },
            12,
        )
    }

    fn text(editor: &Editor) -> String {
        editor
            .lines()
            .iter()
            .map(|line| String::from_utf8_lossy(line) + "\n")
            .collect()
    }

    #[test]
    fn lines_are_removed_and_opened() {
        let mut editor = editor(&["root (hd0)", "kernel /v"]);
        editor.key(Key::Char(b'o'));
        assert_eq!(
            (text(&editor).as_str(), editor.list.selected()),
            ("root (hd0)\n\nkernel /v\n", 1)
        );
        editor.set_line(b"lock".to_vec());
        editor.key(Key::Home);
        editor.key(Key::Char(b'd'));
        editor.key(Key::Char(b'O'));
        assert_eq!(
            (text(&editor).as_str(), editor.list.selected()),
            ("\nlock\nkernel /v\n", 0)
        );
        let words: Vec<_> = editor
            .entry()
            .commands
            .into_iter()
            .map(|command| command.word)
            .collect();
        assert_eq!(words, [&b"lock"[..], b"kernel"]);
    }

    #[test]
    fn everything_can_be_removed() {
        let mut editor = editor(&["boot"]);
        for _ in 0..3 {
            assert_eq!(editor.key(Key::Char(b'd')), Action::Draw);
        }
        assert_eq!(editor.line(), b"");
        assert_eq!(editor.key(Key::Char(b'e')), Action::EditLine);
        editor.set_line(b"kernel /v".to_vec());
        assert_eq!(text(&editor), "kernel /v\n");
    }

    #[test]
    fn ways_out() {
        let mut editor = editor(&["boot"]);
        assert_eq!(editor.key(Key::Char(b'b')), Action::Boot);
        assert_eq!(editor.key(Key::Escape), Action::Leave);
        assert_eq!(editor.key(Key::Char(b'c')), Action::CommandLine);
    }
}
