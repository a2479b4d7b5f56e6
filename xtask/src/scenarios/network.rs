//! Interfaces on networks where nobody answers, each scenario on a bridge of its own.

use std::time::Duration;

use crate::problem::Result;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::media;
use crate::xen::guest::Config;

const FOUR_MINUTES: Duration = Duration::from_secs(240);

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "net-silent-menu-on-disk",
        limit: FOUR_MINUTES,
        mib: 256,
        run: silent_with_menu_on_disk,
    },
    Scenario {
        name: "net-silent-no-menu",
        limit: FOUR_MINUTES,
        mib: 64,
        run: silent_without_menu,
    },
];

/// A bridge in dom0 with the address 10.77.`number`.1
struct Lan {
    number: u8,
}

impl Lan {
    /// Makes the bridge. Linux's own test, which uses 192.0.2.`number`, reaches dom0 over it.
    fn new(stage: &Stage, number: u8) -> Result<Self> {
        stage.dom0.run(&format!(
            "ip link add pvn{number} type bridge && ip addr add 10.77.{number}.1/24 dev pvn{number} && \
             ip link set pvn{number} up && ip route add 192.0.2.{number}/32 dev pvn{number}"
        ))?;
        Ok(Lan { number })
    }

    fn bridge(&self) -> String {
        format!("pvn{}", self.number)
    }
}

/// No server answers: the menu on the disk is used after four seconds, and Linux has the interface to itself.
fn silent_with_menu_on_disk(stage: &mut Stage) -> Outcome {
    let kernel = stage.bed.debian12.clone();
    let lan = Lan::new(stage, 104)?;
    let disk = media::sample(stage, &kernel)?;
    let device = stage.plug(&disk)?;
    let config = Config::new(&stage.share(&stage.loader)?, 256)
        .disk(&format!("vdev=xvda,access=rw,target={device}"))
        .interface_on(104, &lan.bridge());
    let mut guest = stage.start(&config)?;
    guest.expect("no DHCP server answered in ", FOUR_MINUTES)?;
    guest.expect("GUEST: network works", FOUR_MINUTES)?;
    guest.expect("GUEST: user space reached", FOUR_MINUTES)?;
    guest.wait_gone(FOUR_MINUTES)?;
    Ok(())
}

/// No server and no menu: the prompt after as long as was allowed.
fn silent_without_menu(stage: &mut Stage) -> Outcome {
    let lan = Lan::new(stage, 105)?;
    let config = Config::new(&stage.share(&stage.loader)?, 64)
        .extra("--dhcp-timeout=6")
        .interface_on(105, &lan.bridge());
    let mut guest = stage.start(&config)?;
    guest.expect("the network: no DHCP server answered in 6 s", FOUR_MINUTES)?;
    guest.expect("grub> ", FOUR_MINUTES)?;
    guest.type_keys(b"ifconfig\r")?;
    guest.expect("nd0 has no address", FOUR_MINUTES)?;
    guest.type_keys(b"rarp\r")?;
    guest.expect("no server speaks RARP any more", FOUR_MINUTES)?;
    guest.type_keys(b"halt\r")?;
    guest.wait_gone(FOUR_MINUTES)?;
    Ok(())
}
