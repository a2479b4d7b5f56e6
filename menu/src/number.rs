//! Numbers as menus write them: decimal, `0x` hexadecimal, or octal with a leading zero.

/// Reads the number at the start of `text`; whatever follows its digits is returned as the rest.
///
/// `None` when no digit is found or the value does not fit 64 bits.
#[must_use]
pub fn leading(text: &[u8]) -> Option<(u64, &[u8])> {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', b'0'..=b'9', ..] => (8, text),
        _ => (10, text),
    };
    let count = digits
        .iter()
        .take_while(|b| char::from(**b).is_digit(radix))
        .count();
    let (number, rest) = digits.split_at_checked(count)?;
    if number.is_empty() {
        return None;
    }
    let value = number.iter().try_fold(0_u64, |value, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        value
            .checked_mul(u64::from(radix))?
            .checked_add(u64::from(digit))
    })?;
    Some((value, rest))
}

/// Reads `text` as one number and nothing else.
#[must_use]
pub fn whole(text: &[u8]) -> Option<u64> {
    leading(text)
        .filter(|(_, rest)| rest.is_empty())
        .map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radixes() {
        assert_eq!(whole(b"10"), Some(10));
        assert_eq!(whole(b"0x1F"), Some(31));
        assert_eq!(whole(b"010"), Some(8));
        assert_eq!(whole(b"0"), Some(0));
    }

    #[test]
    fn not_numbers() {
        for text in [&b""[..], b"-1", b"x", b"0x", b"99999999999999999999", b"5s"] {
            assert_eq!(whole(text), None, "{text:?}");
        }
        assert_eq!(leading(b"5s"), Some((5, &b"s"[..])));
    }
}
