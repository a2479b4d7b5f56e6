//! Compressed bytes in, a chunk at a time.

use alloc::boxed::Box;
use alloc::vec;

use super::Source;
use super::{Fault, Inflate};

/// Bytes asked of the file at a time. Large enough that a pipelined disk is kept busy by one call.
const CHUNK_BYTES: usize = 256 << 10;

/// How far ahead of the last chunk the file is asked to read while a chunk is decoded.
const AHEAD_BYTES: u64 = 1 << 20;

/// A part of the file, read in order.
pub struct FileFeed<'a> {
    source: &'a dyn Source,
    at: u64,
    end: u64,
}

impl<'a> FileFeed<'a> {
    /// The bytes of `source` from `start` to `end`, neither beyond the file's length.
    pub fn new(source: &'a dyn Source, start: u64, end: u64) -> Self {
        let end = end.min(source.len());
        Self {
            source,
            at: start.min(end),
            end,
        }
    }

    /// Fills the front of `out` and says how much; 0 is the end.
    fn fill(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let take = left.min(out.len());
        let Some(out) = out.get_mut(..take) else {
            return Ok(0);
        };
        if take == 0 {
            return Ok(0);
        }
        self.source
            .read_at(self.at, out)
            .map_err(|error| Fault::Source(Box::new(error)))?;
        self.at += take as u64;
        // Said after the read, so that the chunk just read is not waited for behind it.
        let ahead = AHEAD_BYTES.min(self.end - self.at);
        if ahead > 0 {
            self.source.prefetch(self.at, ahead);
        }
        Ok(take)
    }
}

/// Where an [`Input`] takes its bytes from.
pub enum Feed<'a> {
    /// Straight from the file.
    File(FileFeed<'a>),
    /// Bytes that are in memory already.
    Memory(&'a [u8]),
    /// Out of a gzip that wraps the whole file.
    Inflate(Box<Inflate<'a>>),
}

impl Feed<'_> {
    fn fill(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        match self {
            Self::File(file) => file.fill(out),
            Self::Memory(bytes) => {
                let (now, later) = bytes.split_at(bytes.len().min(out.len()));
                if let Some(out) = out.get_mut(..now.len()) {
                    out.copy_from_slice(now);
                }
                *bytes = later;
                Ok(now.len())
            }
            Self::Inflate(inflate) => inflate.fill(out),
        }
    }
}

/// A stream of compressed bytes with a buffer of one chunk.
pub struct Input<'a> {
    feed: Feed<'a>,
    buffer: Box<[u8]>,
    /// The next byte to hand out; `at <= end <= buffer.len()`.
    at: usize,
    end: usize,
    /// Bytes handed out before those in the buffer.
    before: u64,
    /// Where the stream ends, should the feed go on.
    limit: u64,
    /// What went wrong where it could not be said at once (see [`Input::byte_or_zero`]).
    fault: Option<Fault>,
}

impl<'a> Input<'a> {
    /// A stream of what `feed` yields, at most `limit` bytes.
    pub fn new(feed: Feed<'a>, limit: u64) -> Self {
        let len = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .clamp(4096, CHUNK_BYTES);
        Self {
            feed,
            buffer: vec![0; len].into_boxed_slice(),
            at: 0,
            end: 0,
            before: 0,
            limit,
            fault: None,
        }
    }

    /// Ends the stream `len` bytes from here.
    pub fn end_after(&mut self, len: u64) {
        self.limit = self.position().saturating_add(len);
        let left = usize::try_from(len).unwrap_or(usize::MAX);
        self.end = self.end.min(self.at.saturating_add(left));
    }

    /// Bytes handed out so far.
    pub fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    /// The bytes at hand; empty only at the end of the data.
    pub fn chunk(&mut self) -> Result<&[u8], Fault> {
        if self.at == self.end {
            self.before += self.end as u64;
            self.at = 0;
            self.end = 0;
            let left =
                usize::try_from(self.limit.saturating_sub(self.before)).unwrap_or(usize::MAX);
            let len = left.min(self.buffer.len());
            let room = self.buffer.get_mut(..len).unwrap_or_default();
            self.end = if room.is_empty() {
                0
            } else {
                self.feed.fill(room)?.min(len)
            };
        }
        Ok(self.buffer.get(self.at..self.end).unwrap_or_default())
    }

    /// Says that `len` bytes of the last [`Input::chunk`] were used.
    pub fn consume(&mut self, len: usize) {
        self.at = self.end.min(self.at + len);
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Fault> {
        if self.at == self.end && self.chunk()?.is_empty() {
            return Err(Fault::Truncated);
        }
        let byte = self.buffer.get(self.at).copied().ok_or(Fault::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte, or 0 when there is none; [`Input::check`] then says why.
    ///
    /// For the range decoder, which asks in its innermost loop.
    #[inline(always)]
    pub fn byte_or_zero(&mut self) -> u8 {
        if self.at < self.end
            && let Some(byte) = self.buffer.get(self.at)
        {
            self.at += 1;
            return *byte;
        }
        self.byte_slowly()
    }

    #[cold]
    #[inline(never)]
    fn byte_slowly(&mut self) -> u8 {
        match self.byte() {
            Ok(byte) => byte,
            Err(fault) => {
                self.fault.get_or_insert(fault);
                0
            }
        }
    }

    /// Reports a fault that [`Input::byte_or_zero`] met.
    #[inline(always)]
    pub fn check(&mut self) -> Result<(), Fault> {
        if self.fault.is_some() {
            self.take_fault()
        } else {
            Ok(())
        }
    }

    #[cold]
    fn take_fault(&mut self) -> Result<(), Fault> {
        self.fault.take().map_or(Ok(()), Err)
    }

    /// Fills `out`.
    pub fn exact(&mut self, out: &mut [u8]) -> Result<(), Fault> {
        if self.read(out)? == out.len() {
            Ok(())
        } else {
            Err(Fault::Truncated)
        }
    }

    /// Fills the front of `out` and says how much: less than all only at the end of the data.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let chunk = self.chunk()?;
            let len = chunk.len().min(rest.len());
            if len == 0 {
                break;
            }
            if let (Some(to), Some(from)) = (rest.get_mut(..len), chunk.get(..len)) {
                to.copy_from_slice(from);
            }
            self.consume(len);
            done += len;
        }
        Ok(done)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut out = [0; N];
        self.exact(&mut out)?;
        Ok(out)
    }

    /// Passes over `len` bytes.
    pub fn skip(&mut self, mut len: u64) -> Result<(), Fault> {
        while len > 0 {
            let take = self
                .chunk()?
                .len()
                .min(usize::try_from(len).unwrap_or(usize::MAX));
            if take == 0 {
                return Err(Fault::Truncated);
            }
            self.consume(take);
            len -= take as u64;
        }
        Ok(())
    }
}
