//! The lines of a menu as the loader's lexer takes them: commands, comments, and what it passes over.

use std::ops::{Range, RangeInclusive};

use menu::lexer::{Lexer, Line};

use super::places::Places;

/// One line, or those of one command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lines {
    /// A command and the numbers of its lines, from 1; lines that are joined on and hold nothing are among them.
    Command(Line, RangeInclusive<usize>),
    /// The first line of a comment: offsets from the `#` to where the line ends.
    Comment(Range<usize>),
    /// A line that is joined on to a comment: its offsets.
    Continued(Range<usize>),
    /// A line that holds nothing.
    Blank,
}

/// All lines of a menu, in order.
#[must_use]
pub fn lines(places: &Places<'_>) -> Vec<Lines> {
    let mut all = Vec::new();
    each(places, |lines| all.push(lines));
    all
}

/// The same, one after the other.
pub(super) fn each(places: &Places<'_>, mut take: impl FnMut(Lines)) {
    let mut next = 1;
    for line in Lexer::new(places.text()) {
        let span = line.span(0, line.text.len());
        let first = span.start.line as usize;
        between(places, next..first, &mut take);
        let mut last = first.max(span.end.line as usize);
        while last < places.count() && joins(places, last) {
            last += 1;
        }
        take(Lines::Command(line, first..=last));
        next = last + 1;
    }
    between(places, next..places.count() + 1, &mut take);
}

/// Lines between commands.
fn between(places: &Places<'_>, numbers: Range<usize>, mut take: impl FnMut(Lines)) {
    let mut is_comment = false;
    for number in numbers {
        let line = places.line(number);
        let continues = is_comment && joins(places, number - 1);
        // In front of a `#` there is nothing that the lexer keeps, or it would have found a command.
        let comment = memchr::memchr(b'#', &places.text()[line.clone()]);
        is_comment = continues || comment.is_some();
        take(match comment {
            _ if continues => Lines::Continued(line),
            Some(at) => Lines::Comment(line.start + at..line.end),
            None => Lines::Blank,
        });
    }
}

/// Whether a line ends in a backslash, and so joins the next one on.
fn joins(places: &Places<'_>, number: usize) -> bool {
    let line = places.bytes(number);
    let mut kept = line.iter().rev().filter(|byte| !matches!(byte, b'\r' | 0));
    kept.next() == Some(&b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each stretch in a word: a command with its lines, a comment with its text.
    fn shown(text: &[u8]) -> Vec<String> {
        let said = |range: Range<usize>| text[range].escape_ascii().to_string();
        let lines = lines(&Places::new(text)).into_iter();
        let shown = lines.map(|stretch| match stretch {
            Lines::Command(line, numbers) => format!("{} {numbers:?}", line.text.escape_ascii()),
            Lines::Comment(range) => said(range),
            Lines::Continued(range) => format!("+{}", said(range)),
            Lines::Blank => String::new(),
        });
        shown.collect()
    }

    #[test]
    fn lines_are_what_the_lexer_takes_them_for() {
        assert_eq!(
            shown(b"\xef\xbb\xbf # a\n\n\\\nboot\n"),
            ["# a", "", "", "boot 4..=4", ""]
        );
        assert_eq!(
            shown(b"a\\\0\r\nb\\\n\n \0# c # \\\r\0\n# d\n# e"),
            ["a b  1..=3", "# c # \\\\\\r\\x00", "+# d", "# e"]
        );
        assert_eq!(
            shown(b"a # b\r# c\rd\\"),
            ["a # b 1..=1", "# c", "d\\\\ 3..=3"]
        );
        assert_eq!(shown(b""), [""]);
    }
}
