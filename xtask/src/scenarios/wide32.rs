//! 32-bit guests, through Debian's xen-shim: the hypervisor itself is built without them.
//!
//! A guest of the shim sees a PV hypervisor of its own, with real back ends behind it.

mod same;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bed::Bed;
use crate::guests::{self, LEGACY_32, LINUX_32, PLAIN_32};
use crate::problem::{Context, Result};
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{self, Entry};
use crate::scenarios::{media, witness};
use crate::workspace;
use crate::xen::disk::{self, DiskImage, FileSystem, Table};
use crate::xen::guest::{Config, Guest, Trouble};

const TWO_MINUTES: Duration = Duration::from_secs(120);
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const TEN_MINUTES: Duration = Duration::from_secs(600);
const MIB: u32 = 192;
/// What is added to a guest's memory for the shim, which takes about a quarter of it in small guests.
pub(super) const SHIM_MIB: u32 = 64;
const LARGE_MIB: u32 = 3072;
/// More than 32 bits address, and so more than the loader maps.
const HUGE_MIB: u32 = 5120;
/// Bytes of a module that is large for 32 bits: about a third of what a 32-bit kernel can map.
const LARGE_MODULE: usize = 300 << 20;

pub(super) use same::TABLE as SAME;

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "shim-grub",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| chain(stage, &Case::default()),
    },
    Scenario {
        name: "shim-gpt-fat",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| {
            let case = Case {
                table: Table::Gpt,
                kind: FileSystem::Fat32,
                ..Case::default()
            };
            chain(stage, &case)
        },
    },
    Scenario {
        name: "shim-gpt-ext4",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| {
            let case = Case {
                table: Table::Gpt,
                kind: FileSystem::Ext4,
                ..Case::default()
            };
            chain(stage, &case)
        },
    },
    Scenario {
        name: "shim-twice",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| {
            let case = Case {
                start: Start::Menu("twice.lst"),
                ..Case::default()
            };
            chain(stage, &case)
        },
    },
    Scenario {
        name: "shim-ramdisk-menu",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| {
            let case = Case {
                start: Start::Ramdisk,
                ..Case::default()
            };
            chain(stage, &case)
        },
    },
    Scenario {
        name: "shim-refuses-64bit",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| {
            let config = shim(&stage.share(&loader(stage))?, MIB);
            refuse(
                stage,
                config,
                "64bit.lst",
                "this is a 64-bit kernel; start this domain with pv-grub-x86_64.gz",
            )
        },
    },
    Scenario {
        name: "refuses-32bit",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| {
            let config = Config::new(&stage.share(&stage.loader)?, MIB);
            refuse(
                stage,
                config,
                "menu.lst",
                "this is a 32-bit kernel; start this domain with pv-grub-x86_32.gz",
            )
        },
    },
    Scenario {
        name: "shim-large-module",
        limit: TEN_MINUTES,
        mib: LARGE_MIB,
        run: large_module,
    },
    Scenario {
        name: "shim-5g-legacy",
        limit: TEN_MINUTES,
        mib: HUGE_MIB,
        run: huge_legacy,
    },
    Scenario {
        name: "shim-5g-too-large",
        limit: FIVE_MINUTES,
        mib: HUGE_MIB,
        run: too_large,
    },
    Scenario {
        name: "shim-64bit",
        limit: FIVE_MINUTES,
        mib: 320,
        run: shim_64,
    },
];

/// How the chain from menu to GRUB is set up.
struct Case {
    table: Table,
    kind: FileSystem,
    start: Start,
}

/// Where the loader's menu comes from.
enum Start {
    /// This file below `/boot/grub` on the disk.
    Menu(&'static str),
    /// The domain's ramdisk.
    Ramdisk,
}

impl Default for Case {
    fn default() -> Self {
        Case {
            table: Table::Mbr,
            kind: FileSystem::Ext3,
            start: Start::Menu("menu.lst"),
        }
    }
}

/// What GRUB's menu entry writes: only its own configuration can know.
pub(crate) const GRUB_SAYS: &str = "GRUB read its menu from the same disk";

const MENU: &str = "default 0\ntimeout 0\ntitle GRUB\n  root (hd0,0)\n  kernel /boot/grub.bin\n";
const MENU_OF_LOADER: &str = "default 0\ntimeout 0\ntitle The loader once more\n  root (hd0,0)\n  kernel /boot/pv-grub.gz (hd0,0)/boot/grub/menu.lst\n";
const MENU_OF_64_BITS: &str =
    "default 0\ntimeout 0\ntitle Debian\n  root (hd0,0)\n  kernel /boot/vmlinuz\n";

/// The 32-bit loader.
pub(super) fn loader(stage: &Stage) -> PathBuf {
    stage.loader.with_file_name("pv-grub-x86_32.gz")
}

/// A guest of the shim.
fn shim(kernel: &str, mib: u32) -> Config {
    in_shim(Config::new(kernel, mib))
}

/// The same guest, but in the shim, unless the hypervisor needs none.
pub(crate) fn in_shim(config: Config) -> Config {
    if workspace::hypervisor_with_pv32().is_some() {
        return config;
    }
    config.line("type=\"pvh\"").line("pvshim=1")
}

/// A disk of the run, made by whoever needs it first.
fn disk_with(stage: &Stage, table: Table, kind: FileSystem) -> Result<DiskImage> {
    let loader = loader(stage);
    stage.image(&format!("wide32-{table:?}-{kind:?}"), |bed, folder| {
        make_with(bed, folder, &loader, table, kind)
    })
}

/// The sample disk of 32-bit guests, in `folder`.
///
/// # Errors
/// When a tool fails.
pub(crate) fn make(bed: &Bed, folder: &Path, loader: &Path) -> Result<DiskImage> {
    make_with(bed, folder, loader, Table::Mbr, FileSystem::Ext3)
}

/// A disk with GRUB's 32-bit image, the loader and a 64-bit kernel. GRUB's own menu is in the last partition, which is
/// of a kind that it can read: GRUB 2.06 does not know what mke2fs of today makes of ext4.
fn make_with(
    bed: &Bed,
    folder: &Path,
    loader: &Path,
    table: Table,
    kind: FileSystem,
) -> Result<DiskImage> {
    let content = disk::fresh_folder(&folder.join("content"))?;
    let grub = bed.file("/grub-i386-xen.bin")?;
    disk::put(&content, "boot/grub.bin", &grub)?;
    disk::put(&content, "boot/pv-grub.gz", loader)?;
    disk::put(&content, "boot/vmlinuz", &bed.debian12.image)?;
    for (name, menu) in [
        ("menu.lst", MENU),
        ("twice.lst", MENU_OF_LOADER),
        ("64bit.lst", MENU_OF_64_BITS),
    ] {
        disk::put_text(&content, &format!("boot/grub/{name}"), menu.as_bytes())?;
    }
    let first = folder.join("part0.img");
    let second = folder.join("part1.img");
    let (own, mut parts) = match kind {
        FileSystem::Ext4 => (disk::fresh_folder(&folder.join("content1"))?, vec![second]),
        _ => (content.clone(), Vec::new()),
    };
    let entry = format!(
        "set timeout=0\nmenuentry 'here' {{\n  echo '{GRUB_SAYS}'\n  cat /boot/grub/said\n  sleep --interruptible 60\n  halt\n}}\n"
    );
    disk::put_text(&own, "boot/grub/grub.cfg", entry.as_bytes())?;
    disk::put_text(&own, "boot/grub/said", b"and a file as well\n")?;
    for part in &parts {
        disk::make_file_system(bed, FileSystem::Ext3, &own, 16, part)?;
    }
    disk::make_file_system(bed, kind, &content, 48, &first)?;
    parts.insert(0, first);
    disk::join(table, &parts, 512, &folder.join("disk.img"))
}

/// Loader, menu, GRUB, its own menu: from one disk.
fn chain(stage: &mut Stage, case: &Case) -> Outcome {
    let disk = disk_with(stage, case.table, case.kind)?;
    let device = stage.plug(&disk)?;
    let mut config = shim(&stage.share(&loader(stage))?, MIB)
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    config = match case.start {
        Start::Menu(name) => config.extra(&format!("(hd0,0)/boot/grub/{name}")),
        Start::Ramdisk => config.ramdisk(&stage.share_bytes("menu", MENU.as_bytes())?),
    };
    let mut guest = stage.start(&config)?;
    guest.expect("(x86_32)", TWO_MINUTES)?;
    if matches!(case.start, Start::Menu("twice.lst")) {
        guest.expect("(x86_32)", TWO_MINUTES)?;
    }
    guest.expect(GRUB_SAYS, TWO_MINUTES)?;
    guest.expect("and a file as well", TWO_MINUTES)?;
    // Only then may it go: what a guest of the shim writes last is lost when it ends before anybody has read it.
    guest.type_keys(b"\x1b")?;
    match guest.wait_gone(TWO_MINUTES)? {
        0 => Ok(()),
        reason => Err(Trouble::Guest(format!("GRUB ended with reason {reason}"))),
    }
}

/// A kernel of the wrong width: said so, with the way out, and the menu goes on.
fn refuse(stage: &mut Stage, config: Config, menu: &str, words: &str) -> Outcome {
    let disk = disk_with(stage, Table::Mbr, FileSystem::Ext3)?;
    let device = stage.plug(&disk)?;
    let config = config
        .extra(&format!("(hd0,0)/boot/grub/{menu}"))
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    guest.expect("Error 13", TWO_MINUTES)?;
    guest.expect(words, TWO_MINUTES)?;
    Ok(())
}

/// A guest of 3 GiB whose module of 300 MiB is read from disk and arrives whole: the witness reads every byte.
fn large_module(stage: &mut Stage) -> Outcome {
    let include = guests::xen_headers(&stage.bed)?;
    let program = guests::witness(&include, &LINUX_32, &stage.folder)?;
    let module = witness::module(LARGE_MODULE);
    let hash = hello::fnv1a(&module);
    let mut guest = start_witness(stage, &program, &module, LARGE_MIB)?;
    guest.expect(&format!("WITNESS module.hash={hash:#x}"), TEN_MINUTES)?;
    guest.expect(
        &format!("WITNESS module.len_without_trailing_zeros={LARGE_MODULE:#x}"),
        TEN_MINUTES,
    )?;
    guest.expect("WITNESS done", TEN_MINUTES)?;
    Ok(())
}

/// A guest with frames beyond 4 GiB, and a kernel too old to have its top page table there.
fn huge_legacy(stage: &mut Stage) -> Outcome {
    let include = guests::xen_headers(&stage.bed)?;
    let program = guests::witness(&include, &LEGACY_32, &stage.folder)?;
    let mut guest = start_witness(stage, &program, &witness::module(300_001), HUGE_MIB)?;
    let place = guest.expect("NOTE top table in frame 0x", FIVE_MINUTES)?;
    match u64::from_str_radix(place.trim(), 16) {
        Ok(frame) if frame < 1 << 20 => {}
        _ => return Err(Trouble::Guest(format!("the top table is in frame {place}"))),
    }
    guest.expect("WITNESS cpu.cr3=pt_base", FIVE_MINUTES)?;
    guest.expect("WITNESS tables.top_pinned=yes", FIVE_MINUTES)?;
    guest.expect("WITNESS p2m.entries_m2p_disagrees=0x0", FIVE_MINUTES)?;
    guest.expect("WITNESS done", FIVE_MINUTES)?;
    Ok(())
}

/// In a guest with memory for all of it: initrds beyond what the kernel's addresses, and then the loader's, can show are
/// refused before anything is read, with the reason, and the menu goes on.
fn too_large(stage: &mut Stage) -> Outcome {
    let include = guests::xen_headers(&stage.bed)?;
    let content = disk::fresh_folder(&stage.folder.join("content"))?;
    let at_0 = guests::witness(&include, &PLAIN_32, &stage.folder)?;
    disk::put(&content, "boot/at-0", &at_0)?;
    let at_3g = hello::program(stage.of_32_bits(), Entry::Pv)?;
    disk::put_text(&content, "boot/at-3g", &at_3g)?;
    for (name, mib) in [("900", 900), ("3750", 3750)] {
        let file = std::fs::File::create(content.join("boot").join(name));
        file.and_then(|file| file.set_len(mib << 20))
            .context(|| "cannot make a sparse file")?;
    }
    let menu = "default 0\nfallback 1 2\ntimeout 0\n\
        title one\n root (hd0,0)\n kernel /boot/at-3g\n initrd /boot/900\n\
        title two\n root (hd0,0)\n kernel /boot/at-0\n initrd /boot/3750\n\
        title three\n root (hd0,0)\n kernel /boot/at-3g after=refusals\n";
    disk::put_text(&content, "boot/grub/menu.lst", menu.as_bytes())?;
    let part = stage.folder.join("part.img");
    disk::make_file_system(&stage.bed, FileSystem::Ext4, &content, 5000, &part)?;
    let image = disk::join(Table::Mbr, &[part], 512, &stage.folder.join("disk.img"))?;
    let device = stage.plug(&image)?;
    let config = shim(&stage.share(&loader(stage))?, HUGE_MIB)
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    for words in [
        "Error 28",
        "beyond 0xf5800000 where its addresses end",
        "Error 28",
        "and a 32-bit loader has addresses for 3670 MiB",
    ] {
        guest.expect(words, FIVE_MINUTES)?;
    }
    hello::expect_hello(&mut guest, "after=refusals")
}

/// Starts the loader with a disk whose menu boots `program` with `module`.
fn start_witness(
    stage: &mut Stage,
    program: &Path,
    module: &[u8],
    mib: u32,
) -> std::result::Result<Guest, Trouble> {
    let content = disk::fresh_folder(&stage.folder.join("content"))?;
    disk::put(&content, "boot/witness", program)?;
    disk::put_text(&content, "boot/module", module)?;
    let menu = "default 0\ntimeout 0\ntitle Witness\n  root (hd0,0)\n  kernel /boot/witness\n  initrd /boot/module\n";
    disk::put_text(&content, "boot/grub/menu.lst", menu.as_bytes())?;
    let part = stage.folder.join("part.img");
    let size = 32 + (module.len() as u64 >> 20) * 11 / 10;
    disk::make_file_system(&stage.bed, FileSystem::Ext4, &content, size, &part)?;
    let image = disk::join(Table::Mbr, &[part], 512, &stage.folder.join("disk.img"))?;
    let device = stage.plug(&image)?;
    let config = shim(&stage.share(&loader(stage))?, mib)
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    stage.start(&config)
}

/// The 64-bit loader and Debian's kernel as guests of the shim.
fn shim_64(stage: &mut Stage) -> Outcome {
    let kernel = stage.bed.debian12.clone();
    let disk = media::sample(stage, &kernel)?;
    let device = stage.plug(&disk)?;
    let loader = stage.share(&stage.loader)?;
    let config = shim(&loader, 320)
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    guest.expect("(x86_64)", TWO_MINUTES)?;
    let sum = media::sample_payload_sha256(stage, &kernel)?;
    guest.expect(&format!("GUEST: payload-sha256={sum}"), TWO_MINUTES)?;
    guest.expect("GUEST: mounted xvda1 as ext4", TWO_MINUTES)?;
    guest.expect("GUEST: user space reached", TWO_MINUTES)?;
    Ok(())
}
