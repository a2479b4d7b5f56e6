//! The menu from beginning to end: countdown, keys, booting, fallback, and what happens when nothing boots.
//!
//! [`run`] is the only entry point. It ends when the machine was handed over or the domain is to stop; every wait
//! but those of the menu and the prompts themselves is bounded, so that a guest that nobody watches goes on.
//! `display` holds what is drawn and how keys are taken, `editing` the entry editor.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::commands::password;
use crate::diagnostic::{self, Diagnostic};
use crate::error::Failure;
use crate::eval::{Access, Exit, Session, State};
use crate::line_editor::{History, LineView};
use crate::machine::Machine;
use crate::number;
use crate::page::{self, MIN_COLUMNS, MIN_ROWS};
use crate::parse::parse;
use crate::prompt::{self, Escape};
use crate::screen::Painter;
use crate::select::{Action, List, Select, View};
use crate::terminal::{ShutdownRequest, Terminal, TerminalKind};
use crate::text::visible;
use crate::tree::{DefaultEntry, Entry, Menu};

mod display;
mod editing;

/// How long "Press any key to continue..." waits. The original waited for ever, which stopped unattended guests.
pub const FAILURE_WAIT: Duration = Duration::from_secs(10);

/// What is done when nothing boots and nobody types, unless the options say otherwise.
///
/// Trying again: what was missing may be a disk whose back end is late, or a file that dom0 puts right. A guest that
/// waits for a key would need somebody to come, and one that powers off looks to its owner as if it had never been
/// started. Once a minute costs the host's console log half a kilobyte at a time.
pub const DEFAULT_UNATTENDED: Unattended = Unattended::RetryAfter(60);

/// How long the prompt without a menu waits for its first key before the domain powers off or restarts, where that is
/// wanted.
pub const PROMPT_WAIT: Duration = Duration::from_secs(60);

/// Menus that may load each other (`configfile`) without a key between them, before the prompt opens.
const MAX_LOADS: usize = 16;

/// Remarks that are shown about a menu of which nothing was understood.
const MAX_REMARKS: usize = 5;

/// What is done when the default entry and its fallbacks failed and nobody pressed a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unattended {
    /// The menu waits for a key.
    Wait,
    /// The menu counts down this many seconds and starts again with the default entry; where there is no menu, it is
    /// looked for again.
    RetryAfter(u32),
    /// The domain restarts.
    Reboot,
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
    /// What the terminal understands; the menu's `terminal --dumb` changes it.
    pub kind: TerminalKind,
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
            kind: TerminalKind::Vt100,
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
    /// There is no menu and nobody typed: look for one again, and call [`run`] with what was found.
    LookAgain,
}

/// Shows the menu of this text and does what it and the user say. Without one, or with one that has no entries, the
/// command line opens.
pub fn run(
    text: Option<&[u8]>,
    terminal: &mut dyn Terminal,
    machine: &mut dyn Machine,
    options: &Options,
) -> Outcome {
    let mut state = State {
        append: options.append.clone(),
        kind: options.kind,
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
        line: None,
        history: History::default(),
        loads: 0,
        note: String::new(),
    };
    let mut first = Some((options.entry.as_ref(), options.timeout));
    let mut menu = text.map(parse);
    loop {
        let (entry, timeout) = first.take().unwrap_or_default();
        let result = match menu.take() {
            Some((menu, remarks)) if !menu.entries.is_empty() => {
                runner.note = diagnostic::note(&remarks);
                runner.menu(menu, entry, timeout)
            }
            Some((menu, remarks)) => runner.no_entries(&menu, &remarks),
            None => runner.prompt_alone(),
        };
        match result {
            Err(Exit::Outcome(outcome)) => return outcome,
            Err(Exit::Load(source)) if runner.loads < MAX_LOADS => {
                runner.loads = runner.loads.saturating_add(1);
                menu = Some(parse(&source.text));
            }
            Err(Exit::Load(_)) => runner
                .session
                .print("\nMenus that load each other without end; stopped\n"),
            Err(Exit::Deserted) => match options.unattended {
                Unattended::PowerOff => return Outcome::Halt,
                Unattended::Reboot => return Outcome::Reboot,
                Unattended::Wait | Unattended::RetryAfter(_) => return Outcome::LookAgain,
            },
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
    /// It did not boot, and nobody pressed a key.
    Deserted,
}

struct Runner<'a, 'b> {
    session: Session<'a>,
    options: &'b Options,
    painter: Painter,
    /// The line that a hidden menu or a dumb terminal counts down in; `None` before it is begun.
    line: Option<LineView>,
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
        let wanted = entry.and_then(|choice| chosen(&menu, choice));
        if wanted.is_none() && entry.is_some() {
            self.note = "No entry is what `--entry=` says; this is the menu's own choice".into();
        }
        let first = wanted.unwrap_or_else(|| self.first_choice(&menu));
        let list = List::new(
            menu.entries.len(),
            page::box_rows(self.session.state.rows),
            first,
        );
        let mut select = Select::new(list, timeout.or(menu.timeout), self.session.access());
        if menu.hidden && select.countdown.is_some() {
            select.view = View::Hidden;
        }
        self.forget();
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
                    self.clear();
                    self.command_line(Escape::ToMenu)?;
                    Return::ToMenu
                }
                Action::Password => self.unlock()?,
                Action::Draw => Return::ToMenu,
            };
            // Back from anywhere: the list, and no countdown into what just failed.
            self.forget();
            select.view = View::Shown;
            select.countdown = None;
            if returned == Return::Deserted {
                match self.options.unattended {
                    Unattended::Wait => {}
                    Unattended::PowerOff => return Err(Exit::Outcome(Outcome::Halt)),
                    Unattended::Reboot => return Err(Exit::Outcome(Outcome::Reboot)),
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
    fn no_entries(&mut self, menu: &Menu, remarks: &[Diagnostic]) -> Result<(), Exit> {
        self.session.run_globals(menu)?;
        self.session
            .print("\nThe menu has no entries; each begins with a line `title TEXT`\n");
        for remark in remarks.iter().take(MAX_REMARKS) {
            self.session.print(&format!("  {remark}\n"));
        }
        self.prompt_alone()
    }

    /// The command line with no menu behind it. A password that was set still forbids it.
    fn prompt_alone(&mut self) -> Result<(), Exit> {
        let wait = match self.options.unattended {
            Unattended::Wait => None,
            Unattended::RetryAfter(seconds) => Some(Duration::from_secs(seconds.max(1).into())),
            Unattended::Reboot | Unattended::PowerOff => Some(PROMPT_WAIT),
        };
        let mut deadline = wait.map(|wait| self.session.after(wait));
        while self.session.access() == Access::Locked {
            self.session.print("\nPress a key and enter the password\n");
            if self.session.key(deadline)?.is_none() {
                return Err(Exit::Deserted);
            }
            deadline = None;
            self.unlock()?;
        }
        self.loads = 0;
        let (session, history) = (&mut self.session, &mut self.history);
        prompt::command_line(session, history, Escape::Nowhere, deadline)
    }

    fn command_line(&mut self, escape: Escape) -> Result<(), Exit> {
        self.loads = 0;
        prompt::command_line(&mut self.session, &mut self.history, escape, None)
    }

    fn first_choice(&mut self, menu: &Menu) -> usize {
        let saved = match menu.default {
            DefaultEntry::Saved => self.saved_entry(),
            DefaultEntry::Index(_) => None,
        };
        menu.first_choice(saved)
    }

    /// What `savedefault` wrote. `N:M` means N this time and M from then on, so M is written at once; where that
    /// fails, N could boot again and again, which is what the user wanted to avoid: M is taken then.
    fn saved_entry(&mut self) -> Option<usize> {
        let saved = self.session.machine.saved_default();
        let (once, rest) = number::leading(saved.trim_ascii_start())?;
        let chosen = match rest.strip_prefix(b":").and_then(number::leading) {
            None => once,
            Some((later, _)) => match self
                .session
                .machine
                .save_default(format!("{later}").as_bytes())
            {
                Ok(_) => once,
                Err(failure) => {
                    let text = format!(
                        "\nEntry {later} instead of {once}, as it cannot be noted that {once} was booted once\n"
                    );
                    self.session.print(&text);
                    self.session.show_failure(&failure);
                    later
                }
            },
        };
        usize::try_from(chosen).ok()
    }

    /// Boots an entry and, while they fail, its fallbacks.
    fn boot(&mut self, menu: &Menu, index: usize, trigger: Trigger) -> Result<Return, Exit> {
        let mut index = index;
        let mut tried = Vec::new();
        loop {
            let Some(entry) = menu.entries.get(index) else {
                return Ok(Return::ToMenu);
            };
            self.session.state.running = Some(index);
            self.session.machine.begins(index);
            let typed = self.session.state.typed;
            if self.attempt(entry)?.is_ok() {
                // Nothing to boot, or a password that nobody gave: the menu is not to wait for ever after that either.
                return Ok(match trigger {
                    Trigger::Timeout if self.session.state.typed == typed => Return::Deserted,
                    _ => Return::ToMenu,
                });
            }
            tried.push(index);
            match self.next_fallback(menu, &tried) {
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
            self.clear();
        }
        self.forget();
        let title = visible(entry.title.trim_ascii_end());
        self.session.print(&format!("\n  Booting '{title}'\n\n"));
        match self.session.run_entry(entry) {
            Ok(()) | Err(Exit::Cancelled) => {
                self.note.clear();
                Ok(Ok(()))
            }
            Err(Exit::Failure(failure)) => {
                self.note = format!("'{title}' failed: {}", failure.code);
                self.session.machine.failed(&failure);
                self.session.show_failure(&failure);
                Ok(Err(failure))
            }
            Err(exit) => Err(exit),
        }
    }

    /// The next fallback that exists and was not tried yet: entries may name each other with `fallback` in a circle.
    fn next_fallback(&mut self, menu: &Menu, tried: &[usize]) -> Option<usize> {
        while !self.session.state.fallback.is_empty() {
            let next = self.session.state.fallback.remove(0);
            if next < menu.entries.len() && !tried.contains(&next) {
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
        self.loads = 0;
        self.clear();
        match password::unlock(&mut self.session) {
            Ok(()) | Err(Exit::Cancelled) => Ok(Return::ToMenu),
            Err(Exit::Failure(failure)) => {
                self.session.show_failure(&failure);
                self.wait_after_failure(Trigger::User)
            }
            Err(exit) => Err(exit),
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

#[cfg(test)]
#[path = "answers_tests.rs"]
mod answers_tests;
#[cfg(test)]
#[path = "chaos_tests.rs"]
mod chaos_tests;
#[cfg(test)]
#[path = "golden_tests.rs"]
mod golden_tests;
#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "unattended_tests.rs"]
mod unattended_tests;
