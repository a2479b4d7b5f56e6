//! `pvgrub show`, `man` and `completions`.

mod session;

use pvgrub::Ending;
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

#[test]
fn every_subcommand_has_a_page_and_is_completed() {
    let folder = std::env::temp_dir().join(format!("pvgrub-man-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    assert_eq!(
        run(&["man", "--dir", folder.to_str().unwrap()], b"").ending,
        Ending::Clean
    );
    let page = std::fs::read_to_string(folder.join("pvgrub-show.1")).unwrap();
    assert!(page.contains("jq"), "examples are in the page");
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(run(&["man"], b"").output.contains(".TH pvgrub 1"));
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell], b"").output;
        assert!(script.contains("show"), "{shell}");
    }
}
