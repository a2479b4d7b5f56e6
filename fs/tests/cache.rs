//! The read-ahead layer: right bytes, few reads.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::rc::Rc;

use fs::cache::{CACHE_BYTES, CHUNK_BYTES, WINDOW_MAX};
use fs::{BlockError, ReadAhead};
use images::{MemoryDisk, XorShift};

const KIB: usize = 1024;

fn disk(len: usize, sector: u32) -> (Vec<u8>, Rc<MemoryDisk>, ReadAhead) {
    let bytes = XorShift(11).bytes(len);
    let disk = MemoryDisk::new(bytes.clone(), sector);
    let cache = ReadAhead::new(Rc::clone(&disk) as Rc<dyn fs::BlockDevice>);
    (bytes, disk, cache)
}

#[test]
fn any_offset_any_length() {
    for sector in [512, 1024, 4096] {
        // Not a whole number of chunks.
        let (bytes, _, cache) = disk(5_000 * KIB, sector);
        let mut random = XorShift(u64::from(sector));
        for round in 0..3000 {
            let start = random.below(bytes.len());
            let limit = if round % 10 == 0 { 700_000 } else { 9000 };
            let len = random.below((bytes.len() - start).min(limit) + 1);
            let mut out = vec![0; len];
            cache.read_at(start as u64, &mut out).unwrap();
            assert!(
                out == bytes[start..start + len],
                "{start}+{len}, sectors of {sector}"
            );
        }
    }
}

#[test]
fn the_disk_s_end() {
    let (bytes, _, cache) = disk(100_000, 512);
    // 195 whole sectors; the rest cannot be read.
    assert_eq!(cache.geometry().len_bytes, 99_840);
    let mut out = [0; 100];
    cache.read_at(99_740, &mut out).unwrap();
    assert!(out == bytes[99_740..99_840]);
    cache.read_at(99_840, &mut []).unwrap();
    for (offset, len) in [
        (99_841, 0),
        (99_741, 100),
        (u64::MAX, 1),
        (u64::MAX - 50, 100),
    ] {
        let result = cache.read_at(offset, &mut vec![0; len]);
        assert_eq!(
            result,
            Err(BlockError::OutOfRange {
                offset,
                len: len as u64,
                disk: 99_840
            })
        );
    }
    cache.prefetch(99_000, u64::MAX);
    cache.prefetch(u64::MAX, u64::MAX);
}

#[test]
fn large_reads_go_straight_to_the_caller() {
    let (bytes, disk, cache) = disk(20_000 * KIB, 4096);
    let mut out = vec![0; 16 << 20];
    cache.read_at(CHUNK_BYTES, &mut out).unwrap();
    assert!(out == bytes[64 * KIB..64 * KIB + (16 << 20)]);
    assert_eq!(disk.reads.get(), 1);
    // Where neither end is a chunk's, each costs a small read of its own, which is held.
    for _ in 0..2 {
        cache.read_at(8193, &mut out).unwrap();
        assert!(out == bytes[8193..8193 + (16 << 20)]);
    }
    assert_eq!(disk.reads.get(), 1 + 3 + 1);
    // What is held in its middle is not read again.
    cache.forget();
    cache.read_at(5 << 20, &mut [0; 10]).unwrap();
    let before = disk.volume.get();
    cache.read_at(0, &mut out).unwrap();
    assert!(out == bytes[..16 << 20]);
    assert_eq!(disk.volume.get() - before, (16 << 20) - CHUNK_BYTES);
}

#[test]
fn what_is_held_is_not_announced() {
    let (_, disk, cache) = disk(8 << 20, 512);
    cache.read_at(0, &mut [0; 10]).unwrap();
    cache.read_at(4 * CHUNK_BYTES, &mut [0; 10]).unwrap();
    cache.prefetch(100, 3 * CHUNK_BYTES);
    cache.prefetch(0, CHUNK_BYTES);
    cache.prefetch(CHUNK_BYTES + 700, 9 * CHUNK_BYTES);
    let until_the_next = (CHUNK_BYTES, 3 * CHUNK_BYTES);
    assert_eq!(*disk.hints.borrow(), [until_the_next; 2]);
}

#[test]
fn small_reads_in_order_become_large_ones() {
    let (_, disk, cache) = disk(8 << 20, 512);
    let mut out = [0; 1000];
    for start in (0..(8 << 20) - 1000).step_by(1000) {
        cache.read_at(start, &mut out).unwrap();
    }
    // 64, 128, 256 and then 512 KiB at a time.
    assert_eq!(disk.reads.get(), 19);
    assert_eq!(disk.volume.get(), 8 << 20);
    // Each but the first was announced.
    let hints = disk.hints.borrow();
    assert_eq!(hints[0], (3 * CHUNK_BYTES, 4 * CHUNK_BYTES));
    assert!(hints.iter().all(|&(_, len)| len <= WINDOW_MAX));
}

#[test]
fn what_is_used_often_stays() {
    let (_, disk, cache) = disk(64 << 20, 512);
    let mut out = [0; 64];
    for round in 0..200u64 {
        cache.read_at(100, &mut out).unwrap();
        cache
            .read_at((round * 7919) % 900 * CHUNK_BYTES, &mut out)
            .unwrap();
    }
    let again = disk.reads.get();
    assert!(again <= 201, "{again} reads");
    // More than the cache holds, twice: nothing is left of the first time.
    let chunks = CACHE_BYTES / CHUNK_BYTES;
    for _ in 0..2 {
        for number in 0..chunks + 1 {
            cache.read_at(number * 3 * CHUNK_BYTES, &mut out).unwrap();
        }
    }
    assert!(disk.reads.get() - again >= 2 * chunks);
    cache.forget();
    let before = disk.reads.get();
    cache.read_at(100, &mut out).unwrap();
    assert_eq!(disk.reads.get(), before + 1);
}

#[test]
fn errors_are_passed_on_and_not_remembered() {
    let (bytes, disk, cache) = disk(1 << 20, 512);
    disk.budget.set(0);
    let mut out = [0; 10];
    assert!(matches!(
        cache.read_at(5, &mut out),
        Err(BlockError::Timeout(_))
    ));
    disk.budget.set(u64::MAX);
    cache.read_at(5, &mut out).unwrap();
    assert!(out == bytes[5..15]);
}
