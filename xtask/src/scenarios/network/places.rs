//! What names the menu and the server, each way with real servers; the hello guest tells what was started.

use super::lan::{self, MENU_AS_TEXT};
use super::{FOUR_MINUTES, ONE_MINUTE};
use crate::guests::{self, LINUX_32};
use crate::problem::Context;
use crate::scenario::{Outcome, Stage};
use crate::scenarios::hello::{self, Entry, content, expect_hello, expect_hello_with};
use crate::scenarios::wide32;
use crate::xen::guest::{Config, Guest};

const MIB: u32 = 64;
pub(super) const BIG_MIB: u32 = 320;

/// A menu that starts the hello guest of the network with `words`, after `before`.
fn menu(before: &str, words: &str) -> String {
    format!("timeout 0\ntitle Hello\n {before}\n kernel (nd)/hello {words}\n")
}

/// Types a command at the prompt and waits for its answer and the next prompt.
pub(super) fn ask(guest: &mut Guest, command: &str, answer: &str) -> Outcome {
    guest.type_keys(format!("{command}\r").as_bytes())?;
    guest.expect(answer, ONE_MINUTE)?;
    guest.expect("grub> ", ONE_MINUTE)?;
    Ok(())
}

/// The DHCP server says nothing but option 150: it is the TFTP server too.
pub(super) fn option_150_alone(stage: &mut Stage) -> Outcome {
    lan::on(stage, 103, |stage, lan| {
        lan.serve_hello(stage)?;
        lan.serve(stage, "only.lst", menu("root (nd)", "from=150").as_bytes())?;
        lan.atftpd(stage, 1)?;
        lan.isc(stage, MENU_AS_TEXT, "option pv-grub-menu \"only.lst\";")?;
        let config = hello::loader(stage, MIB)?.interface_on(103, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("menu from (nd)/only.lst (option 150)", ONE_MINUTE)?;
        guest.expect("Filesystem type is tftp, server 10.77.103.1", ONE_MINUTE)?;
        expect_hello(&mut guest, "from=150")
    })
}

/// Option 150 as addresses (RFC 5859), the menu in `file`: the server is not the DHCP server's address.
pub(super) fn option_150_addresses(stage: &mut Stage) -> Outcome {
    lan::on(stage, 104, |stage, lan| {
        let text = menu("root (nd)", "from=address");
        lan.serve_on(stage, 2, "by/address.lst", text.as_bytes())?;
        lan.serve_on(stage, 2, "hello", &hello::program(stage, Entry::Pv)?)?;
        lan.tftpd_hpa(stage, 2)?;
        let inside = format!(
            "next-server {};\n  option tftp-servers {}, {};\n  filename \"/by/address.lst\";",
            lan.address(1),
            lan.address(2),
            lan.address(1)
        );
        lan.isc(
            stage,
            "option tftp-servers code 150 = array of ip-address;",
            &inside,
        )?;
        let config = hello::loader(stage, MIB)?.interface_on(104, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("menu from (nd)/by/address.lst (option 67)", ONE_MINUTE)?;
        guest.expect("Filesystem type is tftp, server 10.77.104.2", ONE_MINUTE)?;
        expect_hello(&mut guest, "from=address")
    })
}

/// The menu that option 150 names goes before the one on the disk, and takes kernel and module from the disk.
pub(super) fn kernel_on_disk(stage: &mut Stage) -> Outcome {
    lan::on(stage, 105, |stage, lan| {
        let module = hello::module(70_001);
        let text = "timeout 0\ntitle Hello\n root (hd0,0)\n kernel /boot/hello menu=network\n initrd /boot/module\n";
        lan.serve(stage, "over-there.lst", text.as_bytes())?;
        lan.tftpd_hpa(stage, 1)?;
        let inside = format!(
            "next-server {};\n  option pv-grub-menu \"/over-there.lst\";",
            lan.address(1)
        );
        lan.isc(stage, MENU_AS_TEXT, &inside)?;
        let device = hello::plug_ext4(
            stage,
            vec![
                content("boot/hello", hello::program(stage, Entry::Pv)?),
                content("boot/module", &module),
                content(
                    "boot/grub/menu.lst",
                    "timeout 0\ntitle Hello\n kernel (hd0,0)/boot/hello menu=disk\n",
                ),
            ],
        )?;
        let config = hello::loader(stage, MIB)?
            .disk(&format!("vdev=xvda,access=rw,target={device}"))
            .interface_on(105, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("menu from (nd)/over-there.lst (option 150)", ONE_MINUTE)?;
        expect_hello_with(&mut guest, "menu=network", &module)
    })
}

/// dnsmasq alone: option 150 as it sends it, the menu in option 67, and its own TFTP server.
pub(super) fn dnsmasq_67(stage: &mut Stage) -> Outcome {
    lan::on(stage, 106, |stage, lan| {
        lan.serve_hello(stage)?;
        let module = hello::module(700_003);
        lan.serve(stage, "module", &module)?;
        let text = menu("root (nd)", "from=67") + " initrd /module\n";
        lan.serve(stage, "menu.lst", text.as_bytes())?;
        let more = format!(
            "{} --dhcp-option=150,{} --dhcp-option=67,/menu.lst",
            lan.own_tftp(),
            lan.address(1)
        );
        lan.dnsmasq(stage, &more)?;
        let config = hello::loader(stage, MIB)?.interface_on(106, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("menu from (nd)/menu.lst (option 67)", ONE_MINUTE)?;
        expect_hello_with(&mut guest, "from=67", &module)
    })
}

/// `extra = "(nd)/…"`: DHCP by itself; option 66 names a server that is not the DHCP server; the module is joined from
/// disk and network.
pub(super) fn dnsmasq_66_argument(stage: &mut Stage) -> Outcome {
    lan::on(stage, 107, |stage, lan| {
        let module = hello::module(2 * 65_536 + 333);
        let (first, second) = module.split_at(65_536);
        let text = menu("ifconfig", "from=66") + " initrd (hd0,0)/boot/first (nd)/second\n";
        lan.serve_on(stage, 2, "some/path/menu.lst", text.as_bytes())?;
        lan.serve_on(stage, 2, "second", second)?;
        lan.serve_on(stage, 2, "hello", &hello::program(stage, Entry::Pv)?)?;
        lan.atftpd(stage, 2)?;
        lan.dnsmasq(stage, &format!("--dhcp-option=66,{}", lan.address(2)))?;
        let device = hello::plug_ext4(stage, vec![content("boot/first", first)])?;
        let config = hello::loader(stage, MIB)?
            .extra("(nd)/some/path/menu.lst")
            .disk(&format!("vdev=xvda,access=rw,target={device}"))
            .interface_on(107, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("Server: 10.77.107.2", ONE_MINUTE)?;
        expect_hello_with(&mut guest, "from=66", &module)
    })
}

/// The first of two interfaces hears nothing: `(nd)` is the second, and `(nd1)` names it.
pub(super) fn several_interfaces(stage: &mut Stage) -> Outcome {
    lan::on(stage, 108, |stage, silent| {
        lan::on(stage, 109, |stage, lan| {
            lan.serve_hello(stage)?;
            let text = "timeout 0\ntitle Hello\n root (nd1)\n kernel /hello via=nd1\n initrd (nd)/module\n";
            let module = hello::module(9001);
            lan.serve(stage, "menu.lst", text.as_bytes())?;
            lan.serve(stage, "module", &module)?;
            lan.tftpd_hpa(stage, 1)?;
            lan.isc(stage, MENU_AS_TEXT, "option pv-grub-menu \"/menu.lst\";")?;
            let config = hello::loader(stage, MIB)?
                .interface_on(108, &silent.bridge())
                .interface_on(109, &lan.bridge());
            let mut guest = stage.start(&config)?;
            guest.expect("menu from (nd)/menu.lst (option 150)", ONE_MINUTE)?;
            expect_hello_with(&mut guest, "via=nd1", &module)
        })
    })
}

/// Bytes of a module that takes more blocks than a block's number can count: a frame holds at most 1468.
const MANY_BLOCKS: usize = 120_000_000;
const _: () = assert!(MANY_BLOCKS / 1468 > 65_535);

/// Block numbers begin again, in windows, from atftpd.
pub(super) fn big_initrd(stage: &mut Stage) -> Outcome {
    lan::on(stage, 102, |stage, lan| {
        lan.serve_hello(stage)?;
        let module = hello::module(MANY_BLOCKS);
        lan.serve(stage, "module", &module)?;
        let text = menu("root (nd)", "initrd=big") + " initrd /module\n";
        lan.serve(stage, "menu.lst", text.as_bytes())?;
        lan.dnsmasq(stage, "")?;
        lan.atftpd(stage, 1)?;
        let config = hello::loader(stage, BIG_MIB)?
            .extra("(nd)/menu.lst")
            .interface_on(102, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("[initrd, 117188 KiB", FOUR_MINUTES)?;
        expect_hello_with(&mut guest, "initrd=big", &module)?;
        // A window was agreed on: a block at a time would not show a mistake in counting them.
        lan.await_log(stage, "atftpd", "windowsize option -> 64")?;
        Ok(())
    })
}

/// The 32-bit loader: menu, kernel and module from the network, as in `option_150_alone`.
pub(super) fn wide32(stage: &mut Stage) -> Outcome {
    lan::on(stage, 110, |stage, lan| {
        let include = guests::xen_headers(&stage.bed)?;
        let program = guests::witness(&include, &LINUX_32, &stage.folder)?;
        let module = hello::module(300_001);
        let bytes = std::fs::read(&program).context(|| "cannot read the witness")?;
        lan.serve(stage, "witness", &bytes)?;
        lan.serve(stage, "module", &module)?;
        let text = "timeout 0\ntitle Witness\n root (nd)\n kernel /witness\n initrd /module\n";
        lan.serve(stage, "menu.lst", text.as_bytes())?;
        lan.tftpd_hpa(stage, 1)?;
        lan.isc(stage, MENU_AS_TEXT, "option pv-grub-menu \"/menu.lst\";")?;
        let loader = stage.share(&wide32::loader(stage))?;
        let config = wide32::in_shim(Config::new(&loader, 192)).interface_on(110, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("(x86_32)", ONE_MINUTE)?;
        guest.expect("menu from (nd)/menu.lst (option 150)", ONE_MINUTE)?;
        let hash = hello::fnv1a(&module);
        guest.expect(&format!("WITNESS module.hash={hash:#x}"), ONE_MINUTE)?;
        guest.expect("WITNESS done", ONE_MINUTE)?;
        Ok(())
    })
}

/// The network's commands at the prompt: settings by hand, other servers, a lease, and the menu that comes with it.
pub(super) fn prompt(stage: &mut Stage) -> Outcome {
    lan::on(stage, 111, |stage, lan| {
        lan.serve_hello(stage)?;
        lan.serve(stage, "words", b"words of the first server\n")?;
        lan.serve_on(stage, 2, "words", b"words of the second server\n")?;
        lan.serve(
            stage,
            "menu.lst",
            menu("root (nd)", "from=prompt").as_bytes(),
        )?;
        lan.tftpd_hpa(stage, 1)?;
        lan.atftpd(stage, 2)?;
        let inside = format!(
            "option routers {};\n  option pv-grub-menu \"/menu.lst\";",
            lan.address(1)
        );
        lan.isc(stage, MENU_AS_TEXT, &inside)?;
        let config = hello::loader(stage, MIB)?
            .extra("--dhcp-timeout=0")
            .interface_on(111, &lan.bridge());
        let mut guest = stage.start(&config)?;
        guest.expect("grub> ", ONE_MINUTE)?;
        for (command, answer) in [
            ("rarp", "no server speaks RARP any more"),
            ("ifconfig", "nd0 has no address"),
            (
                "ifconfig --address=10.77.111.200 --mask=255.255.255.0 --server=10.77.111.1",
                "Server: 10.77.111.1",
            ),
            ("cat (nd)/words", "words of the first server"),
            ("tftpserver 10.77.111.2", ""),
            ("cat (nd)/words", "words of the second server"),
            ("cat (nd)/no/such", "Error 15"),
            ("tftpserver 10.77.111.1", ""),
            ("dhcp", "Address: 10.77.111."),
            ("ifconfig", "Gateway: 10.77.111.1"),
            ("cat (nd)/no/such", "the TFTP server says: File not found"),
        ] {
            ask(&mut guest, command, answer)?;
        }
        guest.type_keys(b"dhcp --with-configfile\r")?;
        expect_hello(&mut guest, "from=prompt")
    })
}
