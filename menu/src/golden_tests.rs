//! Golden pages: what a vt100 shows after a script, in `menu/screens`.
//!
//! `MENU_BLESS=1 cargo test -p menu` rewrites them; review the difference like code.

use super::Options;
use super::tests::{THREE, machine, run_with, with};
use crate::fake::Vt100;
use alloc::format;
use alloc::string::String;
use std::path::Path;

fn golden(name: &str, text: &str, script: &str, options: &Options) {
    let ran = run_with(&mut machine(), Some(text), script, options);
    let mut vt100 = Vt100::new(options.columns, options.rows);
    vt100.write(&ran.terminal.sent);
    let shown = vt100.to_text();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("screens")
        .join(format!("{name}.txt"));
    if std::env::var_os("MENU_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &shown).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, wanted, "{name}: see the top of this file");
}

#[test]
fn golden_screens() {
    let many: String = (0..20)
        .map(|n| format!("title Entry number {n}\nkernel /a\n"))
        .collect();
    let options = Options {
        banner: "pv-grub version 0.0.0  (256 MiB memory)".into(),
        ..Options::default()
    };
    golden("menu", &with("timeout 10"), "<1500><off>", &options);
    golden(
        "menu-stopped",
        &with("timeout 10"),
        "<1500>v<off>",
        &options,
    );
    golden("menu-scrolled", &many, "\x1b[6~\x1b[6~^<off>", &options);
    golden("menu-locked", &with("password x"), "<off>", &options);
    golden(
        "menu-titles",
        "title Syst\u{e8}me\nboot\ntitle \u{6f22}\u{5b57}\nboot\ntitle a very long title that goes on and on until it reaches the right border of the box and beyond it\nboot\n",
        "<off>",
        &options,
    );
    golden(
        "menu-wide",
        &many,
        "<off>",
        &Options {
            columns: 100,
            rows: 30,
            ..options.clone()
        },
    );
    golden(
        "menu-dumb",
        &with("terminal --dumb\ntimeout 10"),
        "<1500>v<off>",
        &options,
    );
    golden(
        "hidden",
        &with("hiddenmenu\ntimeout 10"),
        "<1500><off>",
        &options,
    );
    golden(
        "editor",
        "title A\nroot (hd0,0)\nkernel /vmlinuz root=/dev/xvda1 ro\ninitrd /initrd.img\n",
        "evo<off>",
        &options,
    );
    golden(
        "line-editor",
        "title A\nroot (hd0,0)\nkernel /vmlinuz root=/dev/xvda1 ro\n",
        "eve<esc>vea\x01<off>",
        &options,
    );
    golden(
        "command-line",
        THREE,
        "croot (nd)\rkernel /none\rkernel /a\x1b[D\x1b[D<off>",
        &options,
    );
    golden(
        "menu-after-failure",
        "title A\nroot (nd)\nkernel /none ro\n",
        "\r<1000>x<100><off>",
        &options,
    );
    golden(
        "failure",
        "title A\nroot (nd)\nkernel /none ro\n",
        "\r<1000><off>",
        &options,
    );
    golden("password", &with("password x"), "pabc<off>", &options);
}
