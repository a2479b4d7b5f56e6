//! One guest: its configuration, its console as it grows, and what became of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::dom0::Dom0;
use super::machine::Machine;
use crate::foresight::Typed;
use crate::problem::{Context, Problem};

/// How often the guest's console is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// A guest's `xl.cfg`, line by line.
#[derive(Clone, Default)]
pub(crate) struct Config {
    lines: Vec<String>,
    disks: Vec<String>,
    interfaces: Vec<String>,
    is_paused: bool,
}

impl Config {
    /// A PV guest with `mib` MiB of memory that starts `kernel`, a path as dom0 sees it.
    pub(crate) fn new(kernel: &str, mib: u32) -> Self {
        Config::default()
            .line(&format!("kernel=\"{kernel}\""))
            .line(&format!("memory={mib}"))
    }

    /// Adds any line of xl.cfg.
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Whether the guest has a network.
    pub(crate) fn has_interface(&self) -> bool {
        !self.interfaces.is_empty()
    }

    /// The value of a line `key=value`, without its quotes.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let value = self
            .lines
            .iter()
            .find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))?
            .trim();
        Some(value.trim_matches(['"', '\'']))
    }

    /// The disks in xl's own words.
    pub(crate) fn disk_words(&self) -> &[String] {
        &self.disks
    }

    /// The guest is created but does not run before [`Guest::resume`].
    pub(crate) fn paused(mut self) -> Self {
        self.is_paused = true;
        self
    }

    /// Whether the guest waits for [`Guest::resume`].
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Sets the command line that xl passes on.
    pub(crate) fn extra(self, text: &str) -> Self {
        self.line(&format!("extra='{text}'"))
    }

    /// Sets the ramdisk, a path as dom0 sees it.
    pub(crate) fn ramdisk(self, path: &str) -> Self {
        self.line(&format!("ramdisk=\"{path}\""))
    }

    /// Adds a disk in xl's own words, such as `vdev=xvda,access=rw,target=/dev/sda`.
    pub(crate) fn disk(mut self, words: &str) -> Self {
        self.disks.push(format!("'format=raw,{words}'"));
        self
    }

    /// Adds a network interface on dom0's bridge with the address 00:16:3e:00:00:`last`; the test guest takes
    /// 192.0.2.`last` for itself.
    pub(crate) fn interface(self, last: u8) -> Self {
        self.interface_on(last, "br0")
    }

    /// The same on another bridge.
    pub(crate) fn interface_on(mut self, last: u8, bridge: &str) -> Self {
        self.interfaces
            .push(format!("'mac=00:16:3e:00:00:{last:02x},bridge={bridge}'"));
        self
    }

    fn text(&self, name: &str) -> String {
        let mut text = format!("name=\"{name}\"\non_poweroff=\"destroy\"\n");
        for (key, default) in [("on_crash", "destroy"), ("on_reboot", "destroy")] {
            if !self.lines.iter().any(|l| l.starts_with(key)) {
                text.push_str(&format!("{key}=\"{default}\"\n"));
            }
        }
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&format!(
            "disk=[{}]\nvif=[{}]\n",
            self.disks.join(","),
            self.interfaces.join(",")
        ));
        text
    }
}

/// Why waiting for a guest ended without what was waited for.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The guest did not do what it should.
    Guest(String),
    /// The bed broke: QEMU, Xen or dom0.
    Bed(String),
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Trouble::Bed(problem.to_string())
    }
}

/// Why a guest ended, as Xen numbers it (`SHUTDOWN_*` of `sched.h`): 0 power-off, 1 reboot, 3 crash.
pub(crate) type Reason = u32;

/// A guest that has been created.
pub(crate) struct Guest {
    machine: Arc<Machine>,
    dom0: Arc<Dom0>,
    log: PathBuf,
    xl_log: PathBuf,
    name: String,
    id: Option<u32>,
    /// How much of the console `expect` has used up.
    used: usize,
    deadline: Instant,
    created: Instant,
    typed: Typed,
}

impl Guest {
    /// Creates the guest; it may do nothing past `deadline`.
    ///
    /// # Errors
    /// [`Trouble::Guest`] with xl's words when it refuses, [`Trouble::Bed`] when dom0 does not answer.
    pub(crate) fn create(
        machine: &Arc<Machine>,
        dom0: &Arc<Dom0>,
        name: &str,
        config: &Config,
        deadline: Instant,
    ) -> std::result::Result<Self, Trouble> {
        let share = machine.share();
        let file = share.join(format!("{name}.cfg"));
        fs::write(&file, config.text(name))
            .context(|| format!("cannot write {}", file.display()))?;
        let limit = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_secs(10));
        let created = Instant::now();
        let pause = if config.is_paused { "-p" } else { "" };
        // A guest may be gone by the time its number is asked for, so only xl's own code counts.
        let line = format!(
            "xl create {pause} /share/{name}.cfg || exit 1; xl domid {name} 2>/dev/null; true"
        );
        let mut answer = dom0.try_run(&line, limit)?;
        let is_dead = |output: &str| {
            output.contains("died due to fatal signal") || output.contains("Segmentation fault")
        };
        if answer.code != 0 && is_dead(&answer.output) {
            // xl or its child died (seen: of a damaged heap), which says nothing about the guest.
            dom0.try_run(
                &format!(
                    "xl destroy {name}; rm -f /share/console/guest-{name}.log /share/console/xl-{name}.log"
                ),
                limit,
            )?;
            answer = dom0.try_run(&line, limit)?;
        }
        let log = share.join("console").join(format!("guest-{name}.log"));
        let xl_log = share.join("console").join(format!("xl-{name}.log"));
        let id = answer
            .output
            .lines()
            .next_back()
            .and_then(|l| l.trim().parse().ok());
        let guest = Guest {
            machine: machine.clone(),
            dom0: dom0.clone(),
            log,
            xl_log,
            name: name.to_owned(),
            id,
            used: 0,
            deadline,
            created,
            typed: Typed::default(),
        };
        if answer.code != 0 {
            return Err(Trouble::Guest(format!(
                "xl create: {}",
                answer.output.trim()
            )));
        }
        Ok(guest)
    }

    /// Time since `xl create` was called.
    pub(crate) fn age(&self) -> Duration {
        self.created.elapsed()
    }

    /// All that the guest has written on its console.
    pub(crate) fn console(&self) -> Vec<u8> {
        fs::read(&self.log).unwrap_or_default()
    }

    /// The keys typed so far, shared.
    pub(crate) fn typed(&self) -> Typed {
        self.typed.clone()
    }

    /// The file with the guest's console.
    pub(crate) fn console_file(&self) -> &Path {
        &self.log
    }

    /// Waits until the console holds `text` after the place where the last `expect` ended, and returns the rest of
    /// the text's line.
    ///
    /// # Errors
    /// [`Trouble::Guest`] when `limit` or the scenario's own passes, or the guest ends first.
    pub(crate) fn expect(
        &mut self,
        text: &str,
        limit: Duration,
    ) -> std::result::Result<String, Trouble> {
        self.expect_any(&[text], limit).map(|(_, rest)| rest)
    }

    /// Waits for whichever of `texts` comes first; returns its index and the rest of its line.
    ///
    /// # Errors
    /// As [`Guest::expect`].
    pub(crate) fn expect_any(
        &mut self,
        texts: &[&str],
        limit: Duration,
    ) -> std::result::Result<(usize, String), Trouble> {
        let until = self.deadline.min(Instant::now() + limit);
        let mut last_look = false;
        loop {
            let console = self.console();
            let fresh = console.get(self.used..).unwrap_or_default();
            let found = texts
                .iter()
                .enumerate()
                .filter_map(|(i, t)| Some((position(fresh, t.as_bytes())?, i)))
                .min();
            if let Some((at, index)) = found {
                let start = at + texts.get(index).map_or(0, |t| t.len());
                let rest = fresh.get(start..).unwrap_or_default();
                // The rest of the line may still be on its way; a text is enough, so it is not waited for long.
                let end = rest.iter().position(|b| matches!(b, b'\r' | b'\n'));
                if end.is_some() || last_look || Instant::now() > until {
                    self.used += start;
                    let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                    return Ok((index, String::from_utf8_lossy(line).into_owned()));
                }
                last_look = true;
                std::thread::sleep(GLANCE * 3);
                continue;
            }
            let what = || format!("{:?}", texts.join("\" or \""));
            if last_look {
                let reason = match self.reason() {
                    Some(number) if number != Reason::MAX => format!(" with reason {number}"),
                    _ => String::new(),
                };
                return Err(Trouble::Guest(format!(
                    "the guest ended{reason} before it wrote {}; {}",
                    what(),
                    tail(&console)
                )));
            }
            if let Some(why) = self.machine.ended() {
                return Err(Trouble::Bed(why));
            }
            if Instant::now() > until {
                return Err(Trouble::Guest(format!(
                    "no {} in time; {}",
                    what(),
                    tail(&console)
                )));
            }
            last_look = self.has_ended();
            std::thread::sleep(GLANCE);
        }
    }

    /// Whether xl has seen the guest's end.
    pub(crate) fn has_ended(&self) -> bool {
        self.reason().is_some()
    }

    /// The reason for the end from xl's log, once there is one.
    fn reason(&self) -> Option<Reason> {
        let log = fs::read_to_string(&self.xl_log).unwrap_or_default();
        for line in log.lines() {
            if let Some((_, rest)) = line.split_once("has shut down, reason code ") {
                return rest.split_whitespace().next().and_then(|n| n.parse().ok());
            }
            if line.contains("has been destroyed") {
                return Some(Reason::MAX);
            }
        }
        None
    }

    /// Waits for the guest's end and returns the reason.
    ///
    /// # Errors
    /// [`Trouble::Guest`] when it lives on.
    pub(crate) fn wait_gone(&mut self, limit: Duration) -> std::result::Result<Reason, Trouble> {
        let until = self.deadline.min(Instant::now() + limit);
        loop {
            if let Some(reason) = self.reason() {
                return Ok(reason);
            }
            if let Some(why) = self.machine.ended() {
                return Err(Trouble::Bed(why));
            }
            if Instant::now() > until {
                return Err(Trouble::Guest(format!(
                    "the guest did not end in time; {}",
                    tail(&self.console())
                )));
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Types bytes into the guest's console.
    ///
    /// # Errors
    /// [`Trouble::Guest`] when the guest is gone, [`Trouble::Bed`] when dom0 does not answer.
    pub(crate) fn type_keys(&self, keys: &[u8]) -> std::result::Result<(), Trouble> {
        self.typed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(keys);
        let octal: String = keys.iter().map(|b| format!("\\{b:03o}")).collect();
        let id = self.id()?;
        self.dom0.run(&format!(
            "printf '{octal}' > $(xenstore-read /local/domain/{id}/console/tty)"
        ))?;
        Ok(())
    }

    /// Lets a guest that was created [`Config::paused`] run.
    ///
    /// # Errors
    /// [`Trouble::Bed`] when xl refuses.
    pub(crate) fn resume(&self) -> std::result::Result<(), Trouble> {
        self.dom0.run(&format!("xl unpause {}", self.name))?;
        Ok(())
    }

    /// The domain's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The domain's number.
    ///
    /// # Errors
    /// [`Trouble::Guest`] when it was gone before it could be asked for.
    pub(crate) fn id(&self) -> std::result::Result<u32, Trouble> {
        self.id
            .ok_or_else(|| Trouble::Guest("the guest ended at once".to_owned()))
    }
}

/// Where `text` first is in `bytes`.
fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    bytes.windows(text.len()).position(|w| w == text)
}

/// The last visible words of a console, for a message.
fn tail(console: &[u8]) -> String {
    let text = String::from_utf8_lossy(console);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    match lines.get(lines.len().saturating_sub(3)..) {
        Some(last) if !last.is_empty() => format!("its last lines: {}", last.join(" | ")),
        _ => "it wrote nothing".to_owned(),
    }
}
