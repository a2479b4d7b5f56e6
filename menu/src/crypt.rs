//! Comparing passwords with what a menu stores.

use crate::tree::{Password, Scheme};

/// Whether `typed` is the password.
#[must_use]
pub fn matches(password: &Password, typed: &[u8]) -> bool {
    match password.scheme {
        Scheme::Plain => same(&password.secret, typed),
        Scheme::Md5Crypt | Scheme::Sha256Crypt | Scheme::Sha512Crypt => false,
    }
}

/// Compares without telling by its time where the first difference is; the lengths are not secret.
fn same(one: &[u8], two: &[u8]) -> bool {
    let differences = one.iter().zip(two).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == two.len() && core::hint::black_box(differences) == 0
}
