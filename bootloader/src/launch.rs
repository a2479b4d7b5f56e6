//! The last steps before the jump: pin, close the devices, drain the rings.

use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use arch::native::{HandOff, Platform, hand_off, live_tables, peak_frames};
use arch::{FrameSource, Hypervisor, Instant, Pfn, Virt};
use bootloader::build::Image;
use bootloader::console::Console;
use bootloader::disks::Disks;
use bootloader::machine::Launcher;
use bootloader::network::Network;
use bootloader::xenstore::Store;
use menu::{Code, Failure};

/// The width this image is for, as its file is called.
pub(crate) const WIDTH: &str = if size_of::<usize>() == 8 {
    "x86_64"
} else {
    "x86_32"
};

/// How long the console's and xenstore's daemons may take for what is left in the rings.
const DRAIN: Duration = Duration::from_secs(2);

/// The hypervisor and what must be quiet before the jump.
pub(crate) struct Native {
    pub(crate) platform: Platform,
    pub(crate) console: Rc<Console>,
    pub(crate) store: Rc<Store>,
    pub(crate) disks: Rc<Disks>,
    pub(crate) network: Rc<Network>,
    /// When the loader was entered.
    pub(crate) started: Instant,
}

impl Launcher for Native {
    fn live_tables(&self, stack_at: Virt) -> Vec<u64> {
        live_tables(stack_at)
    }

    fn launch(&self, image: Image) -> Failure {
        let Image {
            plan,
            renumbering,
            tables,
            stack,
            entry,
            rest: _kept,
        } = image;
        let kept = plan.frames();
        let jump = HandOff {
            tables,
            stack,
            stack_at: plan.address(plan.stack),
            start_info_at: plan.address(plan.start_info),
            entry,
        };
        let pinned = match jump.pin() {
            Ok(pinned) => pinned,
            Err(error) => {
                return Failure::new(Code::BOOT_FAILURE).because(format!(
                    "Xen refused the new page tables ({error}); its log (xl dmesg) says which entry"
                ));
            }
        };
        let mut out = &*self.console;
        let mut leftovers = self.disks.close_all();
        leftovers.append(self.network.close_all());
        for note in &leftovers.notes {
            let _ = writeln!(out, "{note}");
        }
        if let Some(leak) = leftovers.leaks.first() {
            pinned.unpin();
            return Failure::new(Code::BOOT_FAILURE).because(format!(
                "a back end keeps {:?} mapped: the kernel that got it would be corrupted; restart the domain",
                leak.mfn
            ));
        }
        let deadline = self.platform.now().after(DRAIN);
        if let Err(error) = self.store.quiesce(deadline) {
            pinned.unpin();
            return Failure::new(Code::BOOT_FAILURE).because(format!("{error}"));
        }
        let _ = writeln!(
            out,
            "   [image of {} KiB; the loader used {} KiB more; {} ms after its start]",
            kept * 4,
            peak_frames().saturating_sub(kept) * 4,
            self.platform.now().since(self.started).as_millis()
        );
        // Nobody may be reading the console: that must not keep the kernel from starting.
        let _ = self.console.drain(deadline);
        let platform = self.platform;
        let renumbered: Vec<_> = renumbering
            .changes()
            .map(|(new, old)| (platform.mfn(Pfn(old)), Pfn(new)))
            .collect();
        hand_off(pinned, &mut renumbered.into_iter())
    }
}
