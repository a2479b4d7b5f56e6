//! How often the disk is asked: large directories, files in pieces, and a boot from its first sector to its last.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::cell::{Cell, RefCell};
use std::fs as host;
use std::process::Command;
use std::rc::Rc;

use fs::cache::{CACHE_BYTES, CHUNK_BYTES, WINDOW_MAX};
use fs::{BlockDevice, BlockError, File, Geometry, ReadAhead, Volume};
use images::{MemoryDisk, Scratch, XorShift, run, whole};

/// Runs mke2fs over what is under `root` in `scratch`.
fn make(scratch: &Scratch, size: &str, options: &[&str]) -> Vec<u8> {
    let (root, image) = (scratch.path("root"), scratch.path("image"));
    let _ = host::remove_file(&image);
    let mut arguments = vec!["-q", "-F", "-d", root.to_str().unwrap()];
    arguments.extend_from_slice(options);
    arguments.extend_from_slice(&[image.to_str().unwrap(), size]);
    run("e2fsprogs", "mke2fs", &arguments);
    host::read(image).unwrap()
}

fn debugfs(scratch: &Scratch, commands: &str) -> String {
    let script = scratch.path("script");
    host::write(&script, commands).unwrap();
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let done = Command::new("debugfs")
        .args(["-w", "-f", script.to_str().unwrap()])
        .arg(scratch.path("image"))
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

const NAMES: usize = 100_000;
/// Files that the names are links to: one file cannot have so many.
const FILES: usize = 100;
const BLOCK: usize = 4096;

fn name(number: usize) -> String {
    format!("module-{:05}-{number}.ko", number * 7919 % NAMES)
}

/// The blocks of a directory with all the names in no order, as ext2 has them without an index: numbers of inodes,
/// lengths, kinds and names.
fn unsorted(own: u32, parent: u32, files: &[u32]) -> Vec<u8> {
    let mut blocks: Vec<u8> = Vec::new();
    // Where the last entry of the block begins: it takes what is left.
    let mut last = 0;
    let mut add = |blocks: &mut Vec<u8>, inode: u32, name: &[u8], kind: u8| {
        let len = (8 + name.len()).next_multiple_of(4);
        let end = (blocks.len() + 1).next_multiple_of(BLOCK);
        // Room for a checksum.
        if blocks.len() + len > end - 12 {
            let rest = u16::try_from(end - last).unwrap();
            blocks[last + 4..last + 6].copy_from_slice(&rest.to_le_bytes());
            blocks.resize(end, 0);
        }
        last = blocks.len();
        blocks.extend(inode.to_le_bytes());
        blocks.extend(u16::try_from(len).unwrap().to_le_bytes());
        blocks.extend([u8::try_from(name.len()).unwrap(), kind]);
        blocks.extend(name);
        blocks.resize(last + len, 0);
    };
    add(&mut blocks, own, b".", 2);
    add(&mut blocks, parent, b"..", 2);
    for number in 0..NAMES {
        add(
            &mut blocks,
            files[number % FILES],
            name(number).as_bytes(),
            1,
        );
    }
    let end = blocks.len().next_multiple_of(BLOCK);
    let rest = u16::try_from(end - last).unwrap();
    blocks[last + 4..last + 6].copy_from_slice(&rest.to_le_bytes());
    blocks.resize(end, 0);
    blocks
}

/// An image whose directory `many` has all the names, indexed by e2fsck.
fn with_many_names(options: &[&str]) -> Vec<u8> {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    for number in 0..FILES {
        host::write(scratch.path(&format!("root/{number}")), number.to_string()).unwrap();
    }
    // A file first, for the numbers of all inodes; then with the blocks in it, and made a directory.
    let (mut own, mut files) = (0, vec![0; FILES]);
    for _ in 0..2 {
        host::write(scratch.path("root/many"), unsorted(own, 2, &files)).unwrap();
        make(&scratch, "24M", &[&["-b", "4096"], options].concat());
        for line in debugfs(&scratch, "ls -p /\n").lines() {
            let parts: Vec<&str> = line.split('/').collect();
            let &[_, inode, _, _, _, name, ..] = &parts[..] else {
                continue;
            };
            if name == "many" {
                own = inode.parse().unwrap();
            } else if let Ok(number) = name.parse::<usize>() {
                files[number] = inode.parse().unwrap();
            }
        }
    }
    debugfs(&scratch, "set_inode_field many mode 040755\n");
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    for round in 0..2 {
        let done = Command::new("e2fsck")
            .args(["-fyD", scratch.path("image").to_str().unwrap()])
            .env("PATH", &path)
            .output()
            .unwrap();
        // The first corrects counts of links; then all is well.
        let most = if round == 0 { 2 } else { 0 };
        assert!(done.status.code().unwrap() <= most, "{done:?}");
    }
    host::read(scratch.path("image")).unwrap()
}

#[test]
fn one_name_of_a_hundred_thousand() {
    for options in [
        &["-t", "ext4"][..],
        &["-t", "ext3"],
        &["-t", "ext4", "-O", "casefold"],
    ] {
        let disk = MemoryDisk::new(with_many_names(options), 512);
        for number in [0, 1, 4_711, 50_000, 99_999] {
            let files = fs::mount(&whole(&disk)).unwrap();
            let (reads, volume) = (disk.reads.get(), disk.volume.get());
            let file = files.open(format!("many/{}", name(number)).as_bytes());
            assert_eq!(
                file.unwrap().len(),
                (number % FILES).to_string().len() as u64
            );
            // The tables, the root directory, the index, the one block with the name.
            let reads = disk.reads.get() - reads;
            assert!(
                reads <= 8,
                "{options:?}: {reads} reads for {}",
                name(number)
            );
            assert!(disk.volume.get() - volume <= 8 * CHUNK_BYTES);
        }
        let files = fs::mount(&whole(&disk)).unwrap();
        for number in (0..NAMES).step_by(997) {
            let file = files
                .open(format!("many/{}", name(number)).as_bytes())
                .unwrap();
            assert_eq!(file.len(), (number % FILES).to_string().len() as u64);
        }
        assert!(
            files
                .open(format!("many/{}", name(NAMES)).as_bytes())
                .is_err()
        );
        assert_eq!(
            files.list(b"many").unwrap_err().to_string(),
            "not supported: listing a directory with more than 65536 entries"
        );
    }
}

/// A disk that knows which of its sectors were asked for before. What was announced is on its way: reading it then is no
/// second time.
struct CountingDisk {
    disk: Rc<MemoryDisk>,
    /// For each sector: the bytes asked for up to when it was.
    asked: RefCell<Vec<Option<u64>>>,
    on_its_way: RefCell<Vec<bool>>,
    /// Bytes asked for.
    volume: Cell<u64>,
    /// The fewest bytes that were asked for between a sector's first and second time.
    soonest: Cell<u64>,
}

const SECTOR: u64 = 512;

impl CountingDisk {
    fn new(bytes: Vec<u8>) -> Rc<Self> {
        let sectors = bytes.len() / SECTOR as usize;
        Rc::new(Self {
            disk: MemoryDisk::new(bytes, SECTOR as u32),
            asked: RefCell::new(vec![None; sectors]),
            on_its_way: RefCell::new(vec![false; sectors]),
            volume: Cell::new(0),
            soonest: Cell::new(u64::MAX),
        })
    }

    fn ask(&self, offset: u64, len: u64, stays: bool) {
        for sector in (offset / SECTOR) as usize..((offset + len) / SECTOR) as usize {
            if std::mem::replace(&mut self.on_its_way.borrow_mut()[sector], stays) {
                continue;
            }
            let now = self.volume.get() + SECTOR;
            self.volume.set(now);
            if let Some(before) = self.asked.borrow_mut()[sector].replace(now) {
                self.soonest.set(self.soonest.get().min(now - before));
            }
        }
    }
}

impl BlockDevice for CountingDisk {
    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError> {
        self.ask(offset, out.len() as u64, false);
        self.disk.read(offset, out)
    }

    fn prefetch(&self, offset: u64, len: u64) {
        self.ask(offset, len, true);
    }
}

/// Reads `file` as a kernel is read: its first bytes, its end, its first part again, then all of it, with the disk told
/// what comes next.
fn read_as_kernel(file: &dyn File) -> Vec<u8> {
    const PART: usize = 256 << 10;
    let mut bytes = vec![0; usize::try_from(file.len()).unwrap()];
    file.read_at(0, &mut [0; 2]).unwrap();
    file.read_at(file.len() - 4, &mut [0; 4]).unwrap();
    for _ in 0..2 {
        let first = PART.min(bytes.len());
        file.read_at(0, &mut bytes[..first]).unwrap();
        file.prefetch(PART as u64, 1 << 20);
    }
    for (number, part) in bytes.chunks_mut(PART).enumerate() {
        let at = (number * PART) as u64;
        file.read_at(at, part).unwrap();
        file.prefetch(at + part.len() as u64, 1 << 20);
    }
    bytes
}

/// The sectors that a boot asks for: partitions, file systems, menu, kernel, initrd.
fn boot(image: Vec<u8>, kernel: &[u8], initrd: &[u8]) -> Rc<CountingDisk> {
    let mut disk = vec![0; 1 << 20];
    disk.extend(image);
    let counting = CountingDisk::new(disk);
    let cache = Rc::new(ReadAhead::new(Rc::clone(&counting) as Rc<dyn BlockDevice>));
    fs::partitions(&cache).unwrap();
    let all = Volume::whole(Rc::clone(&cache));
    assert!(fs::mount(&all).is_err());
    let len = cache.geometry().len_bytes - (1 << 20);
    let files = fs::mount(&Volume::window(cache, 1 << 20, len)).unwrap();
    for place in ["boot/grub/menu.lst", "grub/menu.lst", "boot/grub/menu.lst"] {
        if let Ok(menu) = files.open(place.as_bytes()) {
            menu.read_at(0, &mut vec![0; menu.len() as usize]).unwrap();
        }
    }
    assert!(read_as_kernel(files.open(b"vmlinuz").unwrap().as_ref()) == kernel);
    for _ in 0..2 {
        files
            .open(b"initrd.img")
            .unwrap()
            .read_at(0, &mut [0; 2])
            .unwrap();
    }
    let mut bytes = vec![0; initrd.len()];
    files
        .open(b"initrd.img")
        .unwrap()
        .read_at(0, &mut bytes)
        .unwrap();
    assert!(bytes == initrd);
    counting
}

#[test]
fn nothing_is_read_twice_in_a_boot() {
    for (kernel_bytes, options) in [
        (1_000_001, &["-t", "ext4"][..]),
        (1_000_001, &["-t", "ext2", "-b", "1024"]),
        (9_000_001, &["-t", "ext4"]),
    ] {
        let scratch = Scratch::new();
        let boot_folder = scratch.path("root/boot/grub");
        host::create_dir_all(&boot_folder).unwrap();
        host::write(boot_folder.join("menu.lst"), "timeout 0\n").unwrap();
        let (kernel, initrd) = (
            XorShift(3).bytes(kernel_bytes),
            XorShift(4).bytes(20_000_001),
        );
        host::write(scratch.path("root/boot/vmlinuz-6.1"), &kernel).unwrap();
        std::os::unix::fs::symlink("boot/vmlinuz-6.1", scratch.path("root/vmlinuz")).unwrap();
        host::write(scratch.path("root/initrd.img"), &initrd).unwrap();
        let disk = boot(make(&scratch, "48M", options), &kernel, &initrd);
        let wanted = (kernel.len() + initrd.len()) as u64;
        let more = disk.volume.get() - wanted;
        // Tables and directories, ends of chunks, and what was announced and then not wanted.
        assert!(
            more < CACHE_BYTES,
            "{options:?}: {more} bytes more than the files have"
        );
        // A kernel larger than the cache pushes things out that are wanted again. Nothing else comes twice.
        let soonest = disk.soonest.get();
        let least = if kernel_bytes as u64 > CACHE_BYTES {
            CACHE_BYTES - 2 * WINDOW_MAX
        } else {
            u64::MAX
        };
        assert!(
            soonest >= least,
            "{options:?}: read again after {soonest} bytes"
        );
    }
}

/// A file of which each block of 4 KiB lies apart from the one before: in the disk's order, and in none.
#[test]
fn a_file_in_small_pieces_is_read_in_the_disk_s_order() {
    const BLOCKS: usize = 4096;
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    let content = XorShift(5).bytes(2 * BLOCKS * BLOCK);
    host::write(scratch.path("root/file"), &content).unwrap();
    let image = make(&scratch, "48M", &["-t", "ext2", "-b", "4096"]);
    let files = fs::mount(&whole(&MemoryDisk::new(image.clone(), 512))).unwrap();
    let stretches = files.open(b"file").unwrap().stretches().unwrap();
    let blocks: Vec<u32> = stretches
        .iter()
        .flat_map(|stretch| {
            let first = u32::try_from(stretch.start.unwrap() / BLOCK as u64).unwrap();
            first..first + u32::try_from(stretch.len / BLOCK as u64).unwrap()
        })
        .collect();
    assert_eq!(blocks.len(), 2 * BLOCKS);
    let in_order: Vec<usize> = (0..BLOCKS).map(|number| number * 2).collect();
    let mut shuffled = in_order.clone();
    let mut random = XorShift(9);
    for at in (1..BLOCKS).rev() {
        shuffled.swap(at, random.below(at + 1));
    }
    for order in [in_order, shuffled] {
        let mut image = image.clone();
        let mut expected = content[..BLOCKS * BLOCK].to_vec();
        // The first twelve pointers are in the inode; each thousand and twenty-four that follow are in the block before
        // the first of theirs.
        for (number, &from) in order.iter().enumerate().skip(12) {
            let first = 12 + (number - 12) / 1024 * 1024;
            let at = (blocks[first] - 1) as usize * BLOCK + (number - first) * 4;
            assert_eq!(image[at..at + 4], blocks[number].to_le_bytes());
            image[at..at + 4].copy_from_slice(&blocks[from].to_le_bytes());
            expected[number * BLOCK..][..BLOCK].copy_from_slice(&content[from * BLOCK..][..BLOCK]);
        }
        let disk = CountingDisk::new(image);
        let device = Rc::clone(&disk) as Rc<dyn BlockDevice>;
        let files = fs::mount(&Volume::whole(Rc::new(ReadAhead::new(device)))).unwrap();
        let mut bytes = vec![0; expected.len()];
        files.open(b"file").unwrap().read_at(0, &mut bytes).unwrap();
        assert!(bytes == expected);
        // What lies between the pieces is read with them, once.
        let most = 2 * bytes.len() as u64 + CACHE_BYTES;
        let volume = disk.volume.get();
        assert!(volume <= most, "{volume} bytes read for {}", bytes.len());
    }
}

/// The files of a boot: its menu, and a kernel and an initrd one by a link.
#[cfg(feature = "more-readers")]
fn boot_tree(kernel: &[u8], initrd: &[u8]) -> Vec<(String, images::Sample)> {
    vec![
        ("boot".to_owned(), images::Sample::Directory),
        ("boot/grub".to_owned(), images::Sample::Directory),
        (
            "boot/grub/menu.lst".to_owned(),
            images::Sample::File(b"timeout 0\n".to_vec()),
        ),
        (
            "boot/vmlinuz-6.1".to_owned(),
            images::Sample::File(kernel.to_vec()),
        ),
        (
            "vmlinuz".to_owned(),
            images::Sample::Link("boot/vmlinuz-6.1"),
        ),
        (
            "initrd.img".to_owned(),
            images::Sample::File(initrd.to_vec()),
        ),
    ]
}

/// The same for file systems that are made elsewhere; packed ones are read in their own units.
#[cfg(feature = "more-readers")]
#[test]
fn nothing_is_read_twice_in_a_boot_from_xfs_and_btrfs() {
    let scratch = Scratch::new();
    let (kernel, initrd) = (XorShift(3).bytes(1_000_001), XorShift(4).bytes(20_000_001));
    let tree = boot_tree(&kernel, &initrd);
    images::write_tree(&scratch.path("root"), &tree);
    let prototype = scratch.path("prototype");
    let text = images::xfs::prototype(&scratch.path("root"), &tree);
    host::write(&prototype, text).unwrap();
    let options = ["-p", prototype.to_str().unwrap()];
    // Large enough that no file is larger than a group: mkfs.xfs writes on into the next.
    let xfs = host::read(images::xfs::make(&scratch, 320, &options)).unwrap();
    let btrfs = host::read(images::btrfs::make(&scratch, 256, &[], "root")).unwrap();
    for (name, image) in [("xfs", xfs), ("btrfs", btrfs)] {
        let disk = boot(image, &kernel, &initrd);
        let more = disk.volume.get() - (kernel.len() + initrd.len()) as u64;
        assert!(more < CACHE_BYTES, "{name}: {more} bytes more");
        let soonest = disk.soonest.get();
        assert_eq!(soonest, u64::MAX, "{name}: read again after {soonest}");
    }
}

/// The same for squashfs, of what packs and what does not, in blocks and in metadata that do and do not, either.
#[cfg(feature = "more-readers")]
#[test]
fn nothing_is_read_twice_in_a_boot_from_squashfs() {
    let scratch = Scratch::new();
    let mut kernel = XorShift(3).bytes(1_000_001);
    let mut initrd = XorShift(4).bytes(20_000_001);
    for bytes in [&mut kernel, &mut initrd] {
        // About half of each block.
        for part in bytes.chunks_mut(1000).step_by(2) {
            part.fill(7);
        }
    }
    let mut tree = boot_tree(&kernel, &initrd);
    // More metadata than the reader keeps unpacked.
    for number in 0..3000 {
        let name = format!("boot/a module's rather long name {number}");
        tree.push((name, images::Sample::File(Vec::new())));
    }
    images::write_tree(&scratch.path("root"), &tree);
    for options in [
        &["-comp", "gzip"][..],
        &["-comp", "zstd", "-b", "1M"],
        &["-comp", "lz4", "-b", "4096"],
        &["-comp", "xz", "-no-fragments"],
        &["-noI", "-noD", "-noF"],
    ] {
        let image = host::read(images::squashfs::make(&scratch, options)).unwrap();
        let len = image.len() as u64;
        let disk = boot(image, &kernel, &initrd);
        let read = disk.volume.get();
        assert!(
            read < len + CACHE_BYTES,
            "{options:?}: {read} of {len} bytes"
        );
        // Ends of files lie together, behind them all: they are wanted again when they have been pushed out.
        let soonest = disk.soonest.get();
        let least = CACHE_BYTES - 2 * WINDOW_MAX;
        assert!(soonest >= least, "{options:?}: read again after {soonest}");
    }
}
