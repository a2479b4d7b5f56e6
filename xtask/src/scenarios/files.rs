//! File systems as Linux leaves them: made by the real tools, filled by dom0's Linux, and read by the `fs` room on the
//! host, name by name. Those that are dirty are copied while they are mounted and written to; dom0's Linux replays the
//! journal of one copy, and the other is read as it is. Dirty disks boot. XFS, btrfs and squashfs are in
//! [`super::newer_files`].

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::fs::checksum::crc32c;

use crate::command::output;
use crate::problem::{Context, Result};
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{self, Entry, expect_hello_with, loader};
use crate::scenarios::tree::{self, Commit, Names};
use crate::xen::disk::{self, DiskImage, FileSystem};
use crate::xen::guest::Trouble;

const LIMIT: Duration = Duration::from_secs(420);

/// A kind of ext that is filled, and unmounted or not.
struct Kind {
    /// For mke2fs.
    options: &'static [&'static str],
    /// For mount.
    mount: &'static str,
    mib: u64,
}

macro_rules! rows {
    ($($name:literal $how:ident $mount:literal $mib:literal $options:expr;)*) => {
        &[$(Scenario {
            name: $name,
            limit: LIMIT,
            mib: 16,
            run: |stage| $how(stage, &Kind { options: &$options, mount: $mount, mib: $mib }),
        }),*]
    };
}

pub(super) const EXT: &[Scenario] = rows! {
    "fs-ext2" clean "rw" 64 ["-t", "ext2"];
    "fs-ext2-revision-0" clean "rw" 64 ["-t", "ext2", "-r", "0", "-O", "none"];
    "fs-ext2-no-filetype" clean "rw" 64 ["-t", "ext2", "-b", "1024", "-O", "^filetype,^dir_index"];
    "fs-ext3" clean "rw" 64 ["-t", "ext3", "-b", "1024"];
    "fs-ext4" clean "rw" 96 ["-t", "ext4"];
    "fs-ext4-1k" clean "rw" 96 ["-t", "ext4", "-b", "1024"];
    "fs-ext4-meta-bg" clean "rw" 96 ["-t", "ext4", "-b", "1024", "-g", "1024", "-O", "meta_bg,^resize_inode,^flex_bg"];
    "fs-ext4-sparse-super2" clean "rw" 96 ["-t", "ext4", "-b", "1024", "-O", "sparse_super2,^resize_inode"];
    "fs-ext4-bigalloc" clean "rw" 128 ["-t", "ext4", "-b", "4096", "-C", "16384", "-O", "bigalloc"];
    "fs-ext4-inline-data" clean "rw" 96 ["-t", "ext4", "-b", "4096", "-I", "512", "-O", "inline_data"];
    "fs-ext4-uninit-bg" clean "rw" 96 ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^64bit,uninit_bg"];
    "fs-ext4-large-dir-ea-inode" clean "rw" 96 ["-t", "ext4", "-b", "1024", "-O", "large_dir,ea_inode,metadata_csum_seed"];
    "fs-ext4-casefold" clean "rw" 96 ["-t", "ext4", "-O", "casefold"];
    "fs-ext4-encrypt-verity" clean "rw" 96 ["-t", "ext4", "-b", "4096", "-O", "encrypt,verity,project"];
    "fs-ext4-mmp" clean "rw" 96 ["-t", "ext4", "-O", "mmp"];
    "fs-ext4-orphan-file" clean "rw" 96 ["-t", "ext4", "-O", "orphan_file"];
    "fs-ext3-dirty" dirty "data=ordered" 64 ["-t", "ext3", "-b", "1024"];
    "fs-ext3-dirty-data" dirty "data=journal" 64 ["-t", "ext3", "-b", "4096", "-J", "size=16"];
    "fs-ext4-dirty" dirty "rw" 96 ["-t", "ext4", "-b", "4096"];
    "fs-ext4-dirty-32bit" dirty "rw" 96 ["-t", "ext4", "-b", "1024", "-O", "^64bit,^metadata_csum,uninit_bg"];
    "fs-ext4-dirty-data" dirty "data=journal" 96 ["-t", "ext4", "-b", "1024", "-J", "size=16"];
    "fs-ext4-dirty-fast-commit" dirty_fast "commit=600" 96 ["-t", "ext4", "-b", "4096", "-O", "fast_commit"];
};

pub(super) const OTHERS: &[Scenario] = &[
    Scenario {
        name: "fs-ext-large-folder",
        limit: LIMIT,
        mib: 16,
        run: large_folder,
    },
    Scenario {
        name: "fs-fat",
        limit: LIMIT,
        mib: 16,
        run: fat,
    },
    Scenario {
        name: "fs-iso9660",
        limit: LIMIT,
        mib: 16,
        run: iso9660,
    },
    Scenario {
        name: "fs-ext3-dirty-boot",
        limit: LIMIT,
        mib: 64,
        run: |stage| boot(stage, &["-t", "ext3"]),
    },
    Scenario {
        name: "fs-ext4-dirty-boot",
        limit: LIMIT,
        mib: 64,
        run: |stage| boot(stage, &["-t", "ext4", "-b", "4096"]),
    },
];

/// Makes an ext file system with the content of `folder`, if any.
fn make(stage: &Stage, options: &[&str], mib: u64, folder: Option<&Path>) -> Result<DiskImage> {
    fs::create_dir_all(&stage.folder)?;
    let path = stage.folder.join("disk.img");
    let mut command = stage.bed.tools.command("mke2fs")?;
    command.args(["-q", "-F"]).args(options);
    if let Some(folder) = folder {
        command.arg("-d").arg(folder);
    }
    output(command.arg(&path).arg(format!("{mib}M")))?;
    Ok(DiskImage::new(&path))
}

/// Mounts a disk in dom0, and returns where.
pub(super) fn mount(
    stage: &mut Stage,
    image: &DiskImage,
    options: &str,
) -> std::result::Result<String, Trouble> {
    let device = stage.plug(image)?;
    let folder = format!("/mnt{device}");
    let line = format!("mkdir -p {folder} && mount -o {options} {device} {folder}");
    let answer = stage.dom0.try_run(&line, Duration::from_secs(60))?;
    match answer.code {
        0 => Ok(folder),
        _ => Err(Trouble::Guest(format!("{line}: {}", answer.output))),
    }
}

pub(super) fn unmount(stage: &Stage, folder: &str) -> Result<()> {
    stage.dom0.run(&format!("umount {folder}")).map(drop)
}

/// A copy of a disk as it is now. Blocks of zeros are left out.
pub(super) fn copy(image: &DiskImage, name: &str) -> Result<PathBuf> {
    let to = image.path.with_file_name(name);
    let mut from = File::open(&image.path)?;
    let copy = File::create(&to)?;
    let len = from.metadata()?.len();
    copy.set_len(len)?;
    let mut block = vec![0; 1 << 16];
    let mut at = 0;
    while at < len {
        let count = from.read(&mut block)?;
        let Some(part) = block.get(..count).filter(|part| !part.is_empty()) else {
            break;
        };
        if part.iter().any(|&byte| byte != 0) {
            copy.write_all_at(part, at)?;
        }
        at += count as u64;
    }
    Ok(to)
}

/// Filled, changed, unmounted.
fn clean(stage: &mut Stage, kind: &Kind) -> Outcome {
    let image = make(stage, kind.options, kind.mib, None)?;
    compare_clean(stage, &image, kind.mount, |_, _| Ok(()))
}

/// The same, of a file system that is there; with something of its own done before the tree is listed, in the folder.
pub(super) fn compare_clean(
    stage: &mut Stage,
    image: &DiskImage,
    options: &str,
    own: impl FnOnce(&Stage, &str) -> Outcome,
) -> Outcome {
    let folder = mount(stage, image, options)?;
    tree::fill(stage, &folder, Names::Posix)?;
    tree::change(stage, &folder, Commit::Whole)?;
    own(stage, &folder)?;
    let list = tree::list(stage, &folder)?;
    unmount(stage, &folder)?;
    let files = tree::mount(&image.path)?;
    no_warnings(files.as_ref())?;
    tree::compare(files.as_ref(), &list, |_| false).map(drop)
}

pub(super) fn no_warnings(files: &dyn ::fs::FileSystem) -> Outcome {
    match files.warnings().first() {
        None => Ok(()),
        Some(warning) => Err(Trouble::Guest(warning.clone())),
    }
}

/// `s_feature_incompat` and its bit for a journal that waits.
const INCOMPAT_AT: u64 = 1024 + 0x60;
const RECOVER: u8 = 4;

/// Whether the file system in `image` says that its journal waits to be replayed.
fn is_dirty(image: &Path) -> Result<bool> {
    let mut byte = [0];
    File::open(image)?.read_exact_at(&mut byte, INCOMPAT_AT)?;
    Ok(byte[0] & RECOVER != 0)
}

/// Filled, changed, copied while something is still written; the list is of a copy that Linux has mounted, with
/// `second` as options.
pub(super) fn crashed(
    stage: &mut Stage,
    image: &DiskImage,
    [first, second]: [&str; 2],
    commit: Commit,
) -> std::result::Result<(PathBuf, String), Trouble> {
    let folder = mount(stage, image, first)?;
    tree::fill(stage, &folder, Names::Posix)?;
    tree::change(stage, &folder, commit)?;
    // Something goes on while the copy is made. With fast commits it would be in them.
    let writer =
        "i=0; while [ -e go ]; do i=$((i+1)); echo $i > more/going-on-$i; usleep 50000; done";
    if commit == Commit::Whole {
        stage.dom0.run(&format!(
            "cd {folder} && : > go && ( {writer} ) >/dev/null 2>&1 &"
        ))?;
    }
    let crash = copy(image, "crash.img")?;
    stage.dom0.run(&format!("rm -f {folder}/go"))?;
    let replayed = DiskImage::new(&copy(&DiskImage::new(&crash), "replayed.img")?);
    let second = mount(stage, &replayed, second)?;
    let list = tree::list(stage, &second)?;
    unmount(stage, &second)?;
    stage.dom0.run(&format!(
        "i=0; until umount {folder}; do i=$((i+1)); [ $i -lt 50 ] || exit 1; usleep 100000; done"
    ))?;
    Ok((crash, list))
}

fn dirty(stage: &mut Stage, kind: &Kind) -> Outcome {
    let image = make(stage, kind.options, kind.mib, None)?;
    compare_dirty(stage, &image, [kind.mount, "rw"], without_journal)
}

/// What the journal holds is seen, as Linux sees it; `without` mounts a copy that has lost its journal.
pub(super) fn compare_dirty(
    stage: &mut Stage,
    image: &DiskImage,
    options: [&str; 2],
    without: Without,
) -> Outcome {
    let (crash, list) = crashed(stage, image, options, Commit::Whole)?;
    let files = tree::mount(&crash)?;
    no_warnings(files.as_ref())?;
    tree::compare(files.as_ref(), &list, |_| false)?;
    // And it is the journal that has the new: without it the menu is the old one.
    let menu = tree::read(files.as_ref(), b"boot/grub/menu.lst")?;
    let old = tree::read(without(&crash)?.as_ref(), b"boot/grub/menu.lst");
    match old {
        Ok(old) if old == menu => Err(Trouble::Guest("the journal made no difference".to_owned())),
        _ => Ok(()),
    }
}

/// What fast commits hold is seen, as Linux sees it, and is in them alone.
fn dirty_fast(stage: &mut Stage, kind: &Kind) -> Outcome {
    let image = make(stage, kind.options, kind.mib, None)?;
    let (crash, list) = crashed(stage, &image, [kind.mount, "rw"], Commit::Fast)?;
    let files = tree::mount(&crash)?;
    no_warnings(files.as_ref())?;
    tree::compare(files.as_ref(), &list, |_| false)?;
    let plain = copy(&DiskImage::new(&crash), "plain.img")?;
    let found = without_fast_commits(&plain)?;
    let is_old = tree::mount(&plain)?.open(b"fast-last").is_err();
    if found && is_old && list.contains("fast-last") {
        return Ok(());
    }
    Err(Trouble::Guest(
        "the fast commits made no difference".to_owned(),
    ))
}

/// Spoils all blocks that begin as fast commits do; whether there are any.
fn without_fast_commits(image: &Path) -> Result<bool> {
    // EXT4_FC_TAG_HEAD, its length, no features.
    const HEAD: [u8; 8] = [9, 0, 8, 0, 0, 0, 0, 0];
    let file = OpenOptions::new().read(true).write(true).open(image)?;
    let len = file.metadata()?.len();
    let mut found = false;
    for at in (0..len).step_by(1024) {
        let mut start = [0; 8];
        file.read_exact_at(&mut start, at)?;
        if start == HEAD {
            file.write_all_at(&[0], at)?;
            found = true;
        }
    }
    Ok(found)
}

/// Mounts a copy of a dirty disk that has lost its journal.
pub(super) type Without = fn(&Path) -> std::result::Result<Box<dyn ::fs::FileSystem>, Trouble>;

/// The file system of a dirty disk as it lies: a second copy that says that it is clean.
fn without_journal(crash: &Path) -> std::result::Result<Box<dyn ::fs::FileSystem>, Trouble> {
    if !is_dirty(crash)? {
        return Err(Trouble::Bed("the copy is not dirty".to_owned()));
    }
    let plain = copy(&DiskImage::new(crash), "plain.img")?;
    let edit = || -> Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(&plain)?;
        let mut superblock = vec![0; 1024];
        file.read_exact_at(&mut superblock, 1024)?;
        superblock[0x60] &= !RECOVER;
        let sum = crc32c(!0, &superblock[..0x3fc]);
        // metadata_csum
        if superblock[0x65] & 4 != 0 {
            superblock[0x3fc..].copy_from_slice(&sum.to_le_bytes());
        }
        file.seek(SeekFrom::Start(1024))?;
        file.write_all(&superblock).context(|| "cannot write")
    };
    edit()?;
    tree::mount(&plain)
}

/// A folder of many thousand names, which Linux has made an index for as it grew.
fn large_folder(stage: &mut Stage) -> Outcome {
    const NAMES: usize = 20_000;
    let image = make(
        stage,
        &["-t", "ext4", "-b", "1024", "-N", "30000"],
        96,
        None,
    )?;
    let folder = mount(stage, &image, "rw")?;
    let mut archive = Vec::new();
    for number in 0..NAMES {
        archive.extend(empty_member(&format!(
            "many/module-{}-{number}.ko",
            number * 7919 % NAMES
        )));
    }
    archive.extend([0; 1024]);
    let archive = stage.share_bytes("many.tar", &archive)?;
    stage.dom0.run(&format!("mkdir {folder}/many"))?;
    stage.dom0.try_run(
        &format!("tar -x -f {archive} -C {folder}"),
        Duration::from_secs(240),
    )?;
    let list = stage.dom0.run(&format!(
        "ls {folder}/many | wc -l; ls {folder}/many | tail -n 1"
    ))?;
    unmount(stage, &folder)?;
    let files = tree::mount(&image.path)?;
    let count = files
        .list(b"many")
        .map_err(|error| Trouble::Guest(error.to_string()))?
        .len();
    if count != NAMES || !list.starts_with(&NAMES.to_string()) {
        return Err(Trouble::Guest(format!("{count} names, Linux has {list}")));
    }
    for number in (0..NAMES).step_by(37) {
        tree::read(
            files.as_ref(),
            format!("many/module-{}-{number}.ko", number * 7919 % NAMES).as_bytes(),
        )
        .map_err(|problem| Trouble::Guest(problem.to_string()))?;
    }
    Ok(())
}

/// An empty file in a tar archive (POSIX ustar).
fn empty_member(name: &str) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    for (at, text) in [
        (100, "0000644\0"),
        (108, "0000000\0"),
        (116, "0000000\0"),
        (124, "00000000000\0"),
        (136, "00000000000\0"),
        (148, "        "),
        (156, "0"),
        (257, "ustar\x0000"),
    ] {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn fat(stage: &mut Stage) -> Outcome {
    for kind in [FileSystem::Fat16, FileSystem::Fat32] {
        let empty = disk::fresh_folder(&stage.folder.join("empty"))?;
        let path = stage.folder.join(format!("{kind:?}.img"));
        disk::make_file_system(&stage.bed, kind, &empty, 48, &path)?;
        let image = DiskImage::new(&path);
        let folder = mount(stage, &image, "rw")?;
        tree::fill(stage, &folder, Names::Fat)?;
        let list = tree::list(stage, &folder)?;
        unmount(stage, &folder)?;
        tree::compare(tree::mount(&path)?.as_ref(), &list, |_| false)?;
    }
    Ok(())
}

/// A disc cannot be filled: the tool's own work, as Linux sees it.
fn iso9660(stage: &mut Stage) -> Outcome {
    let content = disk::fresh_folder(&stage.folder.join("content"))?;
    for number in 0..150 {
        let bytes = hello::module(number * number * 7);
        disk::put_text(
            &content,
            &format!("a folder/with folders/A.Name of {number}.text"),
            &bytes,
        )?;
    }
    let links = [
        ("link", "a folder/with folders/A.Name of 7.text"),
        ("up", "../..//link"),
    ];
    for (name, target) in links {
        std::os::unix::fs::symlink(target, content.join(name))
            .map_err(crate::problem::Problem::from)?;
    }
    let path = stage.folder.join("disc.img");
    disk::make_file_system(&stage.bed, FileSystem::Iso9660, &content, 0, &path)?;
    let folder = mount(stage, &DiskImage::new(&path), "ro")?;
    let list = tree::list(stage, &folder)?;
    unmount(stage, &folder)?;
    tree::compare(tree::mount(&path)?.as_ref(), &list, |_| false).map(drop)
}

/// A dirty ext disk boots.
fn boot(stage: &mut Stage, options: &[&str]) -> Outcome {
    let make = |stage: &Stage, content: &Path| make(stage, options, 64, Some(content));
    boot_dirty(stage, make, without_journal)
}

/// Kernel, module and menu of a disk that was never unmounted, the newest of them in its journal only. `make` makes the
/// disk from a folder.
pub(super) fn boot_dirty(
    stage: &mut Stage,
    make: impl FnOnce(&Stage, &Path) -> Result<DiskImage>,
    without: Without,
) -> Outcome {
    let module = hello::module(700_001);
    let content = disk::fresh_folder(&stage.folder.join("content"))?;
    let menu = |words: &str, kernel: &str| {
        format!(
            "default 0\ntimeout 0\ntitle Hello\n  root (hd0)\n  kernel /boot/{kernel} words={words}\n  initrd /boot/module\n"
        )
    };
    disk::put_text(&content, "boot/hello", &hello::program(stage, Entry::Pv)?)?;
    disk::put_text(&content, "boot/module", &module)?;
    disk::put_text(&content, "boot/menu.lst", menu("old", "hello").as_bytes())?;
    let image = make(stage, &content)?;
    let folder = mount(stage, &image, "rw")?;
    let newer = stage.share_bytes("menu", menu("new", "renamed").as_bytes())?;
    stage.dom0.run(&format!(
        "cd {folder}/boot && sync -f . && dd if={newer} of=menu.new conv=fsync && mv menu.new menu.lst && mv hello renamed && echo x | dd of=later conv=fsync"
    ))?;
    let crash = copy(&image, "crash.img")?;
    unmount(stage, &folder)?;
    let old = tree::read(without(&crash)?.as_ref(), b"boot/menu.lst")?;
    if old != menu("old", "hello").as_bytes() {
        return Err(Trouble::Bed(
            "the changes are in their places already".to_owned(),
        ));
    }
    let device = stage.plug(&DiskImage::new(&crash))?;
    let config = loader(stage, 64)?
        .extra("(hd0)/boot/menu.lst")
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    expect_hello_with(&mut guest, "words=new", &module)
}
