//! Images that lie on other files: read where the command line allows it, and nowhere else.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::images::{self, Scratch};
use super::sandbox::{MENU, guest, header_naming, pvgrub, text};

/// Makes the qcow2 `image` in `scratch` over `base`, whose name is written as it stands here.
fn overlay(scratch: &Scratch, image: &str, base: &str, more: &[&str]) -> String {
    let output = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-b", base])
        .args(more)
        .arg(scratch.path(image))
        .current_dir(scratch.path("."))
        .output()
        .expect("qemu-img; install the Debian package qemu-utils");
    assert!(output.status.success(), "{}", text(&output.stderr));
    scratch.word(image)
}

/// What `check` says of `image` with backing files below `folder`.
fn checked(image: &str, folder: &str) -> (Option<i32>, String, String) {
    let output = pvgrub(&["check", "--backing-files", folder, image]);
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn backing_files_are_read_where_they_may_be() {
    let scratch = Scratch::new();
    let raw = guest(&scratch, MENU);
    let expected = text(&pvgrub(&["check", &raw]).stdout);
    assert!(expected.starts_with("boots: "), "{expected}");
    let folder = scratch.word(".");
    overlay(&scratch, "one.qcow2", "guest.img", &["-F", "raw"]);
    overlay(
        &scratch,
        "two.qcow2",
        &scratch.word("one.qcow2"),
        &["-F", "qcow2", "-o", "cluster_size=4096"],
    );
    let top = overlay(
        &scratch,
        "top.qcow2",
        "./two.qcow2",
        &["-F", "qcow2", "-o", "compat=0.10"],
    );
    // Larger than what it lies on: zeroes behind.
    let large = overlay(&scratch, "large.qcow2", "guest.img", &["-F", "raw"]);
    let resized = Command::new("qemu-img")
        .args(["resize", "-q", &large, "1G"])
        .status();
    assert!(resized.is_ok_and(|resized| resized.success()));
    for image in [&scratch.word("one.qcow2"), &top, &large] {
        let (code, output, errors) = checked(image, &folder);
        assert_eq!((code, &output), (Some(0), &expected), "{image}: {errors}");
        assert_eq!(errors, "");
        // Only by wish.
        let plain = pvgrub(&["check", image]);
        assert_eq!(plain.status.code(), Some(2));
        let errors = text(&plain.stderr);
        for way in ["--backing-files FOLDER", "qemu-nbd", "qemu-img convert"] {
            assert!(errors.contains(way), "{errors}");
        }
    }
    let generated = pvgrub(&["generate", "--backing-files", &folder, &top]);
    assert_eq!(
        generated.status.code(),
        Some(1),
        "{}",
        text(&generated.stderr)
    );
    let (code, _, errors) = checked(&top, &scratch.word("none"));
    assert_eq!(code, Some(2));
    assert!(errors.contains("none: No such file"), "{errors}");
}

/// The file under test is a guest's to write: it names what it likes.
#[test]
fn backing_files_are_read_nowhere_else() {
    let scratch = Scratch::new();
    let secret = guest(&scratch, MENU);
    std::fs::create_dir_all(scratch.path("images/deep")).expect("a folder");
    let folder = scratch.word("images");
    symlink(&secret, scratch.path("images/link.img")).expect("a link");
    symlink("../guest.img", scratch.path("images/up.img")).expect("a link");
    symlink("..", scratch.path("images/parent")).expect("a link");
    std::fs::copy(&secret, scratch.path("images/inside.img")).expect("a copy");
    let made = Command::new("mkfifo")
        .arg(scratch.path("images/pipe"))
        .status();
    assert!(made.is_ok_and(|made| made.success()));
    let none = "in no folder of --backing-files";
    for (name, why) in [
        (secret.as_str(), none),
        ("../guest.img", none),
        ("deep/../../guest.img", none),
        ("link.img", none),
        ("up.img", none),
        ("parent/guest.img", none),
        ("/proc/self/exe", none),
        ("deep", "no regular file"),
        ("pipe", "no regular file"),
        ("missing.img", "No such file"),
        ("json:{\"driver\":\"raw\"}", "No such file"),
        ("nbd://localhost", "No such file"),
        ("named.qcow2", "more than 8 files"),
        ("inside.img", "more than 8 files"),
    ] {
        let format = match why.contains("more than") {
            true if name == "inside.img" => None,
            true => Some("qcow2"),
            false => Some("raw"),
        };
        let image = scratch.word("images/named.qcow2");
        std::fs::write(&image, header_naming(name, 0, format)).expect("an image");
        let (code, output, errors) = checked(&image, &folder);
        assert_eq!((code, output.as_str()), (Some(2), ""), "{name}");
        let why = if format.is_none() {
            "does not say which format"
        } else {
            why
        };
        assert!(errors.contains(why), "{name}: {errors}");
    }
    // The very same header is right where its file may be.
    let image = scratch.word("images/named.qcow2");
    for name in [
        "inside.img",
        "deep/../inside.img",
        "../images/inside.img",
        &scratch.word("images/inside.img"),
    ] {
        std::fs::write(&image, header_naming(name, 0, Some("raw"))).expect("an image");
        let (code, output, errors) = checked(&image, &folder);
        assert_eq!(errors, "", "{name}");
        // It is an image of 1 MiB: the table of partitions, and nothing of them.
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains("(hd0,0)"), "{name}: {output}");
    }
    // An external data file is never opened.
    std::fs::write(&image, header_naming("inside.img", 4, None)).expect("an image");
    let (code, _, errors) = checked(&image, &folder);
    assert_eq!(code, Some(2));
    assert!(errors.contains("needs another file"), "{errors}");
}

/// What a guest wrote into a raw image is not taken for a header, and damage below is no more than damage.
#[test]
fn a_backing_file_is_what_it_is_said_to_be() {
    let scratch = Scratch::new();
    let secret = guest(&scratch, MENU);
    std::fs::write(
        scratch.path("raw.img"),
        header_naming(&secret, 0, Some("raw")),
    )
    .expect("an image");
    let top = overlay(&scratch, "top.qcow2", "raw.img", &["-F", "raw"]);
    let (code, output, errors) = checked(&top, &scratch.word("."));
    assert_eq!(code, Some(1), "{errors}");
    assert!(output.starts_with("would not boot: no menu"), "{output}");
    let base = overlay(&scratch, "base.qcow2", "guest.img", &["-F", "raw"]);
    let top = overlay(&scratch, "top.qcow2", "base.qcow2", &["-F", "qcow2"]);
    let whole = std::fs::read(&base).expect("the image");
    let mut random = images::builder::Random(11);
    for round in 0..30 {
        let mut bytes = whole.clone();
        for _ in 0..=round % 5 {
            let at = random.below(if round % 2 == 0 { 600 } else { bytes.len() });
            bytes[at] = random.next() as u8;
        }
        std::fs::write(&base, &bytes).expect("the image");
        let (code, _, errors) = checked(&top, &scratch.word("."));
        assert!(matches!(code, Some(0..=2)), "{round}: {code:?}");
        assert!(!errors.contains("broke down"), "{round}: {errors}");
    }
}
