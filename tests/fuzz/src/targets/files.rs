//! File systems: images by the real tools with bytes changed. Mounts what is there, walks it, reads and looks at all.

use std::rc::Rc;
use std::sync::LazyLock;

use fs::{BlockDevice, EntryKind, FileSystem, ReadAhead, Volume};

use super::sums;
use crate::Target;
use crate::disk::Disk;
use crate::image::Image;
use crate::patches::{self, Base, Repair};

/// Longest input: about forty changes.
const LONGEST: usize = 256;
/// The cache holds 8 MiB at most; the rest is what a reader builds for itself.
const HEAP_MIB: usize = 64;

macro_rules! images {
    ($($name:literal),+) => {
        [$(&include_bytes!(concat!("../../images/", $name, ".gz"))[..]),+]
    };
}

/// Images with their checksums as they are after a change.
const PLAIN: &[Option<Repair>] = &[None];

/// A target over images with sectors of 512 bytes, once for each way to repair them.
macro_rules! target {
    ($target:ident, $name:literal, $about:literal, [$($image:literal),+ $(,)?], $repairs:expr) => {
        pub(crate) const $target: Target = {
            static BASES: LazyLock<Vec<Base>> =
                LazyLock::new(|| patches::bases(&images![$($image),+], $repairs));
            Target {
                name: $name,
                about: $about,
                longest: LONGEST,
                heap_mib: HEAP_MIB,
                words: &[],
                seeds: || patches::seeds(&BASES),
                run: |input| attack(&BASES, input),
            }
        };
    };
}

target!(
    EXT,
    "ext",
    "ext2, ext3 and ext4 with bytes changed, journals and fast commits waiting to be replayed among them",
    [
        "ext2-1k",
        "ext2-4k",
        "ext4-extents",
        "ext4-htree",
        "ext4-inline",
        "ext4-bigalloc",
        "ext4-metabg",
        "ext4-csum",
        "ext3-dirty",
        "ext4-dirty-v3",
        "ext4-fast-commit"
    ],
    PLAIN
);
target!(
    FAT,
    "fat",
    "FAT12, FAT16 and FAT32 with bytes changed",
    ["fat12", "fat16", "fat32"],
    PLAIN
);

target!(
    XFS,
    "xfs",
    "XFS v4 and v5 with bytes changed, a log waiting to be replayed among them; checksums made right, or not",
    ["xfs-v5", "xfs-v5-1k", "xfs-v4", "xfs-dirty"],
    &[Some(sums::repair_xfs), None]
);
target!(
    BTRFS,
    "btrfs",
    "btrfs, also compressed and with a subvolume, with bytes changed; checksums made right, or not",
    [
        "btrfs-single",
        "btrfs-mixed",
        "btrfs-4k",
        "btrfs-zlib",
        "btrfs-lzo",
        "btrfs-zstd"
    ],
    &[Some(sums::repair_btrfs), None]
);
target!(
    SQUASHFS,
    "squashfs",
    "squashfs, packed and not, with bytes changed",
    [
        "squashfs-plain",
        "squashfs-gzip",
        "squashfs-xz",
        "squashfs-zstd",
        "squashfs-lz4",
        "squashfs-lzo"
    ],
    PLAIN
);

pub(crate) const ISO: Target = {
    static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
        images!["iso-rock-ridge", "iso-joliet"]
            .into_iter()
            .map(|packed| Base::new(Image::unpack(packed), 2048))
            .collect()
    });
    Target {
        name: "iso",
        about: "ISO9660 with Rock Ridge and Joliet with bytes changed",
        longest: LONGEST,
        heap_mib: HEAP_MIB,
        words: &[],
        seeds: || patches::seeds(&BASES),
        run: |input| attack(&BASES, input),
    }
};

/// Paths beside those that a walk finds: links, and names that need a look-up.
const PATHS: [&str; 6] = [
    "boot/menu.lst",
    "link",
    "loop",
    "boot/a rather long name.txt",
    "many/entry number 0117",
    "boot/../boot/./deeper//file",
];

fn attack(bases: &'static [Base], input: &[u8]) {
    let disk = patches::disk(bases, input);
    if disk.geometry().len_bytes == 0 {
        return;
    }
    everything(&disk);
    disk.check_steps();
}

/// Does all that a loader does with a disk that holds a file system as a whole.
fn everything(disk: &Rc<Disk>) {
    let cache = Rc::new(ReadAhead::new(Rc::clone(disk) as Rc<dyn BlockDevice>));
    match fs::mount(&Volume::whole(cache)) {
        Ok(files) => look(files.as_ref()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Looks at all of a file system.
pub(crate) fn look(files: &dyn FileSystem) {
    let _ = (files.label(), files.uuid(), files.warnings());
    assert!(!files.kind().to_string().is_empty());
    walk(files, b"", 3);
    for path in PATHS {
        if let Ok(file) = files.open(path.as_bytes()) {
            read(file.as_ref());
        }
    }
    if let Ok(file) = files.open(b"boot/menu.lst") {
        let end = file.len();
        let _ = file.overwrite(0, b"default 0");
        assert!(file.overwrite(end, b"x").is_err(), "written beyond the end");
    }
}

fn walk(files: &dyn FileSystem, path: &[u8], depth: u32) {
    let Ok(entries) = files.list(path) else {
        return;
    };
    assert!(entries.len() <= fs::tree::LIST_MAX);
    for entry in entries.iter().take(10) {
        assert!(!entry.name.is_empty(), "an entry without a name");
        let name = [path, b"/", &entry.name].concat();
        if entry.kind == EntryKind::Directory && depth > 0 {
            walk(files, &name, depth - 1);
        } else if let Ok(file) = files.open(&name) {
            read(file.as_ref());
        }
    }
}

/// Reads the start and the end of a file.
fn read(file: &dyn fs::File) {
    let mut bytes = vec![0; usize::try_from(file.len().min(20_000)).unwrap_or_default()];
    let _ = file.read_at(0, &mut bytes);
    let _ = file.read_at(file.len() - bytes.len() as u64, &mut bytes);
    file.prefetch(0, u64::MAX);
    assert!(
        file.read_at(file.len(), &mut [0]).is_err(),
        "read beyond the end"
    );
    if let Ok(stretches) = file.stretches() {
        let all: u64 = stretches.iter().map(|stretch| stretch.len).sum();
        assert!(stretches.iter().all(|stretch| stretch.len > 0));
        assert_eq!(all, file.len(), "stretches make another file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `images/make.sh` wrote last is in the fast commits of its image.
    #[test]
    fn fast_commits_are_met() {
        let [packed] = images!["ext4-fast-commit"];
        let base: &'static Base = Box::leak(Box::new(Base::unpack(packed)));
        let disk = patches::disk(std::slice::from_ref(base), &[]);
        let cache = Rc::new(ReadAhead::new(disk as Rc<dyn BlockDevice>));
        let files = fs::mount(&Volume::whole(cache)).unwrap();
        assert_eq!(files.warnings(), [""; 0]);
        let menu = files.open(b"boot/menu.lst").unwrap();
        let mut bytes = vec![0; menu.len() as usize];
        menu.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, b"fast\n");
        assert!(files.open(b"folder/file").is_ok());
        assert!(files.open(b"many/moved").is_ok());
        assert!(files.open(b"many/entry number 0003").is_err());
    }
}
