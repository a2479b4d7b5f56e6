//! One line of text being typed: the keys of the original's line editor, and its picture on any terminal.
//!
//! [`LineEditor`] is pure: keys go in, [`LineAction`]s come out. [`LineView`] turns what it holds into bytes using
//! only characters, blanks and backspaces, so that it needs nothing of the terminal.

use alloc::string::String;
use alloc::vec::Vec;

use crate::keys::Key;
use crate::text::{characters, visible, width};

/// Longest line that can be typed, in bytes.
pub const MAX_LINE_BYTES: usize = 4096;

/// Lines that the history remembers; the original remembered 5.
const MAX_HISTORY: usize = 50;

/// What a key did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineAction {
    /// The line or its cursor may have changed.
    Changed,
    /// Enter: the line is complete.
    Done,
    /// ESC or Ctrl-C: the line is abandoned.
    Cancelled,
    /// TAB: what stands before the cursor is to be completed.
    Complete,
}

/// Lines typed before, oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    lines: Vec<Vec<u8>>,
}

impl History {
    /// Remembers a line, unless it is blank or the same as the last.
    pub fn push(&mut self, line: &[u8]) {
        if line.iter().all(|byte| *byte == b' ')
            || self.lines.last().is_some_and(|last| last == line)
        {
            return;
        }
        if self.lines.len() >= MAX_HISTORY {
            self.lines.remove(0);
        }
        self.lines.push(line.to_vec());
    }
}

/// A line being typed.
#[derive(Clone, Debug, Default)]
pub struct LineEditor {
    text: Vec<u8>,
    /// Byte offset, always at the start of a character where the text is UTF-8.
    cursor: usize,
    killed: Vec<u8>,
    history: Vec<Vec<u8>>,
    /// Which line of the history is shown; its length: the line being typed, kept in `typed` meanwhile.
    place: usize,
    typed: Vec<u8>,
}

impl LineEditor {
    /// An editor that starts with this text, the cursor behind it.
    #[must_use]
    pub fn new(text: &[u8], history: &History) -> Self {
        Self {
            text: text.to_vec(),
            cursor: text.len(),
            history: history.lines.clone(),
            place: history.lines.len(),
            ..Self::default()
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What stands before the cursor.
    #[must_use]
    pub fn before_cursor(&self) -> &[u8] {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    /// The column of the cursor, as [`visible`] shows the text.
    #[must_use]
    pub fn column(&self) -> usize {
        // Bytes put together from two places may have become one character with the cursor inside: it counts as
        // behind it.
        characters(&self.text)
            .take_while(|(start, _)| *start < self.cursor)
            .fold(0, |sum, (_, c)| sum.saturating_add(width(c)))
    }

    /// Puts bytes before the cursor; what would make the line too long is left out.
    pub fn insert(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_BYTES.saturating_sub(self.text.len());
        let bytes = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.text
            .splice(self.cursor..self.cursor, bytes.iter().copied());
        self.cursor = self.cursor.saturating_add(bytes.len());
    }

    /// Takes one key.
    pub fn key(&mut self, key: Key) -> LineAction {
        match key {
            Key::Enter => return LineAction::Done,
            Key::Escape | Key::Ctrl(b'c' | b'g') => return LineAction::Cancelled,
            Key::Tab => return LineAction::Complete,
            Key::Char(byte) => self.insert(&[byte]),
            Key::Ctrl(b'a') | Key::Home => self.cursor = 0,
            Key::Ctrl(b'e') | Key::End => self.cursor = self.text.len(),
            Key::Ctrl(b'f') | Key::Right => self.cursor = self.next(),
            Key::Ctrl(b'b') | Key::Left => self.cursor = self.previous(),
            Key::Ctrl(b'd') | Key::Delete => drop(self.text.drain(self.cursor..self.next())),
            Key::Backspace => {
                let start = self.previous();
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            Key::Ctrl(b'u') => self.kill(0, self.cursor),
            Key::Ctrl(b'k') => self.kill(self.cursor, self.text.len()),
            Key::Ctrl(b'w') => {
                let before = self.before_cursor();
                let word_end = before
                    .iter()
                    .rposition(|b| *b != b' ')
                    .map_or(0, |last| last.saturating_add(1));
                let word = before.get(..word_end).unwrap_or_default();
                let start = word
                    .iter()
                    .rposition(|b| *b == b' ')
                    .map_or(0, |blank| blank.saturating_add(1));
                self.kill(start, self.cursor);
            }
            Key::Ctrl(b'y') => {
                let killed = self.killed.clone();
                self.insert(&killed);
            }
            Key::Ctrl(b'p') | Key::Up => self.recall(self.place.checked_sub(1)),
            Key::Ctrl(b'n') | Key::Down => self.recall(self.place.checked_add(1)),
            _ => {}
        }
        LineAction::Changed
    }

    fn kill(&mut self, start: usize, end: usize) {
        let killed: Vec<u8> = self.text.drain(start..end).collect();
        self.cursor = start;
        if !killed.is_empty() {
            self.killed = killed;
        }
    }

    fn recall(&mut self, place: Option<usize>) {
        let Some(place) = place.filter(|place| *place <= self.history.len()) else {
            return;
        };
        if self.place == self.history.len() {
            self.typed.clone_from(&self.text);
        }
        self.place = place;
        self.text
            .clone_from(self.history.get(place).unwrap_or(&self.typed));
        self.cursor = self.text.len();
    }

    /// The offset of the character before the cursor; marks belong to the character that they join.
    fn previous(&self) -> usize {
        characters(&self.text)
            .take_while(|(start, _)| *start < self.cursor)
            .filter(|(_, c)| width(*c) > 0)
            .last()
            .map_or(0, |(start, _)| start)
    }

    /// The offset just past the character under the cursor and its marks.
    fn next(&self) -> usize {
        characters(&self.text)
            .find(|(start, c)| *start > self.cursor && width(*c) > 0)
            .map_or(self.text.len(), |(start, _)| start)
    }
}

/// What a terminal shows of a line: the visible part and the cursor in it.
#[derive(Clone, Debug)]
pub struct LineView {
    shown: Vec<char>,
    column: usize,
    width: usize,
}

impl LineView {
    /// A view at the terminal's cursor, with this many columns to its right; nothing is shown yet.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self {
            shown: Vec::new(),
            column: 0,
            width: width.max(8),
        }
    }

    /// The bytes that change the terminal from what it shows to what `editor` holds.
    pub fn draw(&mut self, editor: &LineEditor) -> Vec<u8> {
        self.draw_text(&visible(editor.text()), editor.column())
    }

    /// The bytes that change the terminal to this text of harmless characters, the cursor in column `cursor` of it.
    pub fn draw_text(&mut self, text: &str, cursor: usize) -> Vec<u8> {
        // The part shown moves by half a width at a time, so that typing at the edge does not redraw for each key.
        let half = self.width.checked_div(2).unwrap_or(1).max(1);
        let beyond = cursor.saturating_add(1).saturating_sub(self.width);
        let (start, part) = self.part(text, beyond.div_ceil(half).saturating_mul(half));
        let cursor = cursor.saturating_sub(start);

        let mut out = String::new();
        let pairs = self.shown.iter().zip(&part);
        let mut same = pairs.take_while(|(a, b)| a == b).count();
        let changed = same < self.shown.len().max(part.len());
        let mut at = self.column;
        if changed {
            // A mark cannot be written without the character that it joins.
            let is_mark = |c: Option<&char>| c.is_some_and(|c| width(*c) == 0);
            while same > 0 && (is_mark(part.get(same)) || is_mark(self.shown.get(same))) {
                same = same.saturating_sub(1);
            }
            let (kept, new) = part.split_at_checked(same).unwrap_or((&part, &[]));
            at = go(&mut out, at, columns(kept), &part);
            out.extend(new);
            at = at.saturating_add(columns(new));
            let vanished = columns(&self.shown).saturating_sub(at);
            out.extend(core::iter::repeat_n(' ', vanished));
            at = at.saturating_add(vanished);
        }
        go(&mut out, at, cursor, &part);
        self.shown = part;
        self.column = cursor;
        out.into_bytes()
    }

    /// What fits of `text` from column `start` on, or from the one behind it where a wide character stands astride: its
    /// first column, and the characters.
    fn part(&self, text: &str, start: usize) -> (usize, Vec<char>) {
        let (mut first, mut column) = (None, 0_usize);
        let mut part = Vec::new();
        for c in text.chars() {
            let end = column.saturating_add(width(c));
            if column >= start && (width(c) > 0 || !part.is_empty()) {
                let first = *first.get_or_insert(column);
                if end.saturating_sub(first) > self.width {
                    break;
                }
                part.push(c);
            }
            column = end;
        }
        (first.unwrap_or(start), part)
    }
}

fn columns(text: &[char]) -> usize {
    text.iter().fold(0, |sum, c| sum.saturating_add(width(*c)))
}

/// Moves the cursor within a line that shows `text`; returns where it is then.
fn go(out: &mut String, from: usize, to: usize, text: &[char]) -> usize {
    out.extend(core::iter::repeat_n('\x08', from.saturating_sub(to)));
    let mut column = 0_usize;
    for c in text {
        // Forward by writing what stands there anyway, each character with its marks.
        column = column.saturating_add(width(*c));
        if column > from && column <= to {
            out.push(*c);
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(start: &str, keys: &[Key]) -> String {
        let mut editor = LineEditor::new(start.as_bytes(), &History::default());
        for key in keys {
            assert_eq!(editor.key(*key), LineAction::Changed);
        }
        let (before, after) = editor.text().split_at(editor.before_cursor().len());
        std::format!(
            "{}|{}",
            String::from_utf8_lossy(before),
            String::from_utf8_lossy(after)
        )
    }

    #[test]
    fn the_keys_of_the_original() {
        use Key::{Backspace, Char, Ctrl, Delete, End, Home, Left, Right};
        assert_eq!(edit("ab", &[Char(b'c')]), "abc|");
        assert_eq!(edit("ab", &[Home, Char(b'c')]), "c|ab");
        assert_eq!(edit("ab", &[Ctrl(b'a'), Ctrl(b'f'), Ctrl(b'd')]), "a|");
        assert_eq!(edit("ab", &[Left, Backspace]), "|b");
        assert_eq!(
            edit("ab", &[Backspace, Backspace, Backspace, Left, Delete]),
            "|"
        );
        assert_eq!(
            edit("a b c", &[Left, Left, Ctrl(b'k'), Home, Ctrl(b'y')]),
            " c|a b"
        );
        assert_eq!(
            edit("a b c", &[Left, Ctrl(b'u'), End, Ctrl(b'y')]),
            "ca b |"
        );
        assert_eq!(edit("kernel /v  ", &[Ctrl(b'w')]), "kernel |");
        assert_eq!(
            edit("x", &[Right, Ctrl(b'e'), Ctrl(b'b'), Key::Other]),
            "|x"
        );
    }

    #[test]
    fn characters_of_several_bytes_are_one_step() {
        assert_eq!(edit("aé", &[Key::Backspace]), "a|");
        assert_eq!(edit("aé", &[Key::Left, Key::Left, Key::Delete]), "|é");
        // A mark goes with the character that it joins.
        assert_eq!(edit("ae\u{301}", &[Key::Backspace]), "a|");
        assert_eq!(edit("e\u{301}b", &[Key::Home, Key::Right]), "e\u{301}|b");
    }

    #[test]
    fn wide_characters_are_two_columns() {
        let mut editor = LineEditor::new("a漢b".as_bytes(), &History::default());
        let (mut view, mut shown) = (LineView::new(8), Terminal::default());
        shown.write(&view.draw(&editor));
        assert_eq!((shown.text(), shown.at), ("a漢 b".into(), 4));
        for (key, text, at) in [
            (Key::Left, "a漢 b", 3),
            (Key::Left, "a漢 b", 1),
            (Key::Delete, "ab", 1),
            (Key::Char(b'x'), "axb", 2),
            (Key::Left, "axb", 1),
            (Key::Right, "axb", 2),
        ] {
            editor.key(key);
            shown.write(&view.draw(&editor));
            assert_eq!((shown.text(), shown.at), (text.into(), at), "{key:?}");
        }
        // More than fits: what is shown never begins with half a character.
        editor.insert("漢字漢字漢字".as_bytes());
        let mut shown = Terminal::default();
        shown.write(&LineView::new(9).draw(&editor));
        assert!(shown.at < 9, "{}", shown.at);
        assert!(shown.text().starts_with(['漢', '字']), "{}", shown.text());
    }

    #[test]
    fn history_goes_up_and_down_again() {
        let mut history = History::default();
        for line in ["one", "two", "two", " "] {
            history.push(line.as_bytes());
        }
        let mut editor = LineEditor::new(b"new", &history);
        let mut seen = Vec::new();
        for key in [Key::Up, Key::Up, Key::Up, Key::Down, Key::Down, Key::Down] {
            editor.key(key);
            seen.push(String::from_utf8(editor.text().to_vec()).unwrap());
        }
        assert_eq!(seen, ["two", "one", "one", "two", "new", "new"]);
    }

    #[test]
    fn drawing_sends_only_the_change() {
        let mut editor = LineEditor::new(b"", &History::default());
        let mut view = LineView::new(20);
        editor.insert(b"abc");
        assert_eq!(view.draw(&editor), b"abc");
        editor.key(Key::Char(b'd'));
        assert_eq!(view.draw(&editor), b"d");
        editor.key(Key::Left);
        assert_eq!(view.draw(&editor), b"\x08");
        editor.key(Key::Backspace);
        assert_eq!(view.draw(&editor), b"\x08d \x08\x08");
        assert_eq!(view.draw(&editor), b"");
    }

    #[test]
    fn long_lines_scroll() {
        let mut editor = LineEditor::new(b"", &History::default());
        let mut view = LineView::new(8);
        let mut shown = Terminal::default();
        for byte in b"0123456789abcdefghij" {
            editor.key(Key::Char(*byte));
            shown.write(&view.draw(&editor));
            assert!(shown.cells.len() <= 8);
        }
        assert_eq!(shown.text(), "ghij");
        editor.key(Key::Home);
        shown.write(&view.draw(&editor));
        assert_eq!((shown.text(), shown.at), ("01234567".into(), 0));
    }

    /// The part of a terminal that [`LineView`] relies on.
    #[derive(Default)]
    struct Terminal {
        cells: Vec<char>,
        at: usize,
    }

    impl Terminal {
        fn write(&mut self, bytes: &[u8]) {
            for c in std::str::from_utf8(bytes).unwrap().chars() {
                if c == '\x08' {
                    self.at -= 1;
                    continue;
                }
                // A second column and a mark are no cells of their own here.
                for part in core::iter::once(c).chain(" ".chars()).take(width(c)) {
                    self.cells.resize(self.cells.len().max(self.at + 1), ' ');
                    self.cells[self.at] = part;
                    self.at += 1;
                }
            }
        }

        fn text(&self) -> String {
            self.cells.iter().collect::<String>().trim_end().into()
        }
    }
}
