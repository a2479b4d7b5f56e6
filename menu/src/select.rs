//! The menu as a state machine: a list, a highlighted line, a countdown. Keys and seconds go in, actions come out.

use crate::eval::Access;
use crate::keys::Key;

/// A list of which some rows are visible and one is highlighted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    count: usize,
    selected: usize,
    first: usize,
    rows: usize,
}

impl List {
    /// A list of `count` lines of which `rows` are visible at once, `selected` highlighted.
    #[must_use]
    pub fn new(count: usize, rows: usize, selected: usize) -> Self {
        let mut list = Self {
            count,
            selected: 0,
            first: 0,
            rows: rows.max(1),
        };
        list.select(selected);
        list
    }

    /// The highlighted line, from 0.
    #[must_use]
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// The first visible line.
    #[must_use]
    pub fn first(&self) -> usize {
        self.first
    }

    /// How many lines there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Highlights a line, the last where there are not so many, and scrolls to it.
    pub fn select(&mut self, line: usize) {
        self.selected = line.min(self.count.saturating_sub(1));
        if self.selected < self.first {
            self.first = self.selected;
        } else if self.selected >= self.first.saturating_add(self.rows) {
            self.first = self.selected.saturating_add(1).saturating_sub(self.rows);
        }
    }

    /// The list has another length now.
    pub fn set_count(&mut self, count: usize) {
        self.count = count;
        self.first = self.first.min(count.saturating_sub(self.rows));
        self.select(self.selected);
    }

    /// So many rows are visible now.
    pub fn set_rows(&mut self, rows: usize) {
        self.rows = rows.max(1);
        self.first = self.first.min(self.count.saturating_sub(self.rows));
        self.select(self.selected);
    }

    /// Moves the highlight where `key` says; `false` where the key is not one that moves.
    pub fn key(&mut self, key: Key) -> bool {
        match key {
            Key::Up | Key::Ctrl(b'p') | Key::Char(b'^') => {
                self.select(self.selected.saturating_sub(1))
            }
            Key::Down | Key::Ctrl(b'n') | Key::Char(b'v') => {
                self.select(self.selected.saturating_add(1))
            }
            Key::PageUp => self.select(self.selected.saturating_sub(self.rows)),
            Key::PageDown => self.select(self.selected.saturating_add(self.rows)),
            Key::Home | Key::Ctrl(b'a') => self.select(0),
            Key::End | Key::Ctrl(b'e') => self.select(usize::MAX),
            _ => return false,
        }
        true
    }
}

/// What the menu shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// The list.
    Shown,
    /// Only the countdown (`hiddenmenu`).
    Hidden,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing, or drawing what changed.
    Draw,
    /// Boot the highlighted entry, because somebody said so.
    Boot,
    /// Boot the highlighted entry, because the time is over.
    BootByTimeout,
    /// Edit the highlighted entry.
    Edit,
    /// Add arguments to the highlighted entry's kernel.
    Append,
    /// Open the command line.
    CommandLine,
    /// Ask for the password.
    Password,
}

/// The menu's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Select {
    /// The list.
    pub list: List,
    /// What is shown.
    pub view: View,
    /// Seconds until the highlighted entry boots; `None`: never.
    pub countdown: Option<u32>,
    /// What the user may do.
    pub access: Access,
    /// The number being typed, while digits follow each other.
    number: Option<usize>,
}

impl Select {
    /// A menu that shows its list and counts down from `countdown`.
    #[must_use]
    pub fn new(list: List, countdown: Option<u32>, access: Access) -> Self {
        Self {
            list,
            view: View::Shown,
            countdown,
            access,
            number: None,
        }
    }

    /// `seconds` are left; at 0 the entry boots.
    pub fn tick(&mut self, seconds: u32) -> Action {
        match self.countdown {
            None => Action::Draw,
            Some(_) if seconds == 0 => Action::BootByTimeout,
            Some(_) => {
                self.countdown = Some(seconds);
                Action::Draw
            }
        }
    }

    /// A key was pressed. Any key stops the countdown, except that a hidden menu listens to ESC alone.
    pub fn key(&mut self, key: Key) -> Action {
        if self.view == View::Hidden {
            if key == Key::Escape {
                self.view = View::Shown;
                self.countdown = None;
            }
            return Action::Draw;
        }
        self.countdown = None;
        if let Key::Char(digit @ b'0'..=b'9') = key {
            self.digit(usize::from(digit.wrapping_sub(b'0')));
            return Action::Draw;
        }
        self.number = None;
        if self.list.key(key) {
            return Action::Draw;
        }
        match (key, self.access) {
            (Key::Enter | Key::Right | Key::Char(b'b') | Key::Ctrl(b'f'), _) => Action::Boot,
            (Key::Char(b'p'), Access::Locked) => Action::Password,
            (Key::Char(b'e'), Access::Open) => Action::Edit,
            (Key::Char(b'a'), Access::Open) => Action::Append,
            (Key::Char(b'c'), Access::Open) => Action::CommandLine,
            _ => Action::Draw,
        }
    }

    /// Entries are chosen by number: digits that follow each other make one while an entry has it.
    fn digit(&mut self, digit: usize) {
        let longer = self
            .number
            .and_then(|number| number.checked_mul(10)?.checked_add(digit));
        let number = longer
            .filter(|number| *number < self.list.count())
            .unwrap_or(digit);
        self.number = Some(number);
        if number < self.list.count() {
            self.list.select(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu(count: usize) -> Select {
        Select::new(List::new(count, 3, 0), Some(5), Access::Open)
    }

    #[test]
    fn moves_and_scrolls() {
        let mut list = List::new(5, 3, 1);
        let mut steps = alloc::vec::Vec::new();
        for key in [
            Key::Down,
            Key::Down,
            Key::Down,
            Key::Down,
            Key::Up,
            Key::PageUp,
            Key::End,
            Key::Home,
            Key::PageDown,
        ] {
            assert!(list.key(key));
            steps.push((list.first(), list.selected()));
        }
        assert_eq!(
            steps,
            [
                (0, 2),
                (1, 3),
                (2, 4),
                (2, 4),
                (2, 3),
                (0, 0),
                (2, 4),
                (0, 0),
                (1, 3)
            ]
        );
        assert!(!list.key(Key::Enter));
        let mut empty = List::new(0, 3, 7);
        assert!(empty.key(Key::Down));
        assert_eq!(empty.selected(), 0);
    }

    #[test]
    fn any_key_stops_the_countdown() {
        let mut menu = menu(2);
        assert_eq!(menu.tick(4), Action::Draw);
        assert_eq!(menu.countdown, Some(4));
        menu.key(Key::Other);
        assert_eq!(menu.countdown, None);
        assert_eq!(menu.tick(0), Action::Draw);
    }

    #[test]
    fn time_runs_out() {
        assert_eq!(menu(2).tick(0), Action::BootByTimeout);
    }

    #[test]
    fn a_hidden_menu_shows_itself_on_escape_only() {
        let mut menu = menu(2);
        menu.view = View::Hidden;
        assert_eq!(menu.key(Key::Enter), Action::Draw);
        assert_eq!((menu.view, menu.countdown), (View::Hidden, Some(5)));
        menu.key(Key::Escape);
        assert_eq!((menu.view, menu.countdown), (View::Shown, None));
    }

    #[test]
    fn numbers_select() {
        let mut menu = menu(13);
        let mut seen = alloc::vec::Vec::new();
        for key in [b'1', b'2', b'7', b'1', b'4', b'x', b'1'] {
            menu.key(Key::Char(key));
            seen.push(menu.list.selected());
        }
        assert_eq!(seen, [1, 12, 7, 1, 4, 4, 1]);
        let mut short = Select::new(List::new(2, 3, 0), None, Access::Open);
        short.key(Key::Char(b'9'));
        assert_eq!(short.list.selected(), 0);
    }

    #[test]
    fn a_locked_menu_boots_and_asks_for_the_password() {
        let mut menu = Select::new(List::new(2, 3, 0), None, Access::Locked);
        assert_eq!(menu.key(Key::Char(b'e')), Action::Draw);
        assert_eq!(menu.key(Key::Char(b'c')), Action::Draw);
        assert_eq!(menu.key(Key::Char(b'a')), Action::Draw);
        assert_eq!(menu.key(Key::Char(b'p')), Action::Password);
        assert_eq!(menu.key(Key::Enter), Action::Boot);
        menu.access = Access::Open;
        assert_eq!(menu.key(Key::Char(b'e')), Action::Edit);
        assert_eq!(menu.key(Key::Char(b'c')), Action::CommandLine);
    }
}
