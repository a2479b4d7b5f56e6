//! Files over TFTP: sizes, servers of all kinds, and each way a wire can be bad.

use std::time::Duration;

use net::NetError;
use net::fake::{ADDRESS, Faults};
use net::tftp::{Transfer, Wishes};

use crate::{Bed, pattern};

fn fetch(bed: &mut Bed) -> Result<Vec<u8>, NetError> {
    let deadline = bed.soon(10);
    let mut remote = bed.stack.open(ADDRESS, b"/file", deadline)?;
    let mut out = vec![0; usize::try_from(remote.len()).unwrap()];
    let mut at = 0;
    // As the decompressor reads.
    for chunk in out.chunks_mut(256 << 10) {
        bed.stack.read(&mut remote, at, chunk)?;
        at += chunk.len() as u64;
    }
    Ok(out)
}

#[test]
fn files_of_every_size_come_whole() {
    for len in [
        0,
        1,
        511,
        512,
        513,
        1467,
        1468,
        1469,
        2936,
        64 * 1468,
        100_000,
        3_000_000,
    ] {
        let mut bed = Bed::with_file(pattern(len), |_| {});
        assert!(fetch(&mut bed).unwrap() == pattern(len), "{len} bytes");
    }
}

#[test]
fn a_server_without_options_is_used_as_it_is() {
    for len in [0, 512, 1000, 300_000, 3_000_000] {
        let mut bed = Bed::with_file(pattern(len), |settings| settings.tftp.block = 0);
        assert!(fetch(&mut bed).unwrap() == pattern(len), "{len} bytes");
        let requests = bed.card.lan.borrow_mut().server().requests;
        // A small one is kept from being measured.
        assert_eq!(requests, if len > 1 << 20 { 2 } else { 1 });
    }
}

#[test]
fn a_server_that_refuses_options_is_asked_without() {
    for code in [0, 4, 8] {
        let mut bed = Bed::with_file(pattern(9000), |settings| {
            settings.tftp.refuses_options = Some(code);
        });
        assert!(fetch(&mut bed).unwrap() == pattern(9000));
    }
}

#[test]
fn servers_without_window_or_size() {
    let mut bed = Bed::with_file(pattern(2_000_000), |settings| {
        settings.tftp.window = 0;
        settings.tftp.size = None;
    });
    assert!(fetch(&mut bed).unwrap() == pattern(2_000_000));
}

#[test]
fn block_numbers_begin_again() {
    let len = 512 * 70_000 + 5;
    for (block, window, after) in [(512, 64, 0), (512, 0, 0), (512, 0, 1), (0, 0, 0)] {
        let mut bed = Bed::with_file(pattern(len), |settings| {
            settings.tftp.block = block;
            settings.tftp.window = window;
            settings.tftp.after_wrap = after;
        });
        assert!(
            fetch(&mut bed).unwrap() == pattern(len),
            "{block} {window} {after}"
        );
    }
}

#[test]
fn a_bad_wire_only_costs_time() {
    for seed in 0..6 {
        for (window, faults) in [
            (
                64,
                Faults {
                    loss: 20,
                    duplicate: 10,
                    reorder: 10,
                    mutate: 0,
                },
            ),
            (
                0,
                Faults {
                    loss: 20,
                    duplicate: 20,
                    reorder: 0,
                    mutate: 0,
                },
            ),
            (
                16,
                Faults {
                    loss: 0,
                    duplicate: 50,
                    reorder: 50,
                    mutate: 0,
                },
            ),
        ] {
            let mut bed = Bed::with_file(pattern(400_000), |settings| {
                settings.tftp.window = window;
            });
            *bed.card.lan.borrow_mut() = {
                let mut settings = bed.card.lan.borrow_mut().server().settings().clone();
                settings.tftp.window = window;
                net::fake::Lan::new(net::fake::Server::new(settings), faults, seed)
            };
            let (file, took) = bed.elapsed(fetch);
            assert!(file.unwrap() == pattern(400_000), "seed {seed} {faults:?}");
            assert!(took < Duration::from_secs(600), "{took:?} {faults:?}");
        }
    }
}

/// A router on the way breaks blocks into fragments, of which some are lost.
#[test]
fn fragments_are_joined() {
    for (bytes, faults, limit) in [
        (1400, Faults::default(), 2),
        (576, Faults::default(), 2),
        (
            1000,
            Faults {
                loss: 2,
                reorder: 5,
                ..Faults::default()
            },
            240,
        ),
    ] {
        for window in [0, 64] {
            let mut bed = Bed::with_file(pattern(400_000), |settings| {
                settings.tftp.window = window;
            });
            bed.card.lan.borrow_mut().narrow_to(bytes);
            bed.card.lan.borrow_mut().set_faults(faults);
            let (file, took) = bed.elapsed(fetch);
            let context = format!("{bytes} bytes, window {window}, {faults:?}, {took:?}");
            match file {
                Ok(file) => assert!(file == pattern(400_000), "{context}"),
                Err(error) => panic!("{error}: {context}"),
            }
            assert!(took < Duration::from_secs(limit), "{context}");
        }
    }
}

#[test]
fn duplicates_do_not_multiply() {
    let mut bed = Bed::with_file(pattern(1_000_000), |settings| settings.tftp.window = 0);
    bed.card.lan.borrow_mut().set_faults(Faults {
        duplicate: 100,
        ..Faults::default()
    });
    let before = bed.card.lan.borrow().sent;
    assert!(fetch(&mut bed).unwrap() == pattern(1_000_000));
    let sent = bed.card.lan.borrow().sent - before;
    let blocks = 1_000_000_u64.div_ceil(1468);
    assert!(sent < blocks + 20, "{sent} frames for {blocks} blocks");
}

#[test]
fn windows_save_time() {
    let mut took = Vec::new();
    for window in [0, 64] {
        let mut bed = Bed::with_file(pattern(3_000_000), |settings| {
            settings.tftp.window = window;
        });
        bed.card
            .lan
            .borrow_mut()
            .set_latency(Duration::from_micros(2500));
        took.push(bed.elapsed(fetch).1);
    }
    assert!(took[0] > took[1] * 20, "{took:?}");
}

/// Sleeping and waking cost more than a frame does.
#[test]
fn nobody_wakes_for_each_frame() {
    for (window, per_block) in [(64, 0.2), (0, 2.1)] {
        let mut bed = Bed::with_file(pattern(3_000_000), |settings| {
            settings.tftp.window = window;
        });
        let before = bed.card.waits.get();
        assert!(fetch(&mut bed).unwrap() == pattern(3_000_000));
        let waits = (bed.card.waits.get() - before) as f64;
        let blocks = 3_000_000_f64 / 1468.0;
        assert!(waits < blocks * per_block, "{waits} waits, window {window}");
    }
}

#[test]
fn a_missing_file_is_error_15_in_the_servers_words() {
    let mut bed = Bed::with_file(Vec::new(), |_| {});
    let deadline = bed.soon(10);
    let error = bed.stack.open(ADDRESS, b"/none", deadline).unwrap_err();
    assert_eq!(error.grub_error(), 15);
    assert_eq!(
        error.to_string(),
        "the TFTP server says: File not found (error 1)"
    );
}

#[test]
fn a_silent_server_is_given_up_in_time() {
    let mut bed = Bed::with_file(Vec::new(), |_| {});
    bed.card.lan.borrow_mut().set_faults(Faults {
        loss: 100,
        ..Faults::default()
    });
    let deadline = bed.soon(3);
    let (result, took) = bed.elapsed(|bed| bed.stack.open(ADDRESS, b"/file", deadline));
    assert!(
        matches!(result, Err(NetError::NoAnswer { .. })),
        "{result:?}"
    );
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(4),
        "{took:?}"
    );
}

#[test]
fn a_server_that_dies_is_given_up_in_time() {
    for window in [0, 64] {
        let mut bed = Bed::with_file(pattern(2_000_000), |settings| {
            settings.tftp.dies_after = Some(1_000_000);
            settings.tftp.window = window;
        });
        let (result, took) = bed.elapsed(fetch);
        assert!(
            matches!(result, Err(NetError::Stalled { .. })),
            "{result:?}"
        );
        assert!(
            took >= Duration::from_secs(10) && took < Duration::from_secs(13),
            "{took:?}"
        );
    }
}

#[test]
fn lies_about_the_size_are_found_out() {
    for lie in [-1, 1, 5000, -5000] {
        let mut bed = Bed::with_file(pattern(20_000), |settings| settings.tftp.size = Some(lie));
        let error = fetch(&mut bed).unwrap_err();
        assert!(
            matches!(error, NetError::WrongSize { .. }),
            "{lie}: {error}"
        );
    }
}

#[test]
fn an_endless_file_ends() {
    let mut bed = Bed::with_file(pattern(20_000), |settings| settings.tftp.endless = true);
    let error = fetch(&mut bed).unwrap_err();
    assert!(matches!(error, NetError::WrongSize { .. }), "{error}");
}

#[test]
fn going_back_asks_again() {
    let file = pattern(2_500_000);
    for (keep, expected) in [(0, 4), (8 << 20, 3)] {
        let mut bed = Bed::with_file(file.clone(), |_| {});
        bed.stack.keep_at_most(keep);
        let deadline = bed.soon(10);
        let mut remote = bed.stack.open(ADDRESS, b"/file", deadline).unwrap();
        let mut out = vec![0; 500_000];
        // Back three times: 0 goes beyond the 320 KiB of the head, 750,000 was passed over, 1,250,000 was read.
        for offset in [
            0, 500_000, 0, 1_500_000, 750_000, 1_250_000, 2_000_000, 1_500_000,
        ] {
            bed.stack.read(&mut remote, offset, &mut out).unwrap();
            assert!(out == file[offset as usize..][..out.len()], "{offset}");
        }
        bed.stack
            .read(&mut remote, 10, &mut out[..300_000])
            .unwrap();
        assert!(out[..300_000] == file[10..300_010]);
        let requests = bed.card.lan.borrow_mut().server().requests;
        assert!(requests <= expected + 1, "{keep}: {requests}");
        let error = bed.stack.read(&mut remote, 2_499_999, &mut out[..2]);
        assert_eq!(error.unwrap_err().grub_error(), 24);
    }
}

#[test]
fn a_kernel_whose_size_stands_at_its_end_comes_once() {
    const START: usize = 60_000;
    let file = pattern(3_000_000);
    for (keep, expected) in [(8 << 20, 1), (1 << 20, 2)] {
        let mut bed = Bed::with_file(file.clone(), |_| {});
        bed.stack.keep_at_most(keep);
        let deadline = bed.soon(10);
        let mut remote = bed.stack.open(ADDRESS, b"/file", deadline).unwrap();
        let mut out = vec![0; file.len()];
        // As the loader reads: the header, what the packed data begins with, its size, and all of it.
        for (at, len) in [(0, 4096), (START, 256 << 10), (2_999_000, 4)] {
            let out = &mut out[..len];
            bed.stack.read(&mut remote, at as u64, out).unwrap();
            assert!(out == &file[at..at + len]);
        }
        let mut at = START as u64;
        for chunk in out[START..].chunks_mut(256 << 10) {
            bed.stack.read(&mut remote, at, chunk).unwrap();
            at += chunk.len() as u64;
        }
        assert!(out[START..] == file[START..]);
        assert_eq!(bed.card.lan.borrow_mut().server().requests, expected);
    }
}

#[test]
fn two_open_files_take_turns() {
    let file = pattern(300_000);
    let mut bed = Bed::with_file(file.clone(), |settings| {
        settings.files.insert(b"/other".to_vec(), vec![7; 1000]);
    });
    let deadline = bed.soon(10);
    let mut first = bed.stack.open(ADDRESS, b"/file", deadline).unwrap();
    let mut out = vec![0; 100_000];
    bed.stack.read(&mut first, 0, &mut out).unwrap();
    let mut second = bed.stack.open(ADDRESS, b"/other", deadline).unwrap();
    let mut small = vec![0; 1000];
    bed.stack.read(&mut second, 0, &mut small).unwrap();
    assert_eq!(small, vec![7; 1000]);
    bed.stack.read(&mut first, 100_000, &mut out).unwrap();
    assert!(out == file[100_000..200_000]);
}

#[test]
fn a_reader_who_was_away_goes_on() {
    let file = pattern(2_000_000);
    let mut bed = Bed::with_file(file.clone(), |_| {});
    let deadline = bed.soon(10);
    let mut remote = bed.stack.open(ADDRESS, b"/file", deadline).unwrap();
    let mut out = vec![0; 200_000];
    for (at, away) in [(0, 0), (200_000, 3), (400_000, 60), (600_000, 1800)] {
        bed.card.pass(Duration::from_secs(away));
        bed.stack.read(&mut remote, at, &mut out).unwrap();
        assert!(out == file[at as usize..][..out.len()], "{away} s");
    }
}

#[test]
fn strangers_are_told_off_and_not_heard() {
    let now = Duration::from_secs(1);
    let wishes = Wishes {
        block: 1468,
        window: 1,
    };
    let mut transfer = Transfer::new(ADDRESS, b"/file", wishes, now).unwrap();
    let mut sent = |packets: &[(u16, &[u8])]| sent_after(&mut transfer, now, packets);
    assert_eq!(sent(&[]), [(69, 1)]);
    assert_eq!(
        sent(&[(3000, &[0, 6, b't', b's', b'i', b'z', b'e', 0, b'3', 0])]),
        [(3000, 4)]
    );
    // Data and refusals of somebody else change nothing.
    assert_eq!(
        sent(&[(3001, &[0, 3, 0, 1, 9]), (3001, &[0, 5, 0, 1, 0])]),
        [(3001, 5)]
    );
    assert_eq!(sent(&[(3000, &[0, 3, 0, 1, 1, 2, 3])]), [(3000, 4)]);
    assert!(transfer.is_done() && transfer.received() == 3);
}

/// Ports and operations of what is sent after hearing `packets`.
fn sent_after(transfer: &mut Transfer, now: Duration, packets: &[(u16, &[u8])]) -> Vec<(u16, u8)> {
    for (port, packet) in packets {
        transfer.hear(now, *port, packet).unwrap();
    }
    std::iter::from_fn(|| transfer.next_out())
        .map(|out| (out.port, out.bytes[1]))
        .collect()
}
