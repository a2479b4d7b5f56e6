//! The main job: the loader boots a stock kernel and initrd from the guest's own disk.

use std::time::Duration;

use crate::bed::Kernel;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::media;
use crate::xen::guest::Config;

const TWO_MINUTES: Duration = Duration::from_secs(120);

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "boot-debian12",
        limit: TWO_MINUTES,
        mib: 256,
        run: |stage| boot(stage, &stage.bed.debian12.clone()),
    },
    Scenario {
        name: "boot-debian13",
        limit: TWO_MINUTES,
        mib: 256,
        run: |stage| boot(stage, &stage.bed.debian13.clone()),
    },
];

/// The sample disk, with its menu named on the command line.
fn boot(stage: &mut Stage, kernel: &Kernel) -> Outcome {
    let disk = media::sample(stage, kernel)?;
    let device = stage.plug(&disk)?;
    let loader = stage.share(&stage.loader)?;
    let config = Config::new(&loader, 256)
        .extra("(hd0,0)/boot/grub/menu.lst")
        .disk(&format!("vdev=xvda,access=rw,target={device}"))
        .interface(11);
    let mut guest = stage.start(&config)?;
    guest.expect(
        "GUEST: cmdline=[root=/dev/xvda1 ro console=hvc0]",
        TWO_MINUTES,
    )?;
    guest.expect(
        &format!(
            "GUEST: payload-sha256={}",
            media::sample_payload_sha256(stage, kernel)?
        ),
        TWO_MINUTES,
    )?;
    guest.expect("GUEST: mounted xvda1 as ext4", TWO_MINUTES)?;
    guest.expect("GUEST: network works", TWO_MINUTES)?;
    guest.expect("GUEST: user space reached", TWO_MINUTES)?;
    guest.wait_gone(TWO_MINUTES)?;
    Ok(())
}
