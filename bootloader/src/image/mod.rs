//! Kernel images: from a file to a kernel that lies in its final memory.
//!
//! [`load()`] takes ELF and bzImage files, wholly gzipped or not, whose kernel may be packed with any of the
//! formats of [`Codec`], and yields a [`Kernel`]: what the builder must know of it. It reads through
//! [`Source`] and writes to memory that [`Memory`] gives it once. Everything here is safe code that works on
//! the host as in the loader.
//!
//! A kernel never exists twice. A raw ELF file's segments are read straight to their places. A packed one is
//! decoded to the front of the memory it will stay in, with that memory as the decoder's history, and its
//! segments are then moved to their places, which are a few MiB away at most; see [`Span`]. Compressed data
//! is read 256 KiB at a time, and the next MiB asked for ahead, so that the disk works while we decode.
//!
//! Sources: Linux `Documentation/arch/x86/boot.rst`, the ELF specification, Xen `public/elfnote.h` and
//! `xen/common/libelf`.

mod bzimage;
mod error;
mod gunzip;
mod layout;
mod load;
mod notes;

use alloc::string::String;

pub use arch::abi::Width;

pub use error::{ImageError, NoMemory};
pub use gunzip::gunzip;
pub use load::load;
pub use notes::Pae;
pub use unpack::{Codec, Source, SourceError};

/// Size of a page, as addresses and sizes of kernels use it.
const PAGE_BYTES: u64 = 4096;

/// The largest kernel taken, unpacked file and loaded span each: as much as Xen's own builder takes.
pub const MAX_KERNEL_BYTES: u64 = 1 << 30;

/// How much memory a kernel takes, in whole pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Bytes that the kernel keeps: all its segments and what is between them.
    pub kernel_bytes: u64,
    /// Bytes that are written while it is unpacked, at least `kernel_bytes`: the kernel needs only the first
    /// `kernel_bytes` of them afterwards.
    ///
    /// The difference is what the ELF file has before, between and after its segments; with Linux about 5 MiB.
    pub work_bytes: u64,
}

/// The memory that becomes the kernel's.
pub trait Memory {
    /// Returns `span.work_bytes` bytes. Called at most once; the contents may be anything.
    ///
    /// # Errors
    /// [`NoMemory`] says how much is missing.
    fn allocate(&mut self, span: Span) -> Result<&mut [u8], NoMemory>;
}

/// How the file holds the kernel, for messages and measurements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packing {
    /// The ELF file is the payload of a bzImage.
    pub is_bzimage: bool,
    /// The bzImage is gzipped as a whole. (A gzipped ELF file just has [`Codec::Gzip`].)
    pub is_gzipped: bool,
    /// What the ELF file is packed with.
    pub codec: Option<Codec>,
    /// Size of the ELF file in bytes, as far as it was read.
    pub unpacked_bytes: u64,
}

/// The page that a kernel wants filled with hypercall stubs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HypercallPage {
    /// Its virtual address.
    pub virt: u64,
    /// Where it is in the kernel's memory, in bytes from the start; all of it is inside.
    pub offset: u64,
}

/// A kernel that lies in memory: its first `kernel_bytes` are in the slice that [`Memory`] gave.
///
/// Virtual address = `virt_base` + frame number * 4096.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kernel {
    /// The width of the guest it makes.
    pub width: Width,
    /// Virtual address at which it is entered.
    pub entry: u64,
    /// Virtual address of frame 0.
    pub virt_base: u64,
    /// What its ELF file's physical addresses are more than Xen's.
    pub paddr_offset: u64,
    /// Number of the frame its memory begins with.
    pub first_pfn: u64,
    /// Virtual address of its memory: `virt_base + first_pfn * 4096`.
    pub virt_start: u64,
    /// Virtual address of the first byte after its memory, which is whole pages.
    pub virt_end: u64,
    /// `virt_end - virt_start`.
    pub kernel_bytes: u64,
    /// Physical address at which it is entered as a PVH guest, if it can be.
    pub pvh_entry: Option<u64>,
    /// The page of hypercall stubs, if it wants one.
    pub hypercall_page: Option<HypercallPage>,
    /// Virtual address at which it wants the list of its frames, if anywhere in particular. Honoured only
    /// by 64-bit guests with `init_p2m < virt_base`, page aligned.
    pub init_p2m: Option<u64>,
    /// It takes its ramdisk by frame number, unmapped.
    pub mod_start_pfn: bool,
    /// How a 32-bit kernel wants its page tables.
    pub pae: Pae,
    /// The lowest address it lets a 32-bit hypervisor begin at.
    pub hv_start_low: Option<u64>,
    /// The features it names, as `name|!required`.
    pub features: String,
    /// The operating system it says it is.
    pub guest_os: String,
    /// The version it says it has.
    pub guest_version: String,
    /// It would like its symbol table loaded behind it (BSD); this is not done.
    pub bsd_symtab: bool,
    /// How the file held it.
    pub packing: Packing,
}
