//! Kernels in every packing that Linux knows: Debian's, unpacked here and packed again as its build would.
//!
//! Source of the formats: Linux `scripts/Makefile.lib` and `Documentation/arch/x86/boot.rst`.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::bed::Bed;
use crate::problem::{Context, Problem, Result};
use crate::scenario::{Outcome, Scenario, Stage};
use crate::scenarios::hello::{content, loader_on, plug_ext4};

const LIMIT: Duration = Duration::from_secs(240);
const MIB: u32 = 160;

/// How a kernel file is made of the ELF file that Linux's build makes.
#[derive(Clone, Copy)]
pub(crate) enum Packing {
    /// The ELF file itself.
    Elf,
    /// The ELF file, gzipped.
    GzippedElf,
    /// A bzImage whose payload a program packs, reading its standard input.
    BzImage(&'static [&'static str]),
    /// A bzImage with a payload in gzip format.
    BzImageGzip,
    /// The same, and gzipped as a whole.
    GzippedBzImage,
}

macro_rules! packings {
    ($($name:literal $packing:expr;)*) => {
        &[$(Scenario {
            name: concat!("packing-", $name),
            limit: LIMIT,
            mib: MIB,
            run: |stage| boot(stage, $name, $packing),
        }),*]
    };
}

// The sizes of windows and dictionaries are those of Linux's own build, which memory has to hold; the effort is less,
// since Debian's own kernels (xz and zstd) are booted as well. zstd knows no size of what comes from a pipe, so that its window stays as large as asked for.
pub(super) const TABLE: &[Scenario] = packings! {
    "gzip" Packing::BzImageGzip;
    "bzip2" Packing::BzImage(&["bzip2", "-9", "-c"]);
    "lzma" Packing::BzImage(&["xz", "--format=lzma", "--lzma1=preset=1,dict=64MiB", "-c"]);
    "xz" Packing::BzImage(&["xz", "--check=crc32", "--x86", "--lzma2=preset=1,dict=32MiB", "-c"]);
    "lzop" Packing::BzImage(&["lzop", "-3", "-c"]);
    "lz4" Packing::BzImage(&["lz4", "-l", "-1", "-c"]);
    "zstd" Packing::BzImage(&["zstd", "-3", "--ultra", "--long=27", "-c"]);
    "elf" Packing::Elf;
    "elf-gzipped" Packing::GzippedElf;
    "bzimage-gzipped" Packing::GzippedBzImage;
};

fn boot(stage: &mut Stage, name: &str, packing: Packing) -> Outcome {
    let elf = stage.file("vmlinux", unpack)?;
    let kernel = packed(&stage.bed, &elf, packing)?;
    let words = format!("pvgrub.packing={name} earlyprintk=xen console=hvc0");
    let menu = format!("timeout 0\ntitle Linux\n root (hd0,0)\n kernel /vmlinuz {words}\n");
    let files = vec![
        content("vmlinuz", kernel),
        content("boot/grub/menu.lst", menu),
    ];
    let device = plug_ext4(stage, files)?;
    let mut guest = stage.start(&loader_on(stage, MIB, &device)?)?;
    guest.expect("Linux version 6.", LIMIT)?;
    guest.expect(&format!("Command line: {words}"), LIMIT)?;
    guest.expect("Memory: ", LIMIT)?; // past the alternatives and tables that a damaged image would not survive
    Ok(())
}

/// The kernel in the ELF file, packed.
///
/// # Errors
/// When there is no such program, or it fails.
pub(crate) fn packed(bed: &Bed, elf_file: &Path, packing: Packing) -> Result<Vec<u8>> {
    let elf = || fs::read(elf_file).context(|| "no vmlinux");
    match packing {
        Packing::Elf => elf(),
        Packing::GzippedElf => gzip(&elf()?),
        Packing::BzImageGzip => {
            let elf = elf()?;
            Ok(bzimage(&gzip(&elf)?, elf.len()))
        }
        Packing::GzippedBzImage => {
            let elf = elf()?;
            gzip(&bzimage(&gzip(&elf)?, elf.len()))
        }
        Packing::BzImage(command) => {
            let payload = filter(bed, command, elf_file)?;
            let size = fs::metadata(elf_file)?.len();
            Ok(bzimage(&payload, usize::try_from(size).unwrap_or(0)))
        }
    }
}

/// Takes Debian's ELF file out of its bzImage.
///
/// # Errors
/// When Debian packs it in a new way.
pub(crate) fn unpack(bed: &Bed, elf: &Path) -> Result<()> {
    let image = fs::read(&bed.debian12.image)?;
    let number = |at: usize| -> Result<usize> {
        let bytes = image.get(at..at + 4).and_then(|b| b.try_into().ok());
        let bytes = bytes.context(|| "Debian's kernel is no bzImage")?;
        Ok(usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX))
    };
    let sectors = usize::from(*image.get(0x1f1).context(|| "Debian's kernel is empty")?);
    let start = (sectors + 1) * 512 + number(0x248)?;
    let end = start + number(0x24c)?;
    let payload = image
        .get(start..end - 4)
        .context(|| "Debian's kernel is cut")?;
    let packed = elf.with_extension("packed");
    fs::write(&packed, payload)?;
    let magic = payload.get(..4).unwrap_or_default();
    let command: &[&str] = match magic {
        [0xfd, b'7', b'z', b'X'] => &["xz", "-dc"],
        [0x28, 0xb5, 0x2f, 0xfd] => &["zstd", "-dc", "--long=31"],
        _ => {
            return Err(Problem::new(format!(
                "Debian's kernel is packed in a new way: {magic:02x?}"
            )));
        }
    };
    fs::write(elf, filter(bed, command, &packed)?)?;
    fs::remove_file(packed)?;
    Ok(())
}

/// What `command` makes of the file, given on its standard input.
///
/// # Errors
/// When there is no such program, or it fails.
pub(super) fn filter(bed: &Bed, command: &[&str], file: &Path) -> Result<Vec<u8>> {
    let (program, arguments) = command.split_first().context(|| "no command")?;
    let out = bed
        .tools
        .command(program)?
        .args(arguments)
        .stdin(through_pipe(file)?)
        .output()
        .context(|| format!("cannot run {program}"))?;
    if out.status.success() {
        return Ok(out.stdout);
    }
    Err(Problem::new(format!(
        "{program} ended with {}: {}",
        out.status,
        String::from_utf8_lossy(&out.stderr).trim()
    )))
}

/// The file's bytes from a pipe, whose length no program can know, as in Linux's build.
fn through_pipe(file: &Path) -> Result<Stdio> {
    let cat = Command::new("cat")
        .stdin(File::open(file)?)
        .stdout(Stdio::piped())
        .spawn()
        .context(|| "cannot run cat")?;
    Ok(cat.stdout.context(|| "cat has no output")?.into())
}

/// The bytes in gzip format.
///
/// # Errors
/// Never, in memory.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// A bzImage of boot protocol 2.15 with this payload: the header's fields that say where it is, and nothing that a
/// processor in real mode could run. The size of what is packed follows the payload, unless that is gzip, which has it.
pub(crate) fn bzimage(payload: &[u8], unpacked_bytes: usize) -> Vec<u8> {
    const SETUP_SECTORS: u8 = 4;
    const OFFSET: usize = 0x123;
    let mut image = vec![0; (usize::from(SETUP_SECTORS) + 1) * 512 + OFFSET];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    let size = u32::try_from(unpacked_bytes).unwrap_or(0).to_le_bytes();
    let appended: &[u8] = if payload.starts_with(&[0x1f, 0x8b]) {
        &[]
    } else {
        &size
    };
    let length = u32::try_from(payload.len() + appended.len()).unwrap_or(0);
    put(0x1f1, &[SETUP_SECTORS]);
    put(0x1fe, &[0x55, 0xaa]);
    put(0x202, b"HdrS");
    put(0x206, &0x020f_u16.to_le_bytes());
    put(0x248, &u32::try_from(OFFSET).unwrap_or(0).to_le_bytes());
    put(0x24c, &length.to_le_bytes());
    image.extend_from_slice(payload);
    image.extend_from_slice(appended);
    image.extend_from_slice(&[0; 700]); // what follows the payload in a real one
    image
}
