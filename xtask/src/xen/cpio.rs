//! Writes cpio archives in the `newc` format: what Linux takes as an initrd.
//!
//! Format: Linux `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeSet;

/// A growing archive. Parent folders are made as needed.
#[derive(Default)]
pub(crate) struct Cpio {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    inode: u32,
}

/// The file types of `st_mode`.
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

impl Cpio {
    /// Adds a regular file; `mode` is its permission bits.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.parents(path);
        self.entry(path, FILE | mode, (0, 0), content);
    }

    /// Adds a symbolic link at `path` that holds `target`.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.entry(path, LINK | 0o777, (0, 0), target.as_bytes());
    }

    /// Adds an empty folder.
    pub(crate) fn folder(&mut self, path: &str) {
        self.parents(&format!("{path}/x"));
    }

    /// Adds a character device.
    pub(crate) fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.parents(path);
        self.entry(path, CHARACTER | 0o600, (major, minor), &[]);
    }

    /// The finished archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        let mut at = 0;
        while let Some(slash) = path[at..].find('/') {
            let folder = &path[..at + slash];
            at += slash + 1;
            if !folder.is_empty() && self.folders.insert(folder.to_owned()) {
                self.entry(folder, FOLDER | 0o755, (0, 0), &[]);
            }
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX); // the format ends at 4 GiB
        let name = u32::try_from(path.len() + 1).unwrap_or(u32::MAX);
        let links = if mode & FOLDER == FOLDER { 2 } else { 1 };
        self.bytes.extend_from_slice(b"070701");
        for field in [
            self.inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name, 0,
        ] {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        let padded = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(padded, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_headers_of_110_bytes_on_multiples_of_four() {
        let mut cpio = Cpio::default();
        cpio.file("a/b", 0o644, b"hello");
        let bytes = cpio.finish();
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[110..112], b"a\0");
        assert_eq!(&bytes[112..118], b"070701");
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes.windows(6).filter(|w| w == b"070701").count(), 3);
    }
}
