//! Why a file is not booted.

use alloc::string::String;
use core::fmt;

use super::{Codec, SourceError, Width};

/// The memory asked for is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMemory {
    /// Bytes that were asked for.
    pub needed: u64,
    /// Bytes that could be had.
    pub free: u64,
}

/// Why a kernel was refused. [`ImageError::grub_error`] gives GRUB's number, `Display` the reason and,
/// where there is one, the way out.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ImageError {
    /// The file could not be read.
    Source(SourceError),
    /// The file is neither ELF nor bzImage; its first bytes.
    NotAKernel([u8; 4]),
    /// A bzImage from before protocol 2.08, which does not say where the kernel proper is.
    OldProtocol(u16),
    /// The kernel in the bzImage is packed in a way that is not known; its first bytes.
    UnknownCompression([u8; 6]),
    /// The kernel is for the other width.
    OtherWidth(Width),
    /// The ELF file is for another processor; its `e_machine`.
    OtherMachine(u16),
    /// The ELF headers make no sense; the text says what.
    BadElf(&'static str),
    /// The file, or what is packed in it, ends too early.
    Truncated {
        /// How many bytes are missing, as far as can be told.
        missing: u64,
        /// What the missing bytes belong to.
        of: Option<Codec>,
    },
    /// The packed data is damaged; the text says how it was noticed.
    Corrupt(Codec, &'static str),
    /// The packed data needs something that is not supported; the text names it.
    UnsupportedPacking(Codec, &'static str),
    /// The kernel unpacks to another size than its file says.
    WrongSize {
        /// Bytes unpacked, or as many as were looked at.
        found: u64,
        /// Bytes announced.
        said: u64,
    },
    /// The kernel, unpacked or loaded, exceeds [`super::MAX_KERNEL_BYTES`].
    TooLarge(u64),
    /// No Xen notes: not a kernel for Xen at all.
    NoXenNotes,
    /// The kernel can be entered as PVH or HVM only.
    NoPvEntry,
    /// A note says something that cannot be satisfied; the text says what.
    BadNote(&'static str),
    /// The kernel insists on a feature of the hypervisor that PV guests do not have.
    RequiredFeature(String),
    /// A 32-bit kernel without PAE, which no current Xen runs.
    NoPae,
    /// Not enough memory.
    Memory(NoMemory),
}

impl ImageError {
    /// GRUB's number for the error.
    pub fn grub_error(&self) -> u8 {
        match self {
            Self::Source(error) => error.number,
            Self::Truncated { of: Some(_), .. } | Self::Corrupt(..) | Self::WrongSize { .. } => 3,
            Self::UnknownCompression(_) | Self::UnsupportedPacking(..) => 4,
            Self::TooLarge(_) | Self::Memory(_) => 28,
            _ => 13,
        }
    }
}

impl From<NoMemory> for ImageError {
    fn from(error: NoMemory) -> Self {
        Self::Memory(error)
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => f.write_str(&error.message),
            Self::NotAKernel(magic) => {
                write!(f, "not a kernel: the file begins with {}, neither ELF nor bzImage", Hex(magic))
            }
            Self::OldProtocol(version) => write!(
                f,
                "this bzImage has boot protocol {}.{:02}; Xen PV needs 2.08 (Linux 2.6.26) or later, or the vmlinux file",
                version >> 8,
                version & 0xff
            ),
            Self::UnknownCompression(magic) => write!(
                f,
                "unknown compression: the packed kernel begins with {}; known are gzip, bzip2, xz, zstd, lzma, lzop and lz4",
                Hex(magic)
            ),
            Self::OtherWidth(Width::Bits32) => {
                f.write_str("this is a 32-bit kernel; start this domain with pv-grub-x86_32.gz")
            }
            Self::OtherWidth(Width::Bits64) => {
                f.write_str("this is a 64-bit kernel; start this domain with pv-grub-x86_64.gz")
            }
            Self::OtherMachine(machine) => write!(f, "this kernel is for another processor (ELF machine {machine:#x})"),
            Self::BadElf(what) => write!(f, "bad ELF file: {what}"),
            Self::Truncated { missing, of: None } => write!(f, "truncated image: at least {missing} bytes are missing"),
            Self::Truncated { missing, of: Some(codec) } => {
                write!(f, "truncated image: the {codec} data ends early, at least {missing} unpacked bytes are missing")
            }
            Self::Corrupt(codec, what) => write!(f, "the kernel's {codec} data is damaged: {what}"),
            Self::UnsupportedPacking(codec, what) => {
                write!(f, "the kernel's {codec} data cannot be unpacked: {what} not supported; unpack the kernel file")
            }
            Self::WrongSize { found, said } => {
                write!(f, "the kernel unpacks to {found} bytes or more, but its file says {said}")
            }
            Self::TooLarge(bytes) => {
                write!(f, "the kernel takes {bytes} bytes, more than the {} that are allowed", super::MAX_KERNEL_BYTES)
            }
            Self::NoXenNotes => f.write_str("this kernel has no Xen notes; one built with CONFIG_XEN_PV is needed"),
            Self::NoPvEntry => f.write_str(
                "this kernel has no Xen PV entry (PVH/HVM only); start this domain with type=\"pvh\", or take a kernel with CONFIG_XEN_PV",
            ),
            Self::BadNote(what) => write!(f, "this kernel's Xen notes cannot be satisfied: {what}"),
            Self::RequiredFeature(name) => {
                write!(f, "this kernel insists on the hypervisor feature {name}, which PV guests do not have")
            }
            Self::NoPae => f.write_str("this 32-bit kernel does not use PAE; Xen runs only 32-bit kernels that do"),
            Self::Memory(NoMemory { needed, free }) => write!(
                f,
                "not enough memory: the kernel needs {} MiB, {} MiB are free; give the domain at least {} MiB more",
                mib(*needed),
                free >> 20,
                mib(needed.saturating_sub(*free))
            ),
        }
    }
}

impl core::error::Error for ImageError {}

/// Bytes as MiB, rounded up.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Bytes as hex digits with spaces.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{byte:02x}")?;
        }
        Ok(())
    }
}
