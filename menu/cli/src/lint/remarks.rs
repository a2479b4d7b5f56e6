//! What the loader's parser remarks, as findings.

use menu::Diagnostic;
use menu::diagnostic::Kind;
use menu::lexer::words;
use menu::number;
use menu::table::{self, COMMANDS};
use menu::text::visible;
use menu::tree::{MAX_FALLBACKS, Span};

use super::finding::Said;
use super::linter::Linter;
use super::places::Places;
use super::rule::RuleId;
use super::words::nearest;

/// Reports the parser's remarks. Those about odd bytes are in [`super::bytes`].
pub(super) fn look(linter: &mut Linter<'_>, remarks: &[Diagnostic]) {
    let places = linter.places;
    for remark in remarks {
        let span = remark.span;
        let plain = |rule| (rule, Said::new(remark.kind.to_string()));
        let (rule, said) = match &remark.kind {
            Kind::UnknownGlobal(word) => {
                unknown(linter, word, span, RuleId::UnknownSetting);
                continue;
            }
            Kind::UnknownInEntry(word) => {
                unknown(linter, word, span, RuleId::UnknownCommand);
                continue;
            }
            Kind::EntryOnly(name) => {
                let (rule, said) = plain(RuleId::IgnoredCommand);
                let said = match *name {
                    "root" => said.hint("each entry needs a `root` of its own"),
                    _ => said,
                };
                (rule, comment_out(places, span, said))
            }
            Kind::GlobalOnly(_) => {
                let (rule, said) = plain(RuleId::SettingInEntry);
                (rule, said.hint("move it before the first `title`"))
            }
            Kind::BadArgument { .. } => plain(RuleId::BadArgument),
            Kind::Trailing(_) => {
                let (rule, said) = plain(RuleId::TrailingText);
                (rule, cut_number(places, span, said))
            }
            Kind::TooManyFallbacks => {
                let (rule, said) = plain(RuleId::TooManyFallbacks);
                (rule, cut_list(places, span, said))
            }
            Kind::NoSuchEntry { command, number } => {
                let (rule, said) = plain(RuleId::MissingEntry);
                (rule, missing_entry(linter, command, *number, span, said))
            }
            Kind::EmptyEntry => {
                let (rule, said) = plain(RuleId::EmptyEntry);
                (rule, comment_out(places, span, said))
            }
            Kind::NoEntries => plain(RuleId::NoEntries),
            Kind::CommentContinued => plain(RuleId::CommentContinued),
            Kind::More => plain(RuleId::TooManyRemarks),
            Kind::Nul | Kind::LoneCarriageReturn => continue,
        };
        linter.report(rule, span, || said);
    }
}

/// A word that is no command: what was meant?
fn unknown(linter: &mut Linter<'_>, shown: &str, span: Span, rule: RuleId) {
    let word = &linter.places.text()[linter.places.range(span)];
    let known_elsewhere = |(theirs, _): &&(&str, &str)| theirs.as_bytes() == word;
    if let Some((_, here)) = table::OF_GRUB_2.iter().find(known_elsewhere) {
        linter.report(RuleId::Grub2Command, span, || {
            Said::new(format!(
                "`{shown}` is a word of GRUB 2; here it is `{here}`"
            ))
            .label("not GRUB 0.97's language")
            .hint("`pvgrub generate` makes a menu.lst of what a disk's grub.cfg says")
        });
        return;
    }
    linter.report(rule, span, || {
        let effect = match rule {
            RuleId::UnknownCommand => "the entry fails here with Error 27",
            _ => "the line is ignored",
        };
        let said = Said::new(format!("`{shown}` is not a command; {effect}"));
        let names = COMMANDS.iter().map(|info| info.name);
        match nearest(&visible(word), names) {
            Some(near) => said.label(format!("`{near}` is a command")),
            None if table::OF_PCS.iter().any(|known| known.as_bytes() == word) => {
                said.hint(table::why_unknown(word))
            }
            None => said,
        }
    });
}

/// Makes a comment of a line that has no effect.
pub(super) fn comment_out(places: &Places<'_>, word: Span, said: Said) -> Said {
    let at = places.offset(word.start);
    said.fix("make a comment of the line", at..at, b"# ")
}

/// The bytes of arguments that stand on one line and hold nothing that the lexer changes.
fn simple<'a>(places: &Places<'a>, args: Span) -> Option<&'a [u8]> {
    let text = &places.text()[places.range(args)];
    let odd = text
        .iter()
        .any(|byte| matches!(byte, b'\n' | b'\r' | 0 | b'\\'));
    (!odd).then_some(text)
}

/// Takes away what follows a number.
fn cut_number(places: &Places<'_>, args: Span, said: Said) -> Said {
    let Some((_, rest)) = simple(places, args).and_then(number::leading) else {
        return said;
    };
    let end = places.range(args).end;
    said.fix("remove what is not read", end - rest.len()..end, b"")
}

/// Takes away the numbers that `fallback` does not take.
fn cut_list(places: &Places<'_>, args: Span, said: Said) -> Said {
    let Some(text) = simple(places, args) else {
        return said;
    };
    let Some(last) = words(text).nth(MAX_FALLBACKS - 1) else {
        return said;
    };
    // OK to subtract: `last` lies in `text`.
    let kept = last.as_ptr().addr() - text.as_ptr().addr() + last.len();
    let range = places.range(args);
    said.fix(
        "remove what is not read",
        range.start + kept..range.end,
        b"",
    )
}

fn missing_entry(
    linter: &Linter<'_>,
    command: &str,
    number: usize,
    args: Span,
    said: Said,
) -> Said {
    let menu = linter.menu;
    let said = said.hint(match menu.entries.len() {
        1 => "the only entry is number 0".to_owned(),
        count => format!("entries are numbered from 0 to {}", count - 1),
    });
    let first = menu.first_choice(None);
    if command != "default" {
        return said;
    }
    let said = said.label(format!("entry {first} is taken instead"));
    let text = simple(linter.places, args);
    let is_it = |text: &&[u8]| number::whole(text) == u64::try_from(number).ok();
    match text.filter(is_it) {
        Some(_) => {
            let with = first.to_string().into_bytes();
            said.fix(
                "name the entry that is taken",
                linter.places.range(args),
                with,
            )
        }
        None => said,
    }
}
