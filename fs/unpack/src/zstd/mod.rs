//! Zstandard (RFC 8878), with the output as the window.
//!
//! One frame without a dictionary, which is what `zstd` makes of a kernel. Frames and blocks are here;
//! [`entropy`] holds bit streams and FSE tables, [`literals`] the Huffman-coded part of a block,
//! [`sequences`] the matches.

mod entropy;
mod literals;
mod sequences;

use alloc::vec;

use super::checksum::xxh64;
use super::{Fault, Input, Window};
use literals::Literals;
use sequences::Sequences;

/// The largest block, packed or not (RFC 8878 section 3.1.1.2.4).
const BLOCK_BYTES: usize = 128 << 10;

/// A malformed block.
const CORRUPT_BLOCK: Fault = Fault::Corrupt("bad zstd block");

/// Decodes the frame at the front of `input`.
pub(super) fn unpack(input: &mut Input<'_>, out: &mut Window<'_>) -> Result<(), Fault> {
    let header = Header::read(input)?;
    let floor = out.len();
    let mut packed = vec![0; BLOCK_BYTES];
    let mut literals = Literals::new();
    let mut sequences = Sequences::new();
    loop {
        let [b0, b1, b2] = input.array()?;
        let fields = u32::from_le_bytes([b0, b1, b2, 0]);
        let is_last = fields & 1 != 0;
        let size = (fields >> 3) as usize;
        match fields >> 1 & 3 {
            0 => out.read_from(input, size)?,
            1 => out.fill(input.byte()?, size)?,
            2 => {
                let packed = packed.get_mut(..size).ok_or(CORRUPT_BLOCK)?;
                input.exact(packed)?;
                let rest = literals.decode(packed)?;
                sequences.execute(rest, literals.bytes(), out, floor)?;
            }
            _ => return Err(CORRUPT_BLOCK),
        }
        if is_last {
            break;
        }
    }
    let content = out.since(floor);
    if header
        .content_bytes
        .is_some_and(|said| said != content.len() as u64)
    {
        return Err(Fault::Corrupt("the zstd frame's size does not match"));
    }
    if header.has_checksum && u32::from_le_bytes(input.array()?) != xxh64(content) as u32 {
        return Err(Fault::Corrupt("the zstd checksum does not match"));
    }
    Ok(())
}

/// What the frame header says that matters here. The window's size does not: all output is kept.
struct Header {
    content_bytes: Option<u64>,
    has_checksum: bool,
}

impl Header {
    fn read(input: &mut Input<'_>) -> Result<Self, Fault> {
        const SINGLE_SEGMENT: u8 = 1 << 5;
        const RESERVED: u8 = 1 << 3;
        const CHECKSUM: u8 = 1 << 2;
        let [.., descriptor] = input.array::<5>()?;
        if descriptor & RESERVED != 0 {
            return Err(Fault::Unsupported("reserved zstd flags"));
        }
        let is_single = descriptor & SINGLE_SEGMENT != 0;
        if !is_single {
            let _window = input.byte()?;
        }
        let dictionary = number(input, [0, 1, 2, 4][usize::from(descriptor & 3)])?;
        if dictionary != 0 {
            return Err(Fault::Unsupported("zstd with a dictionary"));
        }
        let content_bytes = match descriptor >> 6 {
            0 if is_single => Some(number(input, 1)?),
            0 => None,
            1 => Some(number(input, 2)? + 256),
            2 => Some(number(input, 4)?),
            _ => Some(number(input, 8)?),
        };
        Ok(Self {
            content_bytes,
            has_checksum: descriptor & CHECKSUM != 0,
        })
    }
}

/// A little-endian number of `len` bytes, at most 8.
fn number(input: &mut Input<'_>, len: usize) -> Result<u64, Fault> {
    let mut bytes = [0; 8];
    if let Some(bytes) = bytes.get_mut(..len) {
        input.exact(bytes)?;
    }
    Ok(u64::from_le_bytes(bytes))
}
