//! The xz container and LZMA2 (`xz-file-format.txt` of the XZ Utils, version 1.2.1).
//!
//! One stream, any number of blocks, LZMA2 alone or behind the x86 filter, which is what kernels and
//! `xz` itself make. Headers, index and footer are checked, and each block's CRC32 or CRC64; a SHA-256
//! is passed over.

use alloc::vec::Vec;

use super::checksum::{CRC64, Crc32};
use super::lzma::{Lzma, Properties, RangeDecoder, Stop};
use super::{Fault, Input, Window, x86};

/// Kernels have one block. The bound keeps the list of them small; `xz -T` makes one for every 3 MiB or more.
const MAX_BLOCKS: usize = 1 << 14;

/// What follows each block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    None,
    Crc32,
    Crc64,
    /// Another known size of check, not verified.
    Other(u64),
}

impl Check {
    fn new(id: u8) -> Result<Self, Fault> {
        Ok(match id {
            0 => Self::None,
            1 => Self::Crc32,
            4 => Self::Crc64,
            10 => Self::Other(32),
            _ => return Err(Fault::Unsupported("this kind of xz check")),
        })
    }

    /// Reads the check at `input` and compares it with that of `data`.
    fn verify(self, input: &mut Input<'_>, data: &[u8]) -> Result<(), Fault> {
        let matches = match self {
            Self::None => true,
            Self::Crc32 => u32::from_le_bytes(input.array()?) == Crc32::of(data),
            Self::Crc64 => u64::from_le_bytes(input.array()?) == CRC64.checksum(data),
            Self::Other(len) => {
                input.skip(len)?;
                true
            }
        };
        if matches {
            Ok(())
        } else {
            Err(Fault::Corrupt("the xz checksum does not match"))
        }
    }

    fn len(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Crc32 => 4,
            Self::Crc64 => 8,
            Self::Other(len) => len,
        }
    }
}

/// What the index says of a block: its size in the file without padding, and unpacked.
#[derive(PartialEq, Eq)]
struct Record {
    packed: u64,
    unpacked: u64,
}

/// Decodes the stream at the front of `input`.
pub(super) fn unpack(input: &mut Input<'_>, out: &mut Window<'_>) -> Result<(), Fault> {
    let header = input.array::<12>()?;
    let [_, _, _, _, _, _, flag0, flag1, crc @ ..] = header;
    if u32::from_le_bytes(crc) != Crc32::of(&[flag0, flag1]) {
        return Err(Fault::Corrupt("the xz header's checksum does not match"));
    }
    if flag0 != 0 || flag1 & 0xf0 != 0 {
        return Err(Fault::Unsupported("these xz stream flags"));
    }
    let check = Check::new(flag1)?;
    let mut records = Vec::new();
    loop {
        let size = input.byte()?;
        if size == 0 {
            break;
        }
        if records.len() >= MAX_BLOCKS {
            return Err(Fault::Unsupported("so many xz blocks"));
        }
        records.push(read_block(size, check, input, out)?);
    }
    let index_len = read_index(input, &records)?;
    let [c0, c1, c2, c3, rest @ ..] = input.array::<12>()?;
    let [b0, b1, b2, b3, f0, f1, m0, m1] = rest;
    let backward = (u64::from(u32::from_le_bytes([b0, b1, b2, b3])) + 1) * 4;
    let crc = Crc32::of(&[b0, b1, b2, b3, f0, f1]);
    if u32::from_le_bytes([c0, c1, c2, c3]) != crc
        || [f0, f1, m0, m1] != [flag0, flag1, b'Y', b'Z']
        || backward != index_len
    {
        return Err(Fault::Corrupt("bad xz footer"));
    }
    Ok(())
}

fn read_block(
    size: u8,
    check: Check,
    input: &mut Input<'_>,
    out: &mut Window<'_>,
) -> Result<Record, Fault> {
    let block_start = input.position() - 1;
    let header = Header::read(size, input)?;
    let floor = out.len();
    let data_start = input.position();
    unpack_lzma2(input, out, floor)?;
    let packed = input.position() - data_start;
    if header.packed.is_some_and(|said| said != packed) {
        return Err(Fault::Corrupt("an xz block's packed size does not match"));
    }
    skip_padding(input, packed)?;
    if let Some(start) = header.x86 {
        x86::undo(out.since_mut(floor), start);
    }
    let unpacked = (out.len() - floor) as u64;
    if header.unpacked.is_some_and(|said| said != unpacked) {
        return Err(Fault::Corrupt("an xz block's size does not match"));
    }
    check.verify(input, out.since(floor))?;
    Ok(Record {
        packed: data_start - block_start + packed + check.len(),
        unpacked,
    })
}

/// A block's header.
struct Header {
    packed: Option<u64>,
    unpacked: Option<u64>,
    /// Start offset of the x86 filter, if there is one.
    x86: Option<u32>,
}

impl Header {
    /// Reads the header whose first byte, `size`, was read already.
    fn read(size: u8, input: &mut Input<'_>) -> Result<Self, Fault> {
        const X86: u64 = 4;
        const LZMA2: u64 = 0x21;
        let mut bytes = [0; 1024];
        let len = (usize::from(size) + 1) * 4;
        let bytes = bytes.get_mut(..len).unwrap_or_default();
        if let Some((first, rest)) = bytes.split_first_mut() {
            *first = size;
            input.exact(rest)?;
        }
        let Some((fields, crc)) = bytes.split_last_chunk::<4>() else {
            return Err(Fault::Corrupt("bad xz block header"));
        };
        if u32::from_le_bytes(*crc) != Crc32::of(fields) {
            return Err(Fault::Corrupt(
                "an xz block header's checksum does not match",
            ));
        }
        let mut fields = fields.get(1..).unwrap_or_default().iter().copied();
        let mut next = || fields.next().ok_or(Fault::Corrupt("bad xz block header"));
        let flags = next()?;
        if flags & 0x3c != 0 {
            return Err(Fault::Unsupported("these xz block flags"));
        }
        let packed = if flags & 0x40 == 0 {
            None
        } else {
            Some(vli(&mut next)?)
        };
        let unpacked = if flags & 0x80 == 0 {
            None
        } else {
            Some(vli(&mut next)?)
        };
        let mut x86 = None;
        let mut last = None;
        for _ in 0..=flags & 3 {
            if last == Some(LZMA2) || x86.is_some() && last != Some(X86) {
                return Err(Fault::Unsupported("this chain of xz filters"));
            }
            let id = vli(&mut next)?;
            match (id, vli(&mut next)?) {
                (X86, 0) if x86.is_none() => x86 = Some(0),
                (X86, 4) if x86.is_none() => {
                    x86 = Some(u32::from_le_bytes([next()?, next()?, next()?, next()?]))
                }
                (LZMA2, 1) => {
                    // The dictionary's size; the whole output is kept, so any will do.
                    let _dictionary = next()?;
                }
                _ => return Err(Fault::Unsupported("xz filters other than x86 and LZMA2")),
            }
            last = Some(id);
        }
        if last != Some(LZMA2) {
            return Err(Fault::Unsupported("this chain of xz filters"));
        }
        Ok(Self {
            packed,
            unpacked,
            x86,
        })
    }
}

/// A number of up to 63 bits, seven to the byte, low bits first.
fn vli(next: &mut dyn FnMut() -> Result<u8, Fault>) -> Result<u64, Fault> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Fault::Corrupt("a number in the xz headers is too long"))
}

/// Passes over the zeros that bring `len` up to a multiple of four.
fn skip_padding(input: &mut Input<'_>, len: u64) -> Result<(), Fault> {
    for _ in 0..len.wrapping_neg() % 4 {
        if input.byte()? != 0 {
            return Err(Fault::Corrupt("xz padding is not zero"));
        }
    }
    Ok(())
}

/// Reads the index, whose first byte was read already, compares it with what was met, and returns its length.
fn read_index(input: &mut Input<'_>, met: &[Record]) -> Result<u64, Fault> {
    let start = input.position() - 1;
    let mut digest = Crc32::new();
    digest.update(&[0]);
    let mut next = || {
        let byte = input.byte()?;
        digest.update(&[byte]);
        Ok(byte)
    };
    let mut matches = vli(&mut next)? == met.len() as u64;
    for record in met {
        matches &= *record
            == Record {
                packed: vli(&mut next)?,
                unpacked: vli(&mut next)?,
            };
    }
    let len = input.position() - start;
    for _ in 0..len.wrapping_neg() % 4 {
        matches &= input.byte()? == 0;
        digest.update(&[0]);
    }
    if !matches || u32::from_le_bytes(input.array()?) != digest.finalize() {
        return Err(Fault::Corrupt("the xz index does not match the data"));
    }
    Ok(input.position() - start)
}

/// Decodes LZMA2 chunks up to the end mark.
fn unpack_lzma2(input: &mut Input<'_>, out: &mut Window<'_>, floor: usize) -> Result<(), Fault> {
    let mut floor = floor;
    let mut lzma: Option<Lzma> = None;
    let mut needs_dictionary = true;
    loop {
        let control = input.byte()?;
        if control == 0 {
            return Ok(());
        }
        if control == 1 || control >= 0xe0 {
            floor = out.len();
            needs_dictionary = false;
        } else if needs_dictionary {
            return Err(Fault::Corrupt(
                "the first LZMA2 chunk does not reset the dictionary",
            ));
        }
        if control < 0x80 {
            if control > 2 {
                return Err(Fault::Corrupt("bad LZMA2 chunk"));
            }
            let len = usize::from(u16::from_be_bytes(input.array()?)) + 1;
            out.read_from(input, len)?;
            continue;
        }
        let low = usize::from(u16::from_be_bytes(input.array()?));
        let unpacked = (usize::from(control & 0x1f) << 16 | low) + 1;
        let packed = u64::from(u16::from_be_bytes(input.array()?)) + 1;
        if control >= 0xc0 {
            let properties = Properties::new(input.byte()?)?;
            match &mut lzma {
                Some(lzma) => lzma.reset(properties),
                None => lzma = Some(Lzma::new(properties)),
            }
        }
        let Some(lzma) = &mut lzma else {
            return Err(Fault::Corrupt("the first LZMA2 chunk has no properties"));
        };
        if (0xa0..0xc0).contains(&control) {
            lzma.reset_state();
        }
        let start = input.position();
        let mut range = RangeDecoder::new(input)?;
        let limit = out.len().saturating_add(unpacked);
        let stop = lzma.decode(&mut range, input, out, floor, limit)?;
        let finished = range.is_finished(input);
        input.check()?;
        if stop != Stop::Limit || !finished || input.position() - start != packed {
            return Err(Fault::Corrupt("an LZMA2 chunk's size does not match"));
        }
    }
}
