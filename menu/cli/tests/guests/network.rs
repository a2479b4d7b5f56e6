//! The network is not tried: what needs it is not judged, and says so.

use super::check::{check, check_with};
use super::images::{Layout, Scratch, disk, kernel};
use super::session::run;
use pvgrub::Ending;
use serde_json::Value;

/// A guest's disk with a kernel and no menu.
fn guest(scratch: &Scratch) -> String {
    let files: &[(&str, &[u8])] = &[("vmlinuz", &kernel())];
    disk(scratch, "guest.img", Layout::Partition, files)
}

/// Runs `check` for people, with this menu in the guest's place.
fn said(guest: &str, menu: &str) -> String {
    run(&["check", "--menu=-", guest], menu.as_bytes()).output
}

#[test]
fn what_needs_the_network_is_not_judged() {
    let scratch = Scratch::new();
    let guest = guest(&scratch);
    for (commands, needed) in [
        ("kernel (nd)/vmlinuz", "(nd)/vmlinuz"),
        ("root (nd)\nkernel /vmlinuz", "(nd)"),
        (
            "rootnoverify (nd1)\nkernel /boot/vmlinuz",
            "(nd1)/boot/vmlinuz",
        ),
        ("kernel /vmlinuz\ninitrd (nd)/initrd", "(nd)/initrd"),
        ("kernel /vmlinuz\nmodule (nd)/more", "(nd)/more"),
        ("configfile (nd)/menu.lst", "(nd)/menu.lst"),
        ("chainloader (nd)/loader", "(nd)/loader"),
        ("cat (nd)/text\nkernel /vmlinuz", "(nd)/text"),
        ("dhcp\nkernel /vmlinuz", "an answer to `dhcp`"),
        (
            "ifconfig --address=10.0.0.2\nkernel /vmlinuz",
            "an answer to `ifconfig`",
        ),
        (
            "tftpserver 10.0.0.1\nkernel /vmlinuz",
            "an answer to `tftpserver`",
        ),
    ] {
        let menu = format!("timeout 1\ntitle A\n{commands}\n");
        let (ending, report) = check_with(&[&guest, "--menu=-"], menu.as_bytes());
        assert_eq!(ending, Ending::Unreadable, "{menu}");
        assert_eq!(report["verdict"], "not-judged", "{menu}{report:#}");
        assert_eq!(report["image"], Value::Null);
        for step in [&report["boot"][0], &report["entries"][0]] {
            assert_eq!(step["network"], needed, "{menu}{report:#}");
            assert_eq!(step["failure"], Value::Null, "{menu}");
        }
        assert_eq!(report["entries"][0]["verdict"], "not-judged");
        let text = said(&guest, &menu);
        let first = format!(
            "not judged: entry 0, `A` needs {needed}, and pvgrub does not try the network\n"
        );
        assert!(text.starts_with(&first), "{text}");
        assert!(text.contains("\n    0  not judged  A\n"), "{text}");
    }
    // What fails before it gets there has failed.
    let menu = "timeout 1\ntitle A\nkernel /none\ninitrd (nd)/initrd\n";
    let (ending, report) = check_with(&[&guest, "--menu=-"], menu.as_bytes());
    assert_eq!(
        (ending, &report["verdict"]),
        (Ending::Findings, &"would-not-boot".into())
    );
}

#[test]
fn what_is_behind_the_network_is_told() {
    let scratch = Scratch::new();
    let guest = guest(&scratch);
    let menu =
        "timeout 1\nfallback 1\ntitle Net\nkernel (nd)/vmlinuz\ntitle Disk\nkernel /vmlinuz\n";
    let (ending, report) = check_with(&[&guest, "--menu=-"], menu.as_bytes());
    assert_eq!(ending, Ending::Unreadable);
    assert_eq!(report["boot"][1]["boots"], true);
    assert_eq!(report["entries"][0]["fallback"], 1);
    assert_eq!(report["entries"][1]["verdict"], "boots");
    let text = said(&guest, menu);
    assert!(
        text.contains("does not try the network; without it entry 1, `Disk` boots\n"),
        "{text}"
    );
    assert!(
        text.contains("       if it fails entry 1 boots in its place\n"),
        "{text}"
    );
    // An entry that the disk answers for is judged, whatever stands behind it.
    let menu =
        "timeout 1\nfallback 1\ntitle Disk\nkernel /vmlinuz\ntitle Net\nkernel (nd)/vmlinuz\n";
    let (ending, report) = check_with(&[&guest, "--menu=-"], menu.as_bytes());
    assert_eq!(
        (ending, &report["verdict"]),
        (Ending::Clean, &"boots".into())
    );
    assert_eq!(report["entries"][1]["verdict"], "not-judged");
    // A menu that another one loads.
    let menu = "timeout 1\ntitle A\nconfigfile /more.lst\n";
    let more: &[u8] = b"timeout 1\ntitle B\nkernel (nd)/vmlinuz\n";
    let guest = disk(
        &scratch,
        "more.img",
        Layout::Partition,
        &[("more.lst", more)],
    );
    let (_, report) = check_with(&[&guest, "--menu=-"], menu.as_bytes());
    assert_eq!(report["verdict"], "not-judged", "{report:#}");
    assert_eq!(report["entries"][0]["network"], "(nd)/vmlinuz");
}

#[test]
fn a_menu_that_would_come_over_the_network_is_not_judged() {
    let scratch = Scratch::new();
    let menu: &[u8] = b"timeout 1\ntitle A\nkernel /vmlinuz\n";
    let files: &[(&str, &[u8])] = &[("boot/grub/menu.lst", menu), ("vmlinuz", &kernel())];
    let guest = disk(&scratch, "guest.img", Layout::Partition, files);
    let empty = disk(&scratch, "empty.img", Layout::Partition, &[]);
    // DHCP comes before the disk's menu, unless a word of `extra` says otherwise.
    let (ending, report) = check(&[&guest, "--vif"]);
    assert_eq!(
        (ending, &report["verdict"]),
        (Ending::Unreadable, &"not-judged".into())
    );
    assert_eq!(report["boot"][0]["boots"], true);
    assert_eq!(
        report["summary"],
        "the DHCP server is asked first, and pvgrub does not try the network; without a menu from there: boots entry 0, `A`"
    );
    let extra = "--extra=/boot/grub/menu.lst";
    for words in [
        &[&guest, "--vif", extra][..],
        &[&guest, "--vif", "--extra=--dhcp-timeout=0"],
        &[&guest],
    ] {
        assert_eq!(check(words).1["verdict"], "boots", "{words:?}");
    }
    let (ending, report) = check(&[&empty, "--vif"]);
    assert_eq!(
        (ending, &report["verdict"]),
        (Ending::Unreadable, &"not-judged".into())
    );
    let (ending, report) = check(&[&empty]);
    assert_eq!(
        (ending, &report["verdict"]),
        (Ending::Findings, &"would-not-boot".into())
    );
    assert!(
        report["advice"]
            .to_string()
            .contains("The network was not tried")
    );
    // `extra` names a file of the network.
    let extra = "--extra=(nd)/menu.lst";
    let (ending, report) = check(&[&guest, extra]);
    assert_eq!(ending, Ending::Unreadable);
    assert_eq!(
        report["summary"],
        "the menu is (nd)/menu.lst, and pvgrub does not try the network"
    );
    let ran = run(&["check", "-q", &guest, extra], b"");
    assert!(
        ran.output
            .starts_with("not judged: the menu is (nd)/menu.lst"),
        "{}",
        ran.output
    );
    // A copy of it is tried in its place: its entries start on the network.
    let (_, report) = check_with(
        &[&guest, extra, "--menu=-"],
        b"timeout 1\ntitle A\nkernel /vmlinuz\n",
    );
    assert_eq!(report["boot"][0]["network"], "(nd)/vmlinuz", "{report:#}");
    let (_, report) = check_with(
        &[&guest, extra, "--menu=-"],
        b"timeout 1\ntitle A\nkernel (hd0,0)/vmlinuz\n",
    );
    assert_eq!(report["verdict"], "boots", "{report:#}");
}
