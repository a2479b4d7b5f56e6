//! The examples of `docs/network.md`, run as they stand there.

use super::ONE_MINUTE;
use crate::problem::{Context, Result};
use crate::scenario::{Outcome, Stage};
use crate::scenarios::hello::{self, Entry, expect_hello};
use crate::xen::guest::{Config, Trouble};

const PAGE: &str = include_str!("../../../../docs/network.md");
/// What the page's menu passes to its kernel.
const WORDS: &str = "console=hvc0";

/// The first block of code of a section.
fn block(heading: &str) -> Result<&'static str> {
    let section = PAGE.split_once(&format!("\n{heading}\n"));
    let (_, section) = section.context(|| format!("the page has no section {heading}"))?;
    let mut parts = section.split("```");
    let block = parts.nth(1).and_then(|block| block.split_once('\n'));
    let (_, text) = block.context(|| format!("the section {heading} has no example"))?;
    Ok(text)
}

/// Starts `command` in the background and waits until it has said `ready`.
fn serve(stage: &Stage, name: &str, command: &str, ready: &str) -> Result<()> {
    stage.dom0.run(&format!(
        "{command} >/share/console/documented.{name}.log 2>&1 & echo $! >/tmp/documented.{name}.pid; \
         i=0; until grep -q '{ready}' /share/console/documented.{name}.log; do i=$((i+1)); [ $i -lt 300 ] || exit 1; usleep 100000; done"
    ))?;
    Ok(())
}

fn end(stage: &Stage, name: &str) -> Result<()> {
    stage.dom0.run(&format!(
        "kill -9 $(cat /tmp/documented.{name}.pid) 2>/dev/null; rm -f /tmp/documented.{name}.pid; true"
    ))?;
    Ok(())
}

/// The page's guest, which takes its menu from `place`.
fn boot(stage: &mut Stage, place: &str) -> Outcome {
    let config = Config::new(&stage.share(&stage.loader)?, 64).interface_on(1, "xenbr0");
    if !PAGE.contains("\"mac=00:16:3e:00:00:01,bridge=xenbr0\"") {
        return Err(Trouble::Guest("the page has another guest".to_owned()));
    }
    let mut guest = stage.start(&config)?;
    guest.expect(&format!("menu from {place}"), ONE_MINUTE)?;
    expect_hello(&mut guest, WORDS)
}

/// The bridge, the menu, and each DHCP server whose example can run in the bed.
pub(super) fn examples(stage: &mut Stage) -> Outcome {
    let set_up = block("## Setting up a host")?;
    let bridge = set_up.lines().next().unwrap_or_default();
    let menu = set_up.split_once("<<'EOF'\n");
    let menu = menu.and_then(|(_, rest)| rest.split_once("EOF\n"));
    let (menu, _) = menu.context(|| "the page has no menu")?;
    stage.dom0.run(&format!(
        "ip link del xenbr0 2>/dev/null; rm -rf /srv/tftp; mkdir -p /srv/tftp/guest1 && {bridge}"
    ))?;
    let hello = hello::program(stage, Entry::Pv)?;
    for (name, bytes) in [
        ("vmlinuz", hello.as_slice()),
        ("initrd", b"an initrd"),
        ("menu.lst", menu.as_bytes()),
        ("guest1/menu.lst", menu.as_bytes()),
    ] {
        let file = stage.share_bytes("served", bytes)?;
        stage.dom0.run(&format!(
            "mv {file} /srv/tftp/{name} && chmod 644 /srv/tftp/{name}"
        ))?;
    }
    let outcome = with_servers(stage);
    for name in ["isc", "kea", "hpa", "dnsmasq"] {
        end(stage, name)?;
    }
    stage.dom0.run("ip link del xenbr0; rm -rf /srv")?;
    outcome
}

fn with_servers(stage: &mut Stage) -> Outcome {
    let file = stage.share_bytes("dhcpd.conf", block("### ISC dhcpd")?.as_bytes())?;
    let checked = stage.dom0.run(&format!("dhcpd -t -cf {file} 2>&1"))?;
    if checked.contains("WARNING") {
        return Err(Trouble::Guest(format!("dhcpd warns: {checked}")));
    }
    stage
        .dom0
        .run("in.tftpd --listen --user root --address 10.0.0.1:69 --pidfile /tmp/documented.hpa.pid --secure /srv/tftp")?;
    let command = format!(
        "touch /tmp/documented.leases; dhcpd -4 -d -f -cf {file} -lf /tmp/documented.leases -pf /tmp/documented.own.pid xenbr0"
    );
    serve(stage, "isc", &command, "Server starting service")?;
    boot(stage, "(nd)/guest1/menu.lst (option 150)")?;
    end(stage, "isc")?;

    let file = stage.share_bytes("kea.conf", block("### Kea")?.as_bytes())?;
    let kea = &stage.bed.kea;
    let folder = stage.share_programs(kea, &[kea.join("usr/sbin/kea-dhcp4")])?;
    let command = format!(
        "mkdir -p /var/lib/kea; KEA_LOCKFILE_DIR=none KEA_PIDFILE_DIR=/tmp KEA_LFC_EXECUTABLE=/bin/true LD_LIBRARY_PATH={folder} {folder}/kea-dhcp4 -c {file}"
    );
    serve(stage, "kea", &command, "DHCP4_STARTED")?;
    boot(stage, "(nd)/menu.lst (option 150)")?;
    end(stage, "kea")?;
    end(stage, "hpa")?;

    let file = stage.share_bytes("dnsmasq.conf", block("### dnsmasq")?.as_bytes())?;
    let command = format!("dnsmasq -k -C {file} --port=0 --user=root --pid-file --log-facility=-");
    serve(stage, "dnsmasq", &command, "TFTP root is")?;
    boot(stage, "(nd)/menu.lst (option 67)")
}
