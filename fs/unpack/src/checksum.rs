//! Checksums of the formats here that have no crate of their own in the image.

use core::sync::atomic::{AtomicU32, Ordering};

use crc::{CRC_64_XZ, Crc, Table};

/// Tables for 16 bytes at a time, because kernels are large. Filled when first needed: ready-made they would be 16 KiB of
/// the image that no compressor makes smaller. Atomics, since statics of safe code cannot be changed otherwise; a relaxed
/// load is a plain one.
static TABLES: [[AtomicU32; 256]; 16] = [const { [const { AtomicU32::new(0) }; 256] }; 16];

/// The CRC32 of gzip, xz and lzop (ISO HDLC), in pieces.
#[derive(Clone)]
pub(super) struct Crc32(u32);

impl Crc32 {
    pub(super) fn new() -> Self {
        // Entry 1 of the first table is never 0.
        if TABLES[0][1].load(Ordering::Relaxed) == 0 {
            fill();
        }
        Self(!0)
    }

    pub(super) fn of(data: &[u8]) -> u32 {
        let mut sum = Self::new();
        sum.update(data);
        sum.finalize()
    }

    pub(super) fn update(&mut self, data: &[u8]) {
        let look =
            |table: &[AtomicU32; 256], byte: u8| table[usize::from(byte)].load(Ordering::Relaxed);
        let (sixteens, rest) = data.as_chunks::<16>();
        for bytes in sixteens {
            let mut bytes = *bytes;
            for (byte, own) in bytes.iter_mut().zip(self.0.to_le_bytes()) {
                *byte ^= own;
            }
            self.0 = TABLES
                .iter()
                .rev()
                .zip(bytes)
                .fold(0, |sum, (table, byte)| sum ^ look(table, byte));
        }
        for byte in rest {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = look(&TABLES[0], low ^ byte) ^ (self.0 >> 8);
        }
    }

    pub(super) fn finalize(self) -> u32 {
        !self.0
    }
}

fn fill() {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    for (entry, byte) in TABLES[0].iter().zip(0u32..) {
        let sum = (0..8).fold(byte, |sum, _| {
            if sum & 1 == 0 {
                sum >> 1
            } else {
                (sum >> 1) ^ POLYNOMIAL
            }
        });
        entry.store(sum, Ordering::Relaxed);
    }
    // Each further table has one more byte of zeros behind.
    for [table, next] in TABLES.array_windows::<2>() {
        for (from, to) in table.iter().zip(next) {
            let sum = from.load(Ordering::Relaxed);
            let [low, ..] = sum.to_le_bytes();
            let more = TABLES[0][usize::from(low)].load(Ordering::Relaxed);
            to.store(more ^ (sum >> 8), Ordering::Relaxed);
        }
    }
}

/// CRC64 as `xz` uses it by default; kernels do not, so one table will do.
pub(super) static CRC64: Crc<u64, Table<1>> = Crc::<u64, Table<1>>::new(&CRC_64_XZ);

/// Adler-32 (RFC 1950) of `bytes`.
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    let (mut a, mut b) = (1u32, 0u32);
    // 5552 bytes is as many as cannot overflow `b` before the reduction.
    for piece in bytes.chunks(5552) {
        for &byte in piece {
            a += u32::from(byte);
            b += a;
        }
        a %= MODULUS;
        b %= MODULUS;
    }
    b << 16 | a
}

/// XXH64 with seed 0 (the xxHash specification, "XXH64 algorithm description") of `bytes`.
pub fn xxh64(bytes: &[u8]) -> u64 {
    const P1: u64 = 0x9e37_79b1_85eb_ca87;
    const P2: u64 = 0xc2b2_ae3d_27d4_eb4f;
    const P3: u64 = 0x1656_67b1_9e37_79f9;
    const P4: u64 = 0x85eb_ca77_c2b2_ae63;
    const P5: u64 = 0x27d4_eb2f_1656_67c5;
    fn round(acc: u64, lane: u64) -> u64 {
        acc.wrapping_add(lane.wrapping_mul(P2))
            .rotate_left(31)
            .wrapping_mul(P1)
    }
    let (stripes, rest) = bytes.as_chunks::<32>();
    let mut hash = P5;
    if !stripes.is_empty() {
        let mut accs = [P1.wrapping_add(P2), P2, 0, 0u64.wrapping_sub(P1)];
        for stripe in stripes {
            let (lanes, _) = stripe.as_chunks::<8>();
            for (acc, lane) in accs.iter_mut().zip(lanes) {
                *acc = round(*acc, u64::from_le_bytes(*lane));
            }
        }
        hash = accs
            .iter()
            .zip([1, 7, 12, 18])
            .fold(0u64, |sum, (acc, turn)| {
                sum.wrapping_add(acc.rotate_left(turn))
            });
        for acc in accs {
            hash = (hash ^ round(0, acc)).wrapping_mul(P1).wrapping_add(P4);
        }
    }
    hash = hash.wrapping_add(bytes.len() as u64);
    let (lanes, rest) = rest.as_chunks::<8>();
    for lane in lanes {
        hash = (hash ^ round(0, u64::from_le_bytes(*lane)))
            .rotate_left(27)
            .wrapping_mul(P1)
            .wrapping_add(P4);
    }
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        let word = u64::from(u32::from_le_bytes(*word));
        hash = (hash ^ word.wrapping_mul(P1))
            .rotate_left(23)
            .wrapping_mul(P2)
            .wrapping_add(P3);
    }
    for &byte in rest {
        hash = (hash ^ u64::from(byte).wrapping_mul(P5))
            .rotate_left(11)
            .wrapping_mul(P1);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(P2);
    hash = (hash ^ hash >> 29).wrapping_mul(P3);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn crc32_of_any_length_and_in_any_pieces() {
        let reference = Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
        let data: Vec<u8> = (0..1000u32).map(|at| ((at * at) >> 3) as u8).collect();
        assert_eq!(Crc32::of(b"123456789"), 0xcbf4_3926);
        for len in 0..100 {
            assert_eq!(Crc32::of(&data[..len]), reference.checksum(&data[..len]));
            let mut sum = Crc32::new();
            sum.update(&data[..len]);
            sum.update(&data[len..]);
            assert_eq!(sum.finalize(), reference.checksum(&data));
        }
    }

    #[test]
    fn adler32_of_a_word() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn xxh64_of_short_and_long_inputs() {
        assert_eq!(xxh64(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"abc"), 0x44bc_2cf5_ad77_0999);
        assert_eq!(
            xxh64(b"Nobody inspects the spammish repetition"),
            0xfbce_a83c_8a37_8bf1
        );
    }
}
