//! What entries do when the loader's evaluator runs them on a machine that has every file.

use menu::eval::{Access, Exit, MAX_KERNEL_ARGS, Session, State};
use menu::lexer::split_word;
use menu::table::{self, CommandInfo, Place, Status};
use menu::text::visible;
use menu::tree::Span;
use menu::{Code, Command, DefaultEntry, Entry, Failure};

use super::finding::Said;
use super::linter::Linter;
use super::rule::RuleId;
use super::supposed::{Nobody, Supposed};
use super::{kernels, original};
use crate::generate::grub;

/// What becomes of an entry when nobody is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// A kernel is started, another menu is loaded, or the domain ends as it was told to.
    Boots,
    /// It stops at a command.
    Stops(Span),
    /// It stops for want of a password, or waits for one.
    Asks(Span),
    /// It comes to its end with nothing loaded.
    Nothing,
}

/// How one command went.
enum Went {
    On,
    /// It ends the entry, as `boot` does.
    Ended,
    Stopped,
    Asked,
}

/// Runs the global commands and every entry.
pub(super) fn look(linter: &mut Linter<'_>) {
    let menu = linter.menu;
    let mut run = Run {
        nobody: Nobody::default(),
        machine: Supposed::default(),
        state: State {
            password: menu.password.clone(),
            access: match menu.password {
                Some(_) => Access::Locked,
                None => Access::Open,
            },
            ..State::default()
        },
    };
    for command in &menu.globals {
        let info = table::find(&command.word).filter(|info| info.place == Place::Anywhere);
        if let Some(info) = info {
            run.command(linter, command, info);
            statuses(linter, command, info);
        }
    }
    let default = menu.first_choice(None);
    let mut fates = Vec::new();
    for (number, entry) in menu.entries.iter().enumerate() {
        run.state.running = Some(number);
        run.state.fallback.clone_from(&menu.fallback);
        fates.push(run.entry(linter, entry));
    }
    if let Some(fate) = fates.get(default) {
        default_entry(linter, default, *fate, &fates);
    }
}

/// The machine and the evaluator's state.
struct Run {
    nobody: Nobody,
    machine: Supposed,
    state: State,
}

impl Run {
    fn session(&mut self) -> Session<'_> {
        // Made anew for each command: between them the machine is looked at.
        Session {
            machine: &mut self.machine,
            terminal: &mut self.nobody,
            state: &mut self.state,
        }
    }

    /// Runs an entry to its end, as if what fails had not failed, so that everything in it is seen.
    fn entry(&mut self, linter: &mut Linter<'_>, entry: &Entry) -> Fate {
        self.session().reset();
        let mut fate = None;
        let mut kernel: Option<&Command> = None;
        let is_multiboot = entry
            .commands
            .iter()
            .any(|command| command.word.starts_with(b"module"));
        let mut commands = entry.commands.iter();
        while let Some(command) = commands.next() {
            let Some(info) = table::find(&command.word).filter(|info| runs(info)) else {
                fate = fate.or(Some(Fate::Stops(command.word_span)));
                continue;
            };
            let relative = self.machine.on_first_root;
            let had_kernel = self.machine.kernel.is_some();
            match self.command(linter, command, info) {
                Went::On => {}
                Went::Ended => {
                    fate = fate.or(Some(Fate::Boots));
                    if let Some(next) = commands.next() {
                        unreachable(linter, command, next);
                    }
                    break;
                }
                Went::Stopped => fate = fate.or(Some(Fate::Stops(command.word_span))),
                Went::Asked => fate = fate.or(Some(Fate::Asks(command.word_span))),
            }
            statuses(linter, command, info);
            original::look(linter, command, info, self.machine.initrds);
            if self.machine.on_first_root > relative {
                linter.report_once(RuleId::ImplicitRoot, command.args_span, || {
                    Said::new("no `root` before this path: it is looked for on the menu's own disk")
                        .hint("the original PV-GRUB looked on the network; `root (hd0,0)` says which disk is meant")
                });
            }
            if info.name == "kernel" {
                if let (true, Some(first)) = (had_kernel, kernel) {
                    linter.report(RuleId::KernelReplaced, command.word_span, || {
                        Said::new(
                            "this kernel replaces the one before it, and what was loaded for that",
                        )
                        .other(first.word_span, "loaded for nothing")
                    });
                }
                kernel = Some(command);
                too_long(linter, command, self.machine.kernel.as_deref());
            }
            if info.name == "lock" && linter.menu.password.is_none() {
                linter.report(RuleId::LockWithoutPassword, command.word_span, || {
                    Said::new("`lock` does nothing: the menu has no password")
                });
            }
        }
        if let (Some(command), Some(args), false) = (kernel, &self.machine.kernel, is_multiboot) {
            kernels::look(linter, command, args, self.machine.initrds);
        }
        if let Some(fate) = fate {
            return fate;
        }
        if self.machine.kernel.is_some() {
            return Fate::Boots;
        }
        let span = linter.title(entry);
        linter.report(RuleId::NothingToBoot, span, || {
            Said::new("the entry loads nothing; chosen, it leads back to the menu")
        });
        Fate::Nothing
    }

    fn command(
        &mut self,
        linter: &mut Linter<'_>,
        command: &Command,
        info: &'static CommandInfo,
    ) -> Went {
        if info.name == "help" {
            return Went::On; // pages of text that nobody reads
        }
        match self.session().run_known(info, command) {
            Ok(()) => Went::On,
            Err(Exit::Failure(failure)) if failure.code == Code::PRIVILEGED => Went::Asked,
            Err(Exit::Failure(failure)) => {
                // What follows is not to be blamed for it.
                if info.name == "kernel" && self.machine.kernel.is_none() {
                    self.machine.kernel = Some(Vec::new());
                }
                failed(linter, command, info, &failure);
                Went::Stopped
            }
            Err(Exit::Load(_) | Exit::Outcome(_)) => Went::Ended,
            Err(Exit::Cancelled | Exit::Deserted) => Went::Asked,
        }
    }
}

/// Whether the evaluator runs it in an entry. What it does not run the parser has remarked upon.
fn runs(info: &CommandInfo) -> bool {
    !matches!(info.place, Place::Title | Place::Setting)
}

/// A command fails whatever is on the disks.
fn failed(
    linter: &mut Linter<'_>,
    command: &Command,
    info: &'static CommandInfo,
    failure: &Failure,
) {
    let (first, _) = split_word(&command.args);
    let rule = match failure.code {
        _ if info.status == Status::Refused => RuleId::RefusedCommand,
        _ if command.args.is_empty() && !info.syntax.is_empty() => RuleId::MissingArgument,
        _ if matches!(first, [b'"' | b'\'', ..]) => RuleId::QuotedName,
        Code::UNKNOWN_DEVICE => RuleId::BadDevice,
        Code::NUMBER if first.starts_with(b"(") => RuleId::BadDevice,
        Code::INVALID_DEVICE => RuleId::DriveOfPcs,
        Code::FILE_NAME => RuleId::BadFileName,
        Code::NEED_KERNEL_FIRST | Code::NEED_MULTIBOOT => RuleId::InitrdBeforeKernel,
        Code::KERNEL_NEEDED => RuleId::BootWithoutKernel,
        _ => RuleId::BadArgument,
    };
    let span = match command.args.is_empty() {
        true => command.word_span,
        false => command.args_span,
    };
    let name = info.name;
    linter.report(rule, span, || {
        let code = failure.code;
        let mut said = Said::new(match rule {
            RuleId::MissingArgument => format!("`{name}` takes {}", info.syntax),
            RuleId::InitrdBeforeKernel => format!("`{name}` before `kernel`"),
            RuleId::QuotedName => "quotes are taken for a part of the name".into(),
            _ => format!("`{name}` stops the entry here with {code}"),
        });
        // The first reason may name a file, which is on the line above.
        let mut details = failure.detail.iter();
        if let Some(first) = details.next() {
            let reason = first
                .rsplit_once(": ")
                .map_or(first.as_str(), |(_, why)| why);
            said = said.label(reason);
        }
        said.hints.extend(details.cloned());
        said.hints.extend(device_hint(rule, first));
        said
    });
}

/// How a device would be written that was written in GRUB 2's way, or without brackets.
fn device_hint(rule: RuleId, name: &[u8]) -> Option<String> {
    if rule != RuleId::BadDevice {
        return None;
    }
    let text = std::str::from_utf8(name).ok()?;
    let inner = text.strip_prefix('(').unwrap_or(text);
    let inner = inner.split(')').next()?;
    if let Some((_, partition)) = inner.split_once(',')
        && ["msdos", "gpt"]
            .iter()
            .any(|table| partition.starts_with(table))
        && let Some(device) = grub::named(inner)
    {
        return Some(format!(
            "GRUB 2's `{partition}` is `{device}` here: partitions count from 0"
        ));
    }
    let is_uuid = inner.len() == 36 && inner.bytes().filter(|byte| *byte == b'-').count() == 4;
    if is_uuid {
        return Some(format!(
            "`root UUID={inner}` finds a file system by its UUID"
        ));
    }
    let bracketed = format!("({inner})");
    let would_do = bracketed != text && fs::DeviceName::parse(bracketed.as_bytes()).is_ok();
    would_do.then(|| format!("`{bracketed}` would be a device"))
}

/// Commands that are accepted and do nothing.
fn statuses(linter: &mut Linter<'_>, command: &Command, info: &'static CommandInfo) {
    if info.status == Status::Accepted {
        linter.report(RuleId::NoEffect, command.word_span, || {
            Said::new(format!("`{}` has no effect here", info.name)).hint(info.help)
        });
    }
}

fn unreachable(linter: &mut Linter<'_>, ending: &Command, next: &Command) {
    linter.report(RuleId::UnreachableCommand, next.word_span, || {
        let (word, last) = (visible(&next.word), visible(&ending.word));
        Said::new(format!(
            "`{word}` is never reached: `{last}` ends the entry"
        ))
        .other(ending.word_span, "this ends it")
    });
}

/// The whole command line, as the guest would be handed it.
fn too_long(linter: &mut Linter<'_>, command: &Command, args: Option<&[u8]>) {
    let args = args.unwrap_or_default();
    let Some(cut) = args.get(MAX_KERNEL_ARGS..).filter(|cut| !cut.is_empty()) else {
        return;
    };
    // The command line is the end of the arguments.
    let mut range = linter.places.range(command.args_span);
    range.start = range.start.max(range.end.saturating_sub(cut.len()));
    let span = linter.places.span(range);
    linter.report(RuleId::CommandLineTooLong, span, || {
        let len = args.len();
        Said::new(format!(
            "the command line has {len} bytes; the guest is handed {MAX_KERNEL_ARGS}"
        ))
        .label("this is cut off")
    });
}

/// The entry that boots when nobody types.
fn default_entry(linter: &mut Linter<'_>, number: usize, fate: Fate, fates: &[Fate]) {
    let menu = linter.menu;
    let Some(entry) = menu.entries.get(number) else {
        return;
    };
    let what = match menu.default {
        DefaultEntry::Index(_) => "the default entry",
        DefaultEntry::Saved => "the entry that boots where none was saved",
    };
    let (rule, place, why) = match fate {
        Fate::Boots => return,
        Fate::Stops(place) => (RuleId::DefaultFails, Some(place), "stops with an error"),
        Fate::Asks(place) => (
            RuleId::PasswordInDefault,
            Some(place),
            "wants a password, which nobody gives",
        ),
        Fate::Nothing => (RuleId::DefaultFails, None, "loads nothing"),
    };
    let span = linter.title(entry);
    linter.report(rule, span, || {
        let mut said = Said::new(format!("{what}, number {number}, {why}"));
        if let Some(place) = place {
            said = said.other(place, "here");
        }
        // After an entry that loads nothing, or asks, no fallback is tried.
        let is_left =
            |index: &&usize| **index != number && fates.get(**index) == Some(&Fate::Boots);
        match menu.fallback.iter().find(is_left) {
            Some(next) if matches!(fate, Fate::Stops(_)) => {
                said.hint(format!("its fallback, entry {next}, is booted instead"))
            }
            _ => said.hint("the guest does not start by itself"),
        }
    });
}
