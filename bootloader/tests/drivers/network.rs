//! From names to files on the network: which interface, how long is waited, where the menu comes from.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use arch::fake::FakeXen;
use arch::fake::blkback::FakeDisk;
use arch::fake::netback::{FakeVif, Silence, VifFault};
use bootloader::blkfront::Settings as DiskSettings;
use bootloader::config::{self, Arguments, Found, Tried};
use bootloader::disks::Disks;
use bootloader::network::Network;
use bootloader::volumes::Volumes;
use bootloader::xenstore::Store;
use fs::DeviceName;
use net::fake::{Faults, Settings};

use crate::bed::{XVDA, pattern, store};
use crate::netfront::{Wire, settings};

/// A disk with a FAT file system that holds `grub/menu.lst`.
fn disk_with_menu(menu: &[u8]) -> Vec<u8> {
    let mut disk = vec![0; 64 * 512];
    let mut put = |at: usize, bytes: &[u8]| disk[at..at + bytes.len()].copy_from_slice(bytes);
    // Sectors of 512 bytes, 1 in a cluster, 1 reserved, 1 table of 1 sector, 16 entries in the root.
    put(0, &[0xEB, 0x3C, 0x90]);
    put(3, b"MSDOS5.0");
    put(11, &[0, 2, 1, 1, 0, 1, 16, 0, 64, 0, 0xF8, 1, 0]);
    put(38, &[0x29]);
    put(54, b"FAT12   ");
    put(510, &[0x55, 0xAA]);
    put(512, &[0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    put(2 * 512, b"GRUB       \x10");
    put(2 * 512 + 26, &[2, 0]);
    put(3 * 512, b"MENU    LST\x20");
    put(3 * 512 + 26, &[3, 0]);
    put(
        3 * 512 + 28,
        &u32::try_from(menu.len()).unwrap().to_le_bytes(),
    );
    put(4 * 512, menu);
    disk
}

struct Guest {
    xen: Rc<FakeXen>,
    store: Rc<Store>,
    network: Rc<Network>,
    volumes: Volumes,
    disks: Rc<Disks>,
    notices: RefCell<Vec<String>>,
}

impl Guest {
    fn with(disk: Option<Vec<u8>>, vifs: Vec<FakeVif>) -> Self {
        let xen = FakeXen::new();
        if let Some(bytes) = disk {
            xen.add_disk(FakeDisk::new(XVDA, bytes));
        }
        for vif in vifs {
            xen.add_vif(vif);
        }
        let store = store(&xen);
        let disks = Rc::new(Disks::discover(store.clone(), DiskSettings::default()).unwrap());
        let network = Rc::new(Network::discover(store.clone()).unwrap());
        let volumes = Volumes::new(disks.clone()).with_network(network.clone());
        Self {
            xen,
            store,
            network,
            volumes,
            disks,
            notices: RefCell::new(Vec::new()),
        }
    }

    fn find(&self, extra: &[u8]) -> (Result<Found, Vec<Tried>>, Duration) {
        let arguments = Arguments::parse(extra);
        self.network.set_patience(arguments.dhcp_patience());
        let begin = self.xen.hypervisor().now();
        let found = config::find(&self.volumes, &arguments, None, &|line| {
            self.notices.borrow_mut().push(line.to_string());
        });
        (found, self.xen.hypervisor().now().since(begin))
    }

    fn read(&self, name: &[u8]) -> Result<Vec<u8>, String> {
        let file = self
            .volumes
            .open(name, None)
            .map_err(|failure| failure.to_string())?;
        let mut out = vec![0; usize::try_from(file.len()).unwrap()];
        file.read_at(0, &mut out)
            .map_err(|error| error.to_string())?;
        Ok(out)
    }

    #[track_caller]
    fn assert_clean_end(&self) {
        self.volumes.forget();
        assert!(self.disks.close_all().is_empty());
        assert!(self.network.close_all().is_empty());
        let deadline = self.xen.hypervisor().now().after(Duration::from_secs(1));
        self.store.quiesce(deadline).unwrap();
        assert_eq!(self.xen.leftovers(), Vec::<String>::new());
    }
}

/// A server whose option 150 is `menu`.
fn naming(menu: &[u8]) -> Settings {
    let mut settings = settings(b"");
    settings
        .files
        .insert(b"/net/menu.lst".to_vec(), b"title net\n".to_vec());
    if let Some(dhcp) = &mut settings.dhcp {
        dhcp.options.push((150, menu.to_vec()));
    }
    settings
}

fn vif(id: u64, settings: Settings) -> FakeVif {
    FakeVif::new(id, Box::new(Wire::new(settings, Faults::default(), id)))
}

/// The device that the menu's name begins with.
fn device_of(found: &Found) -> Option<DeviceName> {
    DeviceName::split(&found.name).unwrap().0
}

const NET: Option<DeviceName> = Some(DeviceName::Net { interface: None });

#[test]
fn option_150_goes_before_the_disk() {
    for path in [&b"/net/menu.lst"[..], b"(nd)/net/menu.lst", b"net/menu.lst"] {
        let disk = disk_with_menu(b"title disk\n");
        let guest = Guest::with(Some(disk), vec![vif(0, naming(path))]);
        let (found, took) = guest.find(b"");
        let found = found.unwrap();
        assert_eq!(
            (&found.text[..], device_of(&found)),
            (&b"title net\n"[..], NET)
        );
        assert!(took < Duration::from_millis(500), "{took:?}");
        guest.assert_clean_end();
    }
}

#[test]
fn option_150_may_name_a_disk() {
    let disk = disk_with_menu(b"title disk\n");
    let guest = Guest::with(Some(disk), vec![vif(0, naming(b"(hd0)/grub/menu.lst"))]);
    let (found, _) = guest.find(b"");
    assert_eq!(found.unwrap().text, b"title disk\n");
    guest.assert_clean_end();
}

#[test]
fn a_quiet_network_costs_a_menu_on_disk_four_seconds() {
    let silent = || FakeVif::new(0, Box::new(Silence));
    for vifs in [
        vec![silent()],
        vec![silent().fault(VifFault::NeverReady)],
        vec![silent().fault(VifFault::NeverConnects)],
        vec![
            silent(),
            FakeVif::new(1, Box::new(Silence)).fault(VifFault::NeverReady),
        ],
    ] {
        let guest = Guest::with(Some(disk_with_menu(b"title disk\n")), vifs);
        let (found, took) = guest.find(b"");
        assert_eq!(found.unwrap().text, b"title disk\n");
        assert!(took < Duration::from_millis(4200), "{took:?}");
        guest.assert_clean_end();
    }
}

#[test]
fn without_an_interface_nothing_is_waited_for() {
    let guest = Guest::with(Some(disk_with_menu(b"title disk\n")), Vec::new());
    let (found, took) = guest.find(b"");
    assert_eq!(found.unwrap().text, b"title disk\n");
    assert!(took < Duration::from_millis(100), "{took:?}");
    assert!(guest.notices.borrow().is_empty());
    let error = guest.read(b"(nd)/file").unwrap_err();
    assert!(
        error.contains("Error 21") && error.contains("no network interface"),
        "{error}"
    );
    guest.assert_clean_end();
}

#[test]
fn a_network_that_may_be_left_alone_is() {
    let guest = Guest::with(None, vec![FakeVif::new(0, Box::new(Silence))]);
    let (found, took) = guest.find(b"--dhcp-timeout=0");
    assert!(found.is_err());
    assert!(took < Duration::from_millis(100), "{took:?}");
    for (extra, seconds) in [(&b""[..], 30), (b"--dhcp-timeout=7", 7)] {
        let (found, took) = guest.find(extra);
        let report = config::report(&found.unwrap_err());
        assert!(
            report.contains("the network: no DHCP server answered"),
            "{report}"
        );
        let limit = Duration::from_secs(seconds);
        assert!(
            took >= limit && took < limit + Duration::from_millis(300),
            "{took:?}"
        );
    }
    guest.assert_clean_end();
}

#[test]
fn a_server_that_names_no_menu_or_a_missing_one_costs_nothing() {
    for settings in [settings(b""), naming(b"/missing")] {
        let disk = disk_with_menu(b"title disk\n");
        let guest = Guest::with(Some(disk), vec![vif(0, settings)]);
        let (found, took) = guest.find(b"");
        assert_eq!(found.unwrap().text, b"title disk\n");
        assert!(took < Duration::from_millis(500), "{took:?}");
        assert_eq!(guest.notices.borrow().len(), 2, "{:?}", guest.notices);
        guest.assert_clean_end();
    }
}

#[test]
fn an_argument_on_the_network_asks_by_itself() {
    let guest = Guest::with(None, vec![vif(0, naming(b"/other"))]);
    let (found, _) = guest.find(b"(nd)/net/menu.lst");
    let found = found.unwrap();
    assert_eq!(
        (&found.text[..], device_of(&found)),
        (&b"title net\n"[..], NET)
    );
    guest.assert_clean_end();
}

#[test]
fn the_first_interface_that_answers_is_nd() {
    let mut first = settings(b"from nd1");
    first.files.insert(b"/big".to_vec(), pattern(500_000));
    let vifs = vec![FakeVif::new(0, Box::new(Silence)), vif(1, first)];
    let guest = Guest::with(None, vifs);
    assert_eq!(guest.read(b"(nd)/file").unwrap(), b"from nd1");
    assert_eq!(guest.read(b"(nd1)/file").unwrap(), b"from nd1");
    assert!(guest.read(b"(nd)/big").unwrap() == pattern(500_000));
    let error = guest.read(b"(nd0)/file").unwrap_err();
    assert!(error.contains("no DHCP server answered"), "{error}");
    let error = guest.read(b"(nd2)/file").unwrap_err();
    assert!(error.contains("(nd0) to (nd1)"), "{error}");
    guest.assert_clean_end();
    // Used again after everything was closed.
    assert_eq!(guest.read(b"(nd)/file").unwrap(), b"from nd1");
    guest.assert_clean_end();
}

#[test]
fn commands_configure_and_show() {
    let guest = Guest::with(None, vec![vif(0, naming(b"/net/menu.lst"))]);
    let say = |word: &[u8], args: &[u8]| {
        let reply = guest.network.command(word, args);
        reply.unwrap_or_else(|failure| failure.to_string())
    };
    assert_eq!(say(b"ifconfig", b""), "nd0 has no address");
    let shown = "Address: 10.0.0.77\nNetmask: 255.255.255.0\nServer: 10.0.0.1\nGateway: 0.0.0.0";
    assert_eq!(say(b"dhcp", b"--with-configfile"), shown);
    assert_eq!(guest.network.menu_path().unwrap(), b"(nd)/net/menu.lst");
    assert_eq!(say(b"tftpserver", b"10.0.0.9"), "");
    assert!(say(b"ifconfig", b"").contains("Server: 10.0.0.9"));
    let shown = "Address: 10.0.0.5\nNetmask: 255.0.0.0\nServer: 10.0.0.1\nGateway: 10.0.0.254";
    let args = b"--address=10.0.0.5 --server=10.0.0.1 --gateway=10.0.0.254";
    assert_eq!(say(b"ifconfig", args), shown);
    assert_eq!(guest.read(b"(nd)/net/menu.lst").unwrap(), b"title net\n");
    // Settings by hand stay when everything was closed.
    guest.assert_clean_end();
    assert_eq!(guest.read(b"(nd)/net/menu.lst").unwrap(), b"title net\n");
    assert!(say(b"ifconfig", b"--mask=255.0.255.0").contains("is not a mask"));
    assert!(say(b"ifconfig", b"--address=host").contains("no name service"));
    assert!(say(b"ifconfig", b"--nonsense").contains("--nonsense"));
    assert!(say(b"rarp", b"").contains("RARP"));
    assert!(say(b"tftpserver", b"").contains("not an address"));
    guest.assert_clean_end();
}

#[test]
fn devices_without_folders_say_so() {
    let guest = Guest::with(None, vec![vif(0, settings(b"x"))]);
    let error = guest.volumes.list(b"(nd)/", None).unwrap_err().to_string();
    assert!(error.contains("no folders"), "{error}");
    let error = guest.read(b"(nd)0+1").unwrap_err();
    assert!(error.contains("no sectors"), "{error}");
    let text = guest
        .volumes
        .describe(&DeviceName::Net { interface: None })
        .unwrap();
    assert_eq!(text, " Filesystem type is tftp, server 10.0.0.1");
    guest.assert_clean_end();
}
