//! What somebody at the keyboard is told: nothing typed or written in a menu goes without an answer.

use super::tests::{OFF, Ran, THREE, machine, run_menu, run_with, with};
use super::*;
use crate::fake::Vt100;

/// The page at the end, as a vt100 shows it.
fn page(ran: &Ran, columns: usize, rows: usize) -> String {
    let mut vt100 = Vt100::new(columns, rows);
    vt100.write(&ran.terminal.sent);
    vt100.to_text()
}

/// What the prompt answers to one line.
fn answer(line: &str) -> String {
    let ran = run_with(
        &mut machine(),
        None,
        &format!("{line}\r<off>"),
        &Options::default(),
    );
    assert_eq!(ran.outcome, OFF, "{line}");
    let shown = ran.terminal.text();
    let (_, rest) = shown
        .split_once(&format!("grub> {line}\r\n"))
        .unwrap_or_default();
    rest.replace("\r\n", "\n")
        .trim_end_matches("grub> ")
        .trim()
        .into()
}

#[test]
fn every_wrong_line_has_a_reason_and_a_way_out() {
    for (line, number, words) in [
        ("frob", 27, "`frob`: no such command; `help` lists them"),
        ("linux /v", 27, "here it is `kernel`, see `help kernel`"),
        ("setup (hd0)", 27, "a domain has no BIOS"),
        ("timeout 5", 27, "only works in a menu's file"),
        ("title x", 27, "begins an entry of a menu's file"),
        ("kernel", 1, "a file's name is missing"),
        ("kernel --frob /v", 30, "--frob is not an option"),
        ("kernel /none", 15, "kernel /none: no such file"),
        ("initrd", 1, "a file's name is missing"),
        ("root (hd9)", 21, "there are 1 disks"),
        ("boot", 8, "load one with `kernel FILE`"),
        ("find", 30, "takes a file, --label or --uuid"),
        ("find --frob x", 30, "--set-root, --label and --uuid"),
        ("cmp /a", 30, "two files are needed"),
        ("geometry", 11, "a device's name is missing"),
        ("color pink", 30, "see `help color`"),
        ("fallback x", 23, "entries' numbers, from 0"),
        ("pager perhaps", 30, "`on` or `off`"),
        ("password", 30, "the password is missing"),
        ("savedefault", 30, "`savedefault NUMBER`"),
        ("savedefault x", 23, "N, N:M or `fallback`"),
        ("help frob", 27, "no command `frob`"),
        ("terminal vga", 30, "`terminal --dumb console`"),
        ("makeactive", 29, "does not write partition tables"),
        ("read 0", 27, "see `help`"),
        ("chainloader +1", 27, "name the kernel with `kernel`"),
    ] {
        let answer = answer(line);
        assert!(
            answer.starts_with(&format!("Error {number}: ")),
            "{line}: {answer}"
        );
        assert!(answer.contains(words), "{line}: {answer}");
    }
}

#[test]
fn what_has_no_effect_says_so_where_it_was_typed_and_only_there() {
    for line in [
        "map (hd0) (hd1)",
        "splashimage /x",
        "setkey",
        "fstest",
        "serial",
        "quiet",
        "uppermem 1",
    ] {
        assert!(
            answer(line).contains("has no effect here; see `help "),
            "{line}"
        );
    }
    let ran = run_menu(
        "timeout 0\nserial\ntitle x\nmap (hd0) (hd1)\nkernel /a\n",
        "",
    );
    assert!(!ran.terminal.text().contains("no effect"));
    assert_eq!(
        answer("terminal"),
        "The terminal is the domain's console, taken for a vt100"
    );
    assert!(answer("quit").contains("nothing to return to"));
}

#[test]
fn completion_says_why_there_is_nothing() {
    let mut machine = machine();
    machine.list_failure = Some(Failure::new(crate::Code::NO_DISK).because("no disks"));
    let ran = run_with(&mut machine, None, "kernel /\tx<off>", &Options::default());
    let shown = ran.terminal.text();
    assert!(
        shown.contains(
            "\r\nError 21: Selected disk does not exist\r\n  no disks\r\ngrub> kernel /x"
        ),
        "{shown}"
    );
}

#[test]
fn long_answers_stop_after_a_screenful_where_they_were_typed() {
    let ran = run_menu(THREE, "chelp\r<off>");
    let shown = ran.terminal.text();
    assert!(shown.contains("savedefault") && !shown.contains("viewport"));
    assert!(!shown.contains("[Hit return"), "it fits a screen: {shown}");
    let ran = run_menu(THREE, "chelp --all\r q<off>");
    assert_eq!(
        ran.terminal
            .text()
            .matches("[Hit return to continue]")
            .count(),
        1
    );
    assert!(ran.terminal.text().contains("viewport"));
    let ran = run_menu(THREE, "cpager off\rhelp --all\r<off>");
    assert!(!ran.terminal.text().contains("[Hit return"));
    // Nobody is there to press a key while an entry runs.
    let ran = run_menu("timeout 0\ntitle x\nhelp\nkernel /a\n", "");
    assert_eq!(
        (ran.outcome, ran.terminal.now),
        (Outcome::Booted, Duration::ZERO)
    );
    let all = run_menu(THREE, "cpager off\rhelp --all\r<off>");
    let all = all.terminal.text();
    assert!(
        all.contains("timeout SECONDS") && all.contains("hiddenmenu"),
        "{all}"
    );
}

#[test]
fn a_menu_that_was_misunderstood_says_so() {
    let wrong = with("default 7\ntimeout soon");
    let shown = page(&run_menu(&wrong, "<off>"), 80, 24);
    assert!(
        shown.contains("   Line 1: `default` names entry 7, which does not exist (and 1 more)\n"),
        "{shown}"
    );
    assert!(!page(&run_menu(THREE, "<off>"), 80, 24).contains("Line "));
    let ran = run_menu("menuentry 'x' {\n  linux /v\n}\n", "<off>");
    let shown = ran.terminal.text();
    assert!(
        shown.contains("each begins with a line `title TEXT`"),
        "{shown}"
    );
    assert!(
        shown.contains("\r\n  1:1: note: `menuentry` is not a command; ignored\r\n"),
        "{shown}"
    );
    let options = Options {
        entry: Some(Choice::new(b"Debain")),
        ..Options::default()
    };
    let ran = run_with(&mut machine(), Some(THREE), "<off>", &options);
    let shown = page(&ran, 80, 24);
    assert!(
        shown.contains("No entry is what `--entry=` says"),
        "{shown}"
    );
    let shown = page(&run_menu("title x\nroot (hd0,0)\n", "a<off>"), 80, 24);
    assert!(shown.contains("This entry has no `kernel` line"), "{shown}");
}

#[test]
fn the_page_is_drawn_again_for_who_comes_late() {
    for script in ["\x0c<off>", "e\x0c<off>"] {
        let ran = run_menu(THREE, script);
        let whole: Vec<u8> = ran.terminal.sent.clone();
        let start = whole
            .windows(7)
            .rposition(|w| w == b"\x1b[H\x1b[J\x1b")
            .unwrap();
        let mut vt100 = Vt100::new(80, 24);
        vt100.write(&whole[start..]);
        assert!(
            vt100.to_text().contains("highlighted."),
            "{}",
            vt100.to_text()
        );
    }
}

#[test]
fn the_terminal_s_answer_is_heard_in_the_editor_too() {
    let ran = run_menu(THREE, "e\x1b[40;120R<off>");
    assert!(page(&ran, 120, 40).contains(&"-".repeat(114)));
    let ran = run_menu(THREE, "c\x1b[40;120R<esc><off>");
    assert!(page(&ran, 120, 40).contains(&"-".repeat(114)));
}

#[test]
fn a_lagging_guest_takes_escape_for_escape() {
    // ESC leaves the editor, and the letters behind it come in the same instant.
    assert_eq!(run_menu(THREE, "e\x1bv\r").kernels(), ["(nd)/b []"]);
    assert_eq!(run_menu(THREE, "c\x1b2\r").kernels(), ["(nd)/c []"]);
    let ran = run_menu(&with("hiddenmenu\ntimeout 9"), "\x1bv\r");
    assert_eq!(ran.kernels(), ["(nd)/b []"]);
}

#[test]
fn nothing_in_a_menu_moves_the_cursor() {
    let text = "timeout 0\ntitle \x1b[2J\u{9b}1;1Hx\nprint \x1b]0;t\x07\nkernel /a \x1b[5m\x0e\n";
    let ran = run_menu(text, "<off>");
    let shown = ran.terminal.text();
    assert!(
        !shown.contains('\x1b') && !shown.contains(['\u{9b}', '\x07', '\x0e']),
        "{shown:?}"
    );
    assert!(shown.contains("kernel /a ?[5m?"), "{shown}");
}

#[test]
fn titles_of_every_script_are_shown() {
    let text = "title Système €\nboot\ntitle 漢字 カナ 한글\nboot\ntitle हिन्दी ไทย עברית عربى\nboot\ntitle e\u{301}\u{302} 😀\nboot\n";
    let shown = page(&run_menu(text, "<off>"), 80, 24);
    for title in text.lines().filter_map(|line| line.strip_prefix("title ")) {
        assert!(shown.contains(&format!("| {title} ")), "{title}: {shown}");
    }
    // No row is longer or shorter than the others: the right border stands in one column.
    let mut vt100 = Vt100::new(80, 24);
    vt100.write(&run_menu(text, "<off>").terminal.sent);
    assert_eq!(vt100.column_of('|', 76), 12);
}
