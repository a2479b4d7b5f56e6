//! What the loader refuses, in the words it promises, and that the menu goes on afterwards in the same guest.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::problem::{Context, Result};
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{
    self, Content, Entry, SOON, content, expect_hello, loader_on, plug_ext4,
};
use crate::scenarios::packing;
use crate::xen::guest::Guest;

const LIMIT: Duration = Duration::from_secs(300);
const MIB: u32 = 64;

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "refuse-kernels",
        limit: LIMIT,
        mib: MIB,
        run: kernels,
    },
    Scenario {
        name: "refuse-damaged",
        limit: LIMIT,
        mib: MIB,
        run: damaged,
    },
    Scenario {
        name: "refuse-too-large",
        limit: LIMIT,
        mib: MIB,
        run: too_large,
    },
    Scenario {
        name: "refuse-missing",
        limit: LIMIT,
        mib: MIB,
        run: missing,
    },
    Scenario {
        name: "fallback-after-missing-kernel",
        limit: LIMIT,
        mib: MIB,
        run: fallback,
    },
    Scenario {
        name: "fallback-exhausted-waits",
        limit: LIMIT,
        mib: MIB,
        run: deserted,
    },
];

/// An entry that is refused: its commands, GRUB's line, and the reasons below it.
struct Refusal {
    commands: &'static str,
    error: &'static str,
    reasons: &'static [&'static str],
}

/// Chooses each refused entry in turn, and at last one that boots: all in one guest, with keys.
fn refuse(stage: &mut Stage, mut files: Vec<Content>, refusals: &[Refusal]) -> Outcome {
    let mut menu = String::from("default 0\n");
    for refusal in refusals {
        menu.push_str(&format!(
            "title refused: {}\n root (hd0,0)\n {}\n",
            refusal.commands.replace('\n', "; "),
            refusal.commands
        ));
    }
    menu.push_str(
        "title good\n root (hd0,0)\n kernel /boot/hello after=refusals\n initrd /boot/module\n",
    );
    let module = hello::module(5_000_000);
    files.push(content("boot/hello", hello::program(stage, Entry::Pv)?));
    files.push(content("boot/module", &module));
    files.push(content("boot/grub/menu.lst", menu));
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    wait_for_menu(&mut guest)?;
    for refusal in refusals {
        guest.type_keys(b"\r")?;
        guest.expect(refusal.error, SOON)?;
        for reason in refusal.reasons {
            guest.expect(reason, SOON)?;
        }
        guest.expect("Press any key to continue", SOON)?;
        guest.type_keys(b" ")?;
        wait_for_menu(&mut guest)?;
        guest.type_keys(b"\x1b[B")?; // down
        guest.expect("refused", SOON)?; // the list is drawn again
    }
    guest.type_keys(b"\r")?;
    hello::expect_hello_with(&mut guest, "after=refusals", &module)
}

/// The menu's last line of help is on the screen.
fn wait_for_menu(guest: &mut Guest) -> Outcome {
    guest.expect("command-line", SOON)?;
    Ok(())
}

/// Kernels that are whole, but not for here.
fn kernels(stage: &mut Stage) -> Outcome {
    let grub32 = bytes(&stage.bed.file("/grub-i386-xen.bin")?)?;
    let files = vec![
        content("k/32bit", grub32),
        content("k/pvh", hello::program(stage, Entry::PvhOnly)?),
        content("k/strange", strange_compression(stage)?),
        content("k/text", "This is no kernel.\n"),
    ];
    refuse(
        stage,
        files,
        &[
            Refusal {
                commands: "kernel /k/32bit",
                error: "Error 13: ",
                reasons: &["this is a 32-bit kernel; start this domain with pv-grub-x86_32.gz"],
            },
            Refusal {
                commands: "kernel /k/pvh",
                error: "Error 13: ",
                reasons: &["this kernel has no Xen PV entry"],
            },
            Refusal {
                commands: "kernel /k/strange",
                error: "Error 4: ",
                reasons: &["unknown compression: the packed kernel begins with 4b 57 41 4a 88 f0"],
            },
            Refusal {
                commands: "kernel /k/text",
                error: "Error 13: ",
                reasons: &["not a kernel: the file begins with 54 68 69 73"],
            },
        ],
    )
}

fn bytes(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).context(|| format!("cannot read {}", file.display()))
}

/// A bzImage whose payload begins with the magic of a packer that Linux never had.
fn strange_compression(stage: &Stage) -> Result<Vec<u8>> {
    let elf = hello::program(stage, Entry::Pv)?;
    let packed = [b"KWAJ\x88\xf0\x27\xd1".as_slice(), &elf].concat();
    Ok(packing::bzimage(&packed, elf.len()))
}

/// Files that end too early, or hold something else than they say.
fn damaged(stage: &mut Stage) -> Outcome {
    let elf = hello::program(stage, Entry::Pv)?;
    let whole = bytes(&stage.bed.debian12.image)?;
    let cut = whole.get(..whole.len() / 2).context(|| "no kernel")?;
    let packed = packing::gzip(&elf)?;
    let mut wrong = packed.clone();
    if let Some(byte) = wrong.iter_mut().rev().nth(6) {
        *byte ^= 0x10; // in the checksum
    }
    let (start, _) = elf.split_at(elf.len() / 3);
    let (short, _) = packed.split_at(packed.len() / 2);
    let files = vec![
        content("k/half-bzimage", cut),
        content("k/half-elf", start),
        content("k/half-gzip", packing::bzimage(short, elf.len())),
        content("k/checksum", packing::bzimage(&wrong, elf.len())),
        content("k/empty", ""),
    ];
    refuse(
        stage,
        files,
        &[
            Refusal {
                commands: "kernel /k/half-bzimage",
                error: "Error 13: ",
                reasons: &["truncated image: at least "],
            },
            Refusal {
                commands: "kernel /k/half-elf",
                error: "Error 13: ",
                reasons: &["truncated image: at least "],
            },
            Refusal {
                commands: "kernel /k/half-gzip",
                error: "Error 3: ",
                reasons: &["gzip"],
            },
            Refusal {
                commands: "kernel /k/checksum",
                error: "Error 3: ",
                reasons: &["gzip data is damaged"],
            },
            Refusal {
                commands: "kernel /k/empty",
                error: "Error 13: ",
                reasons: &["not a kernel"],
            },
        ],
    )
}

/// In a small guest: a kernel that unpacks to more than there is, and initrds likewise.
fn too_large(stage: &mut Stage) -> Outcome {
    let linux = bytes(&stage.bed.debian12.image)?;
    let files = vec![
        content("k/linux", linux),
        content("k/40", vec![7; 40 << 20]),
        content("k/70", vec![7; 70 << 20]),
    ];
    refuse(
        stage,
        files,
        &[
            Refusal {
                commands: "kernel /k/linux",
                error: "Error 28: ",
                reasons: &["not enough memory: the kernel needs ", " MiB, "],
            },
            Refusal {
                commands: "kernel /boot/hello\n initrd /k/70",
                error: "Error 28: ",
                reasons: &["need ", " MiB, this domain has 64 MiB"],
            },
            Refusal {
                commands: "kernel /boot/hello\n initrd /k/40 /k/40",
                error: "Error 28: ",
                reasons: &["need ", " MiB, this domain has 64 MiB"],
            },
        ],
    )
}

/// Files, partitions and disks that are not there.
pub(super) fn missing(stage: &mut Stage) -> Outcome {
    refuse(
        stage,
        vec![content("k/file", "x")],
        &[
            Refusal {
                commands: "kernel /k/nothing",
                error: "Error 15: ",
                reasons: &["/k/nothing"],
            },
            Refusal {
                commands: "kernel /boot/hello\n initrd /k/nothing",
                error: "Error 15: ",
                reasons: &["/k/nothing"],
            },
            Refusal {
                commands: "kernel /k",
                error: "Error 2: ",
                reasons: &[],
            },
            Refusal {
                commands: "kernel (hd0,2)/boot/hello",
                error: "Error 22: ",
                reasons: &["(hd0,0)"],
            },
            Refusal {
                commands: "kernel (hd1,0)/boot/hello",
                error: "Error 21: ",
                reasons: &["this domain has one disk, (hd0)"],
            },
            Refusal {
                commands: "initrd /boot/module",
                error: "Error 19: ",
                reasons: &[],
            },
        ],
    )
}

/// Nobody types: the default's kernel is missing, so is the first fallback's, the second boots.
pub(super) fn fallback(stage: &mut Stage) -> Outcome {
    let menu = "default 2\nfallback 1 0\ntimeout 1\n\
        title third choice\n root (hd0,0)\n kernel /boot/hello entry=0\n\
        title second choice\n root (hd0,3)\n kernel /boot/hello entry=1\n\
        title first choice\n root (hd0,0)\n kernel /boot/nothing entry=2\n";
    let files = vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content("boot/grub/menu.lst", menu),
    ];
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    guest.expect("Booting 'first choice'", SOON)?;
    guest.expect("Error 15: ", SOON)?;
    guest.expect("Booting 'second choice'", SOON)?;
    guest.expect("Error 22: ", SOON)?;
    guest.expect("Booting 'third choice'", SOON)?;
    expect_hello(&mut guest, "entry=0")
}

/// Nothing boots and nobody types: the menu waits, and boots when somebody comes.
fn deserted(stage: &mut Stage) -> Outcome {
    let menu = "default 0\ntimeout 1\n\
        title missing\n root (hd0,0)\n kernel /boot/nothing\n\
        title good\n root (hd0,0)\n kernel /boot/hello chosen=late\n";
    let files = vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content("boot/grub/menu.lst", menu),
    ];
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    guest.expect("Error 15: ", SOON)?;
    guest.expect("Press any key to continue", SOON)?;
    wait_for_menu(&mut guest)?; // after ten seconds, by itself
    guest.type_keys(b"\x1b[B")?;
    guest.expect("good", SOON)?;
    guest.type_keys(b"\r")?;
    expect_hello(&mut guest, "chosen=late")
}
