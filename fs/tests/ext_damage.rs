//! ext: what is refused, by which name; and wrong checksums on the way to a file, which name the inode.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;
use std::process::Command;

use fs::FsError;
use fs::checksum::crc32c;
use images::{Scratch, XorShift, mount, read, run};

const BLOCK: usize = 4096;

/// Runs a tool of e2fsprogs and returns what it said.
fn tool(program: &str, arguments: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let done = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(done.status.code().unwrap() < 4, "{program}: {done:?}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A file system with a file in pieces, a folder with an index and a small file; and their inodes' numbers.
struct Sample {
    scratch: Scratch,
    image: Vec<u8>,
}

impl Sample {
    fn new(options: &[&str]) -> Self {
        use std::os::unix::fs::FileExt;
        let scratch = Scratch::new();
        host::create_dir_all(scratch.path("root/many")).unwrap();
        host::write(scratch.path("root/small"), XorShift(1).bytes(5000)).unwrap();
        let pieces = host::File::create(scratch.path("root/pieces")).unwrap();
        for number in 0..40 {
            pieces
                .write_all_at(&[7; BLOCK], number * 2 * BLOCK as u64)
                .unwrap();
        }
        for number in 0..600 {
            host::write(scratch.path(&format!("root/many/name {number}")), "x").unwrap();
        }
        let (root, path) = (scratch.path("root"), scratch.path("image"));
        let (root, path) = (root.to_str().unwrap(), path.to_str().unwrap());
        let mut arguments = vec!["-q", "-F", "-b", "4096", "-d", root];
        arguments.extend_from_slice(options);
        arguments.extend_from_slice(&[path, "24M"]);
        run("e2fsprogs", "mke2fs", &arguments);
        tool("e2fsck", &["-fyD", path]);
        let image = host::read(path).unwrap();
        Self { scratch, image }
    }

    fn debugfs(&self, command: &str) -> String {
        let path = self.scratch.path("image");
        tool("debugfs", &["-w", "-R", command, path.to_str().unwrap()])
    }

    fn inode(&self, path: &str) -> u64 {
        let said = self.debugfs(&format!("stat {path}"));
        let (_, rest) = said.split_once("Inode: ").unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Where the inode is: `imap` says in which block and at which byte of it, in hex.
    fn inode_at(&self, path: &str) -> usize {
        let said = self.debugfs(&format!("imap {path}"));
        let (_, rest) = said.split_once("located at block ").unwrap();
        let (block, offset) = rest.split_once(", offset 0x").unwrap();
        let offset = usize::from_str_radix(offset.trim(), 16).unwrap();
        block.parse::<usize>().unwrap() * BLOCK + offset
    }

    /// The error of reading `path` after the byte at `at` has changed.
    fn error_after(&self, at: usize, path: &str) -> FsError {
        let mut image = self.image.clone();
        image[at] ^= 0x10;
        mount(image)
            .and_then(|files| read(files.as_ref(), path))
            .unwrap_err()
    }
}

#[test]
fn wrong_checksums_name_the_inode() {
    let sample = Sample::new(&["-t", "ext4"]);
    let files = mount(sample.image.clone()).unwrap();
    for path in ["small", "pieces", "many/name 77"] {
        read(files.as_ref(), path).unwrap();
    }
    let blocks = || sample.image.chunks(BLOCK).enumerate();
    let extents = blocks()
        .find(|(_, block)| block.starts_with(&[0x0a, 0xf3]))
        .unwrap()
        .0;
    let index = blocks()
        .find(|(_, block)| {
            block[6..9] == [1, 2, b'.'] && block[0x18..0x1c] == [0; 4] && block[0x1d] == 8
        })
        .unwrap()
        .0;
    // A block of names: one that has the name in the middle of it.
    let name = blocks()
        .find(|(_, block)| block.windows(7).any(|part| part == b"name 77"))
        .unwrap()
        .0;
    // i_mtime; an extent's length; an index's hash; an entry's name; the descriptor's bitmap.
    for (at, path, inode, what) in [
        (
            sample.inode_at("small") + 0x10,
            "small",
            "small",
            "checksum of inode",
        ),
        (extents * BLOCK + 40, "pieces", "pieces", "extent block"),
        (
            index * BLOCK + 0x28,
            "many/name 77",
            "many",
            "directory's index",
        ),
        (
            name * BLOCK + 2000,
            "many/name 77",
            "many",
            "directory block",
        ),
        (BLOCK, "small", "/", "group descriptor"),
    ] {
        let error = sample.error_after(at, path);
        let FsError::Corrupt { what: said, at } = error else {
            panic!("{what}: {error}");
        };
        assert!(said.contains(what) && said.contains("inode"), "{said}");
        assert_eq!(at, sample.inode(inode), "{what}");
    }
}

/// Linux makes a folder's first block the root of its index, and leaves what looks like the checksum of names there.
#[test]
fn the_root_of_an_index_that_linux_made() {
    let uuid = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";
    let sample = Sample::new(&["-t", "ext4", "-U", "01234567-89ab-cdef-0123-456789abcdef"]);
    let number = u32::try_from(sample.inode("many")).unwrap();
    let at = BLOCK
        * sample
            .image
            .chunks(BLOCK)
            .position(|block| {
                block[6..9] == [1, 2, b'.'] && block[0x18..0x1c] == [0; 4] && block[0x1d] == 8
            })
            .unwrap();
    let mut image = sample.image.clone();
    let root = &mut image[at..at + BLOCK];
    let generation = [0; 4];
    let seed = crc32c(
        crc32c(crc32c(!0, &uuid), &number.to_le_bytes()),
        &generation,
    );
    let used = 0x20 + usize::from(u16::from_le_bytes([root[0x22], root[0x23]])) * 8;
    let sum = |root: &[u8]| {
        crc32c(
            crc32c(crc32c(seed, &root[..used]), &root[BLOCK - 8..BLOCK - 4]),
            &[0; 4],
        )
    };
    assert_eq!(
        sum(root).to_le_bytes(),
        root[BLOCK - 4..],
        "not as it was thought to be"
    );
    root[BLOCK - 12..BLOCK - 4].copy_from_slice(&[0, 0, 0, 0, 12, 0, 0, 0xde]);
    let sum = sum(root);
    root[BLOCK - 4..].copy_from_slice(&sum.to_le_bytes());
    let files = mount(image).unwrap();
    assert_eq!(files.list(b"many").unwrap().len(), 600);
    assert_eq!(read(files.as_ref(), "many/name 77").unwrap(), b"x");
    let missing = read(files.as_ref(), "many/name 600").unwrap_err();
    assert!(matches!(missing, FsError::NotFound { .. }), "{missing}");
}

#[test]
fn flags_of_files() {
    let sample = Sample::new(&["-t", "ext4", "-O", "verity"]);
    let small = XorShift(1).bytes(5000);
    // verity: what it guards is read as it is.
    sample.debugfs("set_inode_field small flags 0x180000");
    let path = sample.scratch.path("image");
    let files = mount(host::read(&path).unwrap()).unwrap();
    assert!(read(files.as_ref(), "small").unwrap() == small);
    // Compressed, as a patch to ext2 once did; encrypted, which wants a key.
    for (flags, text) in [("0x80004", "compressed file"), ("0x80800", "encrypted")] {
        sample.debugfs(&format!("set_inode_field small flags {flags}"));
        let files = mount(host::read(&path).unwrap()).unwrap();
        let error = read(files.as_ref(), "small").unwrap_err();
        let inode = format!("(inode {})", sample.inode("small"));
        assert_eq!(error.grub_error(), 17);
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.to_string().contains(&inode), "{error}");
        // Others are read, and the folder listed.
        read(files.as_ref(), "pieces").unwrap();
        assert!(files.list(b"/").unwrap().len() >= 3);
    }
}

#[test]
fn a_journal_s_own_device_is_named() {
    let scratch = Scratch::new();
    let path = scratch.path("image");
    let path = path.to_str().unwrap();
    run(
        "e2fsprogs",
        "mke2fs",
        &["-q", "-F", "-b", "4096", "-O", "journal_dev", path, "16M"],
    );
    let error = mount(host::read(path).unwrap()).err().unwrap();
    assert!(
        error.to_string().contains("external ext journal"),
        "{error}"
    );
    assert_eq!(error.grub_error(), 17);
}

/// An index that leads astray is not the last word: names are looked for from the front.
#[test]
fn an_index_that_makes_no_sense() {
    let sample = Sample::new(&["-t", "ext4", "-O", "^metadata_csum"]);
    let index = sample
        .image
        .chunks(BLOCK)
        .position(|block| {
            block[6..9] == [1, 2, b'.'] && block[0x18..0x1c] == [0; 4] && block[0x1d] == 8
        })
        .unwrap()
        * BLOCK;
    // Version, levels, room, count, first block, a hash: all that is in it.
    let mut random = XorShift(77);
    for round in 0..200 {
        let mut image = sample.image.clone();
        for _ in 0..1 + round % 3 {
            let at = index + 0x18 + random.below(40);
            image[at] = random.next().to_le_bytes()[0];
        }
        let files = mount(image).unwrap();
        for number in [0, 77, 599] {
            let found = read(files.as_ref(), &format!("many/name {number}"));
            assert_eq!(found.unwrap(), b"x", "round {round}");
        }
    }
}
