//! GitHub's annotations: `::warning file=menu.lst,line=3,col=1,title=no-timeout::…`.
//!
//! Source: GitHub's "Workflow commands", with `%`, CR and LF escaped everywhere, `:` and `,` in values too.

use std::io;

use super::{Format, Report};
use crate::lint::places::Columns;
use crate::lint::rule::Level;
use crate::output::Io;

/// The format.
#[derive(Debug)]
pub struct Github;

impl Format for Github {
    fn report(&mut self, report: &Report<'_>, io: &mut Io<'_>) -> io::Result<()> {
        let mut columns = Columns::new(report.places);
        for finding in &report.linted.findings {
            let word = match finding.level {
                Level::Error => "error",
                Level::Warning => "warning",
                Level::Note | Level::Allow => "notice",
            };
            let start = finding.span.start;
            writeln!(
                io.output,
                "::{word} file={},line={},col={},title={}::{}",
                escaped(report.name, ":,"),
                start.line,
                columns.column(start),
                finding.rule,
                escaped(&finding.said.text(), "")
            )?;
        }
        Ok(())
    }
}

fn escaped(text: &str, also: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '%' | '\r' | '\n' => escaped.push_str(&format!("%{:02X}", u32::from(c))),
            _ if also.contains(c) => escaped.push_str(&format!("%{:02X}", u32::from(c))),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_would_end_a_value_is_escaped() {
        assert_eq!(escaped("a,b:c%\n", ":,"), "a%2Cb%3Ac%25%0A");
        assert_eq!(escaped("a,b", ""), "a,b");
    }
}
