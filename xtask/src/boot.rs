//! `cargo xtask boot`: one guest from menu to its own user space, watched live.

use std::io::{Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::checks::run_folder;
use crate::image::{self, Contents, Target};
use crate::problem::{Context, Problem, Result};
use crate::progress;
use crate::scenarios::media::{self, Menu};
use crate::scenarios::wide32;
use crate::terminal::{LEAVE, Raw};
use crate::xen::disk::DiskImage;
use crate::xen::dom0::Dom0;
use crate::xen::guest::{Config, Guest, Trouble};
use crate::xen::machine::{Machine, Wish, link_or_copy};

/// What the sample guest writes when it is there.
const SAMPLE_DONE: &str = "GUEST: user space reached";

/// Options of `boot`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The width of guest; a 32-bit one runs under xen-shim [default: XEN_TARGET_ARCH, else x86_64]
    #[arg(long, value_enum)]
    arch: Option<Target>,
    /// Boot this disk image instead of a sample disk; the guest may write to it
    #[arg(long, value_name = "IMG")]
    disk: Option<PathBuf>,
    /// Memory of the guest in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(8..))]
    memory: u32,
    /// The guest's `extra` line; the default names the sample disk's menu
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    extra: Option<String>,
    /// Give the guest this ramdisk, for instance a menu
    #[arg(long, value_name = "FILE")]
    ramdisk: Option<PathBuf>,
    /// Start this instead of a freshly built pv-grub
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Text on the console that means that the guest is there [default: the sample guest's own line, or "login:"]
    #[arg(long, value_name = "TEXT")]
    expect: Option<String>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    limit: u64,
    /// Hand the console over to this terminal; Ctrl-] leaves
    #[arg(long)]
    interactive: bool,
}

/// Prints how long each stage took.
struct Clock {
    begun: Instant,
    last: Instant,
}

impl Clock {
    fn new() -> Self {
        Clock {
            begun: Instant::now(),
            last: Instant::now(),
        }
    }

    fn lap(&mut self, what: &str) {
        println!(
            "[{:6.1} s] {what}: {:.1} s",
            self.begun.elapsed().as_secs_f64(),
            self.last.elapsed().as_secs_f64()
        );
        self.last = Instant::now();
    }
}

/// Refuses disk images in the formats of virtual machines: the guest would see their headers as its first sectors.
fn check_raw(disk: &Path) -> Result<()> {
    const FORMATS: &[(&[u8], &str)] = &[
        (b"QFI\xfb", "qcow2"),
        (b"KDMV", "vmdk"),
        (b"conectix", "vpc"),
        (b"vhdxfile", "vhdx"),
        (b"<<< ", "vdi"),
    ];
    let mut head = Vec::new();
    std::fs::File::open(disk)
        .and_then(|file| file.take(8).read_to_end(&mut head))
        .context(|| format!("cannot read {}", disk.display()))?;
    match FORMATS.iter().find(|(magic, _)| head.starts_with(magic)) {
        None => Ok(()),
        Some((_, format)) => Err(Problem::new(format!(
            "{} is a {format} image; make a raw one: qemu-img convert -O raw {} disk.img",
            disk.display(),
            disk.display()
        ))),
    }
}

/// Boots and watches.
///
/// # Errors
/// When something is missing or the bed breaks; that the guest does not arrive is an exit code.
pub(crate) fn boot(options: &Options) -> Result<ExitCode> {
    for file in [&options.disk, &options.ramdisk, &options.kernel]
        .into_iter()
        .flatten()
    {
        if !file.exists() || file.is_dir() {
            return Err(Problem::new(format!("there is no file {}", file.display())));
        }
    }
    if let Some(disk) = &options.disk {
        check_raw(disk)?;
    }
    let arch = match options.arch {
        Some(arch) => arch,
        None => Target::from_environment()?,
    };
    let mut clock = Clock::new();
    let kernel = match &options.kernel {
        Some(kernel) => kernel.clone(),
        None => {
            let image = image::build(arch, Contents::Full)?;
            clock.lap("image built");
            image.gzip
        }
    };
    let bed = Bed::prepare()?;
    clock.lap("packages checked");
    let folder = run_folder("boot")?;
    let disk = match &options.disk {
        Some(path) => DiskImage::new(path),
        None => {
            let disk = match arch {
                Target::X86_64 => media::make(
                    &bed,
                    &folder,
                    &bed.debian12,
                    &Menu::Lst(media::SAMPLE_MENU.to_owned()),
                )?,
                Target::X86_32 => wide32::make(&bed, &folder, &kernel)?,
            };
            clock.lap("sample disk made");
            disk
        }
    };
    let wish = Wish {
        guest_mib: options.memory.saturating_add(256),
        ports: 1,
    };
    let (machine, dom0s) = progress::during("starting Xen", String::new, || {
        Machine::boot(&bed, &folder, &wish)
    })?;
    clock.lap("Xen and dom0 up");
    let machine = Arc::new(machine);
    let dom0 = Arc::new(dom0s.into_iter().next().context(|| "dom0 has no agent")?);

    let deadline = Instant::now() + Duration::from_secs(options.limit);
    let config = configure(options, arch, &kernel, &disk, &machine, &dom0)?;
    let raw = if options.interactive {
        Some(Raw::enter()?)
    } else {
        None
    };
    let guest = match Guest::create(&machine, &dom0, "guest", &config, deadline) {
        Ok(guest) => guest,
        Err(trouble) => return Err(Problem::new(words(trouble))),
    };
    clock.lap("xl create");
    println!(
        "--- the guest's console (kept in {})\r",
        guest.console_file().display()
    );
    if let Some(raw) = raw {
        hand_over(&guest, &machine)?;
        drop(raw);
        println!("\n--- left");
        return Ok(ExitCode::SUCCESS);
    }
    let default = match (&options.disk, arch) {
        (Some(_), _) => "login:",
        (None, Target::X86_64) => SAMPLE_DONE,
        (None, Target::X86_32) => wide32::GRUB_SAYS,
    };
    watch(
        &guest,
        &machine,
        &mut clock,
        options.expect.as_deref().unwrap_or(default),
        deadline,
    )
}

/// The guest's configuration, its files put where dom0 sees them.
fn configure(
    options: &Options,
    arch: Target,
    kernel: &Path,
    disk: &DiskImage,
    machine: &Machine,
    dom0: &Dom0,
) -> Result<Config> {
    let share = machine.share();
    link_or_copy(kernel, &share.join("kernel"))?;
    let number = machine.plug(disk)?;
    let device = dom0.run(&format!(
        "until ls /sys/bus/scsi/devices/*:0:{number}:0/block 2>/dev/null; do usleep 50000; done"
    ))?;
    let device = device.lines().last().unwrap_or_default().trim().to_owned();
    let default = if options.kernel.is_none() {
        "(hd0,0)/boot/grub/menu.lst"
    } else {
        ""
    };
    let extra = options.extra.as_deref().unwrap_or(default);
    let mut config = Config::new("/share/kernel", options.memory)
        .disk(&format!("vdev=xvda,access=rw,target=/dev/{device}"))
        .interface(9);
    if arch == Target::X86_32 {
        config = wide32::in_shim(config);
    }
    if !extra.is_empty() {
        config = config.extra(extra);
    }
    if let Some(ramdisk) = &options.ramdisk {
        link_or_copy(ramdisk, &share.join("ramdisk"))?;
        config = config.ramdisk("/share/ramdisk");
    }
    Ok(config)
}

/// Shows the console as it grows until `done` is on it, the guest ends or time is up.
fn watch(
    guest: &Guest,
    machine: &Machine,
    clock: &mut Clock,
    done: &str,
    deadline: Instant,
) -> Result<ExitCode> {
    let mut shown = 0;
    let mut laps = vec![
        (
            "Linux version",
            "menu, reading and hand-over, to the kernel's first line",
        ),
        (done, "kernel to user space"),
    ];
    loop {
        let ended = guest.has_ended(); // asked before the console is read, so that nothing is missed
        let console = guest.console();
        show(&console, &mut shown)?;
        let text = String::from_utf8_lossy(&console);
        while let Some((mark, what)) = laps.iter().find(|(mark, _)| text.contains(mark)).copied() {
            println!();
            clock.lap(what);
            laps.retain(|(m, _)| *m != mark);
            if mark == done {
                println!(
                    "the guest is there, {:.1} s after xl create",
                    guest.age().as_secs_f64()
                );
                return Ok(ExitCode::SUCCESS);
            }
        }
        if let Some(why) = machine.ended() {
            return Err(Problem::new(why));
        }
        if ended || Instant::now() > deadline {
            let why = if ended { "it has ended" } else { "time is up" };
            println!("\nthe guest did not write {done:?}: {why}");
            return Ok(ExitCode::FAILURE);
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Writes what is new on the guest's console to our own.
fn show(console: &[u8], shown: &mut usize) -> Result<()> {
    let fresh = console.get(*shown..).unwrap_or_default();
    if !fresh.is_empty() {
        stdout().write_all(fresh)?;
        stdout().flush()?;
        *shown = console.len();
    }
    Ok(())
}

/// Joins our terminal and the guest's console until Ctrl-] or the guest's end.
fn hand_over(guest: &Guest, machine: &Machine) -> Result<()> {
    let (send, keys) = mpsc::channel::<Vec<u8>>();
    // Ends with the process: a blocked read cannot be called back.
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = stdin().read(&mut buffer) {
            if send.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    let mut shown = 0;
    loop {
        let ended = guest.has_ended();
        show(&guest.console(), &mut shown)?;
        if ended || machine.ended().is_some() {
            return Ok(());
        }
        if let Ok(typed) = keys.recv_timeout(Duration::from_millis(20)) {
            if typed.contains(&LEAVE) {
                return Ok(());
            }
            guest
                .type_keys(&typed)
                .map_err(|trouble| Problem::new(words(trouble)))?;
        }
    }
}

fn words(trouble: Trouble) -> String {
    match trouble {
        Trouble::Guest(why) | Trouble::Bed(why) => why,
    }
}
