//! Menu names to bytes: `(hd0,1)/boot/vmlinuz` to an open file.
//!
//! [`Volumes`] connects a disk when it is first named, reads its partition table once, mounts each file system once,
//! and forgets all of it when the disks are closed. Logical volumes and arrays are looked for when one is first named, or
//! when all names are wanted: that connects every disk.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use fs::{
    Assembly, Candidate, DeviceName, File, FileName, FileSystem, FsError, NameError, Partition,
    PartitionType, Place, ReadAhead, Table, Volume,
};
use menu::{Code, Failure};

use crate::disks::Drives;
use crate::network::Network;

/// The most volumes that are named because they cannot be read.
const NAMED_MAX: usize = 8;

/// The volumes of a guest's disks, and the files that its network has.
pub struct Volumes {
    disks: Rc<dyn Drives>,
    network: Option<Rc<Network>>,
    /// Disks, logical volumes and arrays, by their whole names.
    open: RefCell<Vec<(DeviceName, Rc<OpenDisk>)>>,
    /// What the disks are parts of, once it was looked for.
    assembly: RefCell<Option<Rc<Assembly>>>,
    mounted: RefCell<Vec<(DeviceName, Rc<dyn FileSystem>)>>,
    /// Warnings of file systems that were shown.
    told: RefCell<Vec<(DeviceName, String)>>,
}

struct OpenDisk {
    cache: Rc<ReadAhead>,
    table: Table,
}

impl OpenDisk {
    fn new(cache: Rc<ReadAhead>) -> Result<Rc<Self>, Failure> {
        let table = fs::partitions(&cache).map_err(|error| failure(&error))?;
        Ok(Rc::new(Self { cache, table }))
    }

    fn partition(&self, number: u32) -> Option<Volume> {
        let partition = self.table.get(number)?;
        Some(Volume::partition(self.cache.clone(), partition))
    }
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
            open: RefCell::new(Vec::new()),
            assembly: RefCell::new(None),
            mounted: RefCell::new(Vec::new()),
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
        self.assembly.borrow_mut().take();
        self.open.borrow_mut().clear();
    }

    /// The disk, volume or array that `device` is, or is a partition of; opened now if it is not yet.
    fn whole(&self, device: &DeviceName) -> Result<Rc<OpenDisk>, Failure> {
        let whole = device.with_partition(None);
        if let Some((_, open)) = self.open.borrow().iter().find(|(name, _)| *name == whole) {
            return Ok(open.clone());
        }
        let device = match whole {
            DeviceName::Disk { disk, .. } => self.disk(usize::try_from(disk).unwrap_or(usize::MAX)),
            _ => self.logical(&whole),
        }?;
        let open = OpenDisk::new(device)?;
        self.open.borrow_mut().push((whole, open.clone()));
        Ok(open)
    }

    fn disk(&self, index: usize) -> Result<Rc<ReadAhead>, Failure> {
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
        Ok(Rc::new(ReadAhead::new(device)))
    }

    /// The bytes that `device` names.
    ///
    /// A disk that the domain configuration gives as a partition (`xvda1`) is `(hdN)`, and `(hdN,0)` as well, so that a
    /// menu written for the whole disk works too.
    ///
    /// # Errors
    /// 11, 21, 22, 25 with what is there instead.
    pub fn volume(&self, device: &DeviceName) -> Result<Volume, Failure> {
        match device {
            DeviceName::Disk { disk, partition } => self.on_disk(device, *disk, *partition),
            DeviceName::Lvm { .. } | DeviceName::Md { .. } => {
                let open = self.whole(device)?;
                let Some(number) = device.partition() else {
                    return Ok(Volume::whole(open.cache.clone()));
                };
                open.partition(number).ok_or_else(|| {
                    let whole = device.with_partition(None);
                    let have = partitions_of(&whole.to_string(), &whole, None, &open.table);
                    Failure::new(Code::NO_PARTITION).because(have)
                })
            }
            DeviceName::Net { .. } => {
                self.need_network()?;
                Err(Failure::new(Code::INVALID_DEVICE).because(format!(
                    "{device} has files by their paths, no sectors and no folders"
                )))
            }
            DeviceName::Cd { .. } | DeviceName::Floppy { .. } => {
                Err(Failure::new(Code::INVALID_DEVICE).because(format!(
                    "{device} is not to be had: a domain's disks, CD-ROMs included, are (hd0), (hd1) and so on"
                )))
            }
        }
    }

    fn on_disk(
        &self,
        device: &DeviceName,
        disk: u32,
        partition: Option<u32>,
    ) -> Result<Volume, Failure> {
        let open = self.whole(device)?;
        let Some(number) = partition else {
            return Ok(Volume::whole(open.cache.clone()));
        };
        if let Some(volume) = open.partition(number) {
            return Ok(volume);
        }
        let index = usize::try_from(disk).unwrap_or(usize::MAX);
        let vbd = self.disks.list().get(index);
        let own = vbd.and_then(|vbd| vbd.partition);
        if own == number.checked_add(1) {
            return Ok(Volume::whole(open.cache.clone()));
        }
        let label = vbd.map(crate::disks::Vbd::label).unwrap_or_default();
        let whole = device.with_partition(None);
        let have = partitions_of(&label, &whole, own, &open.table);
        Err(Failure::new(Code::NO_PARTITION).because(have))
    }

    /// What the disks are parts of, looked for now if it was not yet. Disks that cannot be opened are left out.
    #[must_use]
    pub fn assembly(&self) -> Rc<Assembly> {
        if let Some(made) = self.assembly.borrow().as_ref() {
            return made.clone();
        }
        let mut candidates = Vec::new();
        for (whole, open) in self.open_disks() {
            candidates.extend(Candidate::all(&whole, &open.cache, &open.table));
        }
        let made = Rc::new(fs::assemble(candidates));
        *self.assembly.borrow_mut() = Some(made.clone());
        made
    }

    /// The volume or array called `whole`.
    fn logical(&self, whole: &DeviceName) -> Result<Rc<ReadAhead>, Failure> {
        let assembly = self.assembly();
        let absent = |why: &str| {
            let mut failure = Failure::new(Code::NO_DISK).because(why);
            for warning in &assembly.warnings {
                failure = failure.because(warning);
            }
            failure
        };
        let Some(found) = assembly.get(whole) else {
            return Err(match assembly.names() {
                names if names.is_empty() => {
                    absent("the domain's disks hold no logical volume and no array")
                }
                names => absent(&format!("the domain's disks hold {names}")),
            });
        };
        match &found.volume {
            Ok(volume) => Ok(volume.disk().clone()),
            Err(why) => Err(absent(why)),
        }
    }

    /// Whether `device` is a part of an array or volume group, or on a disk that is.
    #[must_use]
    pub fn is_part(&self, device: &DeviceName) -> bool {
        let assembly = self.assembly();
        assembly.parts.contains(device) || assembly.parts.contains(&device.with_partition(None))
    }

    /// What `device`, or the disk that it is a partition of, is a part of: `(hd0) is a member of the RAID array (md/0)`. No
    /// other disk is looked at: it may not answer.
    ///
    /// # Errors
    /// As [`Volumes::volume`].
    pub fn part_of(&self, device: &DeviceName) -> Result<Option<String>, Failure> {
        let whole = device.with_partition(None);
        let open = self.whole(device)?;
        for candidate in Candidate::all(&whole, &open.cache, &open.table) {
            if candidate.name != *device && candidate.name != whole {
                continue;
            }
            if let Some(of) = candidate.part_of().map_err(|error| failure(&error))? {
                return Ok(Some(format!("{} is {of}", candidate.name)));
            }
        }
        Ok(None)
    }

    /// The file system on `device`, mounted now if it is not yet.
    ///
    /// # Errors
    /// As [`Volumes::volume`], and 17 for what is not a file system that can be read.
    pub fn file_system(&self, device: &DeviceName) -> Result<Rc<dyn FileSystem>, Failure> {
        if let Some((_, mounted)) = self
            .mounted
            .borrow()
            .iter()
            .find(|(name, _)| name == device)
        {
            return Ok(mounted.clone());
        }
        let volume = self.volume(device)?;
        let mounted: Rc<dyn FileSystem> = fs::mount(&volume)
            .map_err(|error| failure(&error).during(&device.to_string()))?
            .into();
        self.mounted
            .borrow_mut()
            .push((device.clone(), mounted.clone()));
        Ok(mounted)
    }

    /// What `root` shows of `device`: ` Filesystem type is ext4, partition type 0x83`.
    ///
    /// # Errors
    /// As [`Volumes::file_system`].
    pub fn describe(&self, device: &DeviceName) -> Result<String, Failure> {
        if let DeviceName::Net { interface } = *device {
            return self.need_network()?.describe(interface);
        }
        let mounted = self.file_system(device)?;
        let mut text = format!(" Filesystem type is {}", mounted.kind());
        if let Some(logical) = self.logical_about(device) {
            text.push_str(&format!(", {logical}"));
        }
        match device.partition() {
            Some(number) => match self.partition_type(device, number) {
                Some(PartitionType::Mbr(kind)) => {
                    text.push_str(&format!(", partition type {kind:#04x}"));
                }
                Some(PartitionType::Gpt(guid)) => {
                    text.push_str(&format!(", partition type {guid}"));
                }
                None => {}
            },
            None if matches!(device, DeviceName::Disk { .. }) => {
                text.push_str(", using whole disk");
            }
            None => {}
        }
        if let Some(part) = self.part_of(device)? {
            text.push_str(&format!("\n {part}, and read by itself"));
        }
        for warning in mounted.warnings() {
            text.push_str("\n ");
            text.push_str(&warning);
            self.told.borrow_mut().push((device.clone(), warning));
        }
        Ok(text)
    }

    /// Adds to `note` what the user should know of the file systems in use and was not told yet: a line each, such as
    /// `   (hd0,0): not unmounted, and ...`.
    pub fn tell(&self, note: &mut String) {
        let mut told = self.told.borrow_mut();
        for (device, mounted) in self.mounted.borrow().iter() {
            for warning in mounted.warnings() {
                let news = (device.clone(), warning);
                if !told.contains(&news) {
                    note.push_str(&format!("\n   {device}: {}", news.1));
                    told.push(news);
                }
            }
        }
    }

    fn logical_about(&self, device: &DeviceName) -> Option<String> {
        match device {
            DeviceName::Lvm { .. } | DeviceName::Md { .. } => {
                let whole = device.with_partition(None);
                self.assembly().get(&whole).map(|found| found.about.clone())
            }
            _ => None,
        }
    }

    fn partition_type(&self, device: &DeviceName, number: u32) -> Option<PartitionType> {
        let open = self.whole(device).ok()?;
        open.table.get(number).map(|partition| partition.kind)
    }

    /// Opens the file that `name` means when `root` is the root device.
    ///
    /// # Errors
    /// 1, 11, 15 and whatever the disk says.
    pub fn open(&self, name: &[u8], root: Option<&DeviceName>) -> Result<Box<dyn File>, Failure> {
        let name = FileName::parse(name).map_err(bad_name)?;
        let device = device_of(name.device.as_ref(), root)?;
        match name.place {
            Place::Path(path) if let DeviceName::Net { interface } = *device => {
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
    pub fn block_list(&self, name: &[u8], root: Option<&DeviceName>) -> Result<String, Failure> {
        let parsed = FileName::parse(name).map_err(bad_name)?;
        let device = device_of(parsed.device.as_ref(), root)?;
        let stretches = self
            .open(name, root)?
            .stretches()
            .map_err(|error| failure(&error))?;
        crate::blocklist::text(device, &stretches)
    }

    /// The folder's entries.
    ///
    /// # Errors
    /// 1, 2, 11, 15 and whatever the disk says.
    pub fn list(
        &self,
        name: &[u8],
        root: Option<&DeviceName>,
    ) -> Result<Vec<fs::DirEntry>, Failure> {
        let (device, path) = DeviceName::split(name).map_err(bad_name)?;
        let path = if path.is_empty() { b"/" } else { path };
        self.file_system(device_of(device.as_ref(), root)?)?
            .list(path)
            .map_err(|error| failure(&error))
    }

    /// The disks that can be opened, under their names.
    fn open_disks(&self) -> Vec<(DeviceName, Rc<OpenDisk>)> {
        let count = u32::try_from(self.disks.list().len()).unwrap_or(u32::MAX);
        (0..count)
            .filter_map(|disk| {
                let whole = DeviceName::Disk {
                    disk,
                    partition: None,
                };
                Some((whole.clone(), self.whole(&whole).ok()?))
            })
            .collect()
    }

    /// The disks, logical volumes and arrays that can be opened.
    fn all_open(&self) -> Vec<(DeviceName, Rc<OpenDisk>)> {
        let assembly = self.assembly();
        let logicals = assembly.logicals.iter().filter_map(|found| {
            let open = self.whole(&found.name).ok()?;
            Some((found.name.clone(), open))
        });
        self.open_disks().into_iter().chain(logicals).collect()
    }

    /// Every name a volume can have: each disk, then its partitions; arrays, logical volumes. What cannot be opened is
    /// left out.
    #[must_use]
    pub fn names(&self) -> Vec<DeviceName> {
        let mut names = Vec::new();
        for (whole, open) in self.all_open() {
            let partitions = open
                .table
                .partitions
                .iter()
                .map(|partition| whole.with_partition(Some(partition.number)));
            names.extend(core::iter::once(whole.clone()).chain(partitions));
        }
        names
    }

    /// The volumes and arrays that are there and cannot be read, each with the reason; the first of them, if they are many.
    #[must_use]
    pub fn unreadable(&self) -> Vec<String> {
        let assembly = self.assembly();
        let why = |found: &fs::Logical| {
            let why = found.volume.as_ref().err()?;
            Some(format!("{}: {why}", found.name))
        };
        assembly
            .logicals
            .iter()
            .filter_map(why)
            .take(NAMED_MAX)
            .collect()
    }

    /// The partitions that `wanted` likes.
    pub fn partitions(&self, wanted: &dyn Fn(&Partition) -> bool) -> Vec<DeviceName> {
        let mut names = Vec::new();
        for (whole, open) in self.all_open() {
            // They are the array's, and listed with it.
            if self.is_part(&whole) {
                continue;
            }
            let found = open.table.partitions.iter().filter(|one| wanted(one));
            names.extend(found.map(|partition| whole.with_partition(Some(partition.number))));
        }
        names
    }
}

fn device_of<'a>(
    named: Option<&'a DeviceName>,
    root: Option<&'a DeviceName>,
) -> Result<&'a DeviceName, Failure> {
    named.or(root).ok_or_else(|| {
        Failure::new(Code::INVALID_DEVICE)
            .because("no root device is set; give one with `root (hd0,0)` or before the path")
    })
}

/// What a disk has instead of the partition that was asked for.
fn partitions_of(label: &str, whole: &DeviceName, own: Option<u32>, table: &Table) -> String {
    let named = |number| whole.with_partition(Some(number)).to_string();
    if table.partitions.is_empty() {
        return match own {
            Some(own) => format!(
                "{label} is a partition by itself: name it {whole} or {}",
                named(own.saturating_sub(1))
            ),
            None => format!("{label} has no partition table: name it {whole}"),
        };
    }
    let names: Vec<String> = table
        .partitions
        .iter()
        .map(|partition| named(partition.number))
        .collect();
    format!("{label} has {}", names.join(" "))
}
