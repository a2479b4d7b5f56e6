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
    let has_root = words(args).any(|word| word.starts_with(b"root="));
    if !has_root && initrds == 0 {
        linter.report(RuleId::NoRootArgument, command.args_span, || {
            Said::new("neither `root=` nor an initrd: the kernel does not know what to mount")
        });
    }
    consoles(linter, command, args);
    let root = words(args).filter_map(|word| word.strip_prefix(b"root="));
    for device in root.filter(|device| is_old_name(device)) {
        linter.report(RuleId::OldDiskName, command.args_span, || {
            let name = visible(device);
            Said::new(format!(
                "the kernel may not know `{name}`: a PV guest's disks are xvda, xvdb and so on"
            ))
            .hint("`root=UUID=...` or `root=LABEL=...` holds whatever the disk is called")
        });
    }
}

fn consoles(linter: &mut Linter<'_>, command: &Command, args: &[u8]) {
    let named = || words(args).filter_map(|word| word.strip_prefix(b"console="));
    let is_guest_s = |name: &[u8]| name.starts_with(b"hvc") || name.starts_with(b"xvc");
    // What a kernel of before 2.6.29 is told: the PV console under another name.
    let is_renamed = words(args).any(|word| word.starts_with(b"xencons="));
    if is_renamed || named().any(is_guest_s) {
        return;
    }
    match named().next() {
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
