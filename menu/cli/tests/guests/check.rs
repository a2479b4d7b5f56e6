//! `pvgrub check`: guests that boot, guests that do not, and what is said of them.

use std::os::unix::fs::MetadataExt;

use super::images::{self, Layout, Scratch, disk, kernel};
use super::session::run;
use pvgrub::Ending;
use serde_json::Value;

/// Runs `check --format json` with these words and returns what it said.
pub(crate) fn check(words: &[&str]) -> (Ending, Value) {
    check_with(words, b"")
}

/// The same with this standard input.
pub(crate) fn check_with(words: &[&str], input: &[u8]) -> (Ending, Value) {
    let words: Vec<&str> = ["check", "--format=json"]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    let ran = run(&words, input);
    assert_eq!(ran.errors, "");
    let report = serde_json::from_str(&ran.output).expect("JSON");
    (ran.ending, report)
}

const MENU: &[u8] = b"default 0\ntimeout 3\nfallback 2\n\
    title First\nroot (hd0,0)\nkernel /boot/vmlinuz root=/dev/xvda1 ro\ninitrd /boot/initrd\n\
    title Second\nroot (hd0,0)\nkernel /boot/missing\n\
    title Third\nkernel /boot/vmlinuz single\n";

#[test]
fn a_guest_that_boots_says_what_it_boots() {
    let scratch = Scratch::new();
    let files: &[(&str, &[u8])] = &[
        ("boot/grub/menu.lst", MENU),
        ("boot/vmlinuz", &kernel()),
        ("boot/initrd", &[7; 5000]),
    ];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let (ending, report) = check(&[&guest, "--extra=--append=quiet"]);
    assert_eq!(ending, Ending::Clean);
    assert_eq!(report["verdict"], "boots");
    assert_eq!(report["image"], "pv-grub-x86_64.gz");
    assert_eq!(report["menu"]["place"], "(hd0,0)/boot/grub/menu.lst");
    assert_eq!(report["disks"][0]["volumes"][0]["label"], "guest");
    let boot = &report["boot"];
    assert_eq!(boot.as_array().map(Vec::len), Some(1));
    assert_eq!(boot[0]["entry"], 0);
    assert_eq!(boot[0]["command_line"], "root=/dev/xvda1 ro quiet");
    assert_eq!(boot[0]["kernel"]["file"], "(hd0,0)/boot/vmlinuz");
    assert_eq!(boot[0]["kernel"]["format"], "ELF");
    assert_eq!(boot[0]["kernel"]["width"], 64);
    assert_eq!(boot[0]["kernel"]["guest_os"], "linux");
    assert_eq!(boot[0]["initrds"][0]["bytes"], 5000);
    let entries = &report["entries"];
    assert_eq!(entries[1]["verdict"], "would-not-boot");
    assert_eq!(entries[1]["failure"]["code"], 15);
    assert_eq!(entries[1]["fallback"], 2);
    assert_eq!(entries[2]["command_line"], "single quiet");
    // The same for people.
    let ran = run(&["check", "--color=never", &guest], b"");
    let expected = "boots: entry 0, `First`\n  \
        loader   pv-grub-x86_64.gz\n  \
        menu     (hd0,0)/boot/grub/menu.lst, boots after 3 s\n";
    assert!(ran.output.starts_with(expected), "{}", ran.output);
    assert!(
        ran.output.contains("    1  fails  Second\n"),
        "{}",
        ran.output
    );
    assert!(ran.output.contains("then entry 2 boots in its place"));
    let quiet = run(&["check", "-q", &guest], b"");
    assert_eq!(quiet.output, "boots: entry 0, `First`\n");
}

#[test]
fn fallbacks_are_followed_as_the_loader_follows_them() {
    let scratch = Scratch::new();
    let menu = b"default 1\ntimeout 0\nfallback 1 0\n\
        title A\nkernel /vmlinuz a\ntitle B\nkernel /vmlinuz b\ninitrd /none\n";
    let files: &[(&str, &[u8])] = &[("boot/grub/menu.lst", menu), ("vmlinuz", &kernel())];
    let guest = disk(&scratch, "guest.img", Layout::Whole, files);
    let (ending, report) = check(&[&guest]);
    assert_eq!(ending, Ending::Clean);
    assert_eq!(report["menu"]["place"], "(hd0)/boot/grub/menu.lst");
    assert_eq!(report["boot"][0]["entry"], 1);
    assert_eq!(report["boot"][0]["failure"]["code"], 15);
    assert_eq!(report["boot"][1]["entry"], 0);
    assert_eq!(report["boot"][1]["command_line"], "a");
    assert_eq!(report["summary"], "boots entry 0, `A`, after 1 failed");
}

#[test]
fn what_does_not_boot_is_told_apart() {
    let scratch = Scratch::new();
    let files: &[(&str, &[u8])] = &[("vmlinuz", &kernel()), ("text", b"no kernel at all\n")];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    for (menu, verdict, code) in [
        ("title A\nkernel /vmlinuz\n", "waits", None),
        (
            "timeout 1\ntitle A\nkernel /text\n",
            "would-not-boot",
            Some(13),
        ),
        (
            "timeout 1\ntitle A\nkernel /none\n",
            "would-not-boot",
            Some(15),
        ),
        (
            "timeout 1\ntitle A\nroot (hd3)\n",
            "would-not-boot",
            Some(21),
        ),
        (
            "timeout 1\ntitle A\nkernal /vmlinuz\n",
            "would-not-boot",
            Some(27),
        ),
        ("timeout 1\ntitle A\nroot (hd0,0)\n", "would-not-boot", None),
        ("timeout 1\ntitle A\nhalt\n", "stops", None),
        ("timeout 1\ntitle A\nreboot\n", "stops", None),
        ("timeout 1\n", "would-not-boot", None),
        (
            "timeout 4294967295\ntitle A\nkernel /vmlinuz\n",
            "boots",
            None,
        ),
        ("timeout 1\ntitle A\nlock\nkernel /vmlinuz\n", "boots", None),
        (
            "timeout 1\npassword x\ntitle A\nlock\nkernel /vmlinuz\n",
            "would-not-boot",
            Some(32),
        ),
        (
            "timeout 1\nfallback 0\ntitle A\nconfigfile /none\n",
            "would-not-boot",
            Some(15),
        ),
    ] {
        let (ending, report) = check_with(&[&guest, "--menu=-"], menu.as_bytes());
        assert_eq!(report["verdict"], verdict, "{menu}{report:#}");
        assert_eq!(ending == Ending::Clean, verdict == "boots", "{menu}");
        let last = report["boot"].as_array().and_then(|boot| boot.last());
        let found = last.and_then(|last| last["failure"]["code"].as_u64());
        assert_eq!(found, code, "{menu}{report:#}");
    }
}

#[test]
fn a_menu_that_another_one_loads_is_followed() {
    let scratch = Scratch::new();
    let files: &[(&str, &[u8])] = &[
        (
            "boot/grub/menu.lst",
            b"timeout 1\ntitle A\nconfigfile /more.lst\n",
        ),
        (
            "more.lst",
            b"timeout 999999999\ntitle B\nkernel /vmlinuz b\n",
        ),
        ("vmlinuz", &kernel()),
    ];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let (ending, report) = check(&[&guest]);
    assert_eq!(ending, Ending::Clean);
    assert_eq!(report["boot"][1]["command_line"], "b");
    assert_eq!(report["boot"][1]["title"], Value::Null);
    assert_eq!(report["summary"], "boots entry 0 of another menu");
    assert_eq!(report["entries"][0]["command_line"], "b");
    // Two menus that load each other end as they do in the loader.
    let files: &[(&str, &[u8])] = &[
        (
            "boot/grub/menu.lst",
            b"timeout 0\ntitle A\nconfigfile /more.lst\n",
        ),
        (
            "more.lst",
            b"timeout 0\ntitle B\nconfigfile /boot/grub/menu.lst\n",
        ),
    ];
    let guest = disk(&scratch, "circle.img", Layout::Partition, files);
    let (ending, report) = check(&[&guest]);
    assert_eq!(ending, Ending::Findings);
    assert_eq!(report["verdict"], "would-not-boot");
}

#[test]
fn disks_have_the_names_that_they_are_given() {
    let scratch = Scratch::new();
    let menu = b"timeout 1\ntitle A\nkernel (hd1,0)/vmlinuz\n";
    let first = disk(
        &scratch,
        "a.img",
        Layout::Partition,
        &[("boot/grub/menu.lst", menu)],
    );
    let second = disk(
        &scratch,
        "b.img",
        Layout::Partition,
        &[("vmlinuz", &kernel())],
    );
    let (ending, report) = check(&[&first, &second]);
    assert_eq!(ending, Ending::Clean, "{report:#}");
    assert_eq!(report["disks"][1]["name"], "xvdb");
    // The order is that of the numbers, not of the words.
    let (b, a) = (format!("xvdf={second}"), format!("xvdc={first}"));
    let (ending, report) = check(&[&b, &a]);
    assert_eq!(ending, Ending::Clean, "{report:#}");
    assert_eq!(report["disks"][0]["name"], "xvdc");
    let (ending, report) = check(&[&second, &first]);
    assert_eq!(ending, Ending::Findings);
    assert_eq!(report["verdict"], "would-not-boot");
    // A partition by itself, as `xvda1`.
    let part = disk(
        &scratch,
        "c.img",
        Layout::Whole,
        &[("menu", MENU), ("boot/vmlinuz", &kernel())],
    );
    let (_, report) = check(&[
        &format!("xvda1={part}"),
        "--extra=(hd0,0)/menu --entry=2 --timeout=0",
    ]);
    assert_eq!(report["verdict"], "boots", "{report:#}");
    assert_eq!(report["boot"][0]["entry"], 2);
}

#[test]
fn the_kernel_says_which_loader_it_wants() {
    let scratch = Scratch::new();
    let menu = b"timeout 1\ntitle A\nkernel /vmlinuz\n";
    let files: &[(&str, &[u8])] = &[
        ("boot/grub/menu.lst", menu),
        ("vmlinuz", &images::kernel_32()),
    ];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let (ending, report) = check(&[&guest]);
    assert_eq!(ending, Ending::Clean, "{report:#}");
    assert_eq!(report["image"], "pv-grub-x86_32.gz");
    assert_eq!(report["entries"][0]["image"], "pv-grub-x86_32.gz");
    let (ending, report) = check(&[&guest, "--image=x86_64"]);
    assert_eq!(ending, Ending::Findings);
    assert_eq!(report["boot"][0]["failure"]["code"], 13);
    assert_eq!(report["boot"][0]["kernel"]["width"], 32);
}

#[test]
fn memory_is_reckoned_with() {
    let scratch = Scratch::new();
    let menu = b"timeout 1\ntitle A\nkernel /vmlinuz\ninitrd /initrd\n";
    let files: &[(&str, &[u8])] = &[
        ("boot/grub/menu.lst", menu),
        ("vmlinuz", &kernel()),
        ("initrd", &vec![1; 6 << 20]),
    ];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let (_, report) = check(&[&guest, "--memory=64"]);
    assert_eq!(report["verdict"], "boots");
    let needs = report["boot"][0]["needs_mib"].as_u64().expect("a number");
    assert!((22..40).contains(&needs), "{needs}");
    let (ending, report) = check(&[&guest, "--memory=18"]);
    assert_eq!(ending, Ending::Findings);
    assert_eq!(report["boot"][0]["failure"]["code"], 28, "{report:#}");
}

#[test]
fn a_quick_look_reads_headers_alone() {
    let scratch = Scratch::new();
    let menu = b"timeout 1\ntitle A\nkernel /vmlinuz ro\ninitrd /initrd\ntitle B\nkernel /initrd\n";
    let files: &[(&str, &[u8])] = &[
        ("boot/grub/menu.lst", menu),
        ("vmlinuz", &kernel()),
        ("initrd", &[1; 5000]),
    ];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let (ending, quick) = check(&[&guest, "--quick"]);
    assert_eq!(ending, Ending::Clean);
    assert_eq!(quick["boot"][0]["command_line"], "ro");
    assert_eq!(quick["boot"][0]["kernel"]["pv"], Value::Null);
    assert_eq!(quick["boot"][0]["kernel"]["width"], 64);
    assert_eq!(quick["entries"][1]["failure"]["code"], 13);
    let (_, whole) = check(&[&guest]);
    assert_eq!(quick["boot"][0]["needs_mib"], whole["boot"][0]["needs_mib"]);
    let ran = run(&["check", "--quick", &guest], b"");
    assert!(
        ran.output.contains("64 bits, headers only)"),
        "{}",
        ran.output
    );
}

#[test]
fn other_boot_loaders_are_named_where_there_is_no_menu() {
    let scratch = Scratch::new();
    let files: &[(&str, &[u8])] = &[
        ("boot/grub/grub.cfg", b"menuentry x { }\n"),
        ("boot/loader/entries/a.conf", b"title x\n"),
        ("boot/extlinux/extlinux.conf", b"label x\n"),
    ];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let (ending, report) = check(&[&guest]);
    assert_eq!(ending, Ending::Findings);
    assert_eq!(report["tried"].as_array().map(Vec::len), Some(8));
    let kinds: Vec<&str> = report["others"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|other| other["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["BLS", "grub.cfg", "extlinux"]);
    let ran = run(&["check", &guest], b"");
    assert!(
        ran.output.contains("`pvgrub generate DISK`"),
        "{}",
        ran.output
    );
}

#[test]
fn a_saved_entry_is_read_and_never_written() {
    let scratch = Scratch::new();
    let menu = b"default saved\ntimeout 1\ntitle A\nkernel /vmlinuz a\nsavedefault\n\
        title B\nkernel /vmlinuz b\nsavedefault 0\n";
    let files: &[(&str, &[u8])] = &[
        ("boot/grub/menu.lst", menu),
        ("boot/grub/default", b"1:0\n#\n#\n"),
        ("vmlinuz", &kernel()),
    ];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let before = std::fs::read(&guest).expect("the disk");
    let about = std::fs::metadata(&guest).expect("the disk");
    for _ in 0..2 {
        let (ending, report) = check(&[&guest]);
        assert_eq!(ending, Ending::Clean);
        assert_eq!(report["boot"][0]["command_line"], "b", "{report:#}");
    }
    assert!(std::fs::read(&guest).expect("the disk") == before);
    let after = std::fs::metadata(&guest).expect("the disk");
    assert_eq!(
        (about.mtime(), about.mtime_nsec()),
        (after.mtime(), after.mtime_nsec())
    );
}

#[test]
fn what_cannot_be_read_is_no_verdict() {
    let scratch = Scratch::new();
    let none = scratch.word("none.img");
    let ran = run(&["check", &none], b"");
    assert_eq!(ran.ending, Ending::Unreadable);
    assert!(
        ran.errors.contains("none.img: No such file"),
        "{}",
        ran.errors
    );
    let ran = run(&["check", "/"], b"");
    assert_eq!(ran.ending, Ending::Unreadable);
    assert!(ran.errors.contains("neither an image nor a block device"));
    std::fs::write(scratch.path("empty.img"), b"").expect("a file");
    let empty = scratch.word("empty.img");
    let (ending, report) = check(&[&empty]);
    assert_eq!(ending, Ending::Findings);
    assert_eq!(report["menu"], Value::Null);
    let ran = run(
        &["check", &format!("xvda={empty}"), &format!("xvda={empty}")],
        b"",
    );
    assert_eq!(ran.ending, Ending::Unreadable);
}

/// Rubbish over every part of a guest's disk: an error at most, and always an answer.
#[test]
fn damaged_disks_get_an_answer() {
    let scratch = Scratch::new();
    let files: &[(&str, &[u8])] = &[("boot/grub/menu.lst", MENU), ("boot/vmlinuz", &kernel())];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let whole = std::fs::read(&guest).expect("the disk");
    let damaged = scratch.word("damaged.img");
    let mut random = images::builder::Random(99);
    for round in 0..40 {
        let mut bytes = whole.clone();
        for _ in 0..=round * 8 {
            // Where the structures are: the table, the superblock, the first groups.
            let at = if round % 2 == 0 {
                random.below(1 << 20) + (1 << 20)
            } else {
                random.below(bytes.len())
            };
            bytes[at] = random.next() as u8;
        }
        std::fs::write(&damaged, &bytes).expect("the disk");
        let ran = run(&["check", "--format=json", &damaged], b"");
        assert!(serde_json::from_str::<Value>(&ran.output).is_ok());
    }
}
