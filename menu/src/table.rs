//! The table of commands: the one place that says which there are, where they may stand, and what they do.
//!
//! The parser, the evaluator, `help`, TAB completion and the documentation all read it.

use alloc::format;
use alloc::string::String;

use crate::commands::{self, Handler};

/// Where a command may stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// `title`: begins an entry.
    Title,
    /// Only before the first title; the parser reads it.
    Setting,
    /// Before the first title, where the parser reads it, or in an entry or typed, where it runs.
    SettingOrEntry,
    /// Anywhere; it runs in both places.
    Anywhere,
    /// Only in an entry or typed; ignored before the first title.
    Entry,
}

/// How far a command does what GRUB 0.97 documents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It does.
    Works,
    /// It does, and more: the help says what is new.
    Extended,
    /// It is accepted and changes nothing; the help says why.
    Accepted,
    /// It says why this loader does not do that, and the entry fails.
    Refused,
}

/// One command.
pub struct CommandInfo {
    /// The word.
    pub name: &'static str,
    /// Where it may stand.
    pub place: Place,
    /// How far it does what the original did.
    pub status: Status,
    /// The arguments, without the word.
    pub syntax: &'static str,
    /// What it does, in one paragraph.
    pub help: &'static str,
    pub(crate) run: Handler,
}

impl core::fmt::Debug for CommandInfo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CommandInfo")
            .field("name", &self.name)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// The command with this name; names are compared exactly, as in the original.
#[must_use]
pub fn find(word: &[u8]) -> Option<&'static CommandInfo> {
    // Every line of a menu is looked up, and few names begin alike: whole names are compared seldom.
    let initial = |info: &CommandInfo| info.name.as_bytes().first();
    let from = COMMANDS.partition_point(|info| initial(info) < word.first());
    COMMANDS
        .get(from..)?
        .iter()
        .take_while(|info| initial(info) == word.first())
        .find(|info| info.name.as_bytes() == word)
}

/// Commands of GRUB 0.97 on PCs: there is nothing here that they could act on.
pub const OF_PCS: &[&str] = &[
    "device",
    "displayapm",
    "displaymem",
    "embed",
    "impsprobe",
    "install",
    "ioprobe",
    "setup",
    "testvbe",
    "vbeprobe",
];

/// Words of GRUB 2, and what does the same here.
pub const OF_GRUB_2: &[(&str, &str)] = &[
    ("exit", "halt"),
    ("initrd16", "initrd"),
    ("linux", "kernel"),
    ("linux16", "kernel"),
    ("menuentry", "title"),
    ("multiboot", "kernel"),
    ("normal", "configfile"),
    ("search", "find"),
    ("set", "root"),
];

/// Why there is no command called `word`, and what would work.
#[must_use]
pub fn why_unknown(word: &[u8]) -> String {
    if OF_PCS.iter().any(|known| known.as_bytes() == word) {
        return "a command for PCs; a domain has no BIOS and needs no boot sector".into();
    }
    match OF_GRUB_2.iter().find(|(known, _)| known.as_bytes() == word) {
        Some((_, here)) => format!("a word of GRUB 2; here it is `{here}`, see `help {here}`"),
        None => "no such command; `help` lists them".into(),
    }
}

macro_rules! commands {
    ($($name:literal $place:ident $status:ident $run:path, $syntax:literal, $help:literal;)*) => {
        /// Every command, sorted by name.
        pub static COMMANDS: &[CommandInfo] = &[$(CommandInfo {
            name: $name, place: Place::$place, status: Status::$status, syntax: $syntax, help: $help, run: $run,
        },)*];
    };
}

commands! {
    "background" Anywhere Accepted commands::settings::quiet, "RRGGBB",
        "Sets a colour of the graphics terminal. There is none here; accepted so that old menus load.";
    "blocklist" Entry Works commands::files::blocklist, "FILE",
        "Shows where the bytes of FILE are on its disk, as a block list.";
    "boot" Entry Works commands::boot::boot, "",
        "Starts what was loaded. It is implied at the end of an entry.";
    "bootp" Anywhere Works commands::network::network, "[--with-configfile]",
        "The same as `dhcp`.";
    "border" Anywhere Accepted commands::settings::quiet, "COLOR",
        "Sets a colour of the graphics terminal. There is none here; accepted so that old menus load.";
    "cat" Entry Works commands::files::cat, "FILE",
        "Shows the contents of FILE.";
    "chainloader" Entry Refused commands::boot::chainloader, "[--force] FILE",
        "Starts a boot sector. There is no BIOS under Xen to run one; name the kernel with `kernel` instead.";
    "clear" Entry Works commands::settings::clear, "",
        "Clears the screen.";
    "cmp" Entry Works commands::files::cmp, "FILE1 FILE2",
        "Compares two files and shows the first bytes that differ.";
    "color" SettingOrEntry Works commands::settings::color, "NORMAL [HIGHLIGHT]",
        "Sets the menu's colours. Each is FOREGROUND/BACKGROUND or a VGA attribute number. Colours: black blue green cyan red magenta brown light-gray, and for the foreground dark-gray light-blue light-green light-cyan light-red light-magenta yellow white.";
    "configfile" Entry Works commands::boot::configfile, "FILE",
        "Loads FILE as the menu.";
    "debug" Anywhere Works commands::settings::debug, "",
        "Turns debugging messages on or off.";
    "default" Setting Works commands::settings::nothing, "NUMBER | saved",
        "Chooses the entry that is highlighted at first and booted by the timeout, from 0; `saved` takes the number that `savedefault` wrote.";
    "dhcp" Anywhere Works commands::network::network, "[--with-configfile]",
        "Configures the network interface by DHCP; with --with-configfile also loads the menu that the server names.";
    "fallback" SettingOrEntry Works commands::settings::fallback, "NUMBER...",
        "Lists up to eight entries, from 0, that are tried in this order when an entry fails and no key was pressed.";
    "find" Entry Extended commands::files::find, "[--set-root] FILE | --label LABEL | --uuid UUID",
        "Lists the devices that hold FILE, or that carry a label or UUID. New here: whole disks are searched as well as partitions, --label and --uuid, and --set-root, which makes the first one found the root device. A label with blanks stands in quotes, or has \\ before each.";
    "foreground" Anywhere Accepted commands::settings::quiet, "RRGGBB",
        "Sets a colour of the graphics terminal. There is none here; accepted so that old menus load.";
    "fstest" Entry Accepted commands::settings::quiet, "",
        "Toggles the original's trace of file system reads. Accepted; there is no such trace here.";
    "geometry" Entry Works commands::files::geometry, "DEVICE",
        "Shows the size of a disk and its partitions.";
    "gfxmenu" Anywhere Accepted commands::settings::quiet, "FILE",
        "Names SUSE's graphical menu. There is none here; accepted so that old menus load.";
    "halt" Entry Extended commands::boot::halt, "[--no-apm]",
        "Powers the domain off. The original crashed it.";
    "help" Entry Works commands::settings::help, "[--all] [COMMAND...]",
        "Lists the commands that do something when typed, or with --all every word that a menu may hold, or explains those named; a beginning is enough.";
    "hiddenmenu" Setting Works commands::settings::nothing, "",
        "Counts down without showing the menu; ESC shows it.";
    "hide" Anywhere Refused commands::disk::refuse, "PARTITION",
        "Changes a partition's type. This loader does not write partition tables.";
    "ifconfig" Anywhere Works commands::network::network, "[--address=IP] [--gateway=IP] [--mask=MASK] [--server=IP]",
        "Configures the network interface by hand, or shows its configuration.";
    "initrd" Entry Extended commands::boot::initrd, "FILE...",
        "Loads the initial ramdisk. New here: several files, in one line or in several, are joined in order.";
    "kernel" Entry Works commands::boot::kernel, "[--no-mem-option] [--type=TYPE] FILE [ARGUMENT...]",
        "Loads a kernel. Its command line is what follows FILE. Forgets initrds and modules loaded before.";
    "lock" Entry Works commands::settings::lock, "",
        "Fails with Error 32 unless the menu's password was given; without a password it does nothing.";
    "ls" Entry Extended commands::files::ls, "[DEVICE | FOLDER]",
        "New here. Lists the devices, or the names in a folder such as (hd0,0)/boot/.";
    "makeactive" Entry Refused commands::disk::refuse, "",
        "Marks the root partition active. This loader does not write partition tables, and nothing under Xen reads the mark.";
    "map" Entry Accepted commands::settings::quiet, "TO FROM",
        "Exchanges BIOS drive numbers. Accepted; there is no BIOS under Xen.";
    "md5crypt" Entry Works commands::password::md5crypt, "",
        "Asks for a password and shows it as `password --md5` wants it. The salt is made of the time.";
    "module" Entry Works commands::boot::module, "FILE [ARGUMENT...]",
        "Loads a multiboot module, unpacking it where it is in gzip format. Its command line includes FILE.";
    "modulenounzip" Entry Works commands::boot::module_as_is, "FILE [ARGUMENT...]",
        "The same as `module`, but never unpacks.";
    "pager" Anywhere Works commands::settings::pager, "[on|off]",
        "Stops long output after each screenful, or not. Without this it stops where the command was typed.";
    "partnew" Anywhere Refused commands::disk::refuse, "PARTITION TYPE START LEN",
        "Makes a partition. This loader does not write partition tables.";
    "parttype" Anywhere Refused commands::disk::refuse, "PARTITION TYPE",
        "Changes a partition's type. This loader does not write partition tables.";
    "password" SettingOrEntry Extended commands::password::password, "[--md5|--sha256|--sha512] PASSWORD [FILE]",
        "Before the first title: forbids editing and the command line until the password is given, which then unlocks the menu or loads FILE. In an entry: asks for the password and fails if it is wrong. The hashes are those of crypt(3), as `openssl passwd -1`, `-5` and `-6` make them; PV-GRUB could not check any, and GRUB 0.97 only --md5.";
    "pause" Entry Extended commands::settings::pause, "[MESSAGE...]",
        "Shows MESSAGE and waits for a key; ESC stops the entry. New here: the wait ends by itself after a minute.";
    "print" Anywhere Works commands::settings::print, "[MESSAGE...]",
        "Shows MESSAGE.";
    "quiet" Anywhere Accepted commands::settings::quiet, "",
        "Ubuntu's word for showing less. Accepted so that its menus load.";
    "quit" Entry Accepted commands::settings::quit, "",
        "There is nothing to return to; says so.";
    "rarp" Anywhere Refused commands::network::network, "",
        "Configures the network interface by RARP, which no server speaks any more; use `dhcp` or `ifconfig`.";
    "read" Entry Refused commands::settings::read, "ADDRESS",
        "Shows a word of memory. A PV guest has no physical memory to look at.";
    "reboot" Entry Works commands::boot::reboot, "",
        "Restarts the domain.";
    "root" Entry Extended commands::boot::root, "DEVICE",
        "Sets the root device, which files without a device are on, and mounts it. New here: LABEL=... and UUID=... name the device by its file system, PARTLABEL=... and PARTUUID=... by its partition; a label with blanks stands in quotes.";
    "rootnoverify" Entry Works commands::boot::rootnoverify, "DEVICE",
        "Sets the root device without mounting it.";
    "savedefault" Entry Works commands::settings::savedefault, "[--wait=SECONDS] [NUMBER | fallback | N:M]",
        "Remembers an entry for `default saved`: the present one, NUMBER, or the next fallback. A failure to write does not stop the entry.";
    "serial" Anywhere Accepted commands::settings::quiet, "[OPTION...]",
        "Configures a serial port. There is none; accepted so that old menus load.";
    "setkey" Anywhere Accepted commands::settings::quiet, "[TO_KEY FROM_KEY]",
        "Changes the keyboard map. The console sends characters, not keys; accepted so that old menus load.";
    "shade" Anywhere Accepted commands::settings::quiet, "",
        "Shades the graphics terminal. There is none here; accepted so that old menus load.";
    "splashimage" Anywhere Accepted commands::settings::quiet, "FILE",
        "Loads a picture behind the menu. There is no graphics terminal here; accepted so that old menus load.";
    "terminal" Anywhere Works commands::settings::terminal, "[--dumb] [OPTION...] [serial] [graphics]",
        "Chooses the terminal. There is one, the domain's console, whatever name is given; with --dumb the menu is printed line by line instead of drawn.";
    "terminfo" Anywhere Accepted commands::settings::quiet, "[OPTION...]",
        "Describes the terminal. The menu uses what every vt100 has; accepted so that old menus load.";
    "testload" Entry Refused commands::settings::read, "FILE",
        "Reads a file in several ways, to test the original's file systems. Use `cmp`.";
    "tftpserver" Anywhere Works commands::network::network, "ADDRESS",
        "Overrides the TFTP server's address.";
    "timeout" Setting Works commands::settings::nothing, "SECONDS",
        "Boots the highlighted entry after this time without a key. Without it the menu waits for ever; 0 boots at once.";
    "title" Title Works commands::settings::nothing, "TEXT",
        "Begins an entry, which the menu shows as TEXT.";
    "unhide" Anywhere Refused commands::disk::refuse, "PARTITION",
        "Changes a partition's type. This loader does not write partition tables.";
    "uppermem" Entry Accepted commands::settings::quiet, "KBYTES",
        "Overrides the size of memory. Xen says what there is; accepted so that old menus load.";
    "uuid" Entry Extended commands::boot::uuid, "UUID",
        "Ubuntu's word for `root UUID=...`.";
    "viewport" Anywhere Accepted commands::settings::quiet, "X Y WIDTH HEIGHT",
        "Places text on the graphics terminal. There is none here; accepted so that old menus load.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_unique() {
        assert!(COMMANDS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for info in COMMANDS {
            assert!(core::ptr::eq(find(info.name.as_bytes()).unwrap(), info));
            assert!(info.help.ends_with('.'), "{}", info.name);
        }
        let strange = OF_PCS.iter().chain(OF_GRUB_2.iter().map(|(word, _)| word));
        assert!(strange.copied().all(|word| find(word.as_bytes()).is_none()));
        assert!(
            OF_GRUB_2
                .iter()
                .all(|(_, here)| find(here.as_bytes()).is_some())
        );
        assert!(find(b"").is_none());
        assert!(find(b"Title").is_none());
    }
}
