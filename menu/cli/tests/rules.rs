//! Every rule has a menu that breaks it and one that does not, both in `rules/NAME`, and what is said about the former
//! is kept beside it. `PVGRUB_BLESS=1 cargo test -p pvgrub` rewrites `found.golden`; review the difference like code.

mod session;

use std::path::{Path, PathBuf};

use pvgrub::lint::fix::{fixed, meaning};
use pvgrub::lint::places::Places;
use pvgrub::lint::rule::{RULES, RuleId};
use pvgrub::lint::{Levels, lint};
use session::run;

fn breaks(rule: RuleId, text: &[u8]) -> bool {
    let linted = lint(&Places::new(text), &Levels::default(), usize::MAX);
    linted.findings.iter().any(|finding| finding.rule == rule)
}

#[test]
fn every_rule_is_broken_by_one_menu_and_not_by_another() {
    for id in RuleId::all() {
        assert!(breaks(id, id.rule().found), "{id}: nothing found");
        assert!(!breaks(id, id.rule().fine), "{id}: found in fine.lst");
    }
}

#[test]
fn every_folder_of_examples_is_a_rule_s() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let names = std::fs::read_dir(folder).unwrap();
    for name in names.map(|entry| entry.unwrap().file_name()) {
        let name = name.to_str().unwrap();
        assert!(RuleId::named(name).is_some(), "{name} is no rule");
    }
}

#[test]
fn every_rule_is_explained() {
    for rule in RULES {
        let ran = run(&["lint", "--explain", rule.name], b"");
        assert_eq!(ran.ending, pvgrub::Ending::Clean);
        let text = ran.output;
        assert!(text.starts_with(&format!("{} (", rule.name)), "{text}");
        let parts = ["Found in:", "Not in:", "To allow it:"];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        let words = rule.why.split(' ').count();
        assert!(words > 6, "{}: {}", rule.name, rule.why);
    }
    let listed = run(&["lint", "--rules"], b"").output;
    assert_eq!(listed.lines().count(), RULES.len());
}

#[test]
fn every_rule_can_be_allowed() {
    for id in RuleId::all().filter(|id| *id != RuleId::TooManyRemarks) {
        let text = [
            b"# pvgrub: allow-file(".as_slice(),
            id.rule().name.as_bytes(),
            b")\n",
            id.rule().found,
        ]
        .concat();
        assert!(!breaks(id, &text), "{id}");
        let mut levels = Levels::default();
        levels
            .set(id.rule().name, pvgrub::lint::rule::Level::Allow)
            .unwrap();
        let linted = lint(&Places::new(id.rule().found), &levels, usize::MAX);
        assert!(linted.findings.iter().all(|finding| finding.rule != id));
    }
}

#[test]
fn fixes_of_the_examples_change_nothing_for_the_loader() {
    let mut fixes = 0;
    for rule in RULES {
        for text in [rule.found, rule.fine] {
            let once = fixed(text, &Levels::default()).unwrap();
            assert_eq!(meaning(text), meaning(&once.text), "{}", rule.name);
            let lines = |text: &[u8]| Places::new(text).count();
            assert_eq!(lines(text), lines(&once.text), "{}", rule.name);
            let again = fixed(&once.text, &Levels::default()).unwrap();
            assert_eq!(again.count, 0, "{}", rule.name);
            fixes += once.count;
        }
    }
    assert!(fixes >= 10, "{fixes}");
}

/// Compares with what is kept, or keeps it.
fn golden(path: &Path, text: &str) {
    if std::env::var_os("PVGRUB_BLESS").is_some() {
        std::fs::write(path, text).expect("OK to unwrap: a file of the repository");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, kept, "{}: see the top of this file", path.display());
}

/// What is said about a menu in a file of this name.
fn said(name: &str, text: &[u8]) -> String {
    let ran = run(&["lint", "--no-config", "--max-findings=20", "-"], text);
    format!("{}{}", ran.output, ran.errors).replace("<stdin>", name)
}

#[test]
fn what_is_said_about_the_examples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    for rule in RULES {
        let folder = folder.join(rule.name);
        golden(&folder.join("found.golden"), &said("found.lst", rule.found));
    }
}

#[test]
fn what_is_said_about_the_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = std::fs::read_dir(folder.join("../corpus")).unwrap();
    let mut menus: Vec<PathBuf> = corpus
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "lst"))
        .collect();
    menus.sort();
    assert!(menus.len() > 20);
    for menu in menus {
        let name = format!("{}.golden", menu.file_stem().unwrap().to_str().unwrap());
        let text = std::fs::read(&menu).expect("OK to unwrap: a file of the repository");
        let own = menu.file_name().unwrap().to_string_lossy();
        golden(&folder.join("tests/corpus").join(name), &said(&own, &text));
    }
}

#[test]
fn the_page_lists_the_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pvgrub.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("cargo test -p pvgrub` -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of rules -->").unwrap();
    let mut table = String::from("| rule | level | finds |\n| --- | --- | --- |\n");
    for rule in RULES {
        table.push_str(&format!(
            "| `{}` | {} | {} |\n",
            rule.name, rule.level, rule.about
        ));
    }
    let wanted = format!("{before}cargo test -p pvgrub` -->\n{table}<!-- end of rules -->{after}");
    golden(&path, &wanted);
}
