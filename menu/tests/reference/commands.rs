//! What `docs/menu.md` says of each command beside the table's own words: an example, and what GRUB 0.97 and PV-GRUB
//! did differently. The table of the image does without these, to stay small.

/// A command's row.
pub(crate) struct Row {
    /// The command, as in the table.
    pub(crate) name: &'static str,
    /// A line of a menu.
    pub(crate) example: &'static str,
    /// How it differs from GRUB 0.97; "none" where it does not.
    pub(crate) difference: &'static str,
}

/// Shorthand for the rows below.
const fn row(name: &'static str, example: &'static str, difference: &'static str) -> Row {
    Row {
        name,
        example,
        difference,
    }
}

const NO_GRAPHICS: &str = "There is no graphics terminal.";
const NO_TABLES: &str = "GRUB wrote the partition table. Here it is Error 29 with a sentence that says so; PV-GRUB's damaged neighbouring entries on 64 bits.";
const NONE: &str = "none";

/// One row for each command, sorted by name.
pub(crate) const ROWS: &[Row] = &[
    row("background", "background 000000", NO_GRAPHICS),
    row(
        "blocklist",
        "blocklist /boot/vmlinuz",
        "A file without blocks of its own (a hole, data in the inode) is Error 31 instead of a wrong list.",
    ),
    row("boot", "boot", NONE),
    row("bootp", "bootp --with-configfile", "As `dhcp`."),
    row("border", "border 2", NO_GRAPHICS),
    row(
        "cat",
        "cat /boot/grub/menu.lst",
        "Bytes that a terminal would obey are shown as `?`; files of more than 16 MiB are refused.",
    ),
    row(
        "chainloader",
        "chainloader +1",
        "GRUB started a boot sector; PV-GRUB parsed the line and failed at `boot`. Here the line fails, with the reason.",
    ),
    row("clear", "clear", NONE),
    row(
        "cmp",
        "cmp /boot/vmlinuz (hd1,0)/boot/vmlinuz",
        "Lists the first ten differences only.",
    ),
    row("color", "color light-gray/blue black/light-gray", NONE),
    row(
        "configfile",
        "configfile (hd0,1)/boot/grub/menu.lst",
        "Entries of the new menu start on the disk that it is on, and `savedefault` writes beside it. Menus that load each other 16 times without a key in between are stopped.",
    ),
    row("debug", "debug", NONE),
    row(
        "default",
        "default saved",
        "A number of `N:M` means: N this time, M from then on (PV-GRUB had that too). M is written before N is booted; where that fails, M is booted.",
    ),
    row("dhcp", "dhcp --with-configfile", "Waits are bounded."),
    row("fallback", "fallback 1 2", "Each entry is tried once."),
    row(
        "find",
        "find --set-root --label root",
        "Whole disks are searched too; `--label`, `--uuid` and `--set-root` are new.",
    ),
    row("foreground", "foreground ffffff", NO_GRAPHICS),
    row("fstest", "fstest", "There is no trace to toggle."),
    row(
        "geometry",
        "geometry (hd0)",
        "Cylinders, heads and sectors are not shown: a virtual disk has none.",
    ),
    row("gfxmenu", "gfxmenu /boot/message", NO_GRAPHICS),
    row(
        "halt",
        "halt",
        "PV-GRUB crashed the domain; here it powers off.",
    ),
    row("help", "help kernel", NONE),
    row("hiddenmenu", "hiddenmenu", NONE),
    row("hide", "hide (hd0,1)", NO_TABLES),
    row(
        "ifconfig",
        "ifconfig --address=192.0.2.7 --mask=255.255.255.0 --server=192.0.2.1",
        "none, where the loader is built with the network.",
    ),
    row(
        "initrd",
        "initrd /boot/microcode.img /boot/initrd.img",
        "Several files, in one line or several, follow each other; in GRUB the last one won. A file in gzip format is passed as it is.",
    ),
    row(
        "kernel",
        "kernel /boot/vmlinuz root=/dev/xvda1 ro console=hvc0",
        "A command line of more than 1023 bytes is cut with a warning, not silently. `--append=` of the domain's configuration is added behind it.",
    ),
    row("lock", "lock", NONE),
    row("ls", "ls (hd0,0)/boot/", "New."),
    row("makeactive", "makeactive", NO_TABLES),
    row("map", "map (hd0) (hd1)", "No effect, as in PV-GRUB."),
    row(
        "md5crypt",
        "md5crypt",
        "PV-GRUB did not have it. The salt is made of the time at which the password was typed.",
    ),
    row("module", "module /boot/module arguments", NONE),
    row("modulenounzip", "modulenounzip /boot/module.gz", NONE),
    row(
        "pager",
        "pager on",
        "Waits at most a minute, for any key; `q` or ESC leaves the rest out.",
    ),
    row("partnew", "partnew (hd0,1) 0x83 63 1000", NO_TABLES),
    row("parttype", "parttype (hd0,1) 0x83", NO_TABLES),
    row(
        "password",
        "password --md5 $1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1",
        "`--sha256` and `--sha512` are new, and PV-GRUB could not check `--md5`. A wrong password costs three seconds; a prompt that nobody answers for a minute is left.",
    ),
    row(
        "pause",
        "pause Insert the second disk",
        "Ends by itself after a minute.",
    ),
    row("print", "print Hello", NONE),
    row("quiet", "quiet", "Ubuntu's."),
    row("quit", "quit", "Says that there is nothing to return to."),
    row("rarp", "rarp", "As `dhcp`."),
    row("read", "read 0x1000", "Error 27, with the reason."),
    row("reboot", "reboot", NONE),
    row(
        "root",
        "root LABEL=root",
        "`LABEL=`, `UUID=`, `PARTLABEL=` and `PARTUUID=` are new. Each entry starts with the disk its menu is on as root; PV-GRUB's with `(nd)`.",
    ),
    row("rootnoverify", "rootnoverify (hd0,0)", NONE),
    row(
        "savedefault",
        "savedefault fallback",
        "Where nothing can be saved safely the entry goes on after a warning; in GRUB it stopped. See above.",
    ),
    row("serial", "serial --unit=0 --speed=115200", "No effect."),
    row("setkey", "setkey", "No effect."),
    row("shade", "shade 1", NO_GRAPHICS),
    row(
        "splashimage",
        "splashimage /boot/splash.xpm.gz",
        NO_GRAPHICS,
    ),
    row(
        "terminal",
        "terminal --dumb console",
        "One terminal, whatever it is called; PV-GRUB refused `console`. Without arguments it says what the terminal is taken for.",
    ),
    row("terminfo", "terminfo --name=vt100", "No effect."),
    row(
        "testload",
        "testload /boot/vmlinuz",
        "Error 27, with the reason.",
    ),
    row("tftpserver", "tftpserver 192.0.2.1", NONE),
    row("timeout", "timeout 5", NONE),
    row("title", "title Debian GNU/Linux", NONE),
    row("unhide", "unhide (hd0,1)", NO_TABLES),
    row("uppermem", "uppermem 524288", "No effect."),
    row(
        "uuid",
        "uuid 01234567-89ab-cdef-0123-456789abcdef",
        "Ubuntu's.",
    ),
    row("viewport", "viewport 3 2 77 22", NO_GRAPHICS),
];
