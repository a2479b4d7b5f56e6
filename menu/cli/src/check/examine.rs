//! From a guest to a [`Report`]: the boot as it would happen, each entry by itself, and what else is on the disks.

use arch::abi::Width;
use bootloader::config;
use bootloader::image::{ImageError, Kernel};
use fs::DeviceName;
use menu::diagnostic;
use menu::text::visible;
use menu::{Menu, Outcome};

use super::guest::{Guest, Run, Text};
use super::others;
use super::report::{
    EntryFacts, FailureFacts, FileFacts, KernelFacts, MenuFacts, Other, Report, SCHEMA, Step,
    Tried, Verdict,
};
use super::survey::{Surveyed, survey};
use super::watch::{self, Attempt, FileFact};
use crate::disk::Attached;

/// Most entries that are tried by themselves. A menu may have thousands; nobody reads about them.
const ENTRIES_MAX: usize = 200;

/// The loaders' files.
const IMAGE_64: &str = "pv-grub-x86_64.gz";
const IMAGE_32: &str = "pv-grub-x86_32.gz";

/// What is said of a guest that would ask for a menu before it looks at its disks.
const DHCP_FIRST: &str = "the DHCP server is asked first, and pvgrub does not try the network";

/// Which loader is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loaders {
    /// The one that the kernel wants.
    Suitable,
    /// This one.
    Only(Width),
}

/// Where the menu comes from, instead of the guest's disks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Given {
    /// Nothing is given: the loader looks for it.
    Nothing,
    /// A file that stands in for the guest's own menu, in the place where that would be found.
    Menu {
        /// What it is called in the report.
        shown: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// The domain's ramdisk.
    Ramdisk(Vec<u8>),
}

/// The file name of the loader of `width`.
fn image_of(width: Width) -> &'static str {
    match width {
        Width::Bits64 => IMAGE_64,
        Width::Bits32 => IMAGE_32,
    }
}

/// Finds out everything about `guest`, whose disks are `attached`.
///
/// # Errors
/// When the host has too little memory to say.
pub(crate) fn examine(
    guest: &Guest,
    attached: &[Attached],
    given: &Given,
    loaders: Loaders,
) -> Result<Report, String> {
    let surveyed = survey(guest, attached);
    let (found, tried) = find(guest, given);
    let Some((place, text)) = found else {
        return Ok(without_menu(guest, surveyed, tried));
    };
    let (menu, remarks) = menu::parse(&text.bytes);
    let (run, width) = boot(guest, &text, None, loaders);
    if run.was_short {
        return Err("the host has too little memory for what this guest would load; a larger `--limits memory=` allows more".into());
    }
    let mut boot: Vec<Step> = run
        .notes
        .attempts
        .iter()
        .map(|attempt| step(attempt, &menu))
        .collect();
    if let (Some(last), Outcome::Booted) = (boot.last_mut(), run.outcome) {
        last.boots = true;
    }
    let of_disks = verdict_of(&run);
    let mut verdict = of_disks;
    let mut summary = summary(of_disks, &boot, &menu, &run);
    if guest.asks_dhcp {
        verdict = Verdict::NotJudged;
        summary = format!("{DHCP_FIRST}; without a menu from there: {summary}");
    }
    let entries = (0..menu.entries.len().min(ENTRIES_MAX))
        .map(|index| entry(guest, &text, &menu, index, loaders))
        .collect::<Vec<_>>();
    let highlighted = (!menu.entries.is_empty()).then(|| {
        run.notes
            .attempts
            .first()
            .map_or_else(|| menu.first_choice(None), |first| first.entry)
    });
    let note = diagnostic::note(&remarks);
    let advice = advice(&menu, &run, of_disks, width, loaders);
    Ok(Report {
        schema: SCHEMA,
        verdict,
        summary,
        image: (of_disks == Verdict::Boots).then(|| image_of(width)),
        memory_mib: guest.memory_mib,
        disks: surveyed.disks,
        logicals: surveyed.logicals,
        warnings: surveyed.warnings,
        tried,
        menu: Some(MenuFacts {
            place,
            highlighted,
            timeout: guest.arguments.timeout.or(menu.timeout),
            fallback: menu.fallback.clone(),
            locked: menu.password.is_some(),
            note: (!note.is_empty()).then_some(note),
        }),
        boot,
        entries,
        others: Vec::new(),
        advice,
    })
}

/// The menu's place and text, and the places where there was none.
fn find(guest: &Guest, given: &Given) -> (Option<(String, Text)>, Vec<Tried>) {
    let ramdisk = match given {
        Given::Ramdisk(bytes) => Some(bytes.as_slice()),
        Given::Nothing | Given::Menu { .. } => None,
    };
    let found = config::find(&guest.volumes, &guest.arguments, ramdisk, &|_| ());
    match (found, given) {
        (Ok(found), Given::Menu { shown, bytes }) => {
            let place = format!("{shown} (in place of {})", found.place);
            let text = Text {
                bytes: bytes.clone(),
                name: found.name,
            };
            (Some((place, text)), Vec::new())
        }
        (Ok(found), _) => {
            let text = Text {
                bytes: found.text,
                name: found.name,
            };
            (Some((found.place, text)), Vec::new())
        }
        (Err(tried), Given::Menu { shown, bytes }) => {
            let name = usual_place(guest, &tried);
            let place = match name.as_slice() {
                [] => shown.clone(),
                name => format!("{shown} (as {})", visible(name)),
            };
            let text = Text {
                bytes: bytes.clone(),
                name,
            };
            (Some((place, text)), Vec::new())
        }
        (Err(tried), _) => {
            let tried = tried.into_iter().map(|tried| Tried {
                place: tried.place,
                reason: config::reason(&tried.failure),
            });
            (None, tried.collect())
        }
    }
}

/// The first place where a menu would be found if it were written there: one whose volume can be read, or the network.
fn usual_place(guest: &Guest, tried: &[config::Tried]) -> Vec<u8> {
    let readable = tried.iter().find(|tried| {
        let device = DeviceName::split(tried.place.as_bytes()).ok();
        device.and_then(|(device, _)| device).is_some_and(|device| {
            matches!(device, DeviceName::Net { .. }) || guest.volumes.file_system(&device).is_ok()
        })
    });
    readable.map_or_else(Vec::new, |tried| tried.place.clone().into_bytes())
}

/// The boot as it would happen, or with `entry` at once, and the loader that does it.
fn boot(guest: &Guest, text: &Text, entry: Option<usize>, loaders: Loaders) -> (Run, Width) {
    let width = match loaders {
        Loaders::Only(width) => width,
        Loaders::Suitable => Width::Bits64,
    };
    let run = guest.run(text, entry, width);
    if loaders == Loaders::Suitable && wants_32(&run) {
        return (guest.run(text, entry, Width::Bits32), Width::Bits32);
    }
    (run, width)
}

/// Whether the first entry tried has a kernel for the other loader.
fn wants_32(run: &Run) -> bool {
    let first = run.notes.attempts.first();
    first.is_some_and(|attempt| {
        attempt.kernel == Some(Err(ImageError::OtherWidth(Width::Bits32)))
            && attempt.failure.is_some()
    })
}

fn verdict_of(run: &Run) -> Verdict {
    match run.outcome {
        // Had the network answered, nothing behind would have been tried.
        _ if run
            .notes
            .attempts
            .iter()
            .any(|attempt| attempt.network.is_some()) =>
        {
            Verdict::NotJudged
        }
        Outcome::Booted => Verdict::Boots,
        _ if run.notes.waits => Verdict::Waits,
        // A menu that says `halt` or `reboot`, and not the one that gave up.
        Outcome::Halt | Outcome::Reboot => Verdict::Stops,
        Outcome::Shutdown(_) | Outcome::LookAgain => Verdict::WouldNotBoot,
    }
}

/// One entry by itself: at once, and what becomes of it.
fn entry(guest: &Guest, text: &Text, menu: &Menu, index: usize, loaders: Loaders) -> EntryFacts {
    let (run, width) = boot(guest, text, Some(index), loaders);
    let first = run.notes.attempts.first().cloned().unwrap_or_default();
    let has_failed = first.failure.is_some();
    let verdict = if first.network.is_some() {
        Verdict::NotJudged
    } else if has_failed {
        Verdict::WouldNotBoot
    } else {
        verdict_of(&run)
    };
    // An entry that loads another menu boots what that one does.
    let shown = run
        .notes
        .attempts
        .iter()
        .rev()
        .find(|attempt| !has_failed && (attempt.image.is_some() || attempt.network.is_some()))
        .unwrap_or(&first);
    let mut facts = step(shown, menu);
    facts.entry = index;
    facts.title = title(menu, index);
    facts.boots = verdict == Verdict::Boots;
    let fallback = run
        .notes
        .attempts
        .last()
        .filter(|last| has_failed && run.outcome == Outcome::Booted && last.menu == 0)
        .map(|last| last.entry);
    EntryFacts {
        step: facts,
        verdict,
        image: (verdict == Verdict::Boots).then(|| image_of(width)),
        fallback,
    }
}

fn title(menu: &Menu, index: usize) -> Option<String> {
    let entry = menu.entries.get(index)?;
    Some(visible(entry.title.trim_ascii()))
}

fn step(attempt: &Attempt, menu: &Menu) -> Step {
    let file = |fact: &FileFact| FileFacts {
        file: visible(&fact.name),
        bytes: fact.bytes,
    };
    let kernel = attempt
        .kernel_file
        .as_ref()
        .map(|fact| kernel_facts(file(fact), attempt.kernel.as_ref()));
    Step {
        entry: attempt.entry,
        title: title(menu, attempt.entry).filter(|_| attempt.menu == 0),
        boots: false,
        command_line: attempt
            .kernel_file
            .as_ref()
            .map(|_| visible(attempt.command_line())),
        kernel,
        initrds: attempt.initrds.iter().map(file).collect(),
        needs_mib: attempt.needs_mib(),
        network: attempt.network.clone(),
        failure: attempt
            .failure
            .as_ref()
            .filter(|_| attempt.network.is_none())
            .map(|failure| FailureFacts {
                code: failure.code.0,
                text: failure.code.text(),
                reasons: failure.detail.clone(),
            }),
    }
}

fn kernel_facts(file: FileFacts, kernel: Option<&Result<Kernel, ImageError>>) -> KernelFacts {
    let bits = |width| match width {
        Width::Bits64 => 64,
        Width::Bits32 => 32,
    };
    let text = |text: &String| (!text.is_empty()).then(|| visible(text.as_bytes()));
    let unknown = KernelFacts {
        file,
        format: None,
        compression: None,
        width: None,
        guest_os: None,
        guest_version: None,
        pv: None,
        pvh: None,
        features: None,
    };
    let Some(Ok(kernel)) = kernel else {
        return KernelFacts {
            width: match kernel {
                Some(Err(ImageError::OtherWidth(width))) => Some(bits(*width)),
                _ => None,
            },
            pv: Some(false),
            pvh: Some(matches!(kernel, Some(Err(ImageError::NoPvEntry)))),
            ..unknown
        };
    };
    let known = KernelFacts {
        width: Some(bits(kernel.width)),
        ..unknown
    };
    // Of a kernel that was not unpacked the headers alone are known.
    if kernel.packing.unpacked_bytes == 0 {
        return known;
    }
    KernelFacts {
        format: Some(if kernel.packing.is_bzimage {
            "bzImage"
        } else {
            "ELF"
        }),
        compression: kernel.packing.codec.map(|codec| codec.to_string()),
        guest_os: text(&kernel.guest_os),
        guest_version: text(&kernel.guest_version),
        pv: Some(true),
        pvh: Some(kernel.pvh_entry.is_some()),
        features: text(&kernel.features),
        ..known
    }
}

fn without_menu(guest: &Guest, surveyed: Surveyed, tried: Vec<Tried>) -> Report {
    let on_network = tried
        .iter()
        .find(|tried| watch::is_network(tried.place.as_bytes(), b""));
    let (verdict, summary) = match on_network {
        Some(tried) => (
            Verdict::NotJudged,
            format!(
                "the menu is {}, and pvgrub does not try the network",
                tried.place
            ),
        ),
        None if guest.asks_dhcp => (
            Verdict::NotJudged,
            format!("{DHCP_FIRST}; the disks have no menu"),
        ),
        None => (
            Verdict::WouldNotBoot,
            "no menu: the loader would show its prompt and look again every minute".to_owned(),
        ),
    };
    let (others, advice) = match on_network {
        Some(tried) => {
            let advice = format!(
                "`--menu FILE` with a copy of {} says what it would do.",
                tried.place
            );
            (Vec::new(), vec![advice])
        }
        None => instead(guest, &surveyed),
    };
    Report {
        schema: SCHEMA,
        verdict,
        summary,
        image: None,
        memory_mib: guest.memory_mib,
        disks: surveyed.disks,
        logicals: surveyed.logicals,
        warnings: surveyed.warnings,
        tried,
        menu: None,
        boot: Vec::new(),
        entries: Vec::new(),
        others,
        advice,
    }
}

/// What there is instead of a menu, and what could be done.
fn instead(guest: &Guest, surveyed: &Surveyed) -> (Vec<Other>, Vec<String>) {
    let others = others::look(&guest.volumes);
    let mut advice = Vec::new();
    if let Some(first) = others.first() {
        let all: Vec<String> = others
            .iter()
            .map(|other| format!("{} ({})", other.place, other.kind))
            .collect();
        advice.push(format!(
            "The guest has {}, which pv-grub does not read.",
            all.join(" and ")
        ));
        advice.push(format!(
            "`pvgrub generate DISK` prints a menu.lst made from {}; write it to /boot/grub/menu.lst in the guest.",
            first.place
        ));
    } else if surveyed.can_be_read() {
        advice.push(
            "Write a menu to /boot/grub/menu.lst in the guest, or give one as `ramdisk` in the domain's configuration."
                .to_owned(),
        );
    } else {
        advice
            .push("No file system on these disks can be read; are they the right ones?".to_owned());
    }
    if guest.arguments.menu.is_none() && !guest.asks_dhcp {
        advice.push(
            "The network was not tried: a guest with an interface (`--vif`) would ask the DHCP server for a menu first (option 150)."
                .to_owned(),
        );
    }
    (others, advice)
}

fn summary(verdict: Verdict, boot: &[Step], menu: &Menu, run: &Run) -> String {
    let name = |step: &Step| match &step.title {
        Some(title) => format!("entry {}, `{title}`", step.entry),
        None => format!("entry {} of another menu", step.entry),
    };
    let on_network = boot
        .iter()
        .enumerate()
        .find_map(|(at, step)| Some((at, step, step.network.as_ref()?)));
    if let Some((at, step, needed)) = on_network {
        let mut text = format!(
            "{} needs {needed}, and pvgrub does not try the network",
            name(step)
        );
        match (boot.get(at + 1..), boot.last()) {
            (Some([]) | None, _) | (_, None) => {}
            (_, Some(last)) if last.boots => {
                text.push_str(&format!("; without it {} boots", name(last)))
            }
            _ => text.push_str("; without it nothing boots"),
        }
        return text;
    }
    match (verdict, boot.last()) {
        (Verdict::Boots, Some(last)) => {
            match boot.iter().filter(|step| step.failure.is_some()).count() {
                0 => format!("boots {}", name(last)),
                failed => format!("boots {}, after {failed} failed", name(last)),
            }
        }
        (Verdict::Waits, Some(_)) if run.notes.menus > 0 => {
            "a menu that this one loads waits for somebody to choose".to_owned()
        }
        (Verdict::Waits, Some(last)) if last.failure.is_none() => {
            format!("{} waits for a key", name(last))
        }
        (Verdict::Waits, None) => {
            "the menu has no `timeout`: it waits for somebody to choose".to_owned()
        }
        (Verdict::Stops, _) => match run.outcome {
            Outcome::Reboot => "the menu restarts the domain".to_owned(),
            _ => "the menu powers the domain off".to_owned(),
        },
        _ if menu.entries.is_empty() => {
            "the menu has no entries: the loader shows its prompt".to_owned()
        }
        (_, Some(last)) => match &last.failure {
            Some(failure) => format!(
                "{} fails with Error {}: {}",
                name(last),
                failure.code,
                failure.text
            ),
            None => format!("{} starts nothing", name(last)),
        },
        (_, None) => "nothing is started".to_owned(),
    }
}

fn advice(menu: &Menu, run: &Run, verdict: Verdict, width: Width, loaders: Loaders) -> Vec<String> {
    let mut advice = Vec::new();
    if verdict == Verdict::Waits && menu.timeout.is_none() && run.notes.attempts.is_empty() {
        advice.push("Add a line such as `timeout 5` before the first title, or `--timeout=5` to the domain's `extra`.".to_owned());
    }
    if verdict == Verdict::Boots && width == Width::Bits32 && loaders == Loaders::Suitable {
        advice.push(format!(
            "The kernel has 32 bits: start the domain with {IMAGE_32}."
        ));
    }
    if run.notes.saves {
        advice.push(
            "The menu saves the chosen entry; each boot may take another one than the last."
                .to_owned(),
        );
    }
    advice
}
