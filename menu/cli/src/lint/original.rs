//! What the original PV-GRUB (GRUB 0.97 in Xen's stubdom) did not have.
//!
//! Source: its table of commands as Xen 4.20 built it (`stubdom/grub.patches`).

use menu::Command;
use menu::lexer::words;
use menu::table::{CommandInfo, Status};
use menu::tree::Scheme;

use super::finding::Said;
use super::linter::Linter;
use super::rule::RuleId;

/// Commands that stopped an entry with Error 27 there. Those that the loader accepts without effect are not among them:
/// they are found to have none.
const ABSENT: &[&str] = &["ls", "md5crypt", "testload", "uuid"];

/// Reports an entry's command that the original did not understand. `initrds` counts the files up to here.
pub(super) fn look(
    linter: &mut Linter<'_>,
    command: &Command,
    info: &'static CommandInfo,
    initrds: usize,
) {
    if matches!(info.status, Status::Accepted | Status::Refused) {
        return;
    }
    let Some(what) = extension(command, info, initrds) else {
        return;
    };
    linter.report(RuleId::Extension, command.word_span, || {
        Said::new(format!("the original PV-GRUB does not know {what}"))
    });
}

fn extension(command: &Command, info: &CommandInfo, initrds: usize) -> Option<String> {
    let has = |option: &[u8]| words(&command.args).any(|word| word.starts_with(option));
    match info.name {
        name if ABSENT.contains(&name) => Some(format!("`{name}`")),
        "root" | "rootnoverify" if has(b"LABEL=") => Some("`LABEL=`".into()),
        "root" | "rootnoverify" if has(b"UUID=") => Some("`UUID=`".into()),
        "find" if has(b"--") => Some("the options of `find`".into()),
        "initrd" if initrds > 1 => Some("several initrds, and loads the last one alone".into()),
        "password" => {
            let scheme = menu::parse::password(&command.args)?.scheme;
            matches!(scheme, Scheme::Sha256Crypt | Scheme::Sha512Crypt)
                .then(|| "this kind of hash".into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::ABSENT;

    #[test]
    fn absent_commands_are_commands_here() {
        for name in ABSENT {
            assert!(menu::table::find(name.as_bytes()).is_some(), "{name}");
        }
    }
}
