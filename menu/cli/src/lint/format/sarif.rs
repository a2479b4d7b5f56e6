//! SARIF 2.1.0 (OASIS): one run with all findings, for code scanning services and editors.

use std::io;

use serde_json::{Value, json};

use super::{Format, MAX_EDITS, Report};
use crate::lint::finding::{Finding, Fix};
use crate::lint::places::{Columns, Places};
use crate::lint::rule::{Level, RULES};
use crate::output::Io;

/// The format: it is one object, so findings are kept until the end.
#[derive(Debug, Default)]
pub struct Sarif {
    results: Vec<Value>,
}

impl Format for Sarif {
    fn report(&mut self, report: &Report<'_>, _: &mut Io<'_>) -> io::Result<()> {
        let mut starts = Columns::new(report.places);
        let mut ends = Columns::new(report.places);
        let uri = uri(report.name);
        for finding in &report.linted.findings {
            let region = region(report.places, finding, &mut starts, &mut ends);
            self.results.push(result(&uri, finding, region));
        }
        Ok(())
    }

    fn end(&mut self, io: &mut Io<'_>) -> io::Result<()> {
        let rules: Vec<Value> = RULES
            .iter()
            .map(|rule| {
                json!({
                    "id": rule.name,
                    "shortDescription": { "text": rule.about },
                    "fullDescription": { "text": rule.why },
                    "help": { "text": format!("pvgrub lint --explain {}", rule.name) },
                    "defaultConfiguration": { "level": level(rule.level) },
                })
            })
            .collect();
        let log = json!({
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "pvgrub",
                    "version": env!("CARGO_PKG_VERSION"),
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                }},
                "columnKind": "unicodeCodePoints",
                "results": std::mem::take(&mut self.results),
            }],
        });
        serde_json::to_writer_pretty(&mut *io.output, &log)?;
        writeln!(io.output)
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Allow => "none",
        Level::Note => "note",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

fn region(
    places: &Places<'_>,
    finding: &Finding,
    starts: &mut Columns<'_>,
    ends: &mut Columns<'_>,
) -> Value {
    let range = places.range(finding.span);
    let (start, end) = (finding.span.start, finding.span.end);
    json!({
        "startLine": start.line,
        "startColumn": starts.column(start),
        "endLine": end.line,
        "endColumn": ends.column(end),
        "byteOffset": range.start,
        "byteLength": range.len(),
    })
}

fn result(uri: &str, finding: &Finding, region: Value) -> Value {
    let mut result = json!({
        "ruleId": finding.rule.rule().name,
        "ruleIndex": finding.rule as usize,
        "level": level(finding.level),
        "message": { "text": finding.said.text() },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri },
            "region": region,
        }}],
    });
    let fix = finding.said.fix.as_ref();
    if let Some(fix) = fix.filter(|fix| fix.edits.len() <= MAX_EDITS) {
        result["fixes"] = json!([change(uri, fix)]);
    }
    result
}

fn change(uri: &str, fix: &Fix) -> Value {
    let replacements: Vec<Value> = fix
        .edits
        .iter()
        .map(|edit| {
            json!({
                "deletedRegion": { "byteOffset": edit.range.start, "byteLength": edit.range.len() },
                "insertedContent": { "text": String::from_utf8_lossy(&edit.with) },
            })
        })
        .collect();
    json!({
        "description": { "text": fix.what },
        "artifactChanges": [{
            "artifactLocation": { "uri": uri },
            "replacements": replacements,
        }],
    })
}

/// A path as a URI reference (RFC 3986): what is not allowed in a path is escaped.
fn uri(name: &str) -> String {
    let mut uri = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    match name.starts_with('/') {
        true => format!("file://{uri}"),
        false => uri,
    }
}
