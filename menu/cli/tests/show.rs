//! `pvgrub show`, `man` and `completions`.

mod scratch;
mod session;

use std::process::Command;

use clap::CommandFactory;
use pvgrub::Ending;
use scratch::Scratch;
use session::run;

const MENU: &[u8] =
    b"timeout 5\ndefault 1\ntitle A\nroot (hd0,0)\nkernel /a\ntitle B \xe8\nkernel /b  ro\n";

#[test]
fn a_menu_is_drawn_as_the_loader_draws_it() {
    let ran = run(&["show", "-"], MENU);
    assert_eq!(ran.ending, Ending::Clean);
    let page: Vec<&str> = ran.output.lines().collect();
    assert!(
        page[1].starts_with("    pv-grub version "),
        "{}",
        ran.output
    );
    assert!(page[3].starts_with(" +---"));
    assert!(page[4].starts_with(" | A  "));
    assert!(page[5].starts_with(">| B è "));
    assert!(ran.output.contains("automatically in 5 seconds."));
    assert!(
        ran.output
            .ends_with("1: B è  (line 6)\n    kernel /b  ro\n")
    );
}

#[test]
fn the_highlighted_entry_is_in_reverse_video_or_another_one() {
    let ran = run(&["show", "-", "--color=always", "--entry=0"], MENU);
    let line = ran.output.lines().find(|line| line.contains("\x1b[7m"));
    assert!(line.unwrap().contains(" A "), "{}", ran.output);
}

#[test]
fn json_holds_the_same() {
    let ran = run(&["show", "-", "--format=json"], MENU);
    let shown: serde_json::Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(shown["default"], 1);
    assert_eq!(shown["timeout"], 5);
    assert_eq!(shown["entries"][1]["title"], "B è");
    assert_eq!(shown["entries"][0]["commands"][0]["arguments"], "(hd0,0)");
    assert_eq!(shown["entries"][0]["commands"][0]["line"], 4);
}

#[test]
fn without_an_entry_there_is_no_page() {
    let ran = run(&["show", "-"], b"timeout 5\n");
    assert_eq!(ran.ending, Ending::Findings);
    assert!(ran.output.contains("the loader shows its prompt"));
    let ran = run(&["show", "/none/at/all"], b"");
    assert_eq!(ran.ending, Ending::Unreadable);
    assert!(ran.errors.starts_with("pvgrub: /none/at/all: "));
}

/// Runs a tool that checks a page or a script, and returns what it complained; nothing, with a word about it, where the
/// machine has no such tool.
fn complaints(tool: &str, words: &[&str]) -> Option<String> {
    match Command::new(tool).args(words).output() {
        Ok(done) => Some(format!(
            "{}{}",
            String::from_utf8_lossy(&done.stderr),
            if done.status.success() { "" } else { "failed" }
        )),
        Err(_) => {
            println!("SKIP this machine has no {tool}");
            None
        }
    }
}

#[test]
fn every_subcommand_has_a_sound_page() {
    let scratch = Scratch::new();
    assert_eq!(
        run(&["man", "--dir", &scratch.word(".")], b"").ending,
        Ending::Clean
    );
    let command = pvgrub::Arguments::command();
    let names = command.get_subcommands().map(clap::Command::get_name);
    let names = names.map(|name| format!("pvgrub-{name}.1"));
    for name in names.chain(["pvgrub.1".to_owned()]) {
        let path = scratch.path(&name);
        let page = std::fs::read_to_string(&path).expect("a page for each subcommand");
        assert!(page.contains(".TH "), "{name}");
        let path = path.to_str().unwrap();
        let said = complaints(
            "groff",
            &["-man", "-ww", "-z", "-Tutf8", "-K", "utf8", path],
        );
        assert_eq!(said.unwrap_or_default(), "", "{name}");
        if let Some(said) = complaints("mandoc", &["-T", "lint", "-W", "error", path]) {
            assert!(!said.contains("ERROR"), "{name}: {said}");
        }
    }
    let pages = std::fs::read_dir(scratch.path(".")).unwrap().count();
    assert_eq!(pages, command.get_subcommands().count() + 1);
    let page = std::fs::read_to_string(scratch.path("pvgrub-show.1")).unwrap();
    assert!(page.contains("jq"), "examples are in the page");
    assert!(run(&["man"], b"").output.contains(".TH pvgrub 1"));
    let ran = run(&["man", "--dir", "/none/at/all"], b"");
    assert_eq!(ran.ending, Ending::Unreadable);
}

#[test]
fn shells_take_their_completions() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell], b"").output;
        assert!(script.contains("show"), "{shell}");
        let path = scratch.write(shell, &script);
        assert_eq!(
            complaints(shell, &["-n", &path]).unwrap_or_default(),
            "",
            "{shell}"
        );
    }
    // And bash completes with it.
    let ask = "source \"$0\"; COMP_WORDS=(pvgrub check --b); COMP_CWORD=2; _pvgrub pvgrub --b check; echo ${COMPREPLY[@]}";
    let script = scratch.path("bash");
    if let Ok(done) = Command::new("bash").args(["-c", ask]).arg(&script).output() {
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(said.contains("--backing-files"), "{done:?}");
    }
}
