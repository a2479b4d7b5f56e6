//! MD5, SHA-256 and SHA-512, for comparing passwords with what a menu stores, and for nothing else.
//!
//! Written here rather than taken from a crate: the usual ones choose vector instructions at run time, which a loader
//! that saves no vector state has no business with, and speed is the last thing a password check needs.
//! Sources: RFC 1321; FIPS 180-4.

use alloc::vec::Vec;

/// A hash function over a whole message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Digest {
    /// 16 bytes.
    Md5,
    /// 32 bytes.
    Sha256,
    /// 64 bytes.
    Sha512,
}

impl Digest {
    /// The hash of `message`.
    #[must_use]
    pub fn of(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => md5(message),
            Self::Sha256 => sha256(message),
            Self::Sha512 => sha512(message),
        }
    }
}

/// `message`, a 1 bit, zeros, and its length in bits as `len_bytes` bytes, in whole blocks.
fn padded(message: &[u8], block_bytes: usize, len: &[u8]) -> Vec<u8> {
    let mut padded = message.to_vec();
    padded.push(0x80);
    let end = padded
        .len()
        .saturating_add(len.len())
        .next_multiple_of(block_bytes);
    padded.resize(end.saturating_sub(len.len()), 0);
    padded.extend_from_slice(len);
    padded
}

fn bits(message: &[u8]) -> u64 {
    u64::try_from(message.len())
        .unwrap_or(u64::MAX)
        .wrapping_mul(8)
}

const MD5_K: [u32; 64] = [
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
];

const MD5_SHIFTS: [[u32; 4]; 4] = [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
];

fn md5(message: &[u8]) -> Vec<u8> {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded(message, 64, &bits(message).to_le_bytes())
        .as_chunks::<64>()
        .0
    {
        let mut words = [0; 16];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let [mut a, mut b, mut c, mut d] = state;
        for (i, k) in MD5_K.iter().enumerate() {
            let round = i >> 4;
            let (mix, at) = match round {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), i.wrapping_mul(5).wrapping_add(1)),
                2 => (b ^ c ^ d, i.wrapping_mul(3).wrapping_add(5)),
                _ => (c ^ (b | !d), i.wrapping_mul(7)),
            };
            let shift = MD5_SHIFTS[round & 3][i & 3];
            let sum = a
                .wrapping_add(mix)
                .wrapping_add(*k)
                .wrapping_add(words[at & 15]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(shift)));
        }
        for (value, add) in state.iter_mut().zip([a, b, c, d]) {
            *value = value.wrapping_add(add);
        }
    }
    state.iter().flat_map(|word| word.to_le_bytes()).collect()
}

const SHA256_START: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

const SHA256_K: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

const SHA512_START: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];

const SHA512_K: [u64; 80] = [
    0x428a2f98d728ae22,
    0x7137449123ef65cd,
    0xb5c0fbcfec4d3b2f,
    0xe9b5dba58189dbbc,
    0x3956c25bf348b538,
    0x59f111f1b605d019,
    0x923f82a4af194f9b,
    0xab1c5ed5da6d8118,
    0xd807aa98a3030242,
    0x12835b0145706fbe,
    0x243185be4ee4b28c,
    0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f,
    0x80deb1fe3b1696b1,
    0x9bdc06a725c71235,
    0xc19bf174cf692694,
    0xe49b69c19ef14ad2,
    0xefbe4786384f25e3,
    0x0fc19dc68b8cd5b5,
    0x240ca1cc77ac9c65,
    0x2de92c6f592b0275,
    0x4a7484aa6ea6e483,
    0x5cb0a9dcbd41fbd4,
    0x76f988da831153b5,
    0x983e5152ee66dfab,
    0xa831c66d2db43210,
    0xb00327c898fb213f,
    0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2,
    0xd5a79147930aa725,
    0x06ca6351e003826f,
    0x142929670a0e6e70,
    0x27b70a8546d22ffc,
    0x2e1b21385c26c926,
    0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df,
    0x650a73548baf63de,
    0x766a0abb3c77b2a8,
    0x81c2c92e47edaee6,
    0x92722c851482353b,
    0xa2bfe8a14cf10364,
    0xa81a664bbc423001,
    0xc24b8b70d0f89791,
    0xc76c51a30654be30,
    0xd192e819d6ef5218,
    0xd69906245565a910,
    0xf40e35855771202a,
    0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8,
    0x1e376c085141ab53,
    0x2748774cdf8eeb99,
    0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63,
    0x4ed8aa4ae3418acb,
    0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc,
    0x78a5636f43172f60,
    0x84c87814a1f0ab72,
    0x8cc702081a6439ec,
    0x90befffa23631e28,
    0xa4506cebde82bde9,
    0xbef9a3f7b2c67915,
    0xc67178f2e372532b,
    0xca273eceea26619c,
    0xd186b8c721c0c207,
    0xeada7dd6cde0eb1e,
    0xf57d4f7fee6ed178,
    0x06f067aa72176fba,
    0x0a637dc5a2c898a6,
    0x113f9804bef90dae,
    0x1b710b35131c471b,
    0x28db77f523047d84,
    0x32caab7b40c72493,
    0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6,
    0x597f299cfc657e2a,
    0x5fcb6fab3ad6faec,
    0x6c44198c4a475817,
];

/// The two SHA-2 functions differ in word size, rounds, constants and rotations; everything else is this.
macro_rules! sha2 {
    ($name:ident, $word:ty, $block:literal, $len:ty, $start:ident, $k:ident,
     $s0:expr, $s1:expr, $e0:expr, $e1:expr) => {
        fn $name(message: &[u8]) -> Vec<u8> {
            const ROUNDS: usize = $k.len();
            let mut state = $start;
            let len = <$len>::from(bits(message)).to_be_bytes();
            for block in padded(message, $block, &len).as_chunks::<$block>().0 {
                let mut words = [0; ROUNDS];
                for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
                    *word = <$word>::from_be_bytes(*bytes);
                }
                for i in 16..ROUNDS {
                    let before = |distance: usize| words[i.wrapping_sub(distance)];
                    words[i] = before(16)
                        .wrapping_add($s0(before(15)))
                        .wrapping_add(before(7))
                        .wrapping_add($s1(before(2)));
                }
                let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
                for (word, k) in words.iter().zip($k) {
                    let one = h
                        .wrapping_add($e1(e))
                        .wrapping_add((e & f) ^ (!e & g))
                        .wrapping_add(k)
                        .wrapping_add(*word);
                    let two = $e0(a).wrapping_add((a & b) ^ (a & c) ^ (b & c));
                    (h, g, f, e, d, c, b, a) =
                        (g, f, e, d.wrapping_add(one), c, b, a, one.wrapping_add(two));
                }
                for (value, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                    *value = value.wrapping_add(add);
                }
            }
            state.iter().flat_map(|word| word.to_be_bytes()).collect()
        }
    };
}

sha2!(
    sha256,
    u32,
    64,
    u64,
    SHA256_START,
    SHA256_K,
    |x: u32| x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3),
    |x: u32| x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10),
    |x: u32| x.rotate_right(2) ^ x.rotate_right(13) ^ x.rotate_right(22),
    |x: u32| x.rotate_right(6) ^ x.rotate_right(11) ^ x.rotate_right(25)
);
sha2!(
    sha512,
    u64,
    128,
    u128,
    SHA512_START,
    SHA512_K,
    |x: u64| x.rotate_right(1) ^ x.rotate_right(8) ^ (x >> 7),
    |x: u64| x.rotate_right(19) ^ x.rotate_right(61) ^ (x >> 6),
    |x: u64| x.rotate_right(28) ^ x.rotate_right(34) ^ x.rotate_right(39),
    |x: u64| x.rotate_right(14) ^ x.rotate_right(18) ^ x.rotate_right(41)
);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn hex(bytes: &[u8]) -> String {
        bytes
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn known_hashes() {
        assert_eq!(
            hex(&Digest::Md5.of(b"")),
            "d41d8cd98f00b204e9800998ecf8427e"
        );
        assert_eq!(
            hex(&Digest::Md5.of(b"abc")),
            "900150983cd24fb0d6963f7d28e17f72"
        );
        assert_eq!(
            hex(&Digest::Sha256.of(b"")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex(&Digest::Sha256.of(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(&Digest::Sha512.of(b"")),
            "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
        );
        assert_eq!(
            hex(&Digest::Sha512.of(b"abc")),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
    }

    #[test]
    fn lengths_around_a_block() {
        assert_eq!(all(Digest::Md5), "04f5cc1d611fe87d5337df01d043b951");
        assert_eq!(
            all(Digest::Sha256),
            "d1431305b5aa0e24d0a8c8010da99ed034d65b853a9776b23bb2025a83f17216"
        );
        assert_eq!(
            all(Digest::Sha512),
            "777ab9ffe0651faaba436ac1c054520d69dfd96a28a1f662725a8c26efb2cb6050061f75eaa2d4dea5f24048314a96c5d6c7341fcb9c4bef18e75931d5900c5f"
        );
    }

    /// The hash of the hashes of messages of 0 to 259 bytes, computed elsewhere with hashlib.
    fn all(digest: Digest) -> String {
        let hashes: Vec<u8> = (0..260)
            .flat_map(|n: usize| digest.of(&alloc::vec![n.to_le_bytes()[0]; n]))
            .collect();
        hex(&digest.of(&hashes))
    }
}
