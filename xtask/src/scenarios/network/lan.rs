//! A network in dom0: [`Lan`], a bridge with two addresses and the servers that a scenario starts on it.

use std::time::Duration;

use crate::problem::{Problem, Result};
use crate::scenario::{Outcome, Stage};
use crate::scenarios::hello::{self, Entry};

/// How long dom0 may take over a large file.
const COPYING: Duration = Duration::from_secs(120);

/// A bridge in dom0 with the addresses 10.77.`number`.1 and .2, and servers on it. What they serve is in dom0's memory,
/// a folder for each address: the folder shared with the host would cost a trip to the host for each block.
pub(super) struct Lan {
    number: u8,
}

/// Does `work` with a network of its own, and takes the network down afterwards.
pub(super) fn on(
    stage: &mut Stage,
    number: u8,
    work: impl FnOnce(&mut Stage, &Lan) -> Outcome,
) -> Outcome {
    let lan = Lan { number };
    lan.take_down(stage)?; // a row that is run again
    lan.set_up(stage)?;
    let outcome = work(stage, &lan);
    let gone = lan.take_down(stage);
    outcome?;
    Ok(gone?)
}

impl Lan {
    /// Makes the bridge. Linux's own test, which uses 192.0.2.`number`, reaches dom0 over it. What the servers have to
    /// say goes to `share/console/pvn*.log` of the machine.
    fn set_up(&self, stage: &Stage) -> Result<()> {
        let n = self.number;
        stage.dom0.run(&format!(
            "ip link add pvn{n} type bridge && ip addr add 10.77.{n}.1/24 dev pvn{n} && \
             ip addr add 10.77.{n}.2/24 dev pvn{n} && ip link set pvn{n} up && \
             ip route add 192.0.2.{n}/32 dev pvn{n} && mkdir -p /tmp/pvn{n}.1 /tmp/pvn{n}.2"
        ))?;
        Ok(())
    }

    fn take_down(&self, stage: &Stage) -> Result<()> {
        let n = self.number;
        stage.dom0.run(&format!(
            "for p in /tmp/pvn{n}.*.pid; do [ -e $p ] && kill -9 $(cat $p) 2>/dev/null; done; \
             ip link del pvn{n} 2>/dev/null; rm -rf /tmp/pvn{n}.*; true"
        ))?;
        Ok(())
    }

    /// The bridge's name.
    pub(super) fn bridge(&self) -> String {
        format!("pvn{}", self.number)
    }

    /// dom0's first or second address.
    pub(super) fn address(&self, host: u8) -> String {
        format!("10.77.{}.{host}", self.number)
    }

    /// What the addresses of guests begin with.
    pub(super) fn prefix(&self) -> String {
        format!("10.77.{}.", self.number)
    }

    fn in_background(&self, stage: &Stage, name: &str, command: &str) -> Result<()> {
        let n = self.number;
        stage.dom0.run(&format!(
            "{command} >>/share/console/pvn{n}.{name}.log 2>&1 & echo $! >/tmp/pvn{n}.{name}.pid"
        ))?;
        Ok(())
    }

    /// Waits until `name` has written `text` into its log.
    pub(super) fn await_log(&self, stage: &Stage, name: &str, text: &str) -> Result<()> {
        let n = self.number;
        stage.dom0.run(&format!(
            "i=0; until grep -q '{text}' /share/console/pvn{n}.{name}.log; do i=$((i+1)); [ $i -lt 500 ] || exit 1; usleep 100000; done"
        ))?;
        Ok(())
    }

    /// How often `name` has written `text` into its log.
    pub(super) fn count_in_log(&self, stage: &Stage, name: &str, text: &str) -> Result<usize> {
        let n = self.number;
        let count = stage.dom0.run(&format!(
            "grep -c '{text}' /share/console/pvn{n}.{name}.log; true"
        ))?;
        Ok(count.trim().parse().unwrap_or(0))
    }

    /// Starts tftpd-hpa on one address: one block for each round trip.
    pub(super) fn tftpd_hpa(&self, stage: &Stage, host: u8) -> Result<()> {
        let (n, address) = (self.number, self.address(host));
        let command = format!(
            "in.tftpd --foreground --listen --user root --address {address}:69 --secure /tmp/pvn{n}.{host}"
        );
        self.in_background(stage, "hpa", &command)
    }

    /// Starts atftpd on one address: it knows windows.
    pub(super) fn atftpd(&self, stage: &Stage, host: u8) -> Result<()> {
        let (n, address) = (self.number, self.address(host));
        let command = format!(
            "atftpd --daemon --no-fork --user root --group root --bind-address {address} --port 69 --logfile - \
             --verbose=7 /tmp/pvn{n}.{host}"
        );
        self.in_background(stage, "atftpd", &command)
    }

    /// Starts dnsmasq for DHCP with `more` options.
    pub(super) fn dnsmasq(&self, stage: &Stage, more: &str) -> Result<()> {
        let n = self.number;
        let command = format!(
            "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root --interface=pvn{n} \
             --bind-interfaces --except-interface=lo --pid-file --dhcp-leasefile=/tmp/pvn{n}.leases \
             --log-facility=- --log-dhcp --dhcp-range=10.77.{n}.10,10.77.{n}.99,255.255.255.0,1h {more}"
        );
        self.in_background(stage, "dnsmasq", &command)?;
        self.await_log(stage, "dnsmasq", "DHCP, IP range")
    }

    /// dnsmasq's options for its own TFTP server: one block for each round trip.
    pub(super) fn own_tftp(&self) -> String {
        format!("--enable-tftp --tftp-root=/tmp/pvn{}.1", self.number)
    }

    /// Ends a server as a crash would.
    pub(super) fn kill(&self, stage: &Stage, name: &str) -> Result<()> {
        let n = self.number;
        stage
            .dom0
            .run(&format!("kill -9 $(cat /tmp/pvn{n}.{name}.pid)"))?;
        Ok(())
    }

    /// Starts ISC's DHCP server; `globals` stand before the subnet, `inside` in it.
    pub(super) fn isc(&self, stage: &Stage, globals: &str, inside: &str) -> Result<()> {
        let n = self.number;
        let text = format!(
            "{globals}\nsubnet 10.77.{n}.0 netmask 255.255.255.0 {{\n  range 10.77.{n}.10 10.77.{n}.99;\n  {inside}\n}}\n"
        );
        let file = stage.share_bytes("dhcpd.conf", text.as_bytes())?;
        stage.dom0.run(&format!("touch /tmp/pvn{n}.leases"))?;
        let command = format!(
            "dhcpd -4 -d -f -cf {file} -lf /tmp/pvn{n}.leases -pf /tmp/pvn{n}.own.pid pvn{n}"
        );
        self.in_background(stage, "dhcpd", &command)?;
        self.await_log(stage, "dhcpd", "Server starting service")
    }

    /// Puts a file where the TFTP server on .1 finds it.
    pub(super) fn serve(&self, stage: &Stage, name: &str, bytes: &[u8]) -> Result<()> {
        self.serve_on(stage, 1, name, bytes)
    }

    /// Puts a file where the TFTP server on the address `host` finds it.
    pub(super) fn serve_on(&self, stage: &Stage, host: u8, name: &str, bytes: &[u8]) -> Result<()> {
        let file = stage.share_bytes("served", bytes)?;
        let path = format!("/tmp/pvn{}.{host}/{name}", self.number);
        let sum = crate::bed::sha256(bytes);
        // What arrives is compared with what was meant, so what is served must be that.
        let line = format!(
            "mkdir -p $(dirname {path}) && mv {file} {path} && chmod 644 {path} && echo '{sum}  {path}' | sha256sum -c"
        );
        let answer = stage.dom0.try_run(&line, COPYING)?;
        if answer.code != 0 {
            return Err(Problem::new(format!(
                "cannot serve {path}: {}",
                answer.output.trim()
            )));
        }
        Ok(())
    }

    /// Serves the hello guest as `hello`.
    pub(super) fn serve_hello(&self, stage: &Stage) -> Result<()> {
        self.serve(stage, "hello", &hello::program(stage, Entry::Pv)?)
    }
}

/// The line of ISC's configuration that declares option 150 as text, as `docs/network.md` has it.
pub(super) const MENU_AS_TEXT: &str = "option pv-grub-menu code 150 = text;";
