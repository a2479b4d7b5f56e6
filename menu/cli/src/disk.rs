//! A guest's disks on the host: images and block devices, opened for reading, with the numbers they would have in the
//! guest.
//!
//! [`DiskArgument`] is one word of the command line, [`HostDisk`] the bytes behind it, [`Bench`] all of them as the
//! loader sees them. Nothing is ever written: what the loader would write (`savedefault`) is kept in memory, so that
//! what it reads afterwards is what it would read. No lock is taken.
//! Numbers of virtual devices: Xen `docs/man/xen-vbd-interface.7.pandoc`.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::rc::Rc;

use bootloader::disks::{Drives, Vbd};
use fs::{BlockDevice, BlockError, Geometry};

use crate::backing::{Folders, Layer};
use crate::qcow2;

/// Most bytes that the loader may seem to have written to one disk: a saved entry is one sector.
const WRITTEN_MAX: usize = 1 << 20;

/// The first number of xvd disks, 16 for each disk.
const XVD: u64 = 202 << 8;
/// The extended numbers of xvd disks, 256 for each disk.
const XVD_EXTENDED: u64 = 1 << 28;

/// What kind of image a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// The disk's bytes as they are.
    Raw,
    /// QEMU's format.
    Qcow2,
}

/// A disk as the command line names it: `PATH` or `NAME=PATH`, with `raw:` or `qcow2:` before the path where the kind is
/// not to be told from the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskArgument {
    /// The device's number in the guest; `None` for the next free letter of xvd.
    pub id: Option<u64>,
    /// What the file is; `None` for what it looks like.
    pub format: Option<Format>,
    /// The image or block device.
    pub path: PathBuf,
}

impl DiskArgument {
    /// Reads a word of the command line; a path need not be text.
    ///
    /// # Errors
    /// When no path is left, in words for people.
    pub fn read(word: &OsStr) -> Result<Self, String> {
        let word = word.as_bytes();
        let named = word.iter().position(|byte| *byte == b'=').and_then(|at| {
            let (name, path) = word.split_at(at);
            Some((number_of(std::str::from_utf8(name).ok()?)?, path.get(1..)?))
        });
        let (id, path) = match named {
            Some((id, path)) => (Some(id), path),
            None => (None, word),
        };
        let (format, path) = if let Some(path) = path.strip_prefix(b"raw:") {
            (Some(Format::Raw), path)
        } else if let Some(path) = path.strip_prefix(b"qcow2:") {
            (Some(Format::Qcow2), path)
        } else {
            (None, path)
        };
        if path.is_empty() {
            return Err("the image's path is missing".into());
        }
        Ok(Self {
            id,
            format,
            path: OsStr::from_bytes(path).into(),
        })
    }
}

/// The number of the device that a guest calls `name` (`xvda`, `xvdb1`, `sda`, `hda`), or a number as it is.
#[must_use]
pub fn number_of(name: &str) -> Option<u64> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let digits = name.find(|c: char| c.is_ascii_digit());
    let (stem, part) = name.split_at(digits.unwrap_or(name.len()));
    let part: u64 = if part.is_empty() {
        0
    } else {
        part.parse().ok().filter(|part| *part > 0)?
    };
    let prefix = ["xvd", "sd", "hd"]
        .into_iter()
        .find(|prefix| stem.starts_with(prefix))?;
    let letters = stem.get(prefix.len()..)?;
    if letters.is_empty() || letters.len() > 3 || !letters.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let disk = letters
        .bytes()
        .fold(0, |all, letter| all * 26 + u64::from(letter - b'a') + 1)
        - 1;
    match prefix {
        "xvd" if disk < 1 << 20 && part < 256 => Some(xvd(disk, part)),
        "sd" if disk < 16 && part < 16 => Some((8 << 8) + disk * 16 + part),
        "hd" if disk < 2 && part < 64 => Some((3 << 8) + disk * 64 + part),
        "hd" if disk < 4 && part < 64 => Some((22 << 8) + (disk - 2) * 64 + part),
        _ => None,
    }
}

/// The number of partition `part` (from 1; 0 for the whole) of the xvd disk number `disk`, from 0.
fn xvd(disk: u64, part: u64) -> u64 {
    if disk < 16 && part < 16 {
        XVD + disk * 16 + part
    } else {
        XVD_EXTENDED | disk << 8 | part
    }
}

/// Where a disk's bytes come from. Reads only: there is no way to write through it.
pub trait Bytes {
    /// Size in bytes.
    fn len_bytes(&self) -> u64;

    /// Fills `out` with the bytes at `offset`, all of which are inside.
    ///
    /// # Errors
    /// The system's, or what is wrong with the image.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

/// A raw image or a block device.
#[derive(Debug)]
pub struct Raw {
    file: File,
    len: u64,
}

impl Raw {
    /// Takes an open file.
    ///
    /// # Errors
    /// When its size cannot be found out.
    pub fn new(mut file: File) -> io::Result<Self> {
        // A block device says its size by its end alone.
        let len = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, len })
    }
}

impl Bytes for Raw {
    fn len_bytes(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }
}

/// A disk whose bytes are never changed.
pub struct HostDisk {
    bytes: Box<dyn Bytes>,
    sector_bytes: u32,
    /// What the loader would have written; later ones lie over earlier ones.
    written: RefCell<Vec<(u64, Vec<u8>)>>,
}

impl HostDisk {
    /// A disk of `bytes` with sectors of `sector_bytes`, 512 to 4096.
    #[must_use]
    pub fn new(bytes: Box<dyn Bytes>, sector_bytes: u32) -> Self {
        Self {
            bytes,
            sector_bytes,
            written: RefCell::new(Vec::new()),
        }
    }

    /// Forgets what the loader would have written.
    pub fn forget_writes(&self) {
        self.written.borrow_mut().clear();
    }

    fn check(&self, offset: u64, len: usize) -> Result<(), BlockError> {
        let (len, disk) = (len as u64, self.bytes.len_bytes());
        match offset.checked_add(len) {
            Some(end) if end <= disk => Ok(()),
            _ => Err(BlockError::OutOfRange { offset, len, disk }),
        }
    }
}

impl std::fmt::Debug for HostDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostDisk")
            .field("geometry", &self.geometry())
            .finish_non_exhaustive()
    }
}

impl BlockDevice for HostDisk {
    fn geometry(&self) -> Geometry {
        Geometry {
            sector_bytes: self.sector_bytes,
            len_bytes: self.bytes.len_bytes(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        self.check(offset, out.len())?;
        self.bytes
            .read_at(offset, out)
            .map_err(|error| BlockError::Io(error.to_string()))?;
        let end = offset + out.len() as u64;
        for (at, bytes) in self.written.borrow().iter() {
            let (from, until) = (offset.max(*at), end.min(at + bytes.len() as u64));
            if from < until {
                out[(from - offset) as usize..(until - offset) as usize]
                    .copy_from_slice(&bytes[(from - at) as usize..(until - at) as usize]);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), BlockError> {
        self.check(offset, bytes.len())?;
        let mut written = self.written.borrow_mut();
        let so_far: usize = written.iter().map(|(_, bytes)| bytes.len()).sum();
        if so_far.saturating_add(bytes.len()) > WRITTEN_MAX {
            return Err(BlockError::ReadOnly(
                "more writes than any menu needs".into(),
            ));
        }
        written.push((offset, bytes.to_vec()));
        Ok(())
    }
}

/// A file that was opened and not read yet.
#[derive(Debug)]
pub struct Opened {
    id: u64,
    path: PathBuf,
    sector_bytes: u32,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Image(Raw),
    Device(Raw),
    Qcow2(Vec<Layer>),
}

/// A disk that can be read, and what is known of it beside its bytes.
#[derive(Debug)]
pub struct Attached {
    /// Its number in the guest.
    pub id: u64,
    /// Where it is on the host.
    pub path: PathBuf,
    /// What kind of image it is: `raw`, `block device`, `qcow2`.
    pub format: &'static str,
    /// Its bytes, shared with whoever reads them.
    pub disk: Rc<HostDisk>,
}

impl Attached {
    /// The only disk of a guest, as xvda.
    #[must_use]
    pub fn alone(bytes: Box<dyn Bytes>) -> Self {
        Self {
            id: XVD,
            path: PathBuf::new(),
            format: "raw",
            disk: Rc::new(HostDisk::new(bytes, 512)),
        }
    }
}

/// Looks at the images' own structures, where they have some, and makes disks of them: what [`open_all`] left to do, for
/// it reads what a guest may have written.
///
/// # Errors
/// What is wrong with an image, in words for people.
pub fn attach(opened: Vec<Opened>) -> Result<Vec<Attached>, String> {
    let attached = opened.into_iter().map(|file| {
        let (format, bytes): (_, Box<dyn Bytes>) = match file.source {
            Source::Image(raw) => ("raw", Box::new(raw)),
            Source::Device(raw) => ("block device", Box::new(raw)),
            Source::Qcow2(layers) => {
                let image = qcow2::Image::new(layers);
                let image = image
                    .map_err(|error| format!("{}: {error}", crate::input::shown(&file.path)))?;
                ("qcow2", Box::new(image))
            }
        };
        Ok(Attached {
            id: file.id,
            path: file.path,
            format,
            disk: Rc::new(HostDisk::new(bytes, file.sector_bytes)),
        })
    });
    attached.collect()
}

/// Opens what the command line names, all of it for reading. `sector_bytes` is that of image files; block devices say
/// their own. Backing files of images are opened where they lie below one of `folders`.
///
/// # Errors
/// What cannot be opened and why, or two disks of one name, in words for people.
pub fn open_all(
    arguments: &[DiskArgument],
    sector_bytes: u32,
    folders: &[PathBuf],
) -> Result<Vec<Opened>, String> {
    let mut taken: Vec<u64> = arguments.iter().filter_map(|disk| disk.id).collect();
    let mut opened: Vec<Opened> = Vec::new();
    let folders = Folders::open(folders)?;
    for argument in arguments {
        let id = argument.id.unwrap_or_else(|| {
            let free = (0..)
                .map(|disk| xvd(disk, 0))
                .find(|id| !taken.contains(id))
                .unwrap_or(XVD);
            taken.push(free);
            free
        });
        let shown = crate::input::shown(&argument.path);
        if let Some(other) = opened.iter().find(|other| other.id == id) {
            return Err(format!(
                "{shown} and {} have the same name in the guest",
                crate::input::shown(&other.path)
            ));
        }
        opened.push(
            open(argument, id, sector_bytes, &folders)
                .map_err(|error| format!("{shown}: {error}"))?,
        );
    }
    opened.sort_by_key(|disk| disk.id);
    Ok(opened)
}

fn open(
    argument: &DiskArgument,
    id: u64,
    sector_bytes: u32,
    folders: &Folders,
) -> Result<Opened, String> {
    let text = |error: io::Error| error.to_string();
    // Not to wait for a pipe's other end.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(&argument.path)
        .map_err(text)?;
    let about = file.metadata().map_err(text)?;
    let kind = about.file_type();
    let is_device = kind.is_block_device();
    if !is_device && !kind.is_file() {
        return Err("neither an image nor a block device".into());
    }
    let format = match argument.format {
        Some(format) => format,
        // A guest writes its own device: what that begins with says nothing of how the host uses it.
        None if is_device => Format::Raw,
        None => looks_like(&file),
    };
    let source = match format {
        Format::Qcow2 => Source::Qcow2(folders.layers(&argument.path, file)?),
        Format::Raw if is_device => Source::Device(Raw::new(file).map_err(text)?),
        Format::Raw => Source::Image(Raw::new(file).map_err(text)?),
    };
    Ok(Opened {
        id,
        path: argument.path.clone(),
        sector_bytes: match format {
            Format::Raw if is_device => sector_of(about.rdev()).unwrap_or(512),
            _ => sector_bytes,
        },
        source,
    })
}

/// What an image file looks like.
fn looks_like(file: &File) -> Format {
    let mut magic = [0; 4];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) if magic == *qcow2::MAGIC => Format::Qcow2,
        _ => Format::Raw,
    }
}

/// The sector size of the block device with this number.
fn sector_of(device: u64) -> Option<u32> {
    // Linux's makedev: 12 bits of the major number, 20 of the minor, each in two pieces.
    let major = (device >> 8 & 0xfff) | (device >> 32 & !0xfff);
    let minor = (device & 0xff) | (device >> 12 & !0xff);
    // A partition has no queue of its own; its disk's is one folder up.
    ["queue", "../queue"].iter().find_map(|queue| {
        let file = format!("/sys/dev/block/{major}:{minor}/{queue}/logical_block_size");
        let size = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
        (512..=4096).contains(&size).then_some(size)
    })
}

/// The disks as the loader has them: hd0 first, in the order of their numbers.
#[derive(Debug)]
pub struct Bench {
    vbds: Vec<Vbd>,
    disks: Vec<Rc<HostDisk>>,
}

impl Bench {
    /// The bench of `attached`, which is sorted by number.
    #[must_use]
    pub fn new(attached: &[Attached]) -> Self {
        Self {
            vbds: attached
                .iter()
                .enumerate()
                .map(|(index, disk)| Vbd::new(index, disk.id))
                .collect(),
            disks: attached.iter().map(|disk| disk.disk.clone()).collect(),
        }
    }

    /// Forgets what the loader would have written to any of them.
    pub fn forget_writes(&self) {
        for disk in &self.disks {
            disk.forget_writes();
        }
    }
}

impl Drives for Bench {
    fn list(&self) -> &[Vbd] {
        &self.vbds
    }

    fn open(&self, index: usize) -> Result<Rc<dyn BlockDevice>, BlockError> {
        match self.disks.get(index) {
            Some(disk) => Ok(disk.clone()),
            None => Err(BlockError::Absent(format!("there is no hd{index}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_numbers_that_the_loader_reads() {
        for name in [
            "xvda", "xvda1", "xvdp15", "xvdaa", "xvdq200", "sda1", "sdp", "hda", "hdb7", "hdd",
        ] {
            let id = number_of(name).expect(name);
            assert_eq!(Vbd::new(0, id).name.as_deref(), Some(name));
        }
        for name in [
            "",
            "xvd",
            "xvda0",
            "vda",
            "hde",
            "/dev/xvda",
            "xvdA",
            "nosuch",
            "sda16",
        ] {
            assert_eq!(number_of(name), None, "{name}");
        }
        assert_eq!(number_of("51712"), Some(51712));
    }

    #[test]
    fn an_equals_sign_in_a_path_is_no_name() {
        let read = |text: &str| DiskArgument::read(text.as_ref()).expect("a disk");
        assert_eq!(read("xvdb=/srv/x").id, number_of("xvdb"));
        assert_eq!(read("/srv/a=b.img").path, PathBuf::from("/srv/a=b.img"));
        assert_eq!(read("/srv/a=b.img").id, None);
        assert_eq!(read("xvda=qcow2:/srv/x").format, Some(Format::Qcow2));
        assert_eq!(read("raw:x").path, PathBuf::from("x"));
        DiskArgument::read("xvda=".as_ref()).expect_err("no path");
    }

    #[test]
    fn what_is_written_is_read_back_and_kept_from_the_file() {
        struct Zeroes;
        impl Bytes for Zeroes {
            fn len_bytes(&self) -> u64 {
                8192
            }
            fn read_at(&self, _offset: u64, out: &mut [u8]) -> io::Result<()> {
                out.fill(0);
                Ok(())
            }
        }
        let disk = HostDisk::new(Box::new(Zeroes), 512);
        disk.write(512, &[1; 1024]).expect("kept");
        disk.write(1024, &[2; 512]).expect("kept");
        let mut out = [9; 2048];
        disk.read(0, &mut out).expect("inside");
        let expected = [[0; 512], [1; 512], [2; 512], [0; 512]].concat();
        assert_eq!(out[..], expected[..]);
        disk.read(8192, &mut out).expect_err("beyond the end");
        disk.write(0, &vec![0; WRITTEN_MAX]).expect_err("too much");
        disk.forget_writes();
        disk.read(0, &mut out).expect("inside");
        assert_eq!(out, [0; 2048]);
    }
}
