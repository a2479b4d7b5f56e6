//! Small guests in C, built from `tests/guests` with the host's compiler against Xen's public headers.
//!
//! [`Variant`] is one way to build the witness: where it is linked and which ELF notes it carries.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bed::Bed;
use crate::command::{find, output};
use crate::problem::{Context, Result};
use crate::workspace;

/// The width of a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Width {
    /// x86_64.
    Bits64,
    /// i686 with PAE.
    Bits32,
}

/// One way to build the witness.
pub(crate) struct Variant {
    /// Also the text of its GUEST_VERSION note.
    pub(crate) name: &'static str,
    /// For which processor mode.
    pub(crate) width: Width,
    /// The VIRT_BASE note.
    virt_base: &'static str,
    /// Distance of the image from `virt_base` in bytes; its load address.
    offset: &'static str,
    /// Macros that switch notes on.
    notes: &'static [&'static str],
}

/// As today's 64-bit Linux: a hole below, p2m list at 512 GiB, unmapped module, no hypercall page.
pub(crate) const LINUX: Variant = Variant {
    name: "linux",
    width: Width::Bits64,
    virt_base: "0xffffffff80000000",
    offset: "0x1000000",
    notes: &["WITNESS_INIT_P2M=0x8000000000", "WITNESS_MOD_START_PFN"],
};

/// As Linux before 2013: everything in one mapping, and a hypercall page for the builder to fill.
pub(crate) const OLD_LINUX: Variant = Variant {
    name: "oldlinux",
    width: Width::Bits64,
    virt_base: "0xffffffff80000000",
    offset: "0x200000",
    notes: &["WITNESS_HYPERCALL_PAGE"],
};

/// As GRUB 2 and Mini-OS: at virtual address 0, entered there.
pub(crate) const PLAIN: Variant = Variant {
    name: "plain",
    width: Width::Bits64,
    virt_base: "0",
    offset: "0",
    notes: &[],
};

/// Spoils what it then reports on, so that the witness's eyes can be tested.
pub(crate) const VANDAL: Variant = Variant {
    name: "vandal",
    width: Width::Bits64,
    virt_base: "0xffffffff80000000",
    offset: "0x1000000",
    notes: &["WITNESS_VANDAL"],
};

/// As 32-bit PAE Linux.
pub(crate) const LINUX_32: Variant = Variant {
    name: "linux32",
    width: Width::Bits32,
    virt_base: "0xc0000000",
    offset: "0x400000",
    notes: &["WITNESS_HYPERCALL_PAGE"],
};

/// As GRUB 2's 32-bit image, and Mini-OS.
pub(crate) const PLAIN_32: Variant = Variant {
    name: "plain32",
    width: Width::Bits32,
    virt_base: "0",
    offset: "0",
    notes: &[],
};

/// As 32-bit kernels before there were ELF notes.
pub(crate) const LEGACY_32: Variant = Variant {
    name: "legacy32",
    width: Width::Bits32,
    virt_base: "0xc0000000",
    offset: "0x400000",
    notes: &["WITNESS_LEGACY"],
};

/// Builds the witness into `folder` and returns the ELF file.
///
/// # Errors
/// When there is no `gcc`, or it refuses.
pub(crate) fn witness(include: &Path, variant: &Variant, folder: &Path) -> Result<PathBuf> {
    let source = workspace::root()
        .join("tests")
        .join("guests")
        .join("witness");
    let program = folder.join(format!("witness-{}", variant.name));
    std::fs::create_dir_all(folder)?;
    let gcc = find("gcc").context(|| "the witness guest needs gcc")?;
    let mut command = Command::new(gcc);
    command.args([
        "-std=gnu11",
        "-Os",
        "-Wall",
        "-Wextra",
        "-Wno-type-limits", // virt_base may be 0
        "-Werror",
        // Freestanding, at a fixed address, without any state but general registers.
        "-ffreestanding",
        "-fno-pic",
        "-no-pie",
        "-static",
        "-nostdlib",
        "-mgeneral-regs-only",
        "-fno-stack-protector",
        "-fcf-protection=none",
        "-fno-asynchronous-unwind-tables",
        // Address 0 is memory; the module is read through whatever type fits; memset must not call itself.
        "-fno-delete-null-pointer-checks",
        "-fno-strict-aliasing",
        "-fno-tree-loop-distribute-patterns",
        "-fomit-frame-pointer", // 32-bit hypercalls take all other registers
    ]);
    match variant.width {
        // Xen's stack frames come right below the stack pointer, so no red zone.
        Width::Bits64 => command.args(["-m64", "-mno-red-zone"]),
        Width::Bits32 => command.arg("-m32"),
    };
    if variant.virt_base.starts_with("0xffff") {
        command.arg("-mcmodel=kernel");
    }
    command
        .arg("-isystem")
        .arg(include)
        .arg(format!("-DWITNESS_VIRT_BASE={}", variant.virt_base))
        .arg(format!("-DWITNESS_VARIANT=\"{}\"", variant.name))
        .args(variant.notes.iter().map(|note| format!("-D{note}")))
        .arg(format!("-Wl,--defsym=witness_base={}", variant.virt_base))
        .arg(format!("-Wl,--defsym=witness_offset={}", variant.offset))
        .arg(format!("-Wl,-T,{}", source.join("witness.ld").display()))
        .args([
            "-Wl,--build-id=none",
            "-Wl,-z,noexecstack",
            "-Wl,-z,max-page-size=4096",
        ]);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&source)?
        .collect::<std::io::Result<Vec<_>>>()?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "c" || e == "S"))
        .collect();
    files.sort();
    command.args(files).arg("-o").arg(&program);
    output(&mut command)?;
    Ok(program)
}

/// The folder that holds `xen/xen.h`, from the bed's libxen-dev.
///
/// # Errors
/// When the bed lacks it.
pub(crate) fn xen_headers(bed: &Bed) -> Result<PathBuf> {
    let header = bed.file("/include/xen/xen.h")?;
    header
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context(|| "xen.h lies in no folder")
}
