//! A screen of cells, and the bytes that bring a vt100 from what it shows to what it should show.
//!
//! [`Screen`] is what a page looks like; [`Painter`] remembers what was sent and sends only what changed. It uses
//! cursor addressing, SGR and erase-display, which every terminal behind `xl console` has. Terminals differ about the
//! width of a few characters: behind such ones the cursor is set anew, so that nothing else moves.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::text::{harmless, is_plain, width};
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
    /// [`COVERED`] in the second column of a wide character.
    character: char,
    /// What joins the character; the first `\0` ends it. Further marks are left out.
    marks: [char; 2],
    style: Style,
}

/// Stands in the second column of a wide character.
const COVERED: char = '\0';

const BLANK: Cell = Cell {
    character: ' ',
    marks: ['\0'; 2],
    style: Style::Standard,
};

impl Cell {
    /// The character and its marks; nothing where it is covered.
    fn characters(&self) -> impl Iterator<Item = char> {
        let [first, second] = self.marks;
        [self.character, first, second]
            .into_iter()
            .take_while(|c| *c != '\0')
    }

    /// Whether every terminal gives this one column.
    fn is_plain(&self) -> bool {
        is_plain(self.character) && self.marks == BLANK.marks
    }
}

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

    /// Writes text from this place on; what would leave the row is cut off. Controls become `?`.
    pub fn put(&mut self, column: usize, row: usize, text: &str, style: Style) {
        let mut at = column;
        let mut last = None;
        for character in text.chars().map(harmless) {
            let end = at.saturating_add(width(character));
            if end > self.columns {
                break;
            }
            if end == at {
                self.join(last, row, character);
                continue;
            }
            for place in at..end {
                let character = if place == at { character } else { COVERED };
                self.set(
                    place,
                    row,
                    Cell {
                        character,
                        style,
                        ..BLANK
                    },
                );
            }
            last = Some(at);
            at = end;
        }
    }

    /// Adds a mark to what stands in `column`.
    fn join(&mut self, column: Option<usize>, row: usize, mark: char) {
        let cell = column.and_then(|column| self.cell_mut(column, row));
        let free = cell.and_then(|cell| cell.marks.iter_mut().find(|mark| **mark == '\0'));
        if let Some(free) = free {
            *free = mark;
        }
    }

    /// Sets a cell; of a wide character that loses a column nothing is left.
    fn set(&mut self, column: usize, row: usize, cell: Cell) {
        let is_covered = |cell: &&mut Cell| cell.character == COVERED;
        if cell.character != COVERED {
            if self.cell_mut(column, row).filter(is_covered).is_some()
                && let Some(left) = column.checked_sub(1).and_then(|c| self.cell_mut(c, row))
            {
                *left = BLANK;
            }
            if let Some(right) = self
                .cell_mut(column.saturating_add(1), row)
                .filter(is_covered)
            {
                *right = BLANK;
            }
        }
        if let Some(place) = self.cell_mut(column, row) {
            *place = cell;
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

    /// The rows, each as stretches of one style. For programs on a host that show a page.
    pub fn lines(&self) -> impl Iterator<Item = Vec<(Style, String)>> + '_ {
        self.cells.chunks(self.columns.max(1)).map(|cells| {
            let stretches = cells.chunk_by(|one, next| one.style == next.style);
            let text = |cells: &[Cell]| cells.iter().flat_map(Cell::characters).collect();
            let styled = |cells: &[Cell]| cells.first().map(|cell| (cell.style, text(cells)));
            stretches.filter_map(styled).collect()
        })
    }

    /// The page as text, trailing blanks removed; highlighted stretches stand between `[` and `]` in a second block.
    ///
    /// For tests and for showing a page in a document.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (row, cells) in self.cells.chunks(self.columns.max(1)).enumerate() {
            let line: String = cells.iter().flat_map(Cell::characters).collect();
            text.push_str(line.trim_end());
            let highlighted: String = cells
                .iter()
                .filter(|cell| cell.style == Style::Highlight)
                .flat_map(Cell::characters)
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
            is_exact: true,
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
        move_to(&mut pen, screen.cursor, true, &mut out);
        self.shown = Some(screen.clone());
        out
    }

    fn paint_row(&self, row: usize, old: &[Cell], new: &[Cell], pen: &mut Pen, out: &mut Vec<u8>) {
        for (column, (before, after)) in old.iter().zip(new).enumerate() {
            if before == after || after.character == COVERED {
                continue;
            }
            // A short gap is cheaper to send again than to jump over.
            if let Some((at, at_row)) = pen.at
                && at_row == row
                && at < column
                && column.saturating_sub(at) <= 5
                && let Some(gap) = new.get(at..column)
                && gap
                    .iter()
                    .all(|cell| cell.style == pen.style && cell.is_plain())
            {
                for cell in gap {
                    pen.write(cell, new.len(), out);
                }
            }
            self.set_style(pen, after.style, out);
            move_to(pen, (column, row), after.is_plain(), out);
            pen.write(after, new.len(), out);
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

/// Where the terminal's cursor is (`None`: not known) and how it writes.
struct Pen {
    at: Option<(usize, usize)>,
    /// No character was written since the last move that some terminal might give another width.
    is_exact: bool,
    style: Style,
}

impl Pen {
    fn write(&mut self, cell: &Cell, columns: usize, out: &mut Vec<u8>) {
        for character in cell.characters() {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.is_exact &= cell.is_plain();
        // After the last column terminals differ about where the cursor is.
        self.at = self
            .at
            .and_then(|(column, row)| {
                let column = column.checked_add(width(cell.character))?;
                Some((column, row))
            })
            .filter(|(column, _)| *column < columns);
    }
}

/// Brings the cursor to this place. `exactly`: not only by what the widths of characters say.
fn move_to(pen: &mut Pen, to: (usize, usize), exactly: bool, out: &mut Vec<u8>) {
    if pen.at == Some(to) && (pen.is_exact || !exactly) {
        return;
    }
    let (column, row) = (to.0.saturating_add(1), to.1.saturating_add(1));
    match pen.at {
        Some((at, at_row)) if at_row == to.1 && to.0 == 0 && at > 0 => out.push(b'\r'),
        _ => out.extend_from_slice(format!("\x1b[{row};{column}H").as_bytes()),
    }
    pen.at = Some(to);
    pen.is_exact = true;
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
    fn wide_characters_and_marks_shift_nothing() {
        let mut painter = Painter::default();
        let mut screen = Screen::new(8, 1);
        screen.put(0, 0, "|漢e\u{301}|", Style::Standard);
        screen.set_cursor(5, 0);
        assert_eq!(screen.to_text(), "|漢e\u{301}|   <== cursor in column 5\n");
        // What follows is put where it belongs even if the terminal thinks otherwise of the widths.
        let sent = String::from_utf8(painter.paint(&screen)).unwrap();
        assert_eq!(sent, "\x1b[0m\x1b[H\x1b[J|漢e\u{301}\x1b[1;5H|");
        // Half of a wide character is none.
        screen.put(2, 0, "x", Style::Standard);
        assert_eq!(screen.to_text(), "| xe\u{301}|   <== cursor in column 5\n");
        let sent = String::from_utf8(painter.paint(&screen)).unwrap();
        assert_eq!(sent, "\x1b[1;2H x\x1b[1;6H");
        screen.put(1, 0, "漢", Style::Standard);
        screen.put(1, 0, "y", Style::Standard);
        assert_eq!(screen.to_text(), "|y e\u{301}|   <== cursor in column 5\n");
        screen.put(7, 0, "漢", Style::Standard);
        assert!(!screen.to_text().contains('漢'), "it needs two columns");
        // Marks beyond what a cell holds are left out; a mark alone joins nothing.
        screen.put(6, 0, "a\u{301}\u{302}\u{303}", Style::Standard);
        screen.put(5, 0, "\u{301}", Style::Standard);
        assert!(
            screen.to_text().contains(" a\u{301}\u{302} "),
            "{}",
            screen.to_text()
        );
    }

    #[test]
    fn text_cannot_leave_the_page_or_move_the_cursor() {
        let mut screen = Screen::new(4, 2);
        screen.put(2, 0, "a\x1bc", Style::Standard);
        screen.put(0, 9, "x", Style::Standard);
        screen.put(9, 0, "x", Style::Standard);
        screen.set_cursor(0, 1);
        assert_eq!(screen.to_text(), "  a?\n   <== cursor in column 0\n");
    }
}
