//! Bytes to command lines: comments, continuation, carriage returns, and where each byte came from.
//!
//! The rules are the original's: blanks at the start of a line are skipped, `#` there starts a comment, a backslash
//! before a newline becomes a blank (in a comment too), tabs become blanks, carriage returns are dropped. Beyond
//! it: NULs are dropped instead of ending the line (a menu in a ramdisk is padded with them), a byte order mark at the
//! start is skipped, and a file whose lines end in lone carriage returns is read as such. No limits on length.

use alloc::vec::Vec;

use crate::tree::{Position, Span};

/// One logical line that is neither blank nor a comment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Line {
    /// The bytes, without leading blanks, newline, carriage returns and NULs.
    pub text: Vec<u8>,
    /// The place of the first byte.
    start: Position,
    /// Where later bytes of `text` stand in the source that do not follow the byte before: ascending offsets.
    marks: Vec<(usize, Position)>,
    /// The place that a byte would have which needs no mark.
    next: Position,
}

impl Line {
    /// The place of byte `offset` of the text. The end of the text is a place too.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let after = self.marks.partition_point(|(start, _)| *start <= offset);
        let (start, position) = after
            .checked_sub(1)
            .and_then(|index| self.marks.get(index))
            .map_or((0, self.start), |mark| *mark);
        advance(position, offset.saturating_sub(start))
    }

    /// The place of the bytes from `start` to just before `end`.
    #[must_use]
    pub fn span(&self, start: usize, end: usize) -> Span {
        // The end is placed by the last byte, so that a span never reaches over a continuation it does not contain.
        let end = match end.checked_sub(1) {
            Some(last) if last >= start => advance(self.position(last), 1),
            _ => self.position(start),
        };
        Span {
            start: self.position(start),
            end,
        }
    }

    /// Makes an empty line of it, which keeps the memory.
    fn clear(&mut self) {
        self.text.clear();
        self.marks.clear();
    }

    /// Adds bytes that follow each other in the source.
    fn push(&mut self, bytes: &[u8], position: Position) {
        if self.text.is_empty() {
            self.start = position;
        } else if self.next != position {
            self.marks.push((self.text.len(), position));
        }
        self.next = advance(position, bytes.len());
        self.text.extend_from_slice(bytes);
    }

    /// Takes the last byte away again.
    fn pop(&mut self) {
        self.text.pop();
        self.next = Position::default(); // no byte's place
        if self
            .marks
            .last()
            .is_some_and(|(start, _)| *start >= self.text.len())
        {
            self.marks.pop();
        }
    }
}

fn advance(position: Position, bytes: usize) -> Position {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Position {
        line: position.line,
        column: position.column.saturating_add(bytes),
    }
}

/// What the lexer saw that a reader may want to know; each is reported once per file, at its first place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Oddities {
    /// A NUL that was not only padding at the end of the file.
    pub nul: Option<Position>,
    /// A carriage return in the middle of a line.
    pub lone_cr: Option<Position>,
    /// A comment that ends in a backslash and so swallows the next line.
    pub comment_continued: Option<Position>,
}

/// Cuts bytes into [`Line`]s. Looks at each byte a bounded number of times.
#[derive(Debug)]
pub struct Lexer<'a> {
    rest: &'a [u8],
    next: Position,
    /// Lines end in CR: the text has no LF at all.
    cr_ends_lines: bool,
    odd: Oddities,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        let text = match text.iter().rposition(|byte| *byte != 0) {
            Some(last) => text.get(..=last).unwrap_or(text),
            None => &[],
        };
        let (rest, column) = match text.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => (rest, 4),
            None => (text, 1),
        };
        Self {
            rest,
            next: Position { line: 1, column },
            cr_ends_lines: !rest.contains(&b'\n') && rest.contains(&b'\r'),
            odd: Oddities::default(),
        }
    }

    /// What was odd in the bytes read so far.
    #[must_use]
    pub fn oddities(&self) -> Oddities {
        self.odd
    }

    /// The next bytes and the place of the first: one that means something to the lexer, or all before it.
    fn piece(&mut self) -> Option<(&'a [u8], Position)> {
        let means_something = |byte: &u8| matches!(byte, 0 | b'\t' | b'\n' | b'\r' | b'\\');
        let before = self.rest.iter().position(means_something);
        let length = before.unwrap_or(self.rest.len()).max(1);
        let (piece, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let at = self.next;
        let ends_line = piece == b"\n" || (piece == b"\r" && self.cr_ends_lines);
        if !ends_line {
            self.next = advance(at, length);
            return Some((piece, at));
        }
        self.next = Position {
            line: at.line.saturating_add(1),
            column: 1,
        };
        Some((b"\n", at))
    }

    /// Reads the next line into `line`; what was in it is gone. Returns whether there was one.
    pub fn read(&mut self, line: &mut Line) -> bool {
        line.clear();
        let mut comment = false;
        let mut after_backslash = false;
        while let Some((mut piece, mut at)) = self.piece() {
            match piece {
                b"\r" => {
                    if self.rest.first() != Some(&b'\n') {
                        self.odd.lone_cr = self.odd.lone_cr.or(Some(at));
                    }
                    continue;
                }
                b"\0" => {
                    self.odd.nul = self.odd.nul.or(Some(at));
                    continue;
                }
                b"\n" if after_backslash => {
                    after_backslash = false;
                    if comment {
                        self.odd.comment_continued = self.odd.comment_continued.or(Some(at));
                        continue;
                    }
                    line.pop();
                    if !line.text.is_empty() {
                        line.push(b" ", at);
                    }
                    continue;
                }
                b"\n" => {
                    comment = false;
                    if !line.text.is_empty() {
                        return true;
                    }
                    continue;
                }
                b"\t" => piece = b" ",
                _ => {}
            }
            after_backslash = piece == b"\\";
            if line.text.is_empty() && !comment {
                let blanks = piece.iter().take_while(|byte| **byte == b' ').count();
                piece = piece.get(blanks..).unwrap_or_default();
                at = advance(at, blanks);
                comment = piece.starts_with(b"#");
            }
            if !comment && !piece.is_empty() {
                line.push(piece, at);
            }
        }
        !line.text.is_empty()
    }
}

impl Iterator for Lexer<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let mut line = Line::default();
        self.read(&mut line).then_some(line)
    }
}

/// Splits a line into its word and the rest: blanks and `=` both end the word, and any run of them is skipped.
#[must_use]
pub fn split_command(line: &[u8]) -> (&[u8], &[u8]) {
    let is_separator = |byte: &u8| matches!(byte, b' ' | b'\t' | b'=');
    let word_end = line.iter().position(is_separator).unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(word_end).unwrap_or((line, &[]));
    let start = rest
        .iter()
        .position(|byte| !is_separator(byte))
        .unwrap_or(rest.len());
    (word, rest.get(start..).unwrap_or_default())
}

/// Splits off the first blank-separated word: the word, and the rest without the blanks between.
#[must_use]
pub fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let text = text
        .get(text.iter().position(|b| !is_blank(b)).unwrap_or(text.len())..)
        .unwrap_or_default();
    let word_end = text.iter().position(is_blank).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(word_end).unwrap_or((text, &[]));
    let start = rest
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(rest.len());
    (word, rest.get(start..).unwrap_or_default())
}

/// As [`split_word`], for words that may be labels: what stands in `"` keeps its blanks, and a byte behind `\\` is what it is.
/// The quotes and backslashes themselves are left out.
#[must_use]
pub fn quoted_word(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut rest = text.trim_ascii_start();
    let mut word = Vec::new();
    let mut is_quoted = false;
    while let [byte, more @ ..] = rest {
        match (byte, more) {
            (b'"', _) => is_quoted = !is_quoted,
            (b'\\', [next, after @ ..]) => {
                word.push(*next);
                rest = after;
                continue;
            }
            (b' ' | b'\t', _) if !is_quoted => break,
            _ => word.push(*byte),
        }
        rest = more;
    }
    (word, rest.trim_ascii_start())
}

/// The blank-separated words of `text`.
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn lines(text: &[u8]) -> Vec<String> {
        Lexer::new(text)
            .map(|line| String::from_utf8_lossy(&line.text).into_owned())
            .collect()
    }

    #[test]
    fn labels_with_blanks() {
        let cases: &[(&[u8], &[u8], &[u8])] = &[
            (b" LABEL=root x", b"LABEL=root", b"x"),
            (b"LABEL=\"my disk\"  x y", b"LABEL=my disk", b"x y"),
            (b"\"LABEL=my disk\"", b"LABEL=my disk", b""),
            (b"my\\ disk --x", b"my disk", b"--x"),
            (b"a\\\"b\\\\ c", b"a\"b\\", b"c"),
            (b"\"never closed", b"never closed", b""),
            (b"ends\\", b"ends\\", b""),
            (b"\"\" x", b"", b"x"),
            (b"  ", b"", b""),
        ];
        for &(text, word, rest) in cases {
            let shown = text.escape_ascii();
            assert_eq!(quoted_word(text), (word.to_vec(), rest), "{shown}");
        }
    }

    #[test]
    fn blanks_and_comments_vanish() {
        assert_eq!(lines(b"# a\n\n  \n \t # b\n  c d\n"), ["c d"]);
    }

    #[test]
    fn hash_inside_a_line_is_text() {
        assert_eq!(lines(b"title a # b"), ["title a # b"]);
    }

    #[test]
    fn backslash_newline_becomes_a_blank() {
        assert_eq!(lines(b"kernel /v \\\n  ro\n"), ["kernel /v    ro"]);
        assert_eq!(lines(b"kernel /v\\\r\nro\n"), ["kernel /v ro"]);
        assert_eq!(lines(b"\\\n# still the start\na"), ["a"]);
    }

    #[test]
    fn backslash_elsewhere_is_text() {
        assert_eq!(lines(b"title C:\\boot\\"), ["title C:\\boot\\"]);
    }

    #[test]
    fn a_comment_swallows_the_line_after_its_backslash() {
        let mut lexer = Lexer::new(b"# x \\\ntitle a\ntitle b\n");
        assert_eq!(lexer.next().unwrap().text, b"title b");
        assert_eq!(lexer.oddities().comment_continued.unwrap().line, 1);
    }

    #[test]
    fn carriage_returns_are_dropped() {
        assert_eq!(lines(b"a\r\nb\rc\r\n"), ["a", "bc"]);
        assert_eq!(lines(b"a\rb\r"), ["a", "b"]);
    }

    #[test]
    fn nuls_are_dropped() {
        let mut lexer = Lexer::new(b"a\0b\nc\0\0\0");
        assert_eq!(lexer.next().unwrap().text, b"ab");
        assert_eq!(lexer.next().unwrap().text, b"c");
        assert_eq!(lexer.oddities().nul, Some(Position { line: 1, column: 2 }));
        assert_eq!(Lexer::new(b"\0\0").next(), None);
    }

    #[test]
    fn positions_survive_continuation() {
        let line = Lexer::new(b"\n  ab\\\n cd").next().unwrap();
        assert_eq!(line.text, b"ab  cd");
        assert_eq!(line.position(0), Position { line: 2, column: 3 });
        assert_eq!(line.position(4), Position { line: 3, column: 2 });
        assert_eq!(line.span(4, 6).end, Position { line: 3, column: 4 });
    }

    #[test]
    fn words_are_split_at_blanks_and_equals() {
        assert_eq!(split_command(b"timeout=5"), (&b"timeout"[..], &b"5"[..]));
        assert_eq!(
            split_command(b"timeout  = 5 "),
            (&b"timeout"[..], &b"5 "[..])
        );
        assert_eq!(split_command(b"=x"), (&b""[..], &b"x"[..]));
        assert_eq!(split_command(b"boot"), (&b"boot"[..], &b""[..]));
        assert_eq!(
            split_word(b"  /v root=/dev/x  y"),
            (&b"/v"[..], &b"root=/dev/x  y"[..])
        );
    }
}
