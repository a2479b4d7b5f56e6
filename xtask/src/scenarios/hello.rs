//! The hello guest and disks for it: what scenarios boot that ask only whether the right kernel was started, with the
//! right words and the right module.
//!
//! Source: `tests/guests/hello`. It is up in no time, where Linux takes many seconds under emulation.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::bed::Bed;
use crate::command::{find, output};
use crate::guests::Width;
use crate::problem::{Context, Result};
use crate::scenario::{Outcome, Stage};
use crate::scenarios::wide32;
use crate::workspace;
use crate::xen::disk::{self, DiskImage, FileSystem, Table};
use crate::xen::guest::{Config, Guest, Trouble};

/// How long a scenario waits for one line. The machine may be busy with another guest.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The entry kinds that the hello guest may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// As every PV guest.
    Pv,
    /// PVH alone, which PV loaders must refuse.
    PvhOnly,
}

/// The hello guest's ELF file, of the width that the stage is about.
///
/// # Errors
/// When there is no `gcc`, or it refuses.
pub(crate) fn program(stage: &Stage, entry: Entry) -> Result<Vec<u8>> {
    let name = match (entry, stage.width) {
        (Entry::Pv, Width::Bits64) => "hello",
        (Entry::Pv, Width::Bits32) => "hello-32",
        (Entry::PvhOnly, _) => "hello-pvh",
    };
    let file = stage.file(name, |bed, file| build(bed, entry, stage.width, file))?;
    Ok(std::fs::read(file)?)
}

/// Builds it as `program`.
///
/// # Errors
/// When there is no `gcc`, or it refuses.
pub(crate) fn build(bed: &Bed, entry: Entry, width: Width, program: &Path) -> Result<()> {
    let source = workspace::root().join("tests/guests/hello");
    let header = bed.file("/include/xen/xen.h")?;
    let include = header
        .ancestors()
        .nth(2)
        .context(|| "xen.h lies in no folder")?;
    let mut gcc = Command::new(find("gcc").context(|| "the hello guest needs gcc")?);
    gcc.args(["-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror"]);
    // Freestanding, at a fixed address, without any state but general registers.
    gcc.args([
        "-ffreestanding",
        "-fno-pic",
        "-no-pie",
        "-static",
        "-nostdlib",
    ]);
    gcc.arg("-mgeneral-regs-only");
    gcc.args(match width {
        Width::Bits64 => [
            "-m64",
            "-mno-red-zone",
            "-mcmodel=kernel",
            "-Wl,--defsym=hello_base=0xffffffff80000000",
        ],
        // 32-bit hypercalls take all other registers.
        Width::Bits32 => [
            "-m32",
            "-fomit-frame-pointer",
            "-march=i686",
            "-Wl,--defsym=hello_base=0xc0000000",
        ],
    });
    gcc.args(["-fno-stack-protector", "-fcf-protection=none"]);
    gcc.args(["-fno-asynchronous-unwind-tables", "-Wl,--build-id=none"]);
    gcc.args(["-Wl,-z,noexecstack", "-Wl,-z,max-page-size=4096"]);
    if entry == Entry::PvhOnly {
        gcc.arg("-DHELLO_PVH_ONLY");
    }
    gcc.arg("-isystem").arg(include);
    gcc.arg(format!("-Wl,-T,{}", source.join("hello.ld").display()));
    gcc.arg(source.join("hello.c")).arg("-o").arg(program);
    output(&mut gcc)?;
    Ok(())
}

/// A module with a rest in its last page, and nothing that a shifted or swapped page would keep.
pub(crate) fn module(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[5]
        })
        .collect()
}

/// The hash by which guests tell what they were handed: FNV-1a, 64 bits.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// What the guest prints of a module: its length, and the hash of its bytes.
pub(crate) fn module_line(module: &[u8]) -> String {
    format!("HELLO module={} hash={:x}", module.len(), fnv1a(module))
}

/// A file on a disk: its path, and what it holds.
pub(crate) type Content = (String, Vec<u8>);

/// The same, from literals.
pub(crate) fn content(path: &str, bytes: impl AsRef<[u8]>) -> Content {
    (path.to_owned(), bytes.as_ref().to_vec())
}

/// One partition, or the whole disk.
pub(crate) struct Part {
    /// The file system on it.
    pub(crate) kind: FileSystem,
    /// What is in it.
    pub(crate) content: Vec<Content>,
}

impl Part {
    /// ext4 with this content.
    pub(crate) fn ext4(content: Vec<Content>) -> Self {
        Part {
            kind: FileSystem::Ext4,
            content,
        }
    }
}

/// Makes a disk for this scenario alone; `name` tells its disks apart.
///
/// # Errors
/// When a tool fails.
pub(crate) fn make_disk(
    stage: &Stage,
    name: &str,
    table: Table,
    sector_bytes: u32,
    parts: &[Part],
) -> Result<DiskImage> {
    let folder = stage.folder.join(name);
    let mut images = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let files = disk::fresh_folder(&folder.join(format!("content{index}")))?;
        for (path, bytes) in &part.content {
            disk::put_text(&files, path.trim_start_matches('/'), bytes)?;
        }
        let total: usize = part.content.iter().map(|(_, bytes)| bytes.len()).sum();
        let least = match part.kind {
            FileSystem::Fat32 => 40,
            FileSystem::Fat16 => 16,
            _ => 8,
        };
        let mib = u64::try_from(total >> 20).unwrap_or(0) * 5 / 4 + least;
        let image = folder.join(format!("part{index}.img"));
        disk::make_file_system(&stage.bed, part.kind, &files, mib, &image)?;
        images.push(image);
    }
    disk::join(table, &images, sector_bytes, &folder.join("disk.img"))
}

/// A disk with an MBR and one ext4 partition, plugged in; returns its device in dom0.
///
/// # Errors
/// When a tool fails or dom0 does not see the disk.
pub(crate) fn plug_ext4(stage: &mut Stage, content: Vec<Content>) -> Result<String> {
    let image = make_disk(stage, "disk", Table::Mbr, 512, &[Part::ext4(content)])?;
    stage.plug(&image)
}

/// A guest that starts the loader, of the width that the stage is about; a 32-bit one in the shim, with as much memory
/// as that takes for itself added.
///
/// # Errors
/// When the image cannot be shown to dom0.
pub(crate) fn loader(stage: &Stage, mib: u32) -> Result<Config> {
    Ok(match stage.width {
        Width::Bits64 => Config::new(&stage.share(&stage.loader)?, mib),
        Width::Bits32 => {
            let loader = stage.share(&wide32::loader(stage))?;
            wide32::in_shim(Config::new(&loader, mib + wide32::SHIM_MIB))
        }
    })
}

/// The loader with the menu on `device`, which is `xvda`.
///
/// # Errors
/// As [`loader`].
pub(crate) fn loader_on(stage: &Stage, mib: u32, device: &str) -> Result<Config> {
    Ok(loader(stage, mib)?
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!("vdev=xvda,access=rw,target={device}")))
}

/// The hello guest started with exactly these words, and powers off.
pub(crate) fn expect_hello(guest: &mut Guest, words: &str) -> Outcome {
    guest.expect(&format!("HELLO cmdline=[{words}]"), SOON)?;
    expect_end(guest, 0)
}

/// As [`expect_hello`], with this module.
pub(crate) fn expect_hello_with(guest: &mut Guest, words: &str, module: &[u8]) -> Outcome {
    guest.expect(&format!("HELLO cmdline=[{words}]"), SOON)?;
    guest.expect(&module_line(module), SOON)?;
    expect_end(guest, 0)
}

/// The domain ends for this reason (`SHUTDOWN_*` of Xen's `sched.h`).
pub(crate) fn expect_end(guest: &mut Guest, reason: u32) -> Outcome {
    match guest.wait_gone(SOON)? {
        found if found == reason => Ok(()),
        found => Err(Trouble::Guest(format!(
            "the guest ended with reason {found}, not {reason}"
        ))),
    }
}
