//! Menu names to bytes: `(hd0,1)/boot/vmlinuz` to an open file.
//!
//! [`Volumes`] connects a disk when it is first named, reads its partition table once, mounts each file system once,
//! and forgets all of it when the disks are closed.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use fs::{
    DeviceName, File, FileName, FileSystem, FsError, NameError, PartitionType, Place, ReadAhead,
    Table, Volume,
};
use menu::{Code, Failure};

use crate::disks::Drives;
use crate::network::Network;

/// The volumes of a guest's disks, and the files that its network has.
pub struct Volumes {
    disks: Rc<dyn Drives>,
    network: Option<Rc<Network>>,
    open: RefCell<BTreeMap<usize, Rc<OpenDisk>>>,
    mounted: RefCell<BTreeMap<DeviceName, Rc<dyn FileSystem>>>,
    /// Warnings of file systems that were shown.
    told: RefCell<Vec<(DeviceName, String)>>,
}

struct OpenDisk {
    cache: Rc<ReadAhead>,
    table: Table,
}

/// GRUB's failure for a file system's error.
#[must_use]
pub fn failure(error: &FsError) -> Failure {
    Failure::new(Code(error.grub_error())).because(error.to_string())
}

/// Opens `path` of a mounted file system.
///
/// # Errors
/// Whatever the path and the disk say.
pub fn opened(files: &dyn FileSystem, path: &[u8]) -> Result<Box<dyn File>, Failure> {
    files.open(path).map_err(|error| failure(&error))
}

/// GRUB's failure for a name that cannot be read, with an example of one that can.
#[must_use]
pub fn bad_name(error: NameError) -> Failure {
    let good = match error {
        NameError::Path => "such as /boot/vmlinuz, (hd0,0)/boot/vmlinuz or (hd0)1+10",
        NameError::Device | NameError::BsdLetter(_) | NameError::Number => {
            "such as (hd0) or, for its first partition, (hd0,0); `ls` lists them"
        }
    };
    Failure::new(Code(error.grub_error()))
        .because(error.to_string())
        .because(good)
}

impl Volumes {
    /// The volumes of `disks`; none is touched yet.
    #[must_use]
    pub fn new(disks: Rc<dyn Drives>) -> Self {
        Self {
            disks,
            network: None,
            open: RefCell::new(BTreeMap::new()),
            mounted: RefCell::new(BTreeMap::new()),
            told: RefCell::new(Vec::new()),
        }
    }

    /// With files on `(nd)` too.
    #[must_use]
    pub fn with_network(mut self, network: Rc<Network>) -> Self {
        self.network = Some(network);
        self
    }

    /// The network, if the guest has an interface.
    #[must_use]
    pub fn network(&self) -> Option<&Rc<Network>> {
        self.network.as_ref().filter(|network| network.count() > 0)
    }

    /// The network, or why there is none.
    ///
    /// # Errors
    /// 21.
    pub fn need_network(&self) -> Result<&Rc<Network>, Failure> {
        self.network().ok_or_else(|| {
            Failure::new(Code::NO_DISK)
                .because("this domain has no network interface (`vif` in its configuration)")
        })
    }

    /// Forgets everything that was read, and lets go of the disks.
    pub fn forget(&self) {
        self.mounted.borrow_mut().clear();
        self.told.borrow_mut().clear();
        self.open.borrow_mut().clear();
    }

    fn disk(&self, index: usize) -> Result<Rc<OpenDisk>, Failure> {
        if let Some(open) = self.open.borrow().get(&index) {
            return Ok(open.clone());
        }
        let count = self.disks.list().len();
        if index >= count {
            let have = match count {
                0 => "this domain has no disks".to_string(),
                1 => "this domain has one disk, (hd0)".to_string(),
                _ => format!("this domain has {count} disks, (hd0) to (hd{})", count - 1),
            };
            return Err(Failure::new(Code::NO_DISK).because(have));
        }
        let device = self
            .disks
            .open(index)
            .map_err(|error| Failure::new(Code::NO_DISK).because(error.to_string()))?;
        let cache = Rc::new(ReadAhead::new(device));
        let table = fs::partitions(&cache).map_err(|error| failure(&error))?;
        let open = Rc::new(OpenDisk { cache, table });
        self.open.borrow_mut().insert(index, open.clone());
        Ok(open)
    }

    /// The bytes that `device` names.
    ///
    /// A disk that the domain configuration gives as a partition (`xvda1`) is `(hdN)`, and `(hdN,0)` as well, so that a
    /// menu written for the whole disk works too.
    ///
    /// # Errors
    /// 11, 21, 22, 25 with what is there instead.
    pub fn volume(&self, device: DeviceName) -> Result<Volume, Failure> {
        if let DeviceName::Net { .. } = device {
            self.need_network()?;
            return Err(Failure::new(Code::INVALID_DEVICE).because(format!(
                "{device} has files by their paths, no sectors and no folders"
            )));
        }
        let DeviceName::Disk { disk, partition } = device else {
            return Err(Failure::new(Code::INVALID_DEVICE).because(format!(
                "{device} is not to be had: a domain's disks, CD-ROMs included, are (hd0), (hd1) and so on"
            )));
        };
        let index = usize::try_from(disk).unwrap_or(usize::MAX);
        let open = self.disk(index)?;
        let Some(number) = partition else {
            return Ok(Volume::whole(open.cache.clone()));
        };
        if let Some(partition) = open.table.get(number) {
            return Ok(Volume::partition(open.cache.clone(), partition));
        }
        let vbd = self.disks.list().get(index);
        let own = vbd.and_then(|vbd| vbd.partition);
        if own == number.checked_add(1) {
            return Ok(Volume::whole(open.cache.clone()));
        }
        let label = vbd.map(crate::disks::Vbd::label).unwrap_or_default();
        Err(Failure::new(Code::NO_PARTITION).because(partitions_of(&label, disk, own, &open.table)))
    }

    /// The file system on `device`, mounted now if it is not yet.
    ///
    /// # Errors
    /// As [`Volumes::volume`], and 17 for what is not a file system that can be read.
    pub fn file_system(&self, device: DeviceName) -> Result<Rc<dyn FileSystem>, Failure> {
        if let Some(mounted) = self.mounted.borrow().get(&device) {
            return Ok(mounted.clone());
        }
        let volume = self.volume(device)?;
        let mounted: Rc<dyn FileSystem> = fs::mount(&volume)
            .map_err(|error| failure(&error).during(&device.to_string()))?
            .into();
        self.mounted.borrow_mut().insert(device, mounted.clone());
        Ok(mounted)
    }

    /// What `root` shows of `device`: ` Filesystem type is ext4, partition type 0x83`.
    ///
    /// # Errors
    /// As [`Volumes::file_system`].
    pub fn describe(&self, device: DeviceName) -> Result<String, Failure> {
        if let DeviceName::Net { interface } = device {
            return self.need_network()?.describe(interface);
        }
        let mounted = self.file_system(device)?;
        let mut text = format!(" Filesystem type is {}", mounted.kind());
        if let DeviceName::Disk {
            disk,
            partition: Some(number),
        } = device
        {
            let open = self.disk(usize::try_from(disk).unwrap_or(usize::MAX))?;
            match open.table.get(number).map(|partition| partition.kind) {
                Some(PartitionType::Mbr(kind)) => {
                    text.push_str(&format!(", partition type {kind:#04x}"));
                }
                Some(PartitionType::Gpt(guid)) => {
                    text.push_str(&format!(", partition type {guid}"));
                }
                None => {}
            }
        } else {
            text.push_str(", using whole disk");
        }
        for warning in mounted.warnings() {
            text.push_str("\n ");
            text.push_str(&warning);
            self.told.borrow_mut().push((device, warning));
        }
        Ok(text)
    }

    /// Adds to `note` what the user should know of the file systems in use and was not told yet: a line each, such as
    /// `   (hd0,0): not unmounted, and ...`.
    pub fn tell(&self, note: &mut String) {
        let mut told = self.told.borrow_mut();
        for (device, mounted) in self.mounted.borrow().iter() {
            for warning in mounted.warnings() {
                let news = (*device, warning);
                if !told.contains(&news) {
                    note.push_str(&format!("\n   {device}: {}", news.1));
                    told.push(news);
                }
            }
        }
    }

    /// Opens the file that `name` means when `root` is the root device.
    ///
    /// # Errors
    /// 1, 11, 15 and whatever the disk says.
    pub fn open(&self, name: &[u8], root: Option<DeviceName>) -> Result<Box<dyn File>, Failure> {
        let name = FileName::parse(name).map_err(bad_name)?;
        let device = self.device(name.device, root)?;
        match name.place {
            Place::Path(path) if let DeviceName::Net { interface } = device => {
                self.need_network()?.open(interface, &path)
            }
            Place::Path(path) => opened(self.file_system(device)?.as_ref(), &path),
            Place::Blocks(ranges) => Ok(fs::block_list(self.volume(device)?, &ranges)),
        }
    }

    /// Where the file that `name` means is, as `blocklist` shows it.
    ///
    /// # Errors
    /// As [`Volumes::open`], and 31 for a file that has no blocks of its own.
    pub fn block_list(&self, name: &[u8], root: Option<DeviceName>) -> Result<String, Failure> {
        let parsed = FileName::parse(name).map_err(bad_name)?;
        let device = self.device(parsed.device, root)?;
        let stretches = self
            .open(name, root)?
            .stretches()
            .map_err(|error| failure(&error))?;
        crate::blocklist::text(device, &stretches)
    }

    fn device(
        &self,
        named: Option<DeviceName>,
        root: Option<DeviceName>,
    ) -> Result<DeviceName, Failure> {
        named.or(root).ok_or_else(|| {
            Failure::new(Code::INVALID_DEVICE)
                .because("no root device is set; give one with `root (hd0,0)` or before the path")
        })
    }

    /// The folder's entries.
    ///
    /// # Errors
    /// 1, 2, 11, 15 and whatever the disk says.
    pub fn list(
        &self,
        name: &[u8],
        root: Option<DeviceName>,
    ) -> Result<Vec<fs::DirEntry>, Failure> {
        let (device, path) = DeviceName::split(name).map_err(bad_name)?;
        let path = if path.is_empty() { b"/" } else { path };
        self.file_system(self.device(device, root)?)?
            .list(path)
            .map_err(|error| failure(&error))
    }

    /// Every name a volume can have: each disk, then its partitions. Disks that cannot be opened are left out.
    #[must_use]
    pub fn names(&self) -> Vec<DeviceName> {
        let mut names = Vec::new();
        for index in 0..self.disks.list().len() {
            let Ok(disk) = u32::try_from(index) else {
                break;
            };
            let Ok(open) = self.disk(index) else {
                continue;
            };
            names.push(DeviceName::Disk {
                disk,
                partition: None,
            });
            names.extend(
                open.table
                    .partitions
                    .iter()
                    .map(|partition| DeviceName::Disk {
                        disk,
                        partition: Some(partition.number),
                    }),
            );
        }
        names
    }
}

/// What a disk has instead of the partition that was asked for.
fn partitions_of(label: &str, disk: u32, own: Option<u32>, table: &Table) -> String {
    if table.partitions.is_empty() {
        return match own {
            Some(own) => format!(
                "{label} is a partition by itself: name it (hd{disk}) or (hd{disk},{})",
                own.saturating_sub(1)
            ),
            None => format!("{label} has no partition table: name it (hd{disk})"),
        };
    }
    let names: Vec<String> = table
        .partitions
        .iter()
        .map(|partition| format!("(hd{disk},{})", partition.number))
        .collect();
    format!("{label} has {}", names.join(" "))
}
