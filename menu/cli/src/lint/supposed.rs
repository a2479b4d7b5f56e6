//! A machine on which every file is where the menu says: what fails on it fails everywhere.
//!
//! Names of devices and files are read by the loader's own `fs`, its refusals are the loader's. Nothing is loaded;
//! the machine notes what was asked for.

use std::time::Duration;

use bootloader::volumes::bad_name;
use fs::{DeviceName, FileName};
use menu::terminal::{Input, ShutdownRequest};
use menu::{Code, Failure, KernelOptions, Machine, Reply, Search, Terminal, Unzip, Verify};

/// The machine.
#[derive(Debug, Default)]
pub(crate) struct Supposed {
    /// The arguments of the kernel that is loaded.
    pub(crate) kernel: Option<Vec<u8>>,
    /// Files that make the initrd.
    pub(crate) initrds: usize,
    /// Where the root device came from.
    pub(crate) root: Root,
    /// How many files were named without a device while no root device was set.
    pub(crate) on_first_root: usize,
}

/// Where the root device comes from.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Root {
    /// It is the menu's own disk.
    #[default]
    First,
    /// A command set it.
    Set,
}

impl Supposed {
    fn file(&mut self, name: &[u8]) -> Result<(), Failure> {
        let name = FileName::parse(name).map_err(bad_name)?;
        if let Some(device) = &name.device {
            had(device)?;
        }
        if name.device.is_none() && self.root == Root::First {
            self.on_first_root += 1;
        }
        Ok(())
    }
}

/// A device's name, or `LABEL=…`, or `UUID=…`.
fn device(name: &[u8]) -> Result<(), Failure> {
    for prefix in [&b"LABEL="[..], b"UUID="] {
        if let Some(value) = name.strip_prefix(prefix) {
            return match value {
                [] => {
                    Err(Failure::new(Code::NO_PARTITION).because("no file system is called that"))
                }
                _ => Ok(()),
            };
        }
    }
    had(&DeviceName::parse(name).map_err(bad_name)?)
}

/// Whether a domain can have such a drive.
fn had(name: &DeviceName) -> Result<(), Failure> {
    match name {
        DeviceName::Cd { .. } | DeviceName::Floppy { .. } => {
            Err(Failure::new(Code::INVALID_DEVICE)
                .because("a domain has no such drive")
                .because("its disks, CD-ROMs included, are (hd0), (hd1) and so on"))
        }
        _ => Ok(()),
    }
}

/// Nothing to say.
const QUIET: Reply = Ok(String::new());

impl Machine for Supposed {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn set_root(&mut self, name: &[u8], _: Verify) -> Reply {
        // Whatever it is, the menu's own disk is not meant any more.
        self.root = Root::Set;
        device(name).and(QUIET)
    }

    fn load_kernel(&mut self, file: &[u8], args: &[u8], _: &KernelOptions) -> Reply {
        // What follows is about a kernel even where its name is wrong.
        self.kernel = Some(args.to_vec());
        self.initrds = 0;
        self.file(file).and(QUIET)
    }

    fn add_initrd(&mut self, file: &[u8]) -> Reply {
        if self.kernel.is_none() {
            return Err(Code::NEED_KERNEL_FIRST.into());
        }
        self.initrds += 1;
        self.file(file).and(QUIET)
    }

    fn add_module(&mut self, file: &[u8], _: &[u8], _: Unzip) -> Reply {
        if self.kernel.is_none() {
            return Err(Code::NEED_MULTIBOOT.into());
        }
        self.file(file).and(QUIET)
    }

    fn boot(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn read_file(&mut self, file: &[u8], _: usize) -> Result<Vec<u8>, Failure> {
        self.file(file).map(|()| Vec::new())
    }

    fn find(&mut self, search: Search<'_>) -> Result<Vec<Vec<u8>>, Failure> {
        if let Search::File(file) = search {
            FileName::parse(file).map_err(bad_name)?;
        }
        Ok(vec![b"(hd0,0)".to_vec()])
    }

    fn list(&mut self, folder: &[u8]) -> Result<Vec<menu::ListItem>, Failure> {
        DeviceName::split(folder).map_err(bad_name)?;
        Ok(Vec::new())
    }

    fn devices(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        Ok(Vec::new())
    }

    fn geometry(&mut self, name: &[u8]) -> Reply {
        device(name).and(QUIET)
    }

    fn blocklist(&mut self, file: &[u8]) -> Reply {
        self.file(file).and(QUIET)
    }

    fn network(&mut self, _: &[u8], _: &[u8]) -> Reply {
        QUIET
    }

    fn network_menu(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(b"(nd)/menu.lst".to_vec())
    }

    fn save_default(&mut self, _: &[u8]) -> Reply {
        QUIET
    }
}

/// A console that nobody reads and at which nobody types: every wait passes at once.
#[derive(Debug, Default)]
pub(crate) struct Nobody {
    now: Duration,
}

impl Terminal for Nobody {
    fn write(&mut self, _: &[u8]) {}

    fn read(&mut self, deadline: Option<Duration>) -> Option<Input> {
        match deadline {
            Some(deadline) => self.now = self.now.max(deadline),
            // Without an end only the toolstack ends it.
            None => return Some(Input::Shutdown(ShutdownRequest::PowerOff)),
        }
        None
    }

    fn now(&self) -> Duration {
        self.now
    }
}
