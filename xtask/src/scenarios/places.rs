//! Where menu and kernel may be: every kind of disk, and every way to name the menu.

use std::time::Duration;

use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{
    self, Content, Entry, Part, content, expect_hello, expect_hello_with, loader, make_disk,
};
use crate::xen::disk::FileSystem::{
    self, Btrfs, Ext2, Ext3, Ext4, Fat16, Fat32, Iso9660, Squashfs, Xfs,
};
use crate::xen::disk::Table;

const LIMIT: Duration = Duration::from_secs(180);
const MIB: u32 = 64;

/// A disk whose last partition holds kernel and module, and what it is called in the guest and in the menu.
pub(super) struct Place {
    pub(super) table: Table,
    pub(super) kinds: &'static [FileSystem],
    pub(super) sector_bytes: u32,
    pub(super) vdev: &'static str,
    /// GRUB's names of the same volume; a guest for each.
    pub(super) roots: &'static [&'static str],
}

macro_rules! places {
    ($($name:literal $table:ident $kinds:expr, $sector:literal $vdev:literal $roots:expr;)*) => {
        &[$(Scenario {
            name: $name,
            limit: LIMIT,
            mib: MIB,
            run: |stage| place(stage, &Place {
                table: Table::$table, kinds: &$kinds, sector_bytes: $sector, vdev: $vdev, roots: &$roots,
            }),
        }),*]
    };
}

pub(super) const PLACES: &[Scenario] = places! {
    "place-mbr" Mbr [Ext4, Ext2], 512 "xvda" ["(hd0,1)"];
    "place-mbr-logical" MbrLogical [Ext4], 512 "xvda" ["(hd0,4)"];
    "place-mbr-logical-second" MbrLogical [Ext2, Ext3], 512 "xvda" ["(hd0,5)"];
    "place-gpt" Gpt [Ext2, Ext4], 512 "xvda" ["(hd0,1)"];
    "place-whole-disk" None [Ext4], 512 "xvda" ["(hd0)"];
    "place-partition-xvda1" None [Ext4], 512 "xvda1" ["(hd0)", "(hd0,0)"];
    "place-partition-hda7" None [Ext3], 512 "hda7" ["(hd0)", "(hd0,6)"];
    "place-fat16" Mbr [Fat16], 512 "xvda" ["(hd0,0)"];
    "place-fat32-gpt" Gpt [Fat32], 512 "xvda" ["(hd0,0)"];
    "place-iso9660" None [Iso9660], 512 "xvda" ["(hd0)"];
    "place-xfs" Mbr [Ext4, Xfs], 512 "xvda" ["(hd0,1)"];
    "place-btrfs-gpt" Gpt [Btrfs], 512 "xvda" ["(hd0,0)"];
    "place-squashfs" None [Squashfs], 512 "xvda" ["(hd0)"];
    "place-4096-mbr" Mbr [Ext4], 4096 "xvda" ["(hd0,0)"];
    "place-4096-gpt" Gpt [Ext4], 4096 "xvda" ["(hd0,0)"];
    "place-sda" Mbr [Ext4], 512 "sda" ["(hd0,0)"];
};

pub(super) const OTHERS: &[Scenario] = &[
    Scenario {
        name: "place-cdrom",
        limit: LIMIT,
        mib: MIB,
        run: cdrom,
    },
    Scenario {
        name: "place-two-disks",
        limit: LIMIT,
        mib: MIB,
        run: two_disks,
    },
    Scenario {
        name: "place-qdisk",
        limit: LIMIT,
        mib: MIB,
        run: qdisk,
    },
    Scenario {
        name: "place-28-disks",
        limit: LIMIT,
        mib: MIB,
        run: many_disks,
    },
    Scenario {
        name: "menu-in-ramdisk",
        limit: LIMIT,
        mib: MIB,
        run: ramdisk_menu,
    },
    Scenario {
        name: "menu-after-root",
        limit: LIMIT,
        mib: MIB,
        run: after_root,
    },
    Scenario {
        name: "menu-default-places-partition",
        limit: LIMIT,
        mib: MIB,
        run: |stage| default_places(stage, Table::Mbr, "(hd0,0)"),
    },
    Scenario {
        name: "menu-default-places-disk",
        limit: LIMIT,
        mib: MIB,
        run: |stage| default_places(stage, Table::None, "(hd0)"),
    },
    Scenario {
        name: "menu-nowhere",
        limit: LIMIT,
        mib: MIB,
        run: nowhere,
    },
];

/// A menu of one entry that boots at once.
fn menu(root: &str, words: &str) -> String {
    format!(
        "default 0\ntimeout 0\ntitle Hello\n  root {root}\n  kernel /boot/hello {words}\n  initrd /boot/initrd-A.Long.Name_With-Case.img\n"
    )
}

const MODULE: &str = "boot/initrd-A.Long.Name_With-Case.img";

fn kernel_and_module(stage: &Stage) -> crate::problem::Result<(Vec<Content>, Vec<u8>)> {
    let module = hello::module(700_001);
    let files = vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content(MODULE, &module),
    ];
    Ok((files, module))
}

/// The kernel is found in its place by each of its names, with its module.
pub(super) fn place(stage: &mut Stage, place: &Place) -> Outcome {
    let (mut files, module) = kernel_and_module(stage)?;
    for (index, root) in place.roots.iter().enumerate() {
        let words = format!("root={root}  as-{index}");
        files.push(content(&format!("boot/menu{index}"), menu(root, &words)));
    }
    let mut parts: Vec<Part> = place
        .kinds
        .iter()
        .map(|&kind| Part {
            kind,
            content: vec![content("other", "not this one")],
        })
        .collect();
    if let Some(last) = parts.last_mut() {
        last.content = files;
    }
    let image = make_disk(stage, "disk", place.table, place.sector_bytes, &parts)?;
    let device = stage.plug(&image)?;
    for (index, root) in place.roots.iter().enumerate() {
        let config = loader(stage, MIB)?
            .extra(&format!("{root}/boot/menu{index}"))
            .disk(&format!("vdev={},access=rw,target={device}", place.vdev));
        let mut guest = stage.start(&config)?;
        expect_hello_with(&mut guest, &format!("root={root}  as-{index}"), &module)?;
    }
    Ok(())
}

/// The menu on a disk, kernel and module on a CD-ROM that is the second device.
pub(super) fn cdrom(stage: &mut Stage) -> Outcome {
    let (files, module) = kernel_and_module(stage)?;
    let text = menu("(hd1)", "from=cdrom");
    let first = Part::ext4(vec![content("boot/grub/menu.lst", text)]);
    let disc = Part {
        kind: Iso9660,
        content: files,
    };
    let first = make_disk(stage, "first", Table::Mbr, 512, &[first])?;
    let first = stage.plug(&first)?;
    let disc = make_disk(stage, "disc", Table::None, 512, &[disc])?;
    let disc = stage.plug(&disc)?;
    let config = hello::loader_on(stage, MIB, &first)?.disk(&format!(
        "vdev=xvdc,access=ro,devtype=cdrom,backendtype=phy,target={disc}"
    ));
    let mut guest = stage.start(&config)?;
    expect_hello_with(&mut guest, "from=cdrom", &module)
}

/// The disk is a file that QEMU serves, not dom0's kernel.
pub(super) fn qdisk(stage: &mut Stage) -> Outcome {
    let (mut files, module) = kernel_and_module(stage)?;
    files.push(content("boot/grub/menu.lst", menu("(hd0,0)", "from=qemu")));
    let image = make_disk(stage, "disk", Table::Mbr, 512, &[Part::ext4(files)])?;
    let file = stage.share(&image.path)?;
    let config = loader(stage, MIB)?
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!(
            "vdev=xvda,access=rw,backendtype=qdisk,target={file}"
        ));
    let mut guest = stage.start(&config)?;
    expect_hello_with(&mut guest, "from=qemu", &module)
}

/// The menu on the first disk names files on the second by their full names.
pub(super) fn two_disks(stage: &mut Stage) -> Outcome {
    let (files, module) = kernel_and_module(stage)?;
    let text = format!(
        "default 0\ntimeout 0\ntitle Hello\n kernel (hd1,1)/boot/hello from=hd1\n initrd (hd1,1)/{MODULE}\n"
    );
    let first = Part::ext4(vec![content("boot/grub/menu.lst", text)]);
    let first = make_disk(stage, "first", Table::Mbr, 512, &[first])?;
    let first = stage.plug(&first)?;
    let parts = [Part::ext4(Vec::new()), Part::ext4(files)];
    let second = make_disk(stage, "second", Table::Gpt, 512, &parts)?;
    let second = stage.plug(&second)?;
    // Named in the other order: the numbers of the devices count, not the lines of the configuration.
    let config = loader(stage, MIB)?
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!("vdev=xvdb,access=ro,target={second}"))
        .disk(&format!("vdev=xvda,access=rw,target={first}"));
    let mut guest = stage.start(&config)?;
    expect_hello_with(&mut guest, "from=hd1", &module)
}

/// More disks than letters: the last is xvdab, (hd27).
pub(super) fn many_disks(stage: &mut Stage) -> Outcome {
    let (mut files, module) = kernel_and_module(stage)?;
    files.push(content("boot/grub/menu.lst", menu("(hd27,0)", "from=hd27")));
    let last = make_disk(stage, "last", Table::Mbr, 512, &[Part::ext4(files)])?;
    let last = stage.plug(&last)?;
    let other = make_disk(stage, "other", Table::None, 512, &[Part::ext4(Vec::new())])?;
    let other = stage.plug(&other)?;
    let mut config = loader(stage, MIB)?.extra("(hd27,0)/boot/grub/menu.lst");
    for letter in 'a'..='z' {
        config = config.disk(&format!("vdev=xvd{letter},access=ro,target={other}"));
    }
    let config = config
        .disk(&format!("vdev=xvdaa,access=ro,target={other}"))
        .disk(&format!("vdev=xvdab,access=ro,target={last}"));
    let mut guest = stage.start(&config)?;
    expect_hello_with(&mut guest, "from=hd27", &module)
}

/// The menu is the domain's ramdisk: its bytes end where the ramdisk does, not at a NUL.
pub(super) fn ramdisk_menu(stage: &mut Stage) -> Outcome {
    let (files, module) = kernel_and_module(stage)?;
    let device = hello::plug_ext4(stage, files)?;
    let text = format!("# \0 is no end\n{}", menu("(hd0,0)", "from=ramdisk"));
    let ramdisk = stage.share_bytes("menu", text.as_bytes())?;
    let config = loader(stage, MIB)?
        .ramdisk(&ramdisk)
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    expect_hello_with(&mut guest, "from=ramdisk", &module)
}

/// xl puts `root=` before `extra`.
fn after_root(stage: &mut Stage) -> Outcome {
    let (mut files, module) = kernel_and_module(stage)?;
    files.push(content("boot/grub/menu.lst", menu("(hd0,0)", "after=root")));
    let device = hello::plug_ext4(stage, files)?;
    let config = hello::loader_on(stage, MIB, &device)?.line("root=\"/dev/xvda1 ro\"");
    let mut guest = stage.start(&config)?;
    expect_hello_with(&mut guest, "after=root", &module)
}

/// Without a word on the command line, each usual place is found when it is the only one.
pub(super) fn default_places(stage: &mut Stage, table: Table, root: &str) -> Outcome {
    for path in [
        "boot/grub/menu.lst",
        "grub/menu.lst",
        "boot/grub/grub.conf",
        "grub/grub.conf",
    ] {
        let (mut files, module) = kernel_and_module(stage)?;
        files.push(content(path, menu(root, path)));
        let name = path.replace('/', "-");
        let image = make_disk(stage, &name, table, 512, &[Part::ext4(files)])?;
        let device = stage.plug(&image)?;
        let config = loader(stage, MIB)?.disk(&format!("vdev=xvda,access=rw,target={device}"));
        let mut guest = stage.start(&config)?;
        expect_hello_with(&mut guest, path, &module)?;
    }
    Ok(())
}

/// Where there is no menu at all, every place that was tried is listed, and the command line boots.
fn nowhere(stage: &mut Stage) -> Outcome {
    let (files, _) = kernel_and_module(stage)?;
    let device = hello::plug_ext4(stage, files)?;
    let config = loader(stage, MIB)?.disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    for place in [
        "(hd0,0)/boot/grub/menu.lst: ",
        "(hd0)/boot/grub/menu.lst: ",
        "(hd0,0)/grub/menu.lst: ",
        "(hd0)/grub/menu.lst: ",
        "(hd0,0)/boot/grub/grub.conf: ",
        "(hd0)/boot/grub/grub.conf: ",
        "(hd0,0)/grub/grub.conf: ",
        "(hd0)/grub/grub.conf: ",
        "grub> ",
    ] {
        guest.expect(place, hello::SOON)?;
    }
    guest.type_keys(b"kernel (hd0,0)/boot/hello by=hand\r")?;
    guest.expect("grub> ", hello::SOON)?;
    guest.type_keys(b"boot\r")?;
    expect_hello(&mut guest, "by=hand")
}
