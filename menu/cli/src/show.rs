//! `pvgrub show`: the menu's page, drawn by the loader's own code, and what its entries do.

use std::io;

use menu::eval::Access;
use menu::page::{Surroundings, box_rows, menu_page};
use menu::screen::Style;
use menu::select::{List, Select};
use menu::text::visible;
use menu::{Command, DefaultEntry, Menu, Options, diagnostic};
use serde::Serialize;

use crate::args::{Manner, ShowFormat, ShowOptions};
use crate::ending::Ending;
use crate::input::Source;
use crate::output::{Io, Paint};

/// Shows a menu. The ending is [`Ending::Findings`] where there is no entry, for then the loader shows its prompt.
///
/// # Errors
/// When the output cannot be written.
pub fn run(options: &ShowOptions, manner: &Manner, io: &mut Io<'_>) -> io::Result<Ending> {
    let source = match Source::read(&options.file, io) {
        Ok(source) => source,
        Err(why) => {
            io.complain(&why)?;
            return Ok(Ending::Unreadable);
        }
    };
    let (menu, remarks) = menu::parse(&source.text);
    let note = diagnostic::note(&remarks);
    match options.format {
        ShowFormat::Json => {
            serde_json::to_writer_pretty(&mut *io.output, &Shown::new(&menu, options, &note))?;
            writeln!(io.output)?;
        }
        ShowFormat::Human => {
            let paint = io.paint(manner);
            for line in page_lines(&menu, options, &note, paint) {
                writeln!(io.output, "{line}")?;
            }
            if !manner.quiet {
                entries(&menu, io)?;
            }
        }
    }
    Ok(if menu.entries.is_empty() {
        Ending::Findings
    } else {
        Ending::Clean
    })
}

/// The entry that is highlighted.
fn highlighted(menu: &Menu, options: &ShowOptions) -> usize {
    options.entry.unwrap_or_else(|| menu.first_choice(None))
}

/// The page, a line each. With colour the highlighted entry is in reverse video; without, `>` stands before its box.
fn page_lines(menu: &Menu, options: &ShowOptions, note: &str, paint: Paint) -> Vec<String> {
    if menu.entries.is_empty() {
        return vec!["No entry: the loader shows its prompt, `grub> `".into()];
    }
    let (columns, rows) = (usize::from(options.columns), usize::from(options.rows));
    let access = match menu.password {
        Some(_) => Access::Locked,
        None => Access::Open,
    };
    let list = List::new(
        menu.entries.len(),
        box_rows(rows),
        highlighted(menu, options),
    );
    let select = Select::new(list, menu.timeout, access);
    let banner = Options::default().banner;
    let around = Surroundings {
        banner: &banner,
        note,
        columns,
        rows,
    };
    let page = menu_page(menu, &select, around);
    let mut lines: Vec<String> = page
        .lines()
        .map(|parts| {
            let mut line = String::new();
            for (style, text) in &parts {
                match (style, paint) {
                    (Style::Highlight, Paint::Colored) => {
                        line.push_str(&format!("\x1b[7m{text}\x1b[0m"));
                    }
                    _ => line.push_str(text),
                }
            }
            let is_chosen = parts.iter().any(|(style, _)| *style == Style::Highlight);
            match (is_chosen && paint == Paint::Plain, line.strip_prefix(' ')) {
                (true, Some(rest)) => format!(">{}", rest.trim_end()),
                _ => line.trim_end().into(),
            }
        })
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// The entries with their commands.
fn entries(menu: &Menu, io: &mut Io<'_>) -> io::Result<()> {
    for (number, entry) in menu.entries.iter().enumerate() {
        let title = visible(entry.title.trim_ascii_end());
        writeln!(
            io.output,
            "\n{number}: {title}  (line {})",
            entry.span.start.line
        )?;
        for command in &entry.commands {
            writeln!(io.output, "    {}", visible(&command.to_line()))?;
        }
    }
    Ok(())
}

/// A menu as JSON. Bytes that are not UTF-8 come as the loader shows them.
#[derive(Serialize)]
struct Shown {
    /// Which entry `default` names: a number, or `saved`.
    default: serde_json::Value,
    /// The entry that is highlighted at first, from 0.
    highlighted: usize,
    /// Seconds, or null: waits for ever.
    timeout: Option<u32>,
    hidden: bool,
    locked: bool,
    fallback: Vec<usize>,
    /// What the loader says below the menu; empty for nothing.
    note: String,
    globals: Vec<ShownCommand>,
    entries: Vec<ShownEntry>,
}

#[derive(Serialize)]
struct ShownEntry {
    number: usize,
    title: String,
    line: u32,
    commands: Vec<ShownCommand>,
}

#[derive(Serialize)]
struct ShownCommand {
    line: u32,
    command: String,
    arguments: String,
}

impl Shown {
    fn new(menu: &Menu, options: &ShowOptions, note: &str) -> Self {
        Self {
            default: match menu.default {
                DefaultEntry::Index(number) => number.into(),
                DefaultEntry::Saved => "saved".into(),
            },
            highlighted: highlighted(menu, options),
            timeout: menu.timeout,
            hidden: menu.hidden,
            locked: menu.password.is_some(),
            fallback: menu.fallback.clone(),
            note: note.into(),
            globals: menu.globals.iter().map(ShownCommand::new).collect(),
            entries: menu
                .entries
                .iter()
                .enumerate()
                .map(|(number, entry)| ShownEntry {
                    number,
                    title: visible(entry.title.trim_ascii_end()),
                    line: entry.span.start.line,
                    commands: entry.commands.iter().map(ShownCommand::new).collect(),
                })
                .collect(),
        }
    }
}

impl ShownCommand {
    fn new(command: &Command) -> Self {
        Self {
            line: command.word_span.start.line,
            command: visible(&command.word),
            arguments: visible(&command.args),
        }
    }
}
