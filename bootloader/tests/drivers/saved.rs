//! `savedefault` on real file systems behind the fake back end, and what their checkers say afterwards.
//!
//! Needs the Debian packages e2fsprogs, dosfstools and mtools.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use arch::fake::FakeXen;
use arch::fake::blkback::{DiskFault, FakeDisk, Stored};
use bootloader::blkfront::Settings;
use bootloader::disks::Disks;
use bootloader::saved::{self, MenuPlace};
use bootloader::volumes::Volumes;
use menu::Failure;

use crate::bed::{Bed, XVDA, store};

const LINES: &[u8] = b"0\n#\n#\n#\n# do not remove these lines\n";

/// A folder for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("saved-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("root/grub")).unwrap();
        Self(path)
    }

    fn image(&self) -> PathBuf {
        self.0.join("image")
    }

    /// Puts `default` beside the menu.
    fn put(&self, default: &[u8]) {
        std::fs::write(self.0.join("root/grub/default"), default).unwrap();
        std::fs::write(self.0.join("root/grub/menu.lst"), "default saved\n").unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(program: &str, arguments: &[&str]) {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

fn ext(scratch: &Scratch, options: &[&str]) -> Vec<u8> {
    let (root, image) = (scratch.0.join("root"), scratch.image());
    let _ = std::fs::remove_file(&image);
    let mut arguments = vec!["-q", "-F", "-d", root.to_str().unwrap()];
    arguments.extend_from_slice(options);
    arguments.extend_from_slice(&[image.to_str().unwrap(), "8M"]);
    run("mke2fs", &arguments);
    std::fs::read(image).unwrap()
}

fn fat(scratch: &Scratch) -> Vec<u8> {
    let (folder, image) = (scratch.0.join("root/grub"), scratch.image());
    let _ = std::fs::remove_file(&image);
    let image = image.to_str().unwrap();
    run("mkfs.fat", &["-C", image, "8192"]);
    let arguments = ["-i", image, "-s", "-Q", folder.to_str().unwrap(), "::"];
    run("mcopy", &arguments);
    std::fs::read(image).unwrap()
}

/// A guest whose only disk holds `image`, its volumes, and the place of the menu.
struct Guest {
    bed: Bed,
    bytes: Stored,
    disks: Rc<Disks>,
    volumes: Volumes,
    menu: MenuPlace,
}

fn guest(image: Vec<u8>, change: impl FnOnce(FakeDisk) -> FakeDisk) -> Guest {
    let bytes = Rc::new(RefCell::new(image));
    let xen = FakeXen::new();
    xen.add_disk(change(FakeDisk::stored(XVDA, &bytes).flushes()));
    let store = store(&xen);
    let disks = Rc::new(Disks::discover(store.clone(), Settings::default()).unwrap());
    Guest {
        bed: Bed { xen, store },
        bytes,
        volumes: Volumes::new(disks.clone()),
        disks,
        menu: MenuPlace::of(b"(hd0)/grub/menu.lst", None).unwrap(),
    }
}

impl Guest {
    fn save(&self, record: &[u8]) -> Result<String, Failure> {
        saved::write(&self.volumes, &self.menu, record)
    }

    fn saved(&self) -> Vec<u8> {
        saved::read(&self.volumes, &self.menu)
    }

    /// Closes the disk, as before a boot, and gives the image back.
    fn end(self) -> Vec<u8> {
        self.volumes.forget();
        assert!(self.disks.close_all().is_empty());
        self.bed.assert_clean();
        self.bytes.take()
    }
}

fn check(program: &str, options: &str, path: &Path, image: &[u8]) {
    std::fs::write(path, image).unwrap();
    run(program, &[options, path.to_str().unwrap()]);
}

#[test]
fn file_systems_are_clean_after_many_boots() {
    let scratch = Scratch::new("clean");
    scratch.put(LINES);
    let ext4: &[&str] = &["-t", "ext4"];
    let images = [
        ("ext2", ext(&scratch, &["-t", "ext2"]), "e2fsck", "-fn"),
        ("ext3", ext(&scratch, &["-t", "ext3"]), "e2fsck", "-fn"),
        ("ext4", ext(&scratch, ext4), "e2fsck", "-fn"),
        ("fat", fat(&scratch), "fsck.fat", "-n"),
    ];
    for (name, mut image, program, options) in images {
        for (record, file) in [
            (&b"1"[..], &b"1\n#\n#\n#\n# do not remove these lines\n"[..]),
            (b"12", b"12\n\n#\n#\n# do not remove these lines\n"),
            (b"2:0", b"2:0\n#\n#\n# do not remove these lines\n"),
            (b"2:0", b"2:0\n#\n#\n# do not remove these lines\n"),
            (b"0", b"0\n\n\n#\n#\n# do not remove these lines\n"),
        ] {
            let before = image.clone();
            let guest = guest(image, |disk| disk);
            guest
                .save(record)
                .unwrap_or_else(|failure| panic!("{name}: {failure}"));
            assert!(guest.saved().starts_with(record), "{name}");
            image = guest.end();
            let changed = before.iter().zip(&image).filter(|(a, b)| a != b).count();
            assert!(changed <= 4, "{name}: {changed} bytes changed");
            check(program, options, &scratch.0.join("after"), &image);
            let found = image.windows(file.len()).any(|window| window == file);
            assert!(found, "{name} {record:?}");
        }
    }
}

/// The failure of a save on this image, which must stay as it is.
#[track_caller]
fn refused(image: Vec<u8>, change: impl FnOnce(FakeDisk) -> FakeDisk, reason: &str) -> u8 {
    let guest = guest(image.clone(), change);
    let failure = guest.save(b"1").unwrap_err();
    let text = failure.to_string();
    assert!(text.contains(reason), "{text}");
    assert!(guest.end() == image);
    failure.code.0
}

#[test]
fn what_cannot_be_done_safely_is_refused() {
    let scratch = Scratch::new("refused");
    let ext4: &[&str] = &["-t", "ext4"];
    let plain = |disk: FakeDisk| disk;
    assert_eq!(refused(ext(&scratch, ext4), plain, "must be there"), 15);
    scratch.put(b"");
    assert_eq!(refused(ext(&scratch, ext4), plain, "too short"), 29);
    scratch.put(b"PATH=/bin\n");
    assert_eq!(
        refused(ext(&scratch, ext4), plain, "other than a saved"),
        29
    );
    scratch.put(LINES);
    let inline = ext(&scratch, &["-t", "ext4", "-O", "inline_data", "-I", "256"]);
    assert_eq!(refused(inline, plain, "kept in the inode"), 29);
    let image = ext(&scratch, ext4);
    let read_only = FakeDisk::read_only;
    assert_eq!(refused(image.clone(), read_only, "read-only"), 29);
    let broken = |disk: FakeDisk| disk.fault(DiskFault::WritesFail);
    assert_eq!(refused(image, broken, "could not write"), 29);
    let path = scratch.image();
    let commands = ["-w", "-R", "feature needs_recovery", path.to_str().unwrap()];
    run("debugfs", &commands);
    let dirty = std::fs::read(path).unwrap();
    assert_eq!(refused(dirty, plain, "journal waits"), 29);
}

#[test]
fn nothing_is_saved_where_there_is_no_file() {
    let scratch = Scratch::new("nothing");
    let guest = guest(ext(&scratch, &["-t", "ext2"]), |disk| disk);
    assert_eq!(guest.saved(), b"");
    guest.end();
}
