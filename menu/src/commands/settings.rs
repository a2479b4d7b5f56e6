//! Commands about the menu itself, and small talk.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::error::{Code, Failure};
use crate::eval::{Access, Exit, Origin, Pager, Session, Switch};
use crate::keys::Key;
use crate::lexer::{split_word, words};
use crate::number;
use crate::parse;
use crate::table::{COMMANDS, CommandInfo, Place, Status};
use crate::terminal::TerminalKind;
use crate::text::visible;
use crate::tree::Command;

/// How long `pause` and the pager wait for a key: long enough to read, short enough that nobody is waited for in vain.
const KEY_WAIT: Duration = Duration::from_secs(60);

/// A command the parser has dealt with already.
pub(crate) fn nothing(_: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    Ok(())
}

/// A command that is accepted and changes nothing. Old menus are not bothered; who types it is told.
pub(crate) fn quiet(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    if session.state.debug == Switch::On || session.state.origin == Origin::Typed {
        let word = visible(&command.word);
        session.print(&format!("`{word}` has no effect here; see `help {word}`\n"));
    }
    Ok(())
}

pub(crate) fn terminal(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let mut kind = TerminalKind::Vt100;
    for word in words(&command.args) {
        match word {
            b"--dumb" => kind = TerminalKind::Dumb,
            // These all mean the one console there is.
            b"serial" | b"console" | b"graphics" | b"gfxterm" | b"hercules" => {}
            _ if word.starts_with(b"--") => {}
            _ => {
                return Err(Failure::new(Code::BAD_ARGUMENT)
                    .because("the terminal is the domain's console; `terminal --dumb console` does without cursor movements")
                    .into());
            }
        }
    }
    if command.args.is_empty() {
        session.print(match session.state.kind {
            TerminalKind::Vt100 => "The terminal is the domain's console, taken for a vt100\n",
            TerminalKind::Dumb => "The terminal is the domain's console, taken for a dumb one\n",
        });
        return Ok(());
    }
    session.state.kind = kind;
    Ok(())
}

pub(crate) fn quit(session: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    session.print(
        "There is nothing to return to; `halt` powers the domain off, `reboot` restarts it\n",
    );
    Ok(())
}

pub(crate) fn clear(session: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    match session.state.kind {
        TerminalKind::Vt100 => session.terminal.write(b"\x1b[H\x1b[J"),
        TerminalKind::Dumb => session.print("\n"),
    }
    Ok(())
}

pub(crate) fn color(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    match parse::colors(&command.args) {
        Some(colors) => session.state.colors = Some(colors),
        None => {
            return Err(Failure::new(Code::BAD_ARGUMENT)
                .because(
                    "a colour is FOREGROUND/BACKGROUND, such as light-gray/black; see `help color`",
                )
                .into());
        }
    }
    Ok(())
}

pub(crate) fn fallback(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let (list, complete) = parse::fallback_list(&command.args);
    if !complete || list.is_empty() {
        return Err(Failure::new(Code::NUMBER)
            .because("`fallback` takes entries' numbers, from 0")
            .into());
    }
    session.set_fallback(list);
    Ok(())
}

pub(crate) fn lock(session: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    match session.access() {
        Access::Open => Ok(()),
        Access::Locked => Err(Failure::new(Code::PRIVILEGED)
            .because("the entry is locked; press `p` in the menu and give the password")
            .into()),
    }
}

pub(crate) fn pause(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    session.print(&format!("{}\n", visible(&command.args)));
    let deadline = session.after(KEY_WAIT);
    match session.key(Some(deadline))? {
        Some(Key::Escape) => Err(Exit::Cancelled),
        _ => Ok(()),
    }
}

pub(crate) fn print(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    session.print(&format!("{}\n", visible(&command.args)));
    Ok(())
}

pub(crate) fn debug(session: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    let (switch, text) = match session.state.debug {
        Switch::On => (Switch::Off, " Debug mode is turned off\n"),
        Switch::Off => (Switch::On, " Debug mode is turned on\n"),
    };
    session.state.debug = switch;
    session.print(text);
    Ok(())
}

pub(crate) fn pager(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let (word, _) = split_word(&command.args);
    let text;
    (session.state.pager, text) = match (word, session.state.pager) {
        (b"on", _) | (b"", Pager::Off) => (Pager::On, " Internal pager is now on\n"),
        (b"off", _) | (b"", Pager::On | Pager::Typed) => {
            (Pager::Off, " Internal pager is now off\n")
        }
        _ => {
            return Err(Failure::new(Code::BAD_ARGUMENT)
                .because("`pager` takes `on` or `off`")
                .into());
        }
    };
    session.print(text);
    Ok(())
}

pub(crate) fn read(_: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    Err(Failure::new(Code::UNKNOWN_COMMAND)
        .because("there is nothing like it in a PV guest; see `help`")
        .into())
}

pub(crate) fn savedefault(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    // Debian and Ubuntu write `savedefault --wait=2`; there is nothing to wait for.
    let word = words(&command.args)
        .find(|word| !word.starts_with(b"--"))
        .unwrap_or_default();
    let record: Vec<u8> = match word {
        b"" => match session.state.running {
            Some(index) => format!("{index}").into_bytes(),
            None => {
                return Err(Failure::new(Code::BAD_ARGUMENT)
                    .because("no entry is running; name one: `savedefault NUMBER`")
                    .into());
            }
        },
        b"fallback" => match session.state.fallback.first() {
            Some(index) => format!("{index}").into_bytes(),
            None => {
                return not_saved(
                    session,
                    &Failure::new(Code::BAD_ARGUMENT).because("no fallback is left"),
                );
            }
        },
        numbers => {
            let mut parts = numbers.splitn(2, |byte| *byte == b':');
            if !parts.all(|part| number::whole(part).is_some()) {
                return Err(Failure::new(Code::NUMBER)
                    .because("`savedefault` takes N, N:M or `fallback`")
                    .into());
            }
            numbers.to_vec()
        }
    };
    match session.machine.save_default(&record) {
        Ok(note) => session.note(Ok(note)),
        Err(failure) => not_saved(session, &failure),
    }
}

/// What the entry is for is booting: a default that cannot be written is reported and does not stop it.
fn not_saved(session: &mut Session<'_>, failure: &Failure) -> Result<(), Exit> {
    session.print("Warning: the default entry was not saved\n");
    for line in &failure.detail {
        session.print(&format!("  {line}\n"));
    }
    Ok(())
}

pub(crate) fn help(session: &mut Session<'_>, command: &Command) -> Result<(), Exit> {
    let text = match split_word(&command.args) {
        (b"", b"") => help_list(session.state.columns, Listed::Useful),
        (b"--all", b"") => help_list(session.state.columns, Listed::All),
        _ => help_for(&command.args, session.state.columns)?,
    };
    session.page(&text)
}

/// Which commands `help` lists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    /// Those that do something where they are typed.
    Useful,
    /// Those of menus too, and those that are accepted without effect or refused.
    All,
}

fn help_list(width: usize, listed: Listed) -> String {
    let half = width.saturating_sub(2).checked_div(2).unwrap_or(0).max(20);
    let mut text = String::new();
    let is_useful = |info: &&CommandInfo| {
        !matches!(info.place, Place::Title | Place::Setting)
            && matches!(info.status, Status::Works | Status::Extended)
    };
    let shown = COMMANDS
        .iter()
        .filter(|info| listed == Listed::All || is_useful(info));
    for (index, info) in shown.enumerate() {
        let mut line = format!("{} {}", info.name, info.syntax);
        if line.len() > half.saturating_sub(1) {
            line.truncate(half.saturating_sub(4)); // ASCII: the table is ours
            line.push_str("...");
        }
        if index % 2 == 0 {
            text.push_str(&format!("{line:<half$}"));
        } else {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn help_for(names: &[u8], width: usize) -> Result<String, Exit> {
    let mut text = String::new();
    for name in words(names) {
        // A beginning is enough, as in the original.
        let mut matching = COMMANDS
            .iter()
            .filter(|info| info.name.as_bytes().starts_with(name))
            .peekable();
        if matching.peek().is_none() {
            return Err(Failure::new(Code::UNKNOWN_COMMAND)
                .because(format!("no command `{}`", visible(name)))
                .into());
        }
        for info in matching {
            let line = format!("{}: {} {}", info.name, info.name, info.syntax);
            text.push_str(line.trim_end());
            text.push('\n');
            text.push_str(&wrap(info.help, width.saturating_sub(5).max(20), "    "));
        }
    }
    Ok(text)
}

/// `text` in lines of at most `width` characters, where its words allow, each after `indent`.
fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let len = line
            .chars()
            .count()
            .saturating_add(1)
            .saturating_add(word.chars().count());
        if !line.is_empty() && len > width {
            lines.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push_str(&format!("{indent}{line}\n"));
    lines
}

impl Session<'_> {
    /// Shows text that may be long: a screenful at a time, where `pager` says so.
    ///
    /// # Errors
    /// [`Exit::Outcome`] where the toolstack asked the domain to stop.
    pub(crate) fn page(&mut self, text: &str) -> Result<(), Exit> {
        let stops = match (self.state.pager, self.state.origin) {
            (Pager::On, _) | (Pager::Typed, Origin::Typed) => true,
            (Pager::Off, _) | (Pager::Typed, Origin::Menu) => false,
        };
        if !stops {
            self.print(text);
            return Ok(());
        }
        let screenful = self.state.rows.saturating_sub(1).max(1);
        for (index, line) in text.split_inclusive('\n').enumerate() {
            if index > 0 && index.checked_rem(screenful) == Some(0) {
                self.print("[Hit return to continue]");
                let deadline = self.after(KEY_WAIT);
                let key = self.key(Some(deadline))?;
                self.print("\r                        \r");
                if matches!(key, Some(Key::Escape | Key::Char(b'q') | Key::Ctrl(b'c'))) {
                    return Ok(());
                }
            }
            self.print(line);
        }
        Ok(())
    }
}
