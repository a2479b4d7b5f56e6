//! Journals that wait to be replayed, written by debugfs, and what e2fsck makes of the same image.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;
use std::path::Path;
use std::process::Command;

use fs::FsError;
use images::{Sample, Scratch, XorShift, kernel, mount, read, run, write_tree};

fn debugfs(scratch: &Scratch, image: &Path, commands: &str) {
    let script = scratch.path("script");
    host::write(&script, commands).unwrap();
    run(
        "e2fsprogs",
        "debugfs",
        &[
            "-w",
            "-f",
            script.to_str().unwrap(),
            image.to_str().unwrap(),
        ],
    );
}

/// Numbers of the blocks that differ, with their contents in `new`.
fn changes(old: &[u8], new: &[u8], block: usize) -> Vec<(usize, Vec<u8>)> {
    let pairs = old.chunks(block).zip(new.chunks(block)).enumerate();
    pairs
        .filter(|(_, (old, new))| old != new)
        .map(|(number, (_, new))| (number, new.to_vec()))
        .collect()
}

/// A file system before and after some changes, and between: the changes in the journal only.
struct Crash {
    scratch: Scratch,
    block: usize,
    before: Vec<u8>,
    after: Vec<u8>,
}

/// The contents of `new`, a file that is all magic numbers: each of its blocks is escaped in the journal.
fn magic_file() -> Vec<u8> {
    [0xc0, 0x3b, 0x39, 0x98].repeat(5000)
}

impl Crash {
    fn new(options: &[&str], block: usize) -> Self {
        let scratch = Scratch::new();
        let tree = vec![
            ("boot".into(), Sample::Directory),
            ("boot/menu.lst".into(), Sample::File(b"old menu".to_vec())),
            (
                "boot/gone".into(),
                Sample::File(b"will be removed".to_vec()),
            ),
            ("big".into(), Sample::File(XorShift(8).bytes(700_000))),
        ];
        write_tree(&scratch.path("root"), &tree);
        let image = scratch.path("image");
        let (root, path) = (scratch.path("root"), image.to_str().unwrap());
        let block_text = block.to_string();
        let mut arguments = vec!["-q", "-F", "-b", &block_text, "-d", root.to_str().unwrap()];
        arguments.extend_from_slice(options);
        arguments.extend_from_slice(&[path, "16M"]);
        run("e2fsprogs", "mke2fs", &arguments);
        let before = host::read(&image).unwrap();
        host::write(scratch.path("new-menu"), b"the new menu").unwrap();
        host::write(scratch.path("magic"), magic_file()).unwrap();
        let changes = format!(
            "rm boot/gone\nrm boot/menu.lst\ncd boot\nwrite {} menu.lst\ncd ..\nwrite {} new\nsymlink link boot/menu.lst\n",
            scratch.path("new-menu").display(),
            scratch.path("magic").display()
        );
        debugfs(&scratch, &image, &changes);
        let after = host::read(&image).unwrap();
        Self {
            scratch,
            block,
            before,
            after,
        }
    }

    /// `before` with the journal that `commands` write; `{changes}` in them stands for `-b LIST FILE` of all changes.
    fn crashed(&self, commands: &str) -> Vec<u8> {
        let changes = changes(&self.before, &self.after, self.block);
        assert!(changes.len() > 8);
        let list: Vec<_> = changes
            .iter()
            .map(|(number, _)| number.to_string())
            .collect();
        let bytes: Vec<u8> = changes.into_iter().flat_map(|(_, bytes)| bytes).collect();
        let file = self.scratch.path("changes");
        host::write(&file, bytes).unwrap();
        let arguments = format!("-b {} {}", list.join(","), file.display());
        let image = self.scratch.path("image");
        host::write(&image, &self.before).unwrap();
        debugfs(
            &self.scratch,
            &image,
            &commands.replace("{changes}", &arguments),
        );
        host::read(&image).unwrap()
    }

    /// What e2fsck makes of a crashed image.
    fn repaired(&self, image: &[u8]) -> Vec<u8> {
        let path = self.scratch.path("repaired");
        host::write(&path, image).unwrap();
        let arguments = ["-E", "journal_only", "-y", path.to_str().unwrap()];
        let path_list = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
        let status = Command::new("e2fsck")
            .args(arguments)
            .env("PATH", path_list)
            .output()
            .unwrap();
        assert!(
            status.status.code().unwrap() < 4,
            "{}",
            String::from_utf8_lossy(&status.stdout)
        );
        host::read(&path).unwrap()
    }
}

fn check_new(image: &[u8], name: &str) {
    let files = mount(image.to_vec()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(files.warnings(), Vec::<String>::new(), "{name}");
    let read = |path: &str| {
        read(files.as_ref(), path).unwrap_or_else(|error| panic!("{name}: {path}: {error}"))
    };
    assert_eq!(read("boot/menu.lst"), b"the new menu", "{name}");
    assert_eq!(read("link"), b"the new menu", "{name}");
    assert!(read("new") == magic_file(), "{name}");
    assert!(read("big") == XorShift(8).bytes(700_000), "{name}");
    assert!(
        matches!(files.open(b"boot/gone"), Err(FsError::NotFound { .. })),
        "{name}"
    );
}

fn check_old(image: &[u8], name: &str) {
    let files = mount(image.to_vec()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(
        read(files.as_ref(), "boot/menu.lst").unwrap(),
        b"old menu",
        "{name}"
    );
    assert_eq!(
        read(files.as_ref(), "boot/gone").unwrap(),
        b"will be removed",
        "{name}"
    );
    assert!(
        matches!(files.open(b"new"), Err(FsError::NotFound { .. })),
        "{name}"
    );
}

/// (name, mke2fs options, block size, journal_open options)
const MATRIX: &[(&str, &[&str], usize, &str)] = &[
    ("ext3", &["-t", "ext3"], 1024, ""),
    ("ext3 4k", &["-t", "ext3"], 4096, ""),
    (
        "ext4 before checksums",
        &["-t", "ext4", "-O", "^64bit,^metadata_csum"],
        4096,
        "",
    ),
    (
        "ext4 64bit",
        &["-t", "ext4", "-O", "64bit,^metadata_csum"],
        4096,
        "",
    ),
    (
        "ext4 64bit, v2",
        &["-t", "ext4", "-O", "64bit"],
        4096,
        "-c -v 2",
    ),
    (
        "ext4 32-bit, v2",
        &["-t", "ext4", "-O", "^64bit"],
        1024,
        "-c -v 2",
    ),
    (
        "ext4 32-bit, v3",
        &["-t", "ext4", "-O", "^64bit"],
        4096,
        "-c -v 3",
    ),
    ("ext4", &["-t", "ext4"], 4096, "-c -v 3"),
    ("ext4 1k", &["-t", "ext4"], 1024, "-c -v 3"),
    (
        "ext4 fast_commit",
        &["-t", "ext4", "-O", "fast_commit"],
        4096,
        "-c -v 3",
    ),
];

#[test]
fn what_was_committed_is_seen_and_nothing_else() {
    for (name, options, block, open) in MATRIX {
        let crash = Crash::new(options, *block);
        check_old(&crash.before, name);
        let image = crash.crashed(&format!("jo {open}\njw {{changes}}\njc\n"));
        check_new(&image, name);
        check_new(&crash.repaired(&image), name);

        let image = crash.crashed(&format!("jo {open}\njw -c {{changes}}\njc\n"));
        check_old(&image, name);

        // Everything is taken back: nothing of the transaction may be seen.
        let numbers: Vec<_> = changes(&crash.before, &crash.after, *block)
            .iter()
            .map(|(number, _)| number.to_string())
            .collect();
        let revoke = format!("jw -r {}\n", numbers.join(","));
        let image = crash.crashed(&format!("jo {open}\njw {{changes}}\n{revoke}jc\n"));
        check_old(&image, name);
        check_old(&crash.repaired(&image), name);
        // Taken back and written again.
        let image = crash.crashed(&format!(
            "jo {open}\njw {{changes}}\n{revoke}jw {{changes}}\njc\n"
        ));
        check_new(&image, name);
        check_new(&crash.repaired(&image), name);
    }
}

/// Where the journal's blocks are, for an ext3 image of 1 KiB blocks: found by its superblock's magic number.
fn journal_at(image: &[u8]) -> usize {
    let start = image
        .chunks(1024)
        .position(|block| block.starts_with(b"\xc0\x3b\x39\x98\0\0\0\x04"));
    start.unwrap() * 1024
}

/// The log is a ring: turning it, its start with it, changes nothing.
#[test]
fn a_log_that_wraps_around() {
    let crash = Crash::new(&["-t", "ext4", "-O", "^metadata_csum,^64bit"], 1024);
    let image = crash.crashed("jo\njw {changes}\njc\n");
    let at = journal_at(&image);
    let word = |image: &[u8], offset: usize| {
        u32::from_be_bytes(image[at + offset..][..4].try_into().unwrap()) as usize
    };
    let (len, first, start) = (word(&image, 0x10), word(&image, 0x14), word(&image, 0x1c));
    assert_eq!((first, start), (1, 1));
    for back in [1, 2, 3, 5, 9] {
        let mut turned = image.clone();
        turned[at + 1024..at + len * 1024].rotate_left(back * 1024);
        turned[at + 0x1c..at + 0x20].copy_from_slice(&((len - back) as u32).to_be_bytes());
        check_new(&turned, &format!("turned by {back}"));
        check_new(&crash.repaired(&turned), &format!("turned by {back}"));
    }
}

#[test]
fn a_journal_that_cannot_be_used_is_left_aside() {
    let crash = Crash::new(&["-t", "ext3"], 1024);
    let image = crash.crashed("jo\njw {changes}\njc\n");
    let at = journal_at(&image);
    for (offset, value) in [
        (0, 0),
        (7, 9),
        (0x0e, 0xff),
        (0x10, 0xff),
        (0x17, 0),
        (0x1c, 0x7f),
        (0x29, 0xff),
    ] {
        let mut image = image.clone();
        image[at + offset] = value;
        let files = mount(image.clone()).unwrap();
        assert_eq!(files.warnings().len(), 1, "{offset:#x}");
        check_old(&image, "left aside");
    }
    // On another device: the inode's number is 0.
    let mut image = image;
    image[1024 + 0xe0] = 0;
    assert_eq!(mount(image.clone()).unwrap().warnings().len(), 1);
    check_old(&image, "external");
}

/// A copy whose checksum is wrong is not data: the block is read as it lies, and a line says so.
#[test]
fn a_damaged_copy_is_left_aside() {
    let crash = Crash::new(&["-t", "ext4"], 1024);
    let good = crash.crashed("jo -c -v 3\njw {changes}\njc\n");
    let at = journal_at(&good);
    let changes = changes(&crash.before, &crash.after, 1024);
    let (mut met, mut kept) = (0, 0);
    // The copies follow the descriptor in the log's first block.
    for (number, (block, bytes)) in changes.iter().enumerate() {
        let mut image = good.clone();
        let copy = at + (2 + number) * 1024;
        assert!(image[copy + 4..copy + 1024] == bytes[4..], "copy {number}");
        image[copy + 100] ^= 1;
        let files = mount(image).unwrap();
        // Mixed with what is newer, old blocks may contradict themselves, but nothing else.
        for path in ["boot/menu.lst", "link", "new"] {
            if let Err(error) = read(files.as_ref(), path) {
                let known = matches!(error, FsError::NotFound { .. } | FsError::Corrupt { .. });
                assert!(known, "block {block}: {path}: {error}");
            }
        }
        assert!(read(files.as_ref(), "big").unwrap() == XorShift(8).bytes(700_000));
        met += files.warnings().len();
        kept += usize::from(read(files.as_ref(), "boot/menu.lst").is_ok());
    }
    assert!(met > 20, "{met} of {} were met", changes.len());
    assert!(kept > 20, "{kept} of {} left the menu", changes.len());
}

/// The image of `crash` with `commits` in the area for fast commits, behind its whole transaction.
fn with_fast_commits(crash: &Crash, features: u8, commits: &[u8]) -> Vec<u8> {
    let mut image = crash.crashed("jo\njw {changes}\njc\n");
    let at = journal_at(&image);
    let word = |offset: usize| u32::from_be_bytes(image[at + offset..][..4].try_into().unwrap());
    let (end, next) = (word(0x10), word(0x18) + 1);
    // Few, so that the log stays long enough for having any.
    image[at + 0x54..at + 0x58].copy_from_slice(&[0, 0, 0, 8]);
    // The kernel leaves a block between the log and the area.
    let area = at + (end - 8 + 1) as usize * 1024;
    // The kernel sets the feature in the journal when it first mounts the file system.
    image[at + 0x2b] |= 0x20;
    image[area..area + 8].copy_from_slice(&[9, 0, 8, 0, features, 0, 0, 0]);
    image[area + 8..area + 12].copy_from_slice(&next.to_le_bytes());
    let mut tags = image[area..area + 12].to_vec();
    tags.extend_from_slice(commits);
    tags.extend_from_slice(&[8, 0, 8, 0]);
    tags.extend_from_slice(&next.to_le_bytes());
    let sum = fs::checksum::crc32c(0, &tags);
    tags.extend_from_slice(&sum.to_le_bytes());
    image[area..area + tags.len()].copy_from_slice(&tags);
    image
}

#[test]
fn fast_commits_that_cannot_be_read_are_reported() {
    let crash = Crash::new(&["-t", "ext4", "-O", "fast_commit,^metadata_csum"], 1024);
    // EXT4_FC_TAG_UNLINK of the name `link` of the root, and of a name that it does not have.
    let unlink = |inode: u8| [&[5, 0, 12, 0, 2, 0, 0, 0, inode, 0, 0, 0][..], b"link"].concat();
    let inode = {
        let files = mount(with_fast_commits(&crash, 0, &[])).unwrap();
        assert!(read(files.as_ref(), "link").is_ok());
        assert_eq!(files.warnings(), [""; 0]);
        (12..100).find(|&inode| {
            let files = mount(with_fast_commits(&crash, 0, &unlink(inode))).unwrap();
            assert_eq!(files.warnings(), [""; 0]);
            files.open(b"link").is_err()
        })
    };
    let unlink = unlink(inode.expect("one of them is the link's"));
    // Broken off, or with a wrong checksum: not there.
    let mut image = with_fast_commits(&crash, 0, &unlink);
    let name = image.windows(16).rposition(|part| part == unlink).unwrap();
    image[name + 4] ^= 1;
    assert!(mount(image).unwrap().open(b"link").is_ok());
    // Of a kernel of tomorrow.
    let files = mount(with_fast_commits(&crash, 1, &unlink)).unwrap();
    assert_eq!(
        files.warnings(),
        [
            "not unmounted; the fast commits in its journal are not applied: not supported: unknown features of fast commits"
        ]
    );
    assert_eq!(
        read(files.as_ref(), "boot/menu.lst").unwrap(),
        b"the new menu"
    );
}

/// Small changes of all kinds, each of them on the disk before the next.
fn small_changes(root: &Path) {
    use std::io::Write;
    let synced = |name: &str, bytes: &[u8]| {
        let mut file = host::File::create(root.join(name)).unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
    };
    let sync = |name: &str| {
        host::File::open(root.join(name))
            .unwrap()
            .sync_all()
            .unwrap()
    };
    for number in 0..30 {
        synced(&format!("fast-{number}"), &XorShift(number + 1).bytes(5000));
    }
    let mut grown = host::File::options()
        .append(true)
        .open(root.join("big"))
        .unwrap();
    grown.write_all(&XorShift(9).bytes(30_000)).unwrap();
    grown.sync_all().unwrap();
    host::remove_file(root.join("boot/gone")).unwrap();
    host::rename(root.join("fast-3"), root.join("boot/moved")).unwrap();
    synced("boot/menu.new", b"the new menu");
    host::rename(root.join("boot/menu.new"), root.join("boot/menu.lst")).unwrap();
    sync("boot/menu.lst");
    host::hard_link(root.join("fast-4"), root.join("boot/hard")).unwrap();
    host::create_dir(root.join("folder")).unwrap();
    synced("folder/file", b"in a new folder");
    host::create_dir(root.join("folder/inner")).unwrap();
    synced("folder/inner/file", b"deeper");
    let cut = host::File::options()
        .write(true)
        .open(root.join("fast-5"))
        .unwrap();
    cut.set_len(100).unwrap();
    cut.sync_all().unwrap();
    // Removed, and made anew.
    host::remove_file(root.join("fast-6")).unwrap();
    synced("fast-6", b"another");
}

#[test]
fn fast_commits_are_replayed_as_the_kernel_does() {
    if !kernel::knows("ext4") {
        return;
    }
    for options in [
        &["-b", "4096"][..],
        &["-b", "1024"],
        &["-b", "4096", "-I", "256", "-O", "inline_data"],
    ] {
        let scratch = Scratch::new();
        let (image, root) = (scratch.path("image"), scratch.path("mounted"));
        let mut arguments = vec!["-q", "-F", "-t", "ext4", "-O", "fast_commit"];
        arguments.extend_from_slice(options);
        arguments.extend_from_slice(&[image.to_str().unwrap(), "64M"]);
        run("e2fsprogs", "mke2fs", &arguments);
        {
            // No whole commit comes in between.
            let mounted = kernel::Mount::new("ext4", &image, &root, ",commit=600");
            let tree = [
                ("boot".into(), Sample::Directory),
                ("boot/menu.lst".into(), Sample::File(b"old menu".to_vec())),
                ("boot/gone".into(), Sample::File(b"to be removed".to_vec())),
                ("big".into(), Sample::File(XorShift(8).bytes(700_000))),
            ];
            write_tree(&mounted.path, &tree);
            run("coreutils", "sync", &["-f", root.to_str().unwrap()]);
            small_changes(&root);
            images::xfs::crash(&root, "shutdown");
        }
        let crash = host::read(&image).unwrap();
        let copy = scratch.path("copy");
        host::write(&copy, &crash).unwrap();
        let mut expected = {
            let mounted = kernel::Mount::new("ext4", &copy, &scratch.path("seen"), "");
            kernel::tree(&mounted.path)
        };
        let files = mount(crash.clone()).unwrap();
        assert_eq!(files.warnings(), [""; 0]);
        expected.retain(|(name, _)| name != "lost+found");
        let names: Vec<_> = expected.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"folder/inner/file"), "{names:?}");
        for (name, sample) in &expected {
            if let Sample::File(bytes) = sample {
                assert!(read(files.as_ref(), name).unwrap() == *bytes, "{name}");
            }
        }
        for folder in ["", "boot", "folder", "folder/inner"] {
            let mut listed: Vec<_> = files.list(folder.as_bytes()).unwrap();
            listed.retain(|entry| entry.name != b"lost+found");
            let mut listed: Vec<_> = listed
                .into_iter()
                .map(|entry| String::from_utf8(entry.name).unwrap())
                .collect();
            listed.sort();
            let wanted: Vec<_> = names
                .iter()
                .filter_map(|name| match name.rsplit_once('/') {
                    Some((parent, last)) if parent == folder => Some(last),
                    None if folder.is_empty() => Some(name),
                    _ => None,
                })
                .collect();
            assert_eq!(listed, wanted, "{folder}");
        }
        // And it is the fast commits that have the new: without their first block nothing of it is there.
        let mut plain = crash;
        for block in plain.chunks_mut(1024) {
            if block.starts_with(&[9, 0, 8, 0, 0, 0, 0, 0]) {
                block[0] = 0;
            }
        }
        let files = mount(plain).unwrap();
        assert!(files.open(b"folder/inner/file").is_err(), "{options:?}");
    }
}
