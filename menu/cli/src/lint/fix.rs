//! `--fix`: makes the changes that findings offer, until none is left.
//!
//! A fix never changes what boots, adds no line and removes none. [`fixed`] does not rely on that: it compares what the
//! loader's parser makes of both texts.

use std::io::{self, Write};
use std::path::Path;

use menu::table::{self, Place};
use menu::tree::{Colors, Entry, Password};
use menu::{DefaultEntry, Menu, parse};

use super::finding::Edit;
use super::levels::Levels;
use super::linter::lint;
use super::places::Places;

/// A fix can make another one possible; none makes more than a few.
const MAX_PASSES: usize = 20;

/// A text with its fixes made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fixed {
    /// The text.
    pub text: Vec<u8>,
    /// How many fixes were made.
    pub count: usize,
}

/// Makes every fix that the findings offer.
///
/// # Errors
/// When the result would boot something else, which is a fault of this program; the text is then to stay as it is.
pub fn fixed(text: &[u8], levels: &Levels) -> Result<Fixed, String> {
    let mut fixed = Fixed {
        text: text.to_vec(),
        count: 0,
    };
    for _ in 0..MAX_PASSES {
        let found = lint(&Places::new(&fixed.text), levels, usize::MAX);
        let fixes = found.findings.into_iter().filter_map(|one| one.said.fix);
        let mut edits: Vec<Edit> = Vec::new();
        let mut made = 0;
        // Those that would touch the same bytes wait for the next pass.
        let mut fixes: Vec<_> = fixes.collect();
        fixes.sort_by_key(|fix| fix.edits.first().map_or(0, |edit| edit.range.start));
        let mut end = 0;
        for fix in fixes {
            let starts = fix.edits.first().map_or(0, |edit| edit.range.start);
            if made > 0 && starts <= end {
                continue;
            }
            end = fix.edits.last().map_or(end, |edit| edit.range.end);
            edits.extend(fix.edits);
            made += 1;
        }
        if made == 0 {
            break;
        }
        fixed.text = edited(&fixed.text, &edits);
        fixed.count += made;
    }
    if fixed.count > 0 && meaning(text) != meaning(&fixed.text) {
        return Err("the fixes would change what boots; nothing was changed".into());
    }
    Ok(fixed)
}

/// `text` with edits made, which are in order and apart.
fn edited(text: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut new = Vec::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        new.extend_from_slice(&text[at..edit.range.start]);
        new.extend_from_slice(&edit.with);
        at = edit.range.end;
    }
    new.extend_from_slice(&text[at..]);
    new
}

/// What the loader makes of a menu: everything that it ever looks at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meaning {
    saved: bool,
    first: usize,
    timeout: Option<u32>,
    fallback: Vec<usize>,
    hidden: bool,
    colors: Option<Colors>,
    password: Option<Password>,
    /// Global commands that run, without their places.
    runs: Vec<(Vec<u8>, Vec<u8>)>,
    entries: Vec<Entry>,
}

/// What the loader makes of this text.
#[must_use]
pub fn meaning(text: &[u8]) -> Meaning {
    let menu: Menu = parse(text).0.without_spans();
    let runs = |word: &[u8]| table::find(word).is_some_and(|info| info.place == Place::Anywhere);
    Meaning {
        saved: menu.default == DefaultEntry::Saved,
        first: menu.first_choice(None),
        timeout: menu.timeout,
        hidden: menu.hidden,
        colors: menu.colors,
        runs: menu
            .globals
            .iter()
            .filter(|command| runs(&command.word))
            .map(|command| (command.word.to_vec(), command.args.clone()))
            .collect(),
        fallback: menu.fallback,
        password: menu.password,
        entries: menu.entries,
    }
}

/// Writes a text in place of a file, whole or not at all, with the permissions that the file had.
///
/// # Errors
/// The system's.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    // A link stays one: menu.lst is often a link to grub.conf.
    let path = path.canonicalize()?;
    if !std::fs::metadata(&path)?.is_file() {
        return Err(io::Error::other(
            "no regular file, so it is not written; `-` reads standard input and writes standard output",
        ));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".pvgrub-{}", std::process::id()));
    let beside = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let permissions = std::fs::metadata(&path)?.permissions();
        let mut file = std::fs::File::create_new(&beside)?;
        file.write_all(text)?;
        file.set_permissions(permissions)?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)
    };
    write().inspect_err(|_| {
        // It may not be there at all; the first error is the one to tell.
        let _ = std::fs::remove_file(&beside);
    })
}

/// Lines around a change that a difference shows.
const CONTEXT: usize = 3;

/// The difference as `diff -u` shows it; empty where there is none. Both have the same number of lines.
#[must_use]
pub fn difference(name: &str, before: &[u8], after: &[u8]) -> Vec<u8> {
    let (old, new) = (Places::new(before), Places::new(after));
    let count = old.count().max(new.count());
    let differs = |number: &usize| old.bytes(*number) != new.bytes(*number);
    let changed: Vec<usize> = (1..=count).filter(differs).collect();
    let mut out = Vec::new();
    if !changed.is_empty() {
        out.extend_from_slice(format!("--- {name}\n+++ {name}, fixed\n").as_bytes());
    }
    // The lines of text: what ends the last one begins no other.
    let last = count - usize::from(old.line(count).is_empty() && count > 1);
    for hunk in changed.chunk_by(|one, next| next - one <= 2 * CONTEXT) {
        let (Some(first), Some(end)) = (hunk.first(), hunk.last()) else {
            continue;
        };
        let range = first.saturating_sub(CONTEXT).max(1)..=(end + CONTEXT).min(last.max(*end));
        let len = range.clone().count();
        let start = range.start();
        out.extend_from_slice(format!("@@ -{start},{len} +{start},{len} @@\n").as_bytes());
        let mut push = |sign: &[u8], text: &[u8]| {
            out.extend_from_slice(sign);
            out.extend_from_slice(text);
            out.push(b'\n');
        };
        let lines: Vec<usize> = range.collect();
        for block in lines.chunk_by(|one, next| differs(one) == differs(next)) {
            let same = !block.iter().any(differs);
            for number in block {
                push(if same { b" " } else { b"-" }, old.bytes(*number));
            }
            for number in block.iter().filter(|_| !same) {
                push(b"+", new.bytes(*number));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_made_in_order() {
        let edit = |range, with: &[u8]| Edit {
            range,
            with: with.to_vec(),
        };
        let edits = [edit(0..0, b"# "), edit(2..3, b""), edit(4..5, b"xyz")];
        assert_eq!(edited(b"abcde", &edits), b"# abdxyz");
    }

    #[test]
    fn what_is_fixed_needs_no_fix_and_means_the_same() {
        let text = b"\xef\xbb\xbftimeout 3\r\ntimeout 5s\r\nroot (hd0)\r\ndefault 7\r\ntitle a\r\nkernel /a\0\r\n";
        let once = fixed(text, &Levels::default()).unwrap();
        assert_eq!(
            String::from_utf8(once.text.clone()).unwrap(),
            "# timeout 3\ntimeout 5\n# root (hd0)\ndefault 0\ntitle a\nkernel /a\n"
        );
        assert_eq!(meaning(text), meaning(&once.text));
        assert_eq!(fixed(&once.text, &Levels::default()).unwrap().count, 0);
    }

    #[test]
    fn a_difference_is_what_diff_says() {
        let old = b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n";
        let new = b"a\nb\nc\nd\nE\nF\ng\nh\ni\nj\nk\n";
        assert_eq!(
            String::from_utf8(difference("m", old, new)).unwrap(),
            "--- m\n+++ m, fixed\n@@ -2,8 +2,8 @@\n b\n c\n d\n-e\n-f\n+E\n+F\n g\n h\n i\n"
        );
        assert!(difference("m", old, old).is_empty());
    }
}
