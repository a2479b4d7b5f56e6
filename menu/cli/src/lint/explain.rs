//! `pvgrub lint --explain RULE` and `--rules`.

use std::io;

use menu::text::visible;

use super::rule::{RULES, Rule, RuleId};
use crate::args::Manner;
use crate::ending::Ending;
use crate::output::Io;

/// Explains one rule, with a menu that breaks it and one that does not.
///
/// # Errors
/// When it cannot be written.
pub fn one(name: &str, io: &mut Io<'_>) -> io::Result<Ending> {
    let rule = match RuleId::find(name) {
        Ok(id) => id.rule(),
        Err(why) => {
            io.complain(&why)?;
            return Ok(Ending::Unreadable);
        }
    };
    let Rule {
        name,
        level,
        about,
        why,
        ..
    } = rule;
    writeln!(io.output, "{name} ({level}): {about}\n")?;
    for line in filled(why, 100) {
        writeln!(io.output, "{line}")?;
    }
    for (heading, menu) in [("Found in:", rule.found), ("Not in:", rule.fine)] {
        writeln!(io.output, "\n{heading}\n")?;
        for line in menu.split_inclusive(|byte| *byte == b'\n').take(20) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            // An example of a command line that is too long is long.
            let shown: String = visible(line).chars().take(100).collect();
            writeln!(io.output, "    {}", shown.trim_end())?;
        }
    }
    writeln!(
        io.output,
        "\nTo allow it: `# pvgrub: allow({name})` before the command or its title, `--allow {name}`, or in {}:\n\n    [rules]\n    {name} = \"allow\"",
        super::preferences::NAME
    )?;
    Ok(Ending::Clean)
}

/// Lists the rules, a line each.
///
/// # Errors
/// When they cannot be written.
pub fn list(manner: &Manner, io: &mut Io<'_>) -> io::Result<Ending> {
    let width = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    for rule in RULES {
        let Rule {
            name, level, about, ..
        } = rule;
        writeln!(
            io.output,
            "{name:width$}  {level:7}  {about}",
            level = level.to_string()
        )?;
        if manner.verbose {
            writeln!(io.output, "{:width$}           {}", "", rule.why)?;
        }
    }
    Ok(Ending::Clean)
}

/// `text` in lines of at most `columns`, where its words allow.
fn filled(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}
