//! `cargo xtask bench`: the loader beside a direct boot and beside GRUB 2, in one Xen, from one disk.
//!
//! Ratios count, not seconds: everything runs in software emulation. So the candidates take turns, each with dom0's
//! caches dropped, and the medians are compared.

mod check;
mod files;
mod lab;
mod lint;
mod network;
mod report;
mod stopwatch;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::bed::Bed;
use crate::checks::run_folder;
use crate::guests;
use crate::image::{self, Contents, Image, Target};
use crate::problem::{Problem, Result};
use crate::xen::disk::{self, DiskImage, FileSystem, Table};
use crate::xen::guest::{Config, Trouble};
use crate::xen::ramdisk::{self, Recipe};

use lab::{Lab, Marks, problem};
use report::{Goal, Report, median, median_seconds};

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// One round, a smaller large guest, no search for the smallest guest, nothing written: for development
    #[arg(long)]
    quick: bool,
    /// How often each candidate takes its turn [default: 5, quick: 1]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Do only this part
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
}

/// A part of the bench.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Part {
    /// Time from `xl create` to the kernel's first line, and throughput.
    Boot,
    /// Time to the menu.
    Menu,
    /// The smallest guest.
    Memory,
    /// Files over the network.
    Network,
    /// Files on ext4 beside the bare disk.
    Files,
    /// `pvgrub check` on the host beside pygrub; only when it is named, and nothing is written.
    Check,
    /// `pvgrub lint` on the host, of large menus and of many; likewise.
    Pvgrub,
}

/// Bytes of the large initrd.
const INITRD_BYTES: usize = 64 << 20;
/// The kernel's first line; `earlyprintk` makes it appear when it is written.
const KERNEL_SPEAKS: &str = "Linux version";
/// The small initrd's last line.
const USER_SPACE: &str = "GUEST: user space reached";
/// The loader's first words, and the entry of its waiting menu.
const LOADER_SPEAKS: &str = "pv-grub ";
const MENU_SHOWN: &str = "An entry that waits";
const WITNESS_DONE: &str = "WITNESS done";

const KERNEL_LINE: &str = "root=/dev/xvda1 ro console=hvc0 earlyprintk=xen";
/// Reads the disk three times, as Debian's busybox neither tells dd's time nor a finer one than hundredths of a second.
const DD: &str = "\
if grep -q pvgrub.dd /proc/cmdline; then
  now() { cut -d' ' -f1 /proc/uptime; }
  begun=$(now); for i in 1 2 3; do dd if=/dev/xvda of=/dev/null bs=1M iflag=direct 2>/tmp/dd; done
  say \"dd read 3 times $(cat /sys/block/xvda/size) sectors from $begun to $(now) seconds\"; tail -n 1 /tmp/dd
fi
";

fn menus() -> Vec<(&'static str, String)> {
    let entry = |name: &str, kernel: &str, initrd: &str| {
        format!("default 0\ntimeout {name}\n    root (hd0,0)\n    kernel {kernel}\n{initrd}")
    };
    let now = "0\ntitle Now";
    let initrd = "    initrd /boot/initrd.img\n";
    let linux = format!("/boot/vmlinuz {KERNEL_LINE}");
    vec![
        ("menu.lst", entry(now, &linux, initrd)),
        (
            "small.lst",
            entry(now, &linux, "    initrd /boot/small.img\n"),
        ),
        ("witness.lst", entry(now, "/boot/witness", "")),
        (
            "wait.lst",
            entry(&format!("600\ntitle {MENU_SHOWN}"), &linux, initrd),
        ),
        (
            "grub.cfg",
            format!(
                "set root=(xen/xvda,msdos1)\nlinux /boot/vmlinuz {KERNEL_LINE}\ninitrd /boot/initrd.img\nboot\n"
            ),
        ),
    ]
}

/// Makes the disk: MBR, one ext4 partition as Debian 12 makes it (GRUB 2.06 cannot read newer ones).
fn make_disk(bed: &Bed, folder: &Path) -> Result<DiskImage> {
    let content = disk::fresh_folder(&folder.join("content"))?;
    let kernel = &bed.debian12;
    disk::put(&content, "boot/vmlinuz", &kernel.image)?;
    let recipe = |payload_bytes| Recipe {
        payload_bytes,
        more: [DD, &network::linux_script()].concat(),
        programs: network::CLIENTS.to_vec(),
        modules: Vec::new(),
    };
    let small = ramdisk::build(bed, kernel, &recipe(0))?;
    let payload = INITRD_BYTES.saturating_sub(small.bytes.len() + 512);
    let large = ramdisk::build(bed, kernel, &recipe(payload))?;
    disk::put_text(&content, "boot/small.img", &small.bytes)?;
    disk::put_text(&content, "boot/initrd.img", &large.bytes)?;
    let witness = guests::witness(&guests::xen_headers(bed)?, &guests::PLAIN, folder)?;
    disk::put(&content, "boot/witness", &witness)?;
    for (name, text) in menus() {
        disk::put_text(&content, &format!("boot/grub/{name}"), text.as_bytes())?;
    }
    let part = folder.join("part.img");
    disk::make_file_system(bed, FileSystem::Ext4OfDebian12, &content, 96, &part)?;
    disk::join(Table::Mbr, &[part], 512, &folder.join("disk.img"))
}

/// What is compared.
struct Bench {
    lab: Lab,
    loader: String,
    grub: String,
    device: String,
    rounds: usize,
    report: Report,
}

impl Bench {
    fn guest(&self, kernel: &str, mib: u32) -> Config {
        Config::new(kernel, mib).disk(&format!("vdev=xvda,access=r,target={}", self.device))
    }

    fn loaded(&self, menu: &str, mib: u32) -> Config {
        self.guest(&self.loader, mib)
            .extra(&format!("(hd0,0)/boot/grub/{menu}"))
    }

    fn direct(&self, initrd: &str, mib: u32) -> Config {
        self.guest("/bench/boot/vmlinuz", mib)
            .ramdisk(initrd)
            .extra(KERNEL_LINE)
    }

    fn watch(&self, config: &Config, wanted: &[&str]) -> Result<lab::Seen> {
        let marks = Marks {
            wanted,
            hopeless: &[],
            limit: Duration::from_secs(240),
        };
        self.lab.watch(config, &marks).map_err(problem)
    }

    /// `xl create` to the kernel's first line, three ways; the loader's read throughput beside dd's.
    fn boots(&mut self) -> Result<()> {
        const MIB: u32 = 512;
        self.lab
            .in_dom0("cp /bench/boot/vmlinuz /bench/boot/initrd.img /tmp/")?;
        let cached = self
            .guest("/tmp/vmlinuz", MIB)
            .ramdisk("/tmp/initrd.img")
            .extra(KERNEL_LINE);
        let ways = [
            self.direct("/bench/boot/initrd.img", MIB),
            cached,
            self.loaded("menu.lst", MIB),
            self.guest(&self.grub, MIB),
        ];
        let dd = self
            .guest("/bench/boot/vmlinuz", MIB)
            .ramdisk("/bench/boot/small.img")
            .extra(&format!("{KERNEL_LINE} pvgrub.dd"));
        let mut times: [Vec<Duration>; 4] = Default::default();
        let (mut reading, mut dds) = (Vec::new(), Vec::new());
        let mut words = Vec::new();
        for round in 1..=self.rounds {
            for (way, all) in ways.iter().zip(&mut times) {
                let seen = self.watch(way, &[KERNEL_SPEAKS])?;
                all.extend(seen.at.first());
                if let Some(rate) = initrd_rate(&seen.console) {
                    reading.push(rate);
                    words = loader_words(&seen.console);
                }
            }
            let seen = self.watch(&dd, &[USER_SPACE])?;
            dds.extend(seen.console.lines().filter_map(dd_rate));
            let last = |all: &Vec<Duration>| all.last().map_or(0.0, Duration::as_secs_f64);
            println!(
                "round {round}: direct {:.2} s (cached {:.2}), pv-grub {:.2}, GRUB 2 {:.2}; initrd {:.0} MiB/s, dd {:.0}",
                last(&times[0]),
                last(&times[1]),
                last(&times[2]),
                last(&times[3]),
                reading.last().copied().unwrap_or(0.0),
                dds.last().copied().unwrap_or(0.0)
            );
        }
        for line in &words {
            println!("  {line}");
        }
        let [direct, cached, loaded, grub] = times.map(|all| median_seconds(&all));
        let report = &mut self.report;
        report.judge(
            "to the kernel's first line, beside a direct boot from that disk",
            &format!("{loaded:.2} s, direct {direct:.2} s"),
            loaded / direct,
            " x",
            Goal::AtMost(1.0),
        );
        report.judge(
            "the same, beside a direct boot with both files in dom0's memory",
            &format!("{loaded:.2} s, direct {cached:.2} s"),
            loaded / cached,
            " x",
            Goal::AtMost(1.0),
        );
        report.judge(
            "the same, beside GRUB 2",
            &format!("{loaded:.2} s, GRUB 2 {grub:.2} s"),
            loaded / grub,
            " x",
            Goal::AtMost(0.3),
        );
        let (own, other) = (median(&reading), median(&dds));
        report.judge(
            "reading the initrd, beside `dd bs=1M iflag=direct` in Linux",
            &format!("{own:.0} MiB/s, dd {other:.0} MiB/s"),
            own / other,
            " x",
            Goal::AtLeast(0.5),
        );
        if let Some(kib) = words
            .iter()
            .find_map(|line| number_before(line, " KiB more"))
        {
            report.judge(
                "memory in use at most, beyond the finished image",
                &words.last().cloned().unwrap_or_default(),
                kib / 1024.0,
                " MiB",
                Goal::AtMost(16.0),
            );
        }
        Ok(())
    }

    /// Time to the menu in a small and in a large guest. Short and noisy, so it has more turns than the rest, and the
    /// guests are created paused: how long xl takes to clear a large guest's memory says nothing of the loader.
    fn menus(&mut self, large_mib: u32) -> Result<()> {
        const SMALL_MIB: u32 = 256;
        const TURNS: usize = 10;
        let mut shown: [Vec<Duration>; 2] = Default::default();
        let mut created: [Vec<Duration>; 2] = Default::default();
        for round in 1..=self.rounds * TURNS {
            let sizes = [SMALL_MIB, large_mib].into_iter();
            for ((mib, shown), created) in sizes.zip(&mut shown).zip(&mut created) {
                let config = self.loaded("wait.lst", mib).paused();
                let seen = self.watch(&config, &[LOADER_SPEAKS, MENU_SHOWN])?;
                let [spoke, menu] = seen.at[..] else {
                    return Err(Problem::new("two marks were asked for"));
                };
                shown.push(menu.saturating_sub(spoke));
                created.push(menu);
                println!(
                    "round {round}: {mib} MiB: loader's first words {:.3} s after xl create, menu {:.3} s later",
                    spoke.as_secs_f64(),
                    menu.saturating_sub(spoke).as_secs_f64()
                );
            }
        }
        let [small, large] = shown.map(|all| median_seconds(&all));
        let [created_small, created_large] = created.map(|all| median_seconds(&all));
        self.report.judge(
            &format!("loader's first words to menu, {large_mib} MiB beside {SMALL_MIB} MiB"),
            &format!("{:.0} ms, {:.0} ms", large * 1000.0, small * 1000.0),
            large / small,
            " x",
            Goal::AtMost(1.05),
        );
        self.report.tell(
            "`xl create` to menu: most of it is xl's own time",
            &format!("{created_large:.2} s, {created_small:.2} s"),
        );
        Ok(())
    }

    /// The smallest guest that boots, directly and through the loader.
    fn memory(&mut self) -> Result<()> {
        self.lab.in_dom0("cp /bench/boot/witness /tmp/witness")?;
        let linux = self.pair(
            &|mib| self.direct("/bench/boot/small.img", mib),
            &|mib| self.loaded("small.lst", mib),
            USER_SPACE,
            50..200,
        )?;
        let tiny = self.pair(
            &|mib| self.guest("/tmp/witness", mib),
            &|mib| self.loaded("witness.lst", mib),
            WITNESS_DONE,
            1..32,
        )?;
        for (what, (direct, loaded)) in
            [("Debian 12's kernel", linux), ("a kernel of 100 KiB", tiny)]
        {
            self.report.judge(
                &format!("smallest guest that boots {what}"),
                &format!("{loaded} MiB, directly {direct} MiB"),
                f64::from(loaded) - f64::from(direct),
                " MiB more",
                Goal::AtMost(24.0),
            );
        }
        Ok(())
    }

    /// The smallest guest in MiB, directly and through the loader. The first is somewhere in `range`.
    fn pair(
        &self,
        direct: &dyn Fn(u32) -> Config,
        loaded: &dyn Fn(u32) -> Config,
        mark: &str,
        range: Range<u32>,
    ) -> Result<(u32, u32)> {
        let direct = self.smallest(direct, mark, range)?;
        // The loader can do nothing to make a kernel need less: what it measures below that is noise.
        let around = direct.saturating_sub(4).max(1)..direct + 28;
        Ok((direct, self.smallest(loaded, mark, around)?))
    }

    /// The least memory with which the guest of `config` writes `mark`, found by halving `range`, whose end must do.
    fn smallest(
        &self,
        config: &dyn Fn(u32) -> Config,
        mark: &str,
        range: Range<u32>,
    ) -> Result<u32> {
        let Range {
            start: mut fails,
            end: mut boots,
        } = range;
        let mut mib = boots;
        loop {
            let marks = Marks {
                wanted: &[mark],
                hopeless: &["Error ", "Kernel panic", "Out of memory"],
                limit: Duration::from_secs(40),
            };
            match self.lab.watch(&config(mib), &marks) {
                Ok(_) => boots = mib,
                Err(Trouble::Guest(why)) if mib == boots => return Err(Problem::new(why)),
                Err(Trouble::Guest(_)) => fails = mib,
                Err(trouble) => return Err(problem(trouble)),
            }
            if boots - fails <= 1 {
                println!("{mark:?} needs {boots} MiB");
                return Ok(boots);
            }
            mib = (fails + boots) / 2;
        }
    }

    fn sizes(&mut self, image: &Image, grub: &Path) -> Result<()> {
        let theirs = std::fs::metadata(grub)?.len();
        let packed = image::gzipped(&std::fs::read(grub)?)?.len();
        let kib = |bytes: u64| bytes as f64 / 1024.0;
        self.report.judge(
            "image, gzipped",
            &format!(
                "{} bytes, GRUB 2 {packed} bytes when gzipped, {theirs} as it is",
                image.gzip_bytes
            ),
            kib(image.gzip_bytes),
            " KiB",
            Goal::AtMost(kib(image::LIMIT_GZIP)),
        );
        self.report.judge(
            "image, loaded, without BSS",
            &format!("{} bytes", image.loaded_bytes),
            kib(image.loaded_bytes),
            " KiB",
            Goal::AtMost((kib(Contents::Full.limit_loaded()) * 10.0).round() / 10.0),
        );
        Ok(())
    }
}

/// The number that stands before the first `unit` in `text`.
fn number_before(text: &str, unit: &str) -> Option<f64> {
    let (before, _) = text.split_once(unit)?;
    before.split_whitespace().next_back()?.parse().ok()
}

/// MiB/s from the loader's note `[initrd, 65536 KiB, 0.412 s]`.
fn initrd_rate(console: &str) -> Option<f64> {
    initrd_rates(console).first().copied()
}

/// The same for each initrd of a boot.
fn initrd_rates(console: &str) -> Vec<f64> {
    let rate =
        |note: &str| Some(number_before(note, " KiB")? / 1024.0 / number_before(note, " s]")?);
    console
        .split("[initrd, ")
        .skip(1)
        .filter_map(rate)
        .collect()
}

/// MiB/s from the guest's line `GUEST: dd read 3 times 200704 sectors from 7.10 to 8.42 seconds`.
fn dd_rate(line: &str) -> Option<f64> {
    let (_, line) = line.split_once("GUEST: dd read ")?;
    let mib = number_before(line, " times")? * number_before(line, " sectors")? / 2048.0;
    Some(mib / (number_before(line, " seconds")? - number_before(line, " to ")?))
}

/// What the loader says of the boot in brackets.
fn loader_words(console: &str) -> Vec<String> {
    console
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix('['))
        .filter_map(|line| line.strip_suffix(']'))
        .filter(|line| line.contains("KiB"))
        .map(str::to_owned)
        .collect()
}

/// Measures, prints, and writes the page.
///
/// # Errors
/// When the image does not build or the bed breaks; a missed goal is an exit code.
pub(crate) fn bench(options: &Options) -> Result<ExitCode> {
    let folder = run_folder("bench")?;
    let on_host = match options.only {
        Some(Part::Check) => {
            let rounds = options.rounds.unwrap_or(11);
            Some(check::measure(&Bed::prepare()?, &folder, rounds)?)
        }
        Some(Part::Pvgrub) => Some(lint::measure(&folder, options.rounds.unwrap_or(5))?),
        _ => None,
    };
    if let Some(missed) = on_host {
        std::fs::remove_dir_all(&folder)?; // large, and made anew by every run
        return Ok(ending(missed));
    }
    let image = image::build(Target::X86_64, Contents::Full)?;
    let bed = Bed::prepare()?;
    let disk = make_disk(&bed, &folder)?;
    let grub = bed.file("/grub-x86_64-xen.bin")?;
    let large_mib = if options.quick { 2048 } else { 8192 };
    let lab = Lab::open(&bed, &folder, large_mib)?;
    let mut bench = Bench {
        device: lab.plug(&disk)?,
        loader: lab.keep(&image.gzip)?,
        grub: lab.keep(&grub)?,
        lab,
        rounds: options.rounds.unwrap_or(if options.quick { 1 } else { 5 }),
        report: Report::default(),
    };
    let wanted = |part| options.only.is_none_or(|only| only == part);
    if wanted(Part::Boot) {
        bench.boots()?;
    }
    if wanted(Part::Menu) {
        bench.menus(large_mib)?;
    }
    if wanted(Part::Network) {
        bench.network(&folder.join("content"))?;
    }
    if wanted(Part::Files) {
        bench.files(&bed, &folder)?;
    }
    bench.sizes(&image, &grub)?;
    if wanted(Part::Memory) && !(options.quick && options.only.is_none()) {
        bench.memory()?;
    }
    println!("\n{}", bench.report.table());
    if !options.quick && options.only.is_none() {
        bench.report.write(&heading(&bed, bench.rounds))?;
    }
    let leftovers: [PathBuf; 2] = [folder.join("disk.img"), folder.join("part.img")];
    for file in leftovers {
        let _ = std::fs::remove_file(file); // large, and made anew by every run
    }
    Ok(ending(bench.report.missed()))
}

/// The exit code for so many missed goals.
fn ending(missed: usize) -> ExitCode {
    if missed == 0 {
        return ExitCode::SUCCESS;
    }
    println!("{missed} goals missed");
    ExitCode::FAILURE
}

/// What the table is about.
fn heading(bed: &Bed, rounds: usize) -> String {
    let kib = |file: &Path| std::fs::metadata(file).map_or(0, |m| m.len() / 1024);
    format!(
        "Medians of {rounds} rounds in which the candidates take turns; one Xen in QEMU's software emulation, one disk: MBR, ext4,\n\
         Debian 12's kernel ({} KiB), an initrd of {} MiB. Guests of 512 MiB where nothing else is said.",
        kib(&bed.debian12.image),
        INITRD_BYTES >> 20
    )
}

#[cfg(test)]
mod tests {
    use super::{dd_rate, initrd_rate, loader_words, number_before};

    #[test]
    fn rates_come_from_what_is_printed() {
        let note = "x\r\n   [initrd, 65536 KiB, 0.500 s]\r\n   [image of 1 KiB; the loader used 2048 KiB more; 7 ms after its start]\r\n";
        assert_eq!(initrd_rate(note), Some(128.0));
        assert_eq!(number_before(note, " KiB more"), Some(2048.0));
        assert_eq!(loader_words(note).len(), 2);
        assert_eq!(
            dd_rate("GUEST: dd read 3 times 204800 sectors from 7.00 to 8.50 seconds"),
            Some(200.0)
        );
        assert_eq!(dd_rate("GUEST: else"), None);
    }
}
