//! What commands need from the rest of the loader: disks, files, kernels, and the way out.
//!
//! [`Machine`] is implemented by the composer (under Xen, or on a host for "would it boot?"). Devices and files are
//! handed over as the menu wrote them: `(hd0,1)/path`, `//kernels/x`, `(nd)/path`, `/path` on the present root,
//! `(hd0)1+10`. A [`Failure`]'s first reason need not repeat the command or the file: the evaluator puts
//! `kernel (hd0,0)/vmlinuz: ` before it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Code, Failure};

/// A note to show below the command (empty: nothing), or why it failed.
pub type Reply = Result<String, Failure>;

/// How `root` and `rootnoverify` differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verify {
    /// `root`: the device must exist and hold a file system.
    Mount,
    /// `rootnoverify`: only remembered.
    SetOnly,
}

/// How `module` and `modulenounzip` differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unzip {
    /// A file in gzip format is unpacked.
    IfGzip,
    /// The file's bytes are passed as they are.
    Never,
}

/// The options of `kernel`, as written. Under Xen neither changes what is done; `type` may be checked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KernelOptions {
    /// `--type=T`, without the `--type=`.
    pub image_type: Option<Vec<u8>>,
    /// `--no-mem-option` was given.
    pub no_mem_option: bool,
}

/// What `find` looks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Search<'a> {
    /// A file with this absolute path.
    File(&'a [u8]),
    /// A file system with this label.
    Label(&'a [u8]),
    /// A file system with this UUID.
    Uuid(&'a [u8]),
}

/// What kind of thing a name in a folder is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemKind {
    /// A file, or anything else that is not a folder.
    File,
    /// A folder.
    Folder,
}

/// One name in a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListItem {
    /// The name, without slashes.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: ItemKind,
}

/// What the evaluator acts on. Object-safe; a recording fake implements it in the tests.
///
/// The methods without a default body are what an entry needs. The others belong to commands that a composer may not
/// offer yet; their default is a failure that says so.
pub trait Machine {
    /// Starts afresh: forgets kernel, initrds and modules, and sets the root device to its initial value.
    fn reset(&mut self);

    /// `root DEVICE` and `rootnoverify DEVICE`. The device may also be `LABEL=…`, `UUID=…`, `PARTLABEL=…` or `PARTUUID=…`.
    ///
    /// The note is what `root` shows, such as ` Filesystem type is ext2fs, partition type 0x83`.
    /// # Errors
    /// 11 (not a device name), 21 (no such disk), 22 (no such partition), 17 (no file system), 25 (read error).
    fn set_root(&mut self, device: &[u8], verify: Verify) -> Reply;

    /// `kernel FILE ARGS`: reads the kernel and forgets initrds and modules. `args` excludes the file name.
    /// # Errors
    /// 15 (not found), 13 (not a kernel for this domain), 28 (does not fit), 25 and others.
    fn load_kernel(&mut self, file: &[u8], args: &[u8], options: &KernelOptions) -> Reply;

    /// `initrd FILE`: appends the file to the initrd. Called once for each file, in order.
    /// # Errors
    /// 19 (no kernel yet), 15, 28, 25 and others.
    fn add_initrd(&mut self, file: &[u8]) -> Reply;

    /// `module FILE ARGS`: appends a multiboot module. `args` includes the file name, as the original passes it.
    /// # Errors
    /// 20 (no kernel yet), 15, 28, 25 and others.
    fn add_module(&mut self, file: &[u8], args: &[u8], unzip: Unzip) -> Reply;

    /// Hands over to what was loaded. Returns `Ok` only where that is simulated; the menu then ends with
    /// [`crate::Outcome::Booted`].
    /// # Errors
    /// 8 (nothing loaded), 9 and 28; the menu stays usable.
    fn boot(&mut self) -> Result<(), Failure>;

    /// The bytes of a file, unpacked where it is in gzip format.
    /// # Errors
    /// 15 (not found), 28 (longer than `limit` bytes), 25 and others.
    fn read_file(&mut self, file: &[u8], limit: usize) -> Result<Vec<u8>, Failure>;

    /// The name of the present root device, such as `(hd0,0)`.
    fn root(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Every device that can be named: `(hd0)`, `(hd0,0)`, …
    /// # Errors
    /// Whatever keeps the list from being made.
    fn devices(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        Err(not_offered("a list of devices"))
    }

    /// The names in a folder: `(hd0,0)/boot/` or, on the present root, `/boot/`.
    /// # Errors
    /// 15 (not found), 2 (not a folder), and others.
    fn list(&mut self, folder: &[u8]) -> Result<Vec<ListItem>, Failure> {
        let _ = folder;
        Err(not_offered("listing folders"))
    }

    /// The devices on which the thing searched for is, in disk order; not empty.
    /// # Errors
    /// 15 where it is on none.
    fn find(&mut self, search: Search<'_>) -> Result<Vec<Vec<u8>>, Failure> {
        let _ = search;
        Err(not_offered("searching"))
    }

    /// `geometry DEVICE`: the shape of a disk and its partitions, for reading.
    /// # Errors
    /// 11, 21, 25.
    fn geometry(&mut self, device: &[u8]) -> Reply {
        let _ = device;
        Err(not_offered("the shape of disks"))
    }

    /// `blocklist FILE`: where a file's bytes are, in GRUB's notation.
    /// # Errors
    /// 15 and others.
    fn blocklist(&mut self, file: &[u8]) -> Reply {
        let _ = file;
        Err(not_offered("block lists of files"))
    }

    /// `dhcp`, `bootp`, `rarp`, `ifconfig`, `tftpserver`: the word and its arguments, as written.
    /// # Errors
    /// 21 where there is no interface, and others.
    fn network(&mut self, word: &[u8], args: &[u8]) -> Reply {
        let _ = (word, args);
        Err(not_offered("the network"))
    }

    /// The menu that the DHCP server names, with its device: what `dhcp --with-configfile` loads.
    /// # Errors
    /// 21 where there is no lease, 15 where it names no menu.
    fn network_menu(&mut self) -> Result<Vec<u8>, Failure> {
        Err(not_offered("the network"))
    }

    /// `chainloader FILE`: takes another boot program.
    /// # Errors
    /// 15, 13 and others.
    fn chainload(&mut self, file: &[u8]) -> Reply {
        let _ = file;
        Err(not_offered("starting a boot sector")
            .because("there is no BIOS under Xen; name the kernel with `kernel`"))
    }

    /// The menu in this file is the present one now: the file of [`Machine::save_default`] is beside it. An empty name
    /// stands for a menu that is in no file.
    fn enter_menu(&mut self, name: &[u8]) {
        let _ = name;
    }

    /// Entry number `entry` of the present menu is begun. For a front end that watches.
    fn begins(&mut self, entry: usize) {
        let _ = entry;
    }

    /// The entry that was begun last has failed. For a front end that watches.
    fn failed(&mut self, failure: &Failure) {
        let _ = failure;
    }

    /// `savedefault`: writes `record` into the existing file `default` beside the menu, in place.
    ///
    /// A failure does not stop the entry.
    /// # Errors
    /// 15 (no such file), 29 (write error, or cannot be written safely).
    fn save_default(&mut self, record: &[u8]) -> Reply {
        let _ = record;
        Err(not_offered("writing to disks"))
    }

    /// The number in the file that [`Machine::save_default`] writes, as its bytes; empty where there is none.
    fn saved_default(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

fn not_offered(what: &str) -> Failure {
    Failure::new(Code::UNKNOWN_COMMAND).because(alloc::format!("this loader does not offer {what}"))
}
