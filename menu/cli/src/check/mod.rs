//! `pvgrub check`: would this guest boot, with which loader, and what exactly would start?
//!
//! The loader itself answers: its search for the menu, its file systems, its evaluator, its readers of kernels and its
//! layout of memory run here over the guest's disks, and stop where the kernel would be entered. [`run`] opens the
//! disks, `guest` boots, `watch` looks on, `examine` makes a [`Report`] of it.

mod examine;
mod guest;
mod human;
pub(crate) mod others;
pub mod report;
mod survey;
mod watch;

use std::io;
use std::rc::Rc;

use arch::abi::Width;
use bootloader::config::Arguments;

use crate::args::{CheckFormat, CheckImage, CheckOptions, Manner};
use crate::confine;
use crate::disk::{self, Attached, Bench, Bytes};
use crate::ending::Ending;
use crate::input::Source;
use crate::output::Io;
use examine::{Given, Loaders, examine};
use guest::{Guest, USUAL_MIB};
use human::Detail;
pub use report::{Report, Verdict};
use watch::Depth;

/// Checks a guest and writes what was found.
///
/// # Errors
/// When the output cannot be written.
pub fn run(options: &CheckOptions, manner: &Manner, io: &mut Io<'_>) -> io::Result<Ending> {
    if confine::is_outside(&options.guest) {
        return confine::supervise(options.guest.limits, io);
    }
    let report = match prepare(options, manner, io) {
        Ok(report) => report,
        Err(why) => {
            io.complain(&why)?;
            return Ok(Ending::Unreadable);
        }
    };
    match options.format {
        CheckFormat::Json => {
            serde_json::to_writer_pretty(&mut *io.output, &report)?;
            writeln!(io.output)?;
        }
        CheckFormat::Human => {
            let detail = match (manner.quiet, manner.verbose) {
                (true, _) => Detail::Verdict,
                (_, true) => Detail::All,
                _ => Detail::Usual,
            };
            let paint = io.paint(manner);
            human::write(io.output, &report, paint, detail)?;
        }
    }
    Ok(match report.verdict {
        Verdict::Boots => Ending::Clean,
        Verdict::WouldNotBoot | Verdict::Waits | Verdict::Stops => Ending::Findings,
        Verdict::NotJudged => Ending::Unreadable,
    })
}

/// Checks the guest whose only disk is `bytes`, with sectors of 512 bytes and `memory_mib` MiB, in this process.
///
/// # Errors
/// As a text for people.
pub fn of_disk(bytes: Box<dyn Bytes>, memory_mib: u64) -> Result<Report, String> {
    let attached = [Attached::alone(bytes)];
    let guest = Guest::new(
        Rc::new(Bench::new(&attached)),
        Arguments::default(),
        memory_mib,
    );
    examine(&guest, &attached, &Given::Nothing, Loaders::Suitable)
}

/// Opens everything, then looks at it.
fn prepare(options: &CheckOptions, manner: &Manner, io: &mut Io<'_>) -> Result<Report, String> {
    let opened = disk::open_all(
        &options.guest.disks,
        options.guest.sector_size,
        &options.guest.backing_files,
    )?;
    let given = match (&options.menu, &options.ramdisk) {
        (Some(path), _) => {
            let source = Source::read(path, io)?;
            Given::Menu {
                shown: source.name(),
                bytes: source.text,
            }
        }
        (None, Some(path)) => Given::Ramdisk(Source::read(path, io)?.text),
        (None, None) => Given::Nothing,
    };
    confine::enter(&options.guest, manner, io)?;
    let attached = disk::attach(opened)?;
    let arguments = Arguments::parse(options.extra.as_bytes());
    let memory_mib = options.memory.unwrap_or(USUAL_MIB);
    let mut guest = Guest::new(Rc::new(Bench::new(&attached)), arguments, memory_mib);
    if options.quick {
        guest.depth = Depth::Headers;
    }
    if let Given::Ramdisk(bytes) = &given {
        guest.ramdisk_bytes = bytes.len() as u64;
    }
    let has_place = guest.arguments.menu.is_some() || matches!(given, Given::Ramdisk(_));
    guest.asks_dhcp = options.vif && !has_place && !guest.arguments.dhcp_patience().is_zero();
    let loaders = match options.image {
        CheckImage::Auto => Loaders::Suitable,
        CheckImage::X86_64 => Loaders::Only(Width::Bits64),
        CheckImage::X86_32 => Loaders::Only(Width::Bits32),
    };
    examine(&guest, &attached, &given, loaders)
}
