//! The results: a table for the terminal, and the same in `docs/performance.md`.

use std::fs;
use std::time::Duration;

use crate::problem::{Context, Result};
use crate::workspace;

/// The file that shows the results.
const PAGE: &str = "docs/performance.md";
/// The table in it is between these lines.
const BEGIN: &str = "<!-- written by `cargo xtask bench` -->";
const END: &str = "<!-- end of what `cargo xtask bench` writes -->";

/// What a ratio has to be.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Goal::AtMost(most) => value <= most,
            Goal::AtLeast(least) => value >= least,
        }
    }

    fn words(self, unit: &str) -> String {
        match self {
            Goal::AtMost(most) => format!("at most {most}{unit}"),
            Goal::AtLeast(least) => format!("at least {least}{unit}"),
        }
    }
}

/// One line of results.
struct Row {
    what: String,
    measured: String,
    result: String,
    goal: String,
    verdict: &'static str,
}

/// The table.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// A figure without a goal.
    pub(super) fn tell(&mut self, what: &str, measured: &str) {
        self.push(what, measured, String::new(), String::new(), "");
    }

    /// A figure with a goal; `unit` stands behind the number.
    pub(super) fn judge(
        &mut self,
        what: &str,
        measured: &str,
        result: f64,
        unit: &str,
        goal: Goal,
    ) {
        let verdict = if goal.is_met(result) { "met" } else { "MISSED" };
        let shown = if unit == " x" {
            format!("{result:.2}{unit}")
        } else {
            format!("{result:.1}{unit}")
        };
        self.push(what, measured, shown, goal.words(unit), verdict);
    }

    fn push(
        &mut self,
        what: &str,
        measured: &str,
        result: String,
        goal: String,
        verdict: &'static str,
    ) {
        println!("{what}: {measured} {result} {goal} {verdict}");
        self.rows.push(Row {
            what: what.to_owned(),
            measured: measured.to_owned(),
            result,
            goal,
            verdict,
        });
    }

    /// How many goals were missed.
    pub(super) fn missed(&self) -> usize {
        self.rows.iter().filter(|r| r.verdict == "MISSED").count()
    }

    /// The table as Markdown.
    pub(super) fn table(&self) -> String {
        let mut text = String::from(
            "| what | measured | result | goal | |\n| --- | --- | --- | --- | --- |\n",
        );
        for row in &self.rows {
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} |\n",
                row.what, row.measured, row.result, row.goal, row.verdict
            ));
        }
        text
    }

    /// Puts the table, under `heading`, into the page.
    ///
    /// # Errors
    /// When the page cannot be read or written.
    pub(super) fn write(&self, heading: &str) -> Result<()> {
        let path = workspace::root().join(PAGE);
        let page = fs::read_to_string(&path).context(|| format!("cannot read {PAGE}"))?;
        fs::write(&path, replaced(&page, heading, &self.table()))
            .context(|| format!("cannot write {PAGE}"))?;
        println!("written to {PAGE}");
        Ok(())
    }
}

/// `page` with the table between the markers, which are added at its end if they are missing.
fn replaced(page: &str, heading: &str, table: &str) -> String {
    let block = format!("{BEGIN}\n{heading}\n\n{table}{END}\n");
    let parts = page
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    match parts {
        Some((before, after)) => format!(
            "{before}{block}{}",
            after.trim_start_matches('\n').to_owned()
        ),
        None => format!("{}\n\n{block}", page.trim_end()),
    }
}

/// The middle one; of an even number, the lower of the two in the middle.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}

/// The median of times, in seconds.
pub(super) fn median_seconds(times: &[Duration]) -> f64 {
    median(&times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, median, replaced};

    #[test]
    fn the_table_replaces_the_one_before_and_nothing_else() {
        let first = replaced("# Title\n\ntext\n", "today", "| a |\n");
        assert_eq!(
            first,
            format!("# Title\n\ntext\n\n{BEGIN}\ntoday\n\n| a |\n{END}\n")
        );
        let page = format!("{first}\nmore\n");
        let second = replaced(&page, "tomorrow", "| b |\n");
        assert!(second.contains("tomorrow\n\n| b |") && !second.contains("| a |"));
        assert!(second.starts_with("# Title\n\ntext\n") && second.ends_with("more\n"));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 1.0);
    }
}
