//! `docs/menu.md`: its lists of commands and errors are made of the tables here. `MENU_BLESS=1 cargo test -p menu`
//! rewrites them; what stands around them is written by hand.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod commands;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use commands::ROWS;
use menu::table::{COMMANDS, CommandInfo, OF_GRUB_2, OF_PCS, Place, Status};
use menu::{Code, parse};

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/menu.md")
}

/// Two tests write to the page.
static WRITER: Mutex<()> = Mutex::new(());

/// Compares what stands between two markers of the page, or replaces it.
fn compare(name: &str, wanted: &str) {
    let _alone = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    let (begin, end) = (
        format!("<!-- {name}: made by `MENU_BLESS=1 cargo test -p menu` -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let text = std::fs::read_to_string(page()).unwrap();
    let start = text.find(&begin).unwrap() + begin.len();
    let stop = text.find(&end).unwrap();
    if std::env::var_os("MENU_BLESS").is_some() {
        let text = [&text[..start], wanted, &text[stop..]].concat();
        std::fs::write(page(), text).unwrap();
    } else {
        assert_eq!(&text[start..stop], wanted, "see the top of this file");
    }
}

fn place(info: &CommandInfo) -> &'static str {
    match info.place {
        Place::Title => "begins an entry",
        Place::Setting => "before the first title",
        Place::SettingOrEntry | Place::Anywhere => "before the first title, in an entry, or typed",
        Place::Entry => "in an entry, or typed",
    }
}

fn status(info: &CommandInfo) -> &'static str {
    match info.status {
        Status::Works => "works",
        Status::Extended => "works, and does more than GRUB 0.97's",
        Status::Accepted => "accepted, without effect",
        Status::Refused => "refused, with the reason",
    }
}

#[test]
fn every_command_is_on_the_page() {
    let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
    let table: Vec<_> = COMMANDS.iter().map(|info| info.name).collect();
    assert_eq!(names, table);
    let mut text = String::new();
    for (info, row) in COMMANDS.iter().zip(ROWS) {
        let line = format!("{} {}", info.name, info.syntax);
        let (line, place, status) = (line.trim_end(), place(info), status(info));
        let (help, example, difference) = (info.help, row.example, row.difference);
        let _ = write!(
            text,
            "\n### `{line}`\n\n{help}\n\n- Where: {place}. Status: {status}.\n- Example: `{example}`\n\
             - Difference from GRUB 0.97: {difference}\n"
        );
    }
    text.push('\n');
    compare("commands", &text);
}

/// The examples are lines that the parser has nothing to say about.
#[test]
fn the_examples_are_good_menus() {
    for (info, row) in COMMANDS.iter().zip(ROWS) {
        assert!(
            row.example.split(' ').next() == Some(info.name),
            "{}",
            row.name
        );
        let entry = "title x\nkernel /x\n";
        let menu = match info.place {
            Place::Title => format!("{}\nkernel /x\n", row.example),
            Place::Setting => format!("{}\n{entry}", row.example),
            // The entries that these name must be there.
            Place::SettingOrEntry => format!("{}\n{entry}{entry}{entry}", row.example),
            Place::Anywhere | Place::Entry => format!("{entry}{}\n", row.example),
        };
        let (_, remarks) = parse(menu.as_bytes());
        assert!(remarks.is_empty(), "{menu}{remarks:?}");
    }
}

/// What the page says of words that are no commands here is what somebody hears who types them.
#[test]
fn the_words_of_other_grubs_are_on_the_page() {
    let mut text =
        String::from("\nCommands that GRUB 0.97 had on PCs, and of which PV-GRUB had none:");
    for word in OF_PCS {
        let _ = write!(text, " `{word}`");
    }
    text.push_str(".\n\n| GRUB 2 | here |\n| --- | --- |\n");
    for (word, here) in OF_GRUB_2 {
        let _ = writeln!(text, "| `{word}` | `{here}` |");
    }
    text.push('\n');
    compare("other words", &text);
}

#[test]
fn every_error_is_on_the_page() {
    let mut text = String::from("\n| number | meaning |\n| --- | --- |\n");
    for number in 1..=u8::MAX {
        let meaning = Code(number).text();
        if meaning != Code(0).text() {
            let _ = writeln!(text, "| {number} | {meaning} |");
        }
    }
    text.push('\n');
    compare("errors", &text);
}
