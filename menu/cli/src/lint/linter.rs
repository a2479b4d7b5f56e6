//! The linter: parses a menu with the loader's parser, runs its entries with the loader's evaluator, and applies rules to
//! what comes of both.

use std::collections::HashMap;

use menu::parse::parse_within;
use menu::tree::{Position, Span};
use menu::{Entry, Menu};

use super::directives::Directives;
use super::finding::{Finding, Said};
use super::levels::Levels;
use super::places::Places;
use super::rule::{Level, RuleId};
use super::{bytes, entries, remarks, settings};

/// Remarks of the parser that are looked at.
const MAX_REMARKS: usize = 10_000;

/// What was found in a menu.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Linted {
    /// The findings, in the file's order; at most as many as were asked for.
    pub findings: Vec<Finding>,
    /// All of them, by level.
    pub counts: Counts,
}

/// Findings by level.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Errors.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
    /// Notes.
    pub notes: usize,
}

impl Counts {
    fn add(&mut self, level: Level) {
        match level {
            Level::Error => self.errors += 1,
            Level::Warning => self.warnings += 1,
            Level::Note => self.notes += 1,
            Level::Allow => {}
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            errors: self.errors + other.errors,
            warnings: self.warnings + other.warnings,
            notes: self.notes + other.notes,
        }
    }

    /// How many there are of this level or a graver one.
    #[must_use]
    pub fn at_least(self, level: Level) -> usize {
        match level {
            Level::Error => self.errors,
            Level::Warning => self.errors + self.warnings,
            Level::Note | Level::Allow => self.errors + self.warnings + self.notes,
        }
    }
}

/// Looks for everything in a text; at most `most` findings are kept. Work is linear in the length of the text.
#[must_use]
pub fn lint(places: &Places<'_>, levels: &Levels, most: usize) -> Linted {
    let (menu, remarks) = parse_within(places.text(), MAX_REMARKS);
    let mut linter = Linter {
        menu: &menu,
        places,
        levels,
        directives: Directives::read(places),
        findings: Vec::new(),
        most,
        counts: Counts::default(),
        once: HashMap::new(),
    };
    linter.directives();
    remarks::look(&mut linter, &remarks);
    bytes::look(&mut linter, &remarks);
    settings::look(&mut linter);
    entries::look(&mut linter);
    linter.end()
}

/// What rules look at, and where they report.
pub(super) struct Linter<'a> {
    /// The menu.
    pub(super) menu: &'a Menu,
    /// Its text.
    pub(super) places: &'a Places<'a>,
    levels: &'a Levels,
    directives: Directives,
    findings: Vec<Finding>,
    most: usize,
    counts: Counts,
    /// Rules that are reported at their first place only: which finding that is, and how many there are.
    once: HashMap<RuleId, (usize, usize)>,
}

impl Linter<'_> {
    /// Reports that a rule is broken. `said` is asked for words only where they are needed.
    pub(super) fn report(&mut self, rule: RuleId, span: Span, said: impl FnOnce() -> Said) {
        let level = self.levels.of(rule);
        if level == Level::Allow || self.directives.allow_here(rule, span.start.line) {
            return;
        }
        self.counts.add(level);
        if self.findings.len() < self.most {
            self.findings.push(Finding {
                rule,
                level,
                span,
                said: said(),
            });
        }
    }

    /// The same for a rule of which only the first place is shown, with the count.
    pub(super) fn report_once(&mut self, rule: RuleId, span: Span, said: impl FnOnce() -> Said) {
        if let Some((_, count)) = self.once.get_mut(&rule) {
            *count += 1;
            return;
        }
        let (index, all) = (self.findings.len(), self.counts);
        self.report(rule, span, said);
        if self.counts != all {
            self.once.insert(rule, (index, 1));
        }
    }

    /// Where a title's text is; its word, where it has none.
    pub(super) fn title(&self, entry: &Entry) -> Span {
        if entry.title.is_empty() {
            return entry.span;
        }
        let line = self.places.line(entry.span.end.line as usize);
        let start = self.places.offset(entry.span.end);
        let rest = self.places.text().get(start..line.end).unwrap_or_default();
        let is_separator = |byte: &u8| matches!(byte, b' ' | b'\t' | b'=');
        let before = rest.iter().take_while(|byte| is_separator(byte)).count();
        let text = rest[before..].trim_ascii_end();
        match text {
            // It stands on a line that was joined on.
            [] | [b'\\'] => entry.span,
            _ => self
                .places
                .span(start + before..start + before + text.len()),
        }
    }

    fn directives(&mut self) {
        for (span, why) in std::mem::take(&mut self.directives.wrong) {
            self.report(RuleId::BadDirective, span, || Said::new(why));
        }
    }

    fn end(mut self) -> Linted {
        for (index, count) in self.once.into_values().filter(|(_, count)| *count > 1) {
            if let Some(finding) = self.findings.get_mut(index) {
                let more = count - 1;
                let places = if more == 1 { "place" } else { "places" };
                finding
                    .said
                    .hints
                    .push(format!("{more} more {places} like it"));
            }
        }
        self.findings
            .sort_by_key(|finding| (finding.span.start, finding.rule));
        Linted {
            findings: self.findings,
            counts: self.counts,
        }
    }
}

/// The place of everything that is about the file as a whole: its first entry, or its beginning.
pub(super) fn beginning(menu: &Menu) -> Span {
    let start = Position { line: 1, column: 1 };
    let nothing = Span { start, end: start };
    menu.entries.first().map_or(nothing, |entry| entry.span)
}
