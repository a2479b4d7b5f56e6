//! `cargo xtask compare-pygrub`: what Debian's pygrub and `pvgrub check` say of the same disks, as the table in
//! `docs/pvgrub-check.md`.
//!
//! Both run here, over images made by the real tools; pygrub comes from the bed. Each cell is what the program said, cut
//! to what matters.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::bed::Bed;
use crate::checks::run_folder;
use crate::command::output;
use crate::foresight;
use crate::guests::Width;
use crate::problem::{Context, Result};
use crate::scenarios::hello::{self, Entry};
use crate::workspace;
use crate::xen::disk::{self, FileSystem, Table};

#[path = "../../fs/tests/images/mod.rs"]
#[expect(
    clippy::unwrap_used,
    reason = "the tests' own images, made of nothing foreign"
)]
mod images;

use images::volumes::{A, EXTENT, PE_START, SHOWN, group, len_of, logical, physical};

/// Where the table stands.
const PAGE: &str = "docs/pvgrub-check.md";
const BEGIN: &str = "<!-- pygrub: made by `cargo xtask compare-pygrub` -->\n";
const END: &str = "<!-- end of pygrub -->";

/// Small kernels of each kind.
struct Kernels {
    bits_64: Vec<u8>,
    bits_32: Vec<u8>,
    pvh_only: Vec<u8>,
}

/// A file of a guest: path and bytes.
type File<'a> = (&'static str, &'a [u8]);

/// Makes a disk in a folder of its own.
type Make = fn(&Bed, &Kernels, &Path) -> Result<PathBuf>;

/// A disk, in words, and how it is made.
const DISKS: &[(&str, Make)] = &[
    ("menu.lst, two sound entries", |bed, kernels, folder| {
        let menu = b"timeout 1\ntitle A\nroot (hd0,0)\nkernel /vmlinuz ro\ninitrd /initrd\n\
            title B\nroot (hd0,0)\nkernel /vmlinuz single\ninitrd /initrd\n";
        on_ext4(bed, folder, &with_menu(menu, &kernels.bits_64))
    }),
    (
        "the kernel of the default entry is missing, `fallback` names another",
        |bed, kernels, folder| {
            let menu = b"timeout 1\nfallback 1\ntitle A\nroot (hd0,0)\nkernel /missing ro\n\
            title B\nroot (hd0,0)\nkernel /vmlinuz ro\ninitrd /initrd\n";
            on_ext4(bed, folder, &with_menu(menu, &kernels.bits_64))
        },
    ),
    (
        "`find --set-root`, a line joined by `\\`",
        |bed, kernels, folder| {
            let menu = b"timeout 1\ntitle A\nfind --set-root /vmlinuz\nkernel /vmlinuz \\\n  root=/dev/xvda1 ro\ninitrd /initrd\n";
            on_ext4(bed, folder, &with_menu(menu, &kernels.bits_64))
        },
    ),
    (
        "`configfile` leads to another menu",
        |bed, kernels, folder| {
            let menu = b"timeout 1\ntitle A\nroot (hd0,0)\nconfigfile /more.lst\n";
            let more: &[u8] =
                b"timeout 1\ntitle B\nroot (hd0,0)\nkernel /vmlinuz ro\ninitrd /initrd\n";
            let mut files = with_menu(menu, &kernels.bits_64);
            files.push(("more.lst", more));
            on_ext4(bed, folder, &files)
        },
    ),
    ("a kernel for PVH alone", |bed, kernels, folder| {
        on_ext4(bed, folder, &with_menu(ONE, &kernels.pvh_only))
    }),
    ("a kernel of 32 bits", |bed, kernels, folder| {
        on_ext4(bed, folder, &with_menu(ONE, &kernels.bits_32))
    }),
    ("a kernel that was cut off", |bed, kernels, folder| {
        let half = kernels.bits_64.len() / 2;
        on_ext4(bed, folder, &with_menu(ONE, &kernels.bits_64[..half]))
    }),
    (
        "a menu of Windows with a stray NUL and a misspelt word",
        |bed, kernels, folder| {
            let menu = b"\xef\xbb\xbftimeout 1\r\ntitle A\0\r\nroot (hd0,0)\r\nkernal /vmlinuz ro\r\ninitrd /initrd\r\n";
            on_ext4(bed, folder, &with_menu(menu, &kernels.bits_64))
        },
    ),
    (
        "the file system's first 64 KiB are overwritten",
        |bed, kernels, folder| {
            let disk = on_ext4(bed, folder, &with_menu(ONE, &kernels.bits_64))?;
            let mut bytes = std::fs::read(&disk)?;
            bytes[1 << 20..][..64 << 10].fill(0x55);
            std::fs::write(&disk, bytes)?;
            Ok(disk)
        },
    ),
    (
        "a journal that holds the newest menu",
        |bed, kernels, folder| dirty(bed, folder, &with_menu(ONE, &kernels.bits_64)),
    ),
    (
        "LVM: the first disk is a physical volume, `extra` names `(lvm/vg-root)`",
        |bed, kernels, folder| {
            let part = on_ext4_alone(bed, folder, &with_menu(NO_ROOT, &kernels.bits_64))?;
            let bytes = std::fs::read(part)?;
            let extents = bytes.len().div_ceil(EXTENT);
            let segment = "type = \"striped\"\nstripe_count = 1\nstripes = [\"pv0\", 0]";
            let count = u32::try_from(extents).context(|| "too large a disk")?;
            let text = group(
                "vg",
                1,
                &[(A, "")],
                &logical("root", SHOWN, &[(count, segment)]),
            );
            let mut image = physical(len_of(extents), A, Some(&text));
            image[PE_START * 512..][..bytes.len()].copy_from_slice(&bytes);
            let path = folder.join("disk.img");
            std::fs::write(&path, image)?;
            Ok(path)
        },
    ),
    ("XFS", |bed, kernels, folder| {
        let content = written(folder, &with_menu(ONE, &kernels.bits_64))?;
        let part = folder.join("part.img");
        disk::make_file_system(bed, FileSystem::Xfs, &content, 64, &part)?;
        Ok(disk::join(Table::Mbr, &[part], 512, &folder.join("disk.img"))?.path)
    }),
    ("grub.cfg alone", |bed, kernels, folder| {
        let config = b"set timeout=1\nmenuentry 'A' {\n  set root='hd0,msdos1'\n  linux /vmlinuz root=/dev/xvda1 ro\n  initrd /initrd\n}\n";
        let files = with_config("boot/grub/grub.cfg", config, &kernels.bits_64);
        on_ext4(bed, folder, &files)
    }),
    ("BLS entries alone", |bed, kernels, folder| {
        let entry =
            b"title A\nversion 6.1\nlinux /vmlinuz\ninitrd /initrd\noptions root=/dev/xvda1 ro\n";
        let files = with_config("boot/loader/entries/a.conf", entry, &kernels.bits_64);
        on_ext4(bed, folder, &files)
    }),
    ("extlinux.conf alone", |bed, kernels, folder| {
        let config = b"default a\ntimeout 10\nlabel a\n  menu label A\n  kernel /vmlinuz\n  initrd /initrd\n  append root=/dev/xvda1 ro\n";
        let files = with_config("boot/extlinux/extlinux.conf", config, &kernels.bits_64);
        on_ext4(bed, folder, &files)
    }),
];

/// A menu with one entry.
const ONE: &[u8] =
    b"timeout 1\ntitle A\nroot (hd0,0)\nkernel /vmlinuz root=/dev/xvda1 ro\ninitrd /initrd\n";

/// The same where the menu's own device is meant.
const NO_ROOT: &[u8] = b"timeout 1\ntitle A\nkernel /vmlinuz ro\ninitrd /initrd\n";

const INITRD: &[u8] = &[7; 5000];

fn with_menu<'a>(menu: &'a [u8], kernel: &'a [u8]) -> Vec<File<'a>> {
    with_config("boot/grub/menu.lst", menu, kernel)
}

/// A loader's configuration, a kernel and an initrd.
fn with_config<'a>(path: &'static str, config: &'a [u8], kernel: &'a [u8]) -> Vec<File<'a>> {
    vec![(path, config), ("vmlinuz", kernel), ("initrd", INITRD)]
}

fn written(folder: &Path, files: &[File<'_>]) -> Result<PathBuf> {
    let content = disk::fresh_folder(&folder.join("content"))?;
    for (path, bytes) in files {
        disk::put_text(&content, path, bytes)?;
    }
    Ok(content)
}

/// A file system that fills its image; the newest kind of ext4 that pygrub's library reads.
fn on_ext4_alone(bed: &Bed, folder: &Path, files: &[File<'_>]) -> Result<PathBuf> {
    let content = written(folder, files)?;
    let part = folder.join("part.img");
    disk::make_file_system(bed, FileSystem::Ext4OfDebian12, &content, 40, &part)?;
    Ok(part)
}

fn on_ext4(bed: &Bed, folder: &Path, files: &[File<'_>]) -> Result<PathBuf> {
    let part = on_ext4_alone(bed, folder, files)?;
    Ok(disk::join(Table::Mbr, &[part], 512, &folder.join("disk.img"))?.path)
}

/// A disk that was not unmounted: that `menu.lst` has become another file stands in the journal alone.
fn dirty(bed: &Bed, folder: &Path, files: &[File<'_>]) -> Result<PathBuf> {
    let part = on_ext4_alone(bed, folder, files)?;
    let debugfs = |commands: &str| -> Result<()> {
        let script = folder.join("script");
        std::fs::write(&script, commands)?;
        output(
            bed.tools
                .command("debugfs")?
                .args(["-w", "-f"])
                .args([&script, &part]),
        )
        .map(drop)
    };
    let newest = folder.join("newest.lst");
    std::fs::write(
        &newest,
        b"timeout 1\ntitle Newest\nroot (hd0,0)\nkernel /vmlinuz new\ninitrd /initrd\n",
    )?;
    let before = std::fs::read(&part)?;
    debugfs(&format!(
        "cd boot/grub\nrm menu.lst\nwrite {} menu.lst\n",
        newest.display()
    ))?;
    let after = std::fs::read(&part)?;
    let block = 1024 << u32::from(before[1024 + 24]);
    let pairs = before.chunks(block).zip(after.chunks(block)).enumerate();
    let (mut numbers, mut bytes) = (Vec::new(), Vec::new());
    for (number, (old, new)) in pairs {
        if old != new {
            numbers.push(number.to_string());
            bytes.extend_from_slice(new);
        }
    }
    let changes = folder.join("changes");
    std::fs::write(&changes, bytes)?;
    std::fs::write(&part, before)?;
    debugfs(&format!(
        "jo\njw -b {} {}\njc\n",
        numbers.join(","),
        changes.display()
    ))?;
    Ok(disk::join(Table::Mbr, &[part], 512, &folder.join("disk.img"))?.path)
}

/// Makes the disks, asks both programs, prints the table and writes it into the page.
///
/// # Errors
/// When a disk cannot be made, or the bed has no pygrub that runs here.
pub(crate) fn compare() -> Result<()> {
    let bed = Bed::prepare()?;
    let folder = run_folder("pygrub")?;
    let kernel = |entry, width, name: &str| {
        let file = folder.join(name);
        hello::build(&bed, entry, width, &file)?;
        Ok::<_, crate::problem::Problem>(std::fs::read(file)?)
    };
    let kernels = Kernels {
        bits_64: kernel(Entry::Pv, Width::Bits64, "hello")?,
        bits_32: kernel(Entry::Pv, Width::Bits32, "hello-32")?,
        pvh_only: kernel(Entry::PvhOnly, Width::Bits64, "hello-pvh")?,
    };
    let pygrub = Pygrub::find(&bed, &folder, |python| Command::new(python))?;
    let mut table = String::from(
        "| the guest's disk | `pygrub -l` | pygrub as xl starts it | `pvgrub check` |\n| --- | --- | --- | --- |\n",
    );
    for (number, (about, make)) in DISKS.iter().enumerate() {
        let own = disk::fresh_folder(&folder.join(format!("disk-{number}")))?;
        let disk = make(&bed, &kernels, &own)?;
        let extra = about
            .contains("LVM")
            .then_some("(lvm/vg-root)/boot/grub/menu.lst");
        let cells = [
            listed(&run(pygrub.list(&disk))?),
            started(&run(pygrub.start(&disk))?),
            check(&disk, extra)?,
        ];
        table.push_str(&format!("| {about} | {} |\n", cells.join(" | ")));
        std::fs::remove_dir_all(own)?;
    }
    println!("{table}");
    let page = workspace::root().join(PAGE);
    let text = std::fs::read_to_string(&page)?;
    let wrong = || format!("{PAGE} has no place for the table");
    let (before, rest) = text.split_once(BEGIN).context(wrong)?;
    let (_, after) = rest.split_once(END).context(wrong)?;
    std::fs::write(&page, format!("{before}{BEGIN}{table}{END}{after}"))?;
    println!("{PAGE} has it");
    Ok(())
}

/// Debian's pygrub, run by Debian's Python.
pub(crate) struct Pygrub {
    script: PathBuf,
    libraries: PathBuf,
    /// Where Python keeps what it compiled, as an installed package has it.
    bytecode: PathBuf,
    copies: PathBuf,
    starter: fn(&Path) -> Command,
}

impl Pygrub {
    /// The bed's. `starter` makes a command of Python; what is written goes below `folder`.
    ///
    /// # Errors
    /// When the bed has none.
    pub(crate) fn find(bed: &Bed, folder: &Path, starter: fn(&Path) -> Command) -> Result<Self> {
        let script = bed.file("/bin/pygrub")?;
        let home = script.ancestors().nth(2);
        let home = home.context(|| "pygrub is in no folder")?;
        Ok(Self {
            libraries: home.join("lib/x86_64-linux-gnu"),
            bytecode: folder.join("bytecode"),
            copies: disk::fresh_folder(&folder.join("copies"))?,
            script,
            starter,
        })
    }

    fn command(&self) -> Command {
        // The one that Debian's script names, whatever else is in the path.
        let mut command = (self.starter)(Path::new("/usr/bin/python3"));
        command
            .arg(&self.script)
            .env("LD_LIBRARY_PATH", &self.libraries)
            .env_remove("PYTHONDONTWRITEBYTECODE")
            .env("PYTHONPYCACHEPREFIX", &self.bytecode);
        command
    }

    /// `pygrub -l`, which lists the menu of `disk`.
    pub(crate) fn list(&self, disk: &Path) -> Command {
        let mut command = self.command();
        command.arg("-l").arg(disk);
        command
    }

    /// pygrub as xl starts it: it copies kernel and initrd out of `disk`.
    pub(crate) fn start(&self, disk: &Path) -> Command {
        let mut command = self.command();
        let folder = format!("--output-directory={}", self.copies.display());
        command.args(["-q", &folder]).arg(disk);
        command
    }
}

fn run(mut pygrub: Command) -> Result<Output> {
    let done = pygrub.output();
    done.context(|| "cannot run /usr/bin/python3, which pygrub needs")
}

/// What `pygrub -l` lists.
fn listed(done: &Output) -> String {
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let titles: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("title: "))
        .map(code)
        .collect();
    match (titles.as_slice(), done.status.success()) {
        ([], true) => "lists nothing".to_owned(),
        (titles, true) => format!("lists {}", titles.join(", ")),
        ([], false) => error(done),
        (titles, false) => format!("lists {}, then {}", titles.join(", "), error(done)),
    }
}

/// What pygrub would have xl start.
fn started(done: &Output) -> String {
    if !done.status.success() {
        return error(done);
    }
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let line = text
        .split_once("(args '")
        .and_then(|(_, rest)| rest.rsplit_once("')"));
    // As Python writes it.
    match line.map(|(line, _)| line.trim().replace("\\\\", "\\")) {
        Some(line) if !line.is_empty() => format!("starts a kernel with {}", code(&line)),
        _ => "starts a kernel without a command line".to_owned(),
    }
}

/// Text as it was said.
fn code(text: &str) -> String {
    let plain = text.replace(char::is_control, "?");
    format!("`{}`", plain.replace('|', "\\|"))
}

/// The last line of what a program complained.
fn error(done: &Output) -> String {
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(
        || format!("ends with {}", done.status),
        |last| format!("ends: {}", last.trim()),
    )
}

/// What `pvgrub check` says; and of what `pvgrub generate` makes, where there is no menu.
fn check(disk: &Path, extra: Option<&str>) -> Result<String> {
    let path = disk.display().to_string();
    let ask = |option: Option<String>| -> Result<Value> {
        let words = ["pvgrub", "check", "--format=json", "--no-sandbox"].map(str::to_owned);
        let mut words = words.to_vec();
        words.extend(option);
        words.push(path.clone());
        let said = foresight::said(&words).unwrap_or_default();
        serde_json::from_slice(&said).context(|| "pvgrub gives no answer")
    };
    let report = ask(extra.map(|extra| format!("--extra={extra}")))?;
    let Some(other) = report["others"][0]["kind"].as_str() else {
        return Ok(verdict(&report));
    };
    let words = ["pvgrub", "generate", "--no-sandbox", &path].map(str::to_owned);
    let menu = disk.with_extension("lst");
    std::fs::write(&menu, foresight::said(&words).unwrap_or_default())?;
    let then = verdict(&ask(Some(format!("--menu={}", menu.display())))?);
    let verdict = verdict(&report);
    Ok(format!(
        "{verdict}, and names {other}; with the menu of `pvgrub generate` it {then}"
    ))
}

/// A report in few words.
fn verdict(report: &Value) -> String {
    let last = report["boot"].as_array().and_then(|steps| steps.last());
    let line = last.and_then(|step| step["command_line"].as_str());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let (Some(image), Some(line)) = (report["image"].as_str(), line) {
        let summary = text(&report["summary"]);
        return format!("{summary} with {}, in `{image}`", code(line));
    }
    if report["menu"] == Value::Null {
        let is_alone = report["others"][0] == Value::Null;
        let why = report["advice"][0].as_str().filter(|_| is_alone);
        let why = why.unwrap_or("no menu").trim_end_matches('.');
        return format!("would not boot: {why}");
    }
    let failure = last.map_or(&Value::Null, |step| &step["failure"]);
    let reason = text(&failure["reasons"][0]);
    format!("would not boot: Error {}: {reason}", failure["code"])
}
