//! Anything typed at any menu ends: no panic, no loop, and nothing on the terminal but text and known sequences.

use super::tests::machine;
use super::{Options, Outcome, Unattended, run};
use crate::fake::{FakeTerminal, Step, Vt100};
use alloc::vec::Vec;
use core::time::Duration;
use proptest::collection::vec as many;
use proptest::prelude::*;

fn menu_text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(std::vec![
        "default 1",
        "default saved",
        "timeout 3",
        "timeout 0",
        "fallback 1 0",
        "hiddenmenu",
        "password x",
        "password x /other",
        "color red/blue",
        "terminal --dumb",
        "pager on",
        "title A",
        "title B",
        "kernel /a ro",
        "kernel /none",
        "initrd /b",
        "module /c x",
        "root (hd0,0)",
        "root (hd9)",
        "configfile /other",
        "configfile /loop",
        "boot",
        "lock",
        "pause",
        "password y",
        "help",
        "cat /other",
        "find /a",
        "savedefault",
        "frob",
        "halt",
        "clear",
        "fallback 1",
    ]);
    let line = line.prop_map(|line| line.as_bytes().to_vec());
    // Titles and arguments of any bytes, and of characters of all widths.
    let bytes = many(any::<u8>(), 0..100);
    let title = bytes.prop_map(|bytes| [b"title ", &bytes[..]].concat());
    let wide = "[a-z\u{300}\u{301}\u{e34}漢字한😀\u{9b}\u{202e}]{0,60}";
    let wide = wide.prop_map(|text| ["title ", &text, "\nprint ", &text].concat().into_bytes());
    let line = prop_oneof![12 => line, 1 => title, 1 => wide];
    many(line, 0..14).prop_map(|lines| lines.join(&b'\n'))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let typed = prop::sample::select(std::vec![
        "\r",
        "\r",
        "\x1b[A",
        "\x1b[B",
        "\x1b",
        "e",
        "c",
        "p",
        "a",
        "b",
        "d",
        "o",
        "O",
        "x",
        "x\r",
        "\t",
        "\x7f",
        "0",
        "1",
        "kernel /a\r",
        "boot\r",
        "help\r",
        "configfile /other\r",
        "\x1b[40;120R",
        "\x03",
        "\x15",
        "\x17",
        "\x10",
        "\x19",
    ]);
    let step = prop_oneof![
        6 => typed.prop_map(|text| text.bytes().map(Step::Byte).collect::<Vec<_>>()),
        1 => any::<u8>().prop_map(|byte| std::vec![Step::Byte(byte)]),
        2 => (0_u64..20_000).prop_map(|ms| std::vec![Step::Wait(Duration::from_millis(ms))]),
    ];
    many(step, 0..40).prop_map(|steps| steps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_typed_ends(text in menu_text(), steps in steps(), power_off in any::<bool>()) {
        let mut machine = machine();
        let mut terminal = FakeTerminal::playing(steps);
        let unattended = if power_off { Unattended::PowerOff } else { Unattended::Wait };
        let options = Options { unattended, ..Options::default() };
        let menu = Some(&text[..]).filter(|text| !text.is_empty());
        let outcome = run(menu, &mut terminal, &mut machine, &options);
        // A boot is the machine's last act; without one it was told to stop.
        prop_assert_eq!(outcome == Outcome::Booted, machine.log.last().is_some_and(|last| last == "boot"));
        Vt100::new(80, 24).write(&terminal.sent);
    }
}
