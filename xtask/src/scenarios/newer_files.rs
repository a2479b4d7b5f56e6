//! XFS, btrfs and squashfs as Linux leaves them, in the same way as [`super::files`]; and Debian's kernel booted from
//! each.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::text;
use crate::problem::{Context, Problem, Result};
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::files::{self, compare_clean, compare_dirty, no_warnings};
use crate::scenarios::hello::{self, loader};
use crate::scenarios::tree::{self, Commit, Names};
use crate::xen::disk::{self, DiskImage, FileSystem, Table};
use crate::xen::guest::Trouble;
use crate::xen::ramdisk::{self, Recipe};

const LIMIT: Duration = Duration::from_secs(420);

macro_rules! rows {
    ($($name:literal $mib:literal $run:expr;)*) => {
        pub(super) const TABLE: &[Scenario] =
            &[$(Scenario { name: $name, limit: LIMIT, mib: $mib, run: $run }),*];
    };
}

rows! {
    "fs-xfs" 16 |stage| xfs(stage, &[]);
    "fs-xfs-1k" 16 |stage| xfs(stage, &["-b", "size=1024"]);
    "fs-xfs-64k-folders" 16 |stage| xfs(stage, &["-n", "size=65536"]);
    "fs-xfs-features" 16 |stage| xfs(stage, &["-m", "reflink=1,rmapbt=1,bigtime=1,inobtcount=1", "-i", "nrext64=1"]);
    "fs-xfs-v4" 16 |stage| xfs(stage, &["-m", "crc=0"]);
    "fs-xfs-dirty" 16 |stage| xfs_dirty(stage, &[]);
    "fs-xfs-dirty-1k" 16 |stage| xfs_dirty(stage, &["-b", "size=1024", "-n", "size=65536"]);
    "fs-xfs-dirty-v4" 16 |stage| xfs_dirty(stage, &["-m", "crc=0"]);
    "fs-xfs-dirty-boot" 64 xfs_dirty_boot;
    "fs-btrfs-single" 16 |stage| btrfs(stage, &["-m", "single", "-d", "single"], "rw");
    "fs-btrfs-dup" 16 |stage| btrfs(stage, &["-m", "dup", "-d", "dup"], "rw");
    "fs-btrfs-zlib" 16 |stage| btrfs(stage, &[], "compress-force=zlib");
    "fs-btrfs-lzo" 16 |stage| btrfs(stage, &[], "compress-force=lzo");
    "fs-btrfs-zstd" 16 |stage| btrfs(stage, &[], "compress-force=zstd");
    "fs-btrfs-xxhash" 16 |stage| btrfs(stage, &["--csum", "xxhash"], "rw");
    "fs-btrfs-subvolume" 16 subvolume;
    "fs-btrfs-dirty" 16 btrfs_dirty;
    "fs-squashfs" 16 squashfs;
    "boot-xfs" 256 |stage| debian(stage, FileSystem::Xfs);
    "boot-btrfs" 256 |stage| debian(stage, FileSystem::Btrfs);
    "boot-squashfs" 256 |stage| debian(stage, FileSystem::Squashfs);
}

/// An empty XFS, for a dom0 that does not put changes in their places before it must.
fn empty_xfs(stage: &Stage, options: &[&str]) -> Result<DiskImage> {
    stage.load_modules(&["xfs"])?;
    stage
        .dom0
        .run("echo 720000 > /proc/sys/fs/xfs/xfssyncd_centisecs")?;
    fs::create_dir_all(&stage.folder)?;
    let path = stage.folder.join("disk.img");
    disk::make_xfs(&stage.bed, None, 96, options, &path)?;
    Ok(DiskImage::new(&path))
}

fn xfs(stage: &mut Stage, options: &[&str]) -> Outcome {
    let image = empty_xfs(stage, options)?;
    compare_clean(stage, &image, "rw", |_, _| Ok(()))
}

fn xfs_dirty(stage: &mut Stage, options: &[&str]) -> Outcome {
    let image = empty_xfs(stage, options)?;
    // The first is still mounted when its copy is, which has the same UUID.
    compare_dirty(stage, &image, ["rw", "nouuid"], without_log)
}

fn xfs_dirty_boot(stage: &mut Stage) -> Outcome {
    let make = |stage: &Stage, content: &Path| {
        let image = empty_xfs(stage, &[])?;
        disk::make_file_system(&stage.bed, FileSystem::Xfs, content, 64, &image.path)?;
        Ok(image)
    };
    files::boot_dirty(stage, make, without_log)
}

/// A copy of an XFS that has lost its log.
fn without_log(crash: &Path) -> std::result::Result<Box<dyn ::fs::FileSystem>, Trouble> {
    let plain = files::copy(&DiskImage::new(crash), "plain.img")?;
    let edit = || -> Result<()> {
        let file = fs::OpenOptions::new().read(true).write(true).open(&plain)?;
        let mut superblock = [0; 128];
        file.read_exact_at(&mut superblock, 0)?;
        let number = |at: usize| {
            let bytes = superblock[at..at + 4].iter();
            bytes.fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        };
        let (block_bytes, group_blocks, log_blocks) = (number(4), number(84), number(96));
        let (start, shift) = (number(48) << 32 | number(52), superblock[124]);
        let block = (start >> shift) * group_blocks + (start & ((1 << shift) - 1));
        // Not with zeros: that is a log never used.
        let ones = vec![1; usize::try_from(log_blocks * block_bytes).unwrap_or(0)];
        file.write_all_at(&ones, block * block_bytes)
            .context(|| "cannot write")
    };
    edit()?;
    tree::mount(&plain)
}

fn empty_btrfs(stage: &Stage, options: &[&str]) -> Result<DiskImage> {
    stage.load_modules(&["btrfs", "xxhash_generic"])?;
    let empty = disk::fresh_folder(&stage.folder.join("empty"))?;
    let path = stage.folder.join("disk.img");
    disk::make_btrfs(&stage.bed, &empty, 256, options, &path)?;
    Ok(DiskImage::new(&path))
}

fn btrfs(stage: &mut Stage, options: &[&str], mount: &str) -> Outcome {
    let image = empty_btrfs(stage, options)?;
    compare_clean(stage, &image, mount, |_, _| Ok(()))
}

/// This machine's own `btrfs` for dom0, with its libraries and the loader that fits them; returns how it is called.
fn btrfs_program(stage: &Stage) -> Result<String> {
    let program = PathBuf::from(stage.bed.tools.command("btrfs")?.get_program());
    let mut call = String::new();
    for line in text(Command::new("ldd").arg(&program))?.lines() {
        let word = line.split_whitespace().find(|word| word.starts_with('/'));
        let Some(file) = word else { continue };
        let shared = stage.share(&fs::canonicalize(file)?)?;
        // Libraries are looked for by the names that the program has for them.
        let name = Path::new(file).file_name().and_then(|name| name.to_str());
        let name = name.context(|| "a library without a name")?;
        let folder = "/tmp/btrfs";
        stage.dom0.run(&format!(
            "mkdir -p {folder} && ln -sf {shared} {folder}/{name}"
        ))?;
        if name.starts_with("ld-linux") {
            call = format!("{folder}/{name} --library-path {folder} ");
        }
    }
    if call.is_empty() {
        return Err(Problem::new("btrfs needs no dynamic loader"));
    }
    Ok(call + &stage.share(&program)?)
}

/// Paths begin in the default subvolume, and lead into others.
fn subvolume(stage: &mut Stage) -> Outcome {
    let image = empty_btrfs(stage, &[])?;
    let program = btrfs_program(stage)?;
    let top = files::mount(stage, &image, "rw")?;
    stage.dom0.run(&format!(
        "set -e; {program} subvolume create {top}/@; echo top > {top}/top; {program} subvolume set-default {top}/@"
    ))?;
    files::unmount(stage, &top)?;
    compare_clean(stage, &image, "compress=zstd", |stage, folder| {
        stage.dom0.run(&format!(
            "set -e; cd {folder}; {program} subvolume create inner; echo inner > inner/file; sync -f .; \
             {program} subvolume snapshot . old; echo newer > inner/newer; rm boot/grub/menu.lst"
        ))?;
        Ok(())
    })
}

/// What was written since the whole tree was is in the log of files synced alone: the reader says so and has the tree
/// as it was, as Linux does that is told to leave the log alone.
fn btrfs_dirty(stage: &mut Stage) -> Outcome {
    let image = empty_btrfs(stage, &[])?;
    let folder = files::mount(stage, &image, "commit=600")?;
    tree::fill(stage, &folder, Names::Posix)?;
    tree::change(stage, &folder, Commit::Whole)?;
    stage.dom0.run(&format!(
        "cd {folder} && sync -f . && echo later | dd of=boot/later conv=fsync && echo newer | dd of=boot/grub/menu.lst conv=fsync"
    ))?;
    let crash = files::copy(&image, "crash.img")?;
    // Two of the same UUID are not mounted side by side.
    files::unmount(stage, &folder)?;
    let mut lists = Vec::new();
    for (name, options) in [
        ("left.img", "ro,rescue=nologreplay"),
        ("replayed.img", "rw"),
    ] {
        let copied = DiskImage::new(&files::copy(&DiskImage::new(&crash), name)?);
        let folder = files::mount(stage, &copied, options)?;
        lists.push(tree::list(stage, &folder)?);
        files::unmount(stage, &folder)?;
    }
    let read = tree::mount(&crash)?;
    let expected = "not unmounted; files synced in its last seconds are read as they were before";
    if read.warnings() != [expected] {
        return Err(Trouble::Guest(format!("it says {:?}", read.warnings())));
    }
    match lists.as_slice() {
        [left, replayed] if left != replayed && replayed.contains("boot/later") => {
            tree::compare(read.as_ref(), left, |_| false).map(drop)
        }
        _ => Err(Trouble::Bed("the log is empty".to_owned())),
    }
}

/// A tree packed in each way; Linux and the reader see the same.
fn squashfs(stage: &mut Stage) -> Outcome {
    stage.load_modules(&["squashfs"])?;
    let content = disk::fresh_folder(&stage.folder.join("content"))?;
    for number in 0..150 {
        let bytes = match number % 3 {
            0 => hello::module(number * number * 7),
            _ => format!("{number} ").repeat(number * number).into_bytes(),
        };
        let name = format!("a folder/with folders/file number {number}");
        disk::put_text(&content, &name, &bytes)?;
    }
    let links = [
        ("link", "a folder/with folders/file number 7"),
        ("up", "../..//link"),
    ];
    for (name, target) in links {
        std::os::unix::fs::symlink(target, content.join(name)).map_err(Problem::from)?;
    }
    for packing in ["gzip", "xz", "lzo", "lz4", "zstd"] {
        let path = stage.folder.join(format!("{packing}.img"));
        disk::make_squashfs(&stage.bed, &content, packing, &path)?;
        let folder = files::mount(stage, &DiskImage::new(&path), "ro")?;
        let list = tree::list(stage, &folder)?;
        files::unmount(stage, &folder)?;
        let read = tree::mount(&path)?;
        no_warnings(read.as_ref())?;
        tree::compare(read.as_ref(), &list, |_| false)?;
    }
    Ok(())
}

/// Debian's kernel and an initrd from a partition of this kind, to user space.
fn debian(stage: &mut Stage, kind: FileSystem) -> Outcome {
    const PATIENCE: Duration = Duration::from_secs(120);
    let kernel = stage.bed.debian12.clone();
    let content = disk::fresh_folder(&stage.folder.join("content"))?;
    let recipe = Recipe {
        payload_bytes: 3_000_000,
        ..Recipe::default()
    };
    let initrd = ramdisk::build(&stage.bed, &kernel, &recipe)?;
    disk::put(&content, "boot/vmlinuz", &kernel.image)?;
    disk::put_text(&content, "boot/initrd.img", &initrd.bytes)?;
    let menu = "default 0\ntimeout 0\ntitle Debian\n root (hd0,0)\n kernel /boot/vmlinuz console=hvc0\n initrd /boot/initrd.img\n";
    disk::put_text(&content, "boot/grub/menu.lst", menu.as_bytes())?;
    let part = stage.folder.join("part.img");
    disk::make_file_system(&stage.bed, kind, &content, 160, &part)?;
    let image = disk::join(Table::Mbr, &[part], 512, &stage.folder.join("disk.img"))?;
    let device = stage.plug(&image)?;
    let config = loader(stage, 256)?
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    let name = format!("Filesystem type is {}", format!("{kind:?}").to_lowercase());
    guest.expect(&name, PATIENCE)?;
    let sum = format!("GUEST: payload-sha256={}", initrd.payload_sha256);
    guest.expect(&sum, PATIENCE)?;
    guest.expect("GUEST: user space reached", PATIENCE)?;
    hello::expect_end(&mut guest, 0)
}
