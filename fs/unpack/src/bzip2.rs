//! bzip2, decoded a block at a time.
//!
//! The format has no official description; this follows the "BZIP2: Format Specification" of Joe Tsai
//! (2016). A block of 900 kB needs 3.6 MB of heap.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crc::{CRC_32_BZIP2, Crc, Table};

use super::{Fault, Input, Window};

/// One table: the rest of the work takes ten times as long as the checksum anyway.
static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_BZIP2);

const BLOCK_MAGIC: u64 = 0x3141_5926_5359;
const END_MAGIC: u64 = 0x1772_4538_5090;
/// Symbols are coded in groups of so many, each with a table of its own choice.
const GROUP_SYMBOLS: usize = 50;
const MAX_CODE_BITS: u32 = 20;
/// Codes up to this length are found by one look into a table.
const FAST_BITS: u32 = 10;
/// The two digits of run lengths.
const RUN_A: u16 = 0;
const RUN_B: u16 = 1;

const BAD_BLOCK: Fault = Fault::Corrupt("bad bzip2 block");

/// Decodes the stream at the front of `input`.
pub(super) fn unpack(input: &mut Input<'_>, out: &mut Window<'_>) -> Result<(), Fault> {
    let [b'B', b'Z', b'h', level @ b'1'..=b'9'] = input.array()? else {
        return Err(Fault::Corrupt("bad bzip2 header"));
    };
    let mut bits = Bits::new(input);
    let mut cells = vec![0u32; usize::from(level - b'0') * 100_000];
    let mut combined = 0u32;
    loop {
        let magic = u64::from(bits.take(24)?) << 24 | u64::from(bits.take(24)?);
        let crc = bits.take(16)? << 16 | bits.take(16)?;
        match magic {
            BLOCK_MAGIC => {
                let (len, origin) = read_block(&mut bits, &mut cells)?;
                let cells = cells.get_mut(..len).ok_or(BAD_BLOCK)?;
                let start = out.len();
                write_block(cells, origin, out)?;
                if crc != CRC.checksum(out.since(start)) {
                    return Err(Fault::Corrupt("a bzip2 checksum does not match"));
                }
                combined = combined.rotate_left(1) ^ crc;
            }
            END_MAGIC if crc == combined => return Ok(()),
            END_MAGIC => return Err(Fault::Corrupt("the bzip2 checksum does not match")),
            _ => return Err(BAD_BLOCK),
        }
    }
}

/// Bits, high first.
struct Bits<'i, 'a> {
    input: &'i mut Input<'a>,
    /// The next bits, in the low `count` bits.
    value: u64,
    count: u32,
    /// How many of the last of them are not from the data, which has ended.
    invented: u32,
}

impl<'i, 'a> Bits<'i, 'a> {
    fn new(input: &'i mut Input<'a>) -> Self {
        Self {
            input,
            value: 0,
            count: 0,
            invented: 0,
        }
    }

    /// Makes at least 32 bits ready.
    #[inline(always)]
    fn refill(&mut self) -> Result<(), Fault> {
        while self.count < 32 {
            self.value = self.value << 8 | u64::from(self.input.byte_or_zero());
            self.count += 8;
            match self.input.check() {
                Ok(()) => {}
                Err(Fault::Truncated) => self.invented += 8,
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// The next `len` bits, at most 32 after a refill.
    #[inline(always)]
    fn peek(&self, len: u32) -> u32 {
        (self.value >> (self.count.wrapping_sub(len) & 63)) as u32 & ((1 << len) - 1)
    }

    /// Takes `len` bits that [`Bits::refill`] made ready.
    #[inline(always)]
    fn skip(&mut self, len: u32) -> Result<(), Fault> {
        self.count -= len;
        if self.count < self.invented {
            Err(Fault::Truncated)
        } else {
            Ok(())
        }
    }

    /// Takes the next `len` bits, at most 24.
    #[inline(always)]
    fn take(&mut self, len: u32) -> Result<u32, Fault> {
        self.refill()?;
        let value = self.peek(len);
        self.skip(len)?;
        Ok(value)
    }
}

/// A Huffman code.
struct Code {
    /// For each `FAST_BITS` bits: `symbol << 8 | length`, or 0 for a longer code.
    fast: [u32; 1 << FAST_BITS],
    /// For each length the first code that is longer, in `MAX_CODE_BITS` bits.
    limit: [u32; MAX_CODE_BITS as usize + 1],
    /// For each length what a code less this is in `symbols`.
    base: [u32; MAX_CODE_BITS as usize + 1],
    symbols: [u16; 258],
}

impl Code {
    fn new(lengths: &[u8]) -> Result<Box<Self>, Fault> {
        let mut code = Box::new(Self {
            fast: [0; 1 << FAST_BITS],
            limit: [0; 21],
            base: [0; 21],
            symbols: [0; 258],
        });
        let mut next = 0u32;
        let mut index = 0u32;
        for bits in 1..=MAX_CODE_BITS {
            let place = bits as usize;
            code.base[place] = next.wrapping_sub(index);
            for (symbol, _) in (0u16..)
                .zip(lengths)
                .filter(|(_, length)| u32::from(**length) == bits)
            {
                if next >> bits != 0 {
                    return Err(BAD_BLOCK);
                }
                *code.symbols.get_mut(index as usize).ok_or(BAD_BLOCK)? = symbol;
                if let Some(shift) = FAST_BITS.checked_sub(bits) {
                    let from = (next << shift) as usize;
                    let cells = code
                        .fast
                        .get_mut(from..from + (1 << shift))
                        .ok_or(BAD_BLOCK)?;
                    cells.fill(u32::from(symbol) << 8 | bits);
                }
                next += 1;
                index += 1;
            }
            code.limit[place] = next << (MAX_CODE_BITS - bits);
            next <<= 1;
        }
        Ok(code)
    }

    #[inline(always)]
    fn decode(&self, bits: &mut Bits<'_, '_>) -> Result<u16, Fault> {
        bits.refill()?;
        let cell = self.fast[bits.peek(FAST_BITS) as usize & ((1 << FAST_BITS) - 1)];
        if cell != 0 {
            bits.skip(cell & 0xff)?;
            return Ok((cell >> 8) as u16);
        }
        let ahead = bits.peek(MAX_CODE_BITS);
        for (length, (limit, base)) in (0u32..).zip(self.limit.iter().zip(&self.base)).skip(1) {
            if ahead < *limit {
                bits.skip(length)?;
                let index = (ahead >> (MAX_CODE_BITS - length)).wrapping_sub(*base);
                return self.symbols.get(index as usize).copied().ok_or(BAD_BLOCK);
            }
        }
        Err(BAD_BLOCK)
    }
}

/// Reads a block up to the end of its symbols: the transformed bytes go to `cells`. Returns how many there
/// are, and where the original begins.
fn read_block(bits: &mut Bits<'_, '_>, cells: &mut [u32]) -> Result<(usize, usize), Fault> {
    if bits.take(1)? != 0 {
        return Err(Fault::Unsupported("randomised bzip2 blocks"));
    }
    let origin = bits.take(24)? as usize;
    let mut bytes = read_alphabet(bits)?;
    let symbols = bytes.len() + 2;
    let tables = bits.take(3)? as usize;
    let selectors = bits.take(15)? as usize;
    if bytes.is_empty() || !(2..=6).contains(&tables) || selectors == 0 {
        return Err(BAD_BLOCK);
    }
    let choices = read_choices(bits, tables, selectors)?;
    let mut codes = Vec::with_capacity(tables);
    for _ in 0..tables {
        codes.push(read_code(bits, symbols)?);
    }
    let end_of_block = symbols as u16 - 1;
    let mut len = 0;
    let mut run = 0usize;
    let mut digit = 1usize;
    for choice in choices {
        let code = codes.get(usize::from(choice)).ok_or(BAD_BLOCK)?;
        for _ in 0..GROUP_SYMBOLS {
            let symbol = code.decode(bits)?;
            if symbol == RUN_A || symbol == RUN_B {
                // Digits 1 and 2 of a number in base two, low digit first. No run is longer than a block.
                run += digit << symbol;
                digit <<= 1;
                if run > cells.len() {
                    return Err(BAD_BLOCK);
                }
                continue;
            }
            if run > 0 {
                let byte = u32::from(*bytes.first().ok_or(BAD_BLOCK)?);
                cells.get_mut(len..len + run).ok_or(BAD_BLOCK)?.fill(byte);
                len += run;
                run = 0;
                digit = 1;
            }
            if symbol == end_of_block {
                return if origin < len {
                    Ok((len, origin))
                } else {
                    Err(BAD_BLOCK)
                };
            }
            let front = bytes.get_mut(..usize::from(symbol)).ok_or(BAD_BLOCK)?;
            front.rotate_right(1);
            let byte = u32::from(*front.first().ok_or(BAD_BLOCK)?);
            *cells.get_mut(len).ok_or(BAD_BLOCK)? = byte;
            len += 1;
        }
    }
    Err(BAD_BLOCK)
}

/// The bytes that occur in the block, ascending.
fn read_alphabet(bits: &mut Bits<'_, '_>) -> Result<Vec<u8>, Fault> {
    let rows = bits.take(16)?;
    let mut bytes = Vec::with_capacity(256);
    for row in (0u8..16).filter(|row| rows >> (15 - row) & 1 != 0) {
        let columns = bits.take(16)?;
        bytes.extend(
            (0u8..16)
                .filter(|column| columns >> (15 - column) & 1 != 0)
                .map(|column| row << 4 | column),
        );
    }
    Ok(bytes)
}

/// Which table each group of symbols uses.
fn read_choices(
    bits: &mut Bits<'_, '_>,
    tables: usize,
    selectors: usize,
) -> Result<Vec<u8>, Fault> {
    let mut order = [0, 1, 2, 3, 4, 5];
    let mut choices = Vec::with_capacity(selectors);
    for _ in 0..selectors {
        let mut place = 0;
        while bits.take(1)? != 0 {
            place += 1;
            if place >= tables {
                return Err(BAD_BLOCK);
            }
        }
        let front = order.get_mut(..=place).ok_or(BAD_BLOCK)?;
        front.rotate_right(1);
        choices.push(*front.first().ok_or(BAD_BLOCK)?);
    }
    Ok(choices)
}

/// Reads the lengths of a code's words, each as a difference to the one before.
fn read_code(bits: &mut Bits<'_, '_>, symbols: usize) -> Result<Box<Code>, Fault> {
    let mut lengths = [0u8; 258];
    let lengths = lengths.get_mut(..symbols).ok_or(BAD_BLOCK)?;
    let mut length = bits.take(5)?;
    for place in &mut *lengths {
        loop {
            if !(1..=MAX_CODE_BITS).contains(&length) {
                return Err(BAD_BLOCK);
            }
            if bits.take(1)? == 0 {
                break;
            }
            // Ends: a walk that stays between the bounds takes two bits a step out of the data.
            length = if bits.take(1)? == 0 {
                length + 1
            } else {
                length - 1
            };
        }
        *place = length as u8;
    }
    Code::new(lengths)
}

/// Undoes the Burrows-Wheeler transform of the bytes in `cells`, then the first run-length coding.
fn write_block(cells: &mut [u32], origin: usize, out: &mut Window<'_>) -> Result<(), Fault> {
    // The low byte of a cell stays its byte; above it goes the index of the cell that comes next.
    let mut starts = [0u32; 256];
    for cell in &*cells {
        starts[(cell & 0xff) as usize] += 1;
    }
    let mut sum = 0;
    for start in &mut starts {
        (*start, sum) = (sum, sum + *start);
    }
    for index in 0..cells.len() {
        let byte = cells.get(index).copied().unwrap_or(0) & 0xff;
        let start = &mut starts[byte as usize];
        if let Some(cell) = cells.get_mut(*start as usize) {
            *cell |= (index as u32) << 8;
        }
        *start += 1;
    }
    let mut at = cells.get(origin).copied().ok_or(BAD_BLOCK)? >> 8;
    let mut last = None;
    let mut repeats = 0;
    for _ in 0..cells.len() {
        let cell = cells.get(at as usize).copied().ok_or(BAD_BLOCK)?;
        at = cell >> 8;
        let byte = cell as u8;
        if repeats == 4 {
            // After four equal bytes comes how many more there are.
            out.fill(last.unwrap_or(0), byte.into())?;
            repeats = 0;
            last = None;
        } else {
            repeats = if last == Some(byte) { repeats + 1 } else { 1 };
            last = Some(byte);
            out.push(byte)?;
        }
    }
    Ok(())
}
