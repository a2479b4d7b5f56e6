//! The laboratory: one machine in which guests are started one after the other, and watched with a clock.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::problem::{Context, Problem, Result};
use crate::xen::disk::DiskImage;
use crate::xen::dom0::Dom0;
use crate::xen::guest::{Config, Guest, Trouble};
use crate::xen::machine::{Machine, Wish, link_or_copy};

/// How often a guest's console is looked at: far less than anything measured takes.
const GLANCE: Duration = Duration::from_millis(2);

/// A machine with nothing else to do.
pub(super) struct Lab {
    machine: Arc<Machine>,
    dom0: Arc<Dom0>,
    next: AtomicU32,
}

/// What was seen of one guest.
pub(super) struct Seen {
    /// When each mark came, counted from the call of `xl create`.
    pub(super) at: Vec<Duration>,
    /// All it wrote up to the last mark.
    pub(super) console: String,
}

/// What to wait for.
pub(super) struct Marks<'a> {
    /// Texts on the console, in their order.
    pub(super) wanted: &'a [&'a str],
    /// Texts that say that it will not come to that.
    pub(super) hopeless: &'a [&'a str],
    /// For all of it.
    pub(super) limit: Duration,
}

impl Lab {
    /// Boots Xen with room for guests of `mib` MiB.
    ///
    /// # Errors
    /// When Xen does not come up.
    pub(super) fn open(bed: &Bed, folder: &Path, mib: u32) -> Result<Self> {
        let wish = Wish {
            guest_mib: mib + 512,
            ports: 1,
        };
        let (machine, dom0s) = Machine::boot(bed, folder, &wish)?;
        let dom0 = dom0s.into_iter().next().context(|| "dom0 has no agent")?;
        Ok(Self {
            machine: Arc::new(machine),
            dom0: Arc::new(dom0),
            next: AtomicU32::new(1),
        })
    }

    /// Plugs a disk in, mounts its first partition in dom0 at `/bench`, and returns the device.
    ///
    /// # Errors
    /// When dom0 does not take it.
    pub(super) fn plug(&self, image: &DiskImage) -> Result<String> {
        let device = self.plug_bare(image)?;
        self.dom0.run(&format!(
            "until [ -b {device}1 ]; do usleep 20000; done; mkdir -p /bench && mount -r -t ext4 {device}1 /bench"
        ))?;
        Ok(device)
    }

    /// Plugs a disk in and returns the device.
    ///
    /// # Errors
    /// When dom0 does not take it.
    pub(super) fn plug_bare(&self, image: &DiskImage) -> Result<String> {
        let number = self.machine.plug(image)?;
        let found = self.dom0.run(&format!(
            "until ls /sys/bus/scsi/devices/*:0:{number}:0/block 2>/dev/null; do usleep 50000; done"
        ))?;
        let device = format!("/dev/{}", found.lines().last().unwrap_or_default().trim());
        self.dom0
            .run(&format!("until [ -b {device} ]; do usleep 20000; done"))?;
        Ok(device)
    }

    /// Copies a file into dom0's memory, where xl reads it from as from a cached disk; returns its path there.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub(super) fn keep(&self, file: &Path) -> Result<String> {
        let name = file
            .file_name()
            .and_then(|n| n.to_str())
            .context(|| "the file has no proper name")?;
        link_or_copy(file, &self.machine.share().join(name))?;
        self.dom0.run(&format!("cp /share/{name} /tmp/{name}"))?;
        Ok(format!("/tmp/{name}"))
    }

    /// Runs a command in dom0.
    ///
    /// # Errors
    /// When it fails.
    pub(super) fn in_dom0(&self, line: &str) -> Result<String> {
        self.dom0.run(line)
    }

    /// Starts a guest with nothing cached in dom0, waits for the marks, and destroys it. One that is created paused
    /// runs once xl has done all its work.
    ///
    /// # Errors
    /// [`Trouble::Guest`] when a mark does not come.
    pub(super) fn watch(
        &self,
        config: &Config,
        marks: &Marks<'_>,
    ) -> std::result::Result<Seen, Trouble> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench-{number}");
        self.dom0.run("sync; echo 3 > /proc/sys/vm/drop_caches")?;
        let seen = self.time(&name, config, marks);
        self.dom0.run(&format!(
            "xl destroy {name} 2>/dev/null; while xl list {name} >/dev/null 2>&1; do usleep 20000; done"
        ))?;
        seen
    }

    fn time(
        &self,
        name: &str,
        config: &Config,
        marks: &Marks<'_>,
    ) -> std::result::Result<Seen, Trouble> {
        let folder = self.machine.share().join("console");
        let log = folder.join(format!("guest-{name}.log"));
        let xl_log = folder.join(format!("xl-{name}.log"));
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let creating = scope.spawn(|| -> std::result::Result<(), Trouble> {
                let deadline = begun + marks.limit;
                let guest = Guest::create(&self.machine, &self.dom0, name, config, deadline)?;
                if config.is_paused() {
                    guest.resume()?;
                }
                Ok(())
            });
            let watched = watch_log(&log, &xl_log, begun, marks);
            let created = creating
                .join()
                .map_err(|_| Trouble::Bed("xtask itself panicked".to_owned()))?;
            if let Some(why) = self.machine.ended() {
                return Err(Trouble::Bed(why));
            }
            created?;
            watched
        })
    }
}

/// Waits for the marks on the console in `log`.
fn watch_log(
    log: &Path,
    xl_log: &Path,
    begun: Instant,
    marks: &Marks<'_>,
) -> std::result::Result<Seen, Trouble> {
    let mut at = Vec::new();
    let mut used = 0;
    loop {
        let ended = fs::read_to_string(xl_log)
            .is_ok_and(|text| text.contains("has shut down") || text.contains("destroyed"));
        let now = begun.elapsed();
        let console = fs::read(log).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        while let Some(mark) = marks.wanted.get(at.len()) {
            let Some(found) = console.get(used..).and_then(|text| text.find(mark)) else {
                break;
            };
            used += found + mark.len();
            at.push(now);
        }
        if at.len() == marks.wanted.len() {
            return Ok(Seen {
                at,
                console: console.into_owned(),
            });
        }
        let why = if marks.hopeless.iter().any(|text| console.contains(text)) {
            "the guest gave up"
        } else if ended {
            "the guest ended"
        } else if now > marks.limit {
            "time was up"
        } else {
            std::thread::sleep(GLANCE);
            continue;
        };
        let mark = marks.wanted.get(at.len()).unwrap_or(&"");
        return Err(Trouble::Guest(format!(
            "{why} before it wrote {mark:?}; see {}",
            log.display()
        )));
    }
}

/// A bench has no use for the difference.
pub(super) fn problem(trouble: Trouble) -> Problem {
    match trouble {
        Trouble::Guest(why) | Trouble::Bed(why) => Problem::new(why),
    }
}
