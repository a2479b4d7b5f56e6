//! The boot image: what Xen starts. Everything of substance is in the library; here it is put together.
#![no_std]
#![no_main]

extern crate alloc;

mod launch;

use alloc::format;
use alloc::rc::Rc;
use core::fmt::Write;

use arch::native::{BootInfo, Shutdown, shutdown};
use bootloader::blkfront::Settings;
use bootloader::config::{self, Arguments};
use bootloader::console::Console;
use bootloader::disks::Disks;
use bootloader::machine::Loader;
use bootloader::network::{Network, Progress};
use bootloader::terminal::Screen;
use bootloader::volumes::Volumes;
use bootloader::xenstore::Store;
use menu::run::DEFAULT_UNATTENDED;
use menu::{Machine, Options, Outcome, ShutdownRequest};

use launch::Native;

arch::main!(start);

/// Entered on the loader's own stack, with the heap ready.
fn start(boot: BootInfo) -> ! {
    shutdown(run(boot))
}

fn run(boot: BootInfo) -> Shutdown {
    let hv: Rc<dyn arch::Hypervisor> = Rc::new(boot.platform);
    let console = Rc::new(Console::new(hv.clone(), boot.console.0, boot.console.1));
    let store = Rc::new(Store::new(hv.clone(), boot.store.0, boot.store.1));
    let mut out = &*console;
    // Nothing can be done about a console that takes no text.
    let _ = writeln!(
        out,
        "pv-grub {} ({}), {} MiB",
        env!("CARGO_PKG_VERSION"),
        launch::WIDTH,
        boot.start_info.nr_pages / 256
    );
    let disks = match Disks::discover(store.clone(), Settings::default()) {
        Ok(disks) => Rc::new(disks),
        Err(error) => {
            let _ = writeln!(out, "cannot list the disks: {error}");
            return Shutdown::Crash;
        }
    };
    for vbd in disks.list() {
        let name = vbd.name.as_deref().unwrap_or("?");
        let _ = writeln!(out, "  (hd{}) is {name}, vbd {}", vbd.index, vbd.id);
    }
    let network = match Network::discover(store.clone()) {
        Ok(network) => Rc::new(network),
        Err(error) => {
            let _ = writeln!(out, "cannot list the network interfaces: {error}");
            return Shutdown::Crash;
        }
    };
    let arguments = Arguments::parse(&boot.start_info.cmd_line);
    for word in arguments.misspelt() {
        let _ = writeln!(
            out,
            "  `{}` in `extra` is no option here; ignored",
            word.escape_ascii()
        );
    }
    // 0 leaves the network alone until somebody asks for it, who then waits as usual.
    if !arguments.dhcp_patience().is_zero() {
        network.set_patience(arguments.dhcp_patience());
    }
    // An eighth of memory: most kernels, packed, and no guest is too small for it.
    network.keep_at_most(boot.start_info.nr_pages / 8 * 4096);
    network.show_on(Progress::new(hv.clone(), console.clone()));
    let volumes = Rc::new(Volumes::new(disks.clone()).with_network(network.clone()));
    let native = Native {
        platform: boot.platform,
        console: console.clone(),
        store: store.clone(),
        disks: disks.clone(),
        network: network.clone(),
        started: boot.started,
    };
    let mut loader = Loader::new(
        &boot.platform,
        &boot.start_info,
        &native,
        hv.clone(),
        volumes.clone(),
    );
    let mut screen = Screen::new(hv.clone(), console.clone(), store).minding(network);
    let options = Options {
        banner: format!("pv-grub version {}", env!("CARGO_PKG_VERSION")),
        entry: arguments.entry.clone(),
        timeout: arguments.timeout,
        append: arguments.append.clone(),
        unattended: arguments.unattended.unwrap_or(DEFAULT_UNATTENDED),
        ..Options::default()
    };
    loop {
        let found = config::find(&volumes, &arguments, boot.ramdisk, &|line| {
            let _ = writeln!(&*console, "{line}");
        });
        let text = match found {
            Ok(found) => {
                let ms = hv.now().since(boot.started).as_millis();
                let _ = writeln!(out, "  menu from {}, {ms} ms after the start", found.place);
                loader.enter_menu(&found.name);
                Some(found.text)
            }
            Err(tried) => {
                let _ = write!(out, "{}", config::report(&tried));
                None
            }
        };
        match menu::run(text.as_deref(), &mut screen, &mut loader, &options) {
            Outcome::LookAgain => {
                volumes.forget();
                disks.forget_failures();
            }
            Outcome::Reboot | Outcome::Shutdown(ShutdownRequest::Reboot) => {
                return Shutdown::Reboot;
            }
            Outcome::Booted | Outcome::Halt | Outcome::Shutdown(ShutdownRequest::PowerOff) => {
                return Shutdown::PowerOff;
            }
        }
    }
}
