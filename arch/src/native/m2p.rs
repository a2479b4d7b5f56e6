//! The machine-to-physical table that Xen maps, read only, into every guest: one word per machine frame.

use super::hypercall;
use super::single::SingleCore;
use crate::addr::{Mfn, Pfn};

const XENMEM_MACHPHYS_MAPPING: usize = 12;

/// `struct xen_machphys_mapping`
#[repr(C)]
#[derive(Clone, Copy)]
struct Mapping {
    start: usize,
    end: usize,
    max_mfn: usize,
}

static MAPPING: SingleCore<Option<Mapping>> = SingleCore::new(None);

fn mapping() -> Mapping {
    let mut known = MAPPING.get();
    *known.get_or_insert_with(|| {
        let mut mapping = Mapping {
            start: 0,
            end: 0,
            max_mfn: 0,
        };
        // SAFETY: the structure is `xen_machphys_mapping`.
        unsafe { hypercall::memory_op(XENMEM_MACHPHYS_MAPPING, &mut mapping) }
            .unwrap_or_else(|error| panic!("xen does not say where its tables are: {error}"));
        mapping
    })
}

/// Our number for machine frame `mfn`, which must be a frame of ours (a table we run on, a ring of ours).
pub(super) fn pfn_of(mfn: Mfn) -> Pfn {
    let mapping = mapping();
    let at = usize::try_from(mfn.0)
        .ok()
        .filter(|&index| index <= mapping.max_mfn)
        .and_then(|index| index.checked_mul(size_of::<usize>()))
        .and_then(|offset| mapping.start.checked_add(offset))
        .filter(|&at| at < mapping.end)
        .unwrap_or_else(|| panic!("{mfn:?} is beyond the machine-to-physical table"));
    // SAFETY: inside the table's address range (checked above); Xen maps it for every frame that a guest owns, and
    // the callers name frames of ours.
    Pfn(unsafe { (at as *const usize).read_volatile() } as u64)
}
