//! The witness guest, booted by xl and by the loader: what the two hand over must be the same.
//!
//! `tests/guests/witness/README.md` explains the report; [`compare`] holds the list of allowed differences. GRUB 2,
//! which is known to hand over less, shows that the witness sees what is wrong.

mod compare;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use elf::ElfBytes;
use elf::abi::PT_LOAD;
use elf::endian::LittleEndian;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::guests::{
    self, LEGACY_32, LINUX, LINUX_32, OLD_LINUX, PLAIN, PLAIN_32, VANDAL, Variant, Width,
};
use crate::problem::{Problem, Result};
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::wide32;
use crate::workspace;
use crate::xen::disk::{self, DiskImage, FileSystem, Table};
use crate::xen::guest::{Config, Trouble};

const TWO_MINUTES: Duration = Duration::from_secs(120);
const FOUR_MINUTES: Duration = Duration::from_secs(240);
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const TEN_MINUTES: Duration = Duration::from_secs(600);
/// Not a multiple of 2 MiB, so that the p2m list ends in the middle of a page.
const MIB: u32 = 129;
/// Given to the witness both ways; blanks and quotes must arrive as they are.
const ARGUMENTS: &str = "console=hvc0  two-blanks quoted=\"a b\" last";
/// Not a multiple of a page, so that the module's last page has a rest.
const MODULE_BYTES: usize = 300_001;
const PAGE: usize = 4096;

const MENU: &str = "\
default 0
timeout 0
title Witness
    kernel (hd0,0)/boot/witness ARGUMENTS
    initrd (hd0,0)/boot/module
";

/// Three entries that fail, each later than the one before, and then the one that must not notice.
const MENU_WITH_FAILURES: &str = "\
default 0
fallback 1 2 3
timeout 0
title No kernel
    kernel (hd0,0)/boot/nowhere
title Half a kernel
    kernel (hd0,0)/boot/half ARGUMENTS
    initrd (hd0,0)/boot/module
title No module
    kernel (hd0,0)/boot/witness ARGUMENTS
    initrd (hd0,0)/boot/nowhere
title Witness
    kernel (hd0,0)/boot/witness ARGUMENTS
    initrd (hd0,0)/boot/module
";

/// The kernel packed, and nothing beside it.
const MENU_BARE: &str = "\
default 0
timeout 0
title Witness
    kernel (hd0,0)/boot/witness.gz ARGUMENTS
";

/// The entry is reached by keys, and its module comes from the second disk, which has no partitions.
const MENU_OF_TWO_DISKS: &str = "\
default 0
timeout 200
title Not this one
    kernel (hd0,0)/boot/nowhere
title Witness
    kernel (hd0,0)/boot/witness ARGUMENTS
    initrd (hd1)/boot/module
";

const MENU_OF_LOADER: &str = "\
default 0
timeout 0
title The loader once more
    kernel (hd0,0)/boot/pv-grub.gz (hd0,0)/boot/grub/second.lst
";

const MENU_OF_GRUB2: &str = "\
set root=(xen/xvda,msdos1)
linux /boot/witness ARGUMENTS
initrd /boot/module
boot
";

/// How a pair of boots is set up.
struct Case<'a> {
    variant: &'a Variant,
    mib: u32,
    /// `/boot/grub/menu.lst`.
    menu: &'a str,
    /// More lines for xl.cfg, the same for both boots.
    lines: &'a [&'a str],
    /// The module's length in bytes.
    module: Option<usize>,
    disks: Disks,
}

/// What the guest has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Disks {
    /// `xvda` with all files.
    One,
    /// And `xvdb` with the same files, but no partition table.
    Two,
}

impl<'a> Case<'a> {
    const fn of(variant: &'a Variant) -> Self {
        Case {
            variant,
            mib: MIB,
            menu: MENU,
            lines: &[],
            module: Some(MODULE_BYTES),
            disks: Disks::One,
        }
    }
}

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "witness-repeats",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: |stage| repeats(stage, &Case::of(&LINUX)),
    },
    Scenario {
        name: "witness-linux",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: |stage| loaded(stage, &Case::of(&LINUX)),
    },
    Scenario {
        name: "witness-oldlinux",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: |stage| loaded(stage, &Case::of(&OLD_LINUX)),
    },
    Scenario {
        name: "witness-plain",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: |stage| loaded(stage, &Case::of(&PLAIN)),
    },
    Scenario {
        name: "witness-large",
        limit: FIVE_MINUTES,
        mib: 2049,
        run: |stage| {
            let case = Case {
                mib: 2049,
                lines: &["vcpus=2", "maxmem=2100"],
                ..Case::of(&LINUX)
            };
            loaded(stage, &case)
        },
    },
    Scenario {
        name: "witness-p2m-edge",
        limit: FIVE_MINUTES,
        mib: 1024,
        run: |stage| {
            // 2 MiB of p2m list: exactly one table's worth.
            let case = Case {
                mib: 1024,
                ..Case::of(&LINUX)
            };
            loaded(stage, &case)
        },
    },
    Scenario {
        name: "witness-layout-edge",
        limit: TEN_MINUTES,
        mib: MIB,
        run: layout_edge,
    },
    Scenario {
        name: "witness-bare",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: |stage| {
            let case = Case {
                menu: MENU_BARE,
                module: None,
                ..Case::of(&PLAIN)
            };
            loaded(stage, &case)
        },
    },
    Scenario {
        name: "witness-two-disks",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: |stage| {
            let case = Case {
                menu: MENU_OF_TWO_DISKS,
                disks: Disks::Two,
                ..Case::of(&OLD_LINUX)
            };
            loaded(stage, &case)
        },
    },
    Scenario {
        name: "witness-after-failures",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: |stage| {
            let case = Case {
                menu: MENU_WITH_FAILURES,
                ..Case::of(&OLD_LINUX)
            };
            loaded(stage, &case)
        },
    },
    Scenario {
        name: "witness-loaded-twice",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: |stage| {
            let case = Case {
                menu: MENU_OF_LOADER,
                ..Case::of(&LINUX)
            };
            loaded(stage, &case)
        },
    },
    Scenario {
        name: "witness-sees-faults",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: sees_faults,
    },
    Scenario {
        name: "witness-32",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: |stage| thirty_two_bits(stage, &LINUX_32, repeats),
    },
    Scenario {
        name: "witness-32-loaded",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: loaded_32,
    },
    Scenario {
        name: "witness-sees-grub2",
        limit: FIVE_MINUTES,
        mib: MIB,
        run: sees_grub2,
    },
];

/// A witness, its module and disks with both, as dom0 sees them.
struct Props {
    kernel: String,
    module: Option<String>,
    devices: Vec<String>,
}

/// Bytes without any pattern that a shifted or swapped page would keep; never zero, so that trailing zeros are padding.
pub(super) fn module(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24).max(1).to_le_bytes()[0]
        })
        .collect()
}

/// Builds the case's witness.
fn build(stage: &Stage, case: &Case<'_>) -> std::result::Result<PathBuf, Trouble> {
    let include = guests::xen_headers(&stage.bed)?;
    // A compiler's complaint is no reason to try another machine.
    guests::witness(&include, case.variant, &stage.folder)
        .map_err(|problem| Trouble::Guest(problem.to_string()))
}

fn props(stage: &mut Stage, case: &Case<'_>) -> std::result::Result<Props, Trouble> {
    let program = build(stage, case)?;
    let (disk, bare) = disks_of(stage, case, &program)?;
    let mut devices = vec![stage.plug(&disk)?];
    if case.disks == Disks::Two {
        devices.push(stage.plug(&bare)?);
    }
    let module = match case.module {
        Some(bytes) => Some(stage.share_bytes("module", &module(bytes))?),
        None => None,
    };
    Ok(Props {
        kernel: stage.share(&program)?,
        module,
        devices,
    })
}

/// A disk with all that any of the menus names, with and without a partition table.
fn disks_of(stage: &Stage, case: &Case<'_>, program: &Path) -> Result<(DiskImage, DiskImage)> {
    let length = case.module.unwrap_or_default();
    let folder = stage.folder.join(format!("disk-{length}"));
    let content = disk::fresh_folder(&folder.join("content"))?;
    let text = |menu: &str| menu.replace("ARGUMENTS", ARGUMENTS).into_bytes();
    let bytes = std::fs::read(program)?;
    let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&bytes)?;
    disk::put(&content, "boot/witness", program)?;
    disk::put_text(&content, "boot/witness.gz", &packed.finish()?)?;
    disk::put_text(&content, "boot/half", half)?;
    disk::put_text(&content, "boot/module", &module(length))?;
    disk::put(&content, "boot/pv-grub.gz", &stage.loader)?;
    disk::put_text(&content, "boot/grub/menu.lst", &text(case.menu))?;
    disk::put_text(&content, "boot/grub/second.lst", &text(MENU))?;
    disk::put_text(&content, "boot/grub/grub.cfg", &text(MENU_OF_GRUB2))?;
    let part = folder.join("part.img");
    // GRUB 2.06 cannot read what mke2fs of today makes, and the file system is not what these rows are about.
    disk::make_file_system(&stage.bed, FileSystem::Ext3, &content, 16, &part)?;
    let whole = disk::join(
        Table::Mbr,
        std::slice::from_ref(&part),
        512,
        &folder.join("disk.img"),
    )?;
    Ok((whole, DiskImage::new(&part)))
}

/// Boots one guest, typing `keys` at its menu if there are any, and returns all it wrote.
fn report(
    stage: &mut Stage,
    case: &Case<'_>,
    props: &Props,
    config: Config,
    keys: Option<&[u8]>,
) -> std::result::Result<String, Trouble> {
    let mut config = case
        .lines
        .iter()
        .fold(config, |config, line| config.line(line))
        .interface(9);
    for (name, device) in ["xvda", "xvdb"].iter().zip(&props.devices) {
        config = config.disk(&format!("vdev={name},access=rw,target={device}"));
    }
    let mut guest = stage.start(&config)?;
    if let Some(keys) = keys {
        guest.expect("Not this one", TWO_MINUTES)?;
        guest.type_keys(keys)?;
    }
    guest.expect("WITNESS done", FOUR_MINUTES)?;
    let reason = guest.wait_gone(TWO_MINUTES)?;
    if reason != 0 {
        return Err(Trouble::Guest(format!(
            "the witness ended with reason {reason}"
        )));
    }
    Ok(String::from_utf8_lossy(&guest.console()).into_owned())
}

fn by_xl(
    stage: &mut Stage,
    case: &Case<'_>,
    props: &Props,
) -> std::result::Result<String, Trouble> {
    let mut config = Config::new(&props.kernel, case.mib).extra(ARGUMENTS);
    if let Some(module) = &props.module {
        config = config.ramdisk(module);
    }
    let report = report(stage, case, props, config, None)?;
    let of_width = match case.variant.width {
        Width::Bits64 => compare::FACTS_64,
        Width::Bits32 => compare::FACTS_32,
    };
    let of_module = match case.module {
        Some(_) => compare::FACTS_MODULE,
        None => &["module=none, mod_start 0x0"],
    };
    for facts in [compare::FACTS, of_width, of_module] {
        accept(
            &compare::missing_lines(&report, facts),
            "a boot by xl is not as known",
        )?;
    }
    Ok(report)
}

/// Two boots by xl: the same to the letter, or the witness prints what it should not.
fn repeats(stage: &mut Stage, case: &Case<'_>) -> Outcome {
    let props = props(stage, case)?;
    let first = by_xl(stage, case, &props)?;
    let second = by_xl(stage, case, &props)?;
    accept(&compare::exactly(&first, &second), "two boots by xl differ")
}

/// One boot by xl, one by the loader.
fn loaded(stage: &mut Stage, case: &Case<'_>) -> Outcome {
    let props = props(stage, case)?;
    let direct = by_xl(stage, case, &props)?;
    let loader = match case.variant.width {
        Width::Bits64 => stage.share(&stage.loader)?,
        Width::Bits32 => stage.share(&wide32::loader(stage))?,
    };
    let config = Config::new(&loader, case.mib).extra("(hd0,0)/boot/grub/menu.lst");
    // Down, then Enter.
    let keys: Option<&[u8]> = (case.disks == Disks::Two).then_some(b"\x1b[B\r");
    let loaded = report(stage, case, &props, config, keys)?;
    let differences = if case.lines.contains(&"pvshim=1") {
        compare::compare_in_shim(&direct, &loaded)
    } else {
        compare::compare(&direct, &loaded)
    };
    accept(&differences, "the loader hands over something else than xl")
}

/// The mapping ends on 4 MiB and grows by as much when the module needs one page more: on both sides of that step the
/// loader must come to xl's result.
fn layout_edge(stage: &mut Stage) -> Outcome {
    let case = Case::of(&PLAIN);
    let program = std::fs::read(build(stage, &case)?).map_err(Problem::from)?;
    let image = ElfBytes::<LittleEndian>::minimal_parse(&program)
        .map_err(|error| Trouble::Guest(error.to_string()))?;
    let end = image
        .segments()
        .into_iter()
        .flatten()
        .filter(|segment| segment.p_type == PT_LOAD)
        .map(|segment| segment.p_paddr + segment.p_memsz)
        .max()
        .unwrap_or_default();
    let image_pages = usize::try_from(end).unwrap_or_default().div_ceil(PAGE);
    let list_pages = (MIB as usize * 256 * 8).div_ceil(PAGE);
    // Behind the module: the list, start_info and two rings, five tables, the stack, and 512 KiB.
    let others = image_pages + list_pages + 3 + 5 + 1 + 128;
    let last_that_fits = 1024_usize.saturating_sub(others);
    for pages in last_that_fits.saturating_sub(1)..=last_that_fits + 1 {
        let case = Case {
            module: Some(pages * PAGE),
            ..Case::of(&PLAIN)
        };
        let ends = loaded(stage, &case);
        ends.map_err(|trouble| match trouble {
            Trouble::Guest(why) => Trouble::Guest(format!("with {pages} pages: {why}")),
            other => other,
        })?;
    }
    Ok(())
}

/// A witness that spoils things first reports each of them.
fn sees_faults(stage: &mut Stage) -> Outcome {
    let case = Case::of(&VANDAL);
    let props = props(stage, &case)?;
    let config = Config::new(&props.kernel, case.mib);
    let spoilt = report(stage, &case, &props, config, None)?;
    accept(
        &compare::missing_lines(&spoilt, VANDALISM),
        "the witness overlooks",
    )
}

/// What `vandal.c` does, as it must show.
const VANDALISM: &[&str] = &[
    "image.bss=not zero",
    "cpu.gdt.guest_descriptors=1",
    "cpu.dr0=0x1000",
    "cpu.fs_base=0x1000",
    "event.pending_selectors=0x2",
    "event.pending=1 ports: 70",
    "event.masked=1 ports: 69",
    "event.other=port 3 unbound",
    "event.other=port 4 virq",
    "event.others=2",
    "tables.nonzero_absent_entries=1",
    "p2m.entries_m2p_disagrees=0x1",
    // The GDT's page and the table pinned on its own.
    "frames.others_not_writable=2",
    "memory.written_by_others=1 blocks of 256 KiB",
    "grant.leftovers=1",
    // A header of 16 bytes and one digit.
    "store.responses_unread=17",
    "store/data/vandal=",
    "virq.debug=error -17",
    "store.watches_until_quota=128 then E2BIG",
    "store.transactions_until_quota=10 then ENOSPC",
    "vcpu_info=was registered elsewhere, or cannot be",
];

/// The 32-bit witness, in the shim where Xen itself runs no 32-bit guests, as Debian's does not.
fn thirty_two_bits(
    stage: &mut Stage,
    variant: &Variant,
    check: fn(&mut Stage, &Case<'_>) -> Outcome,
) -> Outcome {
    let shim = stage.share(&stage.bed.file("/boot/xen-shim")?)?;
    let path = format!("pvshim_path=\"{shim}\"");
    let lines = ["type=\"pvh\"", "pvshim=1", &path];
    let case = Case {
        lines: match workspace::hypervisor_with_pv32() {
            Some(_) => &[],
            None => &lines,
        },
        ..Case::of(variant)
    };
    check(stage, &case)
}

/// The shim lays domains out itself: only at address 0 does it make as many tables as xl's library.
fn loaded_32(stage: &mut Stage) -> Outcome {
    let variants: &[&Variant] = match workspace::hypervisor_with_pv32() {
        Some(_) => &[&PLAIN_32, &LINUX_32, &LEGACY_32],
        None => &[&PLAIN_32],
    };
    for variant in variants {
        thirty_two_bits(stage, variant, loaded)?;
    }
    Ok(())
}

/// GRUB 2 boots the same witness; what it is known to hand over differently must show.
fn sees_grub2(stage: &mut Stage) -> Outcome {
    let case = Case::of(&LINUX);
    let props = props(stage, &case)?;
    let direct = by_xl(stage, &case, &props)?;
    let grub = stage.share(&stage.bed.file("/grub-x86_64-xen.bin")?)?;
    let loaded = report(stage, &case, &props, Config::new(&grub, case.mib), None)?;
    let seen: Vec<String> = compare::compare(&direct, &loaded)
        .iter()
        .map(ToString::to_string)
        .collect();
    let overlooked: Vec<&str> = KNOWN_OF_GRUB2
        .iter()
        .filter(|known| !seen.iter().any(|line| line.contains(*known)))
        .copied()
        .collect();
    if overlooked.is_empty() {
        return Ok(());
    }
    Err(Trouble::Guest(format!(
        "the witness overlooks of GRUB 2: {}; it sees {}",
        overlooked.join(", "),
        seen.join("; ")
    )))
}

/// The two rings change places, the tables of the p2m list count as the kernel's own, pages are mapped global and for
/// users, quotes move in the command line, the module's last page has leftovers, and so has xenstore.
const KNOWN_OF_GRUB2: &[&str] = &[
    "start_info.store_pfn_less_own:",
    "start_info.nr_pt_frames:",
    "tables.at_pt_base:",
    "tables.flags.L1:",
    "start_info.cmd_line:",
    "module.after_its_end:",
    "store/device/vbd/51712/ring-ref",
];

fn accept(differences: &[compare::Difference], what: &str) -> Outcome {
    if differences.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = differences.iter().map(|d| format!("\n    {d}")).collect();
    Err(Trouble::Guest(format!("{what}:{}", lines.concat())))
}
