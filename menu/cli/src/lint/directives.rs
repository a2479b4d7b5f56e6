//! Comments that speak to pvgrub: `# pvgrub: allow(RULE, ...)` and `# pvgrub: allow-file(RULE, ...)`.
//!
//! The first is about the command that follows, and about the whole entry where that is a title; the second is about the
//! file. Comments are recognised where the loader's lexer recognises them.

use std::ops::{Range, RangeInclusive};

use menu::lexer::split_command;
use menu::table::{self, Place};
use menu::text::visible;
use menu::tree::Span;

use super::lines::{Lines, each};
use super::places::Places;
use super::rule::{RULES, RuleId};

/// What begins a directive, behind the `#`.
const MARK: &[u8] = b"pvgrub:";

/// What the directives of a file allow, and those that cannot be understood.
#[derive(Debug, Default)]
pub(super) struct Directives {
    /// For each rule, lines where it is allowed: in order, apart from each other.
    allowed: Vec<Vec<RangeInclusive<usize>>>,
    /// Where a directive is wrong, and why.
    pub(super) wrong: Vec<(Span, String)>,
}

impl Directives {
    /// Reads the directives of a file.
    pub(super) fn read(places: &Places<'_>) -> Self {
        let mut directives = Self::default();
        if memchr::memmem::find(places.text(), MARK).is_none() {
            return directives;
        }
        directives.allowed = vec![Vec::new(); RULES.len()];
        let (mut next, mut entry) = (Vec::new(), Vec::new());
        each(places, |stretch| {
            let (line, numbers) = match stretch {
                Lines::Command(line, numbers) => (line, numbers),
                Lines::Comment(range) => return directives.comment(places, range, &mut next),
                Lines::Continued(_) | Lines::Blank => return,
            };
            let (first, last) = numbers.into_inner();
            let (word, _) = split_command(&line.text);
            let here = next.drain(..).map(|rule| (rule, first));
            if table::find(word).is_some_and(|info| info.place == Place::Title) {
                directives.allow(&mut entry, first.saturating_sub(1));
                entry.extend(here);
            } else {
                directives.allow(&mut here.collect(), last);
            }
        });
        directives.allow(&mut entry, places.count());
        for ranges in &mut directives.allowed {
            merge(ranges);
        }
        directives
    }

    /// Reads a comment, of which `range` has the first line from its `#` on; what it allows for the next command goes to
    /// `next`.
    fn comment(&mut self, places: &Places<'_>, range: Range<usize>, next: &mut Vec<RuleId>) {
        let line = places.text()[range.clone()].trim_ascii_end();
        let text = line[1..].trim_ascii_start();
        let Some(rest) = text.strip_prefix(MARK) else {
            return;
        };
        let end = range.start + line.len();
        let span = places.span(end - text.len()..end);
        let rest = rest.trim_ascii();
        let list = |prefix: &[u8]| rest.strip_prefix(prefix)?.strip_suffix(b")");
        let (list, whole) = match (list(b"allow("), list(b"allow-file(")) {
            (Some(list), _) => (list, false),
            (_, Some(list)) => (list, true),
            _ => {
                let what = visible(rest.get(..40).unwrap_or(rest));
                let why =
                    format!("`{what}` is neither `allow(RULE, ...)` nor `allow-file(RULE, ...)`");
                self.wrong.push((span, why));
                return;
            }
        };
        for name in list.split(|byte| *byte == b',') {
            match RuleId::find(&visible(name.trim_ascii())) {
                Ok(rule) if whole => self.allowed[rule as usize].push(1..=usize::MAX),
                Ok(rule) if next.contains(&rule) => {}
                Ok(rule) => next.push(rule),
                Err(why) => self.wrong.push((span, why)),
            }
        }
    }

    /// Allows rules from a line on to `last`.
    fn allow(&mut self, rules: &mut Vec<(RuleId, usize)>, last: usize) {
        for (rule, first) in rules.drain(..) {
            self.allowed[rule as usize].push(first..=last);
        }
    }

    /// Whether a rule may be broken on this line.
    pub(super) fn allow_here(&self, rule: RuleId, line: u32) -> bool {
        let line = line as usize;
        let Some(ranges) = self.allowed.get(rule as usize) else {
            return false;
        };
        let after = ranges.partition_point(|range| *range.start() <= line);
        after
            .checked_sub(1)
            .and_then(|index| ranges.get(index))
            .is_some_and(|range| range.contains(&line))
    }
}

/// Puts ranges in order and joins those that overlap.
fn merge(ranges: &mut Vec<RangeInclusive<usize>>) {
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<usize>> = Vec::new();
    for range in ranges.drain(..) {
        match merged.last_mut() {
            Some(last) if range.start() <= last.end() => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => merged.push(range),
        }
    }
    *ranges = merged;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Directives {
        Directives::read(&Places::new(text.as_bytes()))
    }

    #[test]
    fn a_directive_is_about_the_next_command_or_entry() {
        let directives = read(
            "# pvgrub: allow(no-effect)\n\nsplashimage x\\\ny\nsplashimage z\n#pvgrub:allow(nul,no-console)\ntitle a\nkernel b\ntitle c\nkernel d\n",
        );
        let allowed = |rule, lines: [u32; 5]| lines.map(|line| directives.allow_here(rule, line));
        assert_eq!(
            allowed(RuleId::NoEffect, [2, 3, 4, 5, 8]),
            [false, true, true, false, false]
        );
        assert_eq!(
            allowed(RuleId::NoConsole, [6, 7, 8, 9, 10]),
            [false, true, true, false, false]
        );
        assert!(directives.wrong.is_empty());
    }

    #[test]
    fn comments_and_titles_are_those_of_the_lexer() {
        for text in [
            "\u{feff}# pvgrub: allow(nul)\ntitle a\nboot\n",
            "\0# pvgrub: allow(nul)\nti\0tle a\r\nboot\n",
        ] {
            assert!(read(text).allow_here(RuleId::Nul, 3), "{text:?}");
        }
        let swallowed = read("# a \\\0\n# pvgrub: allow(nul)\ntitle a\nboot\n");
        assert!(!swallowed.allow_here(RuleId::Nul, 4));
    }

    #[test]
    fn a_file_is_allowed_everything_or_told_what_is_wrong() {
        let directives = read("title a\nboot\n# pvgrub: allow-file(nul)\n");
        assert!(directives.allow_here(RuleId::Nul, 1));
        let directives = read("# pvgrub: allow(nil)\n# pvgrub: deny(nul)\n# \\\n# pvgrub: x\n");
        assert_eq!(directives.wrong.len(), 2);
        assert!(directives.wrong[0].1.contains("`nul` is the nearest"));
    }
}
