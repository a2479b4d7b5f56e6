//! Bytes that a menu should not have, or that mean something else elsewhere.

use menu::diagnostic::Kind;
use menu::tree::Span;
use menu::{Command, Diagnostic};

use super::finding::{Edit, Fix, Said};
use super::linter::Linter;
use super::places::Places;
use super::rule::RuleId;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Looks for odd bytes.
pub(super) fn look(linter: &mut Linter<'_>, remarks: &[Diagnostic]) {
    mark(linter);
    carriage_returns(linter);
    nul(linter, remarks);
    last_backslash(linter);
    characters(linter);
}

fn mark(linter: &mut Linter<'_>) {
    let Some(rest) = linter.places.text().strip_prefix(MARK) else {
        return;
    };
    let span = linter.places.span(0..MARK.len());
    linter.report(RuleId::ByteOrderMark, span, || {
        let said = Said::new("a byte order mark begins the file; the loader skips it");
        match rest {
            // What follows would be taken for one.
            [0, ..] | [0xef, 0xbb, 0xbf, ..] => said,
            _ => said.fix("remove the byte order mark", 0..MARK.len(), b""),
        }
    });
}

fn carriage_returns(linter: &mut Linter<'_>) {
    let places = linter.places;
    let text = places.text();
    let Some(first) = memchr::memchr(b'\r', text) else {
        return;
    };
    let span = places.span(first..first);
    linter.report(RuleId::CarriageReturn, span, || {
        let (message, with): (_, &[u8]) = if places.newline() == b'\r' {
            ("lines end in carriage returns alone", b"\n")
        } else if text.get(first + 1) == Some(&b'\n') {
            (
                "lines end in carriage return and newline; the loader drops the former",
                b"",
            )
        } else {
            ("a carriage return inside a line; the loader drops it", b"")
        };
        let after = text.iter().position(|byte| *byte != b'\r');
        let front = after.map_or(text, |after| &text[after..]);
        // At the beginning one may keep a byte order mark from being one.
        let is_safe = !with.is_empty() || first > 0 || !front.starts_with(MARK);
        let fix = is_safe.then(|| Fix {
            what: "end lines in newlines",
            edits: edits(text, b'\r', with),
        });
        Said {
            fix,
            ..Said::new(message)
        }
    });
}

fn edits(text: &[u8], byte: u8, with: &[u8]) -> Vec<Edit> {
    memchr::memchr_iter(byte, text)
        .map(|at| Edit {
            range: at..at + 1,
            with: with.to_vec(),
        })
        .collect()
}

fn nul(linter: &mut Linter<'_>, remarks: &[Diagnostic]) {
    let Some(remark) = remarks.iter().find(|remark| remark.kind == Kind::Nul) else {
        return;
    };
    let text = linter.places.text();
    linter.report(RuleId::Nul, remark.span, || {
        let said = Said::new("NUL bytes; the loader drops them");
        // At the beginning one may keep a byte order mark from being one.
        let is_safe = text.first() != Some(&0) && !text.starts_with(b"\xef\xbb\xbf\0");
        let fix = is_safe.then(|| Fix {
            what: "remove the NUL bytes",
            edits: edits(text, 0, b""),
        });
        Said { fix, ..said }
    });
}

fn last_backslash(linter: &mut Linter<'_>) {
    let text = linter.places.text();
    let is_padding = |byte: &u8| matches!(byte, 0 | b'\r');
    let end = text.len()
        - text
            .iter()
            .rev()
            .take_while(|byte| is_padding(byte))
            .count();
    if end > 0 && text.get(end - 1) == Some(&b'\\') {
        let span = linter.places.span(end - 1..end);
        linter.report(RuleId::TrailingBackslash, span, || {
            Said::new("the file ends in a backslash, which joins no line on")
        });
    }
}

/// Characters inside commands: comments may hold what they like.
fn characters(linter: &mut Linter<'_>) {
    let menu = linter.menu;
    for entry in &menu.entries {
        if !is_plain(&entry.title) {
            let span = linter.title(entry);
            look_at(linter, &entry.title, span);
        }
        for command in &entry.commands {
            look_at_command(linter, command);
        }
    }
    for command in &menu.globals {
        look_at_command(linter, command);
    }
}

fn is_plain(text: &[u8]) -> bool {
    // Without a way out before the end the compiler looks at many bytes at once.
    text.iter()
        .fold(0, |odd, byte| odd | u8::from(!matches!(byte, b' '..=b'~')))
        == 0
}

fn look_at_command(linter: &mut Linter<'_>, command: &Command) {
    if !is_plain(&command.args) {
        look_at(linter, &command.args, command.args_span);
    }
}

fn look_at(linter: &mut Linter<'_>, text: &[u8], span: Span) {
    let places = linter.places;
    let is_control = |byte: &u8| *byte < b' ' || *byte == 0x7f;
    if text.iter().any(is_control) {
        // What the lexer drops is not meant.
        let is_kept = |byte: &u8| is_control(byte) && !matches!(byte, 0 | b'\t' | b'\r' | b'\n');
        let at = first(places, span, is_kept);
        linter.report_once(RuleId::ControlCharacter, at, || {
            Said::new("a control character; the loader shows it as `?`")
        });
    }
    if text.is_ascii() {
        return;
    }
    let at = first(places, span, |byte: &u8| !byte.is_ascii());
    if std::str::from_utf8(text).is_ok() {
        linter.report_once(RuleId::NonAscii, at, || {
            Said::new("characters that are not ASCII; this loader shows them, the original may not")
        });
    } else {
        linter.report_once(RuleId::NotUtf8, at, || {
            Said::new("bytes that are not UTF-8; the loader shows them as Latin-1")
        });
    }
}

/// The first byte of this kind in a stretch; the stretch itself where there is none.
fn first(places: &Places<'_>, span: Span, is_it: impl Fn(&u8) -> bool) -> Span {
    let range = places.range(span);
    match places.text()[range.clone()].iter().position(is_it) {
        Some(at) => places.span(range.start + at..range.start + at + 1),
        None => span,
    }
}
