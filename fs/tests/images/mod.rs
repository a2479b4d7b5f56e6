//! Disk images made by the real tools, and a disk in memory that counts what is asked of it.
//!
//! Needs the Debian packages e2fsprogs, dosfstools, mtools, xorriso and xfsprogs.
#![expect(dead_code, reason = "each test program uses a part of this")]

pub(crate) mod btrfs;
pub(crate) mod kernel;
pub(crate) mod squashfs;
pub(crate) mod volumes;
pub(crate) mod xfs;

use std::cell::{Cell, RefCell};
use std::fs as host;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use fs::{BlockDevice, BlockError, FileSystem, FsError, Geometry, ReadAhead, Volume};

/// A disk in memory.
pub(crate) struct MemoryDisk {
    bytes: RefCell<Vec<u8>>,
    sector_bytes: u32,
    /// Calls of `read`.
    pub(crate) reads: Cell<u64>,
    /// Bytes read.
    pub(crate) volume: Cell<u64>,
    /// Ranges given to `prefetch`.
    pub(crate) hints: RefCell<Vec<(u64, u64)>>,
    /// Reads allowed before the disk fails.
    pub(crate) budget: Cell<u64>,
    /// Calls of `write` by the code under test.
    pub(crate) writes: Cell<u64>,
    /// What becomes of them.
    pub(crate) takes_writes: Cell<Takes>,
}

/// What a disk does with bytes written to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Takes {
    /// Keeps them.
    Writes,
    /// Says that all went well, and keeps the old ones.
    AndForgets,
    /// Refuses.
    Nothing,
}

impl MemoryDisk {
    pub(crate) fn new(bytes: Vec<u8>, sector_bytes: u32) -> Rc<Self> {
        Rc::new(Self {
            bytes: RefCell::new(bytes),
            sector_bytes,
            reads: Cell::new(0),
            volume: Cell::new(0),
            hints: RefCell::default(),
            budget: Cell::new(u64::MAX),
            writes: Cell::new(0),
            takes_writes: Cell::new(Takes::Writes),
        })
    }

    /// Changes bytes under the reader.
    pub(crate) fn change(&self, at: usize, bytes: &[u8]) {
        self.bytes.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }
}

impl BlockDevice for MemoryDisk {
    fn geometry(&self) -> Geometry {
        Geometry {
            sector_bytes: self.sector_bytes,
            len_bytes: self.bytes.borrow().len() as u64,
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        let sector = u64::from(self.sector_bytes);
        assert!(!out.is_empty(), "empty read");
        assert_eq!(offset % sector, 0, "unaligned offset");
        assert_eq!(out.len() as u64 % sector, 0, "unaligned length");
        self.reads.set(self.reads.get() + 1);
        self.volume.set(self.volume.get() + out.len() as u64);
        if self.reads.get() > self.budget.get() {
            return Err(BlockError::Timeout("budget used up".into()));
        }
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.bytes.borrow()[start..start + out.len()]);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), BlockError> {
        let sector = u64::from(self.sector_bytes);
        assert_eq!(offset % sector, 0, "unaligned offset");
        assert_eq!(bytes.len() as u64 % sector, 0, "unaligned length");
        self.writes.set(self.writes.get() + 1);
        match self.takes_writes.get() {
            Takes::Writes => self.change(usize::try_from(offset).unwrap(), bytes),
            Takes::AndForgets => {}
            Takes::Nothing => return Err(BlockError::ReadOnly("a test's disk".into())),
        }
        Ok(())
    }

    fn prefetch(&self, offset: u64, len: u64) {
        assert_eq!(offset % u64::from(self.sector_bytes), 0, "unaligned hint");
        assert!(
            offset + len <= self.geometry().len_bytes,
            "hint beyond the disk"
        );
        self.hints.borrow_mut().push((offset, len));
    }
}

/// The whole of a disk as a volume.
pub(crate) fn whole(disk: &Rc<MemoryDisk>) -> Volume {
    Volume::whole(Rc::new(ReadAhead::new(
        Rc::clone(disk) as Rc<dyn BlockDevice>
    )))
}

/// Mounts an image with 512-byte sectors.
pub(crate) fn mount(image: Vec<u8>) -> Result<Box<dyn FileSystem>, FsError> {
    fs::mount(&whole(&MemoryDisk::new(image, 512)))
}

/// Reads a whole file.
pub(crate) fn read(files: &dyn FileSystem, path: &str) -> Result<Vec<u8>, FsError> {
    let file = files.open(path.as_bytes())?;
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// A folder for one test, removed at its end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fs-test-{}-{number}", std::process::id()));
        host::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = host::remove_dir_all(&self.0);
    }
}

/// Runs a tool; says which package it is from if it is missing, and what it said if it fails.
pub(crate) fn run(package: &str, program: &str, arguments: &[&str]) {
    let path = format!(
        "{}:/usr/sbin:/sbin",
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("MTOOLS_SKIP_CHECK", "1")
        .output();
    let output = output
        .unwrap_or_else(|error| panic!("{program}: {error}; install the Debian package {package}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The same bytes for the same seed, for file contents and mutations.
pub(crate) struct XorShift(pub(crate) u64);

impl XorShift {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| self.next().to_le_bytes())
            .take(len / 8 + 1)
            .flatten()
            .collect();
        bytes.truncate(len);
        bytes
    }
}

/// Contents of a file of the sample tree.
pub(crate) enum Sample {
    File(Vec<u8>),
    Link(&'static str),
    Directory,
}

/// A tree with a bit of everything: sizes around the block sizes, holes, links, many names.
pub(crate) fn sample_tree() -> Vec<(String, Sample)> {
    let mut random = XorShift(42);
    let mut tree = vec![
        ("boot".into(), Sample::Directory),
        ("boot/grub".into(), Sample::Directory),
        (
            "boot/grub/menu.lst".into(),
            Sample::File(b"timeout 5\ndefault 0\n".to_vec()),
        ),
        ("boot/empty".into(), Sample::File(Vec::new())),
        ("boot/boot".into(), Sample::Link(".")),
        ("vmlinuz".into(), Sample::Link("boot/vmlinuz-6.1")),
        ("menu".into(), Sample::Link("/boot/grub/../grub/menu.lst")),
        ("loop-a".into(), Sample::Link("loop-b")),
        ("loop-b".into(), Sample::Link("loop-a")),
        ("dangling".into(), Sample::Link("boot/nothing")),
        ("names".into(), Sample::Directory),
        ("deep".into(), Sample::Directory),
        ("deep/a".into(), Sample::Directory),
        ("deep/a/b".into(), Sample::Directory),
        (
            "deep/a/b/up".into(),
            Sample::Link("../../../boot/grub/menu.lst"),
        ),
        ("long-link".into(), Sample::Link(LONG_TARGET)),
        (
            "boot/vmlinuz-6.1".into(),
            Sample::File(random.bytes(1_500_001)),
        ),
        ("sparse".into(), Sample::File(sparse())),
    ];
    for size in [
        1, 59, 60, 61, 100, 150, 160, 511, 512, 1023, 1024, 1025, 4095, 4096, 4097, 65536, 300_000,
    ] {
        tree.push((format!("sized-{size}"), Sample::File(random.bytes(size))));
    }
    for number in 0..150 {
        tree.push((
            format!("names/entry number {number:04}"),
            Sample::File(format!("{number}").into_bytes()),
        ));
    }
    tree
}

/// More than 60 bytes: too long for the inode.
pub(crate) const LONG_TARGET: &str =
    "./boot/./boot/boot/boot/boot/boot/boot/boot/boot/boot/boot/grub/././././menu.lst";

/// A file with holes of all sizes that block maps make: within a pointer block and whole pointer blocks. It does not end
/// in one: mke2fs 1.47.0 with inline_data would lose it.
fn sparse() -> Vec<u8> {
    let mut bytes = vec![0; 9_000_000];
    for at in [0, 5000, 13_000, 300_000, 5_000_000, 8_999_300] {
        bytes[at..at + 700].fill(0x5a);
    }
    bytes
}

/// Writes the tree under `root`, holes as holes.
pub(crate) fn write_tree(root: &Path, tree: &[(String, Sample)]) {
    use std::os::unix::fs::FileExt;
    host::create_dir_all(root).unwrap();
    for (name, sample) in tree {
        let path = root.join(name);
        match sample {
            Sample::Directory => host::create_dir(&path).unwrap(),
            Sample::Link(target) => std::os::unix::fs::symlink(target, &path).unwrap(),
            Sample::File(bytes) => {
                let file = host::File::create(&path).unwrap();
                file.set_len(bytes.len() as u64).unwrap();
                for (at, part) in bytes.chunks(512).enumerate() {
                    if part.iter().any(|&byte| byte != 0) {
                        file.write_all_at(part, at as u64 * 512).unwrap();
                    }
                }
            }
        }
    }
}

/// Checks that `files` holds the tree: every file's bytes, every folder's list, links where `links` says so.
pub(crate) fn check_tree(
    files: &dyn FileSystem,
    tree: &[(String, Sample)],
    links: Links,
    image: &str,
) {
    let mut folders = std::collections::BTreeMap::<String, Vec<(String, fs::EntryKind)>>::new();
    for (name, sample) in tree {
        if matches!((sample, links), (Sample::Link(_), Links::Absent)) {
            continue;
        }
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
        let kind = match sample {
            Sample::File(_) => fs::EntryKind::File,
            Sample::Link(_) => fs::EntryKind::Symlink,
            Sample::Directory => fs::EntryKind::Directory,
        };
        folders
            .entry(folder.to_string())
            .or_default()
            .push((last.to_string(), kind));
        match sample {
            Sample::File(bytes) => {
                let got =
                    read(files, name).unwrap_or_else(|error| panic!("{image}: {name}: {error}"));
                assert!(got == *bytes, "{image}: {name} differs");
                check_parts(files, name, bytes, image);
            }
            Sample::Directory => {
                folders.entry(name.clone()).or_default();
                assert!(
                    matches!(files.open(name.as_bytes()), Err(FsError::NotAFile { .. })),
                    "{image}: {name}"
                );
            }
            Sample::Link(_) => {}
        }
    }
    for (folder, mut expected) in folders {
        let mut got: Vec<_> = files
            .list(folder.as_bytes())
            .unwrap_or_else(|error| panic!("{image}: {folder}: {error}"))
            .into_iter()
            .map(|entry| (String::from_utf8(entry.name).unwrap(), entry.kind))
            .filter(|(name, _)| name != "lost+found")
            .collect();
        got.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(got, expected, "{image}: list of /{folder}");
    }
    if links == Links::Present {
        check_links(files, image);
    }
    let missing = files.open(b"boot/grub/nothing/x").err().unwrap();
    let expected = FsError::NotFound {
        name: b"nothing".to_vec(),
        directory: b"/boot/grub".to_vec(),
    };
    assert_eq!(missing, expected, "{image}");
    assert!(
        matches!(files.open(b"sized-1/x"), Err(FsError::NotADirectory { .. })),
        "{image}"
    );
    assert!(
        matches!(files.open(b"sized-1/"), Err(FsError::NotADirectory { .. })),
        "{image}"
    );
}

/// Reads pieces at odd places, and past the end.
fn check_parts(files: &dyn FileSystem, name: &str, bytes: &[u8], image: &str) {
    let file = files.open(name.as_bytes()).unwrap();
    let mut random = XorShift(bytes.len() as u64 + 7);
    for _ in 0..8 {
        let start = random.below(bytes.len() + 1);
        let len = random.below((bytes.len() - start).min(100_000) + 1);
        let mut part = vec![0; len];
        file.read_at(start as u64, &mut part).unwrap();
        assert!(
            part == bytes[start..start + len],
            "{image}: {name} at {start}+{len}"
        );
    }
    let past = file.read_at(bytes.len() as u64, &mut [0]);
    assert!(
        matches!(past, Err(FsError::BeyondEnd { .. })),
        "{image}: {name}: {past:?}"
    );
}

fn check_links(files: &dyn FileSystem, image: &str) {
    let menu = b"timeout 5\ndefault 0\n";
    for path in [
        "menu",
        "/menu",
        "boot/boot/boot/grub/menu.lst",
        "deep/a/b/up",
        "long-link",
        "//boot///grub/./menu.lst",
        "../../boot/grub/../grub/menu.lst",
    ] {
        assert_eq!(read(files, path).unwrap(), menu, "{image}: {path}");
    }
    assert_eq!(read(files, "vmlinuz").unwrap().len(), 1_500_001, "{image}");
    assert_eq!(
        files.open(b"loop-a").err(),
        Some(FsError::TooManyLinks),
        "{image}"
    );
    let missing = FsError::NotFound {
        name: b"nothing".to_vec(),
        directory: b"/boot".to_vec(),
    };
    assert_eq!(files.open(b"dangling").err(), Some(missing), "{image}");
}

/// Whether the file system has symbolic links.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Present,
    /// In the lists; where they lead is not looked at.
    Listed,
    Absent,
}
