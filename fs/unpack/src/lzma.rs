//! LZMA, as `.lzma` files and the chunks of LZMA2 hold it.
//!
//! [`Lzma`] is the model (probabilities and last distances), [`RangeDecoder`] the entropy decoder.
//! Written after the LZMA specification in the LZMA SDK (`DOC/lzma-specification.txt`, public domain).
//! The window is the dictionary, so dictionaries of any size cost nothing. Every array has a power of
//! two for its length and every index is masked: that keeps the inner loops free of panics and of
//! bounds checks alike.

use alloc::boxed::Box;
use alloc::vec;

use super::{Fault, Input, Window};

/// A probability that the next bit is 0, in 2048ths.
type Prob = u16;
const EVEN: Prob = 1024;

/// States of the model that follow a literal are below this.
const LITERAL_STATES: usize = 7;
const SHORTEST_MATCH: usize = 2;

/// Reads bits whose probabilities the model knows.
pub(super) struct RangeDecoder {
    range: u32,
    code: u32,
}

impl RangeDecoder {
    /// Reads the five bytes at the start of a run of coded bits.
    pub(super) fn new(input: &mut Input<'_>) -> Result<Self, Fault> {
        let [zero, code @ ..] = input.array::<5>()?;
        if zero != 0 {
            return Err(Fault::Corrupt("bad start of lzma data"));
        }
        Ok(Self {
            range: u32::MAX,
            code: u32::from_be_bytes(code),
        })
    }

    /// Whether the run ended where an encoder ends it.
    pub(super) fn is_finished(&mut self, input: &mut Input<'_>) -> bool {
        self.normalise(input);
        self.code == 0
    }

    #[inline(always)]
    fn normalise(&mut self, input: &mut Input<'_>) {
        if self.range < 1 << 24 {
            self.range <<= 8;
            self.code = self.code << 8 | u32::from(input.byte_or_zero());
        }
    }

    #[inline(always)]
    fn bit(&mut self, input: &mut Input<'_>, prob: &mut Prob) -> usize {
        self.normalise(input);
        let bound = (self.range >> 11).wrapping_mul(u32::from(*prob));
        if self.code < bound {
            self.range = bound;
            *prob = prob.wrapping_add(2048u16.wrapping_sub(*prob) >> 5);
            0
        } else {
            self.range = self.range.wrapping_sub(bound);
            self.code = self.code.wrapping_sub(bound);
            *prob = prob.wrapping_sub(*prob >> 5);
            1
        }
    }

    /// As [`RangeDecoder::bit`], without a branch on the bit: for the bits of a number, which no processor foresees.
    #[inline(always)]
    fn digit(&mut self, input: &mut Input<'_>, prob: &mut Prob) -> usize {
        self.normalise(input);
        let before = i32::from(*prob);
        let bound = (self.range >> 11).wrapping_mul(u32::from(*prob));
        let one = self.code >= bound;
        // All ones for a 1.
        let mask = 0u32.wrapping_sub(u32::from(one));
        self.range = bound.wrapping_add(mask & self.range.wrapping_sub(bound.wrapping_mul(2)));
        self.code = self.code.wrapping_sub(bound & mask);
        // (2048 - p) / 32 is added for a 0; for a 1, p / 32 is taken away, which is (p - 31) / 32 rounded up.
        let towards = if one { 31 } else { 2048i32 };
        *prob = before.wrapping_add(towards.wrapping_sub(before) >> 5) as Prob;
        usize::from(one)
    }

    /// A number of `bits` bits, high bit first, each with its own probability in the tree `probs`.
    #[inline(always)]
    fn tree<const N: usize>(
        &mut self,
        input: &mut Input<'_>,
        probs: &mut [Prob; N],
        bits: u32,
    ) -> usize {
        let mut symbol = 1;
        for _ in 0..bits {
            symbol = symbol << 1 | self.digit(input, &mut probs[symbol & (N - 1)]);
        }
        symbol - (1 << bits)
    }

    /// As [`RangeDecoder::tree`], low bit first, with the tree's root before `probs[base + 1]`.
    #[inline(always)]
    fn reverse_tree<const N: usize>(
        &mut self,
        input: &mut Input<'_>,
        probs: &mut [Prob; N],
        base: usize,
        bits: u32,
    ) -> u32 {
        let mut symbol = 1;
        let mut value = 0;
        for place in 0..bits {
            let bit = self.digit(input, &mut probs[base.wrapping_add(symbol) & (N - 1)]);
            symbol = symbol << 1 | bit;
            value |= (bit as u32) << place;
        }
        value
    }

    /// A number of `bits` bits, each as likely 0 as 1.
    #[inline(always)]
    fn direct(&mut self, input: &mut Input<'_>, bits: u32) -> u32 {
        let mut value = 0u32;
        for _ in 0..bits {
            self.normalise(input);
            self.range >>= 1;
            let one = self.code >= self.range;
            if one {
                self.code = self.code.wrapping_sub(self.range);
            }
            value = value << 1 | u32::from(one);
        }
        value
    }
}

/// The coder of match lengths.
struct Lengths {
    is_long: Prob,
    is_longer: Prob,
    short: [[Prob; 8]; 16],
    long: [[Prob; 8]; 16],
    longer: [Prob; 256],
}

impl Lengths {
    const NEW: Self = Self {
        is_long: EVEN,
        is_longer: EVEN,
        short: [[EVEN; 8]; 16],
        long: [[EVEN; 8]; 16],
        longer: [EVEN; 256],
    };

    #[inline(always)]
    fn decode(
        &mut self,
        range: &mut RangeDecoder,
        input: &mut Input<'_>,
        pos_state: usize,
    ) -> usize {
        SHORTEST_MATCH
            + if range.bit(input, &mut self.is_long) == 0 {
                range.tree(input, &mut self.short[pos_state & 15], 3)
            } else if range.bit(input, &mut self.is_longer) == 0 {
                8 + range.tree(input, &mut self.long[pos_state & 15], 3)
            } else {
                16 + range.tree(input, &mut self.longer, 8)
            }
    }
}

/// How the parts of a position and of the last literal choose probabilities.
#[derive(Clone, Copy)]
pub(super) struct Properties {
    /// High bits of the previous byte that count for a literal (0 to 8).
    literal_context: u32,
    /// Mask of the position's bits that count for a literal.
    literal_mask: usize,
    /// Mask of the position's bits that count elsewhere (at most 15).
    position_mask: usize,
}

impl Properties {
    /// Decodes the byte `(pb * 5 + lp) * 9 + lc`. Only `lc + lp` up to 4 is taken: LZMA2 allows no
    /// more, and kernels packed as `.lzma` have 3.
    pub(super) fn new(byte: u8) -> Result<Self, Fault> {
        let (lc, rest) = (byte % 9, byte / 9);
        let (lp, pb) = (rest % 5, rest / 5);
        if pb > 4 {
            return Err(Fault::Corrupt("bad lzma properties"));
        }
        if lc + lp > 4 {
            return Err(Fault::Unsupported("lzma with lc + lp above 4"));
        }
        Ok(Self {
            literal_context: lc.into(),
            literal_mask: (1 << lp) - 1,
            position_mask: (1 << pb) - 1,
        })
    }
}

/// The probabilities, which a reset sets back to even.
struct Model {
    is_match: [[Prob; 16]; 16],
    is_rep: [Prob; 16],
    is_rep1_or_more: [Prob; 16],
    is_rep2_or_more: [Prob; 16],
    is_rep3: [Prob; 16],
    is_rep0_long: [[Prob; 16]; 16],
    slots: [[Prob; 64]; 4],
    special: [Prob; 128],
    align: [Prob; 16],
    match_lengths: Lengths,
    rep_lengths: Lengths,
}

impl Model {
    const NEW: Self = Self {
        is_match: [[EVEN; 16]; 16],
        is_rep: [EVEN; 16],
        is_rep1_or_more: [EVEN; 16],
        is_rep2_or_more: [EVEN; 16],
        is_rep3: [EVEN; 16],
        is_rep0_long: [[EVEN; 16]; 16],
        slots: [[EVEN; 64]; 4],
        special: [EVEN; 128],
        align: [EVEN; 16],
        match_lengths: Lengths::NEW,
        rep_lengths: Lengths::NEW,
    };
}

/// A decoder's memory between runs of coded bits.
pub(super) struct Lzma {
    properties: Properties,
    model: Box<Model>,
    /// 16 sets of 1024 (768 used): one for each value of the `lc + lp` context bits.
    literals: Box<[[Prob; 1024]]>,
    /// 0 to 11: what the last few steps were.
    state: usize,
    /// The last four distances, less one.
    reps: [u32; 4],
}

/// Why [`Lzma::decode`] returned.
#[derive(PartialEq, Eq)]
pub(super) enum Stop {
    /// As many bytes as asked for were written.
    Limit,
    /// The end marker was read.
    Marker,
}

impl Lzma {
    pub(super) fn new(properties: Properties) -> Self {
        Self {
            properties,
            model: Box::new(Model::NEW),
            literals: vec![[EVEN; 1024]; 16].into_boxed_slice(),
            state: 0,
            reps: [0; 4],
        }
    }

    /// Forgets what was learnt, as LZMA2 asks at some chunks.
    pub(super) fn reset(&mut self, properties: Properties) {
        self.properties = properties;
        *self.model = Model::NEW;
        self.literals.fill([EVEN; 1024]);
        self.state = 0;
        self.reps = [0; 4];
    }

    /// Forgets what was learnt but keeps the properties.
    pub(super) fn reset_state(&mut self) {
        self.reset(self.properties);
    }

    /// Decodes until `out` holds `limit` bytes or the end marker comes. History begins at `floor`.
    pub(super) fn decode(
        &mut self,
        range: &mut RangeDecoder,
        input: &mut Input<'_>,
        out: &mut Window<'_>,
        floor: usize,
        limit: usize,
    ) -> Result<Stop, Fault> {
        // A copy of its own stays in registers.
        let mut local = RangeDecoder { ..*range };
        let result = self.decode_with(&mut local, input, out, floor, limit);
        *range = local;
        result
    }

    #[inline(always)]
    fn decode_with(
        &mut self,
        range: &mut RangeDecoder,
        input: &mut Input<'_>,
        out: &mut Window<'_>,
        floor: usize,
        limit: usize,
    ) -> Result<Stop, Fault> {
        while out.len() < limit {
            input.check()?;
            let position = out.len() - floor;
            let pos_state = position & self.properties.position_mask;
            let state = self.state & 15;
            let model = &mut *self.model;
            if range.bit(input, &mut model.is_match[state][pos_state & 15]) == 0 {
                let byte = self.literal(range, input, out, position);
                out.push(byte)?;
                continue;
            }
            let len;
            if range.bit(input, &mut model.is_rep[state]) == 0 {
                len = model.match_lengths.decode(range, input, pos_state);
                let distance = distance(model, range, input, len);
                if distance == u32::MAX {
                    input.check()?;
                    return Ok(Stop::Marker);
                }
                let [r0, r1, r2, _] = self.reps;
                self.reps = [distance, r0, r1, r2];
                self.state = if state < LITERAL_STATES { 7 } else { 10 };
            } else {
                let [r0, r1, r2, r3] = self.reps;
                if range.bit(input, &mut model.is_rep1_or_more[state]) == 0 {
                    if range.bit(input, &mut model.is_rep0_long[state][pos_state & 15]) == 0 {
                        self.state = if state < LITERAL_STATES { 9 } else { 11 };
                        out.copy(after(r0), 1, floor)?;
                        continue;
                    }
                } else if range.bit(input, &mut model.is_rep2_or_more[state]) == 0 {
                    self.reps = [r1, r0, r2, r3];
                } else if range.bit(input, &mut model.is_rep3[state]) == 0 {
                    self.reps = [r2, r0, r1, r3];
                } else {
                    self.reps = [r3, r0, r1, r2];
                }
                len = model.rep_lengths.decode(range, input, pos_state);
                self.state = if state < LITERAL_STATES { 8 } else { 11 };
            }
            input.check()?;
            if len > limit - out.len() {
                return Err(Fault::Corrupt("an lzma match crosses the end of its chunk"));
            }
            out.copy(after(self.reps[0]), len, floor)?;
        }
        input.check()?;
        Ok(Stop::Limit)
    }

    #[inline(always)]
    fn literal(
        &mut self,
        range: &mut RangeDecoder,
        input: &mut Input<'_>,
        out: &Window<'_>,
        position: usize,
    ) -> u8 {
        let Properties {
            literal_context,
            literal_mask,
            ..
        } = self.properties;
        let previous = if position == 0 {
            0
        } else {
            usize::from(out.back(1))
        };
        let context =
            (position & literal_mask) << literal_context | previous >> (8 - literal_context);
        let Some(probs) = self.literals.get_mut(context) else {
            return 0;
        };
        let mut symbol = 1;
        if self.state < LITERAL_STATES {
            while symbol < 0x100 {
                symbol = symbol << 1 | range.digit(input, &mut probs[symbol & 1023]);
            }
        } else {
            // After a match the byte it would have gone on with is a good guess: as long as the bits
            // agree with it, it chooses the probabilities.
            let mut guess = usize::from(out.back(after(self.reps[0])));
            let mut offset = 0x100;
            while symbol < 0x100 {
                guess <<= 1;
                let guessed = guess & offset;
                let bit = range.digit(input, &mut probs[(offset + guessed + symbol) & 1023]);
                symbol = symbol << 1 | bit;
                offset &= guessed ^ bit.wrapping_sub(1);
            }
        }
        self.state = match self.state {
            0..=3 => 0,
            4..=9 => self.state - 3,
            _ => self.state - 6,
        };
        symbol as u8
    }
}

/// A stored distance as the number of bytes to go back.
#[inline(always)]
fn after(stored: u32) -> usize {
    (stored as usize).wrapping_add(1)
}

/// The stored distance of a match of `len` bytes.
#[inline(always)]
fn distance(model: &mut Model, range: &mut RangeDecoder, input: &mut Input<'_>, len: usize) -> u32 {
    let set = (len - SHORTEST_MATCH).min(3);
    let slot = range.tree(input, &mut model.slots[set], 6) as u32;
    if slot < 4 {
        return slot;
    }
    let low_bits = (slot >> 1) - 1;
    let high = (2 | slot & 1) << low_bits;
    if slot < 14 {
        let base = (high - slot) as usize;
        high | range.reverse_tree(input, &mut model.special, base, low_bits)
    } else {
        let middle = range.direct(input, low_bits - 4) << 4;
        high | middle | range.reverse_tree(input, &mut model.align, 0, 4)
    }
}

/// Decodes a `.lzma` file: properties, dictionary size, length (or all ones), data.
pub(super) fn unpack_alone(input: &mut Input<'_>, out: &mut Window<'_>) -> Result<(), Fault> {
    let properties = Properties::new(input.byte()?)?;
    let _dictionary = input.array::<4>()?;
    let len = u64::from_le_bytes(input.array()?);
    let floor = out.len();
    let limit = match len {
        u64::MAX => usize::MAX,
        _ => usize::try_from(len)
            .ok()
            .and_then(|len| floor.checked_add(len))
            .ok_or(Fault::Full)?,
    };
    let mut range = RangeDecoder::new(input)?;
    Lzma::new(properties).decode(&mut range, input, out, floor, limit)?;
    Ok(())
}
