//! What 64-bit guests are shown to do, for 32-bit ones: the same functions, with the stage told so.

use std::fs;
use std::time::Duration;

use super::SHIM_MIB;
use crate::problem::Context;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{self, Entry, content, expect_hello, plug_ext4};
use crate::scenarios::places::{self, Place};
use crate::scenarios::{menu, packing, refusals};
use crate::xen::disk::FileSystem::{Ext2, Ext3, Ext4, Fat16, Iso9660};
use crate::xen::disk::Table;

const LIMIT: Duration = Duration::from_secs(240);
/// A guest's memory, without the shim's.
const MIB: u32 = 64;

macro_rules! rows {
    ($($name:literal $run:expr;)*) => {
        &[$(Scenario {
            name: $name,
            limit: LIMIT,
            mib: MIB + SHIM_MIB,
            run: |stage| $run(stage.of_32_bits()),
        }),*]
    };
}

macro_rules! place {
    ($table:ident $kinds:expr, $sector:literal $vdev:literal $roots:expr) => {
        |stage: &mut Stage| {
            places::place(
                stage,
                &Place {
                    table: Table::$table,
                    kinds: &$kinds,
                    sector_bytes: $sector,
                    vdev: $vdev,
                    roots: &$roots,
                },
            )
        }
    };
}

pub(in crate::scenarios) const TABLE: &[Scenario] = rows! {
    "shim-place-mbr-logical" place!(MbrLogical [Ext2, Ext3], 512 "xvda" ["(hd0,5)"]);
    "shim-place-gpt" place!(Gpt [Ext2, Ext4], 512 "xvda" ["(hd0,1)"]);
    "shim-place-partition" place!(None [Ext4], 512 "xvda1" ["(hd0)", "(hd0,0)"]);
    "shim-place-fat16" place!(Mbr [Fat16], 512 "xvda" ["(hd0,0)"]);
    "shim-place-iso9660" place!(None [Iso9660], 512 "xvda" ["(hd0)"]);
    "shim-place-4096" place!(Gpt [Ext4], 4096 "xvda" ["(hd0,0)"]);
    "shim-place-cdrom" places::cdrom;
    "shim-place-qdisk" places::qdisk;
    "shim-place-two-disks" places::two_disks;
    "shim-place-28-disks" places::many_disks;
    "shim-menu-in-ramdisk" places::ramdisk_menu;
    "shim-menu-default-places" |stage| places::default_places(stage, Table::None, "(hd0)");
    "shim-savedefault" menu::save_default;
    "shim-packings" packings;
    "shim-refuse-missing" refusals::missing;
    "shim-fallback" refusals::fallback;
};

/// The hello guest in every packing that Linux knows, one entry after another in one menu.
fn packings(stage: &mut Stage) -> Outcome {
    let elf = hello::program(stage, Entry::Pv)?;
    let file = stage.folder.join("hello");
    fs::write(&file, &elf).context(|| "cannot write the hello guest")?;
    let mut files = Vec::new();
    let commands: &[(&str, &[&str])] = &[
        ("gzip", &["gzip", "-c"]),
        ("bzip2", &["bzip2", "-9", "-c"]),
        ("lzma", &["xz", "--format=lzma", "-c"]),
        ("xz", &["xz", "--check=crc32", "--x86", "--lzma2=", "-c"]),
        ("lzop", &["lzop", "-c"]),
        ("lz4", &["lz4", "-l", "-c"]),
        ("zstd", &["zstd", "-19", "-c"]),
    ];
    for (name, command) in commands {
        let payload = packing::filter(&stage.bed, command, &file)?;
        let kernel = packing::bzimage(&payload, elf.len());
        files.push(content(&format!("boot/{name}"), kernel));
        let menu = format!(
            "timeout 0\ntitle {name}\n root (hd0,0)\n kernel /boot/{name} packed-by={name}\n"
        );
        files.push(content(&format!("boot/{name}.lst"), menu));
    }
    let device = plug_ext4(stage, files)?;
    for (name, _) in commands {
        let config = hello::loader(stage, MIB)?
            .extra(&format!("(hd0,0)/boot/{name}.lst"))
            .disk(&format!("vdev=xvda,access=rw,target={device}"));
        let mut guest = stage.start(&config)?;
        guest.expect("[bzImage, ", hello::SOON)?;
        expect_hello(&mut guest, &format!("packed-by={name}"))?;
    }
    Ok(())
}
