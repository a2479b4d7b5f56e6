//! Disk images for guests: file systems made by Debian's own tools, partition tables written here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::gpt;
use crate::bed::Bed;
use crate::command::output;
use crate::problem::{Context, Problem, Result};

/// Where partitions start, as today's tools align them.
pub(crate) const MIB: u64 = 1 << 20;

/// Whether guests may write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Neither QEMU nor the guest writes.
    ReadOnly,
    /// The image may change.
    ReadWrite,
}

/// An image that can be plugged into dom0.
#[derive(Clone, Debug)]
pub(crate) struct DiskImage {
    /// The file.
    pub(crate) path: PathBuf,
    /// Logical sector size in bytes: 512 or 4096.
    pub(crate) sector_bytes: u32,
    /// Whether it may be written.
    pub(crate) access: Access,
}

impl DiskImage {
    /// A writable disk with 512-byte sectors.
    pub(crate) fn new(path: &Path) -> Self {
        DiskImage {
            path: path.to_path_buf(),
            sector_bytes: 512,
            access: Access::ReadWrite,
        }
    }
}

/// The kind of file system a partition holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileSystem {
    /// ext4 with the defaults of today's mke2fs (Debian 13's): metadata_csum_seed and orphan_file included.
    Ext4,
    /// ext4 with the defaults of Debian 12, the newest kind that its GRUB 2 reads.
    Ext4OfDebian12,
    /// ext3.
    Ext3,
    /// ext2 with 1 KiB blocks.
    Ext2,
    /// FAT16 with long names.
    Fat16,
    /// FAT32 with long names.
    Fat32,
    /// ISO9660 with Rock Ridge; the image is as large as its content.
    Iso9660,
    /// XFS with the defaults of this machine's mkfs.xfs; names without blanks.
    Xfs,
    /// btrfs with the defaults of this machine's mkfs.btrfs.
    Btrfs,
    /// squashfs with xz; the image is as large as its content.
    Squashfs,
}

/// The partition table around file systems.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Table {
    /// No table: the file system fills the disk.
    None,
    /// MBR with primary partitions.
    Mbr,
    /// MBR whose partitions are all logical, so they count from 5.
    MbrLogical,
    /// GPT.
    Gpt,
}

/// Makes a file system of `mib` MiB in the new file `image`, with the content of `folder`.
///
/// # Errors
/// When a tool is missing or fails, for instance because the content does not fit.
pub(crate) fn make_file_system(
    bed: &Bed,
    kind: FileSystem,
    folder: &Path,
    mib: u64,
    image: &Path,
) -> Result<()> {
    let tool = |name: &str| bed.tools.command(name);
    if image.exists() {
        fs::remove_file(image)?;
    }
    match kind {
        FileSystem::Iso9660 => {
            output(
                tool("xorriso")?
                    .args(["-as", "mkisofs", "-quiet", "-R", "-V", "PVGRUB", "-o"])
                    .arg(image)
                    .arg(folder),
            )?;
            // A whole number of the largest sector size, so that it can also be a partition.
            let file = OpenOptions::new().write(true).open(image)?;
            file.set_len(file.metadata()?.len().next_multiple_of(4096))?;
            return Ok(());
        }
        FileSystem::Fat16 | FileSystem::Fat32 => {
            File::create(image)?.set_len(mib * MIB)?;
            let width = if kind == FileSystem::Fat16 {
                "16"
            } else {
                "32"
            };
            output(
                tool("mkfs.vfat")?
                    .args(["-F", width, "-n", "PVGRUB"])
                    .arg(image),
            )?;
            let mut entries: Vec<PathBuf> = Vec::new();
            for entry in fs::read_dir(folder)? {
                entries.push(entry?.path());
            }
            if !entries.is_empty() {
                output(
                    tool("mcopy")?
                        .args(["-s", "-Q", "-i"])
                        .arg(image)
                        .args(&entries)
                        .arg("::/")
                        .env("MTOOLS_SKIP_CHECK", "1"),
                )?;
            }
            return Ok(());
        }
        FileSystem::Xfs => return make_xfs(bed, Some(folder), mib, &[], image),
        FileSystem::Btrfs => return make_btrfs(bed, folder, mib, &[], image),
        FileSystem::Squashfs => return make_squashfs(bed, folder, "xz", image),
        FileSystem::Ext4 | FileSystem::Ext4OfDebian12 | FileSystem::Ext3 | FileSystem::Ext2 => {}
    }
    let mut command = tool("mke2fs")?;
    command
        .args([
            "-q",
            "-F",
            "-L",
            "pvgrub",
            "-U",
            "3e6be9de-8139-4c4a-9106-a43f08d823a6",
            "-d",
        ])
        .arg(folder);
    match kind {
        FileSystem::Ext4 => command.args([
            "-t",
            "ext4",
            "-O",
            "64bit,metadata_csum,metadata_csum_seed,orphan_file",
            "-b",
            "4096", // what usual sizes get, and what 4096-byte sectors need
        ]),
        FileSystem::Ext4OfDebian12 => command.args([
            "-t",
            "ext4",
            "-O",
            "64bit,metadata_csum,^metadata_csum_seed,^orphan_file",
            "-b",
            "4096",
        ]),
        FileSystem::Ext3 => command.args(["-t", "ext3"]),
        _ => command.args(["-t", "ext2", "-b", "1024"]),
    };
    output(command.arg(image).arg(format!("{mib}M")))?;
    Ok(())
}

/// Makes XFS of `mib` MiB, 64 at least, with more `options` for mkfs.xfs.
///
/// # Errors
/// When mkfs.xfs is missing or fails.
pub(crate) fn make_xfs(
    bed: &Bed,
    folder: Option<&Path>,
    mib: u64,
    options: &[&str],
    image: &Path,
) -> Result<()> {
    File::create(image)?.set_len(mib.max(64) * MIB)?;
    // The smallest that it makes by itself are 300 MiB.
    let mut command = bed.tools.command("mkfs.xfs")?;
    command
        .args(["-q", "--unsupported", "-L", "pvgrub"])
        .args(options);
    if let Some(folder) = folder {
        let prototype = image.with_extension("prototype");
        let mut text = "-\n0 0\nd--755 0 0\n".to_owned();
        prototype_of(folder, &mut text)?;
        fs::write(&prototype, text)?;
        command.arg("-p").arg(prototype);
    }
    output(command.arg(image)).map(drop)
}

/// The lines of a prototype (`mkfs.xfs -p`) for the content of `folder`, up to the one that ends it.
fn prototype_of(folder: &Path, text: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            text.push_str(&format!("{name} d--755 0 0\n"));
            prototype_of(&entry.path(), text)?;
        } else {
            text.push_str(&format!("{name} ---644 0 0 {}\n", entry.path().display()));
        }
    }
    text.push_str("$\n");
    Ok(())
}

/// Makes btrfs of `mib` MiB, 128 at least, with more `options` for mkfs.btrfs.
///
/// # Errors
/// When mkfs.btrfs is missing or fails.
pub(crate) fn make_btrfs(
    bed: &Bed,
    folder: &Path,
    mib: u64,
    options: &[&str],
    image: &Path,
) -> Result<()> {
    File::create(image)?.set_len(mib.max(128) * MIB)?;
    let mut command = bed.tools.command("mkfs.btrfs")?;
    command.args(["-q", "-L", "pvgrub"]).args(options);
    output(command.arg("--rootdir").arg(folder).arg(image)).map(drop)
}

/// Packs `folder` as squashfs.
///
/// # Errors
/// When mksquashfs is missing or fails.
pub(crate) fn make_squashfs(bed: &Bed, folder: &Path, packing: &str, image: &Path) -> Result<()> {
    let mut command = bed.tools.command("mksquashfs")?;
    command.arg(folder).arg(image);
    command.args(["-comp", packing, "-noappend", "-quiet", "-no-progress"]);
    output(&mut command).map(drop)
}

/// Joins file systems into one disk image at `image`, each aligned to 1 MiB, behind the given table.
///
/// # Errors
/// When files cannot be read or written, or a table cannot hold so many partitions.
pub(crate) fn join(
    table: Table,
    parts: &[PathBuf],
    sector_bytes: u32,
    image: &Path,
) -> Result<DiskImage> {
    let mut disk = File::create(image).context(|| format!("cannot make {}", image.display()))?;
    let sector = u64::from(sector_bytes);
    let mut at = if table == Table::None { 0 } else { MIB };
    let mut extents = Vec::new();
    for part in parts {
        if table == Table::MbrLogical {
            at += MIB; // room for the logical partition's own table
        }
        let length = copy_sparse(part, &mut disk, at)?;
        extents.push((at / sector, length.div_ceil(sector)));
        at = (at + length).next_multiple_of(MIB);
    }
    if table != Table::None {
        at += MIB; // the second GPT
    }
    disk.set_len(at.max(MIB))?;
    match table {
        Table::None => {}
        Table::Mbr => write_mbr(&mut disk, &extents)?,
        Table::MbrLogical => write_logical(&mut disk, &extents, sector)?,
        Table::Gpt => gpt::write(&mut disk, &extents, sector)?,
    }
    Ok(DiskImage {
        path: image.to_path_buf(),
        sector_bytes,
        access: Access::ReadWrite,
    })
}

/// Copies a file to `offset` of `to`, leaving out blocks of zeros; returns its length.
fn copy_sparse(from: &Path, to: &mut File, offset: u64) -> Result<u64> {
    let mut file = File::open(from).context(|| format!("cannot open {}", from.display()))?;
    let mut block = vec![0; 1 << 16];
    let mut at = offset;
    loop {
        let mut filled = 0;
        while filled < block.len() {
            match file.read(&mut block[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            return Ok(at - offset);
        }
        if block[..filled].iter().any(|&b| b != 0) {
            to.seek(SeekFrom::Start(at))?;
            to.write_all(&block[..filled])?;
        }
        at += filled as u64;
    }
}

/// One entry of a partition table of the MBR kind: type and place in sectors.
pub(crate) fn mbr_entry(kind: u8, first: u64, count: u64) -> [u8; 16] {
    let mut entry = [0; 16];
    let no_cylinders = [0xfe, 0xff, 0xff];
    entry[1..4].copy_from_slice(&no_cylinders);
    entry[4] = kind;
    entry[5..8].copy_from_slice(&no_cylinders);
    entry[8..12].copy_from_slice(&u32::try_from(first).unwrap_or(u32::MAX).to_le_bytes());
    entry[12..16].copy_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    entry
}

/// Writes up to four table entries and the signature into the sector at byte `at`.
pub(crate) fn write_entries(disk: &mut File, at: u64, entries: &[[u8; 16]]) -> Result<()> {
    if entries.len() > 4 {
        return Err(Problem::new(
            "a partition table of the MBR kind holds four partitions",
        ));
    }
    disk.seek(SeekFrom::Start(at + 446))?;
    for entry in entries {
        disk.write_all(entry)?;
    }
    disk.seek(SeekFrom::Start(at + 510))?;
    disk.write_all(&[0x55, 0xaa])?;
    Ok(())
}

const LINUX: u8 = 0x83;
const EXTENDED: u8 = 0x05;

fn write_mbr(disk: &mut File, extents: &[(u64, u64)]) -> Result<()> {
    let entries: Vec<_> = extents
        .iter()
        .map(|&(first, count)| mbr_entry(LINUX, first, count))
        .collect();
    write_entries(disk, 0, &entries)
}

/// Logical partitions: a chain of tables, each 1 MiB before its partition, inside one extended partition.
fn write_logical(disk: &mut File, extents: &[(u64, u64)], sector: u64) -> Result<()> {
    let gap = MIB / sector;
    let (Some(&(first, _)), Some(&(last, last_count))) = (extents.first(), extents.last()) else {
        return Ok(());
    };
    let base = first - gap;
    write_entries(
        disk,
        0,
        &[mbr_entry(EXTENDED, base, last + last_count - base)],
    )?;
    for (index, &(start, count)) in extents.iter().enumerate() {
        let mut entries = vec![mbr_entry(LINUX, gap, count)];
        if let Some(&(next, next_count)) = extents.get(index + 1) {
            entries.push(mbr_entry(EXTENDED, next - gap - base, next_count + gap)); // relative to the first
        }
        write_entries(disk, (start - gap) * sector, &entries)?;
    }
    Ok(())
}

/// Copies `from` into the folder being filled, making parents.
///
/// # Errors
/// When the file cannot be copied.
pub(crate) fn put(folder: &Path, path: &str, from: &Path) -> Result<()> {
    let to = folder.join(path);
    fs::create_dir_all(to.parent().unwrap_or(folder))?;
    fs::copy(from, &to)
        .context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Writes text into the folder being filled, making parents.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn put_text(folder: &Path, path: &str, text: &[u8]) -> Result<()> {
    let to = folder.join(path);
    fs::create_dir_all(to.parent().unwrap_or(folder))?;
    fs::write(&to, text).context(|| format!("cannot write {}", to.display()))
}

/// An empty folder for a disk's content.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn fresh_folder(path: &Path) -> Result<PathBuf> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir_all(path)?;
    Ok(path.to_path_buf())
}
