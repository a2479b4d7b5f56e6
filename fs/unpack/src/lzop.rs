//! The container of the `lzop` program: a header, then blocks of LZO1X with checksums.
//!
//! Laid out after what `lib/decompress_unlzo.c` of Linux and lzop's own description say of the format;
//! the blocks are decoded by `lzokay`.

use alloc::vec;
use alloc::vec::Vec;

use super::checksum::{Crc32, adler32};
use super::{Fault, Input, Window};

/// Header flags.
const ADLER32_UNPACKED: u32 = 1;
const ADLER32_PACKED: u32 = 1 << 1;
const EXTRA_FIELD: u32 = 1 << 6;
const CRC32_UNPACKED: u32 = 1 << 8;
const CRC32_PACKED: u32 = 1 << 9;
const FILTER: u32 = 1 << 11;
const CRC32_HEADER: u32 = 1 << 12;

/// `lzop` makes blocks of 256 KiB; this leaves room for other makers and bounds the heap.
const MAX_BLOCK_BYTES: usize = 8 << 20;

const BAD_CHECKSUM: Fault = Fault::Corrupt("an lzop checksum does not match");

/// Decodes the file at the front of `input`.
pub(super) fn unpack(input: &mut Input<'_>, out: &mut Window<'_>) -> Result<(), Fault> {
    let flags = read_header(input)?;
    let mut packed = Vec::new();
    loop {
        let len = big_endian(input)? as usize;
        if len == 0 {
            return Ok(());
        }
        let packed_len = big_endian(input)? as usize;
        if packed_len > len {
            return Err(Fault::Corrupt("bad lzop block"));
        }
        if len > MAX_BLOCK_BYTES {
            return Err(Fault::Unsupported("lzop blocks of more than 8 MiB"));
        }
        let sums = Checksums::read(input, flags, ADLER32_UNPACKED, CRC32_UNPACKED)?;
        let start = out.len();
        if packed_len == len {
            out.read_from(input, len)?;
        } else {
            let packed_sums = Checksums::read(input, flags, ADLER32_PACKED, CRC32_PACKED)?;
            packed.resize(packed_len, 0);
            input.exact(&mut packed)?;
            packed_sums.verify(&packed)?;
            unpack_block(&packed, out, len)?;
        }
        sums.verify(out.since(start))?;
    }
}

fn unpack_block(packed: &[u8], out: &mut Window<'_>, len: usize) -> Result<(), Fault> {
    if let Some(space) = out.space().get_mut(..len) {
        decode(packed, space)?;
        out.advance(len);
        return Ok(());
    }
    // The last block of a window that is too small: as much of it as fits.
    let mut block = vec![0; len];
    decode(packed, &mut block)?;
    out.append(&block)
}

/// Decodes `packed`, which must fill `out`.
fn decode(packed: &[u8], out: &mut [u8]) -> Result<(), Fault> {
    let len = out.len();
    match lzokay::decompress::decompress(packed, out) {
        Ok(made) if made == len => Ok(()),
        _ => Err(Fault::Corrupt("bad lzop block")),
    }
}

fn big_endian(input: &mut Input<'_>) -> Result<u32, Fault> {
    Ok(u32::from_be_bytes(input.array()?))
}

/// The checksums before a block, as far as the flags announce them.
struct Checksums {
    adler32: Option<u32>,
    crc32: Option<u32>,
}

impl Checksums {
    fn read(input: &mut Input<'_>, flags: u32, adler32: u32, crc32: u32) -> Result<Self, Fault> {
        let mut announced = |flag| {
            if flags & flag == 0 {
                Ok(None)
            } else {
                big_endian(input).map(Some)
            }
        };
        Ok(Self {
            adler32: announced(adler32)?,
            crc32: announced(crc32)?,
        })
    }

    fn verify(&self, data: &[u8]) -> Result<(), Fault> {
        let matches = self.adler32.is_none_or(|sum| sum == adler32(data))
            && self.crc32.is_none_or(|sum| sum == Crc32::of(data));
        if matches { Ok(()) } else { Err(BAD_CHECKSUM) }
    }
}

/// Reads and checks the header, and returns its flags.
fn read_header(input: &mut Input<'_>) -> Result<u32, Fault> {
    /// From this version on there are three more fields.
    const NEWER: u16 = 0x0940;
    if &input.array::<9>()? != b"\x89LZO\0\r\n\x1a\n" {
        return Err(Fault::Corrupt("bad lzop header"));
    }
    let mut header = Vec::new();
    let mut field = |len: usize| {
        let start = header.len();
        header.resize(start + len, 0);
        let bytes = header.get_mut(start..).unwrap_or_default();
        input.exact(bytes)?;
        // The fields that matter have at most four bytes; longer ones yield their last four.
        Ok(bytes
            .iter()
            .fold(0u32, |value, byte| value << 8 | u32::from(*byte)))
    };
    let version = field(2)? as u16;
    field(2)?;
    if version >= NEWER {
        field(2)?;
    }
    let method = field(1)?;
    if version >= NEWER {
        field(1)?;
    }
    let flags = field(4)?;
    if flags & FILTER != 0 {
        return Err(Fault::Unsupported("lzop filters"));
    }
    field(8)?;
    if version >= NEWER {
        field(4)?;
    }
    let name_len = field(1)?;
    field(name_len as usize)?;
    let sum = if flags & CRC32_HEADER == 0 {
        adler32(&header)
    } else {
        Crc32::of(&header)
    };
    if big_endian(input)? != sum {
        return Err(BAD_CHECKSUM);
    }
    if !(1..=3).contains(&method) {
        return Err(Fault::Unsupported("this lzop method"));
    }
    if flags & EXTRA_FIELD != 0 {
        let len = big_endian(input)?;
        input.skip(u64::from(len) + 4)?;
    }
    Ok(flags)
}
