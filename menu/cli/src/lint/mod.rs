//! `pvgrub lint`: looks for what is wrong with menus.
//!
//! [`lint()`] does it for one text: the loader's parser and evaluator go over it ([`linter`]), and what they say and what
//! comes of it is held against the [rules](mod@rule). [`run`] is the command around it: files, settings
//! ([`preferences`]), [formats](mod@format), [fixes](mod@fix).

mod bytes;
mod directives;
mod entries;
pub mod explain;
pub mod finding;
pub mod fix;
pub mod format;
mod kernels;
pub mod levels;
pub mod lines;
pub mod linter;
mod original;
pub mod places;
pub mod preferences;
mod remarks;
pub mod rule;
mod settings;
mod supposed;
mod words;

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use crate::args::{LintFormat, LintOptions, Manner};
use crate::ending::Ending;
use crate::input::Source;
use crate::output::Io;
use crate::progress::Progress;

use format::{Format, Report};
pub use levels::Levels;
pub use linter::{Counts, lint};
use places::Places;
use preferences::{Finder, Origin, Preferences};
use rule::Level;

/// Looks at every menu that the command line names.
///
/// # Errors
/// When the output cannot be written.
pub fn run(options: &LintOptions, manner: &Manner, io: &mut Io<'_>) -> io::Result<Ending> {
    if options.rules {
        return explain::list(manner, io);
    }
    if let Some(name) = &options.explain {
        return explain::one(name, io);
    }
    let mut finder = finder(options);
    let mut format: Box<dyn Format> = match options.format {
        LintFormat::Human => Box::new(format::human::Human::new(io.paint(manner))),
        LintFormat::Json => Box::new(format::json::Json),
        LintFormat::Sarif => Box::new(format::sarif::Sarif::default()),
        LintFormat::Github => Box::new(format::github::Github),
    };
    let mut tally = Tally::default();
    let mut progress = Progress::new(options.files.len(), manner, io);
    for path in &options.files {
        progress.step(io)?;
        let ending = one(path, options, &mut finder, format.as_mut(), &mut tally, io)?;
        tally.ending = tally.ending.max(ending);
    }
    progress.end(io)?;
    if options.shows_findings() {
        format.end(io)?;
    }
    if !manner.quiet && options.format == LintFormat::Human {
        io.output.flush()?;
        tally.say(options.files.len(), manner, io)?;
    }
    Ok(tally.ending)
}

fn finder(options: &LintOptions) -> Finder {
    let origin = match (&options.config, options.no_config) {
        (Some(file), _) => Origin::File(file.clone()),
        (None, true) => Origin::Nowhere,
        (None, false) => Origin::Nearest,
    };
    let wishes = [
        (&options.allow, Level::Allow),
        (&options.note, Level::Note),
        (&options.warn, Level::Warning),
        (&options.deny, Level::Error),
    ];
    let wishes = wishes
        .into_iter()
        .flat_map(|(names, level)| names.iter().map(move |name| (name.clone(), level)));
    Finder::new(origin, wishes.collect(), options.fail_on)
}

/// Looks at one menu.
fn one(
    path: &Path,
    options: &LintOptions,
    finder: &mut Finder,
    format: &mut dyn Format,
    tally: &mut Tally,
    io: &mut Io<'_>,
) -> io::Result<Ending> {
    let read = finder
        .find(path)
        .and_then(|preferences| Ok((preferences, Source::read(path, io)?)));
    let (preferences, mut source) = match read {
        Ok(read) => read,
        Err(why) => {
            io.complain(&why)?;
            return Ok(Ending::Unreadable);
        }
    };
    if (options.fix || options.diff)
        && let Some(ending) = fix_one(&mut source, &preferences, options, tally, io)?
    {
        return Ok(ending);
    }
    let places = Places::new(&source.text);
    let linted = lint(&places, &preferences.levels, options.max_findings);
    tally.counts = tally.counts.plus(linted.counts);
    let report = Report {
        name: &source.name(),
        places: &places,
        linted: &linted,
    };
    format.report(&report, io)?;
    Ok(match linted.counts.at_least(preferences.fail_on) {
        0 => Ending::Clean,
        _ => Ending::Findings,
    })
}

/// Makes the fixes of a menu, or shows them; the menu that is left goes on to be looked at, unless there is an ending.
fn fix_one(
    source: &mut Source,
    preferences: &Preferences,
    options: &LintOptions,
    tally: &mut Tally,
    io: &mut Io<'_>,
) -> io::Result<Option<Ending>> {
    let fixed = match fix::fixed(&source.text, &preferences.levels) {
        Ok(fixed) => fixed,
        Err(why) => {
            io.complain(&format!("{}: {why}", source.name()))?;
            return Ok(Some(Ending::Unreadable));
        }
    };
    if options.diff {
        let difference = fix::difference(&source.name(), &source.text, &fixed.text);
        io.output.write_all(&difference)?;
        return Ok(Some(match fixed.count {
            0 => Ending::Clean,
            _ => Ending::Findings,
        }));
    }
    tally.fixed += fixed.count;
    if source.path == OsStr::new("-") {
        io.output.write_all(&fixed.text)?;
        return Ok(Some(Ending::Clean));
    }
    if fixed.count > 0
        && let Err(error) = fix::replace(&source.path, &fixed.text)
    {
        io.complain(&format!("{}: {error}", source.name()))?;
        return Ok(Some(Ending::Unreadable));
    }
    source.text = fixed.text;
    Ok(None)
}

/// What all menus together came to.
#[derive(Default, Debug)]
struct Tally {
    counts: Counts,
    fixed: usize,
    ending: Ending,
}

impl Tally {
    /// The last line, on standard error.
    fn say(&self, files: usize, manner: &Manner, io: &mut Io<'_>) -> io::Result<()> {
        let Counts {
            errors,
            warnings,
            notes,
        } = self.counts;
        let number = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        };
        if self.fixed > 0 {
            writeln!(
                io.errors,
                "{} made",
                number(self.fixed, "fix").replace("fixs", "fixes")
            )?;
        }
        if errors + warnings + notes > 0 || manner.verbose {
            writeln!(
                io.errors,
                "{}, {}, {} in {}; `pvgrub lint --explain RULE` says more",
                number(errors, "error"),
                number(warnings, "warning"),
                number(notes, "note"),
                number(files, "file"),
            )?;
        }
        Ok(())
    }
}
