//! Behaviour of the parser, one small text each.

use super::*;
use std::string::{String, ToString};

fn menu(text: &str) -> Menu {
    parse(text.as_bytes()).0
}

fn remarks(text: &[u8]) -> Vec<String> {
    parse(text).1.iter().map(ToString::to_string).collect()
}

#[test]
fn an_ordinary_menu() {
    let menu = menu(
        "default 1\ntimeout=5\n\ntitle\tDebian  GNU/Linux \nroot (hd0,0)\nkernel /v root=/dev/sda1 ro\n",
    );
    assert_eq!(
        (menu.default, menu.timeout, menu.hidden),
        (DefaultEntry::Index(1), Some(5), false)
    );
    assert_eq!(menu.entries.len(), 1);
    assert_eq!(menu.entries[0].title, b"Debian  GNU/Linux ");
    assert!(menu.entries[0].commands[1].is(b"kernel"));
    assert_eq!(menu.entries[0].commands[1].args, b"/v root=/dev/sda1 ro");
}

#[test]
fn spans_say_line_and_column() {
    let menu = menu("# x\n  title a\n\tkernel  /v \\\n ro\n");
    let command = &menu.entries[0].commands[0];
    let at = |line, column| Position { line, column };
    assert_eq!(
        menu.entries[0].span,
        Span {
            start: at(2, 3),
            end: at(2, 8)
        }
    );
    assert_eq!(
        command.word_span,
        Span {
            start: at(3, 2),
            end: at(3, 8)
        }
    );
    assert_eq!(
        command.args_span,
        Span {
            start: at(3, 10),
            end: at(4, 4)
        }
    );
}

#[test]
fn settings() {
    let menu = menu(
        "default saved\nfallback 1 2\nhiddenmenu\ncolor light-gray/blue black/light-gray\npassword --md5 $1$a$b /other\ntitle a\nboot\n",
    );
    assert_eq!(menu.default, DefaultEntry::Saved);
    assert_eq!(menu.fallback, [1, 2]);
    assert!(menu.hidden);
    assert_eq!(
        menu.colors,
        Some(Colors {
            normal: 0x17,
            highlight: 0x70
        })
    );
    let password = menu.password.unwrap();
    assert_eq!(
        (password.scheme, password.secret, password.file),
        (
            Scheme::Md5Crypt,
            b"$1$a$b".to_vec(),
            Some(b"/other".to_vec())
        )
    );
    assert_eq!(menu.globals.len(), 5);
}

#[test]
fn the_last_setting_wins() {
    let menu = menu("timeout 5\ntimeout 9\nfallback 1\nfallback 2 3\ndefault 4\ndefault x\n");
    assert_eq!(
        (menu.timeout, menu.fallback, menu.default),
        (Some(9), [2, 3].into(), DefaultEntry::Index(4))
    );
}

#[test]
fn colours_can_be_numbers_or_one() {
    assert_eq!(
        colors(b"0x1f 7"),
        Some(Colors {
            normal: 0x1f,
            highlight: 7
        })
    );
    assert_eq!(
        colors(b"cyan/blue"),
        Some(Colors {
            normal: 0x13,
            highlight: 0x31
        })
    );
    assert_eq!(
        colors(b"blink-white/red"),
        Some(Colors {
            normal: 0xcf,
            highlight: 0x74
        })
    );
    for wrong in [
        "",
        "cyan",
        "cyan/",
        "cyan/white",
        "purple/black",
        "black/black x",
        "999",
    ] {
        assert_eq!(colors(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn unknown_globals_are_ignored() {
    let text = b"gfxthing x\nkernel /v\ntitle a\nboot\n";
    assert_eq!(parse(text).0.entries.len(), 1);
    assert_eq!(
        remarks(text),
        [
            "1:1: note: `gfxthing` is not a command; ignored",
            "2:1: warning: `kernel` has no effect before the first title; ignored",
        ]
    );
}

#[test]
fn unknown_words_in_an_entry_are_kept() {
    let text = b"title a\nfrob x\ntimeout 5\n";
    assert_eq!(parse(text).0.entries[0].commands.len(), 2);
    assert_eq!(
        remarks(text),
        [
            "2:1: error: `frob` is not a command; the entry will fail with Error 27",
            "3:1: error: `timeout` only works before the first title; the entry will fail with Error 27",
        ]
    );
}

#[test]
fn a_title_without_commands_makes_no_entry() {
    let text = b"title a\ntitle b\nboot\ntitle c\n";
    let menu = parse(text).0;
    assert_eq!(menu.entries.len(), 1);
    assert_eq!(menu.entries[0].title, b"b");
    assert_eq!(remarks(text).len(), 2);
}

#[test]
fn bad_arguments_change_nothing() {
    let text = b"timeout soon\ndefault\nfallback one\ncolor pink\npassword\nfallback 1 2 3 4 5 6 7 8 9 10\ntitle a\nboot\n";
    let (menu, remarks) = parse(text);
    assert_eq!(
        (menu.timeout, menu.default, menu.colors, menu.password),
        (None, DefaultEntry::Index(0), None, None)
    );
    assert_eq!(menu.fallback, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(remarks.iter().any(|r| {
        r.to_string()
            .starts_with("1:9: warning: `timeout` takes a number of seconds")
    }));
    assert!(remarks.iter().any(|r| r.kind == Kind::TooManyFallbacks));
}

#[test]
fn numbers_beyond_the_menu_are_reported() {
    assert_eq!(
        remarks(b"default 3\nfallback 0 9\ntitle a\nboot\n"),
        [
            "1:9: warning: `default` names entry 3, which does not exist",
            "2:10: warning: `fallback` names entry 9, which does not exist",
        ]
    );
    assert_eq!(
        menu("default 3\nfallback 9 1\ntitle a\nboot\ntitle b\nboot\n").first_choice(None),
        1
    );
    assert_eq!(
        menu("default saved\ntitle a\nboot\ntitle b\nboot\n").first_choice(Some(1)),
        1
    );
    assert_eq!(
        menu("default saved\ntitle a\nboot\n").first_choice(Some(7)),
        0
    );
}

#[test]
fn odd_bytes_survive_or_are_reported() {
    let (menu, remarks) =
        parse(b"\xef\xbb\xbftimeout 5\r\ntitle Syst\xe8me\0 x\r\nboot\r\n# c \\\r\nboot\r\n");
    assert_eq!(menu.timeout, Some(5));
    assert_eq!(menu.entries[0].title, b"Syst\xe8me x");
    assert_eq!(menu.entries[0].commands.len(), 1);
    assert_eq!(
        remarks.iter().map(|r| r.kind.clone()).collect::<Vec<_>>(),
        [Kind::Nul, Kind::CommentContinued]
    );
}

#[test]
fn empty_and_enormous_files() {
    assert_eq!(remarks(b""), ["1:1: warning: no entries"]);
    let mut text = b"title a\nkernel /v ".to_vec();
    text.resize(2 << 20, b'x');
    assert_eq!(
        parse(&text).0.entries[0].commands[0].args.len(),
        (2 << 20) - 15
    );
    let noise = b"x\n".repeat(100_000);
    assert_eq!(parse(&noise).1.len(), MAX_DIAGNOSTICS + 1);
    let backslashes = b"\\\n".repeat(300_000);
    assert_eq!(parse(&backslashes).0, Menu::default());
}

#[test]
fn printing_gives_the_same_menu() {
    for text in [
        "timeout=5\ntitle = x\n=odd\nkernel   /v\ta  b \ninitrd",
        "title\nboot\\",
        "title a\nx\\\ny\\",
        "title \n\\ \nboot",
    ] {
        let first = menu(text).without_spans();
        assert_eq!(parse(&first.to_text()).0.without_spans(), first, "{text:?}");
    }
}
