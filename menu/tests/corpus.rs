//! Menus as distributions and providers wrote them, each beside what the parser makes of it.
//!
//! `corpus/NAME.lst` is read, `corpus/NAME.golden` compared. `MENU_BLESS=1 cargo test -p menu` rewrites the goldens;
//! review the difference like code.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use menu::{Entry, Menu, parse};

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "lst"))
        .collect();
    files.sort();
    files
}

fn bytes(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

fn describe(menu: &Menu, remarks: &[menu::Diagnostic]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name}: {value}").unwrap();
    line("default", format!("{:?}", menu.default));
    line("timeout", format!("{:?}", menu.timeout));
    line("fallback", format!("{:?}", menu.fallback));
    line("hidden", format!("{:?}", menu.hidden));
    if let Some(colors) = menu.colors {
        line(
            "colors",
            format!("{:#04x} {:#04x}", colors.normal, colors.highlight),
        );
    }
    if let Some(password) = &menu.password {
        line(
            "password",
            format!("{:?} {}", password.scheme, bytes(&password.secret)),
        );
    }
    for command in &menu.globals {
        line(
            "global",
            format!("{} {}", bytes(&command.word), bytes(&command.args)),
        );
    }
    for Entry {
        title,
        span,
        commands,
    } in &menu.entries
    {
        line(
            "entry",
            format!(
                "{} at {}:{}",
                bytes(title),
                span.start.line,
                span.start.column
            ),
        );
        for command in commands {
            let start = command.word_span.start;
            line(
                "  ",
                format!(
                    "{}:{} {} {}",
                    start.line,
                    start.column,
                    bytes(&command.word),
                    bytes(&command.args)
                ),
            );
        }
    }
    for remark in remarks {
        writeln!(text, "{remark}").unwrap();
    }
    text
}

#[test]
fn goldens() {
    let files = corpus();
    assert!(files.len() > 20);
    for path in files {
        let text = std::fs::read(&path).unwrap();
        let (menu, remarks) = parse(&text);
        let found = describe(&menu, &remarks);
        let golden = path.with_extension("golden");
        if std::env::var_os("MENU_BLESS").is_some() {
            std::fs::write(&golden, &found).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(
            found,
            wanted,
            "{}: see the top of this file",
            path.display()
        );
    }
}

#[test]
fn printing_gives_the_same_menu() {
    for path in corpus() {
        let menu = parse(&std::fs::read(&path).unwrap()).0.without_spans();
        let again = parse(&menu.to_text()).0.without_spans();
        assert_eq!(again, menu, "{}", path.display());
    }
}
