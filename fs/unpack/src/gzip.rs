//! gzip (RFC 1952), inflated by `miniz_oxide` through a window of its own.

use alloc::boxed::Box;
use alloc::vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::checksum::Crc32;
use super::{Fault, Input, Window};

/// Deflate looks back 32 KiB; twice that, so that output comes in larger pieces.
const RING_BYTES: usize = 64 << 10;

/// A gzip member being read.
pub struct Inflate<'a> {
    input: Input<'a>,
    state: State,
}

impl<'a> Inflate<'a> {
    /// Reads the member's header from `input`.
    pub fn new(mut input: Input<'a>) -> Result<Self, Fault> {
        let state = State::start(&mut input)?;
        Ok(Self { input, state })
    }

    /// Fills the front of `out` and says how much; 0 is the end.
    pub fn fill(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        loop {
            let ready = self.state.ready();
            let len = ready.len().min(out.len());
            if len > 0 {
                if let (Some(to), Some(from)) = (out.get_mut(..len), ready.get(..len)) {
                    to.copy_from_slice(from);
                }
                self.state.ready_from += len;
                return Ok(len);
            }
            if out.is_empty() || !self.state.step(&mut self.input)? {
                return Ok(0);
            }
        }
    }
}

/// Inflates the member at the front of `input`, and checks its CRC32 and length.
pub(super) fn unpack(input: &mut Input<'_>, out: &mut Window<'_>) -> Result<(), Fault> {
    let mut state = State::start(input)?;
    while state.step(input)? {
        out.append(state.ready())?;
    }
    Ok(())
}

struct State {
    inflater: Box<DecompressorOxide>,
    ring: Box<[u8]>,
    /// Output of the last step: `ring[ready_from..ready_to]`.
    ready_from: usize,
    ready_to: usize,
    digest: Crc32,
    /// Bytes inflated, modulo 2^32 as the trailer has it.
    len: u32,
    done: bool,
}

impl State {
    fn start(input: &mut Input<'_>) -> Result<Self, Fault> {
        read_header(input)?;
        Ok(Self {
            inflater: Box::default(),
            ring: vec![0; RING_BYTES].into_boxed_slice(),
            ready_from: 0,
            ready_to: 0,
            digest: Crc32::new(),
            len: 0,
            done: false,
        })
    }

    fn ready(&self) -> &[u8] {
        self.ring
            .get(self.ready_from..self.ready_to)
            .unwrap_or_default()
    }

    /// Inflates some more; false at the end of the member.
    fn step(&mut self, input: &mut Input<'_>) -> Result<bool, Fault> {
        while !self.done {
            let from = if self.ready_to < RING_BYTES {
                self.ready_to
            } else {
                0
            };
            let chunk = input.chunk()?;
            let flags = if chunk.is_empty() {
                0
            } else {
                inflate_flags::TINFL_FLAG_HAS_MORE_INPUT
            };
            let (status, used, made) =
                decompress(&mut self.inflater, chunk, &mut self.ring, from, flags);
            input.consume(used);
            self.ready_from = from;
            self.ready_to = RING_BYTES.min(from + made);
            let made = self.ring.get(from..self.ready_to).unwrap_or_default();
            self.digest.update(made);
            self.len = self.len.wrapping_add(made.len() as u32);
            let produced = !made.is_empty();
            match status {
                TINFLStatus::Done => {
                    self.done = true;
                    self.check_trailer(input)?;
                }
                TINFLStatus::HasMoreOutput | TINFLStatus::NeedsMoreInput => {}
                TINFLStatus::FailedCannotMakeProgress => return Err(Fault::Truncated),
                _ => return Err(Fault::Corrupt("bad deflate data")),
            }
            if produced {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check_trailer(&mut self, input: &mut Input<'_>) -> Result<(), Fault> {
        let crc = u32::from_le_bytes(input.array()?);
        let len = u32::from_le_bytes(input.array()?);
        if crc != self.digest.clone().finalize() {
            return Err(Fault::Corrupt("the gzip checksum does not match"));
        }
        if len != self.len {
            return Err(Fault::Corrupt("the gzip length does not match"));
        }
        Ok(())
    }
}

/// Reads a member's header (RFC 1952 section 2.3).
fn read_header(input: &mut Input<'_>) -> Result<(), Fault> {
    const HEADER_CRC: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0xe0;
    let [id1, id2, method, flags, ..] = input.array::<10>()?;
    if [id1, id2, method] != [0x1f, 0x8b, 8] {
        return Err(Fault::Corrupt("bad gzip header"));
    }
    if flags & RESERVED != 0 {
        return Err(Fault::Unsupported("reserved gzip flags"));
    }
    if flags & EXTRA != 0 {
        let len = u16::from_le_bytes(input.array()?);
        input.skip(len.into())?;
    }
    for flag in [NAME, COMMENT] {
        // Bounded by the data: each byte read is used up.
        while flags & flag != 0 && input.byte()? != 0 {}
    }
    if flags & HEADER_CRC != 0 {
        input.skip(2)?;
    }
    Ok(())
}
