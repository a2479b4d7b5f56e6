//! Decompressors that write straight into the memory they are given: for kernels, and for packed file systems.
//!
//! [`Input`] hands out compressed bytes (read in chunks, from the file or through an outer gzip),
//! [`Window`] is the output: one slice that is also the decoder's history, so that a format with a
//! 128 MiB window needs no second copy of what it wrote. [`Codec`] names a format by its magic and
//! runs the decoder. Formats: as `scripts/Makefile.lib` of Linux packs a kernel; each file names its
//! specification.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod block;
mod bzip2;
mod checksum;
mod gzip;
mod input;
mod lz4;
mod lzma;
mod lzop;
mod source;
mod window;
mod x86;
mod xz;
mod zstd;

use core::fmt;

use alloc::boxed::Box;

pub use block::Packing;
pub use checksum::xxh64;
pub use gzip::Inflate;
pub use input::{Feed, FileFeed, Input};
pub use source::{Source, SourceError};
pub use window::Window;

/// Why a decoder stopped before the end of its data.
#[derive(Debug)]
pub enum Fault {
    /// The window is full and there is more to write.
    Full,
    /// The compressed data ends too early.
    Truncated,
    /// The data breaks the format's rules or a checksum; the text says which.
    Corrupt(&'static str),
    /// The data uses a part of the format that no kernel needs; the text names it.
    Unsupported(&'static str),
    /// The file could not be read.
    Source(Box<SourceError>),
}

/// A compression format, recognised by the first bytes of the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Codec {
    /// gzip (RFC 1952).
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz with LZMA2, alone or behind the x86 filter.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
    /// The older `.lzma` format.
    Lzma,
    /// The container of the `lzop` program, with LZO1X data.
    Lzop,
    /// lz4's legacy frame.
    Lz4,
}

/// How many leading bytes [`Codec::of_magic`] looks at.
pub const MAGIC_BYTES: usize = 6;

impl Codec {
    /// The format that data beginning with `magic` has, if it is one of ours.
    pub fn of_magic(magic: &[u8]) -> Option<Self> {
        const MAGICS: [(&[u8], Codec); 7] = [
            (&[0x1f, 0x8b], Codec::Gzip),
            (b"BZh", Codec::Bzip2),
            (b"\xfd7zXZ\0", Codec::Xz),
            (&[0x28, 0xb5, 0x2f, 0xfd], Codec::Zstd),
            (&[0x5d, 0x00, 0x00], Codec::Lzma),
            (b"\x89LZO", Codec::Lzop),
            (&[0x02, 0x21, 0x4c, 0x18], Codec::Lz4),
        ];
        MAGICS
            .iter()
            .find(|(bytes, _)| magic.starts_with(bytes))
            .map(|(_, codec)| *codec)
    }

    /// Decodes all of `input` into `out`.
    ///
    /// # Errors
    /// Any [`Fault`]; `out` then holds what was decoded up to there.
    pub fn unpack(self, input: &mut Input<'_>, out: &mut Window<'_>) -> Result<(), Fault> {
        match self {
            Self::Gzip => gzip::unpack(input, out),
            Self::Bzip2 => bzip2::unpack(input, out),
            Self::Xz => xz::unpack(input, out),
            Self::Zstd => zstd::unpack(input, out),
            Self::Lzma => lzma::unpack_alone(input, out),
            Self::Lzop => lzop::unpack(input, out),
            Self::Lz4 => lz4::unpack(input, out),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Lzma => "lzma",
            Self::Lzop => "lzop",
            Self::Lz4 => "lz4",
        })
    }
}
