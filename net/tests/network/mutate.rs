//! Frames with bytes changed by a generator that repeats: nothing may panic, hang or give a wrong file.

use std::time::Duration;

use net::fake::{ADDRESS, Dhcp, Dice, Faults, Settings};
use net::tftp::{Transfer, Wishes, wire};
use net::{Lease, NetDevice, forget_udp_checksum};

use crate::{Bed, pattern};

#[test]
fn mutated_frames_never_give_a_wrong_file() {
    for seed in 0..60 {
        let file = pattern(60_000);
        let mut settings = Settings {
            dhcp: Some(Dhcp {
                options: vec![(150, b"/file".to_vec())],
                ..Dhcp::default()
            }),
            ..Settings::default()
        };
        settings.files.insert(b"/file".to_vec(), file.clone());
        let faults = Faults {
            loss: 2,
            duplicate: 2,
            reorder: 2,
            mutate: 30,
        };
        let mut bed = Bed::new(settings, faults, seed);
        let (result, took) = bed.elapsed(|bed| {
            let deadline = bed.soon(30);
            bed.stack.obtain_lease(deadline)?;
            let deadline = bed.soon(10);
            let mut remote = bed.stack.open(ADDRESS, b"/file", deadline)?;
            let mut out = vec![0; remote.len().min(1 << 20) as usize];
            bed.stack.read(&mut remote, 0, &mut out)?;
            Ok::<_, net::NetError>(out)
        });
        // Checksums keep mutations out of the file, but for those that cancel out; an error is allowed.
        if let Ok(out) = result {
            assert_eq!(out.len(), file.len(), "seed {seed}");
            for (got, sent) in out.chunks(1468).zip(file.chunks(1468)) {
                assert!(sum(got) == sum(sent), "seed {seed}");
            }
        }
        assert!(took < Duration::from_secs(120), "{took:?}");
    }
}

/// The sum that UDP protects bytes with (RFC 1071).
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    words.fold(0, |sum, word| {
        let sum = sum + word;
        (sum & 0xFFFF) + (sum >> 16)
    })
}

#[test]
fn nonsense_frames_are_survived() {
    let mut dice = Dice::new(7);
    let mut bed = Bed::with_file(pattern(1000), |_| {});
    for _ in 0..3000 {
        let len = dice.roll() as usize % 1600;
        let mut frame: Vec<u8> = (0..len).map(|_| dice.roll() as u8).collect();
        // Half of them look like IPv4 for this guest.
        if len > 40 && dice.happens(50) {
            frame[..6].copy_from_slice(&bed.card.mac());
            frame[12..14].copy_from_slice(&[8, 0]);
            frame[14] = 0x45;
            frame[23] = 17;
        }
        let mut copy = frame.clone();
        forget_udp_checksum(&mut copy);
        bed.card.lan.borrow_mut().inject(frame);
        bed.stack.poll().unwrap();
    }
    assert!(bed.stack.lease().is_some());
}

#[test]
fn nonsense_dhcp_messages_are_survived() {
    let mut dice = Dice::new(11);
    for _ in 0..20_000 {
        let len = dice.roll() as usize % 600;
        let mut message: Vec<u8> = (0..len).map(|_| dice.roll() as u8).collect();
        if let Some(magic) = message.get_mut(236..240) {
            magic.copy_from_slice(&[99, 130, 83, 99]);
        }
        // Options that matter, of any length.
        let mut at = 240;
        while at + 2 < message.len() && dice.happens(80) {
            message[at] = [1, 3, 12, 52, 54, 66, 67, 150, 255, 0][dice.roll() as usize % 10];
            message[at + 1] = (dice.roll() % 40) as u8;
            at += 2 + usize::from(message[at + 1]);
        }
        if let Ok(lease) = Lease::parse(&message) {
            let _ = (lease.menu(), lease.server(), lease.warning());
        }
    }
}

#[test]
fn nonsense_tftp_packets_are_survived() {
    for seed in 0..2000 {
        let mut dice = Dice::new(seed);
        let mut now = Duration::from_secs(5);
        let wishes = Wishes {
            block: 1468,
            window: 64,
        };
        let mut transfer = Transfer::new(ADDRESS, b"/file", wishes, now).unwrap();
        let mut sent = 0_u64;
        let mut heard = 0_u64;
        for _ in 0..200 {
            let packet = packet(&mut dice);
            heard += 1;
            now += Duration::from_micros(u64::from(dice.roll() % 2_000_000));
            let port = if dice.happens(90) {
                2000
            } else {
                dice.roll() as u16
            };
            let over = transfer.hear(now, port, &packet).is_err() || transfer.tick(now).is_err();
            while transfer.next_out().is_some() {
                sent += 1;
            }
            if over {
                break;
            }
        }
        // An answer for each packet and each timer at most: nobody can make an amplifier of this client.
        assert!(sent <= heard * 3 + 2, "{sent} for {heard}");
    }
}

fn packet(dice: &mut Dice) -> Vec<u8> {
    let mut packet = vec![0, (dice.roll() % 8) as u8];
    match packet[1] {
        6 => {
            for _ in 0..dice.roll() % 6 {
                let name = ["blksize", "tsize", "windowsize", "timeout", "BLKSIZE", "x"];
                let value = [
                    "512",
                    "1468",
                    "0",
                    "-1",
                    "18446744073709551615",
                    "99999999999999999999999",
                    "8",
                    "",
                ];
                packet.extend_from_slice(name[dice.roll() as usize % 6].as_bytes());
                packet.push(0);
                packet.extend_from_slice(value[dice.roll() as usize % 8].as_bytes());
                if dice.happens(95) {
                    packet.push(0);
                }
            }
        }
        _ => {
            packet.push(if dice.happens(90) {
                0
            } else {
                dice.roll() as u8
            });
            packet.push((dice.roll() % 6) as u8);
            let len = [0, 1, 511, 512, 1467, 1468, 1469, 3000][dice.roll() as usize % 8];
            packet.resize(packet.len() + len, 1);
        }
    }
    if dice.happens(5) {
        packet.truncate(dice.roll() as usize % 5);
    }
    let _ = wire::Packet::parse(&packet);
    packet
}
