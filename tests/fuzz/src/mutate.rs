//! Mutations without coverage, by a generator that repeats: what the test of this crate tries beside the seeds.

/// Makes inputs out of other inputs.
pub struct Mutator {
    state: u64,
}

/// Numbers at which code tends to break.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];

impl Mutator {
    /// The same seed makes the same inputs.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed ^ 0x9e37_79b9_7f4a_7c15,
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// One of `seeds` with some changes, at most `longest` bytes. `words` are put in now and then.
    #[must_use]
    pub fn make(&mut self, seeds: &[Vec<u8>], words: &[&[u8]], longest: usize) -> Vec<u8> {
        let at = self.below(seeds.len());
        let mut input = seeds.get(at).cloned().unwrap_or_default();
        for _ in 0..=self.below(6) {
            let at = self.below(input.len() + 1);
            match self.below(8) {
                0 if at < input.len() => input[at] = self.next() as u8,
                1 if at < input.len() => input[at] ^= 1 << self.below(8),
                2 => {
                    let edge = EDGES[self.below(EDGES.len())];
                    let width = 1 << self.below(4);
                    for (to, byte) in input
                        .iter_mut()
                        .skip(at)
                        .zip(edge.to_le_bytes())
                        .take(width)
                    {
                        *to = byte;
                    }
                }
                3 => input.truncate(at),
                4 => {
                    let count = 1 + self.below(16);
                    let more: Vec<u8> = (0..count).map(|_| self.next() as u8).collect();
                    input.splice(at..at, more);
                }
                5 if !words.is_empty() => {
                    let word = words[self.below(words.len())];
                    input.splice(at..at, word.iter().copied());
                }
                6 => {
                    let end = (at + self.below(24)).min(input.len());
                    input.drain(at..end);
                }
                _ => {
                    let from = self.below(seeds.len());
                    let other = seeds.get(from).map_or(&[][..], Vec::as_slice);
                    let begin = self.below(other.len() + 1);
                    let end = (begin + self.below(64)).min(other.len());
                    input.splice(at..at, other[begin..end].iter().copied());
                }
            }
        }
        input.truncate(longest);
        input
    }
}
