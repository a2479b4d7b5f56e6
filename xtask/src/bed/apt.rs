//! A private apt: own lists, own cache, one Debian release, nothing installed.
//!
//! The machine's apt is only asked which mirror it uses; that mirror's other releases are reached the same way.
//! Proxies and other settings of the machine stay in force.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{output, text};
use crate::problem::{Context, Result};

/// How often a download is tried, with new lists each time: a mirror may be in the middle of an update.
const TRIES: u32 = 4;

/// Debian's archive keys, from the package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt for one Debian release.
pub(crate) struct Apt {
    config: PathBuf,
    suite: String,
    security: bool,
    updated: std::cell::Cell<bool>,
}

impl Apt {
    /// Sets up apt for `suite` ("bookworm", "trixie") with its files in `folder`; asks no network yet.
    ///
    /// # Errors
    /// When files cannot be written or the machine's apt names no mirror.
    pub(crate) fn new(folder: &Path, suite: &str) -> Result<Self> {
        for part in ["state/lists/partial", "cache/archives/partial", "none"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::write(folder.join("state/status"), "")?;
        let config = folder.join("apt.conf");
        let at = folder.display();
        fs::write(
            &config,
            format!(
                "Dir::State \"{at}/state\";\nDir::State::status \"{at}/state/status\";\nDir::Cache \"{at}/cache\";\n\
                 Dir::Etc::sourcelist \"{at}/sources.list\";\nDir::Etc::sourceparts \"{at}/none\";\nDir::Etc::preferencesparts \"{at}/none\";\n\
                 Acquire::Languages \"none\";\nAcquire::Retries \"2\";\nAPT::Sandbox::User \"root\";\n\
                 Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
                 Acquire::IndexTargets::deb::CNF::DefaultEnabled \"false\";\nAPT::Architecture \"amd64\";\n"
            ),
        )?;
        Ok(Apt {
            config,
            suite: suite.to_owned(),
            security: false,
            updated: std::cell::Cell::new(false),
        })
    }

    /// As [`Apt::new`], with the release's security archive as well.
    ///
    /// # Errors
    /// As [`Apt::new`].
    pub(crate) fn with_security(folder: &Path, suite: &str) -> Result<Self> {
        let mut apt = Self::new(folder, suite)?;
        apt.security = true;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", &self.config)
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Fetches the release's package lists.
    fn update(&self) -> Result<()> {
        let mirror = mirror()?;
        let keys = if Path::new(KEYRING).exists() {
            format!("[signed-by={KEYRING}] ")
        } else {
            String::new()
        };
        let sources = self.config.with_file_name("sources.list");
        let mut lines = format!("deb {keys}{mirror} {} main\n", self.suite);
        if self.security {
            let archive = security_mirror(&mirror);
            lines.push_str(&format!(
                "deb {keys}{archive} {}-security main\n",
                self.suite
            ));
        }
        fs::write(&sources, lines)?;
        println!("bed: asking apt for the packages of Debian {}", self.suite);
        // apt-get update ends with 0 when lists could not be had, unless told that every error counts.
        output(self.command("apt-get").args([
            "-q",
            "-o",
            "APT::Update::Error-Mode=any",
            "update",
        ]))?;
        self.updated.set(true);
        Ok(())
    }

    fn update_once(&self) -> Result<()> {
        if self.updated.get() {
            return Ok(());
        }
        retry(
            &format!("the package lists of Debian {}", self.suite),
            || self.update(),
        )
    }

    /// Names of packages that start with `prefix` and whose rest `accept` likes, sorted.
    ///
    /// # Errors
    /// When the lists cannot be had.
    pub(crate) fn names(&self, prefix: &str, accept: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        self.update_once()?;
        let all = text(self.command("apt-cache").args(["pkgnames", prefix]))?;
        let mut names: Vec<String> = all
            .lines()
            .filter(|n| n.strip_prefix(prefix).is_some_and(&accept))
            .map(str::to_owned)
            .collect();
        names.sort();
        Ok(names)
    }

    /// What `package` directly depends on, alternatives included.
    ///
    /// # Errors
    /// When the lists cannot be had or apt does not know `package`.
    pub(crate) fn depends(&self, package: &str) -> Result<Vec<String>> {
        self.update_once()?;
        let said = text(self.command("apt-cache").args([
            "depends",
            "--no-recommends",
            "--no-suggests",
            package,
        ]))?;
        Ok(said
            .lines()
            .map(|l| l.trim_start_matches([' ', '|']))
            .filter_map(|l| l.strip_prefix("Pre").unwrap_or(l).strip_prefix("Depends: "))
            .map(|n| n.trim_end_matches(":any").to_owned())
            .filter(|n| !n.starts_with('<'))
            .collect())
    }

    /// `packages` and every library they need, directly or through other libraries. Interpreters and
    /// everything else that is not a library is left out.
    ///
    /// # Errors
    /// As [`Apt::depends`].
    pub(crate) fn with_libraries(&self, packages: &[String]) -> Result<Vec<String>> {
        let mut chosen: BTreeSet<String> = packages.iter().cloned().collect();
        let mut open: Vec<String> = packages.to_vec();
        while let Some(package) = open.pop() {
            for name in self.depends(&package)? {
                let library = name.starts_with("lib") || name.starts_with("zlib");
                let wanted =
                    library && !name.starts_with("libpython") && !name.starts_with("libperl");
                if wanted && chosen.insert(name.clone()) {
                    open.push(name);
                }
            }
        }
        Ok(chosen.into_iter().collect())
    }

    /// Downloads `packages` (apt checks their signatures' checksums) and returns the files' paths.
    ///
    /// # Errors
    /// After [`TRIES`] tries, with apt's own last words.
    pub(crate) fn download(&self, packages: &[String], into: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(into)?;
        let what = match packages {
            [one] => one.clone(),
            many => format!("{} packages of Debian {}", many.len(), self.suite),
        };
        println!("bed: downloading {what}");
        retry(&what, || {
            self.update_once()?;
            let size = || format!("{:.1} MB", megabytes(into));
            let done = crate::progress::during(&format!("bed: {what}"), size, || {
                output(
                    self.command("apt-get")
                        .current_dir(into)
                        .args(["-q", "download"])
                        .args(packages),
                )
            });
            if done.is_err() {
                self.updated.set(false); // the next try asks for new lists
            }
            done.map(|_| ())
        })?;
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(into)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "deb") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Tries `act` up to [`TRIES`] times with growing pauses.
fn retry(what: &str, act: impl Fn() -> Result<()>) -> Result<()> {
    let mut tried = 1;
    loop {
        match act() {
            Ok(()) => return Ok(()),
            Err(why) if tried == TRIES => {
                return Err(why).context(|| {
                    format!("could not get {what} in {TRIES} tries; is the network there, and the mirror done updating?")
                });
            }
            Err(why) => {
                println!("bed: {what}: try {tried} of {TRIES} failed, trying again: {why}");
                std::thread::sleep(std::time::Duration::from_secs(u64::from(tried) * 5));
                tried += 1;
            }
        }
    }
}

/// What has arrived in a folder so far, in units of a million bytes.
fn megabytes(folder: &Path) -> f64 {
    let sizes = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.metadata().ok())
        .map(|m| m.len());
    sizes.sum::<u64>() as f64 / 1e6
}

/// The Debian mirror that this machine's own apt uses.
fn mirror() -> Result<String> {
    if let Some(given) = std::env::var_os("PV_GRUB_MIRROR") {
        return Ok(given.to_string_lossy().into_owned());
    }
    let listed = text(
        Command::new("apt-get")
            .args([
                "indextargets",
                "--format",
                "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                "Created-By: Packages",
            ])
            .env("LC_ALL", "C"),
    )
    .context(
        || "this needs a Debian machine with apt (or PV_GRUB_MIRROR set to a Debian mirror)",
    )?;
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = release
        .lines()
        .find_map(|l| l.strip_prefix("VERSION_CODENAME="))
        .unwrap_or("stable");
    pick_mirror(&listed, codename)
        .context(|| "apt on this machine names no Debian mirror; set PV_GRUB_MIRROR to one")
}

/// Where the security archive is, given the mirror of the releases: beside it, as on Debian's own servers.
fn security_mirror(mirror: &str) -> String {
    let base = mirror.trim_end_matches('/');
    let parent = base.strip_suffix("/debian").unwrap_or(base);
    format!("{parent}/debian-security/")
}

/// Picks from lines of `URI release component`: the release itself, else any component `main`.
fn pick_mirror(listed: &str, codename: &str) -> Option<String> {
    let parsed: Vec<[&str; 3]> = listed
        .lines()
        .filter_map(|l| <[&str; 3]>::try_from(l.split_whitespace().collect::<Vec<_>>()).ok())
        .filter(|[_, _, component]| *component == "main")
        .collect();
    let own = parsed
        .iter()
        .find(|[_, release, _]| *release == codename || *release == "stable");
    own.or(parsed.first()).map(|[uri, ..]| (*uri).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_releases_own_mirror_is_preferred() {
        let listed = "u:/sec bookworm-security main\nu:/deb bookworm main\nu:/cloud x contrib\n";
        assert_eq!(pick_mirror(listed, "bookworm").as_deref(), Some("u:/deb"));
        assert_eq!(pick_mirror(listed, "trixie").as_deref(), Some("u:/sec"));
        assert_eq!(pick_mirror("", "trixie"), None);
        assert_eq!(
            security_mirror("http://m/debian/"),
            "http://m/debian-security/"
        );
    }
}
