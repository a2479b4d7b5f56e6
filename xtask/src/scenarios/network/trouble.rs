//! Networks where nobody answers, servers that die, and leases that run out.

use std::time::{Duration, Instant};

use super::lan::{self, Lan, MENU_AS_TEXT};
use super::places::ask;
use super::{FOUR_MINUTES, ONE_MINUTE};
use crate::scenario::{Outcome, Stage};
use crate::scenarios::hello::{self, Entry, content, expect_hello, expect_hello_with};
use crate::scenarios::media;
use crate::xen::guest::{Config, Guest, Trouble};

const MIB: u32 = 64;
/// What a busy machine may add to a wait.
const SLACK: Duration = Duration::from_secs(8);
/// Bytes of a module that loses some fifty frames.
const SHAKEN: usize = 8_000_000;
/// Bytes of a file that takes long enough to be interrupted.
const LONG: usize = 32 << 20;

/// The network was given up after `seconds`, by the guest's clock and by the host's.
fn expect_silence(guest: &mut Guest, seconds: u64) -> Outcome {
    guest.expect("Asking the network for a menu", ONE_MINUTE)?;
    let begun = Instant::now();
    guest.expect("no DHCP server has answered yet; waiting", ONE_MINUTE)?;
    guest.expect(
        &format!("the network: no DHCP server answered in {seconds} s"),
        ONE_MINUTE,
    )?;
    let took = begun.elapsed();
    if took > Duration::from_secs(seconds) + SLACK {
        return Err(Trouble::Guest(format!(
            "a silent network cost {:.1} s instead of {seconds} s",
            took.as_secs_f64()
        )));
    }
    Ok(())
}

/// No server answers: the menu on the disk is used after four seconds, and Linux has the interface to itself.
pub(super) fn silent_with_menu_on_disk(stage: &mut Stage) -> Outcome {
    lan::on(stage, 112, |stage, lan| {
        let kernel = stage.bed.debian12.clone();
        let disk = media::sample(stage, &kernel)?;
        let device = stage.plug(&disk)?;
        let config = Config::new(&stage.share(&stage.loader)?, 256)
            .disk(&format!("vdev=xvda,access=rw,target={device}"))
            .interface_on(112, &lan.bridge());
        let mut guest = stage.start(&config)?;
        expect_silence(&mut guest, 4)?;
        guest.expect("GUEST: network works", ONE_MINUTE)?;
        guest.expect("GUEST: user space reached", ONE_MINUTE)?;
        guest.wait_gone(ONE_MINUTE)?;
        Ok(())
    })
}

/// No server and no menu: the prompt after as long as was allowed.
pub(super) fn silent_without_menu(stage: &mut Stage) -> Outcome {
    lan::on(stage, 113, |stage, lan| {
        let config = hello::loader(stage, MIB)?
            .extra("--dhcp-timeout=6")
            .interface_on(113, &lan.bridge());
        let mut guest = stage.start(&config)?;
        expect_silence(&mut guest, 6)?;
        guest.expect("grub> ", ONE_MINUTE)?;
        ask(&mut guest, "ifconfig", "nd0 has no address")?;
        guest.type_keys(b"halt\r")?;
        guest.wait_gone(ONE_MINUTE)?;
        Ok(())
    })
}

/// Frames are lost, doubled and overtaken on the way to the guest: the module arrives whole all the same.
pub(super) fn lossy(stage: &mut Stage) -> Outcome {
    lan::on(stage, 117, |stage, lan| {
        lan.serve_hello(stage)?;
        let module = hello::module(SHAKEN);
        lan.serve(stage, "module", &module)?;
        let text = "timeout 0\ntitle Hello\n kernel (nd)/hello shaken\n initrd (nd)/module\n";
        lan.serve(stage, "menu.lst", text.as_bytes())?;
        lan.dnsmasq(stage, "")?;
        lan.atftpd(stage, 1)?;
        let bridge = lan.bridge();
        stage.dom0.run(&format!(
            "/sbin/tc qdisc add dev {bridge} root netem delay 1ms reorder 5% 50% loss 1% duplicate 2%"
        ))?;
        let config = hello::loader(stage, MIB)?
            .extra("(nd)/menu.lst")
            .interface_on(117, &bridge);
        let mut guest = stage.start(&config)?;
        guest.expect("menu from (nd)/menu.lst", ONE_MINUTE)?;
        guest.expect("[initrd,", FOUR_MINUTES)?;
        expect_hello_with(&mut guest, "shaken", &module)?;
        let counted = stage
            .dom0
            .run(&format!("/sbin/tc -s qdisc show dev {bridge}"))?;
        let dropped = counted.split_once("(dropped ");
        let dropped = dropped.and_then(|(_, rest)| rest.split_once(','));
        match dropped.and_then(|(number, _)| number.parse::<u32>().ok()) {
            Some(1..) => Ok(()),
            _ => Err(Trouble::Guest(format!("nothing was lost: {counted}"))),
        }
    })
}

/// Kills the server in the middle of `long`, and sees the loader give up in time.
fn kill_in_the_middle(stage: &Stage, lan: &Lan, guest: &mut Guest) -> Outcome {
    guest.expect("(nd)/long: ", ONE_MINUTE)?;
    lan.kill(stage, "dnsmasq")?;
    let begun = Instant::now();
    guest.expect("the TFTP server 10.77.", ONE_MINUTE)?;
    guest.expect("sent nothing more for 10 s after", ONE_MINUTE)?;
    let took = begun.elapsed();
    if took > Duration::from_secs(10) + SLACK {
        return Err(Trouble::Guest(format!(
            "a dead server was waited for {:.1} s",
            took.as_secs_f64()
        )));
    }
    Ok(())
}

/// The server is killed in the middle of a file: an error in time, a usable prompt, and all is well when it is back.
pub(super) fn server_dies_prompt(stage: &mut Stage) -> Outcome {
    lan::on(stage, 114, |stage, lan| {
        lan.serve_hello(stage)?;
        lan.serve(stage, "long", &vec![0; LONG])?;
        let module = hello::module(50_000);
        lan.serve(stage, "module", &module)?;
        lan.dnsmasq(stage, &lan.own_tftp())?;
        let config = hello::loader(stage, MIB)?
            .extra("--dhcp-timeout=0")
            .interface_on(114, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("grub> ", ONE_MINUTE)?;
        ask(&mut guest, "dhcp", "Address: 10.77.114.")?;
        ask(&mut guest, "kernel (nd)/hello before", "")?;
        guest.type_keys(b"initrd (nd)/long\r")?;
        kill_in_the_middle(stage, lan, &mut guest)?;
        guest.expect("grub> ", ONE_MINUTE)?;
        ask(&mut guest, "cat (nd)/module", "did not answer in 10 s")?;
        lan.dnsmasq(stage, &lan.own_tftp())?;
        ask(&mut guest, "kernel (nd)/hello again", "")?;
        ask(&mut guest, "initrd (nd)/module", "")?;
        guest.type_keys(b"boot\r")?;
        hello::expect_hello_with(&mut guest, "again", &module)
    })
}

/// The same in an entry: the fallback entry starts from the disk.
pub(super) fn server_dies_fallback(stage: &mut Stage) -> Outcome {
    lan::on(stage, 115, |stage, lan| {
        lan.serve_hello(stage)?;
        lan.serve(stage, "long", &vec![0; LONG])?;
        lan.dnsmasq(stage, &lan.own_tftp())?;
        let menu = "default 0\nfallback 1\ntimeout 0\n\
                    title Network\n kernel (nd)/hello from=network\n initrd (nd)/long\n\
                    title Disk\n kernel (hd0,0)/boot/hello from=disk\n";
        let device = hello::plug_ext4(
            stage,
            vec![
                content("boot/hello", hello::program(stage, Entry::Pv)?),
                content("boot/grub/menu.lst", menu),
            ],
        )?;
        let config = hello::loader_on(stage, MIB, &device)?.interface_on(115, &lan.bridge());
        let mut guest = stage.start(&config)?;
        kill_in_the_middle(stage, lan, &mut guest)?;
        expect_hello(&mut guest, "from=disk")
    })
}

/// A lease of 24 seconds, and a guest that waits at its prompt for longer: the server sees it renewed, and the address
/// still serves.
pub(super) fn lease_renewed(stage: &mut Stage) -> Outcome {
    lan::on(stage, 116, |stage, lan| {
        lan.serve_hello(stage)?;
        lan.tftpd_hpa(stage, 1)?;
        lan.isc(
            stage,
            MENU_AS_TEXT,
            "default-lease-time 24; max-lease-time 24; min-lease-time 24;",
        )?;
        let config = hello::loader(stage, MIB)?
            .extra("--dhcp-timeout=0")
            .interface_on(116, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("grub> ", ONE_MINUTE)?;
        ask(&mut guest, "dhcp", "Address: 10.77.116.")?;
        let begun = Instant::now();
        // Twice the lease: without renewals it would be gone.
        while lan.count_in_log(stage, "dhcpd", "DHCPREQUEST")? < 4 {
            if begun.elapsed() > Duration::from_secs(90) {
                let found = lan.count_in_log(stage, "dhcpd", "DHCPREQUEST")?;
                return Err(Trouble::Guest(format!(
                    "a lease of 24 s was asked for {found} times in 90 s"
                )));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        if lan.count_in_log(stage, "dhcpd", "DHCPDISCOVER")? != 1 {
            return Err(Trouble::Guest("the lease was lost, not renewed".to_owned()));
        }
        ask(&mut guest, "kernel (nd)/hello with=renewed", "")?;
        guest.type_keys(b"boot\r")?;
        expect_hello(&mut guest, "with=renewed")
    })
}
