//! The menu as somebody at the guest's console uses it: keys, editor, command line, passwords, saved defaults, noise.
//!
//! Screens and keys are tested on the host; here it is shown that they work over the real console, and that what comes
//! of them reaches the kernel.

use std::time::Duration;

use crate::command::output;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{
    self, Content, Entry, Part, SOON, content, expect_hello, expect_hello_with, loader, loader_on,
    make_disk, plug_ext4,
};
use crate::scenarios::media;
use crate::xen::disk::{FileSystem, Table};
use crate::xen::guest::{Guest, Trouble};

const LIMIT: Duration = Duration::from_secs(180);
const MIB: u32 = 64;

macro_rules! rows {
    ($($name:literal $mib:expr, $run:expr;)*) => {
        &[$(Scenario { name: $name, limit: LIMIT, mib: $mib, run: $run }),*]
    };
}

pub(super) const TABLE: &[Scenario] = rows! {
    "menu-keys" MIB, keys;
    "menu-edit-linux" 256, edit_linux;
    "menu-command-line" MIB, command_line;
    "menu-password" MIB, password;
    "menu-hidden" MIB, hidden;
    "menu-savedefault" MIB, save_default;
    "menu-savedefault-fallback" MIB, save_fallback;
    "menu-savedefault-refused" MIB, save_refused;
    "menu-find-label" MIB, find_label;
    "menu-garbage" MIB, garbage;
    "menu-unattended" 3 * MIB, unattended;
};

/// The hello kernel, and this menu.
pub(super) fn files(stage: &Stage, menu: &str) -> crate::problem::Result<Vec<Content>> {
    Ok(vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content("boot/grub/menu.lst", menu),
    ])
}

/// A guest whose first disk holds the hello kernel and this menu.
pub(super) fn start(stage: &mut Stage, menu: &str) -> Result<Guest, Trouble> {
    let device = plug_ext4(stage, files(stage, menu)?)?;
    stage.start(&loader_on(stage, MIB, &device)?)
}

/// The menu is drawn and takes keys.
pub(super) fn wait_for_menu(guest: &mut Guest) -> Outcome {
    guest.expect("to select which entry is highlighted", SOON)?;
    Ok(())
}

/// Types a line at a prompt, once the one before has been answered.
pub(super) fn type_line(guest: &mut Guest, prompt: &str, line: &str) -> Outcome {
    guest.expect(prompt, SOON)?;
    guest.type_keys(format!("{line}\r").as_bytes())
}

/// Arrows, in one piece and byte by byte, and Enter.
fn keys(stage: &mut Stage) -> Outcome {
    let menu = "default 2\n\
        title A\n kernel /boot/hello chosen=a\n\
        title B\n kernel /boot/hello chosen=b\n\
        title C\n kernel /boot/hello chosen=c\n\
        title D\n kernel /boot/hello chosen=d\n";
    let mut guest = start(stage, menu)?;
    wait_for_menu(&mut guest)?;
    // Down to D, up to A (which stays where it is at the end), down to B.
    guest.type_keys(b"\x1b[B\x1b[A\x1b[A\x1b[A\x1bOA")?;
    guest.type_keys(b"v")?;
    guest.expect(" B ", SOON)?;
    guest.type_keys(b"\r")?;
    expect_hello(&mut guest, "chosen=b")
}

/// A line of an entry is changed in the editor, and Linux sees it in its command line.
fn edit_linux(stage: &mut Stage) -> Outcome {
    let kernel = stage.bed.debian12.clone();
    let device = stage.plug(&media::sample(stage, &kernel)?)?;
    let config = loader_on(stage, 256, &device)?.line("vcpus=1");
    let mut guest = stage.start(&config)?;
    wait_for_menu(&mut guest)?;
    guest.type_keys(b"e")?;
    guest.expect("Press 'b' to boot", SOON)?;
    guest.type_keys(b"\x1b[Be")?; // the second line is the kernel's
    guest.expect("grub edit> ", SOON)?;
    guest.type_keys(b" quiet edited=yes\r")?;
    guest.expect("Press 'b' to boot", SOON)?;
    guest.type_keys(b"b")?;
    let line = "GUEST: cmdline=[root=/dev/xvda1 ro console=hvc0 quiet edited=yes]";
    guest.expect(line, SOON)?;
    guest.expect("GUEST: user space reached", SOON)?;
    guest.wait_gone(SOON)?;
    Ok(())
}

/// No menu anywhere: commands typed by hand, completed by TAB, boot a kernel with a module.
fn command_line(stage: &mut Stage) -> Outcome {
    let module = hello::module(100_001);
    let files = vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content("boot/initrd-one", &module),
        content("boot/initrd-two", b"not this one"),
    ];
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    guest.expect("No menu was found", SOON)?;
    type_line(&mut guest, "grub> ", "find /boot/hello")?;
    guest.expect(" (hd0,0)", SOON)?;
    // ker<TAB> becomes `kernel `, and the path completes part by part.
    guest.expect("grub> ", SOON)?;
    guest.type_keys(b"root (hd0,0)\rker\t/bo\th\ttyped=yes\r")?;
    guest.expect("[ELF, hello", SOON)?;
    guest.expect("grub> ", SOON)?;
    guest.type_keys(b"initrd /boot/in\t\t")?; // up to where the two part, then a list of them
    guest.expect("initrd-two", SOON)?;
    guest.type_keys(b"o\t\r")?;
    type_line(&mut guest, "grub> ", "blocklist /boot/initrd-two")?;
    guest.expect("(hd0,0)", SOON)?;
    guest.expect("[0-12]", SOON)?;
    type_line(&mut guest, "grub> ", "geometry (hd0)")?;
    guest.expect("Filesystem type is ext4", SOON)?;
    type_line(&mut guest, "grub> ", "cat /boot/initrd-two")?;
    guest.expect("not this one", SOON)?;
    type_line(
        &mut guest,
        "grub> ",
        "cmp /boot/initrd-one /boot/initrd-two",
    )?;
    guest.expect("Differ in size", SOON)?;
    type_line(&mut guest, "grub> ", "nonsense")?;
    guest.expect("Error 27: ", SOON)?;
    type_line(&mut guest, "grub> ", "boot")?;
    expect_hello_with(&mut guest, "typed=yes", &module)
}

/// A wrong password is refused, the right one unlocks; neither is shown.
fn password(stage: &mut Stage) -> Outcome {
    let menu = "password --md5 $1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1\n\
        title locked\n lock\n kernel /boot/hello chosen=locked\n";
    let mut guest = start(stage, menu)?;
    wait_for_menu(&mut guest)?;
    guest.type_keys(b"\r")?;
    guest.expect("Error 32: ", SOON)?;
    guest.type_keys(b"x")?;
    wait_for_menu(&mut guest)?;
    guest.type_keys(b"pwr0ng-w0rd\r")?;
    guest.expect("Error 32: ", SOON)?;
    guest.type_keys(b"x")?;
    wait_for_menu(&mut guest)?;
    guest.type_keys(b"psecret\r")?;
    guest.expect("or 'c' for a command-line", SOON)?;
    guest.type_keys(b"\r")?;
    expect_hello(&mut guest, "chosen=locked")?;
    let console = guest.console();
    let shows = |word: &[u8]| console.windows(word.len()).any(|window| window == word);
    if shows(b"secret") || shows(b"w0rd") {
        return Err(Trouble::Guest("a password is on the console".to_owned()));
    }
    Ok(())
}

/// `hiddenmenu`: ESC shows the menu, and its countdown boots when nobody types.
fn hidden(stage: &mut Stage) -> Outcome {
    let menu = "hiddenmenu\ntimeout 4\n\
        title A\n kernel /boot/hello chosen=a\n\
        title B\n kernel /boot/hello chosen=b\n";
    let device = plug_ext4(stage, files(stage, menu)?)?;
    let config = loader_on(stage, MIB, &device)?;
    let mut guest = stage.start(&config)?;
    guest.expect("Press `ESC' to enter the menu... 4", SOON)?;
    guest.type_keys(b"\x1b")?;
    wait_for_menu(&mut guest)?;
    guest.type_keys(b"\x1b[B\r")?;
    expect_hello(&mut guest, "chosen=b")?;
    let mut guest = stage.start(&config)?;
    guest.expect("Press `ESC' to enter the menu... 4", SOON)?;
    expect_hello(&mut guest, "chosen=a")
}

/// Beside the menu, as `grub-set-default` leaves it.
fn saved(text: &str) -> Content {
    content("boot/grub/default", format!("{text}\n#\n#\n#\n"))
}

/// What the file system's own checker says of the first partition of a disk, which no guest uses any more.
fn fsck(stage: &Stage, image: &crate::xen::disk::DiskImage) -> Outcome {
    let mut e2fsck = stage.bed.tools.command("e2fsck")?;
    let partition = format!("{}?offset=1048576", image.path.display());
    output(e2fsck.arg("-fn").arg(partition))
        .map_err(|problem| Trouble::Guest(problem.to_string()))?;
    Ok(())
}

/// What is saved in one boot is the default of the next; `N:M` is N once and M from then on. The file system stays
/// clean all the while.
pub(super) fn save_default(stage: &mut Stage) -> Outcome {
    let menu = "default saved\ntimeout 0\n\
        title A\n savedefault 1\n kernel /boot/hello chosen=a\n\
        title B\n savedefault 2:0\n kernel /boot/hello chosen=b\n\
        title C\n kernel /boot/hello chosen=c\n";
    for kind in [FileSystem::Ext4, FileSystem::Fat16] {
        let mut content = files(stage, menu)?;
        content.push(saved("0"));
        let name = format!("{kind:?}");
        let image = make_disk(stage, &name, Table::Mbr, 512, &[Part { kind, content }])?;
        let device = stage.plug(&image)?;
        for chosen in ["a", "b", "c", "a"] {
            let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
            expect_hello(&mut guest, &format!("chosen={chosen}"))?;
        }
        if kind == FileSystem::Ext4 {
            fsck(stage, &image)?;
        }
    }
    Ok(())
}

/// The recipe of fail-safe kernels: a new one is tried once, and the old one comes back by itself.
fn save_fallback(stage: &mut Stage) -> Outcome {
    let menu = "default saved\ntimeout 0\nfallback 1 2\n\
        title new\n savedefault fallback\n kernel /boot/not-there\n\
        title broken\n savedefault fallback\n kernel /boot/not-there-either\n\
        title old\n savedefault\n kernel /boot/hello chosen=old\n";
    let mut content = files(stage, menu)?;
    content.push(saved("0"));
    let image = make_disk(stage, "disk", Table::Mbr, 512, &[Part::ext4(content)])?;
    let device = stage.plug(&image)?;
    let config = loader_on(stage, MIB, &device)?;
    let mut guest = stage.start(&config)?;
    guest.expect("Booting 'new'", SOON)?;
    guest.expect("Error 15: ", SOON)?;
    guest.expect("Booting 'broken'", SOON)?;
    guest.expect("Error 15: ", SOON)?;
    expect_hello(&mut guest, "chosen=old")?;
    let mut guest = stage.start(&config)?;
    guest.expect("Booting 'old'", SOON)?;
    expect_hello(&mut guest, "chosen=old")?;
    fsck(stage, &image)
}

/// Where nothing can be saved, the entry boots all the same.
fn save_refused(stage: &mut Stage) -> Outcome {
    let menu = "default saved\ntimeout 0\n\
        title A\n savedefault 1\n kernel /boot/hello chosen=a\n\
        title B\n kernel /boot/hello chosen=b\n";
    let warning = "Warning: the default entry was not saved";
    // No file beside the menu.
    let device = plug_ext4(stage, files(stage, menu)?)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    guest.expect(warning, SOON)?;
    guest.expect("no such entry: default", SOON)?;
    expect_hello(&mut guest, "chosen=a")?;
    // A disk that the domain may only read.
    let mut content = files(stage, menu)?;
    content.push(saved("0"));
    let image = make_disk(stage, "read-only", Table::Mbr, 512, &[Part::ext4(content)])?;
    let device = stage.plug(&image)?;
    let config = loader(stage, MIB)?
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!("vdev=xvda,access=ro,target={device}"));
    for _ in 0..2 {
        let mut guest = stage.start(&config)?;
        guest.expect(warning, SOON)?;
        guest.expect("read-only", SOON)?;
        expect_hello(&mut guest, "chosen=a")?;
    }
    // A menu that came with the domain's configuration.
    let ramdisk = stage.share_bytes(
        "menu",
        menu.replace(" kernel", " root (hd0,0)\n kernel").as_bytes(),
    )?;
    let config = loader(stage, MIB)?
        .ramdisk(&ramdisk)
        .disk(&format!("vdev=xvda,access=rw,target={device}"));
    let mut guest = stage.start(&config)?;
    guest.expect(warning, SOON)?;
    expect_hello(&mut guest, "chosen=a")
}

/// The same menu boots whichever number the disk has, by its label or its UUID.
fn find_label(stage: &mut Stage) -> Outcome {
    let hello = hello::program(stage, Entry::Pv)?;
    // Labels and UUID are those that `xen::disk` gives.
    let fat = Part {
        kind: FileSystem::Fat16,
        content: vec![content("on-fat", &hello)],
    };
    let first = make_disk(stage, "fat", Table::Mbr, 512, &[fat])?;
    let first = stage.plug(&first)?;
    let ext4 = Part::ext4(vec![content("on-ext4", &hello)]);
    let second = make_disk(stage, "ext4", Table::Mbr, 512, &[ext4])?;
    let second = stage.plug(&second)?;
    let menu = "timeout 1\n\
        title 0\n find --set-root --label PVGRUB\n kernel /on-fat by=0\n\
        title 1\n root LABEL=PVGRUB\n kernel /on-fat by=1\n\
        title 2\n find --uuid 3e6be9de-8139-4c4a-9106-a43f08d823a6 --set-root\n kernel /on-ext4 by=2\n\
        title 3\n root UUID=3E6BE9DE-8139-4C4A-9106-A43F08D823A6\n kernel /on-ext4 by=3\n\
        title 4\n find --set-root /on-ext4\n kernel /on-ext4 by=4\n";
    let ramdisk = stage.share_bytes("menu", menu.as_bytes())?;
    for (disks, entries) in [
        ([&first, &second], &[0, 2][..]),
        ([&second, &first], &[0, 1, 2, 3, 4]),
    ] {
        for entry in entries {
            let config = loader(stage, MIB)?
                .ramdisk(&ramdisk)
                .extra(&format!("--entry={entry} --timeout=0"))
                .disk(&format!("vdev=xvda,access=rw,target={}", disks[0]))
                .disk(&format!("vdev=xvdb,access=rw,target={}", disks[1]));
            let mut guest = stage.start(&config)?;
            expect_hello(&mut guest, &format!("by={entry}"))?;
        }
    }
    Ok(())
}

/// How much noise is typed.
const NOISE: usize = 200_000;

/// Noise on the line, more than ever fits a buffer of the console's daemon, and then somebody boots by hand.
fn garbage(stage: &mut Stage) -> Outcome {
    let noise: Vec<u8> = hello::module(NOISE + NOISE / 64)
        .into_iter()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .take(NOISE)
        .collect();
    let noise = stage.share_bytes("noise", &noise)?;
    let files = vec![content("hello", hello::program(stage, Entry::Pv)?)];
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    guest.expect("grub> ", SOON)?;
    let id = guest.id()?;
    stage.dom0.run(&format!(
        "cat {noise} > $(xenstore-read /local/domain/{id}/console/tty)"
    ))?;
    // The first letters end what the last bytes of noise may have begun; Ctrl-C throws the line away.
    guest.type_keys(b"zzz\x03print the noise is over\r")?;
    guest.expect("\nthe noise is over", SOON)?;
    guest.type_keys(b"kernel (hd0,0)/hello after=noise\rboot\r")?;
    expect_hello(&mut guest, "after=noise")
}

/// Nobody types: what fails is tried again, without a menu too, until it works; or the domain ends as configured.
fn unattended(stage: &mut Stage) -> Outcome {
    let menu = "timeout 1\ntitle A\n kernel /boot/not-there\n";
    let device = plug_ext4(stage, files(stage, menu)?)?;
    let config = |words: &str| {
        let config = loader(stage, MIB)?;
        Ok::<_, Trouble>(
            config
                .extra(words)
                .disk(&format!("vdev=xvda,access=rw,target={device}")),
        )
    };
    let retrying = config("--unattended=retry:2")?;
    let ending = config("--unattended=reboot")?;
    let lost = config("/no/menu --unattended=retry:2")?;
    let (mut retrying, mut ending, mut lost) = (
        stage.start(&retrying)?,
        stage.start(&ending)?,
        stage.start(&lost)?,
    );
    for _ in 0..3 {
        lost.expect("No menu was found", SOON)?;
    }
    ending.expect("Error 15: ", SOON)?;
    hello::expect_end(&mut ending, 1)?;
    for _ in 0..2 {
        retrying.expect("Error 15: ", SOON)?;
        retrying.expect("Press any key to continue", SOON)?;
    }
    Ok(())
}
