//! What holds for every menu, made of words that menus are made of and of bytes that they are not.

use proptest::prelude::*;

use pvgrub::fmt::formatted;
use pvgrub::lint::fix::{fixed, meaning};
use pvgrub::lint::places::Places;
use pvgrub::lint::{Levels, lint};

/// Pieces of menus.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\\\n",
        b"\\",
        b" ",
        b"\t",
        b"=",
        b"#",
        b"\0",
        b"\xef\xbb\xbf",
        b"# pvgrub: allow(nul)\n",
        b"title ",
        b"title a\n",
        b"default ",
        b"default 1\n",
        b"default saved\n",
        b"timeout 5",
        b"timeout ",
        b"fallback 0 1",
        b"fallback ",
        b"color ",
        b"light-gray/black",
        b"password x\n",
        b"hiddenmenu\n",
        b"kernel /v ",
        b"initrd /i",
        b"root (hd0,0)\n",
        b"root x\n",
        b"savedefault\n",
        b"boot\n",
        b"lock\n",
        b"quiet\n",
        b"help\n",
        b"1 2 3 4 5 6 7 8 9 10",
        b"7",
        b"0x",
        b"console=ttyS0",
        b"configfile /m\n",
        b"pause\n",
        b"chainloader +1\n",
        b"module /m\n",
        b"\xe8",
        b"\x1b",
    ];
    prop_oneof![
        20 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

/// Where a byte order mark is none, as something stands before it, it stays none.
#[test]
fn no_fix_makes_a_byte_order_mark() {
    for front in [
        "\r",
        "\r\r",
        "\0",
        "\r\0",
        "\0\r",
        "\u{feff}\r",
        "\u{feff}\0",
    ] {
        let text = format!("{front}\u{feff}password x\n");
        let once = fixed(text.as_bytes(), &Levels::default()).unwrap();
        assert_eq!(meaning(text.as_bytes()), meaning(&once.text), "{front:?}");
        let again = fixed(&once.text, &Levels::default()).unwrap();
        assert_eq!(again.count, 0, "{front:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn fixes_change_nothing_for_the_loader_and_are_made_once(text in text()) {
        let once = fixed(&text, &Levels::default()).unwrap();
        prop_assert_eq!(meaning(&text), meaning(&once.text));
        let again = fixed(&once.text, &Levels::default()).unwrap();
        prop_assert_eq!(again.count, 0);
        prop_assert_eq!(again.text, once.text);
    }

    #[test]
    fn canonical_form_is_its_own(text in text()) {
        let once = formatted(&text).unwrap();
        prop_assert_eq!(formatted(&once).unwrap(), once);
    }

    #[test]
    fn findings_lie_in_the_text_and_in_order(text in text()) {
        let places = Places::new(&text);
        let linted = lint(&places, &Levels::default(), usize::MAX);
        for finding in &linted.findings {
            let range = places.range(finding.span);
            prop_assert!(range.end <= text.len());
            prop_assert!(!finding.said.message.is_empty());
            for edit in finding.said.fix.iter().flat_map(|fix| &fix.edits) {
                prop_assert!(edit.range.end <= text.len());
            }
        }
        prop_assert!(linted.findings.is_sorted_by_key(|finding| finding.span.start));
    }
}
