//! The test guest's initrd: busybox, modules and an init that reports what it finds.

use std::fs;
use std::path::Path;

use super::cpio::Cpio;
use super::initrd::modules;
use crate::bed::{Bed, Kernel, KernelModules, with_libraries};
use crate::problem::{Context, Result};

/// What the guest loads before it looks for disks and interfaces.
const MODULES: &[&str] = &[
    "xen-blkfront",
    "xen-netfront",
    "af_packet",
    "crc32c_generic",
    "libcrc32c",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859-1",
    "isofs",
];

/// What to put into an initrd.
#[derive(Clone, Default)]
pub(crate) struct Recipe {
    /// Bytes of incompressible payload whose SHA-256 the guest prints; 0 for none.
    pub(crate) payload_bytes: usize,
    /// More shell for the guest, run before its last line.
    pub(crate) more: String,
    /// Programs of the bed that the guest has beside busybox, such as `usr/bin/atftp` and `sbin/lvm`.
    pub(crate) programs: Vec<&'static str>,
    /// Modules of the kernel that are loaded beside those for every guest.
    pub(crate) modules: Vec<&'static str>,
}

/// A finished initrd.
pub(crate) struct Ramdisk {
    /// The archive, uncompressed.
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of the payload in hex, as the guest prints it; empty without payload.
    pub(crate) payload_sha256: String,
}

/// Builds the initrd of the test guest for `kernel`.
///
/// # Errors
/// When a part is missing from the bed.
pub(crate) fn build(bed: &Bed, kernel: &Kernel, recipe: &Recipe) -> Result<Ramdisk> {
    let mut cpio = Cpio::default();
    for folder in ["dev", "proc", "sys", "mnt", "tmp"] {
        cpio.folder(folder);
    }
    cpio.character_device("dev/console", 5, 1);
    cpio.character_device("dev/null", 1, 3);
    let busybox = bed.file("bin/busybox")?;
    cpio.file("bin/busybox", 0o755, &read(&busybox)?);
    cpio.link("bin/sh", "busybox");
    cpio.file("init", 0o755, include_bytes!("guest-init.sh"));
    if !recipe.more.is_empty() {
        cpio.file("more", 0o644, recipe.more.as_bytes());
    }
    for program in &recipe.programs {
        let roots = [&bed.root, &bed.storage].into_iter();
        let root = roots.clone().find(|root| root.join(program).exists());
        let root = root.context(|| format!("the bed has no {program}"))?;
        add_program(&mut cpio, root, &root.join(program))?;
    }
    let wanted = [MODULES, &recipe.modules].concat();
    modules(&mut cpio, &KernelModules::open(&kernel.modules)?, &wanted)?;
    let mut payload_sha256 = String::new();
    if recipe.payload_bytes > 0 {
        let payload = noise(recipe.payload_bytes);
        payload_sha256 = crate::bed::sha256(&payload);
        cpio.file("payload", 0o644, &payload);
    }
    Ok(Ramdisk {
        bytes: cpio.finish(),
        payload_sha256,
    })
}

/// Puts a program of `root` into `/bin`, and its libraries where the dynamic loader looks.
fn add_program(cpio: &mut Cpio, root: &Path, program: &Path) -> Result<()> {
    let name = program.file_name().and_then(|name| name.to_str());
    let name = name.context(|| "a program without a name")?;
    cpio.file(&format!("bin/{name}"), 0o755, &read(program)?);
    for (name, file) in with_libraries(root, &[program.to_owned()])? {
        let folder = if name.starts_with("ld-linux") {
            "lib64"
        } else {
            "lib/x86_64-linux-gnu"
        };
        cpio.file(&format!("{folder}/{name}"), 0o755, &read(&file)?);
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).context(|| format!("cannot read {}", file.display()))
}

/// A second archive with one small file, for a menu that concatenates several initrds.
pub(crate) fn addition(name: &str, text: &str) -> Vec<u8> {
    let mut cpio = Cpio::default();
    cpio.file(name, 0o644, text.as_bytes());
    cpio.finish()
}

/// Bytes that do not compress, the same in every run (xorshift).
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}
