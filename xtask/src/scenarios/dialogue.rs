//! What the menu is told and what it answers: words from the domain's configuration, keys in its editor, odd titles, a
//! dumb terminal, questions and wrong answers at the prompt.

use std::time::Duration;

use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{
    self, Content, SOON, content, expect_end, expect_hello, expect_hello_with, loader, loader_on,
    plug_ext4,
};
use crate::scenarios::menu::{files, start, type_line, wait_for_menu};
use crate::xen::guest::{Guest, Trouble};

const LIMIT: Duration = Duration::from_secs(240);
const MIB: u32 = 64;

macro_rules! rows {
    ($($name:literal $run:expr;)*) => {
        &[$(Scenario { name: $name, limit: LIMIT, mib: MIB, run: $run }),*]
    };
}

pub(super) const TABLE: &[Scenario] = rows! {
    "menu-words" words;
    "menu-countdown" countdown;
    "menu-titles" titles;
    "menu-editor-keys" editor_keys;
    "menu-dumb" dumb;
    "menu-questions" questions;
    "menu-halt-reboot" halt_reboot;
};

/// Three entries that say which they are.
const THREE: &str = "title A\n kernel /boot/hello chosen=a\n\
    title The second one\n kernel /boot/hello chosen=b\n\
    title C\n kernel /boot/hello chosen=c\n";

/// Fails unless `holds`.
fn check(holds: bool, what: &str, guest: &Guest) -> Outcome {
    if holds {
        return Ok(());
    }
    let console = String::from_utf8_lossy(&guest.console()).into_owned();
    Err(Trouble::Guest(format!("{what}: {console:?}")))
}

/// `--append`, `--entry` as a number and as a title, `--timeout`, and what is said of words that are wrong.
fn words(stage: &mut Stage) -> Outcome {
    // Without its own time-out the menu would wait for ever.
    let device = plug_ext4(stage, files(stage, THREE)?)?;
    let cases = [
        (
            "\"--append=from=dom0 twice\" \"--entry=The second one\" --timeout=0 --append=more",
            &[][..],
            "chosen=b from=dom0 twice more",
        ),
        (
            "ro --entry=2 --timeout=3",
            &["booted automatically in 3 seconds"][..],
            "chosen=c",
        ),
        (
            "--entry=D --timout=9 --timeout=2",
            &[
                "`--timout=9` in `extra` is no option here; ignored",
                "No entry is what `--entry=` says",
            ][..],
            "chosen=a",
        ),
    ];
    for (extra, answers, chosen) in cases {
        let config = loader(stage, MIB)?
            .extra(&format!("(hd0,0)/boot/grub/menu.lst {extra}"))
            .disk(&format!("vdev=xvda,access=rw,target={device}"));
        let mut guest = stage.start(&config)?;
        for answer in answers {
            guest.expect(answer, SOON)?;
        }
        expect_hello(&mut guest, chosen)?;
    }
    Ok(())
}

/// Bytes that a second of an idle countdown may cost.
const TICK_BYTES: usize = 30;

/// An idle countdown sends the number that changed, not the screen.
fn countdown(stage: &mut Stage) -> Outcome {
    let mut guest = start(stage, &format!("timeout 10\n{THREE}"))?;
    expect_hello(&mut guest, "chosen=a")?;
    let console = guest.console();
    let place = |text: &[u8]| console.windows(text.len()).position(|w| w == text);
    let begun = place(b"automatically in 10 seconds.");
    let ended = place(b"Booting 'A'");
    let sent = begun.zip(ended).map(|(begun, ended)| ended - begun);
    // Ten ticks, and the clearing of the screen at the end.
    check(
        sent.is_some_and(|sent| sent < 11 * TICK_BYTES),
        &format!("{sent:?} bytes in 10 s"),
        &guest,
    )
}

/// Titles of any bytes are shown, and none of them moves the cursor. A command line that is too long is cut, which is
/// said before the kernel starts.
fn titles(stage: &mut Stage) -> Outcome {
    let long = format!("chosen=long {}", "x".repeat(1100));
    let mut menu = b"timeout 600\ntitle \xe6\xbc\xa2\xe5\xad\x97 e\xcc\x81\n kernel /boot/none\n\
        title \x1b[2J\x07caf\xe9\n kernel /boot/hello "
        .to_vec();
    menu.extend_from_slice(long.as_bytes());
    let mut content = files(stage, "")?;
    for (path, bytes) in &mut content {
        if path.ends_with("menu.lst") {
            bytes.clone_from(&menu);
        }
    }
    let device = plug_ext4(stage, content)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    guest.expect(" 漢字", SOON)?;
    guest.expect("e\u{301}", SOON)?; // the cursor is set anew between the two
    guest.expect(" ?[2J?café", SOON)?;
    wait_for_menu(&mut guest)?;
    guest.type_keys(b"\x1b[B")?;
    guest.expect(" ?[2J?café", SOON)?;
    guest.type_keys(b"\r")?;
    guest.expect("Booting '?[2J?café'", SOON)?;
    guest.expect(
        "Warning: the command line has 1112 bytes; the guest can be handed 1023, the rest is cut off",
        SOON,
    )?;
    expect_hello(&mut guest, &long[..1023])?;
    check(!guest.console().contains(&7), "a bell was rung", &guest)
}

/// Numbers choose, `a` adds arguments, ESC and a letter in one piece are two keys, lines are opened and removed.
fn editor_keys(stage: &mut Stage) -> Outcome {
    let device = plug_ext4(stage, files(stage, THREE)?)?;
    let config = loader_on(stage, MIB, &device)?;
    let mut guest = stage.start(&config)?;
    wait_for_menu(&mut guest)?;
    guest.type_keys(b"2a")?;
    guest.expect("grub append> ", SOON)?;
    guest.type_keys(b" more=1\x01first=1 \r")?;
    expect_hello(&mut guest, "first=1 chosen=c more=1")?;

    let mut guest = stage.start(&config)?;
    wait_for_menu(&mut guest)?;
    // Into the editor, out of it, to entry 1, and boot: as a guest finds it that was not run for a while.
    guest.type_keys(b"e\x1b1\r")?;
    expect_hello(&mut guest, "chosen=b")?;

    let mut guest = stage.start(&config)?;
    wait_for_menu(&mut guest)?;
    guest.type_keys(b"e")?;
    guest.expect("Press 'b' to boot", SOON)?;
    // The line goes; another comes, by way of the line editor's own keys.
    guest.type_keys(b"doe")?;
    guest.expect("grub edit> ", SOON)?;
    guest.type_keys(b"typed=too\x15kernel /bo\thello ope\x02\x02xx\x08\x08\x05ned=1\r")?;
    guest.expect("Press 'b' to boot", SOON)?;
    guest.type_keys(b"b")?;
    expect_hello(&mut guest, "opened=1")
}

/// `terminal --dumb`: no sequence is sent, and numbers choose.
fn dumb(stage: &mut Stage) -> Outcome {
    let mut guest = start(
        stage,
        &format!("terminal --dumb serial\ntimeout 60\n{THREE}"),
    )?;
    guest.expect("  1: The second one", SOON)?;
    guest.expect("Entry 0 will be booted automatically in", SOON)?;
    guest.type_keys(b"1")?;
    guest.expect("The highlighted entry is 1: ", SOON)?;
    guest.type_keys(b"\r")?;
    expect_hello(&mut guest, "chosen=b")?;
    check(!guest.console().contains(&0x1b), "there is an ESC", &guest)
}

/// The prompt answers: help page by page, files by their blocks, wrong words and names with what would work; then
/// modules are loaded by hand, from a file and from its blocks.
fn questions(stage: &mut Stage) -> Outcome {
    let module = hello::module(3000);
    let mut content: Vec<Content> = files(stage, THREE)?;
    content.push(self::content("boot/module", &module));
    content.push(self::content("boot/note", "this is the note\n"));
    let device = plug_ext4(stage, content)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    wait_for_menu(&mut guest)?;
    guest.type_keys(b"c")?;
    type_line(&mut guest, "grub> ", "help --all")?;
    guest.expect("[Hit return to continue]", SOON)?;
    guest.type_keys(b"\r")?;
    guest.expect("viewport X Y WIDTH HEIGHT", SOON)?;
    for (line, answers) in [
        ("help lock", &["Error 32"][..]),
        (
            "linux /v",
            &["Error 27: Unrecognized command", "here it is `kernel`"],
        ),
        ("setup (hd0)", &["Error 27: ", "a domain has no BIOS"]),
        ("kernel boot/hello", &["Error 1: ", "such as /boot/vmlinuz"]),
        ("root hd0,0", &["Error 11: ", "such as (hd0)"]),
        (
            "root (hd7)",
            &["Error 21: ", "this domain has one disk, (hd0)"],
        ),
        ("root (hd0,7)", &["Error 22: ", "hd0 (xvda) has (hd0,0)"]),
        (
            "initrd /boot/module",
            &["Error 19: ", "`kernel FILE` must stand before"],
        ),
        ("map (hd0) (hd1)", &["`map` has no effect here"]),
        (
            "makeactive",
            &["Error 29: ", "does not write partition tables"],
        ),
        ("cat /none/\t", &["Error 15: File not found"]),
        ("quit", &["nothing to return to"]),
        ("ls /boot", &["grub/", "note"]),
        ("cat /boot/note", &["this is the note"]),
        ("cmp /boot/note /boot/note", &["The files are identical"]),
        (
            "geometry (hd0)",
            &["sectors of 512 bytes", "(hd0,0) Filesystem type is ext4"],
        ),
        ("find /boot/note", &[" (hd0,0)"]),
    ] {
        type_line(&mut guest, "grub> ", line)?;
        for answer in answers {
            guest.expect(answer, SOON)?;
        }
    }
    type_line(&mut guest, "grub> ", "blocklist /boot/note")?;
    let blocks = guest.expect("\r\n(hd0,0)", SOON)?;
    let (sector, _) = blocks.split_once('[').unwrap_or_default();
    type_line(&mut guest, "grub> ", &format!("cat (hd0,0){sector}+1"))?;
    guest.expect("\r\nthis is the note", SOON)?;
    type_line(&mut guest, "grub> ", "md5crypt")?;
    guest.expect("Password: ", SOON)?;
    guest.type_keys(b"s3cr3t\r")?;
    guest.expect("Encrypted: $1$", SOON)?;
    type_line(&mut guest, "grub> ", "kernel /boot/hello by=hand")?;
    type_line(&mut guest, "grub> ", "initrd /boot/module")?;
    type_line(&mut guest, "grub> ", "boot")?;
    expect_hello_with(&mut guest, "by=hand", &module)?;
    let console = guest.console();
    let is_shown = console.windows(6).any(|window| window == b"s3cr3t");
    check(!is_shown, "the password is shown", &guest)
}

/// `halt` powers off, `reboot` restarts.
fn halt_reboot(stage: &mut Stage) -> Outcome {
    let device = plug_ext4(stage, files(stage, THREE)?)?;
    for (word, reason) in [("halt", 0), ("reboot", 1)] {
        let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
        wait_for_menu(&mut guest)?;
        guest.type_keys(b"c")?;
        type_line(&mut guest, "grub> ", word)?;
        expect_end(&mut guest, reason)?;
    }
    Ok(())
}
