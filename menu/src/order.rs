//! Putting things in order with little code. The standard library's sorts are made for speed and take kilobytes for
//! each type; the lists here are short, and nobody waits for them.

use alloc::vec::Vec;

/// `items` in order; those of which neither is before the other stay as they are. `before` says whether the first goes
/// before the second. A heap sort: n log n comparisons whatever the items are.
pub(crate) fn sorted<T>(items: Vec<T>, before: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let places = order(items.len(), &|a, b| match (items.get(a), items.get(b)) {
        (Some(a), Some(b)) => before(a, b),
        _ => false,
    });
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    let mut take = |place| items.get_mut(place).and_then(Option::take);
    places.into_iter().filter_map(&mut take).collect()
}

/// The numbers below `count` in order. One copy for all types.
fn order(count: usize, before: &dyn Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut heap: Vec<usize> = (0..count).collect();
    for root in (0..count >> 1).rev() {
        sift(&mut heap, root, before);
    }
    for end in (1..count).rev() {
        heap.swap(0, end);
        if let Some(rest) = heap.get_mut(..end) {
            sift(rest, 0, before);
        }
    }
    heap
}

/// Moves what stands at `root` down until neither of its two children is after it.
fn sift(heap: &mut [usize], root: usize, before: &dyn Fn(usize, usize) -> bool) {
    let less = |a: usize, b: usize| before(a, b) || (a < b && !before(b, a));
    let mut root = root;
    loop {
        let left = root.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let (Some(&here), Some(&one)) = (heap.get(root), heap.get(left)) else {
            return;
        };
        let (child, greatest) = match heap.get(right) {
            Some(&other) if less(one, other) => (right, other),
            _ => (left, one),
        };
        if !less(here, greatest) {
            return;
        }
        heap.swap(root, child);
        root = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_standard_library_s_order(items in vec((0_u8..20, any::<u8>()), 0..100)) {
            let mut wanted = items.clone();
            wanted.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(sorted(items, |a, b| a.0 < b.0), wanted);
        }
    }
}
