//! `pvgrub generate`: a menu.lst made from what a guest has for other boot loaders.
//!
//! `grub`, `bls` and `extlinux` read those; what comes out is a list of entries, whose kernels are looked for on the
//! guest's disks, and the text of a menu. Entries that could not start here are left out, with a comment that says why.

mod bls;
mod extlinux;
pub(crate) mod grub;
mod words;

use std::io;
use std::rc::Rc;

use bootloader::config::Arguments;
use bootloader::volumes::Volumes;
use fs::DeviceName;
use menu::text::visible;

use crate::args::{GenerateOptions, Manner};
use crate::check::others::{BLS, EXTLINUX, GRUB_CFG};
use crate::confine;
use crate::disk::{self, Attached, Bench, Bytes};
use crate::ending::Ending;
use crate::output::Io;

/// Largest configuration that is read, in bytes.
const TEXT_MAX: usize = 4 << 20;

/// Seconds before the default entry boots, where the configuration does not say.
const USUAL_TIMEOUT: u32 = 5;

/// What a Xen guest's console is called.
const CONSOLE: &str = "console=hvc0";

/// One bootable choice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Entry {
    title: String,
    /// The device that its paths are on.
    device: Option<DeviceName>,
    kernel: String,
    initrds: Vec<String>,
    arguments: String,
    /// Why it cannot start here.
    problem: Option<String>,
}

/// What was made of a configuration.
struct Made {
    place: String,
    entries: Vec<Entry>,
    default: Option<usize>,
    timeout: Option<u32>,
}

/// The guest's files.
struct Disks<'a> {
    volumes: &'a Volumes,
}

impl Disks<'_> {
    fn read(&self, device: &DeviceName, path: &str) -> Option<String> {
        let name = format!("{device}{path}");
        let file = self.volumes.open(name.as_bytes(), None).ok()?;
        let bytes = bootloader::files::read_unpacked(file.as_ref(), TEXT_MAX).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn has(&self, device: &DeviceName, path: &str) -> bool {
        let name = format!("{device}{path}");
        self.volumes.open(name.as_bytes(), None).is_ok()
    }

    fn names(&self, device: &DeviceName, folder: &str) -> Vec<String> {
        let name = format!("{device}{folder}");
        let names = self.volumes.list(name.as_bytes(), None).unwrap_or_default();
        names
            .into_iter()
            .filter_map(|entry| String::from_utf8(entry.name).ok())
            .collect()
    }

    fn find(&self, fits: impl Fn(&DeviceName) -> bool) -> Option<DeviceName> {
        self.volumes.names().into_iter().find(|device| fits(device))
    }

    fn by_uuid(&self, uuid: &str) -> Option<DeviceName> {
        self.find(|device| {
            let files = self.volumes.file_system(device).ok();
            files
                .and_then(|files| files.uuid())
                .is_some_and(|own| own.eq_ignore_ascii_case(uuid))
        })
    }

    fn by_label(&self, label: &str) -> Option<DeviceName> {
        self.find(|device| {
            let files = self.volumes.file_system(device).ok();
            files.and_then(|files| files.label()) == Some(label.as_bytes().to_vec())
        })
    }

    fn by_file(&self, path: &str) -> Option<DeviceName> {
        self.find(|device| self.has(device, path))
    }
}

/// Prints a menu made from the guest's other configuration. The ending is [`Ending::Findings`] where there is none.
///
/// # Errors
/// When the output cannot be written.
pub fn run(options: &GenerateOptions, manner: &Manner, io: &mut Io<'_>) -> io::Result<Ending> {
    if confine::is_outside(&options.guest) {
        return confine::supervise(options.guest.limits, io);
    }
    let opened = disk::open_all(
        &options.guest.disks,
        options.guest.sector_size,
        &options.guest.backing_files,
    );
    let volumes = opened.and_then(|opened| {
        confine::enter(&options.guest, manner, io)?;
        let attached = disk::attach(opened)?;
        Ok(Volumes::new(Rc::new(Bench::new(&attached))))
    });
    let volumes = match volumes {
        Ok(volumes) => volumes,
        Err(why) => {
            io.complain(&why)?;
            return Ok(Ending::Unreadable);
        }
    };
    let Some(made) = make(&Disks { volumes: &volumes }) else {
        io.complain(
            "no grub.cfg, BLS entry or extlinux.conf with a kernel was found on these disks",
        )?;
        return Ok(Ending::Findings);
    };
    io.output.write_all(text(&made).as_bytes())?;
    if !manner.quiet
        && bootloader::config::find(&volumes, &Arguments::default(), None, &|_| ()).is_ok()
    {
        io.complain("this guest has a menu of its own already, which pv-grub reads")?;
    }
    Ok(Ending::Clean)
}

/// The menu made for the guest whose only disk is `bytes`, if there is anything to make one of.
#[must_use]
pub fn of_disk(bytes: Box<dyn Bytes>) -> Option<String> {
    let volumes = Volumes::new(Rc::new(Bench::new(&[Attached::alone(bytes)])));
    make(&Disks { volumes: &volumes }).map(|made| text(&made))
}

/// The first configuration with an entry that can start: GRUB's, as it may lead to the others, then the others.
fn make(disks: &Disks<'_>) -> Option<Made> {
    let devices = disks.volumes.names();
    let scripts = devices.iter().flat_map(|device| {
        GRUB_CFG.into_iter().filter_map(move |place| {
            let text = disks.read(device, place)?;
            Some(from_grub(disks, device, place, &text))
        })
    });
    let others = devices.iter().flat_map(|device| {
        let folders = BLS.into_iter().map(move |folder| {
            let (entries, default) = bls::read(disks, device, folder, |_| None);
            Made {
                place: format!("{device}{folder}"),
                entries,
                default,
                timeout: None,
            }
        });
        let files = EXTLINUX.into_iter().filter_map(move |place| {
            let text = disks.read(device, place)?;
            let (entries, default, timeout) = extlinux::read(&text, device, place);
            Some(Made {
                place: format!("{device}{place}"),
                entries,
                default,
                timeout,
            })
        });
        folders.chain(files)
    });
    // Those behind the first are not read.
    scripts.chain(others).find_map(|mut made| {
        for entry in &mut made.entries {
            verify(disks, entry);
        }
        let can_start = made.entries.iter().any(|entry| entry.problem.is_none());
        can_start.then_some(made)
    })
}

fn from_grub(disks: &Disks<'_>, device: &DeviceName, place: &str, text: &str) -> Made {
    let script = grub::Script::read(disks, device, place, text);
    let timeout = script.timeout();
    if script.wants_bls {
        for device in disks.volumes.names() {
            for folder in BLS {
                let (entries, default) =
                    bls::read(disks, &device, folder, |name| script.variable(name));
                if !entries.is_empty() {
                    return Made {
                        place: format!("{device}{folder}"),
                        entries,
                        default,
                        timeout,
                    };
                }
            }
        }
    }
    Made {
        place: format!("{device}{place}"),
        default: script.default_entry(),
        entries: script.entries,
        timeout,
    }
}

/// Looks for the entry's files; a kernel that is on another volume is taken from there.
fn verify(disks: &Disks<'_>, entry: &mut Entry) {
    if entry.problem.is_some() {
        return;
    }
    if entry.kernel.is_empty() {
        entry.problem = Some("it names no kernel".into());
        return;
    }
    // BLS paths may leave it out.
    if !entry.kernel.starts_with('/') {
        entry.kernel.insert(0, '/');
    }
    let named = entry
        .device
        .clone()
        .filter(|device| disks.has(device, &entry.kernel));
    let found = named.or_else(|| disks.by_file(&entry.kernel));
    let Some(device) = found else {
        entry.problem = Some(format!("{} is on none of the disks", entry.kernel));
        return;
    };
    entry.device = Some(device.clone());
    for initrd in &mut entry.initrds {
        if !initrd.starts_with(['/', '(']) {
            initrd.insert(0, '/');
        }
    }
    let missing = entry
        .initrds
        .iter()
        .find(|initrd| match initrd.starts_with('(') {
            true => disks.volumes.open(initrd.as_bytes(), None).is_err(),
            false => !disks.has(&device, initrd),
        });
    if let Some(missing) = missing {
        entry.problem = Some(format!("{missing} is missing"));
    }
}

/// Text for one line of a menu: nothing in it ends the line, joins the next one on, or drives a terminal.
fn line(text: &str) -> String {
    visible(text.trim_end_matches(['\\', ' ', '\t']).trim().as_bytes())
}

/// The menu.
fn text(made: &Made) -> String {
    let (good, bad): (Vec<_>, Vec<_>) = made
        .entries
        .iter()
        .enumerate()
        .partition(|(_, entry)| entry.problem.is_none());
    let default = good
        .iter()
        .position(|(index, _)| Some(*index) == made.default)
        .unwrap_or(0);
    let mut out = format!(
        "# Made by pvgrub {} from {}\n",
        env!("CARGO_PKG_VERSION"),
        line(&made.place)
    );
    for (_, entry) in bad {
        out.push_str(&format!(
            "# Left out: {}: {}\n",
            line(&entry.title),
            line(entry.problem.as_deref().unwrap_or_default())
        ));
    }
    out.push_str(&format!(
        "default {default}\ntimeout {}\n",
        made.timeout.unwrap_or(USUAL_TIMEOUT)
    ));
    if good.len() > 1 {
        let fallback = if default == 0 { 1 } else { 0 };
        out.push_str(&format!("fallback {fallback}\n"));
    }
    let mut titles: Vec<String> = Vec::new();
    for (_, entry) in good {
        let mut title = line(&entry.title);
        // Two of one title could not be told apart, in the menu or by `--entry=`.
        if titles.contains(&title) {
            title = format!(
                "{title} ({})",
                entry.kernel.rsplit('/').next().unwrap_or_default()
            );
        }
        while titles.contains(&title) {
            title.push('\'');
        }
        out.push_str(&format!("\ntitle {title}\n"));
        titles.push(title);
        if let Some(device) = &entry.device {
            out.push_str(&format!("root {device}\n"));
        }
        let mut arguments = line(&entry.arguments);
        // Without it the kernel may speak where nobody listens.
        if !arguments.split(' ').any(|word| word == CONSOLE) {
            arguments = format!("{arguments} {CONSOLE}");
        }
        out.push_str(&format!(
            "kernel {} {}\n",
            line(&entry.kernel),
            arguments.trim()
        ));
        if !entry.initrds.is_empty() {
            let files: Vec<String> = entry.initrds.iter().map(|file| line(file)).collect();
            out.push_str(&format!("initrd {}\n", files.join(" ")));
        }
    }
    out
}
