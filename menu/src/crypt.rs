//! Comparing passwords with what a menu stores: as typed, or hashed as `crypt(3)` does.
//!
//! `$1$` is MD5-crypt (GRUB 0.97's `password --md5`); `$5$` and `$6$` are SHA-crypt. Sources: Poul-Henning Kamp's
//! MD5-crypt; Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512".

use alloc::vec::Vec;

use crate::digest::Digest;
use crate::number;
use crate::tree::{Password, Scheme};

/// Most rounds that are computed: about a second. A menu that asks for more never matches, rather than hang.
pub const MAX_ROUNDS: u64 = 1_000_000;

/// What `rounds=` is raised to, as in every implementation.
const MIN_ROUNDS: u64 = 1000;

/// Whether `typed` is the password.
#[must_use]
pub fn matches(password: &Password, typed: &[u8]) -> bool {
    let secret = password.secret.as_slice();
    match password.scheme {
        Scheme::Plain => same(secret, typed),
        Scheme::Md5Crypt => md5_crypt(typed, secret).is_some_and(|hash| same(secret, &hash)),
        Scheme::Sha256Crypt => sha_crypt(Digest::Sha256, typed, secret)
            .is_some_and(|hash| same(hash_of(secret), &hash)),
        Scheme::Sha512Crypt => sha_crypt(Digest::Sha512, typed, secret)
            .is_some_and(|hash| same(hash_of(secret), &hash)),
    }
}

/// `typed` hashed as `password --md5` wants it, with a salt made of `seed`.
#[must_use]
pub fn hashed(typed: &[u8], seed: &[u8]) -> Vec<u8> {
    let digest = Digest::Md5.of(seed);
    let mut stored = b"$1$".to_vec();
    for at in [0_usize, 3] {
        let part = |more| byte(&digest, at.saturating_add(more));
        encode(&mut stored, part(0), part(1), part(2), 4);
    }
    stored.push(b'$');
    // There is a salt in it, so there is a hash.
    md5_crypt(typed, &stored).unwrap_or_default()
}

/// Compares without telling by its time where the first difference is; the lengths are not secret.
fn same(one: &[u8], two: &[u8]) -> bool {
    let differences = one.iter().zip(two).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == two.len() && core::hint::black_box(differences) == 0
}

/// What follows the last `$`.
fn hash_of(stored: &[u8]) -> &[u8] {
    stored
        .rsplit(|byte| *byte == b'$')
        .next()
        .unwrap_or_default()
}

/// The first `most` bytes of `salt$…`.
fn salt(rest: &[u8], most: usize) -> Option<&[u8]> {
    let end = rest.iter().position(|byte| *byte == b'$')?;
    rest.get(..end.min(most))
}

/// `bytes` again and again, `len` bytes in all.
fn repeated(bytes: &[u8], len: usize) -> impl Iterator<Item = u8> + '_ {
    bytes.iter().copied().cycle().take(len)
}

/// `$1$salt$hash` of `typed` with the salt of `stored`.
fn md5_crypt(typed: &[u8], stored: &[u8]) -> Option<Vec<u8>> {
    let salt = salt(stored.strip_prefix(b"$1$")?, 8)?;
    let second = Digest::Md5.of(&[typed, salt, typed].concat());
    let mut message = [typed, b"$1$", salt].concat();
    message.extend(repeated(&second, typed.len()));
    let mut len = typed.len();
    while len != 0 {
        // A quirk of the original code that every implementation keeps.
        message.push(if len & 1 == 1 {
            0
        } else {
            typed.first().copied().unwrap_or_default()
        });
        len >>= 1;
    }
    let mut hash = Digest::Md5.of(&message);
    for round in 0..1000_u64 {
        hash = one_round(Digest::Md5, round, typed, salt, &hash);
    }
    let mut text = [b"$1$", salt, b"$"].concat();
    let order = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    for [high, middle, low] in order {
        encode(
            &mut text,
            byte(&hash, high),
            byte(&hash, middle),
            byte(&hash, low),
            4,
        );
    }
    encode(&mut text, 0, 0, byte(&hash, 11), 2);
    Some(text)
}

/// The round that both functions share: which parts are hashed depends on the round's number.
fn one_round(digest: Digest, round: u64, typed: &[u8], salt: &[u8], hash: &[u8]) -> Vec<u8> {
    let odd = round & 1 == 1;
    let mut message = Vec::new();
    message.extend_from_slice(if odd { typed } else { hash });
    if !round.is_multiple_of(3) {
        message.extend_from_slice(salt);
    }
    if !round.is_multiple_of(7) {
        message.extend_from_slice(typed);
    }
    message.extend_from_slice(if odd { hash } else { typed });
    digest.of(&message)
}

/// The hash (without what stands before it) of `typed` with the salt and rounds of `stored`.
fn sha_crypt(digest: Digest, typed: &[u8], stored: &[u8]) -> Option<Vec<u8>> {
    let rest = match digest {
        Digest::Sha256 => stored.strip_prefix(b"$5$")?,
        Digest::Sha512 => stored.strip_prefix(b"$6$")?,
        Digest::Md5 => return None,
    };
    let (rounds, rest) = match rest.strip_prefix(b"rounds=") {
        Some(text) => {
            let (rounds, rest) = number::leading(text)?;
            (rounds.max(MIN_ROUNDS), rest.strip_prefix(b"$")?)
        }
        None => (5000, rest),
    };
    if rounds > MAX_ROUNDS {
        return None;
    }
    let salt = salt(rest, 16)?;

    let second = digest.of(&[typed, salt, typed].concat());
    let mut message = [typed, salt].concat();
    message.extend(repeated(&second, typed.len()));
    let mut len = typed.len();
    while len != 0 {
        message.extend_from_slice(if len & 1 == 1 { &second } else { typed });
        len >>= 1;
    }
    let mut hash = digest.of(&message);

    let typed_hash = digest.of(&typed.repeat(typed.len()));
    let typed_part: Vec<u8> = repeated(&typed_hash, typed.len()).collect();
    let times = usize::from(byte(&hash, 0)).saturating_add(16);
    let salt_hash = digest.of(&salt.repeat(times));
    let salt_part: Vec<u8> = repeated(&salt_hash, salt.len()).collect();
    for round in 0..rounds {
        hash = one_round(digest, round, &typed_part, &salt_part, &hash);
    }
    Some(encode_sha(digest, &hash))
}

fn encode_sha(digest: Digest, hash: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    // Three bytes a third of the hash apart make four characters; which of them is highest goes round.
    let (third, groups, step) = match digest {
        Digest::Sha512 => (21_usize, 21_usize, 1_usize),
        _ => (10, 10, 2),
    };
    for group in 0..groups {
        let at = [
            group,
            group.saturating_add(third),
            group.saturating_add(third).saturating_add(third),
        ];
        let turn = |place: usize| {
            let index = group.wrapping_mul(step).wrapping_add(place) % 3;
            byte(hash, at.get(index).copied().unwrap_or_default())
        };
        encode(&mut text, turn(0), turn(1), turn(2), 4);
    }
    match digest {
        Digest::Sha512 => encode(&mut text, 0, 0, byte(hash, 63), 2),
        _ => encode(&mut text, 0, byte(hash, 31), byte(hash, 30), 3),
    }
    text
}

fn byte(hash: &[u8], at: usize) -> u8 {
    hash.get(at).copied().unwrap_or_default()
}

/// Appends `count` characters for 24 bits, the lowest six bits first.
fn encode(text: &mut Vec<u8>, high: u8, middle: u8, low: u8, count: usize) {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut bits = u32::from_be_bytes([0, high, middle, low]);
    for _ in 0..count {
        let index = usize::try_from(bits & 0x3f).unwrap_or_default();
        text.extend(ALPHABET.get(index));
        bits >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scheme: Scheme, stored: &str, typed: &str) -> bool {
        matches(
            &Password {
                scheme,
                secret: stored.as_bytes().to_vec(),
                file: None,
            },
            typed.as_bytes(),
        )
    }

    #[test]
    fn plain() {
        assert!(check(Scheme::Plain, "secret", "secret"));
        for wrong in ["", "secre", "secrets", "Secret"] {
            assert!(!check(Scheme::Plain, "secret", wrong));
        }
    }

    /// Hashes made by OpenSSL and libxcrypt.
    #[test]
    fn hashed() {
        use Scheme::{Md5Crypt, Sha256Crypt, Sha512Crypt};
        for (scheme, typed, stored) in [
            (Md5Crypt, "secret", "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1"),
            (Md5Crypt, "Pässwörd", "$1$xy$54Pih75ZjETAlDSuflaq71"),
            (
                Md5Crypt,
                "aVeryLongPasswordThatIsLongerThanSixteenBytes",
                "$1$12345678$7EhMnMUJ.5Ierr75PYUA/1",
            ),
            (Md5Crypt, "", "$1$$qRPK7m23GJusamGpoGLby/"),
            (
                Sha256Crypt,
                "secret",
                "$5$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.",
            ),
            (
                Sha256Crypt,
                "Hello world!",
                "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
            ),
            (
                Sha256Crypt,
                "the minimum number is still observed",
                "$5$rounds=1000$roundstoolow$yfvwcWrQ8l/K0DAWyuPMDNHpIVlTQebY9l/gL972bIC",
            ),
            (
                Sha256Crypt,
                "",
                "$5$$3c2QQ0KjIU1OLtB29cl8Fplc2WN7X89bnoEjaR7tWu.",
            ),
            (
                Sha512Crypt,
                "secret",
                "$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.",
            ),
            (
                Sha512Crypt,
                "x",
                "$6$rounds=1200$a$huslR0JSekfRtBJgcxkxGKwfpuOZ00uyAfj8AjXT7GSogHFEujb1FsWmmhU.j6QuwlC8oJMvcDcXgjgpRt.Nc.",
            ),
            (
                Sha512Crypt,
                "a very much longer text to encrypt.  This one even stretches over morethan one line.",
                "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
            ),
        ] {
            assert!(check(scheme, stored, typed), "{stored}");
            assert!(!check(scheme, stored, "wrong"), "{stored}");
        }
    }

    #[test]
    fn what_is_hashed_here_matches() {
        let one = super::hashed(b"secret", &[1]);
        let two = super::hashed(b"secret", &[2]);
        assert!(one.starts_with(b"$1$") && one.len() == 34 && one != two);
        for hash in [one, two] {
            let stored = std::string::String::from_utf8(hash).unwrap();
            assert!(check(Scheme::Md5Crypt, &stored, "secret"));
            assert!(!check(Scheme::Md5Crypt, &stored, "other"));
        }
    }

    #[test]
    fn what_is_no_hash_matches_nothing() {
        for stored in [
            "",
            "secret",
            "$1$",
            "$1$salt",
            "$5$x$y",
            "$6$rounds=x$a$b",
            "$6$rounds=99999999$a$b",
            "$2y$x$y",
        ] {
            for scheme in [Scheme::Md5Crypt, Scheme::Sha256Crypt, Scheme::Sha512Crypt] {
                assert!(
                    !check(scheme, stored, "secret") && !check(scheme, stored, ""),
                    "{stored}"
                );
            }
        }
    }
}
