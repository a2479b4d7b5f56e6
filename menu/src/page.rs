//! The pages of the menu as [`Screen`]s, in the look of GRUB 0.97: a banner, a box, help, and the countdown.
//!
//! Pure: the state machines go in, cells come out. Any size from [`MIN_COLUMNS`] by [`MIN_ROWS`] up; the original's
//! is 80 by 24 with 12 entries.

use alloc::format;
use alloc::string::String;

use crate::edit::Editor;
use crate::eval::Access;
use crate::screen::{Screen, Style};
use crate::select::{List, Select};
use crate::text::{fitted, visible};
use crate::tree::Menu;

/// The narrowest page.
pub const MIN_COLUMNS: usize = 40;

/// The lowest page.
pub const MIN_ROWS: usize = 15;

/// The row of the box's first line.
const TOP: usize = 4;

/// The column of the box's left border.
const LEFT: usize = 1;

/// How many entries the box shows on a page of this many rows.
#[must_use]
pub fn box_rows(rows: usize) -> usize {
    rows.saturating_sub(12).max(1)
}

/// How many columns of a title a page of this many columns shows.
#[must_use]
pub fn title_columns(columns: usize) -> usize {
    // Inside the borders: a blank, the text, a blank.
    right_border(columns).saturating_sub(LEFT).saturating_sub(3)
}

/// What stands around the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Surroundings<'a> {
    /// The first line.
    pub banner: &'a str,
    /// A line above the countdown: what happened last. Empty: none.
    pub note: &'a str,
    /// Columns of the page.
    pub columns: usize,
    /// Rows of the page.
    pub rows: usize,
}

/// The menu.
#[must_use]
pub fn menu_page(menu: &Menu, select: &Select, around: Surroundings<'_>) -> Screen {
    let mut screen = frame(around);
    let titles = menu
        .entries
        .iter()
        .map(|entry| visible(entry.title.trim_ascii_end()));
    draw_list(&mut screen, &select.list, titles);
    let help: &[&str] = match select.access {
        Access::Open => &[
            "Use the ^ and v keys to select which entry is highlighted.",
            "Press enter to boot the selected OS, 'e' to edit the",
            "commands before booting, 'a' to change the kernel's arguments,",
            "or 'c' for a command-line.",
        ],
        Access::Locked => &[
            "Use the ^ and v keys to select which entry is highlighted.",
            "Press enter to boot the selected OS or 'p' to enter a",
            "password to unlock the next set of features.",
        ],
    };
    draw_help(&mut screen, help);
    if let Some(seconds) = select.countdown {
        let text =
            format!("The highlighted entry will be booted automatically in {seconds} seconds.");
        screen.put(3, screen.rows().saturating_sub(2), &text, Style::Standard);
    }
    screen
}

/// The entry editor.
#[must_use]
pub fn edit_page(editor: &Editor, around: Surroundings<'_>) -> Screen {
    let mut screen = frame(around);
    draw_list(
        &mut screen,
        &editor.list,
        editor.lines().iter().map(|line| visible(line)),
    );
    let help = [
        "Use the ^ and v keys to select which entry is highlighted.",
        "Press 'b' to boot, 'e' to edit the selected command in the",
        "boot sequence, 'c' for a command-line, 'o' to open a new line",
        "after ('O' for before) the selected line, 'd' to remove the",
        "selected line, or escape to go back to the main menu.",
    ];
    draw_help(&mut screen, &help);
    screen
}

/// The banner and an empty box.
fn frame(around: Surroundings<'_>) -> Screen {
    let mut screen = Screen::new(around.columns.max(MIN_COLUMNS), around.rows.max(MIN_ROWS));
    screen.put(4, 1, around.banner, Style::Standard);
    screen.put(
        3,
        screen.rows().saturating_sub(3),
        around.note,
        Style::Standard,
    );
    let right = right_border(screen.columns());
    let bottom = TOP.saturating_add(box_rows(screen.rows()));
    let mut border = String::from("+");
    border.extend(core::iter::repeat_n(
        '-',
        right.saturating_sub(LEFT).saturating_sub(1),
    ));
    border.push('+');
    screen.put(LEFT, TOP.saturating_sub(1), &border, Style::Normal);
    screen.put(LEFT, bottom, &border, Style::Normal);
    for row in TOP..bottom {
        screen.put(LEFT, row, "|", Style::Normal);
        screen.put(right, row, "|", Style::Normal);
    }
    screen
}

fn right_border(columns: usize) -> usize {
    columns.saturating_sub(4)
}

fn draw_list(screen: &mut Screen, list: &List, lines: impl Iterator<Item = String>) {
    let right = right_border(screen.columns());
    let visible = box_rows(screen.rows());
    let width = title_columns(screen.columns());
    let first = LEFT.saturating_add(1);
    for (index, line) in lines.enumerate().skip(list.first()).take(visible) {
        let row = TOP.saturating_add(index).saturating_sub(list.first());
        let text = fitted(&line, width);
        let style = if index == list.selected() {
            Style::Highlight
        } else {
            Style::Normal
        };
        screen.put(first, row, &format!(" {text} "), style);
        if index == list.selected() {
            screen.set_cursor(right.saturating_sub(2), row);
        }
    }
    let marks = right.saturating_add(1);
    if list.first() > 0 {
        screen.put(marks, TOP, "^", Style::Standard);
    }
    if list.count() > list.first().saturating_add(visible) {
        screen.put(
            marks,
            TOP.saturating_add(visible).saturating_sub(1),
            "v",
            Style::Standard,
        );
    }
    if list.count() == 0 {
        screen.set_cursor(first, TOP);
    }
}

fn draw_help(screen: &mut Screen, lines: &[&str]) {
    let top = TOP
        .saturating_add(box_rows(screen.rows()))
        .saturating_add(1);
    for (index, line) in lines.iter().enumerate() {
        screen.put(6, top.saturating_add(index), line, Style::Standard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn any_size_can_be_drawn() {
        let (menu, _) = parse(b"timeout 5\ntitle one\nboot\ntitle two\nboot\n");
        for (columns, rows) in [(0, 0), (1, 1), (40, 15), (80, 24), (200, 60)] {
            let select = Select::new(List::new(2, box_rows(rows), 1), Some(5), Access::Open);
            let screen = menu_page(
                &menu,
                &select,
                Surroundings {
                    columns,
                    rows,
                    ..Surroundings::default()
                },
            );
            assert!(screen.to_text().contains("two"), "{columns}x{rows}");
        }
    }
}
