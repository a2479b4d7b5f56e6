//! What holds for every text: the parser returns, its work is bounded, and what it prints means the same.

use std::time::{Duration, Instant};

use menu::keys::{Decoder, Key};
use menu::lexer::Lexer;
use menu::line_editor::{History, LineEditor, LineView};
use menu::{Command, parse, text};
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes that look like a menu: its words, its separators, and now and then anything.
fn menu_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec![
            "title", "default", "timeout", "fallback", "kernel", "initrd", "root", "password", "color", "boot",
            "hiddenmenu", "saved", "--md5", "(hd0,0)", "/boot/vmlinuz", "ro", "0", "7", "x",
        ]).prop_map(|word| word.as_bytes().to_vec()),
        8 => prop::sample::select(vec![" ", "\t", "=", "\n", "\n", "\r\n", "\r", "\\", "\\\n", "#", "\0"])
            .prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(piece, 0..80).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_parse(text in vec(any::<u8>(), 0..2000)) {
        let (menu, _) = parse(&text);
        prop_assert!(menu.fallback.len() <= menu::tree::MAX_FALLBACKS);
        prop_assert!(menu.entries.iter().all(|entry| !entry.commands.is_empty()));
    }

    #[test]
    fn printing_gives_the_same_menu(text in menu_text()) {
        let menu = parse(&text).0.without_spans();
        let again = parse(&menu.to_text()).0.without_spans();
        prop_assert_eq!(again, menu);
    }

    #[test]
    fn what_is_kept_is_bounded_by_what_is_read(text in menu_text()) {
        let kept: usize = Lexer::new(&text).map(|line| line.text.len()).sum();
        prop_assert!(kept <= text.len());
        let (menu, _) = parse(&text);
        let commands = menu.entries.iter().flat_map(|entry| &entry.commands).chain(&menu.globals);
        let kept: usize = commands.map(|command| command.word.len() + command.args.len()).sum();
        prop_assert!(kept <= text.len());
    }

    #[test]
    fn places_are_places(text in menu_text()) {
        // A file without LF would count its lines by CR.
        let text = [&text[..], b"\n"].concat();
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        for line in Lexer::new(&text) {
            for (offset, byte) in line.text.iter().enumerate() {
                let place = line.position(offset);
                let source = lines[place.line as usize - 1];
                let at = source.get(place.column as usize - 1).copied().unwrap_or(b'\n');
                let at = if matches!(at, b'\t' | b'\n') { b' ' } else { at };
                prop_assert_eq!(at, *byte, "{:?}", place);
            }
        }
    }

    #[test]
    fn a_typed_line_is_what_a_file_would_hold(line in "[ a-z=\\\\()/0-9-]{0,40}") {
        let typed = Command::typed(line.as_bytes());
        prop_assert_eq!(Command::typed(&typed.to_line()), typed);
    }

    #[test]
    fn any_bytes_decode_to_keys(bytes in vec(any::<u8>(), 0..300), step in 0_u64..150) {
        let mut decoder = Decoder::default();
        let mut now = Duration::ZERO;
        let mut keys = 0;
        for byte in &bytes {
            keys += decoder.feed(*byte, now).into_iter().flatten().count();
            now += Duration::from_millis(step);
        }
        keys += decoder.expire(now + Duration::from_secs(1)).into_iter().flatten().count();
        // No byte is counted twice.
        prop_assert!(keys <= bytes.len());
        prop_assert_eq!(decoder.deadline(), None);
    }

    #[test]
    fn the_line_shown_is_the_line_held(
        keys in vec(prop_oneof![
            4 => (0x20_u8..0x7f).prop_map(Key::Char),
            1 => (0x80_u8..=0xff).prop_map(Key::Char),
            4 => prop::sample::select(vec![
                Key::Left, Key::Right, Key::Home, Key::End, Key::Backspace, Key::Delete, Key::Ctrl(b'k'),
                Key::Ctrl(b'u'), Key::Ctrl(b'y'), Key::Ctrl(b'w'), Key::Up, Key::Down,
            ]),
        ], 0..120),
        width in 8_usize..30,
    ) {
        let mut history = History::default();
        history.push("root (hd0,0) é漢字e\u{301}".as_bytes());
        let mut editor = LineEditor::new(b"kernel /v", &history);
        let mut view = LineView::new(width);
        let (mut cells, mut at) = (Vec::<String>::new(), 0_usize);
        for key in keys {
            editor.key(key);
            for c in String::from_utf8(view.draw(&editor)).unwrap().chars() {
                if c == '\x08' {
                    at -= 1;
                    continue;
                }
                match text::width(c) {
                    0 => cells[at - 1].push(c),
                    columns => {
                        cells.resize(cells.len().max(at + columns), " ".to_owned());
                        cells[at] = c.to_string();
                        cells[at + 1..at + columns].fill(String::new());
                        at += columns;
                    }
                }
            }
            let shown = cells.concat();
            prop_assert!(cells.len() <= width && at < width, "{} {} {}", cells.len(), at, width);
            // The part shown is the one that holds the cursor.
            let start = editor.column() - at;
            let held = text::visible(editor.text());
            let (mut column, mut part) = (0, String::new());
            for c in held.chars() {
                let end = column + text::width(c);
                if (column >= start && end > start || column > start) && end <= start + width {
                    part.push(c);
                }
                column = end;
            }
            prop_assert_eq!(shown.trim_end(), part.trim_end());
        }
    }
}

/// Time grows with the length, not with its square: a hundred times the text takes nowhere near ten thousand times as
/// long. The limits are far apart, so that a busy machine does not matter.
#[test]
fn parsing_is_linear() {
    let kinds: [&[u8]; 8] = [
        b"title a\nboot\n",
        b"\\\n",
        b"\\\r",
        b"x",
        b"\0a",
        b"# \\\n",
        b"fallback 1 1 1 1\n",
        b"password --md5 x=\\\n y\n",
    ];
    for kind in kinds {
        let time = |len: usize| {
            let text = kind.repeat(len / kind.len());
            let start = Instant::now();
            std::hint::black_box(parse(&text));
            start.elapsed()
        };
        // A machine that does not run the test for seconds says nothing about it: such a measurement is made again.
        let is_linear = || {
            let short = time(20_000).max(Duration::from_micros(500));
            time(2_000_000) < short * 2000
        };
        assert!((0..5).any(|_| is_linear()), "{}", kind.escape_ascii());
    }
}
