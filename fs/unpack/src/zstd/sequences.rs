//! The sequences of a block: so many literals, then a match (RFC 8878 sections 3.1.1.3.2 and 3.1.1.4).

use alloc::boxed::Box;

use super::entropy::{BackwardBits, Distribution};
use super::{CORRUPT_BLOCK, Fault, Window};

/// A cell of a decoding table: a number's base and extra bits, and the way to the next state.
#[derive(Clone, Copy, Default)]
struct Cell {
    base: u32,
    extra_bits: u8,
    state_bits: u8,
    state_base: u16,
}

/// What one of the three kinds of number is coded with.
struct Table {
    cells: Box<[Cell; 512]>,
    /// The table has `1 << log` cells; `None` before there is a table.
    log: Option<u32>,
    code: &'static Code,
}

/// The codes of one kind of number, and the table that is used unless a block brings its own.
struct Code {
    /// Base and extra bits of a code.
    value: fn(u8) -> Option<(u32, u8)>,
    symbols: usize,
    max_log: u32,
    predefined: &'static [i16],
    predefined_log: u32,
}

static LITERAL_LENGTHS: Code = Code {
    value: |code| {
        const BITS: [u8; 20] = [
            1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        ];
        number(code, 16, 0, &BITS)
    },
    symbols: 36,
    max_log: 9,
    predefined: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1,
        1, 1, -1, -1, -1, -1,
    ],
    predefined_log: 6,
};

static MATCH_LENGTHS: Code = Code {
    value: |code| {
        const BITS: [u8; 21] = [
            1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        ];
        number(code, 32, 3, &BITS)
    },
    symbols: 53,
    max_log: 9,
    predefined: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    predefined_log: 6,
};

static OFFSETS: Code = Code {
    value: |code| {
        if code < 32 {
            Some((1 << code, code))
        } else {
            None
        }
    },
    symbols: 32,
    max_log: 8,
    predefined: &[
        1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
    ],
    predefined_log: 5,
};

/// A length code: codes below `plain` stand for themselves plus `least`; the bases of the others follow
/// from their extra bits.
fn number(code: u8, plain: u8, least: u32, bits: &[u8]) -> Option<(u32, u8)> {
    let Some(index) = code.checked_sub(plain) else {
        return Some((u32::from(code) + least, 0));
    };
    let (before, rest) = bits.split_at_checked(usize::from(index))?;
    let base = before.iter().map(|bits| 1u32 << bits).sum::<u32>();
    Some((u32::from(plain) + least + base, *rest.first()?))
}

impl Table {
    fn new(code: &'static Code) -> Self {
        Self {
            cells: Box::new([Cell::default(); 512]),
            log: None,
            code,
        }
    }

    /// Sets the table as `mode` says, with what is at the front of `data`, and returns what follows.
    fn set<'a>(&mut self, mode: u8, data: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (distribution, rest) = match mode & 3 {
            0 => (
                Distribution::predefined(self.code.predefined, self.code.predefined_log),
                data,
            ),
            1 => {
                let (symbol, rest) = data.split_first().ok_or(CORRUPT_BLOCK)?;
                let (base, extra_bits) = (self.code.value)(*symbol).ok_or(CORRUPT_BLOCK)?;
                self.cells[0] = Cell {
                    base,
                    extra_bits,
                    state_bits: 0,
                    state_base: 0,
                };
                self.log = Some(0);
                return Ok(rest);
            }
            2 => Distribution::read(data, self.code.symbols, self.code.max_log)?,
            _ => {
                return if self.log.is_some() {
                    Ok(data)
                } else {
                    Err(CORRUPT_BLOCK)
                };
            }
        };
        let mut known = true;
        distribution.lay_out(|index, symbol, bits, state_base| {
            match (self.code.value)(symbol) {
                Some((base, extra_bits)) => {
                    self.cells[index & 511] = Cell {
                        base,
                        extra_bits,
                        state_bits: bits as u8,
                        state_base,
                    };
                }
                None => known = false,
            }
        })?;
        self.log = Some(distribution.log());
        if known { Ok(rest) } else { Err(CORRUPT_BLOCK) }
    }

    fn start(&self, stream: &mut BackwardBits<'_>) -> usize {
        stream.take(self.log.unwrap_or(0)) as usize
    }

    #[inline(always)]
    fn cell(&self, state: usize) -> Cell {
        self.cells[state & 511]
    }
}

/// The tables and last offsets, which live on from block to block.
pub(super) struct Sequences {
    literal_lengths: Table,
    match_lengths: Table,
    offsets: Table,
    last_offsets: [u32; 3],
}

impl Sequences {
    pub(super) fn new() -> Self {
        Self {
            literal_lengths: Table::new(&LITERAL_LENGTHS),
            match_lengths: Table::new(&MATCH_LENGTHS),
            offsets: Table::new(&OFFSETS),
            last_offsets: [1, 4, 8],
        }
    }

    /// Decodes the sequences in `data` and writes what they and `literals` make to `out`.
    pub(super) fn execute(
        &mut self,
        data: &[u8],
        literals: &[u8],
        out: &mut Window<'_>,
        floor: usize,
    ) -> Result<(), Fault> {
        let (count, data) = match data {
            [0] => (0, &[][..]),
            [n @ 1..=127, rest @ ..] => (u32::from(*n), rest),
            [n @ 128..=254, m, rest @ ..] => (u32::from(*n - 128) << 8 | u32::from(*m), rest),
            [255, m, n, rest @ ..] => (u32::from(u16::from_le_bytes([*m, *n])) + 0x7f00, rest),
            _ => return Err(CORRUPT_BLOCK),
        };
        if count == 0 {
            return out.append(literals);
        }
        let (modes, data) = data.split_first().ok_or(CORRUPT_BLOCK)?;
        if modes & 3 != 0 {
            return Err(CORRUPT_BLOCK);
        }
        let data = self.literal_lengths.set(modes >> 6, data)?;
        let data = self.offsets.set(modes >> 4, data)?;
        let data = self.match_lengths.set(modes >> 2, data)?;
        let mut stream = BackwardBits::new(data)?;
        stream.refill();
        let mut literal_state = self.literal_lengths.start(&mut stream);
        let mut offset_state = self.offsets.start(&mut stream);
        let mut match_state = self.match_lengths.start(&mut stream);
        let mut used = 0;
        for left in (0..count).rev() {
            let literal_cell = self.literal_lengths.cell(literal_state);
            let match_cell = self.match_lengths.cell(match_state);
            let offset_cell = self.offsets.cell(offset_state);
            stream.refill();
            let offset_code = offset_cell
                .base
                .wrapping_add(stream.take(offset_cell.extra_bits.into()));
            stream.refill();
            let match_len = match_cell.base + stream.take(match_cell.extra_bits.into());
            let literal_len = literal_cell.base + stream.take(literal_cell.extra_bits.into());
            if left > 0 {
                stream.refill();
                literal_state = next(literal_cell, &mut stream);
                match_state = next(match_cell, &mut stream);
                offset_state = next(offset_cell, &mut stream);
            }
            let offset = self.offset(offset_code, literal_len)?;
            let end = used + literal_len as usize;
            let here = literals.get(used..end).ok_or(CORRUPT_BLOCK)?;
            out.append_near(here, literals.get(used..).unwrap_or_default())?;
            used = end;
            out.copy(offset as usize, match_len as usize, floor)?;
        }
        if stream.left() != 0 {
            return Err(CORRUPT_BLOCK);
        }
        out.append(literals.get(used..).unwrap_or_default())
    }

    /// The offset that `code` means, which may be one of the last three (section 3.1.1.5).
    #[inline(always)]
    fn offset(&mut self, code: u32, literal_len: u32) -> Result<u32, Fault> {
        let [first, second, third] = self.last_offsets;
        let choice = if code > 3 {
            4
        } else {
            code + u32::from(literal_len == 0)
        };
        let offset = match choice {
            4 if code > 3 => code - 3,
            1 => return Ok(first),
            2 => {
                self.last_offsets = [second, first, third];
                return Ok(second);
            }
            3 => third,
            _ => first.wrapping_sub(1),
        };
        if offset == 0 {
            return Err(CORRUPT_BLOCK);
        }
        self.last_offsets = [offset, first, second];
        Ok(offset)
    }
}

#[inline(always)]
fn next(cell: Cell, stream: &mut BackwardBits<'_>) -> usize {
    usize::from(cell.state_base) + stream.take(cell.state_bits.into()) as usize
}
