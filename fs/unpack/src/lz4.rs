//! lz4's legacy frame: a magic, then blocks of a length and an lz4 block (`lz4_Frame_format.md`,
//! "Legacy frame", and `lz4_Block_format.md` of lz4).
//!
//! There is no end mark: `input` must end where the last block does. Linux appends the unpacked size,
//! which the caller leaves out.

use super::{Fault, Input, Window};

const MAGIC: u32 = 0x184c_2102;
const SHORTEST_MATCH: usize = 4;
/// A length field of this goes on in the next bytes.
const LONG: usize = 15;
/// A sequence without long lengths takes at most this: token, 14 literals, offset.
const SHORT_SEQUENCE: usize = 1 + 14 + 2;

/// Decodes the frame at the front of `input`.
pub(super) fn unpack(input: &mut Input<'_>, out: &mut Window<'_>) -> Result<(), Fault> {
    if u32::from_le_bytes(input.array()?) != MAGIC {
        return Err(Fault::Corrupt("bad lz4 header"));
    }
    while !input.chunk()?.is_empty() {
        let len = u32::from_le_bytes(input.array()?);
        // Frames may follow one another.
        if len != MAGIC {
            let end = input.position() + u64::from(len);
            unpack_block(input, out, end)?;
        }
    }
    Ok(())
}

/// Decodes the block that ends where `input` has the position `end`.
pub(super) fn unpack_block(
    input: &mut Input<'_>,
    out: &mut Window<'_>,
    end: u64,
) -> Result<(), Fault> {
    const BAD_BLOCK: Fault = Fault::Corrupt("bad lz4 block");
    let floor = out.len();
    while input.position() < end {
        let left = end - input.position();
        if left > SHORT_SEQUENCE as u64 && short_sequences(input, out, left, floor)? {
            continue;
        }
        let token = usize::from(input.byte()?);
        let literals = long_length(input, token >> 4)?;
        if literals as u64 > end.saturating_sub(input.position()) {
            return Err(BAD_BLOCK);
        }
        out.read_from(input, literals)?;
        if input.position() >= end {
            break;
        }
        let offset = u16::from_le_bytes(input.array()?);
        let matched = long_length(input, token & 15)?;
        out.copy(offset.into(), matched.saturating_add(SHORTEST_MATCH), floor)?;
    }
    if input.position() == end {
        Ok(())
    } else {
        Err(BAD_BLOCK)
    }
}

/// The length whose first part is `part`.
fn long_length(input: &mut Input<'_>, part: usize) -> Result<usize, Fault> {
    let mut len = part;
    if part == LONG {
        // Bounded by the data: each byte read is used up.
        loop {
            let byte = input.byte()?;
            len = len.saturating_add(byte.into());
            if byte != u8::MAX {
                break;
            }
        }
    }
    Ok(len)
}

/// Decodes sequences without long lengths as far as the chunk at hand goes; false if there was none.
///
/// Of the block, `left` bytes are left; its last sequence, which has no match, is not for here.
fn short_sequences(
    input: &mut Input<'_>,
    out: &mut Window<'_>,
    left: u64,
    floor: usize,
) -> Result<bool, Fault> {
    let chunk = input.chunk()?;
    let chunk = chunk
        .get(..usize::try_from(left).unwrap_or(usize::MAX))
        .unwrap_or(chunk);
    let mut at = 0;
    let mut result = Ok(());
    while let Some(rest) = chunk.get(at..).filter(|rest| rest.len() > SHORT_SEQUENCE)
        && let Some((token, rest)) = rest.split_first()
    {
        let (literals, matched) = (usize::from(token >> 4), usize::from(token & 15));
        if literals == LONG || matched == LONG {
            break;
        }
        let (Some(bytes), Some([low, high])) =
            (rest.get(..literals), rest.get(literals..literals + 2))
        else {
            break;
        };
        let offset = usize::from(u16::from_le_bytes([*low, *high]));
        result = out
            .append_near(bytes, rest)
            .and_then(|()| out.copy(offset, matched + SHORTEST_MATCH, floor));
        at += 1 + literals + 2;
        if result.is_err() {
            break;
        }
    }
    input.consume(at);
    result.map(|()| at > 0)
}
