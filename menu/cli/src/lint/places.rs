//! Places of a menu: lines and columns as the lexer counts them, and offsets into the file.

use std::ops::Range;

use menu::text::characters;
use menu::tree::{Position, Span};

/// Where the lines of a text begin.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    text: &'a [u8],
    /// Offset of each line's first byte.
    starts: Vec<usize>,
    newline: u8,
}

impl<'a> Places<'a> {
    /// The lines of `text`, cut where the lexer cuts them: at LF, or at CR where there is no LF at all.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        let newline = match (memchr::memchr(b'\n', text), memchr::memchr(b'\r', text)) {
            (None, Some(_)) => b'\r',
            _ => b'\n',
        };
        let ends = memchr::memchr_iter(newline, text);
        let mut starts = Vec::with_capacity(1 + ends.clone().count());
        starts.push(0);
        starts.extend(ends.map(|end| end + 1));
        Self {
            text,
            starts,
            newline,
        }
    }

    /// The file.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// What ends a line.
    #[must_use]
    pub fn newline(&self) -> u8 {
        self.newline
    }

    /// How many lines there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The offset of a place; the end of the text for places beyond it.
    #[must_use]
    pub fn offset(&self, position: Position) -> usize {
        let line = (position.line as usize).saturating_sub(1);
        match self.starts.get(line) {
            Some(start) => {
                (start + (position.column as usize).saturating_sub(1)).min(self.text.len())
            }
            None => self.text.len(),
        }
    }

    /// The offsets of a stretch.
    #[must_use]
    pub fn range(&self, span: Span) -> Range<usize> {
        let start = self.offset(span.start);
        start..self.offset(span.end).max(start)
    }

    /// The place of an offset.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self
            .starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        Position {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(offset - start + 1).unwrap_or(u32::MAX),
        }
    }

    /// The place of a range of offsets.
    #[must_use]
    pub fn span(&self, range: Range<usize>) -> Span {
        Span {
            start: self.position(range.start),
            end: self.position(range.end),
        }
    }

    /// Offsets of a line's bytes, without what ends it. Lines count from 1.
    #[must_use]
    pub fn line(&self, number: usize) -> Range<usize> {
        let whole = self.whole_line(number);
        let ends_so = self.text[whole.clone()].last() == Some(&self.newline);
        whole.start..whole.end - usize::from(ends_so)
    }

    /// The bytes of a line, without what ends it.
    #[must_use]
    pub fn bytes(&self, number: usize) -> &'a [u8] {
        &self.text[self.line(number)]
    }

    /// Offsets of a line's bytes, with what ends it.
    #[must_use]
    pub fn whole_line(&self, number: usize) -> Range<usize> {
        let start = |number: usize| self.starts.get(number).copied().unwrap_or(self.text.len());
        start(number.saturating_sub(1))..start(number)
    }
}

/// Columns in characters, as editors count them. Places have to come in order to be found quickly.
#[derive(Debug)]
pub struct Columns<'a> {
    places: &'a Places<'a>,
    /// An offset, and how many characters of its line are before it.
    last: (usize, u32),
}

impl<'a> Columns<'a> {
    /// Columns of this text.
    #[must_use]
    pub fn new(places: &'a Places<'a>) -> Self {
        Self {
            places,
            last: (0, 0),
        }
    }

    /// The column of a place, from 1.
    pub fn column(&mut self, position: Position) -> u32 {
        let line = self.places.line(position.line as usize);
        let offset = self.places.offset(position).max(line.start);
        let (from, before) = match self.last {
            (from, before) if (line.start..=offset).contains(&from) => (from, before),
            _ => (line.start, 0),
        };
        let between = characters(&self.places.text[from..offset]).count();
        let all = before.saturating_add(u32::try_from(between).unwrap_or(u32::MAX));
        self.last = (offset, all);
        all.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_offsets_are_each_other_s_inverse() {
        let text = b"ab\r\n\ncd";
        let places = Places::new(text);
        assert_eq!(places.count(), 3);
        for offset in 0..=text.len() {
            assert_eq!(places.offset(places.position(offset)), offset);
        }
        assert_eq!((places.line(1), places.whole_line(1)), (0..3, 0..4));
        assert_eq!((places.line(3), places.whole_line(3)), (5..7, 5..7));
        assert_eq!(Places::new(b"a\rb").count(), 2);
    }

    #[test]
    fn columns_are_characters() {
        let text = "é漢x\nz".as_bytes();
        let places = Places::new(text);
        let mut columns = Columns::new(&places);
        let at = |line, column| Position { line, column };
        assert_eq!(columns.column(at(1, 3)), 2);
        assert_eq!(columns.column(at(1, 6)), 3);
        assert_eq!(columns.column(at(2, 1)), 1);
        assert_eq!(columns.column(at(1, 3)), 2);
    }
}
