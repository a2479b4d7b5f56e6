//! How grave each rule is: its own level, then what the settings say, then the command line.

use super::rule::{Level, RULES, RuleId};

/// A level for each rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Levels(Vec<Level>);

impl Default for Levels {
    fn default() -> Self {
        Self(RULES.iter().map(|rule| rule.level).collect())
    }
}

impl Levels {
    /// The level of a rule.
    #[must_use]
    pub fn of(&self, rule: RuleId) -> Level {
        self.0[rule as usize]
    }

    /// Sets the level of one rule, or of `all`.
    ///
    /// # Errors
    /// A sentence, where there is no such rule.
    pub fn set(&mut self, name: &str, level: Level) -> Result<(), String> {
        if name == "all" {
            self.0.fill(level);
        } else {
            self.0[RuleId::find(name)? as usize] = level;
        }
        Ok(())
    }

    /// Sets the levels of several; `all` goes first, so that rules that are named are excepted from it.
    ///
    /// # Errors
    /// As [`Levels::set`].
    pub fn set_each<'a>(
        &mut self,
        wishes: impl IntoIterator<Item = (&'a str, Level)>,
    ) -> Result<(), String> {
        let (all, named): (Vec<_>, Vec<_>) =
            wishes.into_iter().partition(|(name, _)| *name == "all");
        for (name, level) in all.into_iter().chain(named) {
            self.set(name, level)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_rules_are_excepted_from_all() {
        let mut levels = Levels::default();
        let wishes = [("nul", Level::Allow), ("all", Level::Error)];
        levels.set_each(wishes).unwrap();
        assert_eq!(levels.of(RuleId::Nul), Level::Allow);
        assert_eq!(levels.of(RuleId::NoTimeout), Level::Error);
        assert!(levels.set("nil", Level::Note).unwrap_err().contains("nul"));
    }
}
