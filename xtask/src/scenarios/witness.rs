//! The witness guest, booted by xl and by the loader: what the two hand over must be the same.
//!
//! `tests/guests/witness/README.md` explains the report; [`compare`] holds the list of allowed differences.

mod compare;

use std::time::Duration;

use crate::guests::{self, LINUX, OLD_LINUX, PLAIN, Variant};
use crate::problem::Result;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::xen::disk::{self, DiskImage, FileSystem, Table};
use crate::xen::guest::{Config, Trouble};

const TWO_MINUTES: Duration = Duration::from_secs(120);
const MIB: u32 = 128;
/// Given to the witness both ways; blanks and quotes must arrive as they are.
const ARGUMENTS: &str = "console=hvc0  two-blanks quoted=\"a b\" last";
/// Not a multiple of a page, so that the module's last page has a rest.
const MODULE_BYTES: usize = 300_001;

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "witness-direct-linux",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| direct(stage, &LINUX),
    },
    Scenario {
        name: "witness-direct-oldlinux",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| direct(stage, &OLD_LINUX),
    },
    Scenario {
        name: "witness-direct-plain",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| direct(stage, &PLAIN),
    },
    Scenario {
        name: "witness-loaded-linux",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| loaded(stage, &LINUX),
    },
    Scenario {
        name: "witness-loaded-oldlinux",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| loaded(stage, &OLD_LINUX),
    },
    Scenario {
        name: "witness-loaded-plain",
        limit: TWO_MINUTES,
        mib: MIB,
        run: |stage| loaded(stage, &PLAIN),
    },
];

/// A witness, its module and a disk with both, as dom0 sees them.
struct Props {
    kernel: String,
    module: String,
    device: String,
}

/// Bytes without any pattern that a shifted or swapped page would keep; never zero, so that trailing zeros are padding.
fn module() -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    (0..MODULE_BYTES)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24).max(1).to_le_bytes()[0]
        })
        .collect()
}

fn props(stage: &mut Stage, variant: &Variant) -> Result<Props> {
    let include = guests::xen_headers(&stage.bed)?;
    let program = guests::witness(&include, variant, &stage.folder)?;
    let image = disk_with(stage, variant, &program)?;
    Ok(Props {
        kernel: stage.share(&program)?,
        module: stage.share_bytes("module", &module())?,
        device: stage.plug(&image)?,
    })
}

fn disk_with(stage: &Stage, variant: &Variant, program: &std::path::Path) -> Result<DiskImage> {
    stage.image(&format!("witness-{}", variant.name), |bed, folder| {
        let content = disk::fresh_folder(&folder.join("content"))?;
        let menu = format!(
            "default 0\ntimeout 0\ntitle Witness\n  kernel (hd0,0)/boot/witness {ARGUMENTS}\n  initrd (hd0,0)/boot/module\n"
        );
        disk::put(&content, "boot/witness", program)?;
        disk::put_text(&content, "boot/module", &module())?;
        disk::put_text(&content, "boot/grub/menu.lst", menu.as_bytes())?;
        let part = folder.join("part.img");
        disk::make_file_system(bed, FileSystem::Ext4, &content, 16, &part)?;
        disk::join(Table::Mbr, &[part], 512, &folder.join("disk.img"))
    })
}

/// Boots one guest and returns the witness's report, line by line.
fn report(stage: &mut Stage, config: &Config) -> std::result::Result<String, Trouble> {
    let mut guest = stage.start(config)?;
    guest.expect("WITNESS done", TWO_MINUTES)?;
    let reason = guest.wait_gone(TWO_MINUTES)?;
    if reason != 0 {
        return Err(Trouble::Guest(format!("the witness ended with reason {reason}")));
    }
    Ok(String::from_utf8_lossy(&guest.console()).into_owned())
}

fn with_devices(config: Config, props: &Props) -> Config {
    config
        .disk(&format!("vdev=xvda,access=rw,target={}", props.device))
        .interface(9)
}

fn by_xl(stage: &mut Stage, props: &Props) -> std::result::Result<String, Trouble> {
    let config = Config::new(&props.kernel, MIB)
        .ramdisk(&props.module)
        .extra(ARGUMENTS);
    report(stage, &with_devices(config, props))
}

/// Two boots by xl: the report must be the same to the letter, and say of xl's own work what is known to be true.
fn direct(stage: &mut Stage, variant: &Variant) -> Outcome {
    let props = props(stage, variant)?;
    let first = by_xl(stage, &props)?;
    let second = by_xl(stage, &props)?;
    accept(compare::exactly(&first, &second), "two boots by xl differ")?;
    accept(compare::missing_facts(&first), "a direct boot is not as known")
}

/// One boot by xl, one by the loader.
fn loaded(stage: &mut Stage, variant: &Variant) -> Outcome {
    let props = props(stage, variant)?;
    let direct = by_xl(stage, &props)?;
    let loader = stage.share(&stage.loader.clone())?;
    let config = Config::new(&loader, MIB).extra("(hd0,0)/boot/grub/menu.lst");
    let loaded = report(stage, &with_devices(config, &props))?;
    accept(compare::compare(&direct, &loaded), "the loader hands over something else than xl")
}

fn accept<T: std::fmt::Display>(differences: Vec<T>, what: &str) -> Outcome {
    if differences.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = differences.iter().map(|d| format!("\n    {d}")).collect();
    Err(Trouble::Guest(format!("{what}:{}", lines.concat())))
}
