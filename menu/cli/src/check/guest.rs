//! A guest that is not running: its disks, its memory, and what the loader does with them from beginning to end.
//!
//! [`Guest::run`] is a boot: the loader's own menu, evaluator and machine over the guest's disks, with nobody at the
//! console, up to the moment in which the kernel would be entered.

use std::cell::RefCell;
use std::rc::Rc;

use arch::abi::Width;
use arch::abi::start_info::{StartInfo, flags};
use arch::host::{HostClock, HostFrames};
use arch::{FrameSource, Pfn};
use bootloader::config::Arguments;
use bootloader::machine::Loader;
use bootloader::plan::{Plan, Request};
use bootloader::volumes::Volumes;
use menu::{Choice, Machine, Options, Outcome, Unattended};

use super::watch::{Depth, Memo, Notes, Screen, Shortcut, Watch};
use crate::disk::Bench;

/// Bytes of the loader's image in memory, stack and tables included; what it needs while it runs comes on top.
const LOADER_BYTES: u64 = 1 << 20;

/// Frames that the loader needs for itself while it runs: heap, caches, rings.
const LOADER_WORK_FRAMES: u64 = 256;

/// Pages of 4 KiB in a MiB.
const PAGES_PER_MIB: u64 = 256;

/// Memory of a guest whose size is not said, in MiB: enough for any kernel, and no more work than for a small one.
pub(crate) const USUAL_MIB: u64 = 4096;

/// Where the menu comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Text {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The file's name as the loader read it; empty where it is in none.
    pub(crate) name: Vec<u8>,
}

/// A guest.
pub(crate) struct Guest {
    pub(crate) volumes: Rc<Volumes>,
    pub(crate) arguments: Arguments,
    pub(crate) memory_mib: u64,
    pub(crate) ramdisk_bytes: u64,
    pub(crate) depth: Depth,
    /// The DHCP server is asked for a menu before the disks are looked at.
    pub(crate) asks_dhcp: bool,
    pub(crate) memo: Memo,
    bench: Rc<Bench>,
    clock: Rc<HostClock>,
}

/// What came of a run.
pub(crate) struct Run {
    /// How the menu ended.
    pub(crate) outcome: Outcome,
    /// What was seen.
    pub(crate) notes: Notes,
    /// The host had too little memory for it.
    pub(crate) was_short: bool,
}

impl Guest {
    pub(crate) fn new(bench: Rc<Bench>, arguments: Arguments, memory_mib: u64) -> Self {
        Self {
            volumes: Rc::new(Volumes::new(bench.clone())),
            arguments,
            memory_mib,
            ramdisk_bytes: 0,
            depth: Depth::Whole,
            asks_dhcp: false,
            memo: Memo::default(),
            bench,
            clock: Rc::new(HostClock::start()),
        }
    }

    /// Its disks.
    pub(crate) fn bench(&self) -> &Bench {
        &self.bench
    }

    /// Boots with the loader of `width` the menu `text`: its own choice, or `entry` at once.
    pub(crate) fn run(&self, text: &Text, entry: Option<usize>, width: Width) -> Run {
        self.bench.forget_writes();
        self.volumes.forget();
        let nr_pages = self.memory_mib.saturating_mul(PAGES_PER_MIB);
        let own = own_plan(width, self.ramdisk_bytes, nr_pages);
        let first_free = own
            .as_ref()
            .map_or(LOADER_BYTES / 4096, |plan| plan.stack + 1);
        let frames = HostFrames::new(nr_pages, first_free + LOADER_WORK_FRAMES, width);
        let ring = |pfn: u64| frames.mfn(Pfn(pfn)).0;
        let start = StartInfo {
            nr_pages,
            flags: flags::VIRT_P2M_4TOOLS,
            store_mfn: ring(own.as_ref().map_or(1, |plan| plan.store)),
            console_mfn: ring(own.as_ref().map_or(2, |plan| plan.console)),
            ..StartInfo::default()
        };
        let shortcut = Shortcut::new(width, self.depth, &self.memo);
        let notes = Rc::new(RefCell::new(Notes::default()));
        let mut loader = Loader::new(
            &frames,
            &start,
            &shortcut,
            self.clock.clone(),
            self.volumes.clone(),
        );
        // Not through the watch, which counts the menus behind this one.
        loader.enter_menu(&text.name);
        let mut watch = Watch::new(loader, &shortcut, notes.clone());
        let mut screen = Screen::new(notes.clone());
        let options = Options {
            entry: entry
                .map(Choice::Number)
                .or_else(|| self.arguments.entry.clone()),
            timeout: entry.map(|_| 0).or(self.arguments.timeout),
            append: self.arguments.append.clone(),
            // Beginning again is how a menu that gave up can be told from one that says `halt`.
            unattended: Unattended::RetryAfter(1),
            ..Options::default()
        };
        let outcome = menu::run(Some(&text.bytes), &mut screen, &mut watch, &options);
        drop(watch);
        let mut notes = notes.take();
        if let (Some(count), false) = (notes.first_round, outcome == Outcome::Booted) {
            notes.attempts.truncate(count);
        }
        Run {
            outcome,
            notes,
            was_short: frames.was_short(),
        }
    }
}

/// Where the domain builder puts the loader itself: as any PV kernel.
fn own_plan(width: Width, ramdisk_bytes: u64, nr_pages: u64) -> Option<Plan> {
    let (virt_base, virt_end) = match width {
        Width::Bits64 => (0x4000_0000, u64::MAX),
        Width::Bits32 => (0x1000_0000, 0xF580_0000),
    };
    Plan::new(&Request {
        width,
        virt_base,
        kernel: virt_base..virt_base + LOADER_BYTES,
        p2m_at: None,
        module_unmapped: false,
        module_len: ramdisk_bytes,
        nr_pages,
        virt_end,
    })
    .ok()
}
