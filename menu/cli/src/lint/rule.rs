//! The rules: one row for each, with its name, its level, and why it is there.
//!
//! A rule's examples are in `rules/NAME`: `found.lst` breaks it and `fine.lst` does not; the tests hold them to that, and
//! `--explain` shows them.

use std::fmt;

use serde::Deserialize;

/// How grave a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It is not looked for.
    Allow,
    /// Harmless here; good to know.
    Note,
    /// Something is not done as it is written, or not as it was meant.
    #[serde(alias = "warn")]
    Warning,
    /// An entry fails, or nothing boots.
    #[serde(alias = "deny")]
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What there is to know about a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Its level, where no settings say otherwise.
    pub level: Level,
    /// What it finds, in a line.
    pub about: &'static str,
    /// Why that matters, and what to do.
    pub why: &'static str,
    /// A menu that breaks it.
    pub found: &'static [u8],
    /// A menu that does not.
    pub fine: &'static [u8],
}

/// Wrong lines, one more than remarks are kept of; as a file it would be the longest of all.
static MANY_WRONG: [u8; 20_002] = {
    let mut text = [b'x'; 20_002];
    let mut at = 1;
    while at < text.len() {
        text[at] = b'\n';
        at += 2;
    }
    text
};

macro_rules! found_in {
    ($name:literal) => {
        include_bytes!(concat!("../../rules/", $name, "/found.lst"))
    };
    ($name:literal $found:expr) => {
        $found
    };
}

macro_rules! rules {
    ($($id:ident $name:literal $level:ident $about:literal $why:literal $(in $found:expr)?;)*) => {
        /// A rule's number: its place in [`RULES`].
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(usize)]
        pub enum RuleId {
            $(#[doc = concat!($about, ".")] $id,)*
        }

        /// Every rule, sorted by name.
        pub static RULES: &[Rule] = &[$(Rule {
            name: $name,
            level: Level::$level,
            about: $about,
            why: $why,
            found: found_in!($name $($found)?),
            fine: include_bytes!(concat!("../../rules/", $name, "/fine.lst")),
        },)*];

        const IDS: &[RuleId] = &[$(RuleId::$id,)*];
    };
}

rules! {
    BadArgument "bad-argument" Warning "a command cannot read its arguments"
        "The loader cannot make sense of what follows the command. Before the first title the line is ignored; in an entry the entry stops there with an error.";
    BadDevice "bad-device" Error "a name that is no device"
        "A device is `(hd0)`, the first disk, `(hd0,0)`, its first partition, `(nd)`, the network, or `LABEL=...` or `UUID=...` where `root` takes it. Partitions count from 0, and GRUB 2's names such as `(hd0,msdos1)` are not known. The entry stops there.";
    BadDirective "bad-directive" Warning "a comment for pvgrub that pvgrub does not understand"
        "`# pvgrub: allow(RULE, ...)` allows rules for the next command, or for the whole entry where a title follows; `# pvgrub: allow-file(RULE, ...)` does for the file.";
    BadFileName "bad-file-name" Error "a name that is no file's"
        "A file is a path that begins with `/`, a device and such a path, or a block list. A name without the slash is not looked for anywhere, and the entry stops there.";
    BadHash "bad-hash" Warning "a password's hash that no password matches"
        "`--md5`, `--sha256` and `--sha512` take what crypt(3) makes: `$1$...`, `$5$...` and `$6$...`. Anything else never matches, so nobody can unlock the menu.";
    BootWithoutKernel "boot-without-kernel" Error "`boot` where nothing was loaded"
        "`boot` starts what `kernel` loaded. Without a kernel the entry stops with Error 8.";
    ByteOrderMark "byte-order-mark" Note "a byte order mark begins the file"
        "The loader skips it; the original PV-GRUB took it for a part of the first word.";
    CarriageReturn "carriage-return" Note "lines end in CR LF or CR"
        "The loader drops carriage returns, as the original did; other programs that edit the file may not.";
    CommandLineTooLong "command-line-too-long" Warning "a kernel's command line of more than 1023 bytes"
        "A PV guest can be handed 1023 bytes. The rest is cut off, and what stands at the end is often what matters.";
    CommentContinued "comment-continued" Warning "a comment swallows the next line"
        "A backslash at the end of a comment joins the next line on, as in GRUB 0.97: it belongs to the comment and is not run.";
    ConsoleElsewhere "console-elsewhere" Warning "`console=` names no console of a PV guest"
        "A PV guest's console is hvc0 (xvc0 in kernels before 2.6.29). With another one alone nobody sees what the kernel and the init system say.";
    ControlCharacter "control-character" Warning "a control character inside a command"
        "The loader shows it as `?` and hands it on as it is. It came by accident, or somebody means to deceive who looks.";
    DefaultFails "default-fails" Error "the default entry does not boot"
        "The entry that is booted when nobody types stops with an error, asks for a password, or loads nothing. The guest does not start by itself unless a fallback does.";
    DriveOfPcs "drive-of-pcs" Error "a floppy or CD drive"
        "`(fd0)` and `(cd)` are read so that old menus load, but a domain has no such drives; a CD-ROM of a domain is a disk such as `(hd1)`.";
    DuplicateSetting "duplicate-setting" Warning "a setting is given more than once"
        "The last one that can be read wins, and the others are without effect.";
    DuplicateTitle "duplicate-title" Warning "two entries have the same title"
        "`--entry=TITLE` takes the first of them, and who looks at the menu cannot tell them apart.";
    EmptyEntry "empty-entry" Warning "a title without commands"
        "No entry is made of it, as in the original: the entries behind it move up by one, which matters to `default` and `fallback`.";
    Extension "extension" Note "the original PV-GRUB did not have this"
        "This loader understands the line; the original PV-GRUB and pygrub do not. It matters where a guest moves to a host that still has them.";
    FallbackRepeats "fallback-repeats" Note "`fallback` names an entry twice, or the default entry"
        "Each entry is tried once, so a number that was tried already is passed over.";
    FallbackUnused "fallback-unused" Note "`fallback` in a menu that never counts down"
        "Fallbacks are for entries that the countdown started; a key clears them. Without `timeout` they are never used.";
    Grub2Command "grub2-command" Error "a word of GRUB 2"
        "The file is, or was made from, a grub.cfg. This loader reads menu.lst, the language of GRUB 0.97.";
    HiddenWithoutTimeout "hidden-without-timeout" Note "`hiddenmenu` in a menu that never counts down"
        "The menu is hidden only while it counts down. Without `timeout` it is shown, and waits.";
    IgnoredCommand "ignored-command" Warning "a command that works only in an entry, before the first title"
        "Before the first title only settings and a few commands work. `root` and `kernel` there are ignored without a word, as in the original.";
    ImplicitRoot "implicit-root" Note "a path without a device, and no `root` before it"
        "The loader looks on the disk that the menu is on. The original PV-GRUB began each entry at `(nd)`, the network, and failed.";
    InitrdBeforeKernel "initrd-before-kernel" Error "`initrd` or `module` before `kernel`"
        "`kernel` forgets what was loaded before it, and an initrd without a kernel is Error 19.";
    KernelReplaced "kernel-replaced" Warning "a second `kernel` in one entry"
        "The second kernel replaces the first and forgets its initrd and modules.";
    LockWithoutPassword "lock-without-password" Warning "`lock` in a menu without a password"
        "`lock` stops an entry unless the menu's password was given. Without a password it does nothing.";
    MissingArgument "missing-argument" Error "a command without its argument"
        "The loader can do nothing without it, and the entry stops there.";
    MissingEntry "missing-entry" Warning "`default` or `fallback` names an entry that does not exist"
        "Entries count from 0, and a title without commands makes none. In place of a `default` that does not exist the first `fallback` that does is taken, else entry 0.";
    NoConsole "no-console" Note "a Linux command line without `console=`"
        "Linux takes hvc0 by itself in most guests, unless a frame buffer is there; `console=hvc0` says so for certain, and for the init system too.";
    NoEffect "no-effect" Note "a command that is accepted and does nothing"
        "It belongs to hardware that a domain does not have. It can be removed.";
    NoEntries "no-entries" Error "a menu without entries"
        "The loader shows its prompt and waits: nothing boots by itself.";
    NoRootArgument "no-root-argument" Warning "a Linux command line with neither `root=` nor an initrd"
        "The kernel would not know what to mount.";
    NoTimeout "no-timeout" Warning "a menu that waits for ever"
        "Without `timeout` the menu waits for a key: a guest that nobody looks at does not start. `timeout 0` boots at once.";
    NonAscii "non-ascii" Note "characters that are not ASCII"
        "The loader shows titles in any script; the original sent bytes as they are, and a terminal may not show them.";
    NotUtf8 "not-utf8" Warning "bytes that are not UTF-8"
        "The loader shows them as Latin-1, and hands them to the kernel as they are. Tools on the host and in the guest may refuse the file.";
    NothingToBoot "nothing-to-boot" Note "an entry that loads nothing"
        "Chosen, it does what its commands say and comes back to the menu. Such entries serve as headings.";
    Nul "nul" Warning "NUL bytes inside the file"
        "The loader drops them. The original ended the menu, or the line, at the first one.";
    OldDiskName "old-disk-name" Note "`root=` names a disk as old kernels called it"
        "Since Linux 2.6.33 or so a PV guest's disks are xvda, xvdb and so on, whatever the configuration calls them; `/dev/hda` and `/dev/sda` were their names before. UUID= or LABEL= hold for all.";
    PasswordInDefault "password-in-default" Warning "the default entry asks for a password"
        "When nobody types, the entry is left after a minute and nothing boots.";
    PlainPassword "plain-password" Warning "a password that everybody can read"
        "Everybody who can read the file knows it. `password --sha512` takes a hash: `openssl passwd -6` makes one.";
    QuotedName "quoted-name" Warning "quotes around a name"
        "The loader takes quotes as they are: the file's name would have to contain them.";
    RefusedCommand "refused-command" Error "a command that this loader refuses"
        "It would write to a disk, or needs a BIOS. The entry stops there.";
    SavedNeverWritten "saved-never-written" Note "`default saved`, and no entry saves"
        "Without `savedefault` nothing changes the saved number but programs in the guest.";
    SavedefaultUnused "savedefault-unused" Warning "`savedefault` without `default saved`"
        "What is saved is never read: the menu always begins with the entry that `default` names.";
    SettingInEntry "setting-in-entry" Error "a setting after the first title"
        "`default`, `timeout` and `hiddenmenu` work only before the first title. In an entry they are Error 27, and the entry stops there.";
    TitleTooLong "title-too-long" Note "a title that does not fit the box"
        "On a terminal of 80 columns it is cut, with `>` at its end.";
    TooManyFallbacks "too-many-fallbacks" Warning "`fallback` with more than eight numbers"
        "The rest is ignored, as in the original.";
    TooManyRemarks "too-many-remarks" Error "more remarks than are kept"
        "So much is wrong with the file that it is hardly a menu. What follows was not looked at by all rules."
        in &MANY_WRONG;
    TrailingBackslash "trailing-backslash" Warning "the file ends in a backslash"
        "No line follows that it could join, and it becomes a part of the last argument.";
    TrailingText "trailing-text" Note "text behind an argument that nobody reads"
        "The command reads one argument; what follows is ignored.";
    UnknownCommand "unknown-command" Error "a word in an entry that is no command"
        "The entry stops there with Error 27. Words are compared as they are written: `Kernel` is not `kernel`.";
    UnknownSetting "unknown-setting" Note "a word before the first title that is no command"
        "It is ignored, as in the original. A misspelt setting is ignored too.";
    UnreachableCommand "unreachable-command" Warning "a command that is never reached"
        "A command before it ends the entry.";
    WeakPassword "weak-password" Note "a password hashed with MD5"
        "MD5 is quick to try passwords with. `openssl passwd -6` makes a hash for `password --sha512`, which the original PV-GRUB does not know (nor could it check `--md5`).";
}

impl RuleId {
    /// The rule.
    #[must_use]
    pub fn rule(self) -> &'static Rule {
        &RULES[self as usize]
    }

    /// The rule of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let index = RULES.binary_search_by(|rule| rule.name.cmp(name)).ok()?;
        IDS.get(index).copied()
    }

    /// Every rule.
    pub fn all() -> impl Iterator<Item = Self> {
        IDS.iter().copied()
    }

    /// The rule of this name.
    ///
    /// # Errors
    /// A sentence that names the nearest rule.
    pub fn find(name: &str) -> Result<Self, String> {
        Self::named(name).ok_or_else(|| {
            let names = RULES.iter().map(|rule| rule.name);
            match super::words::nearest(name, names) {
                Some(near) => format!("there is no rule `{name}`; `{near}` is the nearest"),
                None => format!("there is no rule `{name}`; `pvgrub lint --rules` names them"),
            }
        })
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sorted_and_found_by_name() {
        assert!(RULES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for id in RuleId::all() {
            assert_eq!(RuleId::named(id.rule().name), Some(id));
            assert!(id.rule().why.ends_with('.'), "{id}");
            assert!(id.rule().level > Level::Allow, "{id}");
        }
        assert!(
            RuleId::find("no-timeuot")
                .unwrap_err()
                .contains("no-timeout")
        );
    }
}
