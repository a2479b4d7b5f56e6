//! Command lines of Linux kernels.

use menu::Command;
use menu::lexer::words;
use menu::text::visible;

use super::finding::Said;
use super::linter::Linter;
use super::rule::RuleId;

/// Looks at the words that a kernel is handed, and whether it is told what to mount, or has an initrd that may know.
pub(super) fn look(linter: &mut Linter<'_>, command: &Command, args: &[u8], initrds: usize) {
    if args.trim_ascii().is_empty() && initrds == 0 {
        return; // no Linux: another loader, or a kernel that needs no words
    }
    let words = Words::new(args);
    if words.root.is_none() && initrds == 0 {
        linter.report(RuleId::NoRootArgument, command.args_span, || {
            Said::new("neither `root=` nor an initrd: the kernel does not know what to mount")
        });
    }
    consoles(linter, command, &words);
    if let Some(device) = words.root.filter(|device| is_old_name(device)) {
        linter.report(RuleId::OldDiskName, command.args_span, || {
            let name = visible(device);
            Said::new(format!(
                "the kernel may not know `{name}`: a PV guest's disks are xvda, xvdb and so on"
            ))
            .hint("`root=UUID=...` or `root=LABEL=...` holds whatever the disk is called")
        });
    }
}

/// What is looked at of a command line.
#[derive(Default)]
struct Words<'a> {
    /// `root=`, the last one, as for the kernel.
    root: Option<&'a [u8]>,
    /// The first `console=` that is not a PV guest's.
    elsewhere: Option<&'a [u8]>,
    /// There is one that is a PV guest's: hvc0, or xvc0 of old, or what `xencons=` calls it.
    in_guest: bool,
}

impl<'a> Words<'a> {
    fn new(args: &'a [u8]) -> Self {
        let mut found = Self::default();
        for word in words(args) {
            if let Some(device) = word.strip_prefix(b"root=") {
                found.root = Some(device);
            } else if let Some(name) = word.strip_prefix(b"console=") {
                if name.starts_with(b"hvc") || name.starts_with(b"xvc") {
                    found.in_guest = true;
                } else {
                    found.elsewhere = found.elsewhere.or(Some(name));
                }
            } else if word.starts_with(b"xencons=") {
                found.in_guest = true;
            }
        }
        found
    }
}

fn consoles(linter: &mut Linter<'_>, command: &Command, words: &Words<'_>) {
    if words.in_guest {
        return;
    }
    match words.elsewhere {
        None => linter.report_once(RuleId::NoConsole, command.args_span, || {
            Said::new("no `console=hvc0`: the kernel chooses where it speaks")
        }),
        Some(name) => linter.report(RuleId::ConsoleElsewhere, command.args_span, || {
            let name = visible(name);
            Said::new(format!(
                "the kernel speaks on {name}, which a PV guest does not have"
            ))
            .hint("add `console=hvc0`")
        }),
    }
}

/// `/dev/hda1` or `/dev/sda`.
fn is_old_name(device: &[u8]) -> bool {
    matches!(device, [b'/', b'd', b'e', b'v', b'/', b'h' | b's', b'd', b'a'..=b'z', rest @ ..]
        if rest.iter().all(u8::is_ascii_digit))
}
