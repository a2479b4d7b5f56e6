//! `menu/commands.md` is made of the table of commands. `MENU_BLESS=1 cargo test -p menu` rewrites it.

use std::fmt::Write;
use std::path::Path;

use menu::table::{COMMANDS, Place, Status};

fn reference() -> String {
    let mut text = String::from(
        "# Commands of the menu\n\n\
         Generated from the table in `src/table.rs` by `MENU_BLESS=1 cargo test -p menu`; a test compares the two.\n",
    );
    for info in COMMANDS {
        let place = match info.place {
            Place::Title => "begins an entry",
            Place::Setting => "before the first title",
            Place::SettingOrEntry | Place::Anywhere => {
                "before the first title, in an entry, or typed"
            }
            Place::Entry => "in an entry, or typed",
        };
        let status = match info.status {
            Status::Works => "as in GRUB 0.97",
            Status::Extended => "as in GRUB 0.97, and more",
            Status::Accepted => "accepted, without effect",
            Status::Refused => "refused",
        };
        let line = format!("{} {}", info.name, info.syntax);
        let help = info.help;
        let _ = write!(
            text,
            "\n## `{}`\n\nWhere: {place}. Status: {status}.\n\n{help}\n",
            line.trim_end()
        );
    }
    text
}

#[test]
fn the_reference_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("commands.md");
    let found = reference();
    if std::env::var_os("MENU_BLESS").is_some() {
        let _ = std::fs::write(&path, &found);
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "see the top of this file");
}
