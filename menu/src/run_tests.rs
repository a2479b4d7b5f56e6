//! The whole loop: scripted keys and time in, the machine's log and what a vt100 shows out.

use super::*;
use crate::error::Code;
use crate::fake::{FakeMachine, FakeTerminal, Vt100};

pub(super) struct Ran {
    pub(super) outcome: Outcome,
    log: Vec<String>,
    pub(super) terminal: FakeTerminal,
}

impl Ran {
    /// The kernels that were asked for, in order.
    pub(super) fn kernels(&self) -> Vec<&str> {
        self.log
            .iter()
            .filter_map(|line| line.strip_prefix("kernel "))
            .collect()
    }

    fn shown(&self) -> String {
        self.terminal.text()
    }
}

pub(super) fn machine() -> FakeMachine {
    let mut machine = FakeMachine::with_files(&["(nd)/a", "(nd)/b", "(nd)/c"]);
    machine.add_file(
        "(nd)/other",
        b"timeout 0\ntitle other\nkernel /c from-other\n",
    );
    machine.add_file("(nd)/loop", b"timeout 0\ntitle loop\nconfigfile /loop\n");
    machine
}

pub(super) fn run_with(
    machine: &mut FakeMachine,
    text: Option<&str>,
    script: &str,
    options: &Options,
) -> Ran {
    let mut terminal = FakeTerminal::typing(script);
    let outcome = run(text.map(str::as_bytes), &mut terminal, machine, options);
    Ran {
        outcome,
        log: core::mem::take(&mut machine.log),
        terminal,
    }
}

pub(super) fn run_menu(text: &str, script: &str) -> Ran {
    run_with(&mut machine(), Some(text), script, &Options::default())
}

pub(super) const OFF: Outcome = Outcome::Shutdown(ShutdownRequest::PowerOff);
pub(super) const THREE: &str = "title A\nkernel /a\ntitle B\nkernel /b\ntitle C\nkernel /c\n";

pub(super) fn with(globals: &str) -> String {
    format!("{globals}\n{THREE}")
}

#[test]
fn the_timeout_boots_the_default() {
    let ran = run_menu(&with("default 1\ntimeout 5"), "");
    assert_eq!(
        (ran.outcome, ran.kernels()),
        (Outcome::Booted, ["(nd)/b []"].into())
    );
    assert_eq!(ran.terminal.now, Duration::from_secs(5));
    assert!(ran.shown().contains("Booting 'B'"));
}

#[test]
fn timeout_0_boots_without_a_menu() {
    let ran = run_menu(&with("timeout 0"), "");
    assert_eq!(ran.outcome, Outcome::Booted);
    assert_eq!(ran.terminal.now, Duration::ZERO);
    assert!(!ran.shown().contains("pv-grub"), "{}", ran.shown());
}

#[test]
fn without_a_timeout_the_menu_waits() {
    let ran = run_menu(THREE, "<3600000><off>");
    assert_eq!((ran.outcome, ran.kernels()), (OFF, Vec::new()));
    assert_eq!(
        ran.terminal.per_second.len(),
        1,
        "nothing is sent while nothing changes"
    );
}

#[test]
fn keys_choose() {
    assert_eq!(run_menu(THREE, "\x1b[B\r").kernels(), ["(nd)/b []"]);
    assert_eq!(run_menu(THREE, "vv\x10b").kernels(), ["(nd)/b []"]);
    assert_eq!(run_menu(THREE, "2\x1b[C").kernels(), ["(nd)/c []"]);
}

#[test]
fn an_arrow_split_by_the_console_is_an_arrow() {
    assert_eq!(run_menu(THREE, "\x1b<50>[<50>B\r").kernels(), ["(nd)/b []"]);
}

#[test]
fn a_key_stops_the_countdown_and_the_fallback() {
    let ran = run_menu(&with("timeout 5\nfallback 1"), "<2500>v<100000>^\r<off>");
    assert_eq!(
        (ran.outcome, ran.kernels()),
        (Outcome::Booted, ["(nd)/a []"].into())
    );
    let text = "timeout 5\nfallback 1\ntitle X\nkernel /none\ntitle B\nkernel /b\n";
    let ran = run_menu(text, "\r<60000><off>");
    assert_eq!((ran.outcome, ran.kernels()), (OFF, ["(nd)/none []"].into()));
}

#[test]
fn fallbacks_are_tried_in_order_and_once() {
    let text = "timeout 1\nfallback 7 1 2\ntitle X\nkernel /none\ntitle Y\nkernel /none2\ntitle C\nkernel /c\n";
    let ran = run_menu(text, "");
    assert_eq!(
        (ran.outcome, ran.kernels()),
        (
            Outcome::Booted,
            ["(nd)/none []", "(nd)/none2 []", "(nd)/c []"].into()
        )
    );
    assert!(
        ran.shown()
            .contains("Error 15: File not found\r\n  kernel /none: no such file\r\n"),
        "{}",
        ran.shown()
    );
    assert_eq!(
        ran.terminal.now,
        Duration::from_secs(1),
        "fallbacks need no key"
    );
}

#[test]
fn entries_that_name_each_other_as_fallback_are_tried_once() {
    let text =
        "timeout 1\ntitle X\nfallback 1\nkernel /none\ntitle Y\nfallback 0 1\nkernel /none2\n";
    assert_eq!(run_menu(text, "<60000><off>").kernels().len(), 2);
}

#[test]
fn a_failure_can_be_left_with_a_key() {
    let ran = run_menu(
        "timeout 1\ntitle X\nkernel /none\ntitle B\nkernel /b\n",
        "<1500>x<100>v\r",
    );
    assert_eq!(
        (ran.outcome, ran.kernels()),
        (Outcome::Booted, ["(nd)/none []", "(nd)/b []"].into())
    );
}

#[test]
fn a_hidden_menu_counts_down_and_shows_itself_on_escape() {
    let ran = run_menu(&with("hiddenmenu\ntimeout 3"), "x<500>");
    assert_eq!(ran.outcome, Outcome::Booted);
    assert_eq!(
        ran.shown().split("\r\n").next().unwrap(),
        "Press `ESC' to enter the menu... 3\x082\x081"
    );
    let ran = run_menu(&with("hiddenmenu\ntimeout 3"), "<1500><esc><100000>v\r");
    assert_eq!(
        (ran.outcome, ran.kernels()),
        (Outcome::Booted, ["(nd)/b []"].into())
    );
    assert!(ran.shown().contains("pv-grub version"));
}

#[test]
fn an_idle_countdown_costs_a_few_bytes_a_second() {
    let ran = run_menu(&with("timeout 30"), "");
    for second in 1..30 {
        assert!(
            ran.terminal.per_second[&second] < 30,
            "{second}: {}",
            ran.terminal.per_second[&second]
        );
    }
}

#[test]
fn moving_costs_two_lines_and_not_a_page() {
    let before = run_menu(THREE, "<off>").terminal.sent.len();
    let after = run_menu(THREE, "v<off>").terminal.sent.len();
    assert!(after - before < 250, "{}", after - before);
}

#[test]
fn shutdown_requests_are_obeyed_everywhere() {
    for script in [
        "<off>",
        "c<off>",
        "e<off>",
        "ee<off>",
        "a<off>",
        "ckernel /none\r<off>",
    ] {
        assert_eq!(run_menu(THREE, script).outcome, OFF, "{script}");
    }
    assert_eq!(
        run_with(&mut machine(), None, "<off>", &Options::default()).outcome,
        OFF
    );
    assert_eq!(
        run_menu("timeout 1\ntitle a\nkernel /none\n", "<1500><off>").outcome,
        OFF
    );
    assert_eq!(
        run_menu("timeout 1\ntitle a\npause\n", "<1500><off>").outcome,
        OFF
    );
}

#[test]
fn entries_are_edited_and_booted() {
    // Open the first line, go to its end, add an argument, boot.
    let ran = run_menu(THREE, "ee single\rb");
    assert_eq!(
        (ran.outcome, ran.kernels()),
        (
            Outcome::Booted,
            ["(nd)/a single []".replace(" []", "")]
                .iter()
                .map(|_| "(nd)/a [single]")
                .collect()
        )
    );
    // A new line before; ESC in the line editor forgets, ESC in the entry editor too.
    let ran = run_menu(THREE, "eOekernel /c\r<esc>\r");
    assert_eq!(ran.kernels(), ["(nd)/a []"]);
    let ran = run_menu(THREE, "ed<100>oekernel /c x\rb");
    assert_eq!(ran.kernels(), ["(nd)/c [x]"]);
    let ran = run_menu(THREE, "ee xyz<esc>b");
    assert_eq!(ran.kernels(), ["(nd)/a []"]);
}

#[test]
fn arguments_are_changed_and_booted() {
    let text = "title A\nroot (nd)\nkernel --no-mem-option /a ro quiet\n";
    assert_eq!(
        run_menu(text, "a\x17single\r").kernels(),
        ["(nd)/a [ro single] no-mem"]
    );
    assert_eq!(
        run_menu(text, "a<esc>\r").kernels(),
        ["(nd)/a [ro quiet] no-mem"]
    );
    assert_eq!(run_menu(THREE, "asingle\r").kernels(), ["(nd)/a [single]"]);
}

#[test]
fn the_command_line_boots_from_nothing() {
    let ran = run_with(
        &mut machine(),
        None,
        "root (nd)\rkernel /a ro\rboot\r",
        &Options::default(),
    );
    assert_eq!(
        (ran.outcome, ran.kernels()),
        (Outcome::Booted, ["(nd)/a [ro]"].into())
    );
    assert!(
        ran.shown()
            .contains("grub> root (nd)\r\n Filesystem type is ext2fs\r\n\x1b")
            || ran.shown().contains("grub> kernel /a ro")
    );
}

#[test]
fn the_command_line_shows_failures_and_goes_on() {
    let ran = run_with(
        &mut machine(),
        None,
        "frob\rkernel /none\r\r# x\r\x10\x10\x10\r<off>",
        &Options::default(),
    );
    assert_eq!(ran.outcome, OFF);
    assert!(
        ran.shown()
            .contains("Error 27: Unrecognized command\r\n  `frob`: no such command")
    );
    assert_eq!(ran.kernels().len(), 1);
}

#[test]
fn the_command_line_completes() {
    let ran = run_with(
        &mut machine(),
        None,
        "ker\t/a ro\rbo\t\r",
        &Options::default(),
    );
    assert_eq!(ran.kernels(), ["(nd)/a [ro]"]);
    let ran = run_with(&mut machine(), None, "r\t\t<off>", &Options::default());
    assert!(ran.shown().contains(
        "rarp          read          reboot        root          rootnoverify\r\ngrub> r"
    ));
}

#[test]
fn escape_leaves_the_command_line() {
    let ran = run_menu(THREE, "cprint hi\r<esc>v\r");
    assert_eq!(ran.kernels(), ["(nd)/b []"]);
}

#[test]
fn configfile_shows_the_other_menu() {
    let ran = run_menu("timeout 0\ntitle x\nconfigfile /other\n", "");
    assert_eq!(
        (ran.outcome, ran.kernels()),
        (Outcome::Booted, ["(nd)/c [from-other]"].into())
    );
    let ran = run_with(
        &mut machine(),
        None,
        "configfile /other\r",
        &Options::default(),
    );
    assert_eq!(ran.kernels(), ["(nd)/c [from-other]"]);
}

#[test]
fn menus_that_load_each_other_end_at_the_prompt() {
    let ran = run_menu("timeout 0\ntitle x\nconfigfile /loop\n", "<off>");
    assert_eq!(ran.outcome, OFF);
    assert!(ran.shown().contains("without end"));
}

#[test]
fn a_password_locks_editing_until_it_is_given() {
    let text = with("password secret");
    assert_eq!(
        run_menu(&text, "ecapsecret\rckernel /c\rboot\r").kernels(),
        ["(nd)/c []"]
    );
    let ran = run_menu(&text, "pwrong\r<5000>xe<off>");
    assert_eq!((ran.outcome, ran.kernels().len()), (OFF, 0));
    assert!(ran.shown().contains("Error 32"));
    assert!(!ran.shown().contains("wrong\r"));
    let ran = run_menu("password secret /other\ntitle A\nkernel /a\n", "psecret\r");
    assert_eq!(ran.kernels(), ["(nd)/c [from-other]"]);
}

#[test]
fn wrong_passwords_cost_time_and_typing_ahead_is_lost() {
    let ran = run_menu(&with("password secret"), "pwrong\rpsecret\rc<off>");
    assert_eq!(ran.outcome, OFF);
    assert!(!ran.shown().contains("grub> "));
}

#[test]
fn a_locked_entry_boots_once_unlocked() {
    let text = "password x\ntitle a\nlock\nkernel /a\n";
    assert_eq!(run_menu(text, "\r<off>").kernels().len(), 0);
    assert_eq!(run_menu(text, "px\r\r").kernels(), ["(nd)/a []"]);
}

#[test]
fn default_saved_asks_the_machine() {
    let mut machine = machine();
    machine.saved = b"2\n#\n#\n".to_vec();
    let ran = run_with(
        &mut machine,
        Some(&with("default saved\ntimeout 1")),
        "",
        &Options::default(),
    );
    assert_eq!(ran.kernels(), ["(nd)/c []"]);
    let text =
        "timeout 0\ndefault 1\nfallback 0\ntitle A\nkernel /a\ntitle B\nkernel /b\nsavedefault\n";
    assert!(run_menu(text, "").log.contains(&"save 1".into()));
}

#[test]
fn the_domain_chooses() {
    let options = Options {
        entry: Some(Choice::new(b"C")),
        timeout: Some(0),
        append: b"single".to_vec(),
        ..Options::default()
    };
    let ran = run_with(&mut machine(), Some(&with("default 1")), "", &options);
    assert_eq!(ran.kernels(), ["(nd)/c [single]"]);
    let options = Options {
        entry: Some(Choice::new(b"9")),
        timeout: Some(0),
        ..Options::default()
    };
    let ran = run_with(&mut machine(), Some(&with("default 1")), "", &options);
    assert_eq!(ran.kernels(), ["(nd)/b []"]);
}

#[test]
fn an_empty_menu_opens_the_prompt_but_not_past_its_password() {
    let ran = run_menu("timeout 5\n", "kernel /a\rboot\r");
    assert_eq!(ran.kernels(), ["(nd)/a []"]);
    let ran = run_menu("password x\n", "?y\r<5000>xkernel /a\rboot\r<off>");
    assert_eq!((ran.outcome, ran.kernels().len()), (OFF, 0));
}

#[test]
fn a_failing_boot_comes_back() {
    let mut machine = machine();
    machine.boot_failure =
        Some(Failure::new(Code::BOOT_FAILURE).because("the tables were not pinned"));
    let ran = run_with(
        &mut machine,
        Some(&with("timeout 0\nfallback 1")),
        "<off>",
        &Options::default(),
    );
    assert_eq!((ran.outcome, ran.kernels().len()), (OFF, 2));
    assert!(
        ran.shown()
            .contains("Error 9: Unknown boot failure\r\n  boot: the tables were not pinned")
    );
}

#[test]
fn noise_does_no_harm() {
    let noise: String = (0..200_000_u32)
        .map(|n| char::from(u8::try_from(n * 7919 % 95 + 32).unwrap()))
        .collect();
    let noise: String = noise.chars().filter(|c| !"bcea<>".contains(*c)).collect();
    let ran = run_menu(THREE, &format!("{noise}\x1b[H\r"));
    assert_eq!(ran.kernels(), ["(nd)/a []"]);
}

#[test]
fn the_menu_takes_the_terminals_size_once_somebody_is_there() {
    assert!(
        !run_menu(&with("timeout 5"), "").shown().contains("\x1b[6n"),
        "no answer could come in time"
    );
    let ran = run_menu(THREE, "v\x1b[40;120R<off>");
    assert_eq!(ran.shown().matches("\x1b[6n").count(), 1);
    let mut vt100 = Vt100::new(120, 40);
    vt100.write(&ran.terminal.sent);
    assert!(
        vt100.to_text().contains(&"-".repeat(114)),
        "{}",
        vt100.to_text()
    );
    // An answer stops no countdown, is no key, and may not be absurd.
    let ran = run_menu(&with("timeout 5"), "<1000>\x1b[40;120R<1000>");
    assert_eq!(
        (ran.outcome, ran.terminal.now),
        (Outcome::Booted, Duration::from_secs(5))
    );
    for absurd in ["1;2", "0;0", "65535;65535"] {
        assert_eq!(
            run_menu(THREE, &format!("v\x1b[{absurd}R\r")).kernels(),
            ["(nd)/b []"]
        );
    }
    assert_eq!(
        run_menu("title x\nkernel /none\n", "\r\x1b[40;120R<off>").outcome,
        OFF
    );
}

#[test]
fn a_dumb_terminal_gets_no_sequences() {
    let ran = run_menu(
        &with("terminal --dumb serial\ntimeout 5"),
        "<1500>v1eo<esc>ca\x7f<esc>b",
    );
    assert_eq!(ran.kernels(), ["(nd)/b []"]);
    assert!(!ran.shown().contains('\x1b'), "{}", ran.shown());
    assert!(ran.shown().contains("  1: B\r\n"));
    assert!(
        ran.shown()
            .contains("Entry 0 will be booted automatically in 5 seconds.")
    );
}

#[test]
fn a_default_for_one_boot() {
    let text = with("default saved\ntimeout 0");
    let mut machine = machine();
    machine.saved = b"1:2\n".to_vec();
    let ran = run_with(&mut machine, Some(&text), "", &Options::default());
    assert_eq!(
        (ran.kernels(), ran.log[1].as_str()),
        (["(nd)/b []"].into(), "save 2")
    );
    // What cannot be noted would be done again and again.
    machine.save_failure = Some(Failure::new(Code::WRITE).because("read-only"));
    let ran = run_with(&mut machine, Some(&text), "", &Options::default());
    assert_eq!(ran.kernels(), ["(nd)/c []"]);
}

#[test]
fn endless_menus_do_not_lead_past_a_password() {
    let mut machine = machine();
    machine.add_file(
        "(nd)/loop",
        b"password x\ntimeout 0\ntitle loop\nconfigfile /loop\n",
    );
    let text = "timeout 0\ntitle x\nconfigfile /loop\n";
    let ran = run_with(
        &mut machine,
        Some(text),
        "wrong\r<5000>kernel /a\rboot\r<off>",
        &Options::default(),
    );
    assert_eq!((ran.outcome, ran.kernels().len()), (OFF, 0));
}
