//! Writing through the block front end: bytes arrive, what was read ahead is not served afterwards, faults are errors.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use arch::fake::blkback::{DiskFault, FakeDisk, Stored};
use bootloader::blkfront::{Blkfront, Flushes, Writes};
use fs::{BlockDevice, BlockError};

use crate::bed::{Bed, XVDA, pattern};

const MIB: usize = 1 << 20;

fn stored() -> Stored {
    Rc::new(RefCell::new(pattern(2 * MIB)))
}

/// Everything on the disk, as the front end reads it.
fn all(disk: &Blkfront) -> Vec<u8> {
    let mut out = vec![0; 2 * MIB];
    disk.read(0, &mut out).unwrap();
    out
}

#[test]
fn written_bytes_arrive_and_nothing_else_changes() {
    for segments in [0, 32] {
        let bytes = stored();
        let bed = Bed::with(FakeDisk::stored(XVDA, &bytes).indirect(segments).flushes());
        let disk = bed.connect().unwrap();
        assert_eq!(disk.traits().flushes, Flushes::Offered);
        let mut expected = pattern(2 * MIB);
        for (offset, len) in [
            (0, 512),
            (4096 - 512, 1024),
            (MIB, 11 * 4096),
            (512, 12 * 4096 + 512),
            (2 * MIB - 512, 512),
            (1024, 0),
        ] {
            let new: Vec<u8> = (0..len).map(|at| (at * 7 + offset) as u8).collect();
            disk.write(offset as u64, &new).unwrap();
            expected[offset..offset + len].copy_from_slice(&new);
            assert!(*bytes.borrow() == expected, "{segments} {offset}+{len}");
            assert!(all(&disk) == expected);
        }
        assert!(disk.close().is_empty());
        bed.assert_clean();
    }
}

#[test]
fn bytes_read_ahead_before_a_write_are_forgotten() {
    let bytes = stored();
    // Slow enough for the prefetch to be on its way when the write is asked for.
    let disk = FakeDisk::stored(XVDA, &bytes).speed(Duration::from_millis(5), Duration::ZERO);
    let bed = Bed::with(disk);
    let disk = bed.connect().unwrap();
    disk.prefetch(0, MIB as u64);
    disk.write(8192, &[0xA5; 512]).unwrap();
    let mut out = [0; 512];
    disk.read(8192, &mut out).unwrap();
    assert_eq!(out, [0xA5; 512]);
    disk.read(4096, &mut out).unwrap();
    assert!(out[..] == pattern(2 * MIB)[4096..4608]);
    assert!(disk.close().is_empty());
    bed.assert_clean();
}

#[test]
fn a_read_only_disk_is_not_asked() {
    let bytes = stored();
    let bed = Bed::with(FakeDisk::stored(XVDA, &bytes).read_only());
    let disk = bed.connect().unwrap();
    assert_eq!(disk.traits().writes, Writes::Refused);
    let asked = disk.counters().requests;
    let error = disk.write(0, &[1; 512]).unwrap_err();
    assert!(matches!(error, BlockError::ReadOnly(_)), "{error}");
    assert_eq!(disk.counters().requests, asked);
    assert!(disk.close().is_empty());
    bed.assert_clean();
}

#[test]
fn only_whole_sectors_of_the_disk_are_written() {
    let bytes = stored();
    let bed = Bed::with(FakeDisk::stored(XVDA, &bytes).sector_bytes(4096));
    let disk = bed.connect().unwrap();
    for (offset, len) in [(512, 4096), (4096, 512), (2 * MIB, 4096), (1, 4096)] {
        assert!(disk.write(offset as u64, &vec![9; len]).is_err());
    }
    disk.write(4096, &[9; 4096]).unwrap();
    let mut expected = pattern(2 * MIB);
    expected[4096..8192].fill(9);
    assert!(*bytes.borrow() == expected);
    assert!(disk.close().is_empty());
    assert!(disk.write(4096, &[8; 4096]).is_err());
    bed.assert_clean();
}

#[test]
fn errors_are_tried_again_once_and_reported() {
    let bytes = stored();
    let bed = Bed::with(FakeDisk::stored(XVDA, &bytes).flushes());
    let disk = bed.connect().unwrap();
    bed.xen.break_disk(XVDA, DiskFault::ErrorStatus(1));
    disk.write(0, &[3; 512]).unwrap();
    assert_eq!(disk.counters().retries, 1);
    bed.xen.break_disk(XVDA, DiskFault::WritesFail);
    let error = disk.write(512, &[4; 512]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("could not write bytes 512+512"), "{text}");
    // The disk lives on.
    let mut expected = pattern(2 * MIB);
    expected[..512].fill(3);
    assert!(all(&disk) == expected);
    bed.xen.mend_disk(XVDA);
    bed.xen.break_disk(XVDA, DiskFault::FlushUnsupported);
    disk.write(512, &[4; 512]).unwrap();
    bed.xen.mend_disk(XVDA);
    disk.write(512, &[5; 512]).unwrap();
    assert!(disk.close().is_empty());
    bed.assert_clean();
}

#[test]
fn a_back_end_that_misbehaves_ends_in_time() {
    for fault in [
        DiskFault::NeverAnswers,
        DiskFault::DropResponses(1),
        DiskFault::WrongId,
        DiskFault::WrongOperation,
        DiskFault::ProducerTooFar,
        DiskFault::Scribbles(5),
    ] {
        let bytes = stored();
        let bed = Bed::with(FakeDisk::stored(XVDA, &bytes));
        let disk = bed.connect().unwrap();
        bed.xen.break_disk(XVDA, fault.clone());
        let took = bed.elapsed(|| drop(disk.write(0, &[3; 512])));
        assert!(took < Duration::from_secs(31), "{fault:?}: {took:?}");
        drop(disk.close());
    }
}

#[test]
fn no_memory_is_an_error() {
    let bytes = stored();
    let bed = Bed::with(FakeDisk::stored(XVDA, &bytes));
    bed.xen.limit_pages(1);
    let disk = bed.connect().unwrap();
    let error = disk.write(0, &[3; 512]).unwrap_err();
    assert!(error.to_string().contains("no memory"), "{error}");
    bed.xen.limit_pages(2);
    disk.write(0, &[3; 512]).unwrap();
    assert!(disk.close().is_empty());
    bed.assert_clean();
}
