//! The program among others: pipes, terminals, colours, standard input, odd files, exit codes.

mod scratch;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use scratch::Scratch;

/// A menu with findings.
const MENU: &str = "default 0\ntitle a\nroot hd0,0\nkernel /v ro\n";

/// Makes a named pipe, or a device without a driver; `None` where this user may not.
fn node(scratch: &Scratch, name: &str, tool: &str, kind: &[&str]) -> Option<String> {
    let path = scratch.word(name);
    let made = Command::new(tool)
        .arg(&path)
        .args(kind)
        .stderr(Stdio::null())
        .status();
    made.is_ok_and(|made| made.success()).then_some(path)
}

fn pvgrub() -> Command {
    without_wishes(env!("CARGO_BIN_EXE_pvgrub"))
}

/// A command with nothing on standard input, and in an environment that wishes nothing of colours.
fn without_wishes(program: &str) -> Command {
    let mut command = Command::new(program);
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm").stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    pvgrub().args(words).output().expect("the program")
}

/// Exit code, standard output and standard error.
fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The same with something on standard input.
fn fed(words: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut child = pvgrub()
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // It may have read enough before the end.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("an end");
    writer.join().expect("no panic");
    said(&output)
}

#[test]
fn exit_codes_are_what_the_help_says() {
    let scratch = Scratch::new();
    let wrong = scratch.write("wrong.lst", MENU);
    let right = scratch.write(
        "right.lst",
        "timeout 5\n\ntitle a\nroot (hd0,0)\nkernel /v root=/dev/xvda1 console=hvc0\n",
    );
    let disk = scratch.write("disk.img", [0; 65536]);
    for (words, code) in [
        (&["--version"][..], 0),
        (&["--help"], 0),
        (&["check", "--help"], 0),
        (&[], 2),
        (&["nonsense"], 2),
        (&["lint"], 2),
        (&["lint", "--nonsense", &right], 2),
        (&["lint", &right], 0),
        (&["lint", &wrong], 1),
        (&["lint", &wrong, &right, "/none"], 2),
        (&["lint", "--explain", "nonsense"], 2),
        (&["fmt", "--check", &right], 0),
        (&["fmt", "--check", &wrong], 1),
        (&["fmt", "/none"], 2),
        (&["show", &right], 0),
        (&["show", "/none"], 2),
        (&["check", &disk], 1),
        (&["check", "/none"], 2),
        (&["check", "--extra=(nd)/menu.lst", &disk], 2),
        (&["generate", &disk], 1),
        (&["generate", "/none"], 2),
    ] {
        let (found, output, errors) = said(&run(words));
        assert_eq!(found, Some(code), "{words:?}: {output}{errors}");
        // What was found goes to one stream, why there is nothing to the other.
        assert!(
            code != 2 || !errors.is_empty() || !output.is_empty(),
            "{words:?}"
        );
        assert!(code != 0 || errors.is_empty(), "{words:?}: {errors}");
    }
}

#[test]
fn who_has_read_enough_changes_nothing() {
    let scratch = Scratch::new();
    let many = scratch.write("many.lst", format!("title a\n{}", "frob\n".repeat(20_000)));
    let few = scratch.write(
        "few.lst",
        format!(
            "timeout 5\n{}",
            "title a\nkernel /v root=x console=hvc0\n".repeat(20_000)
        ),
    );
    for (words, code) in [
        (&["lint", "--max-findings=20000", &many][..], 1),
        (&["lint", "--format=json", "--max-findings=20000", &many], 1),
        (&["show", &few], 0),
        (&["fmt", &few], 0),
    ] {
        let mut child = pvgrub()
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
        reader.read_line(&mut line).expect("a line");
        drop(reader);
        let (found, _, errors) = said(&child.wait_with_output().expect("an end"));
        assert_eq!(found, Some(code), "{words:?}: {errors}");
        for word in ["pipe", "panic", "write"] {
            assert!(!errors.contains(word), "{words:?}: {errors}");
        }
    }
    // A full disk is something else.
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let output = pvgrub()
        .args(["fmt", &few])
        .stdout(full)
        .output()
        .expect("the program");
    let (code, _, errors) = said(&output);
    assert_eq!(code, Some(2));
    assert!(errors.contains("cannot write: No space left"), "{errors}");
}

/// Runs the program at a terminal of its own, by util-linux's `script`; `None` where that is missing.
fn at_terminal(words: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_pvgrub");
    let line = std::iter::once(program)
        .chain(words.iter().copied())
        .collect::<Vec<_>>()
        .join(" ");
    let mut command = without_wishes("script");
    command.args(["-qec", &line, "/dev/null"]);
    match command.envs(variables.iter().copied()).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            println!("SKIP this machine has no script(1)");
            None
        }
    }
}

#[test]
fn colour_is_for_terminals_and_as_is_wished() {
    let scratch = Scratch::new();
    let menu = scratch.write("menu.lst", MENU);
    let disk = scratch.write("disk.img", [0; 65536]);
    for words in [&["lint", &menu][..], &["show", &menu], &["check", &disk]] {
        let more = |option| [words, &[option]].concat();
        let is_colored = |text: &str| text.contains("\x1b[");
        for (words, variables, wanted) in [
            (words.to_vec(), &[][..], true),
            (words.to_vec(), &[("NO_COLOR", "1")], false),
            (words.to_vec(), &[("NO_COLOR", "")], true),
            (words.to_vec(), &[("CLICOLOR", "0")], false),
            (words.to_vec(), &[("CLICOLOR", "1")], true),
            (words.to_vec(), &[("TERM", "dumb")], false),
            (more("--color=never"), &[("CLICOLOR_FORCE", "1")], false),
            (more("--color=always"), &[("NO_COLOR", "1")], true),
        ] {
            if let Some(text) = at_terminal(&words, variables) {
                assert_eq!(is_colored(&text), wanted, "{words:?} {variables:?}: {text}");
            }
        }
        for (words, variables, wanted) in [
            (words.to_vec(), &[][..], false),
            (words.to_vec(), &[("CLICOLOR_FORCE", "1")], true),
            (words.to_vec(), &[("CLICOLOR_FORCE", "0")], false),
            (
                words.to_vec(),
                &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
                false,
            ),
            (more("--color=always"), &[], true),
        ] {
            let output = pvgrub()
                .args(&words)
                .envs(variables.iter().copied())
                .output();
            let (_, text, _) = said(&output.expect("the program"));
            assert_eq!(is_colored(&text), wanted, "{words:?} {variables:?}: {text}");
        }
    }
}

#[test]
fn quiet_and_verbose_are_heard() {
    let scratch = Scratch::new();
    let menu = scratch.write("menu.lst", MENU);
    let clean = scratch.write(
        "clean.lst",
        "timeout 5\ntitle a\nroot (hd0,0)\nkernel /v root=/dev/xvda1 console=hvc0\n",
    );
    let disk = scratch.write("disk.img", [0; 65536]);
    let errors = |words: &[&str]| said(&run(words)).2;
    let lines = |words: &[&str]| said(&run(words)).1.lines().count();
    assert!(
        errors(&["lint", &menu]).contains(" in 1 file; `pvgrub lint --explain RULE` says more\n")
    );
    assert_eq!(errors(&["lint", "-q", &menu]), "");
    assert_eq!(errors(&["lint", &clean]), "");
    assert!(errors(&["lint", "-v", &clean]).starts_with("0 errors, 0 warnings, 0 notes in 1 file"));
    assert_eq!(lines(&["check", "-q", &disk]), 1);
    assert!(lines(&["check", &disk]) > 1);
    assert!(lines(&["show", "-q", &menu]) < lines(&["show", &menu]));
    assert_eq!(lines(&["fmt", "--check", "-q", &menu]), 0);
    assert_eq!(lines(&["fmt", "--check", &menu]), 1);
    assert!(lines(&["fmt", "--check", "-v", &menu]) >= 1);
    assert_eq!(run(&["lint", "-q", "-v", &menu]).status.code(), Some(2));
}

#[test]
fn a_hyphen_is_standard_input() {
    let scratch = Scratch::new();
    let disk = scratch.write("disk.img", [0; 65536]);
    let menu = MENU.as_bytes();
    let (code, output, _) = fed(&["lint", "-"], menu);
    assert_eq!(code, Some(1));
    assert!(output.contains("<stdin>:3:6"), "{output}");
    let (code, output, _) = fed(&["lint", "--fix", "-"], b"title a\r\nkernel /v\r\n");
    assert_eq!((code, output.as_str()), (Some(0), "title a\nkernel /v\n"));
    let (code, output, _) = fed(&["fmt", "-"], menu);
    assert_eq!(code, Some(0));
    assert!(output.starts_with("default 0\n\ntitle a\n"), "{output}");
    let (code, output, _) = fed(&["show", "-"], menu);
    assert_eq!(code, Some(0));
    assert!(output.contains(">| a "), "{output}");
    for option in ["--menu=-", "--ramdisk=-"] {
        let (code, output, errors) = fed(&["check", option, &disk], menu);
        assert_eq!(code, Some(1), "{errors}");
        assert!(
            output.starts_with("waits: the menu has no `timeout`"),
            "{output}"
        );
    }
}

#[test]
fn odd_files_are_named_and_never_waited_for() {
    let scratch = Scratch::new();
    let place = &scratch.word(".");
    let disk = scratch.write("disk.img", [0; 65536]);
    let menu_of_disk = |file: &str| format!("--menu={file}");
    // A folder.
    for words in [
        &["lint", place][..],
        &["lint", "--fix", place],
        &["fmt", place],
        &["show", place],
        &["check", place],
        &["generate", place],
        &["check", &menu_of_disk(place), &disk],
        &["check", "--ramdisk", place, &disk],
        &["lint", "--config", place, "-"],
    ] {
        let (code, output, errors) = said(&run(words));
        assert_eq!((code, output.as_str()), (Some(2), ""), "{words:?}");
        assert!(
            errors.starts_with(&format!("pvgrub: {place}")),
            "{words:?}: {errors}"
        );
        assert_eq!(
            errors
                .lines()
                .filter(|line| line.contains("pvgrub: "))
                .count(),
            1,
            "{errors}"
        );
    }
    // What never ends.
    for words in [
        &["lint", "/dev/zero"][..],
        &["fmt", "/dev/zero"],
        &["show", "/dev/zero"],
        &["check", "--menu=/dev/zero", &disk],
        &["check", "--ramdisk=/dev/zero", &disk],
        &["check", "/dev/zero"],
        &["lint", "--config=/dev/zero", "-"],
    ] {
        let (code, _, errors) = said(&run(words));
        assert_eq!(code, Some(2), "{words:?}");
        assert!(
            errors.starts_with("pvgrub: /dev/zero: "),
            "{words:?}: {errors}"
        );
    }
    // A pipe with a name: as a menu it is read, as a disk it is none; nobody waits for its other end there.
    let pipe = node(&scratch, "pipe", "mkfifo", &[]).expect("mkfifo");
    let (code, _, errors) = said(&run(&["check", &pipe]));
    assert_eq!(code, Some(2));
    assert!(
        errors.contains("neither an image nor a block device"),
        "{errors}"
    );
    for words in [
        &["lint", &pipe][..],
        &["lint", "--fix", &pipe],
        &["fmt", "--write", &pipe],
    ] {
        let child = pvgrub()
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        std::fs::write(&pipe, "timeout 5 s\ntitle a\n").expect("somebody reads");
        let (code, output, errors) = said(
            &child
                .and_then(|child| child.wait_with_output())
                .expect("an end"),
        );
        let is_changed = words.len() == 3;
        assert_eq!(
            code,
            Some(if is_changed { 2 } else { 1 }),
            "{words:?}: {output}{errors}"
        );
        assert_eq!(
            errors.contains("no regular file"),
            is_changed,
            "{words:?}: {errors}"
        );
        let kind = std::fs::symlink_metadata(&pipe)
            .expect("it is still there")
            .file_type();
        assert!(!kind.is_file(), "{words:?}");
    }
    // A block device that cannot be opened: number 0 belongs to nobody.
    match node(&scratch, "device", "mknod", &["b", "0", "0"]) {
        Some(device) => {
            let (code, output, errors) = said(&run(&["check", &device]));
            assert_eq!((code, output.as_str()), (Some(2), ""));
            assert!(
                errors.starts_with(&format!("pvgrub: {device}: ")),
                "{errors}"
            );
        }
        None => println!("SKIP this user makes no device nodes"),
    }
}

#[test]
fn names_need_not_be_text() {
    let scratch = Scratch::new();
    let name = |bytes: &[u8]| scratch.path(OsStr::from_bytes(bytes));
    let (menu, disk) = (name(b"men\xfc.lst"), name(b"dis\xff\x1b[31mk.img"));
    std::fs::write(&menu, MENU).expect("a file");
    std::fs::write(&disk, [0; 65536]).expect("a file");
    let run = |words: &[&OsStr]| said(&pvgrub().args(words).output().expect("the program"));
    let word = OsStr::new;
    for (words, code) in [
        ([word("lint"), menu.as_os_str()], 1),
        ([word("show"), menu.as_os_str()], 0),
        ([word("fmt"), menu.as_os_str()], 0),
        ([word("check"), disk.as_os_str()], 1),
        ([word("generate"), disk.as_os_str()], 1),
    ] {
        let (found, output, errors) = run(&words);
        assert_eq!(found, Some(code), "{words:?}: {output}{errors}");
        assert!(
            !output.contains('\x1b') && !errors.contains('\x1b'),
            "{output}{errors}"
        );
    }
    for format in ["json", "sarif", "github"] {
        let (_, output, _) = run(&[
            word("lint"),
            word("--format"),
            word(format),
            menu.as_os_str(),
        ]);
        assert!(output.contains("men"), "{format}: {output}");
    }
    let named = [word("xvdb=raw:").as_bytes(), disk.as_os_str().as_bytes()].concat();
    let (code, output, errors) = run(&[
        word("check"),
        word("--format=json"),
        OsStr::from_bytes(&named),
    ]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(output.contains("\"name\": \"xvdb\""), "{output}");
    let (code, _, errors) = run(&[word("lint"), word("--fix"), menu.as_os_str()]);
    assert_eq!(code, Some(1), "{errors}");
}
