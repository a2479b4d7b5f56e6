//! This machine's own Linux as the maker of images and as the second opinion on them: mounts through a loop device.
//! Needs root and a kernel that knows the file system; where one is missing, a test says so and does less.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Sample;

/// Whether this kernel mounts file systems of `kind` for us. Says so if not.
pub(crate) fn knows(kind: &str) -> bool {
    let id = Command::new("id").arg("-u").output();
    let is_root = id.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    // Loads the module, where there is one.
    let _ = Command::new("modprobe").arg("-q").arg(kind).status();
    let list = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_known = list
        .lines()
        .any(|line| line.split_whitespace().next_back() == Some(kind));
    let has_loop = Path::new("/dev/loop-control").exists();
    if is_root && is_known && has_loop {
        return true;
    }
    eprintln!("SKIP: nothing by the kernel's {kind}: needs root, loop devices and {kind}");
    false
}

/// A mounted image; unmounted when dropped.
pub(crate) struct Mount {
    pub(crate) path: PathBuf,
    image: PathBuf,
}

impl Mount {
    /// Mounts `image` at the new folder `at`. `options` go to `mount -o`, behind `loop`.
    pub(crate) fn new(kind: &str, image: &Path, at: &Path, options: &str) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("loop{options}");
        super::run(
            "mount",
            "mount",
            &[
                "-t",
                kind,
                "-o",
                &options,
                image.to_str().unwrap(),
                at.to_str().unwrap(),
            ],
        );
        Self {
            path: at.into(),
            image: image.into(),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Somebody else may still look at the new mount, and the kernel lets go of a loop device in its own time: the
        // same image could not be mounted again before.
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut is_mounted = true;
        while Instant::now() < deadline && (is_mounted || is_looped(&self.image)) {
            if is_mounted {
                let done = Command::new("umount").arg(&self.path).output();
                is_mounted = !done.is_ok_and(|output| output.status.success());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether a loop device still holds `image`.
fn is_looped(image: &Path) -> bool {
    let Ok(devices) = std::fs::read_dir("/sys/block") else {
        return false;
    };
    devices.flatten().any(|device| {
        std::fs::read_to_string(device.path().join("loop/backing_file"))
            .is_ok_and(|file| Path::new(file.trim_end()) == image)
    })
}

/// What the kernel sees below `root`.
pub(crate) fn tree(root: &Path) -> Vec<(String, Sample)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_string();
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                found.push((name, Sample::Directory));
                open.push(path);
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                let target: &str = String::leak(target.to_str().unwrap().into());
                found.push((name, Sample::Link(target)));
            } else {
                found.push((name, Sample::File(std::fs::read(&path).unwrap())));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
