//! `pvgrub fmt`: menus in canonical form.
//!
//! Each command stands on a line of its own as the loader's printer writes it, word, blank, arguments; lines that were
//! joined stay joined. A blank line stands before each title, at most one elsewhere, none at either end; lines end in
//! newlines, but for a backslash that ends the file. Comments stay as they are, but for blanks around them. The loader
//! makes the same menu of it, which is checked before anything is written.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use menu::lexer::Line;
use menu::table::{self, Place};
use menu::{Command, parse};

use crate::args::{FmtOptions, Manner};
use crate::ending::Ending;
use crate::input::Source;
use crate::lint::fix::{difference, replace};
use crate::lint::lines::{Lines, lines};
use crate::lint::places::Places;
use crate::output::Io;
use crate::progress::Progress;

/// Formats every menu that the command line names.
///
/// # Errors
/// When the output cannot be written.
pub fn run(options: &FmtOptions, manner: &Manner, io: &mut Io<'_>) -> io::Result<Ending> {
    let mut worst = Ending::Clean;
    // Among printed menus it would be in the way.
    let shown = if options.check || options.write {
        options.files.len()
    } else {
        1
    };
    let mut progress = Progress::new(shown, manner, io);
    for path in &options.files {
        progress.step(io)?;
        worst = worst.max(one(path, options, manner, io)?);
    }
    progress.end(io)?;
    Ok(worst)
}

/// Formats one menu.
fn one(path: &Path, options: &FmtOptions, manner: &Manner, io: &mut Io<'_>) -> io::Result<Ending> {
    let read = Source::read(path, io).and_then(|source| {
        let new = formatted(&source.text).map_err(|why| format!("{}: {why}", source.name()))?;
        Ok((source, new))
    });
    let (source, new) = match read {
        Ok(read) => read,
        Err(why) => {
            io.complain(&why)?;
            return Ok(Ending::Unreadable);
        }
    };
    let is_same = source.text == new;
    if options.check {
        if is_same {
            return Ok(Ending::Clean);
        }
        if !manner.quiet {
            writeln!(io.output, "{}", source.name())?;
        }
        if manner.verbose && Places::new(&source.text).count() == Places::new(&new).count() {
            io.output
                .write_all(&difference(&source.name(), &source.text, &new))?;
        }
        return Ok(Ending::Findings);
    }
    if !options.write || source.path == OsStr::new("-") {
        io.output.write_all(&new)?;
        return Ok(Ending::Clean);
    }
    if !is_same && let Err(error) = replace(&source.path, &new) {
        io.complain(&format!("{}: {error}", source.name()))?;
        return Ok(Ending::Unreadable);
    }
    Ok(Ending::Clean)
}

/// The canonical form of a menu.
///
/// # Errors
/// When the loader would make another menu of it, which is a fault of this program.
pub fn formatted(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut new = layout(text);
    if new.starts_with(b"\xef\xbb\xbf") {
        new.insert(0, b'\n'); // at the beginning it would be a mark, and no word
    }
    let same = |text: &[u8]| {
        let mut menu = parse(text).0.without_spans();
        let commands = menu
            .entries
            .iter_mut()
            .flat_map(|entry| &mut entry.commands);
        commands.chain(&mut menu.globals).for_each(trim);
        for entry in &mut menu.entries {
            entry.title.truncate(entry.title.trim_ascii_end().len());
        }
        menu
    };
    if same(text) == same(&new) {
        Ok(new)
    } else {
        Err("in canonical form it would be another menu; nothing was changed".into())
    }
}

/// Takes away blanks behind the arguments, which nothing looks at but a kernel.
fn trim(command: &mut Command) {
    if !command.is(b"kernel") && !command.word.starts_with(b"module") {
        let len = command.args.trim_ascii_end().len();
        command.args.truncate(len);
    }
}

/// What is on the lines of a menu.
enum Piece {
    /// A command, printed, with what ends its line.
    Line(Vec<u8>),
    /// The same of a title.
    Title(Vec<u8>),
    Comment(Vec<u8>),
    Blank,
}

fn layout(text: &[u8]) -> Vec<u8> {
    let mut pieces = pieces(text);
    // Comments right before a title belong to it.
    let mut out = Vec::with_capacity(text.len());
    let mut blank = true;
    let mut before_comments = None;
    // What a comment that joins the next line on joins at the end of the file is nothing.
    let is_nothing = |piece: &Piece| match piece {
        Piece::Blank => true,
        Piece::Comment(text) => text.is_empty(),
        Piece::Line(_) | Piece::Title(_) => false,
    };
    let last = pieces.iter().rposition(|piece| !is_nothing(piece));
    pieces.truncate(last.map_or(0, |last| last + 1));
    for piece in pieces {
        match piece {
            Piece::Blank => {
                if !blank {
                    out.push(b'\n');
                }
                blank = true;
                before_comments = None;
            }
            Piece::Comment(comment) => {
                before_comments = before_comments.or(Some((out.len(), blank)));
                out.extend_from_slice(&comment);
                out.push(b'\n');
                blank = false;
            }
            Piece::Title(line) => {
                let (at, parted) = before_comments.take().unwrap_or((out.len(), blank));
                if !parted {
                    out.insert(at, b'\n');
                }
                out.extend_from_slice(&line);
                blank = false;
            }
            Piece::Line(line) => {
                out.extend_from_slice(&line);
                blank = false;
                before_comments = None;
            }
        }
    }
    out
}

fn pieces(text: &[u8]) -> Vec<Piece> {
    let stretches = lines(&Places::new(text)).into_iter();
    let pieces = stretches.map(|stretch| match stretch {
        Lines::Command(line, _) => printed(&line),
        Lines::Comment(range) | Lines::Continued(range) => Piece::Comment(comment(&text[range])),
        Lines::Blank => Piece::Blank,
    });
    pieces.collect()
}

/// A line of a comment without what the lexer drops, and without blanks at its end.
fn comment(line: &[u8]) -> Vec<u8> {
    let kept = line.iter().filter(|byte| !matches!(byte, b'\r' | 0));
    let mut kept: Vec<u8> = kept.copied().collect();
    let end = kept.trim_ascii_end().len();
    // A blank behind a backslash keeps it from joining the next line on.
    let is_kept = end < kept.len() && kept[..end].ends_with(b"\\");
    kept.truncate(end + usize::from(is_kept));
    kept
}

fn printed(line: &Line) -> Piece {
    let mut command = Command::typed(&line.text);
    trim(&mut command);
    let mut text = command.to_line();
    // Only at the end of the file does the lexer leave a backslash behind a line. A newline would make it join lines, and
    // a blank before that would be given to a kernel.
    if !line.text.ends_with(b"\\") {
        if text.ends_with(b"\\") {
            text.push(b' '); // alone, the backslash would join the next line on
        }
        text.push(b'\n');
    }
    let is_title = table::find(&command.word).is_some_and(|info| info.place == Place::Title);
    match is_title {
        true => Piece::Title(text),
        false => Piece::Line(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        String::from_utf8(formatted(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_menu_in_canonical_form() {
        let menu = "\u{feff}\n\n  # settings\ntimeout=5   \r\n\n\n\tdefault\t\t0\n# the kernel\ntitle  A \n  root  (hd0,0)\n kernel /v \\\n   ro  \n\n\n";
        let wanted = "# settings\ntimeout 5\n\ndefault 0\n\n# the kernel\ntitle A\nroot (hd0,0)\nkernel /v     ro  \n";
        assert_eq!(text(menu), wanted);
        assert_eq!(text(wanted), wanted);
    }

    #[test]
    fn backslashes_join_what_they_joined() {
        for menu in [
            "# a \\\ntitle b\ntitle c\nboot\n",
            "# a \\ \ntitle b\nboot\n",
            "title \\\n# b\nboot\\",
            "\\\n\\\n# x\\\n\n# y\ntitle a\nboot",
            "title a\nboot\\\n\n# x",
        ] {
            let once = text(menu);
            assert_eq!(text(&once), once, "{menu:?}");
        }
    }

    #[test]
    fn a_backslash_that_ends_the_file_stays_at_its_end() {
        for menu in ["title a\nkernel /v \\", "title a\nboot\\", "title \\"] {
            assert_eq!(text(menu), menu);
        }
        assert_eq!(text("title a\\ \nboot"), "title a\\ \nboot\n");
        assert_eq!(text("title a\nboot\\\n"), "title a\nboot\n");
    }

    #[test]
    fn nothing_becomes_nothing() {
        for menu in ["", "\n\n", "\0\0", "\r", "\u{feff}"] {
            assert_eq!(text(menu), "", "{menu:?}");
        }
    }
}
