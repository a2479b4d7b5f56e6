//! The output of a decoder, which is its history as well.

use super::{Fault, Input};

/// Bytes copied at a time where a copy may write a little further than it must.
const WORD: usize = 16;

/// A slice that fills from the front.
///
/// In a *keeping* window the end of the slice is the end of the output: more is [`Fault::Full`]. A
/// *discarding* window counts what comes after the end of the slice and forgets it; only formats that
/// keep their own history (gzip, bzip2) may write to one.
pub struct Window<'a> {
    out: &'a mut [u8],
    /// Bytes of `out` written; `at <= out.len()`.
    at: usize,
    /// Bytes that came after the end of `out`.
    discarded: u64,
    /// How many of those there may be.
    may_discard: u64,
}

impl<'a> Window<'a> {
    /// A window that holds at most `out.len()` bytes.
    pub fn keeping(out: &'a mut [u8]) -> Self {
        Self {
            out,
            at: 0,
            discarded: 0,
            may_discard: 0,
        }
    }

    /// A window that keeps the first `out.len()` bytes and only counts the rest, up to `limit` in all.
    pub fn discarding(out: &'a mut [u8], limit: u64) -> Self {
        let may_discard = limit.saturating_sub(out.len() as u64);
        Self {
            out,
            at: 0,
            discarded: 0,
            may_discard,
        }
    }

    /// Bytes kept.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing was kept yet.
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// Bytes decoded, kept or not.
    pub fn total(&self) -> u64 {
        self.at as u64 + self.discarded
    }

    /// The bytes kept from `start` on.
    pub fn since(&self, start: usize) -> &[u8] {
        self.out.get(start..self.at).unwrap_or_default()
    }

    /// The bytes kept from `start` on, to be changed in place by a filter.
    pub fn since_mut(&mut self, start: usize) -> &mut [u8] {
        self.out.get_mut(start..self.at).unwrap_or_default()
    }

    /// The space not yet written.
    pub fn space(&mut self) -> &mut [u8] {
        self.out.get_mut(self.at..).unwrap_or_default()
    }

    /// Says that `len` bytes were written to the front of [`Window::space`].
    pub fn advance(&mut self, len: usize) {
        self.at = self.out.len().min(self.at + len);
    }

    /// Appends one byte.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) -> Result<(), Fault> {
        match self.out.get_mut(self.at) {
            Some(place) => {
                *place = byte;
                self.at += 1;
                Ok(())
            }
            None => self.append(&[byte]),
        }
    }

    /// Appends `bytes`, as many as fit.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let space = self.space();
        let fits = space.len().min(bytes.len());
        if let (Some(to), Some(from)) = (space.get_mut(..fits), bytes.get(..fits)) {
            to.copy_from_slice(from);
        }
        self.at += fits;
        self.discarded += (bytes.len() - fits) as u64;
        if self.discarded > self.may_discard {
            return Err(Fault::Full);
        }
        Ok(())
    }

    /// Appends `bytes`, which is the front of `more`.
    ///
    /// For the many short pieces of zstd: where there is room, a whole word is written in place of a
    /// few bytes, and what comes next overwrites the surplus.
    #[inline(always)]
    pub fn append_near(&mut self, bytes: &[u8], more: &[u8]) -> Result<(), Fault> {
        if bytes.len() <= WORD
            && let Some(word) = more.first_chunk::<WORD>()
            && let Some(place) = self
                .out
                .get_mut(self.at..)
                .and_then(|space| space.first_chunk_mut::<WORD>())
        {
            *place = *word;
            self.at += bytes.len();
            return Ok(());
        }
        self.append(bytes)
    }

    /// Appends `byte` `len` times, as often as fits.
    pub fn fill(&mut self, byte: u8, len: usize) -> Result<(), Fault> {
        let space = self.space();
        let fits = space.len().min(len);
        if let Some(to) = space.get_mut(..fits) {
            to.fill(byte);
        }
        self.at += fits;
        if fits == len {
            Ok(())
        } else {
            Err(Fault::Full)
        }
    }

    /// Appends the next `len` bytes of `input`, as many as fit.
    pub fn read_from(&mut self, input: &mut Input<'_>, len: usize) -> Result<(), Fault> {
        let space = self.space();
        let fits = space.len().min(len);
        let Some(to) = space.get_mut(..fits) else {
            return Ok(());
        };
        input.exact(to)?;
        self.at += fits;
        if fits == len {
            Ok(())
        } else {
            Err(Fault::Full)
        }
    }

    /// The byte `distance` before the end, 1 being the last one written; 0 before the beginning.
    #[inline(always)]
    pub fn back(&self, distance: usize) -> u8 {
        self.out
            .get(self.at.wrapping_sub(distance))
            .copied()
            .unwrap_or(0)
    }

    /// Appends `len` bytes from `distance` before the end, which may overlap what is being written.
    ///
    /// `floor` is where the history begins: a match may not reach before it.
    #[inline(always)]
    pub fn copy(&mut self, distance: usize, len: usize, floor: usize) -> Result<(), Fault> {
        let start = match self.at.checked_sub(distance) {
            Some(start) if distance > 0 && start >= floor => start,
            _ => {
                return Err(Fault::Corrupt(
                    "a match reaches before the start of the data",
                ));
            }
        };
        if distance >= WORD && len <= 4 * WORD && self.copy_words(start, len) {
            return Ok(());
        }
        let end = self.at.saturating_add(len).min(self.out.len());
        let wanted = end - self.at;
        if distance >= wanted {
            let (history, space) = self.out.split_at_mut(self.at);
            if let (Some(from), Some(to)) =
                (history.get(start..start + wanted), space.get_mut(..wanted))
            {
                to.copy_from_slice(from);
            }
        } else if distance == 1 {
            let byte = self.back(1);
            if let Some(to) = self.out.get_mut(self.at..end) {
                to.fill(byte);
            }
        } else {
            self.copy_overlapping(start, end);
        }
        self.at = end;
        if wanted == len {
            Ok(())
        } else {
            Err(Fault::Full)
        }
    }

    /// Copies `len` bytes from `start`, at least a word back, in whole words; false if there is no room for that.
    ///
    /// Short matches are by far the most, and for them a call of memmove costs more than the copy.
    #[inline(always)]
    fn copy_words(&mut self, start: usize, len: usize) -> bool {
        let rounded = len.next_multiple_of(WORD);
        let Some(piece) = self.out.get_mut(start..self.at + rounded) else {
            return false;
        };
        let distance = self.at - start;
        let mut done = 0;
        while done < len {
            let Some(word) = piece
                .get(done..)
                .and_then(|rest| rest.first_chunk::<WORD>())
                .copied()
            else {
                break;
            };
            if let Some(place) = piece
                .get_mut(distance + done..)
                .and_then(|rest| rest.first_chunk_mut::<WORD>())
            {
                *place = word;
            }
            done += WORD;
        }
        self.at += len;
        true
    }

    /// Repeats the bytes from `start` to the end of the history until `end`, doubling the piece each time.
    fn copy_overlapping(&mut self, start: usize, end: usize) {
        let mut at = self.at;
        while at < end {
            let piece = (at - start).min(end - at);
            self.out.copy_within(start..start + piece, at);
            at += piece;
        }
    }
}
