//! Which frame numbers are free: a short sorted list of runs.
//!
//! The loader makes few large allocations, so a list of fixed size is enough, needs no heap (it serves the heap),
//! and does not grow with the guest's memory.

/// Runs the list can hold. When it is full, the smallest run in sight is forgotten, which only wastes its frames.
const RUNS: usize = 512;

/// A sorted list of disjoint, non-adjacent runs of free frames.
pub(crate) struct Extents {
    runs: [(u64, u64); RUNS],
    len: usize,
    free: u64,
}

impl Extents {
    pub(crate) const fn new() -> Self {
        Self {
            runs: [(0, 0); RUNS],
            len: 0,
            free: 0,
        }
    }

    /// Frames free in all.
    pub(crate) fn free(&self) -> u64 {
        self.free
    }

    fn remove(&mut self, index: usize) {
        self.runs.copy_within(index + 1..self.len, index);
        self.len -= 1;
    }

    fn insert(&mut self, index: usize, run: (u64, u64)) {
        if self.len == RUNS {
            // Full: give up the smaller of the new run and its successor (or the last one).
            let victim = index.min(RUNS - 1);
            if self.runs[victim].1 < run.1 {
                self.free = self.free - self.runs[victim].1 + run.1;
                self.runs[victim] = run;
            }
            return;
        }
        self.runs.copy_within(index..self.len, index + 1);
        self.runs[index] = run;
        self.len += 1;
        self.free += run.1;
    }

    /// Adds `count` frames from `start` on, which are not in the list.
    pub(crate) fn add(&mut self, start: u64, count: u64) {
        if count == 0 {
            return;
        }
        let index = self.runs[..self.len].partition_point(|run| run.0 < start);
        let joins_left = index > 0 && self.runs[index - 1].0 + self.runs[index - 1].1 == start;
        let joins_right = index < self.len && start + count == self.runs[index].0;
        match (joins_left, joins_right) {
            (true, true) => {
                self.runs[index - 1].1 += count + self.runs[index].1;
                self.remove(index);
                self.free += count;
            }
            (true, false) => {
                self.runs[index - 1].1 += count;
                self.free += count;
            }
            (false, true) => {
                self.runs[index] = (start, count + self.runs[index].1);
                self.free += count;
            }
            (false, false) => self.insert(index, (start, count)),
        }
    }

    /// Takes away whatever the list has of the `count` frames from `start` on.
    pub(crate) fn subtract(&mut self, start: u64, count: u64) {
        let end = start.saturating_add(count);
        let mut index = 0;
        while index < self.len {
            let (first, len) = self.runs[index];
            let last = first + len;
            let (from, to) = (first.max(start), last.min(end));
            if from >= to {
                index += 1;
                continue;
            }
            self.free -= len;
            self.remove(index);
            if first < from {
                self.insert(index, (first, from - first));
                index += 1;
            }
            if to < last {
                self.insert(index, (to, last - to));
                index += 1;
            }
        }
    }

    /// The first run of at least `count` frames.
    pub(crate) fn first_fit(&self, count: u64) -> Option<u64> {
        self.runs[..self.len]
            .iter()
            .find(|run| run.1 >= count)
            .map(|run| run.0)
    }

    /// Whether all `count` frames from `start` on are free.
    pub(crate) fn holds(&self, start: u64, count: u64) -> bool {
        let index = self.runs[..self.len].partition_point(|run| run.0 <= start);
        index > 0 && {
            let (first, len) = self.runs[index - 1];
            start - first < len && len - (start - first) >= count
        }
    }
}
