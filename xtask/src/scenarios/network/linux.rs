//! Linux with kernel and initrd from the network, which then gets a lease of its own.

use std::time::Duration;

use super::FOUR_MINUTES;
use super::lan::{self, Lan, MENU_AS_TEXT};
use crate::problem::Result;
use crate::scenario::{Outcome, Stage};
use crate::xen::guest::{Config, Guest};
use crate::xen::ramdisk::{self, Ramdisk, Recipe};

/// What the guest's Linux does at its end: asks for a lease of its own.
const OWN_LEASE: &str = "udhcpc -i eth0 -n -q -s /bin/true 2>&1 | \
    grep -o 'lease of [0-9.]*' | while read l; do say \"own $l\"; done\n";

/// A menu whose one entry has everything on the network.
const ALL_ON_NETWORK: &str = "\
default 0
timeout 1

title Everything from the network
    root (nd)
    kernel /vmlinuz console=hvc0 via=network
    initrd /initrd
";

/// Serves kernel, menu and initrd.
fn serve(stage: &Stage, lan: &Lan) -> Result<Ramdisk> {
    let kernel = &stage.bed.debian12;
    lan.serve(stage, "vmlinuz", &std::fs::read(&kernel.image)?)?;
    let recipe = Recipe {
        payload_bytes: 100_000,
        more: OWN_LEASE.to_owned(),
        ..Recipe::default()
    };
    let ramdisk = ramdisk::build(&stage.bed, kernel, &recipe)?;
    lan.serve(stage, "initrd", &ramdisk.bytes)?;
    lan.serve(stage, "menus/guest.lst", ALL_ON_NETWORK.as_bytes())?;
    Ok(ramdisk)
}

/// Linux has everything, reaches dom0, and gets a lease of its own over the same interface.
fn expect_linux(guest: &mut Guest, lan: &Lan, ramdisk: &Ramdisk, limit: Duration) -> Outcome {
    guest.expect("GUEST: cmdline=[console=hvc0 via=network]", limit)?;
    let sum = &ramdisk.payload_sha256;
    guest.expect(&format!("GUEST: payload-sha256={sum}"), limit)?;
    guest.expect("GUEST: network works", limit)?;
    guest.expect(&format!("GUEST: own lease of {}", lan.prefix()), limit)?;
    guest.expect("GUEST: user space reached", limit)?;
    guest.wait_gone(limit)?;
    Ok(())
}

/// A guest without disk, argument and ramdisk: option 150 as text from ISC's server, everything else from tftpd-hpa.
pub(super) fn option_150(stage: &mut Stage) -> Outcome {
    lan::on(stage, 101, |stage, lan| {
        let ramdisk = serve(stage, lan)?;
        lan.tftpd_hpa(stage, 1)?;
        let inside = format!(
            "next-server {};\n  option pv-grub-menu \"/menus/guest.lst\";",
            lan.address(1)
        );
        lan.isc(stage, MENU_AS_TEXT, &inside)?;
        let loader = stage.share(&stage.loader)?;
        let config = Config::new(&loader, 256).interface_on(101, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("menu from (nd)/menus/guest.lst (option 150)", FOUR_MINUTES)?;
        expect_linux(&mut guest, lan, &ramdisk, FOUR_MINUTES)
    })
}
