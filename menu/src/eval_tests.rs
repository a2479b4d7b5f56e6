//! Behaviour of the evaluator, against the recording machine.

use super::*;
use crate::fake::{FakeMachine, FakeTerminal};
use crate::parse::parse;
use alloc::format;
use std::string::ToString;

struct Ran {
    result: Result<(), Exit>,
    log: Vec<String>,
    shown: String,
}

impl Ran {
    fn error(&self) -> String {
        match &self.result {
            Err(Exit::Failure(failure)) => failure.to_string(),
            other => std::panic!("no failure: {other:?}"),
        }
    }
}

fn run_on(machine: &mut FakeMachine, text: &str, typed: &str) -> Ran {
    let (menu, _) = parse(text.as_bytes());
    let mut terminal = FakeTerminal::typing(typed);
    let mut state = State {
        rows: 24,
        columns: 80,
        ..State::default()
    };
    let mut session = Session {
        machine,
        terminal: &mut terminal,
        state: &mut state,
    };
    session.run_globals(&menu).unwrap();
    session.machine.reset();
    let mut result = Ok(());
    for entry in &menu.entries {
        result = session.run_entry(entry);
        if result.is_err() {
            break;
        }
    }
    let log = machine.log.iter().skip(2).cloned().collect();
    Ran {
        result,
        log,
        shown: terminal.text(),
    }
}

fn machine() -> FakeMachine {
    FakeMachine::with_files(&[
        "(hd0,0)/v",
        "(hd0,0)/i",
        "(hd0,0)/j",
        "(hd0,1)//kernels/x",
        "(nd)/v",
    ])
}

fn run(text: &str) -> Ran {
    run_on(&mut machine(), text, "")
}

const BOOTED: Result<(), Exit> = Err(Exit::Outcome(Outcome::Booted));

#[test]
fn an_entry_boots_what_it_loads() {
    let ran = run("title a\nroot (hd0,0)\nkernel /v root=/dev/xvda1  ro\ninitrd /i\n");
    assert_eq!(ran.result, BOOTED);
    assert_eq!(
        ran.log,
        [
            "reset",
            "root (hd0,0) Mount",
            "kernel (hd0,0)/v [root=/dev/xvda1  ro]",
            "initrd (hd0,0)/i",
            "boot"
        ]
    );
    assert!(
        ran.shown
            .contains("root (hd0,0)\r\n Filesystem type is ext2fs\r\nkernel /v"),
        "{}",
        ran.shown
    );
}

#[test]
fn nothing_of_an_entry_survives_into_the_next() {
    let ran = run("title a\nroot (hd0,0)\nkernel /v\nconfigfile /none\ntitle b\nkernel /v\n");
    assert!(
        ran.error()
            .starts_with("Error 15: File not found\n  configfile /none: no such file")
    );
    let mut machine = machine();
    machine.boot_failure = Some(Code::BOOT_FAILURE.into());
    let (menu, _) = parse(b"title a\nroot (hd0,0)\nkernel /v\ninitrd /i\ntitle b\nkernel /v\n");
    let mut terminal = FakeTerminal::default();
    let mut state = State::default();
    let mut session = Session {
        machine: &mut machine,
        terminal: &mut terminal,
        state: &mut state,
    };
    assert!(matches!(
        session.run_entry(&menu.entries[0]),
        Err(Exit::Failure(_))
    ));
    assert!(matches!(
        session.run_entry(&menu.entries[1]),
        Err(Exit::Failure(_))
    ));
    // The second entry's file is looked for on the initial root again.
    assert_eq!(
        machine
            .log
            .iter()
            .skip(5)
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ["reset", "kernel (nd)/v []", "boot"]
    );
}

#[test]
fn an_entry_without_a_kernel_is_no_failure() {
    let ran = run("title Other systems:\nroot\n");
    assert_eq!(ran.result, Ok(()));
    assert_eq!(ran.log, ["reset"]);
}

#[test]
fn boot_needs_a_kernel() {
    assert_eq!(
        run("title a\nboot\n").error(),
        "Error 8: Kernel must be loaded before booting\n  boot: load one with `kernel FILE`"
    );
}

#[test]
fn unknown_words_fail_with_27_and_their_line() {
    let ran = run("title a\nfrobnicate now\nboot\n");
    assert!(
        ran.error()
            .starts_with("Error 27: Unrecognized command\n  `frobnicate` (line 2 of the menu)")
    );
    assert!(
        run("title a\ntimeout 5\n")
            .error()
            .starts_with("Error 27: ")
    );
}

#[test]
fn words_of_other_grubs_are_taken() {
    let ran = run("title a\nuuid 1234-5678\nquiet\nsplashimage=(hd0,0)/x.xpm\n");
    assert_eq!(
        (ran.result, ran.log),
        (
            Ok(()),
            ["reset", "root UUID=1234-5678 Mount"]
                .map(String::from)
                .into()
        )
    );
}

#[test]
fn root_devices() {
    let ran = run("title a\nrootnoverify (hd5)\nroot (hd9,0)\n");
    assert_eq!(
        ran.log,
        ["reset", "root (hd5) SetOnly", "root (hd9,0) Mount"]
    );
    assert_eq!(
        ran.error(),
        "Error 21: Selected disk does not exist\n  root (hd9,0): there are 1 disks"
    );
}

#[test]
fn kernel_options_and_double_slashes() {
    let ran = run("title a\nkernel --type=netbsd --no-mem-option (hd0,1)//kernels/x -v\n");
    assert_eq!(
        ran.log[1],
        "kernel (hd0,1)//kernels/x [-v] type=netbsd no-mem"
    );
    assert!(
        run("title a\nkernel --frob /v\n")
            .error()
            .starts_with("Error 30")
    );
    assert!(run("title a\nkernel\n").error().starts_with("Error 1"));
    assert_eq!(
        run("title a\nkernel=(nd)/v a=b\n").log[1],
        "kernel (nd)/v [a=b]"
    );
}

#[test]
fn initrds_are_joined() {
    let ran = run("title a\nroot (hd0,0)\nkernel /v\ninitrd /i /j\ninitrd /i\n");
    assert_eq!(
        ran.log[3..6],
        ["initrd (hd0,0)/i", "initrd (hd0,0)/j", "initrd (hd0,0)/i"]
    );
    let ran = run("title a\nroot (hd0,0)\nkernel /v\ninitrd /i /none\n");
    assert_eq!(
        ran.error(),
        "Error 15: File not found\n  initrd /none: no such file"
    );
    assert!(run("title a\ninitrd /i\n").error().starts_with("Error 19"));
    assert!(run("title a\ninitrd\n").error().starts_with("Error 1"));
}

#[test]
fn modules_keep_their_file_name() {
    let ran = run("title a\nroot (hd0,0)\nkernel /v\nmodule /i a b\nmodulenounzip (hd0,0)/j\n");
    assert_eq!(ran.log[3], "module (hd0,0)/i [/i a b] IfGzip");
    assert_eq!(ran.log[4], "module (hd0,0)/j [(hd0,0)/j] Never");
}

#[test]
fn a_failed_kernel_leaves_nothing_to_boot() {
    let mut machine = machine();
    let mut terminal = FakeTerminal::default();
    let mut state = State::default();
    let mut session = Session {
        machine: &mut machine,
        terminal: &mut terminal,
        state: &mut state,
    };
    session
        .run_command(&Command::typed(b"kernel (nd)/v"))
        .unwrap();
    session
        .run_command(&Command::typed(b"kernel (nd)/none"))
        .unwrap_err();
    assert!(
        matches!(session.run_command(&Command::typed(b"boot")), Err(Exit::Failure(f)) if f.code == Code::KERNEL_NEEDED)
    );
}

#[test]
fn long_command_lines_are_announced() {
    let args = "x".repeat(1024);
    let ran = run(&std::format!("title a\nkernel (nd)/v {args}\n"));
    assert!(
        ran.shown
            .contains("Warning: the command line has 1024 bytes; the guest can be handed 1023")
    );
    assert!(!run("title a\nkernel (nd)/v x\n").shown.contains("Warning"));
}

#[test]
fn arguments_from_the_domain_are_appended() {
    let mut machine = machine();
    let mut terminal = FakeTerminal::default();
    let mut state = State {
        append: b"console=hvc0".to_vec(),
        ..State::default()
    };
    let mut session = Session {
        machine: &mut machine,
        terminal: &mut terminal,
        state: &mut state,
    };
    session
        .run_command(&Command::typed(b"kernel (nd)/v ro"))
        .unwrap();
    session
        .run_command(&Command::typed(b"kernel (nd)/v"))
        .unwrap();
    assert_eq!(
        machine.log,
        [
            "kernel (nd)/v [ro console=hvc0]",
            "kernel (nd)/v [console=hvc0]"
        ]
    );
}

#[test]
fn configfile_leads_to_another_menu() {
    let mut machine = machine();
    machine.add_file("(hd0,0)/menu", b"title x\nboot\n");
    let ran = run_on(&mut machine, "title a\nconfigfile (hd0,0)/menu\n", "");
    let source = Source {
        name: b"(hd0,0)/menu".to_vec(),
        text: b"title x\nboot\n".to_vec(),
    };
    assert_eq!(ran.result, Err(Exit::Load(source)));
}

#[test]
fn halt_and_reboot() {
    assert_eq!(
        run("title a\nhalt --no-apm\n").result,
        Err(Exit::Outcome(Outcome::Halt))
    );
    assert_eq!(
        run("title a\nreboot\n").result,
        Err(Exit::Outcome(Outcome::Reboot))
    );
    assert_eq!(run("title a\nquit\n").result, Ok(()));
}

#[test]
fn lock_needs_a_password_to_lock() {
    assert_eq!(run("title a\nlock\n").result, Ok(()));
    assert_eq!(
        run("password x\ntitle a\nlock\n").error(),
        "Error 32: Must be authenticated\n  lock: the entry is locked; press `p` in the menu and give the password"
    );
}

#[test]
fn an_entry_can_ask_for_a_password() {
    assert_eq!(
        run_on(&mut machine(), "title a\npassword secret\n", "secret\r").result,
        Ok(())
    );
    let ran = run_on(&mut machine(), "title a\npassword secret\n", "wrong\r");
    assert_eq!(
        ran.error(),
        "Error 32: Must be authenticated\n  password: wrong password"
    );
    assert!(!ran.shown.contains("wrong"), "{}", ran.shown);
    // Nobody types: the wait ends.
    assert_eq!(
        run("title a\npassword secret\n").result,
        Err(Exit::Cancelled)
    );
}

#[test]
fn pause_waits_for_a_key_and_not_for_ever() {
    assert_eq!(
        run_on(&mut machine(), "title a\npause hello\n", "x").result,
        Ok(())
    );
    assert_eq!(
        run_on(&mut machine(), "title a\npause hello\n", "<esc>").result,
        Err(Exit::Cancelled)
    );
    let ran = run("title a\npause hello\n");
    assert_eq!(ran.result, Ok(()));
    assert!(ran.shown.contains("hello"));
}

#[test]
fn finding() {
    assert!(run("title a\nfind /v\n").shown.contains(" (hd0,0)\r\n"));
    assert!(run("title a\nfind /none\n").error().starts_with("Error 15"));
    let ran = run("title a\nfind --set-root /v\nfind --set-root --label root\n");
    assert_eq!(ran.log, ["reset", "root (hd0,0) Mount", "root (hd0) Mount"]);
    for quoted in [
        "find --label \"my disk\" --set-root",
        "find --set-root --label my\\ disk",
    ] {
        let ran = run(&format!("title a\n{quoted}\nroot \"LABEL=my disk\"\n"));
        let log = ["reset", "root (hd0) Mount", "root LABEL=my disk Mount"];
        assert_eq!(ran.log, log, "{quoted}");
    }
    let unquoted = run("title a\nfind --label my disk\n");
    assert!(unquoted.error().starts_with("Error 15"));
    for bad in ["find", "find --label", "find --label \"\""] {
        let ran = run(&format!("title a\n{bad}\n"));
        assert!(ran.error().starts_with("Error 30"), "{bad}");
    }
}

#[test]
fn files_are_shown_and_compared() {
    let mut machine = machine();
    machine.add_file("(nd)/a", b"one\r\n\ttwo\x1b[2J\nthree");
    machine.add_file("(nd)/b", b"one\r\n\ttWo\x1b[2J\nthree");
    let ran = run_on(&mut machine, "title a\ncat /a\n", "");
    assert!(
        ran.shown.contains("one\r\n    two?[2J\r\nthree\r\n"),
        "{}",
        ran.shown
    );
    let ran = run_on(&mut machine, "title a\ncmp /a /b\ncmp /a /a\n", "");
    assert!(
        ran.shown.contains("Differ at offset 7: 0x77 and 0x57\r\n"),
        "{}",
        ran.shown
    );
    assert!(ran.shown.contains("identical"));
}

#[test]
fn saving_the_default_never_stops_an_entry() {
    let mut machine = machine();
    let ran = run_on(
        &mut machine,
        "fallback 3\ntitle a\nsavedefault\nsavedefault 0:2\nsavedefault fallback\n",
        "",
    );
    assert!(
        ran.error().starts_with("Error 30"),
        "no entry runs by number in this test"
    );
    machine.save_failure = Some(Failure::new(Code::WRITE).because("read-only"));
    let ran = run_on(&mut machine, "title a\nsavedefault 2\n", "");
    assert_eq!(ran.result, Ok(()));
    assert!(
        ran.shown
            .contains("Warning: the default entry was not saved\r\n  read-only")
    );
    assert!(
        run("title a\nsavedefault x\n")
            .error()
            .starts_with("Error 23")
    );
}

#[test]
fn help_lists_and_explains() {
    let ran = run("title a\nhelp\nhelp kern initrd\n");
    assert!(ran.shown.contains("configfile FILE"));
    assert!(ran.shown.contains(
        "kernel: kernel [--no-mem-option] [--type=TYPE] FILE [ARGUMENT...]\r\n    Loads a kernel."
    ));
    assert!(
        ran.shown.lines().all(|line| line.chars().count() < 80),
        "{}",
        ran.shown
    );
    assert!(run("title a\nhelp zz\n").error().starts_with("Error 27"));
}

#[test]
fn the_pager_stops_after_a_screenful() {
    let ran = run_on(&mut machine(), "pager on\ntitle a\nhelp --all\n", "q");
    assert!(ran.shown.contains("[Hit return to continue]"));
    assert!(!ran.shown.contains("uuid"));
}

#[test]
fn partition_tables_are_not_written() {
    assert!(
        run("title a\nmakeactive\n")
            .error()
            .contains("does not write partition tables")
    );
}

#[test]
fn failing_globals_do_not_stop_the_menu() {
    let ran = run("dhcp\nprint hello\ncolor nonsense\ntitle a\nkernel (nd)/v\n");
    assert!(ran.shown.contains("Error 27"));
    assert!(ran.shown.contains("hello"));
    assert_eq!(ran.result, BOOTED);
}
