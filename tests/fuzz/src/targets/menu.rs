//! Texts that people write: menus, the guest's own command line, names of devices and files.

use bootloader::config::Arguments;
use fs::{DeviceName, FileName};
use menu::lexer::Lexer;
use menu::tree::MAX_FALLBACKS;
use menu::{Command, parse};

use crate::Target;

/// Words of menus.
pub(crate) const WORDS_OF_MENUS: &[&[u8]] = &[
    b"title ",
    b"default ",
    b"timeout ",
    b"fallback ",
    b"kernel ",
    b"initrd ",
    b"module ",
    b"root ",
    b"rootnoverify ",
    b"password ",
    b"--md5 ",
    b"--sha512 ",
    b"$1$",
    b"$6$",
    b"color ",
    b"boot",
    b"hiddenmenu",
    b"saved",
    b"savedefault ",
    b"configfile ",
    b"find ",
    b"--set-root ",
    b"cat ",
    b"cmp ",
    b"terminal ",
    b"--dumb",
    b"pager on",
    b"lock",
    b"pause ",
    b"(hd0,0)",
    b"(nd)",
    b"LABEL=",
    b"UUID=",
    b"/boot/vmlinuz",
    b"\\\n",
    b"\r\n",
    b"chainloader ",
    b"halt",
    b"reboot",
    b"help ",
    b"debug ",
    b"geometry ",
    b"blocklist ",
    b"read ",
    b"fstest",
    b"clear",
    b"print ",
    b"dhcp",
    b"ifconfig ",
    b"tftpserver ",
    b"md5crypt",
    b"partnew ",
    b"parttype ",
    b"makeactive",
    b"hide ",
    b"map ",
    b"setkey ",
    b"serial ",
];

macro_rules! corpus {
    ($($name:literal),+) => {
        vec![$(include_bytes!(concat!("../../../../menu/corpus/", $name, ".lst")).to_vec()),+]
    };
}

/// Menus of distributions.
pub(crate) fn corpus() -> Vec<Vec<u8>> {
    corpus![
        "alpine",
        "amazon-linux",
        "arch",
        "bom",
        "cr-only",
        "crlf",
        "debian-etch",
        "ec2-failsafe",
        "gentoo",
        "latin1",
        "linode",
        "netbsd",
        "network",
        "noise",
        "ramdisk-nul",
        "suse-device-map",
        "ubuntu-hardy"
    ]
}

pub(crate) const PARSE: Target = Target {
    name: "menu-parse",
    about: "any bytes as a menu: parsed, printed, parsed again",
    longest: 4096,
    heap_mib: 8,
    words: WORDS_OF_MENUS,
    seeds: corpus,
    run: |input| {
        let (menu, diagnostics) = parse(input);
        assert!(menu.fallback.len() <= MAX_FALLBACKS);
        assert!(menu.entries.iter().all(|entry| !entry.commands.is_empty()));
        for diagnostic in &diagnostics {
            assert!(!diagnostic.to_string().is_empty());
        }
        let kept: usize = Lexer::new(input).map(|line| line.text.len()).sum();
        assert!(kept <= input.len(), "{kept} bytes kept of {}", input.len());
        let menu = menu.without_spans();
        let again = parse(&menu.to_text()).0.without_spans();
        assert_eq!(again, menu, "printed, it is another menu");
    },
};

pub(crate) const WORDS: Target = Target {
    name: "words",
    about: "the guest's command line, names of devices and files, typed lines, passwords",
    longest: 512,
    heap_mib: 4,
    words: &[
        b"--append=\"",
        b"--entry=",
        b"--timeout=",
        b"--unattended=retry:",
        b"--dhcp-timeout=",
        b"(hd0,0)",
        b"(nd1)",
        b"(hd0)0+1,2+3",
        b"(lvm/vg-lv)",
        b"(md/0)",
        b"LABEL=",
        b"UUID=",
        b"$6$rounds=1000$",
        b"$1$",
    ],
    seeds: || {
        vec![
            b"root=/dev/xvda1 (hd0,0)/boot/menu.lst --append=\"a b\" --entry=2 --timeout=5"
                .to_vec(),
            b"(hd31,255)/boot/../x".to_vec(),
            b"(hd0)1+10,20+1".to_vec(),
            b"--md5 $1$salt$hash /boot/menu.lst".to_vec(),
        ]
    },
    run: |input| {
        let arguments = Arguments::parse(input);
        let _ = arguments.dhcp_patience();
        if let Ok((name, rest)) = DeviceName::split(input) {
            assert!(rest.len() <= input.len());
            if let Some(name) = name {
                let again = DeviceName::parse(name.to_string().as_bytes());
                assert_eq!(again, Ok(name), "printed, it is another device");
            }
        }
        let _ = (DeviceName::parse(input), FileName::parse(input));
        let typed = Command::typed(input);
        if !input
            .iter()
            .any(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0))
        {
            assert_eq!(Command::typed(&typed.to_line()), typed);
        }
        if let Some(password) = menu::parse::password(input) {
            // Rounds are a matter of time, which is bounded elsewhere.
            let rounds = password.secret.windows(7).any(|part| part == b"rounds=");
            let _ = !rounds && menu::crypt::matches(&password, b"typed");
        }
    },
};
