//! The literals of a block: plain, one byte repeated, or Huffman coded (RFC 8878 section 3.1.1.3.1).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::entropy::{BackwardBits, Distribution};
use super::{BLOCK_BYTES, CORRUPT_BLOCK, Fault};

/// The longest Huffman code in bits.
const MAX_BITS: u32 = 11;

/// A cell of the decoding table: `symbol << 8 | bits`.
type Cell = u16;

/// The literals of the block at hand, and the Huffman table that a later block may use again.
pub(super) struct Literals {
    /// Room for one block, and a little more so that copies may be of whole words.
    buffer: Box<[u8]>,
    len: usize,
    table: Box<[Cell; 1 << MAX_BITS]>,
    /// Length of the longest code of `table`; 0 before there is a table.
    table_bits: u32,
}

impl Literals {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; BLOCK_BYTES].into_boxed_slice(),
            len: 0,
            table: Box::new([0; 1 << MAX_BITS]),
            table_bits: 0,
        }
    }

    /// The literals of the last block.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Decodes the literals at the front of `block`, and returns the rest of the block.
    pub(super) fn decode<'a>(&mut self, block: &'a [u8]) -> Result<&'a [u8], Fault> {
        let mut fields = [0; 8];
        for (to, from) in fields.iter_mut().zip(block.iter().take(5)) {
            *to = *from;
        }
        let fields = u64::from_le_bytes(fields);
        let format = fields >> 2 & 3;
        match fields & 3 {
            kind @ (0 | 1) => {
                let (header, len) = match format {
                    0 | 2 => (1, fields >> 3 & 0x1f),
                    1 => (2, fields >> 4 & 0xfff),
                    _ => (3, fields >> 4 & 0xf_ffff),
                };
                let data = block.get(header..).ok_or(CORRUPT_BLOCK)?;
                let len = len as usize;
                let out = self.buffer.get_mut(..len).ok_or(CORRUPT_BLOCK)?;
                self.len = len;
                if kind == 0 {
                    let (plain, rest) = data.split_at_checked(len).ok_or(CORRUPT_BLOCK)?;
                    out.copy_from_slice(plain);
                    Ok(rest)
                } else {
                    let (byte, rest) = data.split_first().ok_or(CORRUPT_BLOCK)?;
                    out.fill(*byte);
                    Ok(rest)
                }
            }
            kind => {
                let (header, bits) = [(3, 10), (3, 10), (4, 14), (5, 18)][format as usize & 3];
                let mask = (1 << bits) - 1;
                let len = (fields >> 4 & mask) as usize;
                let packed = (fields >> (4 + bits) & mask) as usize;
                let data = block.get(header..).ok_or(CORRUPT_BLOCK)?;
                let (mut data, rest) = data.split_at_checked(packed).ok_or(CORRUPT_BLOCK)?;
                if kind == 2 {
                    data = self.read_table(data)?;
                } else if self.table_bits == 0 {
                    return Err(CORRUPT_BLOCK);
                }
                let out = self.buffer.get_mut(..len).ok_or(CORRUPT_BLOCK)?;
                self.len = len;
                if format == 0 {
                    one_stream(&self.table, self.table_bits, data, out)?;
                } else {
                    four_streams(&self.table, self.table_bits, data, out)?;
                }
                Ok(rest)
            }
        }
    }

    /// Reads a Huffman tree description (section 4.2.1) and returns what follows it.
    fn read_table<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (first, data) = data.split_first().ok_or(CORRUPT_BLOCK)?;
        let (mut weights, rest) = if *first < 128 {
            let (packed, rest) = data
                .split_at_checked(usize::from(*first))
                .ok_or(CORRUPT_BLOCK)?;
            (read_weights(packed)?, rest)
        } else {
            let count = usize::from(*first) - 127;
            let (packed, rest) = data
                .split_at_checked(count.div_ceil(2))
                .ok_or(CORRUPT_BLOCK)?;
            (
                packed
                    .iter()
                    .flat_map(|byte| [byte >> 4, byte & 15])
                    .take(count)
                    .collect::<Vec<_>>(),
                rest,
            )
        };
        // A weight w stands for 2^(w-1) cells. The last weight is not stored: it fills up to a power of two.
        let mut cells = 0u32;
        for weight in &weights {
            if u32::from(*weight) > MAX_BITS {
                return Err(CORRUPT_BLOCK);
            }
            cells += (1 << weight) >> 1;
        }
        let bits = cells.checked_ilog2().ok_or(CORRUPT_BLOCK)? + 1;
        let missing = (1 << bits) - cells;
        if bits > MAX_BITS || !missing.is_power_of_two() {
            return Err(CORRUPT_BLOCK);
        }
        weights.push(missing.ilog2() as u8 + 1);
        let mut at = 0;
        for weight in 1..=bits as u8 {
            let cells = 1usize << (weight - 1);
            for (symbol, _) in (0u16..=255)
                .zip(&weights)
                .filter(|(_, other)| **other == weight)
            {
                let place = self.table.get_mut(at..at + cells).ok_or(CORRUPT_BLOCK)?;
                place.fill(symbol << 8 | (bits as u16 + 1 - u16::from(weight)));
                at += cells;
            }
        }
        if at != 1 << bits || weights.len() > 256 {
            return Err(CORRUPT_BLOCK);
        }
        self.table_bits = bits;
        Ok(rest)
    }
}

/// Decodes FSE-coded weights: two states take turns until the bits run out (section 4.2.1.2).
fn read_weights(packed: &[u8]) -> Result<Vec<u8>, Fault> {
    const MAX_LOG: u32 = 6;
    const MAX_WEIGHTS: usize = 255;
    let (distribution, rest) = Distribution::read(packed, MAX_BITS as usize + 2, MAX_LOG)?;
    let mut table = [(0u8, 0u32, 0u16); 1 << MAX_LOG];
    distribution.lay_out(|index, symbol, bits, base| {
        if let Some(cell) = table.get_mut(index) {
            *cell = (symbol, bits, base);
        }
    })?;
    let mut stream = BackwardBits::new(rest)?;
    let mut states = [0; 2].map(|_: i32| stream.take(distribution.log()) as usize);
    let mut weights = Vec::with_capacity(MAX_WEIGHTS);
    loop {
        if weights.len() >= MAX_WEIGHTS - 1 {
            return Err(CORRUPT_BLOCK);
        }
        stream.refill();
        let [state, other] = states;
        let (symbol, bits, base) = table[state & 63];
        weights.push(symbol);
        let next = usize::from(base) + stream.take(bits) as usize;
        if stream.left() < 0 {
            weights.push(table[other & 63].0);
            return Ok(weights);
        }
        states = [other, next];
    }
}

/// Decodes one symbol.
#[inline(always)]
fn symbol(table: &[Cell; 1 << MAX_BITS], bits: u32, stream: &mut BackwardBits<'_>) -> u8 {
    let cell = table[stream.peek(bits) as usize & ((1 << MAX_BITS) - 1)];
    stream.skip(u32::from(cell & 0xff));
    (cell >> 8) as u8
}

fn one_stream(
    table: &[Cell; 1 << MAX_BITS],
    bits: u32,
    data: &[u8],
    out: &mut [u8],
) -> Result<(), Fault> {
    finish(table, bits, BackwardBits::new(data)?, out)
}

/// Fills `out` and checks that this used up the stream.
fn finish(
    table: &[Cell; 1 << MAX_BITS],
    bits: u32,
    mut stream: BackwardBits<'_>,
    out: &mut [u8],
) -> Result<(), Fault> {
    for piece in out.chunks_mut(4) {
        stream.refill();
        for place in piece {
            *place = symbol(table, bits, &mut stream);
        }
    }
    if stream.left() == 0 {
        Ok(())
    } else {
        Err(CORRUPT_BLOCK)
    }
}

/// Decodes four streams side by side: their bits do not depend on each other, so the processor overlaps them.
fn four_streams(
    table: &[Cell; 1 << MAX_BITS],
    bits: u32,
    data: &[u8],
    out: &mut [u8],
) -> Result<(), Fault> {
    let (jumps, data) = data.split_first_chunk::<6>().ok_or(CORRUPT_BLOCK)?;
    let [a, b, c] = [0, 2, 4].map(|at| usize::from(u16::from_le_bytes([jumps[at], jumps[at + 1]])));
    let (first, data) = data.split_at_checked(a).ok_or(CORRUPT_BLOCK)?;
    let (second, data) = data.split_at_checked(b).ok_or(CORRUPT_BLOCK)?;
    let (third, fourth) = data.split_at_checked(c).ok_or(CORRUPT_BLOCK)?;
    let quarter = out.len().div_ceil(4);
    let (out0, rest) = out.split_at_mut_checked(quarter).ok_or(CORRUPT_BLOCK)?;
    let (out1, rest) = rest.split_at_mut_checked(quarter).ok_or(CORRUPT_BLOCK)?;
    let (out2, out3) = rest.split_at_mut_checked(quarter).ok_or(CORRUPT_BLOCK)?;
    let mut s0 = BackwardBits::new(first)?;
    let mut s1 = BackwardBits::new(second)?;
    let mut s2 = BackwardBits::new(third)?;
    let mut s3 = BackwardBits::new(fourth)?;
    let (fours0, _) = out0.as_chunks_mut::<4>();
    let (fours1, _) = out1.as_chunks_mut::<4>();
    let (fours2, _) = out2.as_chunks_mut::<4>();
    let (fours3, _) = out3.as_chunks_mut::<4>();
    let rounds = fours3.len().min(fours0.len());
    for (((f0, f1), f2), f3) in fours0.iter_mut().zip(fours1).zip(fours2).zip(fours3) {
        s0.refill();
        s1.refill();
        s2.refill();
        s3.refill();
        for (((p0, p1), p2), p3) in f0.iter_mut().zip(f1).zip(f2).zip(f3) {
            *p0 = symbol(table, bits, &mut s0);
            *p1 = symbol(table, bits, &mut s1);
            *p2 = symbol(table, bits, &mut s2);
            *p3 = symbol(table, bits, &mut s3);
        }
    }
    for (stream, out) in [(s0, out0), (s1, out1), (s2, out2), (s3, out3)] {
        finish(
            table,
            bits,
            stream,
            out.get_mut(rounds * 4..).unwrap_or_default(),
        )?;
    }
    Ok(())
}
