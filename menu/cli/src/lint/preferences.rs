//! `.pvgrub.toml`: levels of rules for all menus in a folder and below it.
//!
//! ```toml
//! fail-on = "error"        # note, warning or error
//!
//! [rules]
//! no-timeout = "allow"     # allow, note, warn or deny
//! ```
//!
//! The nearest one counts, looked for in the menu's folder and then in those above it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::Deserialize;

use super::levels::Levels;
use super::rule::Level;

/// The file's name.
pub const NAME: &str = ".pvgrub.toml";

/// Longest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What the file may say.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Words {
    fail_on: Option<Level>,
    #[serde(default)]
    rules: BTreeMap<String, Level>,
}

/// What holds for a menu.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Preferences {
    /// The level of each rule.
    pub levels: Levels,
    /// The least grave finding that counts as a failure.
    pub fail_on: Level,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            levels: Levels::default(),
            fail_on: Level::Warning,
        }
    }
}

impl Preferences {
    /// Reads the text of a settings file.
    ///
    /// # Errors
    /// What is wrong with it, in words, with the line where there is one.
    pub fn read(text: &str) -> Result<Self, String> {
        let words: Words = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut read = Self::default();
        let rules = words.rules.iter();
        read.levels
            .set_each(rules.map(|(name, level)| (name.as_str(), *level)))?;
        read.fail_on = words.fail_on.unwrap_or(read.fail_on);
        Ok(read)
    }
}

/// Where settings come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The nearest file above each menu.
    Nearest,
    /// This file.
    File(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// Finds the settings of menus; those of a folder are read once.
#[derive(Debug)]
pub struct Finder {
    origin: Origin,
    /// What the command line says, last.
    wishes: Vec<(String, Level)>,
    fail_on: Option<Level>,
    folders: HashMap<PathBuf, Rc<Preferences>>,
}

impl Finder {
    /// A finder that puts these wishes over what files say.
    #[must_use]
    pub fn new(origin: Origin, wishes: Vec<(String, Level)>, fail_on: Option<Level>) -> Self {
        Self {
            origin,
            wishes,
            fail_on,
            folders: HashMap::new(),
        }
    }

    /// What holds for this menu. `-` is in the present folder.
    ///
    /// # Errors
    /// When the file cannot be read, with its name.
    pub fn find(&mut self, menu: &Path) -> Result<Rc<Preferences>, String> {
        let folder = match &self.origin {
            Origin::Nearest if menu == OsStr::new("-") => PathBuf::from("."),
            Origin::Nearest => menu.parent().map(Path::to_owned).unwrap_or_default(),
            Origin::File(_) | Origin::Nowhere => PathBuf::new(),
        };
        if let Some(known) = self.folders.get(&folder) {
            return Ok(Rc::clone(known));
        }
        let file = match &self.origin {
            Origin::Nearest => nearest(&folder),
            Origin::File(file) => Some(file.clone()),
            Origin::Nowhere => None,
        };
        let mut found = match file {
            Some(file) => self.read(&file)?,
            None => Preferences::default(),
        };
        let wishes = self.wishes.iter();
        found
            .levels
            .set_each(wishes.map(|(name, level)| (name.as_str(), *level)))?;
        found.fail_on = self.fail_on.unwrap_or(found.fail_on);
        let found = Rc::new(found);
        self.folders.insert(folder, Rc::clone(&found));
        Ok(found)
    }

    fn read(&self, file: &Path) -> Result<Preferences, String> {
        let named = |why: String| format!("{}: {}", file.display(), why.trim_end());
        let mut text = String::new();
        // A device may have no end.
        std::fs::File::open(file)
            .and_then(|open| open.take(MAX_BYTES + 1).read_to_string(&mut text))
            .map_err(|error| named(error.to_string()))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(named(format!(
                "more than {MAX_BYTES} bytes are too many for settings"
            )));
        }
        Preferences::read(&text).map_err(named)
    }
}

/// The nearest settings file in a folder or above it.
fn nearest(folder: &Path) -> Option<PathBuf> {
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let folder = folder.canonicalize().ok()?;
    let mut above = folder.ancestors().map(|folder| folder.join(NAME));
    above.find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::rule::RuleId;

    #[test]
    fn settings_are_read_and_faults_are_named() {
        let read = Preferences::read(
            "fail-on = \"note\"\n[rules]\nnul = \"allow\"\nno-timeout=\"deny\"\n",
        );
        let read = read.unwrap();
        assert_eq!(read.fail_on, Level::Note);
        assert_eq!(read.levels.of(RuleId::Nul), Level::Allow);
        assert_eq!(read.levels.of(RuleId::NoTimeout), Level::Error);
        for (text, why) in [
            ("[rules]\nnil = \"allow\"\n", "`nul` is the nearest"),
            ("[rules]\nnul = \"forbid\"\n", "forbid"),
            ("colour = true\n", "unknown field"),
            ("rules =", "line 1"),
        ] {
            let said = Preferences::read(text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
