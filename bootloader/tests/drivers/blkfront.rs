//! Reading from a good block back end, in all its shapes, and parting from it.

use std::time::Duration;

use arch::fake::blkback::{DiskFault, FakeDisk};
use arch::fake::{FakeXen, HOME};
use bootloader::blkfront::{Blkfront, Medium, Settings, Writes};
use fs::{BlockDevice, BlockError};

use crate::bed::{Bed, XVDA, pattern, store};

const MIB: usize = 1 << 20;

#[test]
fn bytes_arrive_whatever_the_disk_offers() {
    let bytes = pattern(5 * MIB);
    for segments in [0, 31, 32, 256] {
        let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).indirect(segments));
        let disk = bed.connect().unwrap();
        assert_eq!(disk.geometry().len_bytes, 5 * MIB as u64);
        for (offset, len) in [
            (0, 512),
            (512, 4096),
            (5 * MIB - 512, 512),
            (3 * 512, 45 * 512),
            (0, 5 * MIB),
            (512, 5 * MIB - 1024),
            (MIB + 512, 3 * MIB + 512),
            (77 * 512, 0),
        ] {
            let mut out = vec![0xEE; len];
            disk.read(offset as u64, &mut out).unwrap();
            assert!(
                out == bytes[offset..offset + len],
                "{segments} segments, {offset}+{len}"
            );
        }
        assert!(disk.close().is_empty());
        bed.assert_clean();
    }
}

#[test]
fn large_reads_keep_the_ring_full() {
    // A request takes 5 ms, and each of many at once adds 0.1 ms: one at a time would take over a second.
    for (segments, depth, most) in [(0, 32, 400), (256, 16, 250)] {
        let disk = FakeDisk::new(XVDA, pattern(8 * MIB))
            .indirect(segments)
            .speed(Duration::from_millis(5), Duration::from_micros(100));
        let bed = Bed::with(disk);
        let disk = bed.connect().unwrap();
        let mut out = vec![0; 8 * MIB];
        let took = bed.elapsed(|| disk.read(0, &mut out).unwrap());
        assert!(out == pattern(8 * MIB));
        assert_eq!(disk.counters().deepest, depth);
        assert!(took < Duration::from_millis(most), "{took:?}");
        disk.close();
        bed.assert_clean();
    }
}

#[test]
fn prefetched_bytes_are_not_asked_for_again() {
    let bytes = pattern(4 * MIB);
    let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).indirect(64));
    let disk = bed.connect().unwrap();
    disk.prefetch(MIB as u64, MIB as u64);
    let asked = disk.counters().requests;
    assert_eq!(asked, 8);
    let mut out = vec![0; MIB];
    for part in 0..16 {
        let at = MIB + part * MIB / 16;
        let took = &mut out[..MIB / 16];
        disk.read(at as u64, took).unwrap();
        assert!(*took == bytes[at..at + MIB / 16]);
    }
    assert_eq!(disk.counters().requests, asked);
    // Read once, they are forgotten.
    disk.read(MIB as u64, &mut out[..4096]).unwrap();
    assert_eq!(disk.counters().requests, asked + 1);
    disk.close();
    bed.assert_clean();
}

#[test]
fn unread_prefetches_make_room() {
    let bytes = pattern(24 * MIB);
    for segments in [0, 32] {
        let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).indirect(segments));
        let disk = bed.connect().unwrap();
        for start in 0..10 {
            disk.prefetch(start * 2 * MIB as u64, 2 * MIB as u64);
            let at = (23 * MIB) as u64 - start * 4096;
            let mut out = [0; 4096];
            disk.read(at, &mut out).unwrap();
            assert!(out[..] == bytes[at as usize..at as usize + 4096]);
        }
        // The end was prefetched, its beginning was not: every slot holds what this read wants last.
        disk.prefetch((20 * MIB) as u64, (4 * MIB) as u64);
        let mut out = vec![0; 5 * MIB];
        disk.read((19 * MIB) as u64, &mut out).unwrap();
        assert!(out == bytes[19 * MIB..]);
        disk.close();
        bed.assert_clean();
    }
}

#[test]
fn prefetching_beyond_the_end_is_harmless() {
    let bytes = pattern(MIB);
    let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).sector_bytes(4096));
    let disk = bed.connect().unwrap();
    for (offset, len) in [
        (u64::MAX, u64::MAX),
        (MIB as u64, 1),
        (MIB as u64 - 1, u64::MAX),
        (5, 0),
        (5, 1),
    ] {
        disk.prefetch(offset, len);
    }
    let mut out = vec![0; MIB];
    disk.read(0, &mut out).unwrap();
    assert!(out == bytes);
    disk.close();
    bed.assert_clean();
}

#[test]
fn sectors_of_4096_bytes_are_read_whole() {
    let bytes = pattern(MIB);
    let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).sector_bytes(4096));
    let disk = bed.connect().unwrap();
    assert_eq!(disk.geometry().sector_bytes, 4096);
    let mut out = vec![0; 12288];
    disk.read(8192, &mut out).unwrap();
    assert!(out == bytes[8192..20480]);
    assert!(matches!(
        disk.read(512, &mut out[..512]),
        Err(BlockError::Io(_))
    ));
    disk.close();
    bed.assert_clean();
}

#[test]
fn disks_beyond_two_tebibytes_are_read_to_their_end() {
    let sectors = (5_u64 << 40) / 512 + 8;
    let content = Box::new(|offset: u64, out: &mut [u8]| {
        for (at, part) in (offset..).step_by(8).zip(out.chunks_exact_mut(8)) {
            part.copy_from_slice(&at.to_le_bytes());
        }
    });
    let bed = Bed::with(FakeDisk::computed(XVDA, sectors, content));
    let disk = bed.connect().unwrap();
    let end = sectors * 512;
    assert_eq!(disk.geometry().len_bytes, end);
    let mut out = [0; 1024];
    disk.read(end - 1024, &mut out).unwrap();
    assert_eq!(out[..8], (end - 1024).to_le_bytes());
    assert_eq!(
        disk.read(end - 512, &mut out),
        Err(BlockError::OutOfRange {
            offset: end - 512,
            len: 1024,
            disk: end
        })
    );
    assert!(disk.read(u64::MAX - 511, &mut out[..512]).is_err());
    disk.close();
    bed.assert_clean();
}

#[test]
fn many_small_reads_cost_few_pages() {
    let bytes = pattern(4 * MIB);
    let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).indirect(256));
    let disk = bed.connect().unwrap();
    let mut out = [0; 4096];
    for number in 0..500 {
        let at = number * 7919 % 1023 * 4096;
        disk.read(at as u64, &mut out).unwrap();
        assert!(out[..] == bytes[at..at + 4096]);
    }
    assert_eq!(disk.counters().pages, 1);
    disk.close();
    bed.assert_clean();
}

#[test]
fn scarce_memory_makes_requests_smaller() {
    let bytes = pattern(MIB);
    for limit in [2, 3, 40] {
        let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).indirect(256));
        let disk = bed.connect().unwrap();
        bed.xen.limit_pages(limit);
        let mut out = vec![0; MIB];
        disk.read(0, &mut out).unwrap();
        assert!(out == bytes, "{limit} pages");
        disk.close();
        bed.assert_clean();
    }
}

#[test]
fn no_memory_is_an_error() {
    let bed = Bed::with(FakeDisk::new(XVDA, pattern(MIB)));
    bed.xen.limit_pages(0);
    let failure = bed.connect().err().unwrap();
    assert!(matches!(failure.error, BlockError::Absent(_)));
    bed.xen.limit_pages(1);
    let disk = bed.connect().unwrap();
    let error = disk.read(0, &mut [0; 512]).unwrap_err();
    assert!(error.to_string().contains("no memory"), "{error}");
    bed.xen.limit_pages(2);
    disk.read(0, &mut [0; 512]).unwrap();
    disk.close();
    bed.assert_clean();
}

#[test]
fn a_cdrom_says_what_it_is() {
    let bed = Bed::with(FakeDisk::new(XVDA, pattern(MIB)).cdrom());
    let disk = bed.connect().unwrap();
    assert_eq!(disk.traits().medium, Medium::Cdrom);
    assert_eq!(disk.traits().writes, Writes::Refused);
    disk.close();
    bed.assert_clean();
}

#[test]
fn the_toolstack_s_protocol_key_is_left_alone() {
    for protocol in [None, Some("x86_64-abi"), Some("x86_32-abi")] {
        let disk = FakeDisk::new(XVDA, pattern(MIB));
        let disk = match protocol {
            Some(protocol) => disk.protocol(protocol),
            None => disk,
        };
        let bed = Bed::with(disk);
        let disk = bed.connect().unwrap();
        disk.read(0, &mut [0; 512]).unwrap();
        disk.close();
        bed.assert_clean();
    }
}

#[test]
fn a_closed_disk_can_be_connected_again() {
    let bytes = pattern(MIB);
    let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).indirect(32));
    for _ in 0..3 {
        let disk = bed.connect().unwrap();
        disk.prefetch(0, MIB as u64);
        let mut out = vec![0; MIB];
        disk.read(0, &mut out).unwrap();
        assert!(out == bytes);
        disk.prefetch(4096, 8192);
        assert!(disk.close().is_empty());
        assert!(disk.close().is_empty());
        assert!(matches!(disk.read(0, &mut out), Err(BlockError::Absent(_))));
        disk.prefetch(0, 4096);
        bed.assert_clean();
    }
}

#[test]
fn a_disk_left_connected_by_an_earlier_kernel_is_taken_over() {
    let bytes = pattern(MIB);
    let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()));
    let earlier = bed.connect().unwrap();
    earlier.read(0, &mut [0; 512]).unwrap();
    let disk = bed.connect().unwrap();
    let mut out = vec![0; MIB];
    disk.read(0, &mut out).unwrap();
    assert!(out == bytes);
    disk.close();
}

#[test]
fn a_back_end_that_is_still_connected_is_reset_first() {
    let bytes = pattern(MIB);
    let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()));
    let earlier = bed.connect().unwrap();
    earlier.read(0, &mut [0; 512]).unwrap();
    bed.xen
        .set_store_value(&format!("{HOME}/device/vbd/{XVDA}/state"), "1");
    let disk = bed.connect().unwrap();
    let mut out = vec![0; MIB];
    disk.read(0, &mut out).unwrap();
    assert!(out == bytes);
    disk.close();
}

#[test]
fn direct_and_indirect_requests_read_the_same_bytes() {
    let bytes = pattern(2 * MIB);
    for segments in [0, 32] {
        let bed = Bed::with(FakeDisk::new(XVDA, bytes.clone()).indirect(segments));
        let disk = bed.connect().unwrap();
        let mut out = vec![0; 2 * MIB];
        disk.read(0, &mut out).unwrap();
        assert!(out == bytes, "{segments} segments");
        assert!(disk.close().is_empty());
        bed.assert_clean();
    }
}

#[test]
fn ring_indices_may_start_anywhere() {
    let bytes = pattern(2 * MIB);
    for ring_start in [u32::MAX - 20, (1 << 31) - 20, u32::MAX] {
        let xen = FakeXen::new();
        xen.add_disk(FakeDisk::new(XVDA, bytes.clone()));
        let store = store(&xen);
        let settings = Settings {
            ring_start,
            ..Settings::default()
        };
        let disk = Blkfront::connect(&store, XVDA, "xvda", &settings).unwrap();
        let mut out = vec![0; 2 * MIB];
        disk.read(0, &mut out).unwrap();
        assert!(out == bytes, "from {ring_start:#x}");
        assert!(disk.close().is_empty());
    }
}

#[test]
fn late_unmapping_is_waited_for() {
    let fault = DiskFault::UnmapsLate(Duration::from_millis(300));
    let bed = Bed::with(FakeDisk::new(XVDA, pattern(MIB)).fault(fault));
    let disk = bed.connect().unwrap();
    disk.read(0, &mut [0; 512]).unwrap();
    assert!(disk.close().is_empty());
    bed.assert_clean();
}
