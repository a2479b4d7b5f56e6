//! A JSON object for each finding, a line each.

use std::io;

use serde::Serialize;

use super::{Format, MAX_EDITS, Report};
use crate::lint::finding::{Finding, Fix};
use crate::lint::places::{Columns, Places};
use crate::output::Io;

/// The format.
#[derive(Debug)]
pub struct Json;

/// A finding. Lines and columns count from 1, columns in characters; offsets count bytes from 0.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    rule: &'static str,
    level: String,
    message: &'a str,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
    offset: usize,
    length: usize,
    label: &'a str,
    hints: &'a [String],
    fix: Option<Change<'a>>,
}

#[derive(Serialize)]
struct Change<'a> {
    what: &'a str,
    /// Missing where they are too many.
    edits: Option<Vec<Replacement<'a>>>,
}

#[derive(Serialize)]
struct Replacement<'a> {
    offset: usize,
    length: usize,
    text: std::borrow::Cow<'a, str>,
}

impl Format for Json {
    fn report(&mut self, report: &Report<'_>, io: &mut Io<'_>) -> io::Result<()> {
        let mut starts = Columns::new(report.places);
        let mut ends = Columns::new(report.places);
        for finding in &report.linted.findings {
            let line = line(report.name, report.places, finding, &mut starts, &mut ends);
            serde_json::to_writer(&mut *io.output, &line)?;
            writeln!(io.output)?;
        }
        Ok(())
    }
}

fn line<'a>(
    file: &'a str,
    places: &Places<'_>,
    finding: &'a Finding,
    starts: &mut Columns<'_>,
    ends: &mut Columns<'_>,
) -> Line<'a> {
    let range = places.range(finding.span);
    Line {
        file,
        rule: finding.rule.rule().name,
        level: finding.level.to_string(),
        message: &finding.said.message,
        line: finding.span.start.line,
        column: starts.column(finding.span.start),
        end_line: finding.span.end.line,
        end_column: ends.column(finding.span.end),
        offset: range.start,
        length: range.len(),
        label: &finding.said.label,
        hints: &finding.said.hints,
        fix: finding.said.fix.as_ref().map(change),
    }
}

fn change(fix: &Fix) -> Change<'_> {
    let edits = fix.edits.iter().map(|edit| Replacement {
        offset: edit.range.start,
        length: edit.range.len(),
        text: String::from_utf8_lossy(&edit.with),
    });
    Change {
        what: fix.what,
        edits: (fix.edits.len() <= MAX_EDITS).then(|| edits.collect()),
    }
}
