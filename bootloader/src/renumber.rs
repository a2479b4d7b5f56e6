//! Which frame gets which number: the frames that hold the image become frames 0, 1, 2… of the next kernel.
//!
//! Nothing is copied. A [`Renumbering`] is a permutation of this domain's frame numbers: [`Renumbering::assign`] says
//! what must be where, [`Renumbering::complete`] finds a place for everything else. Frames beyond the image keep
//! their numbers, except those that trade places with frames of the image.

use alloc::collections::BinaryHeap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// No source chosen yet.
const OPEN: u64 = u64::MAX;

/// A permutation of frame numbers, described below the image's end and by the exceptions above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renumbering {
    /// `sources[new]` is the old number of the frame that becomes `new`.
    sources: Vec<u64>,
    /// (new, old) for numbers at or beyond the image's end that change; sorted by new.
    beyond: Vec<(u64, u64)>,
    nr_pages: u64,
}

/// Why no permutation exists. Only a bug in the caller or a domain with next to no memory gets here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenumberError {
    /// A number was given to two frames, or lies beyond the image.
    Target(u64),
    /// A frame was given two numbers, or does not exist.
    Source(u64),
    /// No frame is left that may stand at this number.
    Exhausted(u64),
}

impl fmt::Display for RenumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(frame) => write!(f, "frame number {frame:#x} was given away twice"),
            Self::Source(frame) => write!(f, "frame {frame:#x} was used twice"),
            Self::Exhausted(frame) => write!(f, "no frame is left for number {frame:#x}"),
        }
    }
}

impl core::error::Error for RenumberError {}

impl Renumbering {
    /// Nothing assigned yet, for an image of frames `0..end` in a domain with frame numbers `0..nr_pages`.
    #[must_use]
    pub fn new(end: u64, nr_pages: u64) -> Self {
        Self {
            sources: vec![OPEN; usize::try_from(end).unwrap_or(usize::MAX)],
            beyond: Vec::new(),
            nr_pages,
        }
    }

    fn slot(&mut self, target: u64) -> Option<&mut u64> {
        self.sources.get_mut(usize::try_from(target).ok()?)
    }

    /// Says that frame `source` becomes `target`, and so on for `count` frames.
    ///
    /// # Errors
    /// [`RenumberError::Target`] for a number that is taken or beyond the image.
    pub fn assign(&mut self, target: u64, source: u64, count: u64) -> Result<(), RenumberError> {
        for step in 0..count {
            let to = target.saturating_add(step);
            match self.slot(to) {
                Some(slot) if *slot == OPEN => *slot = source.saturating_add(step),
                _ => return Err(RenumberError::Target(to)),
            }
        }
        Ok(())
    }

    /// Gives every number left a frame. `kept_out` lists frames that may not be below `mapped` afterwards (the page
    /// tables in use; holes of the p2m list): where the next kernel's tables map everything writable.
    ///
    /// # Errors
    /// [`RenumberError`].
    pub fn complete(
        mut self,
        mapped: u64,
        kept_out: &dyn Fn(u64) -> bool,
    ) -> Result<Self, RenumberError> {
        let end = self.sources.len() as u64;
        let mut used = vec![false; self.sources.len()];
        let mut vacated = Vec::new();
        for &source in self.sources.iter().filter(|&&source| source != OPEN) {
            if source >= self.nr_pages {
                return Err(RenumberError::Source(source));
            }
            match usize::try_from(source).ok().and_then(|at| used.get_mut(at)) {
                Some(taken) if *taken => return Err(RenumberError::Source(source)),
                Some(taken) => *taken = true,
                None => vacated.push(source),
            }
        }
        // Heaps: the library's sorts take kilobytes for each type.
        let mut vacated = BinaryHeap::from(vacated).into_sorted_vec();
        if let Some(pair) = vacated.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(RenumberError::Source(pair[0]));
        }
        let bad = |frame: u64, at: u64| at < mapped && kept_out(frame);
        // A frame that nobody wants elsewhere keeps its number if it may.
        for (at, slot) in self.sources.iter_mut().enumerate() {
            let frame = at as u64;
            if *slot == OPEN && !used[at] && !bad(frame, frame) {
                *slot = frame;
                used[at] = true;
            }
        }
        // The rest moves: first within the image, then to the numbers that the image's frames left behind.
        let mut homeless: Vec<u64> = (0..end).filter(|&frame| !used[frame as usize]).collect();
        let mut fresh = (end..self.nr_pages).filter(|frame| vacated.binary_search(frame).is_err());
        let mut swapped = Vec::new();
        for at in 0..end {
            if self.sources[at as usize] != OPEN {
                continue;
            }
            let fit = homeless.iter().position(|&frame| !bad(frame, at));
            let source = if let Some(index) = fit {
                homeless.swap_remove(index)
            } else {
                let frame = fresh
                    .find(|&frame| !bad(frame, at))
                    .ok_or(RenumberError::Exhausted(at))?;
                swapped.push(frame);
                frame
            };
            self.sources[at as usize] = source;
        }
        vacated.extend(swapped);
        let beyond: Vec<(u64, u64)> = vacated.into_iter().zip(homeless).collect();
        self.beyond = BinaryHeap::from(beyond).into_sorted_vec();
        Ok(self)
    }

    /// The old number of the frame that becomes `new`.
    #[must_use]
    pub fn source(&self, new: u64) -> u64 {
        if let Some(&source) = usize::try_from(new)
            .ok()
            .and_then(|at| self.sources.get(at))
        {
            return source;
        }
        self.beyond
            .binary_search_by_key(&new, |pair| pair.0)
            .map_or(new, |index| self.beyond[index].1)
    }

    /// Every (new, old) pair whose two numbers differ.
    pub fn changes(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.sources
            .iter()
            .enumerate()
            .map(|(new, &old)| (new as u64, old))
            .chain(self.beyond.iter().copied())
            .filter(|(new, old)| new != old)
    }

    /// The numbers the image takes.
    #[must_use]
    pub fn image(&self) -> Range<u64> {
        0..self.sources.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    #[test]
    fn frames_already_in_place_stay() {
        let mut map = Renumbering::new(4, 16);
        map.assign(1, 1, 2).unwrap();
        let map = map.complete(4, &|_| false).unwrap();
        assert_eq!(map.changes().count(), 0);
    }

    #[test]
    fn a_frame_from_above_trades_places() {
        let mut map = Renumbering::new(4, 16);
        map.assign(2, 9, 1).unwrap();
        let map = map.complete(4, &|_| false).unwrap();
        assert_eq!(map.changes().collect::<Vec<_>>(), [(2, 9), (9, 2)]);
        assert_eq!(map.source(9), 2);
        assert_eq!(map.source(12), 12);
    }

    #[test]
    fn tables_in_use_leave_the_mapped_area() {
        let map = Renumbering::new(4, 16)
            .complete(4, &|frame| frame < 2)
            .unwrap();
        for new in 0..4 {
            assert!(map.source(new) >= 2, "{new}");
        }
    }

    #[test]
    fn double_use_is_refused() {
        let mut map = Renumbering::new(4, 16);
        map.assign(0, 7, 1).unwrap();
        assert_eq!(map.assign(0, 8, 1), Err(RenumberError::Target(0)));
        map.assign(1, 7, 1).unwrap();
        assert_eq!(map.complete(4, &|_| false), Err(RenumberError::Source(7)));
    }

    proptest! {
        #[test]
        fn the_result_is_a_permutation_that_obeys(
            runs in proptest::collection::vec((0_u64..60, 0_u64..100, 1_u64..6), 0..12),
            tables in proptest::collection::btree_set(0_u64..100, 0..10),
            mapped in 0_u64..64,
        ) {
            let (end, nr_pages) = (64, 128);
            let mut map = Renumbering::new(end, nr_pages);
            let mut wanted = Vec::new();
            let (mut targets, mut sources) = (BTreeSet::new(), BTreeSet::new());
            for (target, source, count) in runs {
                for step in 0..count {
                    let (to, from) = (target + step, source + step);
                    if to < end && !tables.contains(&from) && targets.insert(to) {
                        if sources.insert(from) {
                            map.assign(to, from, 1).unwrap();
                            wanted.push((to, from));
                        } else {
                            targets.remove(&to);
                        }
                    }
                }
            }
            let map = map.complete(mapped, &|frame| tables.contains(&frame)).unwrap();
            let all: BTreeSet<u64> = (0..nr_pages).map(|new| map.source(new)).collect();
            prop_assert_eq!(all.len() as u64, nr_pages);
            for (to, from) in wanted {
                prop_assert_eq!(map.source(to), from);
            }
            for new in 0..mapped {
                prop_assert!(!tables.contains(&map.source(new)));
            }
            for (new, old) in map.changes() {
                prop_assert_eq!(map.source(new), old);
            }
        }
    }
}
