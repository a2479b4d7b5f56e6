//! Guests of many sizes, and large initrds.

use std::fs;
use std::time::Duration;

use crate::problem::{Context, Result};
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{
    self, Content, Entry, content, expect_hello_with, loader_on, plug_ext4,
};
use crate::xen::guest::{Config, Trouble};
use crate::xen::ramdisk::{self, Ramdisk, Recipe};

const LIMIT: Duration = Duration::from_secs(300);

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "size-8192",
        limit: LIMIT,
        mib: 8192,
        run: |stage| linux(stage, 8192, 1_000_000),
    },
    Scenario {
        name: "size-2048",
        limit: LIMIT,
        mib: 2048,
        run: |stage| linux(stage, 2048, 1_000_000),
    },
    Scenario {
        name: "size-initrd-60",
        limit: LIMIT,
        mib: 384,
        run: |stage| linux(stage, 384, 60 << 20),
    },
    Scenario {
        name: "size-64",
        limit: LIMIT,
        mib: 64,
        run: |stage| small(stage, 64, 40 << 20),
    },
    Scenario {
        name: "size-16",
        limit: LIMIT,
        mib: 16,
        run: |stage| small(stage, 16, 1 << 20),
    },
    Scenario {
        name: "size-least-for-linux",
        limit: LIMIT,
        mib: 192,
        run: least,
    },
    Scenario {
        name: "initrds-joined",
        limit: LIMIT,
        mib: 256,
        run: joined,
    },
];

fn kernel(stage: &Stage) -> Result<Content> {
    let image = &stage.bed.debian12.image;
    Ok(content(
        "boot/vmlinuz",
        fs::read(image).context(|| format!("cannot read {}", image.display()))?,
    ))
}

fn initrd(stage: &Stage, payload_bytes: usize) -> Result<Ramdisk> {
    let recipe = Recipe {
        payload_bytes,
        ..Recipe::default()
    };
    ramdisk::build(&stage.bed, &stage.bed.debian12, &recipe)
}

/// Debian's kernel with an initrd of this much payload reaches user space with all the memory there is.
fn linux(stage: &mut Stage, mib: u32, payload_bytes: usize) -> Outcome {
    let initrd = initrd(stage, payload_bytes)?;
    let files = vec![
        kernel(stage)?,
        content("boot/initrd.img", &initrd.bytes),
        content(
            "boot/grub/menu.lst",
            "timeout 0\ntitle Linux\n root (hd0,0)\n kernel /boot/vmlinuz console=hvc0\n initrd /boot/initrd.img\n",
        ),
    ];
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, mib, &device)?)?;
    guest.expect("GUEST: cmdline=[console=hvc0]", LIMIT)?;
    let found = guest.expect("GUEST: memory=", LIMIT)?;
    let kib: u32 = found
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    // The kernel keeps some for itself.
    if kib / 1024 < mib * 3 / 4 - 32 {
        return Err(Trouble::Guest(format!("{kib} KiB of {mib} MiB are left")));
    }
    guest.expect(
        &format!("GUEST: payload-sha256={}", initrd.payload_sha256),
        LIMIT,
    )?;
    guest.expect("GUEST: user space reached", LIMIT)?;
    hello::expect_end(&mut guest, 0)
}

/// A kernel of next to nothing, so that the guest's memory is the loader's and the module's.
fn small(stage: &mut Stage, mib: u32, module_bytes: usize) -> Outcome {
    let module = hello::module(module_bytes + 1);
    let files = vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content("boot/module", &module),
        content(
            "boot/grub/menu.lst",
            "timeout 0\ntitle Hello\n root (hd0,0)\n kernel /boot/hello small\n initrd /boot/module\n",
        ),
    ];
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, mib, &device)?)?;
    expect_hello_with(&mut guest, "small", &module)
}

/// How much more memory the loader may need than xl, in MiB.
const EXTRA_MIB: u32 = 24;

/// The smallest guest in which xl starts Debian's kernel at all, in steps of 4 MiB: with 24 MiB more the loader does.
fn least(stage: &mut Stage) -> Outcome {
    let image = stage.share(&stage.bed.debian12.image)?;
    let words = "console=hvc0 earlyprintk=xen";
    let reached = "Memory: ";
    let mut found = None;
    for mib in (76..=160).step_by(4) {
        let config = Config::new(&image, mib).extra(words);
        let Ok(mut guest) = stage.start(&config) else {
            continue; // the domain builder refuses
        };
        if guest.expect(reached, hello::SOON).is_ok() {
            stage.dom0.run(&format!("xl destroy {}", guest.name()))?;
            found = Some(mib);
            break;
        }
    }
    let direct = found.ok_or_else(|| Trouble::Guest("xl starts it in no size tried".to_owned()))?;
    let menu = format!("timeout 0\ntitle Linux\n kernel (hd0,0)/boot/vmlinuz {words}\n");
    let files = vec![kernel(stage)?, content("boot/grub/menu.lst", menu)];
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, direct + EXTRA_MIB, &device)?)?;
    guest.expect(reached, hello::SOON)?;
    Ok(())
}

/// `initrd A B`, and the command again: Linux sees all archives as one.
fn joined(stage: &mut Stage) -> Outcome {
    let initrd = initrd(stage, 100_001)?;
    let menu = "timeout 0\ntitle Linux\n root (hd0,0)\n kernel /boot/vmlinuz console=hvc0\n \
        initrd /boot/initrd.img /boot/second.img\n initrd /boot/third.img\n";
    let files = vec![
        kernel(stage)?,
        content("boot/initrd.img", &initrd.bytes),
        content(
            "boot/second.img",
            ramdisk::addition("second", "another file"),
        ),
        content("boot/third.img", ramdisk::addition("third", "another line")),
        content("boot/grub/menu.lst", menu),
    ];
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, 256, &device)?)?;
    for line in [
        &format!("GUEST: payload-sha256={}", initrd.payload_sha256),
        "GUEST: second=another file",
        "GUEST: third=another line",
        "GUEST: user space reached",
    ] {
        guest.expect(line, LIMIT)?;
    }
    hello::expect_end(&mut guest, 0)
}
