//! Reads and prefetches in any order, and peers that write nonsense.

use arch::fake::FakeXen;
use arch::fake::blkback::{DiskFault, FakeDisk};
use arch::fake::store::StoreFault;
use fs::BlockDevice;
use proptest::prelude::*;

use crate::bed::{Bed, XVDA, pattern, store};

const SECTORS: usize = 8192;

#[derive(Clone, Debug)]
enum Step {
    Read(usize, usize),
    Prefetch(usize, usize),
}

/// A range of sectors on the disk: mostly short ones.
fn range() -> impl Strategy<Value = (usize, usize)> {
    (
        0..SECTORS,
        prop_oneof![1..9_usize, 1..300_usize, 1..SECTORS],
    )
        .prop_map(|(first, count)| (first, count.min(SECTORS - first)))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        range().prop_map(|(first, count)| Step::Read(first, count)),
        range().prop_map(|(first, count)| Step::Prefetch(first, count)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_order_of_reads_gives_the_disk_s_bytes(
        steps in prop::collection::vec(step(), 1..40),
        segments in prop_oneof![Just(0), Just(32)],
        pages in prop_oneof![Just(usize::MAX), 2..600_usize],
    ) {
        let bytes = pattern(SECTORS * 512);
        let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).indirect(segments));
        let disk = bed.connect().unwrap();
        bed.xen.limit_pages(pages);
        for step in steps {
            match step {
                Step::Prefetch(first, count) => {
                    disk.prefetch(first as u64 * 512, count as u64 * 512);
                }
                Step::Read(first, count) => {
                    let mut out = vec![0; count * 512];
                    disk.read(first as u64 * 512, &mut out).unwrap();
                    prop_assert!(out == bytes[first * 512..(first + count) * 512]);
                }
            }
        }
        prop_assert!(disk.close().is_empty());
        prop_assert_eq!(bed.leftovers(), Vec::<String>::new());
    }

    #[test]
    fn errors_here_and_there_spoil_no_other_bytes(
        steps in prop::collection::vec(step(), 1..20),
        bad in range(),
    ) {
        let bytes = pattern(SECTORS * 512);
        let bad = bad.0 * 512..(bad.0 + bad.1) * 512;
        let fault = DiskFault::BadBytes(bad.start as u64..bad.end as u64);
        let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).indirect(32).fault(fault));
        let disk = bed.connect().unwrap();
        for step in steps {
            match step {
                Step::Prefetch(first, count) => {
                    disk.prefetch(first as u64 * 512, count as u64 * 512);
                }
                Step::Read(first, count) => {
                    let range = first * 512..(first + count) * 512;
                    let mut out = vec![0; count * 512];
                    let result = disk.read(range.start as u64, &mut out);
                    let touches = range.start < bad.end && bad.start < range.end;
                    prop_assert_eq!(result.is_err(), touches);
                    prop_assert!(touches || out == bytes[range]);
                }
            }
        }
        prop_assert!(disk.close().is_empty());
        prop_assert_eq!(bed.leftovers(), Vec::<String>::new());
    }

    #[test]
    fn nonsense_in_the_ring_neither_panics_nor_hangs(seed in any::<u64>()) {
        let disk = FakeDisk::new(XVDA, pattern(SECTORS * 512)).fault(DiskFault::Scribbles(seed));
        let bed = Bed::with(disk);
        let disk = bed.connect().unwrap();
        let mut out = vec![0; 65536];
        for part in 0..40 {
            disk.prefetch((part + 1) * 65536, 65536);
            // Whatever it says.
            let _ = disk.read(part * 65536, &mut out);
        }
        prop_assert!(disk.close().leaks.is_empty());
        prop_assert_eq!(bed.leftovers(), Vec::<String>::new());
    }

    #[test]
    fn nonsense_in_xenstore_neither_panics_nor_hangs(seed in any::<u64>()) {
        let xen = FakeXen::new();
        let store = store(&xen);
        xen.break_store(StoreFault::Scribbles(seed));
        for number in 0..20 {
            let path = format!("data/{number}");
            let _ = store.write(&path, "value");
            let _ = store.read_number("domid");
            let _ = store.directory("data");
            let _ = store.transaction(|store, transaction| store.write_in(transaction, &path, "x"));
        }
    }
}
