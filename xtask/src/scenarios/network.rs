//! Menus, kernels and initrds over the network, from real servers in dom0, each scenario on a bridge of its own.

use std::time::Duration;

use crate::problem::Result;
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::media;
use crate::xen::guest::{Config, Guest};
use crate::xen::ramdisk::{self, Ramdisk, Recipe};

/// A server without windows sends a block for each round trip, which takes milliseconds in the bed.
const FOUR_MINUTES: Duration = Duration::from_secs(240);
const FIVE_MINUTES: Duration = Duration::from_secs(300);

pub(super) const TABLE: &[Scenario] = &[
    Scenario {
        name: "net-all-from-dnsmasq",
        limit: FOUR_MINUTES,
        mib: 256,
        run: all_from_dnsmasq,
    },
    Scenario {
        name: "net-option-150-from-isc",
        limit: FOUR_MINUTES,
        mib: 256,
        run: option_150_from_isc,
    },
    Scenario {
        name: "net-menu-by-argument",
        limit: FOUR_MINUTES,
        mib: 256,
        run: menu_by_argument,
    },
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
    Scenario {
        name: "net-big-initrd",
        limit: FIVE_MINUTES,
        mib: 640,
        run: big_initrd,
    },
    Scenario {
        name: "net-server-dies",
        limit: FOUR_MINUTES,
        mib: 256,
        run: server_dies,
    },
];

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

/// A bridge in dom0 with the address 10.77.`number`.1 and servers on it. Its files are in dom0's memory: the shared
/// folder would cost a trip to the host for each block.
struct Lan {
    number: u8,
}

impl Lan {
    /// Makes the bridge. Linux's own test, which uses 192.0.2.`number`, reaches dom0 over it.
    fn new(stage: &Stage, number: u8) -> Result<Self> {
        stage.dom0.run(&format!(
            "ip link add pvn{number} type bridge && ip addr add 10.77.{number}.1/24 dev pvn{number} && \
             ip link set pvn{number} up && ip route add 192.0.2.{number}/32 dev pvn{number} && \
             mkdir -p /tmp/served-{number}"
        ))?;
        Ok(Lan { number })
    }

    fn bridge(&self) -> String {
        format!("pvn{}", self.number)
    }

    fn address(&self) -> String {
        format!("10.77.{}.1", self.number)
    }

    /// dnsmasq's own TFTP server: one block for each round trip.
    fn tftp(&self) -> String {
        format!("--enable-tftp --tftp-root=/tmp/served-{}", self.number)
    }

    /// Starts tftpd-hpa: one block for each round trip.
    fn tftpd_hpa(&self, stage: &Stage) -> Result<()> {
        let (number, address) = (self.number, self.address());
        stage.dom0.run(&format!(
            "in.tftpd --listen --user root --address {address}:69 --secure /tmp/served-{number}"
        ))?;
        Ok(())
    }

    /// Starts atftpd: windows.
    fn atftpd(&self, stage: &Stage) -> Result<()> {
        let (number, address) = (self.number, self.address());
        let log = stage.share_bytes("atftpd.log", b"")?;
        stage.dom0.run(&format!(
            "atftpd --daemon --user root --group root --bind-address {address} --port 69 --logfile {log} \
             --verbose=7 /tmp/served-{number}"
        ))?;
        Ok(())
    }

    /// Starts dnsmasq with `more` options.
    fn dnsmasq(&self, stage: &Stage, more: &str) -> Result<()> {
        let number = self.number;
        let log = stage.share_bytes("dnsmasq.log", b"")?;
        stage.dom0.run(&format!(
            "dnsmasq --conf-file=/dev/null --port=0 --user=root --interface=pvn{number} --bind-interfaces \
             --except-interface=lo --pid-file=/tmp/dnsmasq-{number}.pid --dhcp-leasefile=/tmp/leases-{number} \
             --log-facility={log} --log-dhcp {more}"
        ))?;
        Ok(())
    }

    /// dnsmasq's option for the addresses that it gives.
    fn range(&self) -> String {
        let n = self.number;
        format!("--dhcp-range=10.77.{n}.10,10.77.{n}.99,255.255.255.0,1h")
    }

    /// Starts ISC's DHCP server; `more` goes into the subnet.
    fn isc(&self, stage: &Stage, more: &str) -> Result<()> {
        let n = self.number;
        let text = format!(
            "option pv-grub-menu code 150 = text;\n\
             subnet 10.77.{n}.0 netmask 255.255.255.0 {{\n  range 10.77.{n}.10 10.77.{n}.99;\n  {more}\n}}\n"
        );
        let file = stage.share_bytes("dhcpd.conf", text.as_bytes())?;
        stage.dom0.run(&format!(
            "touch /tmp/isc-{n} && dhcpd -4 -q -cf {file} -lf /tmp/isc-{n} -pf /tmp/isc-{n}.pid pvn{n}"
        ))?;
        Ok(())
    }

    /// Puts a file where the TFTP server finds it.
    fn serve(&self, stage: &Stage, name: &str, bytes: &[u8]) -> Result<()> {
        let file = stage.share_bytes(name, bytes)?;
        let number = self.number;
        stage
            .dom0
            .run(&format!("mv {file} /tmp/served-{number}/{name}"))?;
        Ok(())
    }

    /// Serves the kernel as `vmlinuz`.
    fn serve_image(&self, stage: &Stage) -> Result<()> {
        let image = std::fs::read(&stage.bed.debian12.image)?;
        self.serve(stage, "vmlinuz", &image)
    }

    /// Puts the kernel and an initrd of `payload` bytes into the folder.
    fn serve_kernel(&self, stage: &Stage, payload: usize) -> Result<Ramdisk> {
        let kernel = &stage.bed.debian12;
        self.serve_image(stage)?;
        let recipe = Recipe {
            payload_bytes: payload,
            more: OWN_LEASE.to_owned(),
        };
        let ramdisk = ramdisk::build(&stage.bed, kernel, &recipe)?;
        self.serve(stage, "initrd", &ramdisk.bytes)?;
        Ok(ramdisk)
    }

    /// Linux has everything, reaches dom0, and gets a lease of its own over the same interface.
    fn expect_linux(&self, guest: &mut Guest, payload_sha256: &str, limit: Duration) -> Outcome {
        guest.expect(&format!("GUEST: payload-sha256={payload_sha256}"), limit)?;
        guest.expect("GUEST: network works", limit)?;
        guest.expect(
            &format!("GUEST: own lease of 10.77.{}.", self.number),
            limit,
        )?;
        guest.expect("GUEST: user space reached", limit)?;
        guest.wait_gone(limit)?;
        Ok(())
    }
}

/// A diskless guest: options 150 and 67, menu, kernel and initrd from dnsmasq alone, with no argument at all.
fn all_from_dnsmasq(stage: &mut Stage) -> Outcome {
    let lan = Lan::new(stage, 101)?;
    let ramdisk = lan.serve_kernel(stage, 100_000)?;
    lan.serve(stage, "menu.lst", ALL_ON_NETWORK.as_bytes())?;
    // dnsmasq takes option 150 for addresses only, as RFC 5859 has it; the menu is then the boot file.
    let address = lan.address();
    let more = format!(
        "{} {} --dhcp-option=150,{address} --dhcp-boot=/menu.lst",
        lan.range(),
        lan.tftp()
    );
    lan.dnsmasq(stage, &more)?;
    let config = Config::new(&stage.share(&stage.loader)?, 256).interface_on(101, &lan.bridge());
    let mut guest = stage.start(&config)?;
    guest.expect("menu from (nd)/menu.lst (option 67)", FOUR_MINUTES)?;
    guest.expect("GUEST: cmdline=[console=hvc0 via=network]", FOUR_MINUTES)?;
    lan.expect_linux(&mut guest, &ramdisk.payload_sha256, FOUR_MINUTES)
}

/// Option 150 as text from ISC's server, the menu from tftpd-hpa; it takes kernel and initrd from the guest's disk.
fn option_150_from_isc(stage: &mut Stage) -> Outcome {
    let kernel = stage.bed.debian12.clone();
    let lan = Lan::new(stage, 102)?;
    let menu = "timeout 0\ntitle Kernel from the disk\nroot (hd0,0)\n\
                kernel /boot/vmlinuz console=hvc0 via=disk\ninitrd /boot/initrd.img\n";
    lan.serve(stage, "over-there.lst", menu.as_bytes())?;
    lan.tftpd_hpa(stage)?;
    let more = format!(
        "next-server {};\n  option pv-grub-menu \"/over-there.lst\";",
        lan.address()
    );
    lan.isc(stage, &more)?;
    // Without a menu at a usual place, so that a slow machine has time for the lease.
    let disk = media::disk_with(stage, "grub2-debian12", &kernel, &media::Menu::Grub2)?;
    let device = stage.plug(&disk)?;
    let config = Config::new(&stage.share(&stage.loader)?, 256)
        .disk(&format!("vdev=xvda,access=rw,target={device}"))
        .interface_on(102, &lan.bridge());
    let mut guest = stage.start(&config)?;
    guest.expect("menu from (nd)/over-there.lst (option 150)", FOUR_MINUTES)?;
    guest.expect("GUEST: cmdline=[console=hvc0 via=disk]", FOUR_MINUTES)?;
    guest.expect("GUEST: network works", FOUR_MINUTES)?;
    guest.expect("GUEST: user space reached", FOUR_MINUTES)?;
    guest.wait_gone(FOUR_MINUTES)?;
    Ok(())
}

/// `extra="(nd)/menu.lst"`: DHCP by itself, server from `dhcp-boot`; an initrd that is joined from disk and network;
/// the network commands in the entry.
fn menu_by_argument(stage: &mut Stage) -> Outcome {
    let kernel = stage.bed.debian12.clone();
    let lan = Lan::new(stage, 103)?;
    let menu = "timeout 0\ntitle Both\nifconfig\nkernel (nd)/vmlinuz console=hvc0 via=both\n\
                initrd (hd0,0)/boot/initrd.img (nd)/second\n";
    lan.serve(stage, "menu.lst", menu.as_bytes())?;
    lan.serve_image(stage)?;
    lan.serve(
        stage,
        "second",
        &ramdisk::addition("second", "from the network"),
    )?;
    let more = format!("{} {} --dhcp-boot=menu.lst", lan.range(), lan.tftp());
    lan.dnsmasq(stage, &more)?;
    let disk = media::sample(stage, &kernel)?;
    let device = stage.plug(&disk)?;
    let config = Config::new(&stage.share(&stage.loader)?, 256)
        .extra("(nd)/menu.lst")
        .disk(&format!("vdev=xvda,access=rw,target={device}"))
        .interface_on(103, &lan.bridge());
    let mut guest = stage.start(&config)?;
    guest.expect("Server: 10.77.103.1", FOUR_MINUTES)?;
    guest.expect("GUEST: cmdline=[console=hvc0 via=both]", FOUR_MINUTES)?;
    guest.expect("GUEST: second=from the network", FOUR_MINUTES)?;
    guest.expect("GUEST: network works", FOUR_MINUTES)?;
    guest.expect("GUEST: user space reached", FOUR_MINUTES)?;
    guest.wait_gone(FOUR_MINUTES)?;
    Ok(())
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

/// The server is killed in the middle of a file: an error in time, a usable prompt, and all is well when it is back.
fn server_dies(stage: &mut Stage) -> Outcome {
    let lan = Lan::new(stage, 106)?;
    let ramdisk = lan.serve_kernel(stage, 6_000_000)?;
    let more = format!("{} {}", lan.range(), lan.tftp());
    lan.dnsmasq(stage, &more)?;
    let config = Config::new(&stage.share(&stage.loader)?, 256)
        .extra("--dhcp-timeout=0")
        .interface_on(106, &lan.bridge());
    let mut guest = stage.start(&config)?;
    guest.expect("grub> ", FOUR_MINUTES)?;
    guest.type_keys(b"dhcp\r")?;
    guest.expect("Address: 10.77.106.", FOUR_MINUTES)?;
    guest.type_keys(b"kernel (nd)/vmlinuz console=hvc0\r")?;
    guest.expect("grub> ", FOUR_MINUTES)?;
    guest.type_keys(b"initrd (nd)/initrd\r")?;
    guest.expect("(nd)/initrd: ", FOUR_MINUTES)?;
    stage.dom0.run("kill -9 $(cat /tmp/dnsmasq-106.pid)")?;
    guest.expect("sent nothing more for 10 s after", FOUR_MINUTES)?;
    guest.expect("grub> ", FOUR_MINUTES)?;
    lan.dnsmasq(stage, &more)?;
    guest.type_keys(b"initrd (nd)/missing\r")?;
    guest.expect("Error 15", FOUR_MINUTES)?;
    guest.expect("grub> ", FOUR_MINUTES)?;
    guest.type_keys(b"kernel (nd)/vmlinuz console=hvc0 via=again\r")?;
    guest.expect("grub> ", FOUR_MINUTES)?;
    guest.type_keys(b"initrd (nd)/initrd\r")?;
    guest.expect("[initrd, ", FOUR_MINUTES)?;
    guest.type_keys(b"boot\r")?;
    guest.expect("via=again]", FOUR_MINUTES)?;
    lan.expect_linux(&mut guest, &ramdisk.payload_sha256, FOUR_MINUTES)
}

/// More blocks than a block number can count, in windows, from atftpd.
fn big_initrd(stage: &mut Stage) -> Outcome {
    let lan = Lan::new(stage, 107)?;
    let ramdisk = lan.serve_kernel(stage, 120_000_000)?;
    lan.serve(stage, "menu.lst", ALL_ON_NETWORK.as_bytes())?;
    lan.dnsmasq(stage, &lan.range())?;
    lan.atftpd(stage)?;
    let config = Config::new(&stage.share(&stage.loader)?, 640)
        .extra("(nd)/menu.lst")
        .interface_on(107, &lan.bridge());
    let mut guest = stage.start(&config)?;
    guest.expect("GUEST: cmdline=[console=hvc0 via=network]", FIVE_MINUTES)?;
    lan.expect_linux(&mut guest, &ramdisk.payload_sha256, FIVE_MINUTES)
}
