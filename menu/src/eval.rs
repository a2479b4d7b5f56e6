//! Runs commands against a [`Machine`], one after the other, as GRUB 0.97 does.
//!
//! [`Session`] is the present state: the machine, the terminal, and [`State`], which outlives entries. Commands take
//! effect at once and in order; an entry starts from [`Machine::reset`], so nothing of an earlier entry survives
//! (the original kept a stale initrd); an entry that loaded a kernel ends in an implied `boot`.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::diagnostic::shorten;
use crate::error::{Code, Failure};
use crate::keys::{Event, Key, Keyboard};
use crate::lexer::split_word;
use crate::machine::{Machine, Reply};
use crate::page::{MIN_COLUMNS, MIN_ROWS};
use crate::run::Outcome;
use crate::table::{self, CommandInfo, Place};
use crate::terminal::{Terminal, TerminalKind, print};
use crate::text::visible;
use crate::tree::{Colors, Command, Entry, MAX_FALLBACKS, Menu, Password};

/// Why commands stopped before their end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exit {
    /// One failed.
    Failure(Failure),
    /// Another menu is to be shown.
    Load(Source),
    /// The menu is over.
    Outcome(Outcome),
    /// The user left: ESC at a prompt. Nothing failed.
    Cancelled,
    /// The time for a first key at a prompt passed: nobody is there.
    Deserted,
}

impl From<Failure> for Exit {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Code> for Exit {
    fn from(code: Code) -> Self {
        Self::Failure(Failure::new(code))
    }
}

/// A menu that was read: where from, and its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The file's name as it was given.
    pub name: Vec<u8>,
    /// Its contents.
    pub text: Vec<u8>,
}

/// Whether the menu's password was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// A password is set and was not given.
    Locked,
    /// There is no password, or it was given.
    #[default]
    Open,
}

/// Whether the terminal was asked for its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Size {
    /// Not yet.
    #[default]
    Unknown,
    /// Yes; the answer comes as a key.
    Asked,
}

/// When long output stops after each screenful.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pager {
    /// Where somebody typed the command.
    #[default]
    Typed,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Where the commands come from that run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Origin {
    /// The menu's lines.
    #[default]
    Menu,
    /// Somebody types them and reads the answers.
    Typed,
}

/// On or off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    #[default]
    Off,
}

/// What was loaded so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Loaded {
    /// Nothing that `boot` could start.
    #[default]
    Nothing,
    /// A kernel.
    Kernel,
}

/// Longest menu that is read, in bytes. The original's limit was a third of a megabyte.
pub const MAX_MENU_BYTES: usize = 16 << 20;

/// Bytes of a kernel's command line that a PV guest can be handed (`start_info.cmd_line` holds 1024 with a NUL).
pub const MAX_KERNEL_ARGS: usize = 1023;

/// The widest and highest page that a terminal can ask for: its answer is not to be trusted with memory.
const MAX_COLUMNS: usize = 240;
const MAX_ROWS: usize = 100;

/// What outlives an entry.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Entries still to be tried when one fails, in order.
    pub fallback: Vec<usize>,
    /// The password of the menu.
    pub password: Option<Password>,
    /// Whether it was given.
    pub access: Access,
    /// The menu's colours.
    pub colors: Option<Colors>,
    /// `pager`.
    pub pager: Pager,
    /// Where the present command comes from.
    pub origin: Origin,
    /// `debug`.
    pub debug: Switch,
    /// The entry that runs, from 0; `None` on the command line.
    pub running: Option<usize>,
    /// What was loaded since the last reset.
    pub loaded: Loaded,
    /// Added to every kernel's command line (from the domain's configuration).
    pub append: Vec<u8>,
    /// What the terminal understands.
    pub kind: TerminalKind,
    /// Rows of the terminal.
    pub rows: usize,
    /// Columns of the terminal.
    pub columns: usize,
    /// Whether it was asked for them.
    pub size: Size,
    /// Keys that were read but not used.
    pub keyboard: Keyboard,
    /// Keys typed so far.
    pub typed: u64,
}

/// The state of evaluation: everything a command may use.
pub struct Session<'a> {
    /// The loader behind the menu.
    pub machine: &'a mut dyn Machine,
    /// The console.
    pub terminal: &'a mut dyn Terminal,
    /// What outlives an entry.
    pub state: &'a mut State,
}

impl core::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Session<'_> {
    /// Forgets what was loaded; the root device is the initial one again.
    pub fn reset(&mut self) {
        self.machine.reset();
        self.state.loaded = Loaded::Nothing;
    }

    /// Takes over a menu's settings and runs its other global commands; failures are shown and ignored.
    ///
    /// # Errors
    /// [`Exit::Load`] and [`Exit::Outcome`], where a command leads there.
    pub fn run_globals(&mut self, menu: &Menu) -> Result<(), Exit> {
        self.state.fallback.clone_from(&menu.fallback);
        self.state.password.clone_from(&menu.password);
        self.state.access = if menu.password.is_some() {
            Access::Locked
        } else {
            Access::Open
        };
        self.state.colors = menu.colors;
        self.state.running = None;
        self.state.origin = Origin::Menu;
        self.reset();
        for command in &menu.globals {
            let runs = table::find(&command.word).filter(|info| info.place == Place::Anywhere);
            match runs.map(|info| (info.run)(self, command)) {
                Some(Err(Exit::Failure(failure))) => self.show_failure(&during(command, failure)),
                Some(Err(exit)) => return Err(exit),
                Some(Ok(())) | None => {}
            }
        }
        Ok(())
    }

    /// Runs an entry from a fresh start, and boots what it loaded.
    ///
    /// # Errors
    /// The first command that failed, or why there is nothing more to do here. `Ok` where the entry ended without
    /// having loaded anything, which is no failure (`title Other systems:` followed by `root`).
    pub fn run_entry(&mut self, entry: &Entry) -> Result<(), Exit> {
        self.state.origin = Origin::Menu;
        self.reset();
        for command in &entry.commands {
            self.print(&visible(&command.to_line()));
            self.print("\n");
            self.run_command(command)?;
        }
        match self.state.loaded {
            Loaded::Nothing => Ok(()),
            Loaded::Kernel => {
                let boot = Command::typed(b"boot");
                self.run_command(&boot)
            }
        }
    }

    /// Runs one command of an entry or of the command line.
    ///
    /// # Errors
    /// Its failure, with the command named in the first reason; or where it leads instead of on.
    pub fn run_command(&mut self, command: &Command) -> Result<(), Exit> {
        let Some(info) = table::find(&command.word) else {
            let place = match command.word_span.start.line {
                0 => String::new(),
                line => alloc::format!(" (line {line} of the menu)"),
            };
            let word = shorten(&command.word);
            let reason = table::why_unknown(&command.word);
            return Err(Failure::new(Code::UNKNOWN_COMMAND)
                .because(alloc::format!("`{word}`{place}: {reason}"))
                .into());
        };
        let what = match info.place {
            Place::Title => "begins an entry of a menu's file",
            Place::Setting => "only works in a menu's file, before the first title",
            _ => "",
        };
        if !what.is_empty() {
            return Err(Failure::new(Code::UNKNOWN_COMMAND)
                .because(alloc::format!("`{}` {what}", info.name))
                .into());
        }
        self.run_known(info, command).map_err(|exit| match exit {
            Exit::Failure(failure) => Exit::Failure(during(command, failure)),
            other => other,
        })
    }

    /// Runs a command that was looked up already and may stand where it does.
    ///
    /// # Errors
    /// As [`Session::run_command`], without the command named.
    pub fn run_known(&mut self, info: &'static CommandInfo, command: &Command) -> Result<(), Exit> {
        (info.run)(self, command)
    }

    /// Shows text.
    pub fn print(&mut self, text: &str) {
        print(self.terminal, text);
    }

    /// Shows a machine's note, if it has one.
    ///
    /// # Errors
    /// The machine's failure.
    pub fn note(&mut self, reply: Reply) -> Result<(), Exit> {
        let note = reply?;
        if !note.is_empty() {
            self.print(&note);
            self.print("\n");
        }
        Ok(())
    }

    /// Shows a failure: a blank line, the number, the reasons.
    pub fn show_failure(&mut self, failure: &Failure) {
        self.print(&alloc::format!("\n{failure}\n"));
    }

    /// The next key, waiting until `deadline`; `None` when that passed. Answers about the terminal's size are noted and
    /// not handed over.
    ///
    /// # Errors
    /// [`Exit::Outcome`] where the toolstack asked the domain to stop.
    pub fn key(&mut self, deadline: Option<Duration>) -> Result<Option<Key>, Exit> {
        loop {
            match self.key_or_report(deadline)? {
                // Nobody pressed it.
                Some(Key::Report { .. }) => {}
                key => return Ok(key),
            }
        }
    }

    /// The same, but answers about the size are handed over when they have been noted.
    ///
    /// # Errors
    /// [`Exit::Outcome`] where the toolstack asked the domain to stop.
    pub fn key_or_report(&mut self, deadline: Option<Duration>) -> Result<Option<Key>, Exit> {
        match self.state.keyboard.next(self.terminal, deadline) {
            Event::Key(key) => {
                match key {
                    Key::Report { columns, rows } => self.resize(columns.into(), rows.into()),
                    _ => self.state.typed = self.state.typed.saturating_add(1),
                }
                Ok(Some(key))
            }
            Event::Timeout => Ok(None),
            Event::Shutdown(request) => Err(Exit::Outcome(Outcome::Shutdown(request))),
        }
    }

    fn resize(&mut self, columns: usize, rows: usize) {
        // Smaller than any page: it was Shift-F3, which some terminals send in the same form.
        if self.state.size == Size::Asked && columns >= MIN_COLUMNS && rows >= MIN_ROWS {
            self.state.columns = columns.min(MAX_COLUMNS);
            self.state.rows = rows.min(MAX_ROWS);
        }
    }

    /// The time `wait` from now.
    #[must_use]
    pub fn after(&self, wait: Duration) -> Duration {
        self.terminal.now().saturating_add(wait)
    }

    /// Sets the entries to be tried on failure.
    pub fn set_fallback(&mut self, mut list: Vec<usize>) {
        list.truncate(MAX_FALLBACKS);
        self.state.fallback = list;
    }

    /// Whether the user may edit and type commands.
    #[must_use]
    pub fn access(&self) -> Access {
        match self.state.password {
            None => Access::Open,
            Some(_) => self.state.access,
        }
    }
}

/// Names the command before a failure's first reason: the word, and its first argument that is not an option.
fn during(command: &Command, failure: Failure) -> Failure {
    let mut rest = command.args.as_slice();
    let argument = loop {
        let (word, more) = split_word(rest);
        if !word.starts_with(b"--") {
            break word;
        }
        rest = more;
    };
    let word = shorten(&command.word);
    match argument {
        _ if command.is(b"initrd") || command.is(b"cmp") => failure, // they say which file it was
        _ if command.is(b"password") => failure.during(&word),       // what follows is a secret
        b"" => failure.during(&word),
        _ => failure.during(&alloc::format!("{word} {}", visible(argument))),
    }
}

#[cfg(test)]
#[path = "eval_tests.rs"]
mod tests;
