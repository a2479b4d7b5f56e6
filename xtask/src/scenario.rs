//! Scenarios: what a guest should do under Xen, each with a name and a limit, run many to a machine.
//!
//! A [`Scenario`] is a table row; its function drives guests through a [`Stage`]. [`run`] boots the machines,
//! runs the rows and runs once more, in a new machine, what a broken bed left undone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bed::{Bed, KernelModules};
use crate::foresight;
use crate::foresight::Foresight;
use crate::guests::Width;
use crate::problem::{Context, Problem, Result};
use crate::xen::disk::DiskImage;
use crate::xen::dom0::Dom0;
use crate::xen::guest::{Config, Guest, Trouble};
use crate::xen::machine::{self, Machine, Wish, link_or_copy};

/// What a scenario's function returns.
pub(crate) type Outcome = std::result::Result<(), Trouble>;

/// One row of the table.
pub(crate) struct Scenario {
    /// Unique; words joined by hyphens.
    pub(crate) name: &'static str,
    /// The time after which it has failed.
    pub(crate) limit: Duration,
    /// Memory of all its guests together, in MiB.
    pub(crate) mib: u32,
    /// Drives the guests.
    pub(crate) run: fn(&mut Stage) -> Outcome,
}

/// How a scenario or another step of the tests ended.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// As it should.
    Pass,
    /// The thing under test is wrong.
    Fail(String),
    /// The bed broke, twice.
    Error(String),
    /// Not possible on this machine.
    Skip(String),
}

impl Verdict {
    /// One line for the terminal.
    pub(crate) fn print(&self, name: &str, took: Duration) {
        let (word, why) = match self {
            Verdict::Pass => ("pass ", ""),
            Verdict::Fail(why) => ("FAIL ", why.as_str()),
            Verdict::Error(why) => ("ERROR", why.as_str()),
            Verdict::Skip(why) => ("skip ", why.as_str()),
        };
        let colon = if why.is_empty() { "" } else { ": " };
        println!("{word} {:7.1} s  {name}{colon}{why}", took.as_secs_f64());
    }
}

/// Files that several scenarios of a run share, each made by whoever needs it first.
#[derive(Default)]
pub(crate) struct Shelf {
    images: Mutex<BTreeMap<String, DiskImage>>,
    files: Mutex<BTreeMap<String, PathBuf>>,
}

/// What a scenario's function works with: the machine, and whatever it has set up so far.
pub(crate) struct Stage {
    /// The bed's ingredients: kernels, tools.
    pub(crate) bed: Arc<Bed>,
    /// Commands in dom0.
    pub(crate) dom0: Arc<Dom0>,
    /// Where this scenario may put files; gone after the run if it passes.
    pub(crate) folder: PathBuf,
    /// The loader under test.
    pub(crate) loader: PathBuf,
    /// The width of guest that the hello guest and its loader are of.
    pub(crate) width: Width,
    machine: Arc<Machine>,
    shelf: Arc<Shelf>,
    name: String,
    deadline: Instant,
    guests: Vec<String>,
    plugged: Vec<u32>,
    /// What is plugged in, by its device in dom0.
    devices: BTreeMap<String, DiskImage>,
    foresights: Vec<Foresight>,
}

impl Stage {
    /// The same stage, about 32-bit guests.
    pub(crate) fn of_32_bits(&mut self) -> &mut Self {
        self.width = Width::Bits32;
        self
    }

    /// Shows a host file to dom0 and returns its path there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn share(&self, file: &Path) -> Result<String> {
        let name = file
            .file_name()
            .and_then(|n| n.to_str())
            .context(|| "the file has no proper name")?;
        let folder = self.machine.share().join(&self.name);
        fs::create_dir_all(&folder)?;
        link_or_copy(file, &folder.join(name))?;
        Ok(format!("/share/{}/{name}", self.name))
    }

    /// Makes a file for dom0 from bytes and returns its path there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn share_bytes(&self, name: &str, bytes: &[u8]) -> Result<String> {
        let folder = self.machine.share().join(&self.name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
        Ok(format!("/share/{}/{name}", self.name))
    }

    /// Shows programs of the unpacked packages in `root` to dom0, with their libraries, and returns the folder there.
    ///
    /// # Errors
    /// When a program or a library is missing.
    pub(crate) fn share_programs(&self, root: &Path, programs: &[PathBuf]) -> Result<String> {
        machine::share_programs(root, programs, &self.machine.share().join(&self.name))?;
        Ok(format!("/share/{}", self.name))
    }

    /// Has dom0 load kernel modules that few scenarios need.
    ///
    /// # Errors
    /// When there is no such module, or dom0's kernel refuses it.
    pub(crate) fn load_modules(&self, wanted: &[&str]) -> Result<()> {
        let mut line = "set -e".to_owned();
        for file in KernelModules::open(&self.bed.debian12.modules)?.in_order(wanted)? {
            let name = file.file_stem().and_then(|name| name.to_str());
            let name = name.context(|| "a module without a name")?;
            let path = self.share(&file)?;
            // Another scenario may be loading it.
            line.push_str(&format!(
                "; [ -d /sys/module/{name} ] || insmod {path} || [ -d /sys/module/{name} ]"
            ));
        }
        self.dom0.run(&line).map(drop)
    }

    /// What dom0 wrote to the shared file `name`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn read_shared(&self, name: &str) -> Result<String> {
        let file = self.machine.share().join(&self.name).join(name);
        let bytes = fs::read(&file).context(|| format!("cannot read {}", file.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The disk image `name`, made by `make` (given an empty folder) unless a scenario of this run has made it.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn image(
        &self,
        name: &str,
        make: impl FnOnce(&Bed, &Path) -> Result<DiskImage>,
    ) -> Result<DiskImage> {
        let mut images = locked(&self.shelf.images);
        if let Some(image) = images.get(name) {
            return Ok(image.clone());
        }
        let base = self
            .folder
            .parent()
            .unwrap_or(&self.folder)
            .join("images")
            .join(name);
        fs::create_dir_all(&base)?;
        let image = make(&self.bed, &base)?;
        images.insert(name.to_owned(), image.clone());
        Ok(image)
    }

    /// The file `name`, made by `make` at the path it is given unless a scenario of this run has made it.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn file(
        &self,
        name: &str,
        make: impl FnOnce(&Bed, &Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let mut files = locked(&self.shelf.files);
        if let Some(file) = files.get(name) {
            return Ok(file.clone());
        }
        let folder = self.folder.parent().unwrap_or(&self.folder).join("files");
        fs::create_dir_all(&folder)?;
        let file = folder.join(name);
        make(&self.bed, &file)?;
        files.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    /// Plugs a disk into dom0 and returns its device there, for [`Config::disk`].
    ///
    /// # Errors
    /// When QEMU refuses it or dom0 does not see it.
    pub(crate) fn plug(&mut self, image: &DiskImage) -> Result<String> {
        let number = self.machine.plug(image)?;
        self.plugged.push(number);
        let (target, unit) = (number % 256, number / 256);
        let found = self.dom0.run(&format!(
            "i=0; until ls /sys/bus/scsi/devices/*:0:{target}:{unit}/block 2>/dev/null; do i=$((i+1)); [ $i -lt 100 ] || exit 1; usleep 50000; done"
        ))?;
        let name = found.lines().last().unwrap_or_default().trim();
        self.dom0
            .run(&format!("until [ -b /dev/{name} ]; do usleep 20000; done"))?;
        let device = format!("/dev/{name}");
        self.devices.insert(device.clone(), image.clone());
        Ok(device)
    }

    /// Creates a guest. A second one gets a number to its name.
    ///
    /// # Errors
    /// As [`Guest::create`].
    pub(crate) fn start(&mut self, config: &Config) -> std::result::Result<Guest, Trouble> {
        let name = match self.guests.len() {
            0 => self.name.clone(),
            before => format!("{}-{}", self.name, before + 1),
        };
        self.guests.push(name.clone());
        // Before the guest can change its disks.
        let share = self.machine.share();
        let foresight = Foresight::of(config, &self.devices, &share, &self.loader);
        let guest = Guest::create(&self.machine, &self.dom0, &name, config, self.deadline)?;
        if let Some(mut foresight) = foresight {
            foresight.console = guest.console_file().to_path_buf();
            foresight.typed = guest.typed();
            self.foresights.push(foresight);
        }
        Ok(guest)
    }

    /// Destroys what the scenario left and saves its consoles.
    fn clean_up(&mut self, run_folder: &Path) -> Result<()> {
        let console = self.machine.share().join("console");
        let mut all = Vec::new();
        for name in &self.guests {
            all.extend(fs::read(console.join(format!("guest-{name}.log"))).unwrap_or_default());
        }
        fs::write(run_folder.join(format!("{}.console.log", self.name)), all)?;
        if self.machine.ended().is_some() {
            return Ok(());
        }
        for name in &self.guests {
            self.dom0
                .try_run(&format!("xl destroy {name}"), Duration::from_secs(60))?;
        }
        for number in self.plugged.drain(..) {
            self.machine.unplug(number);
        }
        let _ = fs::remove_dir_all(self.machine.share().join(&self.name));
        Ok(())
    }
}

/// Locks even after another thread has panicked.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How to run scenarios.
pub(crate) struct Plan {
    /// Logs go here.
    pub(crate) folder: PathBuf,
    /// The loader under test.
    pub(crate) loader: PathBuf,
    /// QEMU runs side by side.
    pub(crate) machines: usize,
    /// Scenarios at the same time in each.
    pub(crate) workers: u32,
}

/// What is still to do, and the memory that is free for it.
struct Queue<'a> {
    state: Mutex<QueueState<'a>>,
    changed: Condvar,
}

struct QueueState<'a> {
    open: Vec<&'a Scenario>,
    free_mib: u32,
    broken: Option<String>,
}

impl<'a> Queue<'a> {
    /// The next scenario that fits into memory; waits for memory; nothing when all are taken or the bed broke.
    fn take(&self) -> Option<&'a Scenario> {
        let mut state = locked(&self.state);
        loop {
            if state.broken.is_some() || state.open.is_empty() {
                return None;
            }
            if let Some(index) = state.open.iter().position(|s| s.mib <= state.free_mib) {
                let scenario = state.open.remove(index);
                state.free_mib -= scenario.mib;
                return Some(scenario);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, scenario: &Scenario) {
        locked(&self.state).free_mib += scenario.mib;
        self.changed.notify_all();
    }

    fn give_up(&self, why: &str) {
        locked(&self.state)
            .broken
            .get_or_insert_with(|| why.to_owned());
        self.changed.notify_all();
    }
}

/// A finished scenario.
type Done = (&'static str, Verdict, Duration);

/// Runs `scenarios`, printing a line as each ends, and returns all verdicts.
///
/// # Errors
/// Only for trouble with files of the run's own folder: a broken bed is a verdict.
pub(crate) fn run(bed: &Arc<Bed>, scenarios: &[&Scenario], plan: &Plan) -> Result<Vec<Done>> {
    let machines = plan.machines.clamp(1, scenarios.len().max(1));
    let done: Mutex<Vec<Done>> = Mutex::new(Vec::new());
    let mut open: Vec<&Scenario> = scenarios.to_vec();
    skip_too_large(&mut open, machine::available_mib(), &done);
    for attempt in 1..=2 {
        if open.is_empty() {
            break;
        }
        let mut shares: Vec<Vec<&Scenario>> = vec![Vec::new(); machines];
        for (index, scenario) in open.iter().enumerate() {
            shares[index % machines].push(scenario);
        }
        let why = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (index, share) in shares
                .into_iter()
                .enumerate()
                .filter(|(_, s)| !s.is_empty())
            {
                let done = &done;
                threads.push(scope.spawn(move || {
                    let folder = plan.folder.join(format!("machine-{}-{attempt}", index + 1));
                    in_one_machine(bed, share, plan, &folder, done)
                }));
            }
            let mut why = None;
            for thread in threads {
                match thread.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(problem)) => why = Some(problem.to_string()),
                    Err(_) => why = Some("xtask itself panicked".to_owned()),
                }
            }
            why
        });
        let finished: Vec<&str> = locked(&done).iter().map(|(name, ..)| *name).collect();
        open.retain(|s| !finished.contains(&s.name));
        let Some(why) = why else { continue };
        if attempt == 1 && !open.is_empty() {
            println!(
                "bed: broke: {why}; {} unfinished scenarios run again in a new machine",
                open.len()
            );
        } else {
            for scenario in &open {
                let verdict = Verdict::Error(why.clone());
                verdict.print(scenario.name, Duration::ZERO);
                locked(&done).push((scenario.name, verdict, Duration::ZERO));
            }
        }
    }
    if let Some(tally) = foresight::tally() {
        println!("{tally}");
    }
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Takes out what this machine's memory cannot hold.
fn skip_too_large(open: &mut Vec<&Scenario>, available_mib: u64, done: &Mutex<Vec<Done>>) {
    open.retain(|scenario| {
        let needed = u64::from(scenario.mib) + u64::from(machine::OVERHEAD_MIB);
        if needed <= available_mib {
            return true;
        }
        let verdict = Verdict::Skip(format!("needs {needed} MiB, {available_mib} are free"));
        verdict.print(scenario.name, Duration::ZERO);
        locked(done).push((scenario.name, verdict, Duration::ZERO));
        false
    });
}

/// Boots one machine and runs its share of the scenarios. An error means that the bed broke.
fn in_one_machine(
    bed: &Arc<Bed>,
    share: Vec<&Scenario>,
    plan: &Plan,
    folder: &Path,
    done: &Mutex<Vec<Done>>,
) -> Result<()> {
    let largest = share.iter().map(|s| s.mib).max().unwrap_or(0);
    let guest_mib = (largest + 512).max(1536);
    let ports = plan
        .workers
        .clamp(1, u32::try_from(share.len()).unwrap_or(u32::MAX));
    let begun = Instant::now();
    let (machine, dom0s) = Machine::boot(bed, folder, &Wish { guest_mib, ports })?;
    println!(
        "bed: Xen is up in {:.1} s, {guest_mib} MiB for guests, logs in {}",
        begun.elapsed().as_secs_f64(),
        folder.display()
    );
    let machine = Arc::new(machine);
    let shelf = Arc::new(Shelf::default());
    let queue = Queue {
        state: Mutex::new(QueueState {
            open: share,
            free_mib: guest_mib,
            broken: None,
        }),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for dom0 in dom0s {
            let dom0 = Arc::new(dom0);
            let (queue, machine, shelf) = (&queue, &machine, &shelf);
            scope.spawn(move || {
                while let Some(scenario) = queue.take() {
                    let begun = Instant::now();
                    let mut stage = Stage {
                        bed: bed.clone(),
                        dom0: dom0.clone(),
                        folder: folder.join(scenario.name),
                        loader: plan.loader.clone(),
                        width: Width::Bits64,
                        machine: machine.clone(),
                        shelf: shelf.clone(),
                        name: scenario.name.to_owned(),
                        deadline: begun + scenario.limit,
                        guests: Vec::new(),
                        plugged: Vec::new(),
                        devices: BTreeMap::new(),
                        foresights: Vec::new(),
                    };
                    let stalls = machine.stalls();
                    let mut result = perform(scenario, &mut stage, &plan.folder);
                    if let Ok(Verdict::Fail(why)) = &result {
                        // Once more, in the open: emulation leaves dom0 without a processor at times, and loses a
                        // guest of the shim now and then. What fails twice has failed.
                        let stood = if machine.stalls() > stalls {
                            " (dom0 stood still meanwhile)"
                        } else {
                            ""
                        };
                        println!("again             {}{stood}: {why}", scenario.name);
                        stage.deadline = Instant::now() + scenario.limit;
                        // Other names for its guests: what the first ones wrote must not be taken for theirs.
                        stage.name = format!("{}-again", scenario.name);
                        result = perform(scenario, &mut stage, &plan.folder);
                    }
                    match result {
                        Ok(verdict) => {
                            verdict.print(scenario.name, begun.elapsed());
                            locked(done).push((scenario.name, verdict, begun.elapsed()));
                        }
                        Err(problem) => queue.give_up(&problem.to_string()),
                    }
                    queue.give_back(scenario);
                }
            });
        }
    });
    let broken = locked(&queue.state).broken.take();
    broken.map_or(Ok(()), |why| Err(Problem::new(why)))
}

/// Runs one scenario and cleans up after it. An error means that the bed broke.
fn perform(scenario: &Scenario, stage: &mut Stage, run_folder: &Path) -> Result<Verdict> {
    fs::create_dir_all(&stage.folder)?;
    let outcome = (scenario.run)(stage).and_then(|()| {
        let foresights = std::mem::take(&mut stage.foresights);
        let difference = foresights.iter().find_map(Foresight::disagreement);
        difference.map_or(Ok(()), |text| Err(Trouble::Guest(text)))
    });
    stage.foresights.clear();
    stage.devices.clear();
    let cleaned = stage.clean_up(run_folder);
    let log = || {
        run_folder
            .join(format!("{}.console.log", scenario.name))
            .display()
            .to_string()
    };
    let verdict = match outcome {
        Ok(()) => Verdict::Pass,
        Err(Trouble::Guest(why)) => Verdict::Fail(format!("{why} (console: {})", log())),
        Err(Trouble::Bed(why)) => return Err(Problem::new(format!("{}: {why}", scenario.name))),
    };
    cleaned?;
    let _ = fs::remove_dir_all(&stage.folder);
    Ok(verdict)
}
