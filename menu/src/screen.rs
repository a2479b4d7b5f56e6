//! A screen of cells, and the bytes that bring a vt100 from what it shows to what it should show.
//!
//! [`Screen`] is what a page looks like; [`Painter`] remembers what was sent and sends only what changed. It uses
//! cursor addressing, SGR and erase-display, which every terminal behind `xl console` has.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::text::is_one_cell;
use crate::tree::Colors;

/// How a cell looks; the painter turns it into colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Style {
    /// Text outside the box.
    #[default]
    Standard,
    /// The box and its entries: `color`'s first colour.
    Normal,
    /// The highlighted entry: `color`'s second, or reverse video.
    Highlight,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cell {
    character: char,
    style: Style,
}

const BLANK: Cell = Cell {
    character: ' ',
    style: Style::Standard,
};

/// A page of text, and where the cursor rests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Screen {
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
    cursor: (usize, usize),
}

impl Screen {
    /// An empty page.
    #[must_use]
    pub fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            rows,
            cells: vec![BLANK; columns.saturating_mul(rows)],
            cursor: (0, 0),
        }
    }

    /// Columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes text from this place on; what would leave the row is cut off. Characters that are not one column wide
    /// become `?`.
    pub fn put(&mut self, column: usize, row: usize, text: &str, style: Style) {
        let columns = self.columns.saturating_sub(column);
        for (offset, character) in text.chars().take(columns).enumerate() {
            let character = if is_one_cell(character) {
                character
            } else {
                '?'
            };
            if let Some(cell) = self.cell_mut(column.saturating_add(offset), row) {
                *cell = Cell { character, style };
            }
        }
    }

    /// Rests the cursor here.
    pub fn set_cursor(&mut self, column: usize, row: usize) {
        self.cursor = (column, row);
    }

    /// Where the cursor rests: column and row.
    #[must_use]
    pub fn cursor(&self) -> (usize, usize) {
        self.cursor
    }

    fn cell_mut(&mut self, column: usize, row: usize) -> Option<&mut Cell> {
        let index = row.checked_mul(self.columns)?.checked_add(column)?;
        self.cells.get_mut(index).filter(|_| column < self.columns)
    }

    /// The page as text, trailing blanks removed; highlighted stretches stand between `[` and `]` in a second block.
    ///
    /// For tests and for showing a page in a document.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (row, cells) in self.cells.chunks(self.columns.max(1)).enumerate() {
            let line: String = cells.iter().map(|cell| cell.character).collect();
            text.push_str(line.trim_end());
            let highlighted: String = cells
                .iter()
                .filter(|cell| cell.style == Style::Highlight)
                .map(|cell| cell.character)
                .collect();
            if !highlighted.is_empty() {
                text.push_str(&format!("   <== highlighted: [{}]", highlighted.trim()));
            }
            if self.cursor.1 == row {
                text.push_str(&format!("   <== cursor in column {}", self.cursor.0));
            }
            text.push('\n');
        }
        text
    }
}

/// Sends screens to a vt100.
#[derive(Clone, Debug, Default)]
pub struct Painter {
    shown: Option<Screen>,
    colors: Option<Colors>,
}

impl Painter {
    /// Uses these colours from now on; everything is sent afresh if they changed.
    pub fn set_colors(&mut self, colors: Option<Colors>) {
        if self.colors != colors {
            self.colors = colors;
            self.forget();
        }
    }

    /// Whether the terminal shows a page of this painter.
    #[must_use]
    pub fn is_showing(&self) -> bool {
        self.shown.is_some()
    }

    /// Something else wrote to the terminal: the next page is sent whole.
    pub fn forget(&mut self) {
        self.shown = None;
    }

    /// The bytes that make the terminal show `screen`; empty where it does already.
    pub fn paint(&mut self, screen: &Screen) -> Vec<u8> {
        let same_size =
            |shown: &Screen| shown.columns == screen.columns && shown.rows == screen.rows;
        let (before, mut out) = match self.shown.take().filter(same_size) {
            Some(shown) => (shown, Vec::new()),
            None => (
                Screen::new(screen.columns, screen.rows),
                b"\x1b[0m\x1b[H\x1b[J".to_vec(),
            ),
        };
        let mut pen = Pen {
            at: Some(before.cursor),
            style: Style::Standard,
        };
        if !out.is_empty() {
            pen.at = Some((0, 0));
        }
        let rows = before
            .cells
            .chunks(screen.columns.max(1))
            .zip(screen.cells.chunks(screen.columns.max(1)));
        for (row, (old, new)) in rows.enumerate() {
            self.paint_row(row, old, new, &mut pen, &mut out);
        }
        self.set_style(&mut pen, Style::Standard, &mut out);
        move_to(&mut pen, screen.cursor, &mut out);
        self.shown = Some(screen.clone());
        out
    }

    fn paint_row(&self, row: usize, old: &[Cell], new: &[Cell], pen: &mut Pen, out: &mut Vec<u8>) {
        for (column, (before, after)) in old.iter().zip(new).enumerate() {
            if before == after {
                continue;
            }
            // A short gap is cheaper to send again than to jump over.
            if let Some((at, at_row)) = pen.at
                && at_row == row
                && at < column
                && column.saturating_sub(at) <= 5
                && let Some(gap) = new.get(at..column)
                && gap.iter().all(|cell| cell.style == pen.style)
            {
                for cell in gap {
                    pen.write(cell.character, new.len(), out);
                }
            }
            self.set_style(pen, after.style, out);
            move_to(pen, (column, row), out);
            pen.write(after.character, new.len(), out);
        }
    }

    fn set_style(&self, pen: &mut Pen, style: Style, out: &mut Vec<u8>) {
        if pen.style == style {
            return;
        }
        pen.style = style;
        match (style, self.colors) {
            (Style::Standard, _) | (Style::Normal, None) => out.extend_from_slice(b"\x1b[0m"),
            (Style::Highlight, None) => out.extend_from_slice(b"\x1b[0;7m"),
            (Style::Normal, Some(colors)) => out.extend_from_slice(sgr(colors.normal).as_bytes()),
            (Style::Highlight, Some(colors)) => {
                out.extend_from_slice(sgr(colors.highlight).as_bytes())
            }
        }
    }
}

/// Where the terminal's cursor is (`None`: not certain) and how it writes.
struct Pen {
    at: Option<(usize, usize)>,
    style: Style,
}

impl Pen {
    fn write(&mut self, character: char, columns: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        // After the last column terminals differ about where the cursor is.
        self.at = self
            .at
            .and_then(|(column, row)| column.checked_add(1).map(|column| (column, row)))
            .filter(|(column, _)| *column < columns);
    }
}

fn move_to(pen: &mut Pen, to: (usize, usize), out: &mut Vec<u8>) {
    if pen.at == Some(to) {
        return;
    }
    let (column, row) = (to.0.saturating_add(1), to.1.saturating_add(1));
    match pen.at {
        Some((at, at_row)) if at_row == to.1 && to.0 == 0 && at > 0 => out.push(b'\r'),
        _ => out.extend_from_slice(format!("\x1b[{row};{column}H").as_bytes()),
    }
    pen.at = Some(to);
}

/// The SGR sequence of a VGA attribute byte.
fn sgr(attribute: u8) -> String {
    // VGA counts blue, green, red from the low bit; ANSI red, green, blue.
    let ansi = |color: u8| ((color & 1) << 2) | (color & 2) | ((color >> 2) & 1);
    let bold = if attribute & 0x08 == 0 { "" } else { ";1" };
    let blink = if attribute & 0x80 == 0 { "" } else { ";5" };
    format!(
        "\x1b[0{bold}{blink};3{};4{}m",
        ansi(attribute & 7),
        ansi((attribute >> 4) & 7)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_page_is_sent_whole_and_the_next_only_where_it_differs() {
        let mut painter = Painter::default();
        let mut screen = Screen::new(20, 3);
        screen.put(2, 1, "5 seconds", Style::Standard);
        assert_eq!(
            painter.paint(&screen),
            b"\x1b[0m\x1b[H\x1b[J\x1b[2;3H5 seconds\x1b[1;1H"
        );
        assert_eq!(painter.paint(&screen), b"");
        screen.put(2, 1, "4", Style::Standard);
        assert_eq!(painter.paint(&screen), b"\x1b[2;3H4\x1b[1;1H");
        painter.forget();
        assert!(painter.paint(&screen).starts_with(b"\x1b[0m\x1b[H\x1b[J"));
    }

    #[test]
    fn highlight_is_reverse_video_or_a_colour() {
        let mut painter = Painter::default();
        let mut screen = Screen::new(4, 1);
        screen.put(0, 0, "ab", Style::Highlight);
        let sent = painter.paint(&screen);
        assert_eq!(
            String::from_utf8(sent).unwrap(),
            "\x1b[0m\x1b[H\x1b[J\x1b[0;7mab\x1b[0m\r"
        );
        painter.set_colors(Some(Colors {
            normal: 0x07,
            highlight: 0x1e,
        }));
        let sent = String::from_utf8(painter.paint(&screen)).unwrap();
        assert!(sent.contains("\x1b[0;1;33;44mab"), "{sent:?}");
    }

    #[test]
    fn text_cannot_leave_the_page_or_move_the_cursor() {
        let mut screen = Screen::new(4, 2);
        screen.put(2, 0, "abc\x1b", Style::Standard);
        screen.put(0, 9, "x", Style::Standard);
        screen.put(9, 0, "x", Style::Standard);
        screen.set_cursor(0, 1);
        assert_eq!(screen.to_text(), "  ab\n   <== cursor in column 0\n");
    }
}
