//! Each way in which a block back end can misbehave: an error in time, and nothing left behind but what it holds.

use std::time::Duration;

use arch::fake::blkback::{DiskFault, FakeDisk};
use arch::fake::store::StoreFault;
use fs::{BlockDevice, BlockError};

use crate::bed::{Bed, XVDA, pattern};

const MIB: usize = 1 << 20;

fn with(fault: DiskFault) -> Bed {
    Bed::with(FakeDisk::new(XVDA, pattern(MIB)).fault(fault))
}

/// Connects, reads, closes, and returns the read's error. The device must be clean afterwards.
fn read_error(fault: DiskFault) -> (BlockError, Duration) {
    let bed = with(fault);
    let disk = bed.connect().unwrap();
    let mut result = Ok(());
    let mut out = vec![0; MIB];
    let took = bed.elapsed(|| result = disk.read(0, &mut out));
    let error = result.unwrap_err();
    bed.xen.mend_disk(XVDA);
    let left = disk.close();
    assert!(left.leaks.is_empty(), "{left:?}");
    bed.assert_clean();
    (error, took)
}

/// Fails to connect and returns the error. Nothing may be left.
fn connect_error(fault: DiskFault) -> (String, Duration) {
    let bed = with(fault);
    let mut text = String::new();
    let took = bed.elapsed(|| {
        let failure = bed.connect().err().unwrap();
        assert!(failure.leftovers.is_empty(), "{failure:?}");
        assert!(matches!(failure.error, BlockError::Absent(_)));
        text = failure.error.to_string();
    });
    bed.assert_clean();
    (text, took)
}

#[track_caller]
fn assert_says(text: &str, part: &str) {
    assert!(text.contains(part), "\"{text}\" lacks \"{part}\"");
}

#[test]
fn an_error_is_tried_again_once() {
    for errors in [1, 2] {
        let bed = with(DiskFault::ErrorStatus(errors));
        let disk = bed.connect().unwrap();
        let result = disk.read(0, &mut [0; 512]);
        assert_eq!(disk.counters().retries, 1);
        match errors {
            1 => assert_eq!(result, Ok(())),
            _ => assert_says(&result.unwrap_err().to_string(), "bytes 0+512 (status -1)"),
        }
        // The disk is as good as before.
        let mut out = vec![0; MIB];
        disk.read(0, &mut out).unwrap();
        assert!(out == pattern(MIB));
        assert!(disk.close().is_empty());
        bed.assert_clean();
    }
}

#[test]
fn a_bad_sector_spoils_only_reads_of_it() {
    let bad = 300 * 1024..300 * 1024 + 512;
    let disk = FakeDisk::new(XVDA, pattern(MIB))
        .indirect(64)
        .fault(DiskFault::BadBytes(bad.clone()));
    let bed = Bed::with(disk);
    let disk = bed.connect().unwrap();
    // Prefetched in one request with the bad sector, read without it.
    disk.prefetch(256 * 1024, 128 * 1024);
    let mut out = vec![0; 44 * 1024];
    disk.read(256 * 1024, &mut out).unwrap();
    assert!(out == pattern(MIB)[256 * 1024..300 * 1024]);
    let error = disk.read(bad.start, &mut out[..512]).unwrap_err();
    assert_says(
        &error.to_string(),
        "xvda: the back end could not read bytes 307200+512",
    );
    let mut all = vec![0; MIB];
    assert!(matches!(disk.read(0, &mut all), Err(BlockError::Io(_))));
    disk.read(bad.end, &mut out).unwrap();
    assert!(disk.close().is_empty());
    bed.assert_clean();
}

#[test]
fn a_dropped_response_is_a_timeout() {
    let (error, took) = read_error(DiskFault::DropResponses(1));
    assert!(matches!(error, BlockError::Timeout(_)), "{error}");
    assert_says(&error.to_string(), "no answer to 1 requests in 30 s");
    assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(31));
}

#[test]
fn a_silent_back_end_is_a_timeout_once() {
    let bed = with(DiskFault::NeverAnswers);
    let disk = bed.connect().unwrap();
    let mut out = vec![0; MIB];
    let took = bed.elapsed(|| {
        for _ in 0..3 {
            let error = disk.read(0, &mut out).unwrap_err();
            assert!(matches!(error, BlockError::Timeout(_)), "{error}");
        }
        disk.prefetch(0, 4096);
    });
    assert!(took < Duration::from_secs(61), "{took:?}");
    let left = disk.close();
    assert!(left.leaks.is_empty());
    assert_says(&left.notes.join(" "), "24 requests were never answered");
    bed.assert_clean();
}

#[test]
fn a_wrong_id_breaks_the_disk() {
    let (error, _) = read_error(DiskFault::WrongId);
    assert_says(
        &error.to_string(),
        "broke the protocol: an answer to request 0x",
    );
}

#[test]
fn an_answer_given_twice_breaks_the_disk() {
    let (error, _) = read_error(DiskFault::AnswersTwice);
    assert_says(
        &error.to_string(),
        "broke the protocol: an answer to request 0x",
    );
}

#[test]
fn a_wrong_operation_breaks_the_disk() {
    let (error, _) = read_error(DiskFault::WrongOperation);
    assert_says(&error.to_string(), "operation 1 in the answer to a read");
}

#[test]
fn an_impossible_producer_index_breaks_the_disk() {
    let (error, _) = read_error(DiskFault::ProducerTooFar);
    assert_says(&error.to_string(), "ring index");
}

#[test]
fn a_back_end_that_closes_itself_is_a_timeout() {
    let bed = with(DiskFault::ClosesItself(3));
    let disk = bed.connect().unwrap();
    let mut out = vec![0; MIB];
    let error = disk.read(0, &mut out).unwrap_err();
    assert!(matches!(error, BlockError::Timeout(_)), "{error}");
    let left = disk.close();
    assert!(left.leaks.is_empty());
    bed.assert_clean();
}

#[test]
fn a_back_end_that_never_gets_ready_is_absent() {
    let (text, took) = connect_error(DiskFault::NeverReady);
    assert_says(&text, "xvda: the back end stays in state 1 (initialising)");
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11));
}

#[test]
fn a_drive_without_medium_is_empty_at_once() {
    let (text, took) = connect_error(DiskFault::NoMedium);
    assert_says(&text, "xvda: empty drive");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_disk_without_sectors_is_empty() {
    let bed = Bed::with(FakeDisk::new(XVDA, Vec::new()).cdrom());
    let failure = bed.connect().err().unwrap();
    assert_eq!(
        failure.error,
        BlockError::Absent("xvda: empty drive".to_string())
    );
    assert!(failure.leftovers.is_empty());
    bed.assert_clean();
}

#[test]
fn absurd_sizes_are_refused() {
    for (sectors, bytes) in [
        (u64::MAX, 512),
        (1 << 55, 512),
        (8, 8192),
        (8, 1000),
        (8, 0),
    ] {
        let disk = FakeDisk::computed(XVDA, sectors, Box::new(|_, _| {})).sector_bytes(bytes);
        let bed = Bed::with(disk);
        let failure = bed.connect().err().unwrap();
        assert!(failure.leftovers.is_empty());
        bed.assert_clean();
    }
}

#[test]
fn a_back_end_that_never_connects_is_absent() {
    let (text, took) = connect_error(DiskFault::NeverConnects);
    assert_says(&text, "instead of connected");
    assert!(took < Duration::from_secs(12), "{took:?}");
}

#[test]
fn a_back_end_that_refuses_is_absent_at_once() {
    let (text, took) = connect_error(DiskFault::RefusesToConnect);
    assert_says(&text, "went to state 6 (closed)");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn an_unplugged_device_is_absent() {
    let bed = with(DiskFault::Unplugged);
    let failure = bed.connect().err().unwrap();
    assert_says(&failure.error.to_string(), "stays in state 0 (missing)");
    bed.assert_clean();
}

#[test]
fn a_device_unplugged_in_use_is_parted_from() {
    let bed = Bed::with(FakeDisk::new(XVDA, pattern(MIB)));
    let disk = bed.connect().unwrap();
    disk.read(0, &mut [0; 512]).unwrap();
    bed.xen.break_disk(XVDA, DiskFault::Unplugged);
    let took = bed.elapsed(|| assert!(disk.close().is_empty()));
    assert!(took < Duration::from_secs(1), "{took:?}");
    bed.assert_clean();
}

#[test]
fn pages_still_mapped_after_closed_are_reported_and_kept() {
    let bed = Bed::with(FakeDisk::new(XVDA, pattern(MIB)));
    let disk = bed.connect().unwrap();
    disk.read(0, &mut [0; 4096]).unwrap();
    bed.xen.break_disk(XVDA, DiskFault::KeepsMapped);
    let left = disk.close();
    // The ring; the page of data was unmapped when its request was answered.
    assert_eq!(left.leaks.len(), 1);
    let after = bed.leftovers();
    assert_eq!(after.len(), 2, "{after:?}");
    assert_says(&after[0], "mapped");
    assert_says(&after[1], "1 pages");
}

#[test]
fn a_back_end_that_never_closes_keeps_its_pages() {
    let bed = Bed::with(FakeDisk::new(XVDA, pattern(MIB)));
    let disk = bed.connect().unwrap();
    bed.xen.break_disk(XVDA, DiskFault::NeverCloses);
    let mut left = Default::default();
    let took = bed.elapsed(|| left = disk.close());
    assert!(took < Duration::from_secs(35), "{took:?}");
    assert_eq!(left.leaks.len(), 1);
    assert_says(&left.notes.join(" "), "xvda: the back end stays in state 4");
}

#[test]
fn a_back_end_that_does_not_reopen_is_noted() {
    let bed = Bed::with(FakeDisk::new(XVDA, pattern(MIB)));
    let disk = bed.connect().unwrap();
    bed.xen.break_disk(XVDA, DiskFault::NeverReopens);
    let left = disk.close();
    assert!(left.leaks.is_empty());
    assert_says(
        &left.notes.join(" "),
        "instead of ready for another front end",
    );
}

#[test]
fn the_handshake_survives_a_busy_xenstore() {
    let bed = Bed::with(FakeDisk::new(XVDA, pattern(MIB)));
    bed.xen.break_store(StoreFault::CommitAgain(3));
    bed.xen.break_store(StoreFault::EventsBetween);
    let disk = bed.connect().unwrap();
    disk.read(0, &mut [0; 512]).unwrap();
    assert!(disk.close().is_empty());
    bed.assert_clean();
}

#[test]
fn a_dead_xenstore_ends_the_handshake() {
    let bed = Bed::with(FakeDisk::new(XVDA, pattern(MIB)));
    bed.xen.break_store(StoreFault::Silent);
    let took = bed.elapsed(|| {
        let failure = bed.connect().err().unwrap();
        assert_says(&failure.error.to_string(), "xenstore does not answer");
    });
    assert!(took < Duration::from_secs(61), "{took:?}");
}
