//! The confined process: what it can no longer do, what it may cost, and which files it never opens.

use std::process::{Command, Output, Stdio};

use super::images::{self, Layout, Scratch, disk, kernel};

/// Runs the program itself.
pub(crate) fn pvgrub(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pvgrub"))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("the program")
}

/// Bytes as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A guest's disk with this menu and a kernel.
pub(crate) fn guest(scratch: &Scratch, menu: &[u8]) -> String {
    let files: &[(&str, &[u8])] = &[("boot/grub/menu.lst", menu), ("vmlinuz", &kernel())];
    disk(scratch, "guest.img", Layout::Partition, files)
}

/// A menu that boots.
pub(crate) const MENU: &[u8] = b"timeout 1\ntitle A\nkernel /vmlinuz ro\n";

#[test]
fn the_confined_answer_is_the_same() {
    let scratch = Scratch::new();
    let guest = guest(&scratch, MENU);
    let confined = pvgrub(&["check", &guest]);
    assert_eq!(
        confined.status.code(),
        Some(0),
        "{}",
        text(&confined.stderr)
    );
    assert_eq!(text(&confined.stderr), "");
    let open = pvgrub(&["check", "--no-sandbox", &guest]);
    assert_eq!(text(&confined.stdout), text(&open.stdout));
    assert!(text(&open.stdout).starts_with("boots: entry 0, `A`\n"));
    let none = pvgrub(&["check", &scratch.word("none.img")]);
    assert_eq!(none.status.code(), Some(2));
    assert!(
        text(&none.stderr).contains("No such file"),
        "{}",
        text(&none.stderr)
    );
    // What stands is said, and only on request.
    let verbose = text(&pvgrub(&["check", "-v", &guest]).stderr);
    let walls = ["Landlock V", "seccomp alone; this kernel has no Landlock"];
    let walls = walls.map(|walls| format!("pvgrub: the host's files are guarded by {walls}"));
    assert!(
        walls.iter().any(|walls| verbose.starts_with(walls)),
        "{verbose}"
    );
    let waits = pvgrub(&["check", "--menu", "/dev/null", &guest]);
    assert_eq!(waits.status.code(), Some(1));
}

#[test]
fn memory_and_time_are_bounded() {
    let scratch = Scratch::new();
    let guest = guest(&scratch, MENU);
    let short = pvgrub(&["check", "--limits=memory=1", &guest]);
    assert_eq!(short.status.code(), Some(2), "{}", text(&short.stdout));
    assert!(
        text(&short.stderr).contains("--limits memory="),
        "{}",
        text(&short.stderr)
    );
    assert_eq!(text(&short.stdout), "");
    // A kernel that claims half a gigabyte.
    let mut elf = images::builder::Elf::linux(300_000);
    elf.programs[3].memory_bytes = 512 << 20;
    let files: &[(&str, &[u8])] = &[("boot/grub/menu.lst", MENU), ("vmlinuz", &elf.write())];
    let large = disk(&scratch, "large.img", Layout::Partition, files);
    assert_eq!(pvgrub(&["check", &large]).status.code(), Some(0));
    let short = pvgrub(&["check", "--limits=memory=256", &large]);
    assert_eq!(short.status.code(), Some(2), "{}", text(&short.stdout));
    assert!(
        text(&short.stderr).contains("--limits memory="),
        "{}",
        text(&short.stderr)
    );
    // Whoever never says what is on standard input is not waited for.
    let mut child = Command::new(env!("CARGO_BIN_EXE_pvgrub"))
        .args(["check", "--menu=-", "--limits=time=1", &guest])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("an end");
    drop(stdin);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no answer within 1 s"));
}

/// Makes a qcow2 of a raw image.
fn qcow2(raw: &str, to: &str, more: &[&str]) {
    let made = Command::new("qemu-img")
        .args(["convert", "-O", "qcow2"])
        .args(more)
        .args([raw, to])
        .status()
        .expect("qemu-img; install the Debian package qemu-utils");
    assert!(made.success(), "qemu-img {more:?}");
}

#[test]
fn qcow2_is_read_plain_and_packed() {
    let scratch = Scratch::new();
    let guest = guest(&scratch, MENU);
    let raw = pvgrub(&["check", "--format=json", &guest]);
    for more in [
        &[][..],
        &["-c"],
        &["-o", "compat=0.10"],
        &["-o", "cluster_size=4096"],
    ] {
        let image = scratch.word("guest.qcow2");
        qcow2(&guest, &image, more);
        let checked = pvgrub(&["check", "--format=json", &image]);
        assert_eq!(
            checked.status.code(),
            Some(0),
            "{more:?} {}",
            text(&checked.stderr)
        );
        let same = text(&checked.stdout)
            .replace("guest.qcow2", "guest.img")
            .replace("qcow2", "raw");
        assert_eq!(same, text(&raw.stdout), "{more:?}");
    }
    // As it is, it is no disk.
    let image = format!("raw:{}", scratch.word("guest.qcow2"));
    assert_eq!(pvgrub(&["check", &image]).status.code(), Some(1));
}

/// A header of version 3 that names another file, of this format; `bits` are its incompatible features.
pub(crate) fn header_naming(name: &str, bits: u64, format: Option<&str>) -> Vec<u8> {
    let mut image = vec![0; 5 * 65536];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb\0\0\0\x03");
    if bits == 0 {
        put(8, &0x200_u64.to_be_bytes());
        put(16, &u32::try_from(name.len()).expect("short").to_be_bytes());
        put(0x200, name.as_bytes());
        if let Some(format) = format {
            put(0x68, &0xe279_2aca_u32.to_be_bytes());
            put(
                0x6c,
                &u32::try_from(format.len()).expect("short").to_be_bytes(),
            );
            put(0x70, format.as_bytes());
        }
    } else {
        // Header extension: the external data file's name.
        put(0x68, &0x4441_5441_u32.to_be_bytes());
        put(
            0x6c,
            &u32::try_from(name.len()).expect("short").to_be_bytes(),
        );
        put(0x70, name.as_bytes());
    }
    put(20, &16_u32.to_be_bytes());
    put(24, &(1_u64 << 20).to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &(3_u64 << 16).to_be_bytes());
    put(48, &(1_u64 << 16).to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(72, &bits.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    put(1 << 16, &(2_u64 << 16).to_be_bytes());
    image
}

/// The classic hole: a guest writes a header that names a file of the host.
#[test]
fn what_an_image_names_is_never_opened() {
    let scratch = Scratch::new();
    let secret = guest(&scratch, MENU);
    for bits in [0, 4] {
        let image = scratch.word("named.qcow2");
        std::fs::write(&image, header_naming(&secret, bits, None)).expect("an image");
        for words in [&["check", &image][..], &["check", "--no-sandbox", &image]] {
            let checked = pvgrub(words);
            assert_eq!(checked.status.code(), Some(2), "{}", text(&checked.stdout));
            let errors = text(&checked.stderr);
            assert!(errors.contains("needs another file"), "{bits}: {errors}");
        }
    }
}

/// Rubbish in a qcow2's own tables: an error or an answer, and never anything else.
#[test]
fn damaged_qcow2_gets_an_answer() {
    let scratch = Scratch::new();
    let guest = guest(&scratch, MENU);
    let image = scratch.word("guest.qcow2");
    qcow2(&guest, &image, &["-c"]);
    let whole = std::fs::read(&image).expect("the image");
    let damaged = scratch.word("damaged.qcow2");
    let mut random = images::builder::Random(7);
    for round in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..=round % 7 {
            let at = match round % 3 {
                0 => 8 + random.below(104),
                1 => random.below(bytes.len().min(5 << 16)),
                _ => random.below(bytes.len()),
            };
            bytes[at] = random.next() as u8;
        }
        std::fs::write(&damaged, &bytes).expect("the image");
        let checked = pvgrub(&["check", "-q", &format!("qcow2:{damaged}")]);
        assert!(
            matches!(checked.status.code(), Some(0..=2)),
            "{round}: {:?}",
            checked.status
        );
        let errors = text(&checked.stderr);
        assert!(!errors.contains("broke down"), "{round}: {errors}");
    }
}
