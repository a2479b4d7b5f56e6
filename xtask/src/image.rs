//! Builds the boot images: one [`Target`] per width, the same bytes in whatever folder it is built; with all readers of
//! file systems or, for hosts that want the smallest, with those that every guest's disk may need ([`Contents`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use elf::ElfBytes;
use elf::abi::PT_LOAD;
use elf::endian::LittleEndian;

use crate::command::run;
use crate::problem::{Context, Problem, Result};
use crate::toolchain::Toolchain;
use crate::workspace;

/// The most that the gzipped image may measure, in bytes.
pub(crate) const LIMIT_GZIP: u64 = 400 * 1024;

/// What an image can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Contents {
    /// Everything.
    Full,
    /// No XFS, btrfs and squashfs: `bootloader` without its default features.
    Small,
}

impl Contents {
    /// The most that may be loaded into the guest, without BSS, in bytes.
    pub(crate) const fn limit_loaded(self) -> u64 {
        match self {
            Contents::Full => 745_000,
            Contents::Small => 655_000,
        }
    }

    /// What comes behind the width in names of files.
    const fn suffix(self) -> &'static str {
        match self {
            Contents::Full => "",
            Contents::Small => "-small",
        }
    }
}

/// A width of guest that an image is built for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Target {
    /// 64-bit PV guests.
    #[value(name = "x86_64")]
    X86_64,
    /// 32-bit PV guests with PAE.
    #[value(name = "x86_32")]
    X86_32,
}

/// Which of rustc's targets makes the image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flavour {
    /// The bare-metal target, where rustup has it.
    Bare,
    /// The host's own, used without its C library: part of every installation of Rust.
    Hosted,
}

impl Target {
    /// All widths, in the order in which they are built.
    pub(crate) const ALL: &[Target] = &[Target::X86_64, Target::X86_32];

    /// The width's name in file names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Target::X86_64 => "x86_64",
            Target::X86_32 => "x86_32",
        }
    }

    /// The width that `XEN_TARGET_ARCH` names, as it does to Xen's own makefiles; 64 bits if it says nothing.
    ///
    /// # Errors
    /// For any other name.
    pub(crate) fn from_environment() -> Result<Self> {
        let name = std::env::var("XEN_TARGET_ARCH").unwrap_or_default();
        if name.is_empty() {
            return Ok(Target::X86_64);
        }
        let known = Self::ALL.iter().find(|target| target.name() == name);
        known.copied().context(|| {
            format!("XEN_TARGET_ARCH is {name}; pv-grub is built for x86_64 and x86_32")
        })
    }

    /// rustc's name for the target; the bare one if it is installed.
    pub(crate) fn triple(self) -> &'static str {
        match (self, self.flavour()) {
            (Target::X86_64, Flavour::Bare) => "x86_64-unknown-none",
            (Target::X86_64, Flavour::Hosted) => "x86_64-unknown-linux-gnu",
            (Target::X86_32, _) => "i686-unknown-linux-gnu",
        }
    }

    fn flavour(self) -> Flavour {
        // There is no bare-metal target of 32 bits.
        let bare = "x86_64-unknown-none";
        if self == Target::X86_64 && Toolchain::own().has_library(bare) {
            Flavour::Bare
        } else {
            Flavour::Hosted
        }
    }

    /// The Rust that compiles for this width.
    ///
    /// # Errors
    /// When there is none and none can be had.
    pub(crate) fn toolchain(self) -> Result<Toolchain> {
        match self {
            Target::X86_64 => Ok(Toolchain::own()),
            Target::X86_32 => Toolchain::with_library(self.triple()),
        }
    }

    /// Where the image is linked to run: clear of where kernels live, below 2 GiB, and with as many addresses above
    /// it as 32 bits allow.
    fn virt_base(self) -> u64 {
        match self {
            Target::X86_64 => 0x4000_0000,
            Target::X86_32 => 0x1000_0000,
        }
    }

    /// What cargo is told after its command's name.
    pub(crate) fn cargo_args(self, contents: Contents) -> Vec<String> {
        let mut words = vec![
            "--locked",
            "--profile",
            "image",
            "--package",
            "bootloader",
            "--bin",
            "pv-grub",
            "--features",
            "image",
            "--target",
            self.triple(),
        ];
        if contents == Contents::Small {
            words.push("--no-default-features");
        }
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// What rustc is told, for a build of the workspace at `root`.
    ///
    /// # Errors
    /// When rustc cannot be asked where it lives.
    pub(crate) fn rustflags(self, root: &Path, toolchain: &Toolchain) -> Result<Vec<String>> {
        let sysroot = toolchain.sysroot()?;
        let cargo_home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cargo")))
            .unwrap_or_default();
        // The order matters: rustc takes the last that fits.
        let mut flags = vec![
            format!("--remap-path-prefix={}=/rust", sysroot.display()),
            format!("--remap-path-prefix={}=/cargo", cargo_home.display()),
            format!("--remap-path-prefix={}=/pv-grub", root.display()),
        ];
        let mut codegen = vec!["relocation-model=static".to_owned()];
        // The linker runs in the workspace's root, so the script needs no path that could differ between builds.
        match self.flavour() {
            Flavour::Bare => codegen.extend([
                "link-arg=-Tlinker.ld".to_owned(),
                "link-arg=--build-id=none".to_owned(),
                format!("link-arg=--defsym=__virt_base={:#x}", self.virt_base()),
            ]),
            Flavour::Hosted => {
                let link = [
                    "-nostartfiles",
                    "-nostdlib",
                    "-static",
                    "-no-pie",
                    "-Wl,-T,linker.ld",
                    "-Wl,--build-id=none",
                ];
                codegen.extend(link.iter().map(|l| format!("link-arg={l}")));
                let base = self.virt_base();
                codegen.push(format!("link-arg=-Wl,--defsym=__virt_base={base:#x}"));
            }
        }
        for option in codegen {
            flags.extend(["-C".to_owned(), option]);
        }
        Ok(flags)
    }

    /// Where cargo leaves the ELF file below its target folder.
    pub(crate) fn artifact(self) -> PathBuf {
        PathBuf::from(self.triple()).join("image").join("pv-grub")
    }
}

/// A built image.
pub(crate) struct Image {
    contents: Contents,
    /// The gzipped image in `dist`.
    pub(crate) gzip: PathBuf,
    /// Bytes of the ELF file.
    pub(crate) elf_bytes: u64,
    /// Bytes that Xen's toolstack loads, without BSS.
    pub(crate) loaded_bytes: u64,
    /// Bytes of the gzipped file.
    pub(crate) gzip_bytes: u64,
}

impl Image {
    /// Checks the sizes against the limits.
    ///
    /// # Errors
    /// When one is exceeded.
    pub(crate) fn check_sizes(&self) -> Result<()> {
        for (what, size, limit) in [
            ("gzipped", self.gzip_bytes, LIMIT_GZIP),
            ("loaded", self.loaded_bytes, self.contents.limit_loaded()),
        ] {
            if size > limit {
                return Err(Problem::new(format!(
                    "the image is {size} bytes {what}; the limit is {limit}"
                )));
            }
        }
        Ok(())
    }
}

/// cargo's command `action` on the image, for the workspace at `root`.
fn cargo(
    action: &str,
    target: Target,
    contents: Contents,
    toolchain: &Toolchain,
    root: &Path,
    target_folder: &Path,
) -> Result<Command> {
    if !root.join("linker.ld").exists() {
        return Err(Problem::new(format!(
            "there is no linker.ld in {}",
            root.display()
        )));
    }
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(root)
        .arg(action)
        .args(target.cargo_args(contents))
        .args(toolchain.library_args("core,alloc"))
        .arg("--target-dir")
        .arg(target_folder);
    cargo.env(
        "CARGO_ENCODED_RUSTFLAGS",
        target.rustflags(root, toolchain)?.join("\x1f"),
    );
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    Ok(cargo)
}

/// Compiles the workspace at `root` and returns the ELF file, built in `target_folder`.
///
/// # Errors
/// When it does not compile.
pub(crate) fn compile(
    target: Target,
    contents: Contents,
    root: &Path,
    target_folder: &Path,
) -> Result<PathBuf> {
    let toolchain = target.toolchain()?;
    run(&mut cargo(
        "build",
        target,
        contents,
        &toolchain,
        root,
        target_folder,
    )?)?;
    Ok(target_folder.join(target.artifact()))
}

/// Runs the clippy of `toolchain` on what only the image holds.
///
/// # Errors
/// When clippy has anything to say.
pub(crate) fn clippy(target: Target, toolchain: Toolchain) -> Result<()> {
    let root = workspace::root();
    let folder = root.join("target").join("image");
    for contents in [Contents::Small, Contents::Full] {
        let mut clippy = cargo("clippy", target, contents, &toolchain, &root, &folder)?;
        run(clippy.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// Builds one width into `dist/` and prints the sizes.
///
/// # Errors
/// When it does not compile or `dist/` cannot be written.
pub(crate) fn build(target: Target, contents: Contents) -> Result<Image> {
    let root = workspace::root();
    let folder = root.join("target").join("image");
    let elf = fs::read(compile(target, contents, &root, &folder)?)?;
    let dist = workspace::dist();
    fs::create_dir_all(&dist)?;
    let name = format!("pv-grub-{}{}", target.name(), contents.suffix());
    let plain = dist.join(&name);
    let gzip = dist.join(format!("{name}.gz"));
    fs::write(&plain, &elf).context(|| format!("cannot write {}", plain.display()))?;
    let packed = gzipped(&elf)?;
    let mut names = vec![gzip.clone()];
    if (target, contents) == (Target::X86_64, Contents::Full) {
        names.push(dist.join("pv-grub.gz")); // the name that old domain configurations use
    }
    for name in names {
        // Written anew, not over the old bytes: a running test may have the old file linked.
        let _ = fs::remove_file(&name);
        fs::write(&name, &packed).context(|| format!("cannot write {}", name.display()))?;
    }
    let image = Image {
        contents,
        gzip,
        elf_bytes: elf.len() as u64,
        loaded_bytes: loaded_bytes(&elf)?,
        gzip_bytes: packed.len() as u64,
    };
    println!(
        "dist/{name}.gz: {} bytes gzipped, {} loaded without BSS, {} as ELF; sha256 {}",
        image.gzip_bytes,
        image.loaded_bytes,
        image.elf_bytes,
        crate::bed::sha256(&packed)
    );
    Ok(image)
}

/// gzip at its best (zopfli: 3 % smaller than `gzip -9`), without time or name, so that equal input gives equal output.
///
/// # Errors
/// None that memory does not cause.
pub(crate) fn gzipped(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut packed = Vec::new();
    zopfli::compress(
        zopfli::Options::default(),
        zopfli::Format::Gzip,
        bytes,
        &mut packed,
    )?;
    Ok(packed)
}

/// The sum of what the ELF file's segments hold in the file.
fn loaded_bytes(bytes: &[u8]) -> Result<u64> {
    let file =
        ElfBytes::<LittleEndian>::minimal_parse(bytes).context(|| "the image is no ELF file")?;
    let segments = file
        .segments()
        .context(|| "the image has no program headers")?;
    Ok(segments
        .iter()
        .filter(|s| s.p_type == PT_LOAD)
        .map(|s| s.p_filesz)
        .sum())
}

/// Builds a copy of the workspace in another folder and compares the images byte for byte.
///
/// # Errors
/// When the copy does not compile or differs.
pub(crate) fn check_reproducible(target: Target) -> Result<()> {
    let root = workspace::root();
    let contents = Contents::Full;
    let own = root.join("target").join("image");
    let first = fs::read(compile(target, contents, &root, &own)?)?;
    let folder = std::env::temp_dir().join(format!("pv-grub-elsewhere-{}", std::process::id()));
    let result = copy_sources(&root, &folder)
        .and_then(|()| {
            compile(
                target,
                contents,
                &folder,
                &folder.join("some").join("other-target"),
            )
        })
        .and_then(|elf| Ok(fs::read(elf)?));
    let _ = fs::remove_dir_all(&folder);
    let second = result?;
    if first == second {
        return Ok(());
    }
    let at = first
        .iter()
        .zip(&second)
        .position(|(a, b)| a != b)
        .unwrap_or(first.len().min(second.len()));
    Err(Problem::new(format!(
        "the {} image depends on its folder: {} and {} bytes, first difference at {at:#x}",
        target.name(),
        first.len(),
        second.len()
    )))
}

/// Copies everything but results and hidden folders other than `.cargo`.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let skipped = name == "target"
            || name == "dist"
            || (name.to_string_lossy().starts_with('.') && name != ".cargo");
        let kind = entry.file_type()?;
        if kind.is_dir() && !skipped {
            copy_sources(&entry.path(), &to.join(&name))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(&name))
                .context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}
