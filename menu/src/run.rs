//! The menu from beginning to end: countdown, keys, booting, fallback, and what happens when nothing boots.
//!
//! [`run`] is the only entry point. It ends when the machine was handed over or the domain is to stop; every wait
//! but those of the menu and the prompts themselves is bounded, so that a guest that nobody watches goes on.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::commands::password;
use crate::edit::{self, Editor};
use crate::error::Failure;
use crate::eval::{Access, Exit, Session, State};
use crate::lexer::split_word;
use crate::line_editor::{History, LineView};
use crate::machine::Machine;
use crate::number;
use crate::page::{self, MIN_COLUMNS, MIN_ROWS, Surroundings};
use crate::parse::parse;
use crate::prompt::{self, Escape, read_line};
use crate::screen::Painter;
use crate::select::{Action, List, Select, View};
use crate::terminal::{ShutdownRequest, Terminal};
use crate::text::cells;
use crate::tree::{DefaultEntry, Entry, Menu};

/// How long "Press any key to continue..." waits. The original waited for ever, which stopped unattended guests.
pub const FAILURE_WAIT: Duration = Duration::from_secs(10);

/// What is done when nothing boots and nobody types, unless the options say otherwise.
///
/// Waiting in the menu, the processor asleep: a guest that retries for ever fills the host's console log, and one that
/// powers off looks to its owner as if it had never been started.
pub const DEFAULT_UNATTENDED: Unattended = Unattended::Wait;

/// Menus that may load each other (`configfile`) without a key between them, before the prompt opens.
const MAX_LOADS: usize = 16;

const CLEAR: &[u8] = b"\x1b[0m\x1b[H\x1b[J";

/// What is done when the default entry and its fallbacks failed and nobody pressed a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unattended {
    /// The menu waits for a key.
    Wait,
    /// The menu counts down this many seconds and starts again with the default entry.
    RetryAfter(u32),
    /// The domain powers off.
    PowerOff,
}

/// An entry, as the domain's configuration names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// Its number, from 0.
    Number(usize),
    /// Its title, blanks at both ends aside.
    Title(Vec<u8>),
}

impl Choice {
    /// A choice as it is written: a number, or else a title.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        match number::whole(text).and_then(|value| usize::try_from(value).ok()) {
            Some(value) => Self::Number(value),
            None => Self::Title(text.to_vec()),
        }
    }
}

/// What surrounds the menu.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The first line of the menu.
    pub banner: String,
    /// Columns of the terminal.
    pub columns: usize,
    /// Rows of the terminal.
    pub rows: usize,
    /// The entry to highlight at first in the first menu, instead of its `default`.
    pub entry: Option<Choice>,
    /// The time-out of the first menu in seconds, instead of its own.
    pub timeout: Option<u32>,
    /// Added to every kernel's command line.
    pub append: Vec<u8>,
    /// What is done when nothing boots and nobody types.
    pub unattended: Unattended,
}

impl Default for Options {
    /// An 80 by 24 terminal and nothing special.
    fn default() -> Self {
        Self {
            banner: concat!("pv-grub version ", env!("CARGO_PKG_VERSION")).into(),
            columns: 80,
            rows: 24,
            entry: None,
            timeout: None,
            append: Vec::new(),
            unattended: DEFAULT_UNATTENDED,
        }
    }
}

/// Why the menu is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// [`Machine::boot`] returned `Ok`: handing over is simulated.
    Booted,
    /// Power off: `halt`, or nobody was there.
    Halt,
    /// Restart: `reboot`.
    Reboot,
    /// The toolstack asked for it.
    Shutdown(ShutdownRequest),
}

/// Shows `menu` and does what it and the user say. Without a menu, or with one that has no entries, the command line
/// opens.
pub fn run(
    menu: Option<Menu>,
    terminal: &mut dyn Terminal,
    machine: &mut dyn Machine,
    options: &Options,
) -> Outcome {
    let mut state = State {
        append: options.append.clone(),
        columns: options.columns.max(MIN_COLUMNS),
        rows: options.rows.max(MIN_ROWS),
        ..State::default()
    };
    let session = Session {
        machine,
        terminal,
        state: &mut state,
    };
    let mut runner = Runner {
        session,
        options,
        painter: Painter::default(),
        history: History::default(),
        loads: 0,
        note: String::new(),
    };
    let mut first = Some((options.entry.as_ref(), options.timeout));
    let mut menu = menu;
    loop {
        let (entry, timeout) = first.take().unwrap_or_default();
        let result = match menu.take() {
            Some(menu) if !menu.entries.is_empty() => runner.menu(menu, entry, timeout),
            Some(menu) => runner.no_entries(&menu),
            None => runner.command_line(Escape::Nowhere),
        };
        match result {
            Err(Exit::Outcome(outcome)) => return outcome,
            Err(Exit::Load(source)) if runner.loads < MAX_LOADS => {
                runner.loads = runner.loads.saturating_add(1);
                menu = Some(parse(&source.text).0);
            }
            Err(Exit::Load(_)) => runner
                .session
                .print("\nMenus that load each other without end; stopped\n"),
            // Neither comes out of the menu; the prompt is where they would lead.
            Ok(()) | Err(Exit::Failure(_) | Exit::Cancelled) => {}
        }
    }
}

/// Who started an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trigger {
    /// A key.
    User,
    /// The time-out.
    Timeout,
}

/// How an attempt to boot came back to the menu.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Return {
    /// Somebody is there, or nothing failed.
    ToMenu,
    /// It failed, and nobody pressed a key.
    Deserted,
}

struct Runner<'a, 'b> {
    session: Session<'a>,
    options: &'b Options,
    painter: Painter,
    history: History,
    /// Menus loaded since the last key.
    loads: usize,
    /// The last failure, for the menu to show: its page covers what was printed.
    note: String,
}

impl Runner<'_, '_> {
    /// Shows a menu until it leads elsewhere.
    fn menu(
        &mut self,
        menu: Menu,
        entry: Option<&Choice>,
        timeout: Option<u32>,
    ) -> Result<(), Exit> {
        self.session.run_globals(&menu)?;
        let first = entry
            .and_then(|choice| chosen(&menu, choice))
            .unwrap_or_else(|| self.first_choice(&menu));
        let list = List::new(
            menu.entries.len(),
            page::box_rows(self.session.state.rows),
            first,
        );
        let mut select = Select::new(list, timeout.or(menu.timeout), self.session.access());
        if menu.hidden && select.countdown.is_some() {
            select.view = View::Hidden;
        }
        self.painter.forget();
        loop {
            select.access = self.session.access();
            let returned = match self.choose(&menu, &mut select)? {
                Action::BootByTimeout => {
                    self.boot(&menu, select.list.selected(), Trigger::Timeout)?
                }
                Action::Boot => self.boot(&menu, select.list.selected(), Trigger::User)?,
                Action::Edit => self.edit(&menu, select.list.selected())?,
                Action::Append => self.append(&menu, select.list.selected())?,
                Action::CommandLine => {
                    self.session.terminal.write(CLEAR);
                    self.command_line(Escape::ToMenu)?;
                    Return::ToMenu
                }
                Action::Password => self.unlock()?,
                Action::Draw => Return::ToMenu,
            };
            // Back from anywhere: the list, and no countdown into what just failed.
            self.painter.forget();
            select.view = View::Shown;
            select.countdown = None;
            if returned == Return::Deserted {
                match self.options.unattended {
                    Unattended::Wait => {}
                    Unattended::PowerOff => return Err(Exit::Outcome(Outcome::Halt)),
                    Unattended::RetryAfter(seconds) => {
                        // At least one second, or a menu that cannot boot would spin.
                        select.countdown = Some(seconds.max(1));
                        select.list.select(first);
                        self.session.set_fallback(menu.fallback.clone());
                    }
                }
            }
        }
    }

    /// A menu without entries: its settings, then the prompt.
    fn no_entries(&mut self, menu: &Menu) -> Result<(), Exit> {
        self.session.run_globals(menu)?;
        self.session.print("\nThe menu has no entries\n");
        while self.session.access() == Access::Locked {
            // A password forbids the command line, and there is no entry to boot instead.
            self.unlock()?;
        }
        self.command_line(Escape::Nowhere)
    }

    fn command_line(&mut self, escape: Escape) -> Result<(), Exit> {
        self.loads = 0;
        prompt::command_line(&mut self.session, &mut self.history, escape)
    }

    fn first_choice(&mut self, menu: &Menu) -> usize {
        let saved = match menu.default {
            DefaultEntry::Saved => saved_number(&self.session.machine.saved_default()),
            DefaultEntry::Index(_) => None,
        };
        menu.first_choice(saved)
    }

    /// Shows the list and takes keys until there is something to do.
    fn choose(&mut self, menu: &Menu, select: &mut Select) -> Result<Action, Exit> {
        let Some(seconds) = select.countdown else {
            return self.choose_until(menu, select, None);
        };
        if seconds == 0 {
            return Ok(Action::BootByTimeout);
        }
        let end = self.session.after(Duration::from_secs(u64::from(seconds)));
        self.choose_until(menu, select, Some(end))
    }

    fn choose_until(
        &mut self,
        menu: &Menu,
        select: &mut Select,
        end: Option<Duration>,
    ) -> Result<Action, Exit> {
        let mut hidden_line = LineView::new(self.session.state.columns.saturating_sub(1));
        loop {
            self.draw(menu, select, &mut hidden_line);
            // The next change of the number shown, while it is still counting.
            let tick = end.zip(select.countdown).map(|(end, seconds)| {
                end.saturating_sub(Duration::from_secs(u64::from(seconds.saturating_sub(1))))
            });
            let action = match self.session.key(tick)? {
                Some(key) => {
                    let counting = select.countdown.is_some();
                    let action = select.key(key);
                    if !counting || select.countdown.is_none() {
                        // Somebody is there: failures are theirs to see, as in the original.
                        self.session.state.fallback.clear();
                        self.loads = 0;
                    }
                    action
                }
                None => {
                    let left = end
                        .unwrap_or_default()
                        .saturating_sub(self.session.terminal.now());
                    let part = u64::from(left.subsec_nanos() > 0);
                    select.tick(
                        u32::try_from(left.as_secs().saturating_add(part)).unwrap_or(u32::MAX),
                    )
                }
            };
            if action != Action::Draw {
                return Ok(action);
            }
        }
    }

    fn draw(&mut self, menu: &Menu, select: &Select, hidden_line: &mut LineView) {
        let bytes = match (select.view, select.countdown) {
            (View::Hidden, Some(seconds)) => {
                let text = format!("Press `ESC' to enter the menu... {seconds}");
                hidden_line.draw_text(&text, text.len())
            }
            _ => {
                let around = Surroundings {
                    banner: &self.options.banner,
                    note: &self.note,
                    columns: self.session.state.columns,
                    rows: self.session.state.rows,
                };
                self.painter.set_colors(self.session.state.colors);
                self.painter.paint(&page::menu_page(menu, select, around))
            }
        };
        if !bytes.is_empty() {
            self.session.terminal.write(&bytes);
        }
    }

    /// Boots an entry and, while they fail, its fallbacks.
    fn boot(&mut self, menu: &Menu, index: usize, trigger: Trigger) -> Result<Return, Exit> {
        let mut index = index;
        loop {
            let Some(entry) = menu.entries.get(index) else {
                return Ok(Return::ToMenu);
            };
            self.session.state.running = Some(index);
            if self.attempt(entry)?.is_ok() {
                return Ok(Return::ToMenu);
            }
            match self.next_fallback(menu) {
                Some(next) => {
                    index = next;
                    self.session
                        .print(&format!("\nGoing on with the fallback, entry {next}\n"));
                }
                None => return self.wait_after_failure(trigger),
            }
        }
    }

    /// Runs an entry and shows its failure. The inner result is that; the outer one leads elsewhere.
    fn attempt(&mut self, entry: &Entry) -> Result<Result<(), Failure>, Exit> {
        if self.painter.is_showing() {
            self.session.terminal.write(CLEAR);
            self.painter.forget();
        }
        let title = cells(entry.title.trim_ascii_end());
        self.session.print(&format!("\n  Booting '{title}'\n\n"));
        match self.session.run_entry(entry) {
            Ok(()) | Err(Exit::Cancelled) => {
                self.note.clear();
                Ok(Ok(()))
            }
            Err(Exit::Failure(failure)) => {
                self.note = format!("'{title}' failed: {}", failure.code);
                self.session.show_failure(&failure);
                Ok(Err(failure))
            }
            Err(exit) => Err(exit),
        }
    }

    /// The next fallback that exists; each is tried once.
    fn next_fallback(&mut self, menu: &Menu) -> Option<usize> {
        while !self.session.state.fallback.is_empty() {
            let next = self.session.state.fallback.remove(0);
            if next < menu.entries.len() {
                return Some(next);
            }
        }
        None
    }

    fn wait_after_failure(&mut self, trigger: Trigger) -> Result<Return, Exit> {
        self.session.print("\nPress any key to continue...");
        let deadline = self.session.after(FAILURE_WAIT);
        let key = self.session.key(Some(deadline))?;
        self.session.print("\n");
        Ok(match (trigger, key) {
            (Trigger::Timeout, None) => Return::Deserted,
            _ => Return::ToMenu,
        })
    }

    fn unlock(&mut self) -> Result<Return, Exit> {
        self.session.terminal.write(CLEAR);
        match password::unlock(&mut self.session) {
            Ok(()) | Err(Exit::Cancelled) => Ok(Return::ToMenu),
            Err(Exit::Failure(failure)) => {
                self.session.show_failure(&failure);
                self.wait_after_failure(Trigger::User)
            }
            Err(exit) => Err(exit),
        }
    }

    /// The entry editor.
    fn edit(&mut self, menu: &Menu, index: usize) -> Result<Return, Exit> {
        let Some(entry) = menu.entries.get(index) else {
            return Ok(Return::ToMenu);
        };
        let mut editor = Editor::new(entry, page::box_rows(self.session.state.rows));
        self.painter.forget();
        loop {
            let around = Surroundings {
                banner: &self.options.banner,
                note: "",
                columns: self.session.state.columns,
                rows: self.session.state.rows,
            };
            let bytes = self.painter.paint(&page::edit_page(&editor, around));
            self.session.terminal.write(&bytes);
            let Some(key) = self.session.key(None)? else {
                continue;
            };
            match editor.key(key) {
                edit::Action::Draw => continue,
                edit::Action::Leave => return Ok(Return::ToMenu),
                edit::Action::Boot => {
                    self.boot_typed(&editor.entry(), index)?;
                }
                edit::Action::CommandLine => {
                    self.session.terminal.write(CLEAR);
                    self.command_line(Escape::ToMenu)?;
                }
                edit::Action::EditLine => {
                    self.session.terminal.write(CLEAR);
                    self.session.print(
                        "\n [ Enter keeps the changes, ESC forgets them. TAB completes. ]\n\n",
                    );
                    let line = read_line(
                        &mut self.session,
                        "grub edit> ",
                        editor.line(),
                        &History::default(),
                    )?;
                    if let Some(line) = line {
                        editor.set_line(line);
                    }
                }
            }
            self.painter.forget();
        }
    }

    /// Boots an entry as the user changed it; it has no fallback.
    fn boot_typed(&mut self, entry: &Entry, index: usize) -> Result<Return, Exit> {
        self.session.state.running = Some(index);
        self.session.state.fallback.clear();
        match self.attempt(entry)? {
            Ok(()) => Ok(Return::ToMenu),
            Err(_) => self.wait_after_failure(Trigger::User),
        }
    }

    /// Lets the user change the arguments of an entry's kernel, and boots.
    fn append(&mut self, menu: &Menu, index: usize) -> Result<Return, Exit> {
        let Some(mut entry) = menu.entries.get(index).cloned() else {
            return Ok(Return::ToMenu);
        };
        let Some(command) = entry
            .commands
            .iter_mut()
            .find(|command| command.word == b"kernel")
        else {
            return Ok(Return::ToMenu);
        };
        let (file, args) = split_kernel(&command.args);
        self.session.terminal.write(CLEAR);
        self.session
            .print("\n [ Enter boots with these arguments, ESC returns to the menu. ]\n\n");
        let Some(line) = read_line(
            &mut self.session,
            "grub append> ",
            args,
            &History::default(),
        )?
        else {
            return Ok(Return::ToMenu);
        };
        command.args = [file, b" ", &line].concat();
        self.boot_typed(&entry, index)
    }
}

/// Splits the arguments of `kernel` behind the file's name.
fn split_kernel(args: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = args;
    loop {
        let (word, more) = split_word(rest);
        rest = more;
        if !word.starts_with(b"--") {
            let file = args
                .get(..args.len().saturating_sub(rest.len()))
                .unwrap_or(args);
            return (file.trim_ascii_end(), rest);
        }
    }
}

fn chosen(menu: &Menu, choice: &Choice) -> Option<usize> {
    match choice {
        Choice::Number(number) => Some(*number).filter(|number| *number < menu.entries.len()),
        Choice::Title(title) => {
            let title = title.trim_ascii();
            menu.entries
                .iter()
                .position(|entry| entry.title.trim_ascii() == title)
        }
    }
}

/// The number at the start of the file that `savedefault` writes.
fn saved_number(bytes: &[u8]) -> Option<usize> {
    let (value, _) = number::leading(bytes.trim_ascii_start())?;
    usize::try_from(value).ok()
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
