//! The hashes of names that order a large directory's index.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/directory.rst`; MD4 (RFC 1320) and TEA as published, the first
//! cut down to eight steps a round, both fed four bytes of the name as one word.

/// The versions that a directory's root may name; SipHash is for encrypted directories.
const LEGACY: u8 = 0;
const HALF_MD4: u8 = 1;
const TEA: u8 = 2;

/// MD4's start, and what its second and third round add.
const MD4_START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
const MD4_ADDED: [u32; 3] = [0, 0x5a82_7999, 0x6ed9_eba1];
/// By how much each round turns, and which word each of its steps takes.
const MD4_TURNS: [[u32; 4]; 3] = [[3, 7, 11, 19], [3, 5, 9, 13], [3, 9, 11, 15]];
const MD4_WORDS: [[usize; 8]; 3] = [
    [0, 1, 2, 3, 4, 5, 6, 7],
    [1, 3, 5, 7, 0, 2, 4, 6],
    [3, 7, 2, 6, 1, 5, 0, 4],
];
const TEA_DELTA: u32 = 0x9e37_79b9;

/// How a file system's names are hashed.
#[derive(Clone, Copy)]
pub(super) struct Hashing {
    /// `s_hash_seed`; zeros stand for MD4's own start.
    pub(super) seed: [u32; 4],
    /// What bytes above 127 count for.
    pub(super) bytes: Bytes,
}

/// What a byte of a name is: as `char` was on the machine that made the file system.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bytes {
    Signed,
    Unsigned,
}

impl Hashing {
    /// The hash of `name`, its lowest bit clear; `None` for a version that is not known here.
    pub(super) fn of(&self, version: u8, name: &[u8]) -> Option<u32> {
        let start = match self.seed {
            [0, 0, 0, 0] => MD4_START,
            seed => seed,
        };
        let mut state = start;
        let mut rest = name;
        let hash = match version {
            LEGACY => self.legacy(name),
            HALF_MD4 => {
                while !rest.is_empty() {
                    half_md4(&mut state, &self.words(rest));
                    rest = rest.get(32..).unwrap_or_default();
                }
                state[1]
            }
            TEA => {
                while !rest.is_empty() {
                    tea(&mut state, &self.words(rest));
                    rest = rest.get(16..).unwrap_or_default();
                }
                state[0]
            }
            _ => return None,
        };
        // The greatest stands for a directory's end.
        Some((hash & !1).min(0xffff_fffc))
    }

    fn number(&self, byte: u8) -> u32 {
        match self.bytes {
            Bytes::Signed => i32::from(byte.cast_signed()).cast_unsigned(),
            Bytes::Unsigned => u32::from(byte),
        }
    }

    /// The first words of what is left of a name, filled up with its length.
    fn words<const N: usize>(&self, rest: &[u8]) -> [u32; N] {
        // Names have 255 bytes at most.
        let len = u8::try_from(rest.len()).unwrap_or(u8::MAX);
        let filler = u32::from_ne_bytes([len; 4]);
        let mut words = [filler; N];
        for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
            for &byte in bytes {
                *word = (*word << 8).wrapping_add(self.number(byte));
            }
        }
        words
    }

    /// The hash of before 2002.
    fn legacy(&self, name: &[u8]) -> u32 {
        let (mut last, mut before) = (0x12a3_fe2d_u32, 0x37ab_e8f9_u32);
        for &byte in name {
            let mixed = last ^ self.number(byte).wrapping_mul(7_152_373);
            let mut next = before.wrapping_add(mixed);
            if next & 0x8000_0000 != 0 {
                next = next.wrapping_sub(0x7fff_ffff);
            }
            (before, last) = (last, next);
        }
        last << 1
    }
}

fn half_md4(state: &mut [u32; 4], words: &[u32; 8]) {
    let [mut a, mut b, mut c, mut d] = *state;
    for round in 0..3 {
        for (step, &word) in MD4_WORDS[round].iter().enumerate() {
            let mixed = match round {
                0 => d ^ (b & (c ^ d)),
                1 => (b & c).wrapping_add((b ^ c) & d),
                _ => b ^ c ^ d,
            };
            let sum = a
                .wrapping_add(mixed)
                .wrapping_add(words[word])
                .wrapping_add(MD4_ADDED[round]);
            let turned = sum.rotate_left(MD4_TURNS[round][step % 4]);
            (a, b, c, d) = (d, turned, b, c);
        }
    }
    for (word, by) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(by);
    }
}

fn tea(state: &mut [u32; 4], key: &[u32; 4]) {
    let [mut left, mut right, ..] = *state;
    let mix = |half: u32, sum: u32, one: u32, two: u32| {
        (half << 4).wrapping_add(one) ^ half.wrapping_add(sum) ^ (half >> 5).wrapping_add(two)
    };
    let mut sum = 0_u32;
    for _ in 0..16 {
        sum = sum.wrapping_add(TEA_DELTA);
        left = left.wrapping_add(mix(right, sum, key[0], key[1]));
        right = right.wrapping_add(mix(left, sum, key[2], key[3]));
    }
    state[0] = state[0].wrapping_add(left);
    state[1] = state[1].wrapping_add(right);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, and their hashes as debugfs has them (`dx_hash -h VERSION -s SEED NAME`): legacy, half_md4 with and
    /// without the seed, tea without.
    const KNOWN: [(&str, [u32; 4]); 4] = [
        ("a", [0xe74b_53e2, 0xd5fa_7d7a, 0x35dc_0cc4, 0x6d0e_a4c0]),
        (
            "vmlinuz",
            [0x0923_e5b0, 0x1c85_057a, 0xfbc7_700e, 0xa84d_78b8],
        ),
        (
            "initrd.img-6.1.0-18-amd64 with some more than 32",
            [0xc098_44c0, 0xd8e4_5b56, 0xa8c5_ce20, 0x0e66_82d8],
        ),
        (
            "gr\u{f6}\u{df}e",
            [0x9d04_0690, 0xa759_a98e, 0x385a_fb18, 0xcc8f_d112],
        ),
    ];

    #[test]
    fn the_hashes_are_those_of_debugfs() {
        let plain = Hashing {
            seed: [0; 4],
            bytes: Bytes::Signed,
        };
        let uuid = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";
        let seeded = Hashing {
            seed: [0, 4, 8, 12].map(|at| u32::from_le_bytes([0, 1, 2, 3].map(|n| uuid[at + n]))),
            ..plain
        };
        for (name, [legacy, half_md4, half_md4_seeded, tea]) in KNOWN {
            let name = name.as_bytes();
            assert_eq!(plain.of(LEGACY, name), Some(legacy));
            assert_eq!(plain.of(HALF_MD4, name), Some(half_md4));
            assert_eq!(seeded.of(HALF_MD4, name), Some(half_md4_seeded));
            assert_eq!(plain.of(TEA, name), Some(tea));
            assert_eq!(plain.of(6, name), None);
        }
        // Its versions 3, 4 and 5.
        let unsigned = Hashing {
            bytes: Bytes::Unsigned,
            ..plain
        };
        let name = "gr\u{f6}\u{df}e".as_bytes();
        assert_eq!(unsigned.of(LEGACY, name), Some(0x098d_2490));
        assert_eq!(unsigned.of(HALF_MD4, name), Some(0x10ea_f0cc));
        assert_eq!(unsigned.of(TEA, name), Some(0x2e17_7714));
        assert_eq!(unsigned.of(TEA, b"a"), plain.of(TEA, b"a"));
    }
}
