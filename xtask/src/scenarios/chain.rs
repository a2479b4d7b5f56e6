//! The loader starts other loaders, and itself, many times over.

use std::fs;
use std::time::Duration;

use crate::problem::Context;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{
    self, Entry, Part, content, expect_hello_with, loader_on, make_disk, plug_ext4,
};
use crate::xen::disk::{FileSystem, Table};
use crate::xen::guest::Trouble;
use crate::xen::ramdisk::{self, Recipe};

const LIMIT: Duration = Duration::from_secs(400);
/// How often the loader starts itself, and how often one guest is created.
const OFTEN: usize = 20;

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "chain-loader-loader-linux",
        limit: LIMIT,
        mib: 256,
        run: loader_loader_linux,
    },
    Scenario {
        name: "chain-grub2-linux",
        limit: LIMIT,
        mib: 256,
        run: grub2,
    },
    Scenario {
        name: "chain-20-loaders",
        limit: LIMIT,
        mib: 48,
        run: many_loaders,
    },
    Scenario {
        name: "boot-20-times",
        limit: LIMIT,
        mib: 64,
        run: many_boots,
    },
];

/// The loader starts the loader, which starts Linux, which uses disk and network.
fn loader_loader_linux(stage: &mut Stage) -> Outcome {
    let kernel = stage.bed.debian12.clone();
    let recipe = Recipe {
        payload_bytes: 3_000_000,
        ..Recipe::default()
    };
    let initrd = ramdisk::build(&stage.bed, &kernel, &recipe)?;
    let read = |path: &std::path::Path| {
        fs::read(path).context(|| format!("cannot read {}", path.display()))
    };
    let files = vec![
        content("boot/pv-grub.gz", read(&stage.loader)?),
        content("boot/vmlinuz", read(&kernel.image)?),
        content("boot/initrd.img", &initrd.bytes),
        content(
            "boot/grub/menu.lst",
            "timeout 0\ntitle again\n kernel (hd0,0)/boot/pv-grub.gz (hd0,0)/boot/grub/second.lst\n",
        ),
        content(
            "boot/grub/second.lst",
            "timeout 0\ntitle Linux\n root (hd0,0)\n kernel /boot/vmlinuz through=two console=hvc0\n initrd /boot/initrd.img\n",
        ),
    ];
    let device = plug_ext4(stage, files)?;
    let config = loader_on(stage, 256, &device)?.interface(20);
    let mut guest = stage.start(&config)?;
    for line in [
        "Booting 'again'",
        "Booting 'Linux'",
        "GUEST: cmdline=[through=two console=hvc0]",
        &format!("GUEST: payload-sha256={}", initrd.payload_sha256),
        "GUEST: mounted xvda1 as ext4",
        "GUEST: network works",
        "GUEST: user space reached",
    ] {
        guest.expect(line, LIMIT)?;
    }
    hello::expect_end(&mut guest, 0)
}

/// The loader starts GRUB 2, which reads its own configuration and Linux from the same disk, 4 KiB at a time: there is
/// no initrd, so that it ends some time.
fn grub2(stage: &mut Stage) -> Outcome {
    let kernel = stage.bed.debian12.clone();
    let read = |path: &std::path::Path| {
        fs::read(path).context(|| format!("cannot read {}", path.display()))
    };
    let files = vec![
        content(
            "boot/grub2",
            read(&stage.bed.file("/grub-x86_64-xen.bin")?)?,
        ),
        content("boot/vmlinuz", read(&kernel.image)?),
        content(
            "boot/grub/menu.lst",
            "timeout 0\ntitle GRUB 2\n kernel (hd0,0)/boot/grub2\n",
        ),
        content(
            "boot/grub/grub.cfg",
            "set root=(xen/xvda,msdos1)\nlinux /boot/vmlinuz through=grub2 earlyprintk=xen console=hvc0\nboot\n",
        ),
    ];
    // GRUB 2.06 cannot read what mke2fs of today makes as ext4.
    let part = Part {
        kind: FileSystem::Ext3,
        content: files,
    };
    let image = make_disk(stage, "disk", Table::Mbr, 512, &[part])?;
    let device = stage.plug(&image)?;
    let mut guest = stage.start(&loader_on(stage, 256, &device)?)?;
    guest.expect("Booting 'GRUB 2'", hello::SOON)?;
    guest.expect("Linux version 6.", LIMIT)?;
    guest.expect("through=grub2 earlyprintk=xen", LIMIT)?;
    guest.expect("Memory: ", LIMIT)?;
    Ok(())
}

/// One domain in which the loader starts itself twenty times: whatever one left behind, all would.
fn many_loaders(stage: &mut Stage) -> Outcome {
    let module = hello::module(400_003);
    let loader = fs::read(&stage.loader).context(|| "no loader")?;
    let mut files = vec![
        content("boot/pv-grub.gz", loader),
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content("boot/module", &module),
    ];
    let menu = |number: usize, commands: &str| {
        let path = match number {
            0 => "boot/grub/menu.lst".to_owned(),
            _ => format!("boot/{number}.lst"),
        };
        content(
            &path,
            format!("timeout 0\ntitle number {number}\n root (hd0,0)\n {commands}\n"),
        )
    };
    for number in 0..OFTEN {
        files.push(menu(
            number,
            &format!("kernel /boot/pv-grub.gz (hd0,0)/boot/{}.lst", number + 1),
        ));
    }
    files.push(menu(
        OFTEN,
        "kernel /boot/hello through=many\n initrd /boot/module",
    ));
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, 48, &device)?)?;
    for number in 0..=OFTEN {
        guest.expect(&format!("Booting 'number {number}'"), hello::SOON)?;
    }
    expect_hello_with(&mut guest, "through=many", &module)
}

/// One guest, created twenty times on one disk: neither Xen nor dom0 keeps anything of it.
fn many_boots(stage: &mut Stage) -> Outcome {
    let module = hello::module(2_000_003);
    let files = vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content("boot/module", &module),
        content(
            "boot/grub/menu.lst",
            "timeout 0\ntitle Hello\n root (hd0,0)\n kernel /boot/hello again\n initrd /boot/module\n",
        ),
    ];
    let device = plug_ext4(stage, files)?;
    let config = loader_on(stage, 64, &device)?.interface(21);
    let mut domains = Vec::new();
    for _ in 0..OFTEN {
        let mut guest = stage.start(&config)?;
        expect_hello_with(&mut guest, "again", &module)?;
        domains.extend(guest.id().ok());
    }
    // Other scenarios' guests come and go meanwhile, so sums say nothing; names do. A domain some of whose pages are
    // still mapped or granted stays in the list without its name.
    let line = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1; \
         left=$(for d in IDS; do xl list $d 2>/dev/null | sed 1d; ls /sys/bus/xen-backend/devices | grep -- \"-$d-\"; \
         xenstore-ls /local/domain/0/backend/vbd/$d 2>/dev/null; done); [ -n \"$left\" ] || break; done; echo \"left: $left\"";
    let ids: Vec<String> = domains.iter().map(u32::to_string).collect();
    let left = stage.dom0.run(&line.replace("IDS", &ids.join(" ")))?;
    if left.trim() == "left:" {
        Ok(())
    } else {
        Err(Trouble::Guest(format!(
            "after {} boots: {}",
            domains.len(),
            left.trim()
        )))
    }
}
