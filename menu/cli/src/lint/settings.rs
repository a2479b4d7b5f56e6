//! What stands before the first title, and what it means together with the entries.

use std::collections::HashMap;

use menu::parse::{colors, fallback_list, password};
use menu::table::{self, Place};
use menu::text::{columns, visible};
use menu::tree::{Password, Scheme};
use menu::{Command, DefaultEntry, number};

use super::finding::Said;
use super::linter::{Linter, beginning};
use super::remarks::comment_out;
use super::rule::RuleId;

/// Columns of the terminal that a title should fit.
const COLUMNS: usize = 80;

/// Looks at the settings and at the titles.
pub(super) fn look(linter: &mut Linter<'_>) {
    duplicates(linter);
    countdown(linter);
    fallback(linter);
    saving(linter);
    passwords(linter);
    titles(linter);
}

/// Whether the parser takes this setting over, so that an earlier one has no effect.
fn takes_effect(command: &Command) -> bool {
    let args = &command.args;
    match &*command.word {
        b"default" => args.starts_with(b"saved") || number::leading(args).is_some(),
        b"timeout" => number::leading(args).is_some(),
        b"color" => colors(args).is_some(),
        b"password" => password(args).is_some(),
        _ => true,
    }
}

fn duplicates(linter: &mut Linter<'_>) {
    let menu = linter.menu;
    let mut last: HashMap<&[u8], &Command> = HashMap::new();
    for command in menu.globals.iter().rev() {
        let is_setting = table::find(&command.word)
            .is_some_and(|info| matches!(info.place, Place::Setting | Place::SettingOrEntry));
        if !is_setting || !takes_effect(command) {
            continue;
        }
        let Some(winner) = last.get(&*command.word) else {
            last.insert(&command.word, command);
            continue;
        };
        let places = linter.places;
        linter.report(RuleId::DuplicateSetting, command.word_span, || {
            let word = visible(&command.word);
            let said = Said::new(format!(
                "`{word}` is given again below; this one has no effect"
            ))
            .other(winner.word_span, "this one counts");
            comment_out(places, command.word_span, said)
        });
    }
}

/// The first global command with this name.
fn global<'a>(linter: &Linter<'a>, word: &[u8]) -> Option<&'a Command> {
    let mut globals = linter.menu.globals.iter();
    globals.find(|command| command.is(word))
}

fn countdown(linter: &mut Linter<'_>) {
    if linter.menu.timeout.is_some() || linter.menu.entries.is_empty() {
        return;
    }
    let span = beginning(linter.menu);
    linter.report(RuleId::NoTimeout, span, || {
        Said::new("no `timeout`: the menu waits for a key for ever")
            .hint("`timeout 5` before the first title boots the default entry after five seconds")
    });
    if let Some(command) = global(linter, b"hiddenmenu") {
        linter.report(RuleId::HiddenWithoutTimeout, command.word_span, || {
            Said::new("`hiddenmenu` has no effect without `timeout`")
        });
    }
    if let Some(command) = global(linter, b"fallback") {
        linter.report(RuleId::FallbackUnused, command.word_span, || {
            Said::new("`fallback` is never used without `timeout`")
        });
    }
}

fn fallback(linter: &mut Linter<'_>) {
    let menu = linter.menu;
    let default = match menu.default {
        DefaultEntry::Index(_) => Some(menu.first_choice(None)),
        DefaultEntry::Saved => None,
    };
    // The last one counts.
    let mut globals = menu.globals.iter().rev();
    let Some(command) = globals.find(|command| command.is(b"fallback")) else {
        return;
    };
    let mut before = Vec::new();
    for number in fallback_list(&command.args).0 {
        if number >= menu.entries.len() {
            continue;
        }
        let again = before.contains(&number);
        if again || Some(number) == default {
            linter.report(RuleId::FallbackRepeats, command.args_span, || {
                let which = if again {
                    "twice"
                } else {
                    "which is the default entry"
                };
                Said::new(format!(
                    "`fallback` names entry {number}, {which}; each is tried once"
                ))
            });
        }
        before.push(number);
    }
}

fn saving(linter: &mut Linter<'_>) {
    let menu = linter.menu;
    let all = menu.entries.iter().flat_map(|entry| &entry.commands);
    let saves = all.filter(|command| command.is(b"savedefault"));
    if menu.default == DefaultEntry::Saved {
        if saves.count() == 0
            && let Some(command) = global(linter, b"default")
        {
            linter.report(RuleId::SavedNeverWritten, command.args_span, || {
                Said::new("`default saved`, and no entry has `savedefault`")
                    .hint("until something in the guest writes the number, entry 0 is booted")
            });
        }
        return;
    }
    for command in saves {
        linter.report_once(RuleId::SavedefaultUnused, command.word_span, || {
            Said::new("`savedefault` writes a number that is never read")
                .hint("`default saved` before the first title reads it")
        });
    }
}

fn passwords(linter: &mut Linter<'_>) {
    let menu = linter.menu;
    let in_entries = menu.entries.iter().flat_map(|entry| &entry.commands);
    let all = menu.globals.iter().chain(in_entries);
    for command in all.filter(|command| command.is(b"password")) {
        let Some(password) = password(&command.args) else {
            continue;
        };
        let span = command.args_span;
        match password.scheme {
            Scheme::Plain => linter.report(RuleId::PlainPassword, span, || {
                Said::new("the password stands in the file as it is typed")
                    .hint("`openssl passwd -6` makes a hash for `password --sha512`")
            }),
            _ if !is_hash(&password) => linter.report(RuleId::BadHash, span, || {
                Said::new("this is no hash of the kind named; no password will match").hint(
                    "`openssl passwd` makes them: -1 for --md5, -5 for --sha256, -6 for --sha512",
                )
            }),
            Scheme::Md5Crypt => linter.report(RuleId::WeakPassword, span, || {
                Said::new("the password is hashed with MD5, which is quick to try passwords with")
            }),
            _ => {}
        }
    }
}

/// Whether the hash has the form that crypt(3) gives it.
fn is_hash(password: &Password) -> bool {
    let (mark, len): (&[u8], usize) = match password.scheme {
        Scheme::Plain => return true,
        Scheme::Md5Crypt => (b"$1$", 22),
        Scheme::Sha256Crypt => (b"$5$", 43),
        Scheme::Sha512Crypt => (b"$6$", 86),
    };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let mut fields = password.secret.rsplit(|byte| *byte == b'$');
    let hash = fields.next().unwrap_or_default();
    password.secret.starts_with(mark)
        && fields.count() >= 3
        && hash.len() == len
        && hash.iter().all(is_digit)
}

fn titles(linter: &mut Linter<'_>) {
    let menu = linter.menu;
    let room = menu::page::title_columns(COLUMNS);
    let mut first = HashMap::with_capacity(menu.entries.len());
    for (number, entry) in menu.entries.iter().enumerate() {
        let title = entry.title.trim_ascii();
        if let Some((other, span)) = first.get(title) {
            let here = linter.title(entry);
            linter.report(RuleId::DuplicateTitle, here, || {
                Said::new(format!("entry {number} has the title of entry {other}"))
                    .other(*span, "it is here too")
            });
        } else {
            first.insert(title, (number, entry.span));
        }
        // A character has at least a byte for each column.
        if title.len() > room && columns(&visible(title)) > room {
            let here = linter.title(entry);
            linter.report(RuleId::TitleTooLong, here, || {
                let wide = columns(&visible(title));
                Said::new(format!(
                    "the title has {wide} columns; on {COLUMNS} columns {room} are shown"
                ))
            });
        }
    }
}
