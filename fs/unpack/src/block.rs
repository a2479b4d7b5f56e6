//! Pieces of packed file systems: one piece of memory into another.
//!
//! btrfs and squashfs keep their data in pieces of at most a few hundred KiB, each packed by itself.

use alloc::boxed::Box;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::{Fault, Feed, Input, Window, lz4, lzma, xz, zstd};

/// How a piece is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// Deflate in zlib's envelope (RFC 1950).
    Zlib,
    /// LZO1X without a container.
    Lzo,
    /// An lz4 block without a frame.
    Lz4,
    /// The older `.lzma` format.
    Lzma,
    /// A whole xz stream.
    Xz,
    /// A Zstandard frame; what follows it is not looked at.
    Zstd,
}

impl Packing {
    /// Unpacks `packed` into the front of `out` and says how many bytes that made.
    ///
    /// # Errors
    /// [`Fault::Full`] if there is more than `out` holds, which is then full; other faults of the data.
    pub fn unpack(self, packed: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
        if self == Self::Zlib {
            return inflate(packed, out);
        }
        if self == Self::Lzo {
            return match lzokay::decompress::decompress(packed, out) {
                Ok(made) => Ok(made),
                Err(lzokay::Error::OutputOverrun) => Err(Fault::Full),
                Err(_) => Err(Fault::Corrupt("bad lzo data")),
            };
        }
        let len = packed.len() as u64;
        let mut input = Input::new(Feed::Memory(packed), len);
        let mut window = Window::keeping(out);
        match self {
            Self::Lz4 => lz4::unpack_block(&mut input, &mut window, len)?,
            Self::Lzma => lzma::unpack_alone(&mut input, &mut window)?,
            Self::Xz => xz::unpack(&mut input, &mut window)?,
            _ => zstd::unpack(&mut input, &mut window)?,
        }
        Ok(window.len())
    }
}

fn inflate(packed: &[u8], out: &mut [u8]) -> Result<usize, Fault> {
    let flags = inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
        | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state: Box<DecompressorOxide> = Box::default();
    let (status, _, made) = decompress(&mut state, packed, out, 0, flags);
    match status {
        TINFLStatus::Done => Ok(made),
        TINFLStatus::HasMoreOutput => Err(Fault::Full),
        TINFLStatus::FailedCannotMakeProgress => Err(Fault::Truncated),
        _ => Err(Fault::Corrupt("bad deflate data")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packing_of_one_text() {
        // "aaaaaaaaaaaaaaaaaaaa", as zlib packs it, and by hand for lz4. The formats with a
        // container are tested with kernels, all of them with file systems.
        let text = [b'a'; 20];
        let cases: [(Packing, &[u8]); 2] = [
            (
                Packing::Zlib,
                &[
                    0x78, 0x9c, 0x4b, 0x4c, 0xc4, 0x04, 0x00, 0x4f, 0xa6, 0x07, 0x95,
                ],
            ),
            (
                Packing::Lz4,
                &[0x1a, b'a', 1, 0, 0x50, b'a', b'a', b'a', b'a', b'a'],
            ),
        ];
        for (packing, packed) in cases {
            let mut out = [0; 32];
            let made = packing.unpack(packed, &mut out);
            assert!(matches!(made, Ok(20)), "{packing:?}: {made:?}");
            assert_eq!(out[..20], text);
            let full = packing.unpack(packed, &mut [0; 10]);
            assert!(matches!(full, Err(Fault::Full)), "{packing:?}: {full:?}");
        }
    }
}
