//! The guest's disks under the names that menus use: hd0 is the first `device/vbd` in numeric order.
//!
//! [`Disks::discover`] only lists them. A disk is connected when it is first opened; if that fails, the reason
//! is remembered and the others are not disturbed.
//! Numbers of virtual devices: Xen `docs/man/xen-vbd-interface.7.pandoc`.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use fs::{BlockDevice, BlockError};

use crate::blkfront::{Blkfront, Settings};
use crate::frontend::Leftovers;
use crate::xenbus::{self, XenbusError};
use crate::xenstore::Store;

/// Disks by their numbers, however they are reached: [`Disks`] in a guest, images on a host.
pub trait Drives {
    /// The disks, hd0 first.
    fn list(&self) -> &[Vbd];

    /// The disk hd`index`.
    ///
    /// # Errors
    /// [`BlockError::Absent`] when there is no such disk or it cannot be reached.
    fn open(&self, index: usize) -> Result<Rc<dyn BlockDevice>, BlockError>;
}

/// One block device of the guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vbd {
    /// The device's number in xenstore.
    pub id: u64,
    /// N of hdN.
    pub index: usize,
    /// The name the guest's kernel gives it, such as `xvda1`, if the number says.
    pub name: Option<String>,
    /// Number of the partition, from 1, when the device is itself one (`xvda1`).
    pub partition: Option<u32>,
}

impl Vbd {
    /// The device with number `id` in xenstore that menus call hd`index`.
    #[must_use]
    pub fn new(index: usize, id: u64) -> Self {
        let decoded = decode(id);
        Self {
            id,
            index,
            name: decoded.as_ref().map(Decoded::name),
            partition: decoded.and_then(|decoded| (decoded.part > 0).then_some(decoded.part)),
        }
    }

    /// What messages call the disk: `hd0 (xvda)`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("hd{} ({name})", self.index),
            None => format!("hd{} (device {})", self.index, self.id),
        }
    }
}

/// A device number taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Decoded {
    prefix: &'static str,
    /// Number of the disk, from 0.
    disk: u32,
    /// Number of the partition, or 0 for the whole disk.
    part: u32,
}

impl Decoded {
    fn name(&self) -> String {
        let mut name = format!("{}{}", self.prefix, letters(self.disk));
        if self.part > 0 {
            name.push_str(&format!("{}", self.part));
        }
        name
    }
}

/// Letters of disk number `disk`: a to z, then aa, ab and so on.
fn letters(disk: u32) -> String {
    let mut reversed = Vec::new();
    let mut rest = disk;
    loop {
        // A remainder below 26.
        reversed.push(b'a' + (rest % 26) as u8);
        if rest < 26 {
            break;
        }
        rest = rest / 26 - 1;
    }
    reversed
        .iter()
        .rev()
        .map(|byte| char::from(*byte))
        .collect()
}

/// Takes a device number apart, if it is of a kind that says what it is.
fn decode(id: u64) -> Option<Decoded> {
    /// The extended numbers of xvd disks.
    const EXTENDED: u64 = 1 << 28;
    if (EXTENDED..EXTENDED << 1).contains(&id) {
        // Both fit: bits 8 to 27, and 8 bits.
        return Some(Decoded {
            prefix: "xvd",
            disk: ((id - EXTENDED) >> 8) as u32,
            part: (id & 0xFF) as u32,
        });
    }
    let major = u32::try_from(id >> 8).ok()?;
    let minor = (id & 0xFF) as u32;
    let sixteen = |prefix, first| Decoded {
        prefix,
        disk: first + (minor >> 4),
        part: minor & 0xF,
    };
    let ide = |first| Decoded {
        prefix: "hd",
        disk: first + (minor >> 6),
        part: minor & 0x3F,
    };
    match major {
        202 => Some(sixteen("xvd", 0)),
        8 => Some(sixteen("sd", 0)),
        // Linux's further majors of SCSI disks, 16 disks each.
        65..=71 => Some(sixteen("sd", (major - 64) * 16)),
        128..=135 => Some(sixteen("sd", (major - 120) * 16)),
        3 if minor < 128 => Some(ide(0)),
        22 if minor < 128 => Some(ide(2)),
        33 if minor < 128 => Some(ide(4)),
        34 if minor < 128 => Some(ide(6)),
        _ => None,
    }
}

/// A disk's connection.
enum Connection {
    /// Not tried.
    Untried,
    Open(Rc<Blkfront>),
    Failed(BlockError),
}

/// All disks of the guest.
pub struct Disks {
    store: Rc<Store>,
    settings: Settings,
    vbds: Vec<Vbd>,
    connections: RefCell<Vec<Connection>>,
    /// What failed connections left behind.
    leftovers: RefCell<Leftovers>,
}

impl Disks {
    /// Lists the guest's block devices without connecting any.
    ///
    /// # Errors
    /// What xenstore answered; a guest without disks is no error.
    pub fn discover(store: Rc<Store>, settings: Settings) -> Result<Self, XenbusError> {
        let ids = xenbus::list(&store, "vbd")?;
        let vbds: Vec<Vbd> = ids
            .into_iter()
            .enumerate()
            .map(|(index, id)| Vbd::new(index, id))
            .collect();
        let connections = vbds.iter().map(|_| Connection::Untried).collect();
        Ok(Self {
            store,
            settings,
            vbds,
            connections: RefCell::new(connections),
            leftovers: RefCell::new(Leftovers::default()),
        })
    }

    /// The disks, hd0 first.
    #[must_use]
    pub fn list(&self) -> &[Vbd] {
        &self.vbds
    }

    /// The disk hd`index`, connected now if it is not yet.
    ///
    /// # Errors
    /// [`BlockError::Absent`] when there is no such disk or it cannot be connected; the second time at once.
    pub fn open(&self, index: usize) -> Result<Rc<Blkfront>, BlockError> {
        let mut connections = self.connections.borrow_mut();
        let (Some(vbd), Some(connection)) = (self.vbds.get(index), connections.get_mut(index))
        else {
            return Err(BlockError::Absent(format!(
                "hd{index}: this guest has {} disks",
                self.vbds.len()
            )));
        };
        match connection {
            Connection::Open(disk) => return Ok(disk.clone()),
            Connection::Failed(error) => return Err(error.clone()),
            Connection::Untried => {}
        }
        match Blkfront::connect(&self.store, vbd.id, &vbd.label(), &self.settings) {
            Ok(disk) => {
                let disk = Rc::new(disk);
                *connection = Connection::Open(disk.clone());
                Ok(disk)
            }
            Err(failure) => {
                *connection = Connection::Failed(failure.error.clone());
                self.leftovers.borrow_mut().append(failure.leftovers);
                Err(failure.error)
            }
        }
    }

    /// Lets disks that could not be connected be tried again.
    pub fn forget_failures(&self) {
        for connection in self.connections.borrow_mut().iter_mut() {
            if matches!(connection, Connection::Failed(_)) {
                *connection = Connection::Untried;
            }
        }
    }

    /// Closes every disk that was opened and returns what is left behind, by this and by failed connections.
    /// [`Disks::open`] connects a disk anew afterwards; values it returned before stay closed.
    #[must_use]
    pub fn close_all(&self) -> Leftovers {
        let mut all = self.leftovers.take();
        for connection in self.connections.borrow_mut().iter_mut() {
            if let Connection::Open(disk) = connection {
                all.append(disk.close());
                *connection = Connection::Untried;
            }
        }
        all
    }
}

impl Drives for Disks {
    fn list(&self) -> &[Vbd] {
        Disks::list(self)
    }

    fn open(&self, index: usize) -> Result<Rc<dyn BlockDevice>, BlockError> {
        Ok(Disks::open(self, index)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Vbd, letters};
    use alloc::string::{String, ToString};

    fn named(id: u64) -> (Option<String>, Option<u32>) {
        let vbd = Vbd::new(0, id);
        (vbd.name, vbd.partition)
    }

    #[test]
    fn numbers_become_names() {
        let some = |name: &str, part| (Some(name.to_string()), part);
        assert_eq!(named(51712), some("xvda", None));
        assert_eq!(named(51713), some("xvda1", Some(1)));
        assert_eq!(named(51712 + 15 * 16 + 15), some("xvdp15", Some(15)));
        assert_eq!(named((1 << 28) | (26 << 8)), some("xvdaa", None));
        assert_eq!(
            named((1 << 28) | (16 << 8) | 200),
            some("xvdq200", Some(200))
        );
        assert_eq!(named(2049), some("sda1", Some(1)));
        assert_eq!(named(65 << 8), some("sdq", None));
        assert_eq!(named(768), some("hda", None));
        assert_eq!(named(775), some("hda7", Some(7)));
        assert_eq!(named((22 << 8) | 64), some("hdd", None));
        assert_eq!(named(5), (None, None));
        assert_eq!(named(u64::MAX), (None, None));
    }

    #[test]
    fn letters_go_on_after_z() {
        let all = [0, 25, 26, 51, 52, 701, 702].map(letters);
        assert_eq!(all, ["a", "z", "aa", "az", "ba", "zz", "aaa"]);
    }
}
