//! What becomes of a guest that nobody looks after.

use alloc::format;
use core::time::Duration;

use super::tests::{OFF, machine, run_menu, run_with};
use super::{FAILURE_WAIT, Options, Outcome, Unattended};

#[test]
fn nobody_is_waited_for_in_vain() {
    // Fails, waits 10 s for a key, counts a minute down, and again.
    let text = "timeout 1\ntitle X\nkernel /none\n";
    assert_eq!(run_menu(text, "<220000><off>").kernels().len(), 4);
    // A password that nobody gives, and an entry that boots nothing.
    for entry in ["password secret\nkernel /b\n", "pause\n", "root (hd0)\n"] {
        let text = format!("timeout 1\ntitle X\n{entry}title Y\nkernel /c\n");
        let options = Options {
            unattended: Unattended::Reboot,
            ..Options::default()
        };
        let ran = run_with(&mut machine(), Some(&text), "<3600000>", &options);
        assert_eq!(ran.outcome, Outcome::Reboot, "{entry}");
        // The same with a key: somebody is there.
        let ran = run_with(&mut machine(), Some(&text), "x<3600000><off>", &options);
        assert_eq!(ran.outcome, OFF, "{entry}");
    }
}

#[test]
fn a_prompt_without_a_menu_is_left_when_nobody_types() {
    let with = |unattended, text: Option<&str>, script: &str| {
        let options = Options {
            unattended,
            ..Options::default()
        };
        let ran = run_with(&mut machine(), text, script, &options);
        (ran.outcome, ran.terminal.now.as_secs())
    };
    for text in [None, Some("timeout 5\n"), Some("password secret\n")] {
        for (unattended, outcome, seconds) in [
            (Unattended::RetryAfter(30), Outcome::LookAgain, 30),
            (Unattended::RetryAfter(0), Outcome::LookAgain, 1),
            (Unattended::PowerOff, Outcome::Halt, 60),
            (Unattended::Reboot, Outcome::Reboot, 60),
            (Unattended::Wait, OFF, 3600),
        ] {
            let ended = with(unattended, text, "<3600000><off>");
            assert_eq!(ended, (outcome, seconds), "{text:?}");
        }
    }
    // One key, and it stays.
    let ended = with(Unattended::RetryAfter(30), None, "x<3600000><off>");
    assert_eq!(ended, (OFF, 3600));
}

#[test]
fn when_nothing_boots_the_menu_comes_back_and_waits() {
    let text = "timeout 1\nfallback 1\ntitle X\nkernel /none\ntitle Y\nkernel /none2\n";
    let options = Options {
        unattended: Unattended::Wait,
        ..Options::default()
    };
    let ran = run_with(&mut machine(), Some(text), "<3600000><off>", &options);
    assert_eq!(
        (ran.outcome, ran.kernels()),
        (OFF, ["(nd)/none []", "(nd)/none2 []"].into())
    );
    let last = *ran.terminal.per_second.keys().last().unwrap();
    assert_eq!(last, 1 + FAILURE_WAIT.as_secs());
}

#[test]
fn unattended_guests_can_retry_or_power_off() {
    let text = "timeout 1\nfallback 1\ntitle X\nkernel /none\ntitle Y\nkernel /none2\n";
    let options = Options {
        unattended: Unattended::PowerOff,
        ..Options::default()
    };
    let ran = run_with(&mut machine(), Some(text), "<3600000>", &options);
    assert_eq!(
        (ran.outcome, ran.terminal.now),
        (Outcome::Halt, Duration::from_secs(11))
    );
    let options = Options {
        unattended: Unattended::RetryAfter(30),
        ..Options::default()
    };
    let ran = run_with(&mut machine(), Some(text), "<50000><off>", &options);
    assert_eq!((ran.outcome, ran.kernels().len()), (OFF, 4));
}

#[test]
fn a_failure_that_was_chosen_is_never_retried() {
    let options = Options {
        unattended: Unattended::PowerOff,
        ..Options::default()
    };
    let ran = run_with(
        &mut machine(),
        Some("title X\nkernel /none\n"),
        "\r<3600000><off>",
        &options,
    );
    assert_eq!((ran.outcome, ran.kernels().len()), (OFF, 1));
}
