//! Bit streams and FSE tables (RFC 8878 section 4.1).

use super::{CORRUPT_BLOCK, Fault};

/// The most symbols an FSE table here has: 53 match length codes.
pub(super) const MAX_SYMBOLS: usize = 53;

/// A bit stream that is read from its end to its beginning.
///
/// Reading past the beginning yields zeros and makes [`BackwardBits::left`] negative.
pub(super) struct BackwardBits<'a> {
    data: &'a [u8],
    /// The bytes not yet in `bits`: `data[..at]`.
    at: usize,
    /// The next bits, high first. Below the counted ones there may be more true bits or zeros.
    bits: u64,
    /// How many of `bits` count; negative once more was taken than there was.
    count: i32,
}

impl<'a> BackwardBits<'a> {
    /// The stream in all of `data`, whose last byte holds the end mark.
    pub(super) fn new(data: &'a [u8]) -> Result<Self, Fault> {
        let last = data
            .last()
            .copied()
            .filter(|last| *last != 0)
            .ok_or(CORRUPT_BLOCK)?;
        let mut stream = Self {
            data,
            at: data.len(),
            bits: 0,
            count: 0,
        };
        stream.refill();
        stream.skip(last.leading_zeros() + 1);
        Ok(stream)
    }

    /// Makes at least 56 bits ready, or all that are left.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let words = self
            .at
            .checked_sub(8)
            .and_then(|from| self.data.get(from..self.at));
        if let Some(word) = words.and_then(|bytes| bytes.first_chunk::<8>())
            && (0..64).contains(&self.count)
        {
            self.bits |= u64::from_le_bytes(*word) >> self.count;
            let bytes = (63 - self.count) >> 3;
            self.at -= bytes as usize;
            self.count += bytes * 8;
        } else {
            self.refill_slowly();
        }
    }

    #[inline(never)]
    fn refill_slowly(&mut self) {
        while (0..=56).contains(&self.count)
            && let Some(at) = self.at.checked_sub(1)
            && let Some(byte) = self.data.get(at)
        {
            self.bits |= u64::from(*byte) << (56 - self.count);
            self.count += 8;
            self.at = at;
        }
    }

    /// The next `len` bits (1 to 32), without taking them.
    #[inline(always)]
    pub(super) fn peek(&self, len: u32) -> u32 {
        (self.bits >> 32) as u32 >> ((32 - len) & 31)
    }

    /// Takes `len` bits (at most 56 between two refills).
    #[inline(always)]
    pub(super) fn skip(&mut self, len: u32) {
        self.bits <<= len & 63;
        self.count -= len as i32;
    }

    /// Takes the next `len` bits (0 to 31).
    #[inline(always)]
    pub(super) fn take(&mut self, len: u32) -> u32 {
        // Two shifts, because a shift by 64 is not a shift to nothing.
        let value = (self.bits >> 1 >> ((63 - len) & 63)) as u32;
        self.skip(len);
        value
    }

    /// How many bits are left; negative if too many were taken.
    pub(super) fn left(&self) -> i64 {
        self.at as i64 * 8 + i64::from(self.count)
    }
}

/// How often each symbol stands in an FSE table, and the table's size.
pub(super) struct Distribution {
    /// Cells of each symbol; -1 is one cell at the end, for "less than one".
    cells: [i16; MAX_SYMBOLS],
    /// The table has `1 << log` cells.
    log: u32,
}

impl Distribution {
    /// A distribution that the format itself defines.
    pub(super) fn predefined(cells: &[i16], log: u32) -> Self {
        let mut all = [0; MAX_SYMBOLS];
        for (to, from) in all.iter_mut().zip(cells) {
            *to = *from;
        }
        Self { cells: all, log }
    }

    /// Reads a distribution from the front of `data`, and returns it with what follows it.
    pub(super) fn read(data: &[u8], symbols: usize, max_log: u32) -> Result<(Self, &[u8]), Fault> {
        let mut bits = ForwardBits { data, at: 0 };
        let log = bits.take(4) + 5;
        if log > max_log {
            return Err(CORRUPT_BLOCK);
        }
        let mut cells = [0i16; MAX_SYMBOLS];
        let mut left = 1i32 << log;
        let mut places = cells.iter_mut().take(symbols);
        while left > 0 {
            // Numbers up to `left + 1`: the smaller ones take one bit less.
            let most = left as u32 + 1;
            let len = 32 - most.leading_zeros();
            let short_mask = (1 << (len - 1)) - 1;
            let short_count = (1 << len) - 1 - most;
            let mut value = bits.peek(len);
            if value & short_mask < short_count {
                value &= short_mask;
                bits.at += len as usize - 1;
            } else {
                if value > short_mask {
                    value -= short_count;
                }
                bits.at += len as usize;
            }
            let cell = value as i32 - 1;
            left -= cell.abs();
            *places.next().ok_or(CORRUPT_BLOCK)? = cell as i16;
            // After a symbol that does not occur comes how many more there are, three and on.
            let mut zeros = if cell == 0 { 3 } else { 0 };
            while zeros == 3 {
                zeros = bits.take(2);
                for _ in 0..zeros {
                    places.next().ok_or(CORRUPT_BLOCK)?;
                }
            }
        }
        let used = bits.at.div_ceil(8);
        match data.get(used..) {
            Some(rest) if left == 0 => Ok((Self { cells, log }, rest)),
            _ => Err(CORRUPT_BLOCK),
        }
    }

    pub(super) fn log(&self) -> u32 {
        self.log
    }

    /// Lays out the table: calls `cell(index, symbol, bits, base)` for each index below `1 << log`, where
    /// the next state is `base` plus the next `bits` bits.
    pub(super) fn lay_out(&self, mut cell: impl FnMut(usize, u8, u32, u16)) -> Result<(), Fault> {
        let size = 1usize << self.log;
        let mut symbols = [0u8; 512];
        let symbols = symbols.get_mut(..size).ok_or(CORRUPT_BLOCK)?;
        let mut next = [0u32; MAX_SYMBOLS];
        let mut high = size;
        for ((symbol, cells), next) in (0u8..).zip(&self.cells).zip(&mut next) {
            *next = u32::from(cells.unsigned_abs());
            if *cells < 0 {
                high = high.checked_sub(1).ok_or(CORRUPT_BLOCK)?;
                *symbols.get_mut(high).ok_or(CORRUPT_BLOCK)? = symbol;
            }
        }
        let step = (size >> 1) + (size >> 3) + 3;
        let mut at = 0;
        for (symbol, cells) in (0u8..).zip(&self.cells) {
            for _ in 0..*cells {
                *symbols.get_mut(at).ok_or(CORRUPT_BLOCK)? = symbol;
                // Ends: the step is odd, so it reaches every place, and place 0 is below `high`.
                loop {
                    at = (at + step) & (size - 1);
                    if at < high || high == 0 {
                        break;
                    }
                }
            }
        }
        if at != 0 {
            return Err(CORRUPT_BLOCK);
        }
        for (index, symbol) in symbols.iter().enumerate() {
            let next = next.get_mut(usize::from(*symbol)).ok_or(CORRUPT_BLOCK)?;
            let bits = self
                .log
                .checked_sub(next.checked_ilog2().ok_or(CORRUPT_BLOCK)?)
                .ok_or(CORRUPT_BLOCK)?;
            let base = (*next << bits)
                .checked_sub(size as u32)
                .ok_or(CORRUPT_BLOCK)?;
            cell(index, *symbol, bits, base as u16);
            *next += 1;
        }
        Ok(())
    }
}

/// A bit stream that is read forwards, low bits first. Zeros follow its end.
struct ForwardBits<'a> {
    data: &'a [u8],
    /// Bits taken.
    at: usize,
}

impl ForwardBits<'_> {
    /// The next `len` bits, at most 16.
    fn peek(&self, len: u32) -> u32 {
        let mut bytes = [0; 4];
        let rest = self.data.get(self.at / 8..).unwrap_or_default();
        for (to, from) in bytes.iter_mut().zip(rest) {
            *to = *from;
        }
        u32::from_le_bytes(bytes) >> (self.at % 8) & ((1 << len) - 1)
    }

    fn take(&mut self, len: u32) -> u32 {
        let value = self.peek(len);
        self.at += len as usize;
        value
    }
}
