//! Findings for people: the line, what is meant in it, and what would work, as rustc draws its own.

use std::io;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level as Drawn, Origin, Renderer, Snippet};
use menu::text::characters;
use menu::tree::Span;

use super::{Format, Report};
use crate::lint::finding::Finding;
use crate::lint::places::{Columns, Places};
use crate::lint::rule::Level;
use crate::output::{Io, Paint};

/// Bytes of a long line that are shown before and behind the place that is meant.
const BEFORE: usize = 40;
const BEHIND: usize = 100;

/// The format.
#[derive(Debug)]
pub struct Human {
    renderer: Renderer,
}

impl Human {
    /// With or without colour.
    #[must_use]
    pub fn new(paint: Paint) -> Self {
        let renderer = match paint {
            Paint::Colored => Renderer::styled(),
            Paint::Plain => Renderer::plain(),
        };
        Self {
            renderer: renderer.decor_style(DecorStyle::Ascii).term_width(240),
        }
    }
}

impl Format for Human {
    fn report(&mut self, report: &Report<'_>, io: &mut Io<'_>) -> io::Result<()> {
        let mut columns = Columns::new(report.places);
        for finding in &report.linted.findings {
            let column = columns.column(finding.span.start);
            let text = self.drawn(report, finding, column);
            writeln!(io.output, "{text}\n")?;
        }
        let all = report.linted.counts.at_least(Level::Note);
        let more = all - report.linted.findings.len();
        if more > 0 {
            writeln!(
                io.output,
                "{}: {more} more findings are not shown\n",
                report.name
            )?;
        }
        Ok(())
    }
}

impl Human {
    fn drawn(&self, report: &Report<'_>, finding: &Finding, column: u32) -> String {
        let level = match finding.level {
            Level::Error => Drawn::ERROR,
            Level::Warning => Drawn::WARNING,
            Level::Note | Level::Allow => Drawn::NOTE,
        };
        let said = &finding.said;
        let line = finding.span.start.line as usize;
        let label = Some(said.label.as_str()).filter(|label| !label.is_empty());
        let mut group = Group::with_title(
            level
                .primary_title(said.message.as_str())
                .id(finding.rule.rule().name),
        );
        let shown = Shown::new(report.places, finding.span);
        let near = said.other.as_ref().and_then(|(span, what)| {
            let other = Shown::new(report.places, *span);
            Near::new(report.places, finding.span, *span, &shown, &other).map(|near| (near, what))
        });
        if let Some((near, what)) = near {
            let marks = [
                AnnotationKind::Primary.span(near.marked).label(label),
                AnnotationKind::Context
                    .span(near.other)
                    .label(what.as_str()),
            ];
            let lines = Snippet::source(near.text).line_start(near.line);
            group = group.element(lines.path(report.name).annotations(marks));
        } else {
            let mark = AnnotationKind::Primary.span(shown.marked).label(label);
            let mut lines = Snippet::source(shown.text)
                .line_start(line)
                .annotation(mark);
            if shown.is_whole {
                lines = lines.path(report.name);
            } else {
                // The column is not that of what is shown.
                let origin = Origin::path(report.name).line(line);
                group = group.element(origin.char_column(column as usize));
            }
            group = group.element(lines);
            if let Some((span, what)) = &said.other {
                let shown = Shown::new(report.places, *span);
                let mark = AnnotationKind::Context
                    .span(shown.marked)
                    .label(what.as_str());
                let lines = Snippet::source(shown.text).line_start(span.start.line as usize);
                group = group.element(lines.path(report.name).annotation(mark));
            }
        }
        for hint in &said.hints {
            group = group.element(Drawn::HELP.message(hint.as_str()));
        }
        self.renderer.render(&[group])
    }
}

/// The part of a line that is shown: text without anything that would drive a terminal.
struct Shown {
    text: String,
    marked: Range<usize>,
    /// Nothing of the line is left out before what is marked, so that columns are those of the file.
    is_whole: bool,
}

impl Shown {
    fn new(places: &Places<'_>, span: Span) -> Self {
        let line = places.line(span.start.line as usize);
        let wanted = places.range(span);
        let start = wanted.start.clamp(line.start, line.end);
        let end = wanted.end.clamp(start, line.end);
        let text = places.text();
        let first = boundary(text, start.saturating_sub(BEFORE).max(line.start)..start);
        let last = (end.min(start + BEHIND) + BEHIND).min(line.end);
        let mut shown = Self {
            text: String::new(),
            marked: 0..0,
            is_whole: first == line.start && memchr::memchr(0, &text[line.start..start]).is_none(),
        };
        if first > line.start {
            shown.text.push_str("...");
        }
        for (at, c) in characters(&text[first..last]) {
            let at = first + at;
            if at <= start {
                shown.marked.start = shown.text.len();
            }
            match text.get(at) {
                Some(b'\t') => shown.text.push(' '),
                Some(b'\r' | 0) => {}
                _ => shown.text.push(c),
            }
            if at < end {
                shown.marked.end = shown.text.len();
            }
        }
        if start >= last {
            shown.marked.start = shown.text.len();
        }
        shown.marked.end = shown.marked.end.max(shown.marked.start);
        if last < line.end {
            shown.text.push_str("...");
        }
        shown
    }
}

/// Two places in the same few lines, which are shown together.
struct Near {
    /// The first of the lines.
    line: usize,
    text: String,
    marked: Range<usize>,
    other: Range<usize>,
}

/// Lines and bytes that are shown together at most.
const NEAR_LINES: usize = 200;
const NEAR_BYTES: usize = 20_000;

impl Near {
    fn new(places: &Places<'_>, span: Span, other: Span, one: &Shown, two: &Shown) -> Option<Self> {
        let (here, there) = (span.start.line as usize, other.start.line as usize);
        let (first, last) = (here.min(there), here.max(there));
        let bytes = places.whole_line(first).start..places.whole_line(last).end;
        let is_near = last - first <= NEAR_LINES && bytes.len() <= NEAR_BYTES;
        if !is_near || first == last || !one.is_whole || !two.is_whole {
            return None;
        }
        let mut near = Self {
            line: first,
            text: String::new(),
            marked: 0..0,
            other: 0..0,
        };
        for number in first..=last {
            let start = near.text.len();
            let moved = |range: &Range<usize>| start + range.start..start + range.end;
            if number == here {
                near.text.push_str(&one.text);
                near.marked = moved(&one.marked);
            } else if number == there {
                near.text.push_str(&two.text);
                near.other = moved(&two.marked);
            } else {
                // The renderer folds most of these away.
                let line = places.line(number);
                let beginning = places.span(line.start..line.start);
                near.text.push_str(&Shown::new(places, beginning).text);
            }
            near.text.push('\n');
        }
        Some(near)
    }
}

/// The first place of a stretch that is not inside a character.
fn boundary(text: &[u8], range: Range<usize>) -> usize {
    let inside = |at: &usize| matches!(text.get(*at), Some(0x80..=0xbf));
    let mut places = range.clone().take(4);
    places.find(|at| !inside(at)).unwrap_or(range.start)
}
