//! What was found: which rule, where, in words, and what would put it right.

use std::ops::Range;

use menu::tree::Span;

use super::rule::{Level, RuleId};

/// One finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The rule that it breaks.
    pub rule: RuleId,
    /// How grave it is here: the rule's own level, or what the settings say. Never [`Level::Allow`].
    pub level: Level,
    /// Where.
    pub span: Span,
    /// What is said.
    pub said: Said,
}

/// The words of a finding.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Said {
    /// What is wrong, in one line.
    pub message: String,
    /// What stands at the place, in a few words; may be empty.
    pub label: String,
    /// What would work, a line each.
    pub hints: Vec<String>,
    /// Another place that has to do with it.
    pub other: Option<(Span, String)>,
    /// What `--fix` does about it.
    pub fix: Option<Fix>,
}

impl Said {
    /// Only a message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// The message and the hints, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.message.clone();
        for hint in &self.hints {
            text.push('\n');
            text.push_str(hint);
        }
        text
    }

    /// Adds what stands below the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn other(mut self, span: Span, what: impl Into<String>) -> Self {
        self.other = Some((span, what.into()));
        self
    }

    /// Adds a fix of one edit: the bytes of `range` become `with`.
    #[must_use]
    pub fn fix(
        mut self,
        what: &'static str,
        range: Range<usize>,
        with: impl Into<Vec<u8>>,
    ) -> Self {
        let with = with.into();
        self.fix = Some(Fix {
            what,
            edits: vec![Edit { range, with }],
        });
        self
    }
}

/// A change that `--fix` makes. It never changes what boots: the entries and settings that the loader uses stay the
/// same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fix {
    /// What it does, as a command: `remove the carriage returns`.
    pub what: &'static str,
    /// The edits, in order, not overlapping.
    pub edits: Vec<Edit>,
}

/// Bytes of the file and what stands there instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// Offsets into the file.
    pub range: Range<usize>,
    /// The new bytes.
    pub with: Vec<u8>,
}
