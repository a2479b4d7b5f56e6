//! Files over the network: the loader beside lock-step clients, and beside Linux with a client that knows windows.
//!
//! All servers are dom0's, at addresses of their own on its bridge. The same loader is a client with windows or a
//! lock-step one by what the server grants; busybox's `tftp`, which knows no windows, is a second opinion.

use std::path::Path;
use std::time::Duration;

use super::report::{Goal, median_seconds};
use super::{Bench, INITRD_BYTES, KERNEL_LINE, number_before};
use crate::problem::{Problem, Result};
use crate::xen::guest::Config;

/// The server that grants windows (atftpd).
const WINDOWS: &str = "192.0.2.1";
/// One that grants blocks of 1428 bytes, one at a time (tftpd-hpa).
const LOCK_STEP_1428: &str = "192.0.2.2";
/// The same with blocks of 512 bytes, which is all there is without options.
const LOCK_STEP_512: &str = "192.0.2.3";
/// Programs that Linux fetches with, beside busybox.
pub(super) const CLIENTS: &[&str] = &["usr/bin/atftp"];
/// Bytes of the file that is fetched in lock-step, and where a round trip is made to last: 64 MiB would take minutes.
const SHORT_BYTES: usize = 4 << 20;
/// The round trip there.
const ROUND_TRIP: &str = "5ms";
/// The guests' address.
const GUEST: u8 = 9;
/// More rounds would take minutes, nearly all of them in lock-step.
const ROUNDS_MAX: usize = 3;

/// What Linux does when its command line says `pvgrub.tftp`. Its sockets get room for whole windows: with Debian's
/// default, blocks were lost.
const FETCH: &str = "\
if grep -q pvgrub.tftp /proc/cmdline; then
  fetch() { # fetch FILE BYTES CLIENT...
    file=$1 bytes=$2; shift 2
    say fetch begins; \"$@\" -g -r $file -l /tmp/got 192.0.2.1 69 </dev/null >/tmp/said 2>&1; say fetch ends
    say \"fetched $(stat -c %s /tmp/got) of $bytes bytes\"; tail -n 3 /tmp/said
    rm -f /tmp/got
  }
  echo 4194304 >/proc/sys/net/core/rmem_max; echo 4194304 >/proc/sys/net/core/rmem_default
  fetch big @BIG@ atftp --option 'blksize 1468' --option 'windowsize 64'
  fetch big @BIG@ atftp --option 'blksize 1468' --option 'windowsize 16'
  fetch short @SHORT@ tftp -b 1428
  fetch short @SHORT@ tftp -b 512
fi
";

/// [`FETCH`] with the sizes of the files.
pub(super) fn linux_script() -> String {
    FETCH
        .replace("@BIG@", &INITRD_BYTES.to_string())
        .replace("@SHORT@", &SHORT_BYTES.to_string())
}

/// How long each of `N` fetches took, round after round.
type Times<const N: usize> = [Vec<Duration>; N];

/// A menu for the loader that fetches files, each from its server.
fn menu(fetches: &[(&str, &str)]) -> String {
    let mut text = format!(
        "default 0\ntimeout 0\ntitle Fetch\nifconfig --address=192.0.2.{GUEST} --mask=255.255.255.0 (nd0)\n\
         tftpserver {WINDOWS}\nroot (nd0)\nkernel /witness\n"
    );
    for (server, file) in fetches {
        text.push_str(&format!("tftpserver {server}\ninitrd /{file}\n"));
    }
    text
}

/// Whether this is the guest's line about a file of which a block or more is missing. The last block is not counted:
/// in this bed atftp 0.8 does not write it, with windows of 64 and of 16 blocks.
fn is_half(line: &str) -> bool {
    let got = number_before(line, " of ");
    let all = number_before(line, " bytes");
    match (line.trim().strip_prefix("GUEST: fetched "), got, all) {
        (Some(_), Some(got), Some(all)) => got + 1468.0 <= all,
        (Some(_), _, _) => true,
        _ => false,
    }
}

/// MiB/s.
fn rate(bytes: usize, times: &[Duration]) -> f64 {
    bytes as f64 / f64::from(1 << 20) / median_seconds(times)
}

impl Bench {
    /// Files from dom0's TFTP servers. `content` is where the disk's files lie.
    pub(super) fn network(&mut self, content: &Path) -> Result<()> {
        self.serve(content)?;
        let near = [
            (WINDOWS, "big"),
            (LOCK_STEP_1428, "short"),
            (LOCK_STEP_512, "short"),
        ];
        let far = [(WINDOWS, "short"), (LOCK_STEP_1428, "short")];
        let mut own: Times<3> = Default::default();
        let mut linux: Times<4> = Default::default();
        let mut late: Times<2> = Default::default();
        for round in 1..=self.rounds.min(ROUNDS_MAX) {
            let ours = self.fetch_by_loader(&near, &mut own)?;
            let theirs = self.fetch_by_linux(&mut linux)?;
            self.lab.in_dom0(&format!(
                "/sbin/tc qdisc add dev br0 root netem delay {ROUND_TRIP} limit 10000"
            ))?;
            let delayed = self.fetch_by_loader(&far, &mut late)?;
            self.lab.in_dom0("/sbin/tc qdisc del dev br0 root")?;
            println!(
                "round {round}: windows, lock-step 1428, 512: pv-grub {ours}, Linux {theirs}; \
                 at {ROUND_TRIP} windows, lock-step 1428: {delayed}"
            );
        }
        let short = SHORT_BYTES >> 20;
        let windows = rate(INITRD_BYTES, &own[0]);
        let [wide, narrow, lock_step @ ..] = &linux;
        let (wide, narrow) = (rate(INITRD_BYTES, wide), rate(INITRD_BYTES, narrow));
        let theirs = wide.max(narrow);
        println!("atftp: {wide:.2} MiB/s with windows of 64 blocks, {narrow:.2} with 16");
        for (block, index, goal) in [(512, 1, 4.0), (1428, 0, 2.0)] {
            for (who, times) in [
                ("the loader itself", &own[1..]),
                ("busybox in Linux", lock_step),
            ] {
                let lock_step = rate(SHORT_BYTES, &times[index]);
                self.report.judge(
                    &format!("TFTP, beside lock-step with blocks of {block} bytes: {who}"),
                    &format!("{windows:.2} MiB/s, lock-step {lock_step:.2} MiB/s"),
                    windows / lock_step,
                    " x",
                    Goal::AtLeast(goal),
                );
            }
        }
        self.report.judge(
            "TFTP, beside Linux with `atftp` and windows",
            &format!("{windows:.2} MiB/s, atftp {theirs:.2} MiB/s"),
            windows / theirs,
            " x",
            Goal::AtLeast(0.5),
        );
        let [far, lock_step] = late.map(|all| median_seconds(&all));
        self.report.judge(
            &format!("TFTP at a round trip of {ROUND_TRIP}, beside lock-step with 1428"),
            &format!("{short} MiB in {far:.2} s, lock-step {lock_step:.2} s"),
            lock_step / far,
            " x",
            Goal::AtLeast(10.0),
        );
        Ok(())
    }

    /// Starts the servers.
    fn serve(&self, content: &Path) -> Result<()> {
        let big = self.lab.keep(&content.join("boot/initrd.img"))?;
        let witness = self.lab.keep(&content.join("boot/witness"))?;
        self.lab.in_dom0(&format!(
            "mkdir -p /tmp/tftp && mv {big} /tmp/tftp/big && mv {witness} /tmp/tftp/witness && \
             head -c {SHORT_BYTES} /tmp/tftp/big > /tmp/tftp/short && chmod -R a+rX /tmp/tftp && \
             for a in {LOCK_STEP_1428} {LOCK_STEP_512}; do ip addr add $a/32 dev br0; done"
        ))?;
        let quiet = "</dev/null >/dev/null 2>&1 &";
        self.lab.in_dom0(&format!(
            "atftpd --daemon --no-fork --user root --group root --bind-address {WINDOWS} /tmp/tftp {quiet} \
             in.tftpd -L -a {LOCK_STEP_1428}:69 -B 1428 -s /tmp/tftp {quiet} \
             in.tftpd -L -a {LOCK_STEP_512}:69 -r blksize -s /tmp/tftp {quiet} true"
        ))?;
        self.lab.in_dom0(&format!(
            "for a in {WINDOWS} {LOCK_STEP_1428} {LOCK_STEP_512}; do \
             until netstat -lun | grep -q $a:69; do usleep 50000; done; done"
        ))?;
        Ok(())
    }

    /// Lets the loader fetch files, each from its server, and says how long it took.
    fn fetch_by_loader<const N: usize>(
        &self,
        fetches: &[(&str, &str); N],
        times: &mut Times<N>,
    ) -> Result<String> {
        let lines = menu(fetches).replace('\n', "\\n");
        self.lab
            .in_dom0(&format!("printf '{lines}' > /tmp/fetch.lst"))?;
        let config = Config::new(&self.loader, 512)
            .ramdisk("/tmp/fetch.lst")
            .interface(GUEST);
        self.fetch(&config, ("\ninitrd /", "[initrd, "), times)
    }

    /// Lets Linux fetch with each of its clients.
    fn fetch_by_linux<const N: usize>(&self, times: &mut Times<N>) -> Result<String> {
        let config = Config::new("/bench/boot/vmlinuz", 512)
            .ramdisk("/bench/boot/small.img")
            .extra(&format!("{KERNEL_LINE} pvgrub.tftp"))
            .interface(GUEST);
        let marks = ("GUEST: fetch begins", "GUEST: fetch ends");
        self.fetch(&config, marks, times)
    }

    fn fetch<const N: usize>(
        &self,
        config: &Config,
        (begin, end): (&str, &str),
        times: &mut Times<N>,
    ) -> Result<String> {
        let mut marks = [begin, end].repeat(N);
        // What came of the last one stands behind its end.
        marks.push("\n");
        let seen = self.watch(config, &marks)?;
        if let Some(half) = seen.console.lines().find(|line| is_half(line)) {
            return Err(Problem::new(format!("a client in Linux: {half}")));
        }
        let mut words = Vec::new();
        for (pair, times) in seen.at.chunks_exact(2).zip(times) {
            let took = pair[1].saturating_sub(pair[0]);
            words.push(format!("{:.2}", took.as_secs_f64()));
            times.push(took);
        }
        Ok(format!("{} s", words.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::{is_half, menu};

    #[test]
    fn half_a_file_is_told_from_a_whole_one() {
        assert!(!is_half("GUEST: fetched 67108864 of 67108864 bytes\r"));
        assert!(!is_half("GUEST: fetched 67108472 of 67108864 bytes"));
        assert!(is_half("GUEST: fetched 48009472 of 67108864 bytes"));
        assert!(is_half("GUEST: fetched  of 67108864 bytes"));
        assert!(!is_half("GUEST: fetch ends"));
    }

    #[test]
    fn the_menu_asks_each_server_once() {
        let text = menu(&[("192.0.2.1", "big"), ("192.0.2.2", "short")]);
        assert!(
            text.contains(
                "tftpserver 192.0.2.1\ninitrd /big\ntftpserver 192.0.2.2\ninitrd /short\n"
            )
        );
    }
}
