//! Devices that do not work, a toolstack that wants something, and nobody who reads.

use std::time::Duration;

use crate::problem::Problem;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{
    self, Content, Entry, SOON, content, expect_hello, loader_on, plug_ext4,
};
use crate::xen::guest::{Guest, Trouble};

const LIMIT: Duration = Duration::from_secs(180);
const MIB: u32 = 64;

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "device-empty-cdrom",
        limit: LIMIT,
        mib: MIB,
        run: empty_cdrom,
    },
    Scenario {
        name: "device-dead-backends",
        limit: LIMIT,
        mib: MIB,
        run: dead_backends,
    },
    Scenario {
        name: "menu-shutdown",
        limit: LIMIT,
        mib: MIB,
        run: |stage| ended_by_toolstack(stage, "shutdown", 0),
    },
    Scenario {
        name: "menu-reboot",
        limit: LIMIT,
        mib: MIB,
        run: |stage| ended_by_toolstack(stage, "reboot", 1),
    },
    Scenario {
        name: "menu-sleeps",
        limit: LIMIT,
        mib: MIB,
        run: sleeps,
    },
    Scenario {
        name: "console-unread",
        limit: LIMIT,
        mib: MIB,
        run: unread,
    },
    Scenario {
        name: "panic-crashes",
        limit: LIMIT,
        mib: 16,
        run: panics,
    },
];

/// The hello kernel, and a menu that waits for keys.
fn waiting_menu(stage: &Stage) -> crate::problem::Result<Vec<Content>> {
    Ok(vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content(
            "boot/grub/menu.lst",
            "default 0\ntitle good\n root (hd0,0)\n kernel /boot/hello at=last\n",
        ),
    ])
}

/// A menu whose first entries are on other disks, and whose last is on the first.
fn menu_with_other_disks(stage: &Stage, others: usize) -> crate::problem::Result<Vec<Content>> {
    let mut menu = String::from("default 0\ntimeout 0\nfallback");
    for number in 1..=others {
        menu.push_str(&format!(" {number}"));
    }
    menu.push('\n');
    for number in 1..=others {
        menu.push_str(&format!(
            "title on hd{number}\n kernel (hd{number})/boot/hello\n"
        ));
    }
    menu.push_str("title on hd0\n kernel (hd0,0)/boot/hello at=last\n");
    Ok(vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content("boot/grub/menu.lst", menu),
    ])
}

/// A drive with nothing in it is said to be empty, at once.
fn empty_cdrom(stage: &mut Stage) -> Outcome {
    let files = menu_with_other_disks(stage, 1)?;
    let device = plug_ext4(stage, files)?;
    let config = loader_on(stage, MIB, &device)?.disk("vdev=xvdc,access=ro,devtype=cdrom");
    let mut guest = stage.start(&config)?;
    guest.expect("Error 21: ", SOON)?;
    guest.expect("hd1 (xvdc): empty drive", SOON)?;
    expect_hello(&mut guest, "at=last")
}

/// Two disks whose back ends never connect: one says nothing at all, one waits for its own hotplug script. The loader
/// gives up after a while, and boots from the disk that works.
fn dead_backends(stage: &mut Stage) -> Outcome {
    let files = menu_with_other_disks(stage, 2)?;
    let device = plug_ext4(stage, files)?;
    let config = loader_on(stage, MIB, &device)?.paused();
    let mut guest = stage.start(&config)?;
    let id = guest.id()?;
    // Linux's blkback looks after `backend/vbd` only, so nobody ever answers the first of these.
    for (number, home, state) in [(51728, "nobody", 1), (51744, "vbd", 2)] {
        let front = format!("/local/domain/{id}/device/vbd/{number}");
        let back = format!("/local/domain/0/backend/{home}/{id}/{number}");
        stage.dom0.run(&format!(
            "xenstore-write {back}/frontend {front} {back}/frontend-id {id} {back}/online 1 {back}/state 1 \
             {front}/backend {back} {front}/backend-id 0 {front}/virtual-device {number} {front}/device-type disk {front}/state 1 && \
             xenstore-chmod -r {back} n0 r{id} && xenstore-chmod -r {front} n{id} r0 && \
             i=0; until [ \"$(xenstore-read {back}/state)\" = {state} ]; do i=$((i+1)); [ $i -lt 100 ] || exit 1; usleep 50000; done"
        ))?;
    }
    let outcome = boot_past_dead(&mut guest);
    // xl knows nothing of these two, so they would stay.
    stage.dom0.run(&format!(
        "xl destroy {} 2>/dev/null; xenstore-rm /local/domain/0/backend/nobody/{id}; xenstore-rm /local/domain/0/backend/vbd/{id}/51744; true",
        guest.name()
    ))?;
    outcome
}

fn boot_past_dead(guest: &mut Guest) -> Outcome {
    guest.resume()?;
    for disk in ["hd1 (xvdb)", "hd2 (xvdc)"] {
        guest.expect("Error 21: ", SOON)?;
        guest.expect(disk, SOON)?;
    }
    expect_hello(guest, "at=last")
}

/// `xl shutdown` and `xl reboot` reach the menu.
fn ended_by_toolstack(stage: &mut Stage, command: &str, reason: u32) -> Outcome {
    let files = waiting_menu(stage)?;
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    guest.expect("good", SOON)?;
    stage.dom0.run(&format!("xl {command} {}", guest.name()))?;
    hello::expect_end(&mut guest, reason)
}

/// At the menu the virtual processor is asleep: it uses at most a tenth of the time, and that only because a look at
/// xenstore once a second is slow under emulation.
fn sleeps(stage: &mut Stage) -> Outcome {
    const WAIT_SECONDS: u32 = 10;
    let files = waiting_menu(stage)?;
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    guest.expect("good", SOON)?;
    stage.dom0.run("sleep 1")?;
    let before = processor_tenths(stage, &guest)?;
    stage.dom0.run(&format!("sleep {WAIT_SECONDS}"))?;
    let used = processor_tenths(stage, &guest)?.saturating_sub(before);
    if used > WAIT_SECONDS {
        return Err(Trouble::Guest(format!(
            "the menu used {used}/10 s of processor time in {WAIT_SECONDS} s"
        )));
    }
    guest.type_keys(b"\r")?;
    expect_hello(&mut guest, "at=last")
}

/// The last column of `xl list`: processor time in tenths of a second.
fn processor_tenths(stage: &Stage, guest: &Guest) -> Result<u32, Trouble> {
    let listed = stage.dom0.run(&format!("xl list {}", guest.name()))?;
    let word = listed.split_whitespace().next_back().unwrap_or_default();
    word.replace('.', "")
        .parse()
        .map_err(|_| Trouble::Bed(format!("xl list says nonsense: {}", listed.trim())))
}

/// Nobody takes what the loader writes, and its ring is full: the guest boots all the same.
fn unread(stage: &mut Stage) -> Outcome {
    const ENTRIES: usize = 6;
    let mut menu = String::from("default 0\ntimeout 0\nfallback");
    for number in 1..=ENTRIES {
        menu.push_str(&format!(" {number}"));
    }
    menu.push('\n');
    for number in 0..ENTRIES {
        // A ring takes 2 KiB.
        let title = format!("{number} has a long title: {}", "much to write ".repeat(40));
        menu.push_str(&format!(
            "title {title}\n kernel (hd0,0)/boot/nothing{number}\n"
        ));
    }
    menu.push_str("title good\n kernel (hd0,0)/boot/hello hello.silent\n");
    let files = vec![
        content("boot/hello", hello::program(stage, Entry::Pv)?),
        content("boot/grub/menu.lst", menu),
    ];
    let device = plug_ext4(stage, files)?;
    let config = loader_on(stage, MIB, &device)?.paused();
    let mut guest = stage.start(&config)?;
    // The console's daemon is told of an event channel that it cannot have, and lets go of the right one.
    stage.dom0.run(&format!(
        "xenstore-write /local/domain/{}/console/port 1; sleep 1",
        guest.id()?
    ))?;
    guest.resume()?;
    hello::expect_end(&mut guest, 0)?;
    if guest.console().is_empty() {
        Ok(())
    } else {
        Err(Trouble::Bed("the console was read".to_owned()))
    }
}

/// More memory than there is, where the loader cannot go on: it says so, and the domain has crashed.
///
/// The way there is a menu that is as large as a menu may be, in a guest that has not so much memory.
fn panics(stage: &mut Stage) -> Outcome {
    let files = vec![content("boot/grub/menu.lst", vec![b'#'; 15 << 20])];
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, 16, &device)?)?;
    guest.expect("panic", SOON)?;
    match guest.wait_gone(SOON)? {
        3 => Ok(()),
        reason => Err(Trouble::from(Problem::new(format!(
            "the guest ended with reason {reason}, not 3 for a crash"
        )))),
    }
}
