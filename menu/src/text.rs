//! Bytes of no certain encoding to characters a terminal can show.

use alloc::string::String;

/// `bytes` as text: as UTF-8 where that is what they are, else as Latin-1.
///
/// Nothing is lost in either case: a title that is not UTF-8 is almost always Latin-1 in menus old enough to have one.
#[must_use]
pub fn decode(bytes: &[u8]) -> String {
    match core::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// `bytes` as text of one cell per character: controls, and characters that are not one column wide, become `?`.
#[must_use]
pub fn cells(bytes: &[u8]) -> String {
    decode(bytes)
        .chars()
        .map(|c| if is_one_cell(c) { c } else { '?' })
        .collect()
}

/// Whether a terminal gives `c` exactly one column. Cautious: a wrong `false` shows a `?`, a wrong `true` shifts a line.
#[must_use]
pub fn is_one_cell(c: char) -> bool {
    match u32::from(c) {
        0x20..=0x7e | 0xa1..=0xac | 0xae..=0x2ff => true,
        // Greek, Cyrillic, Armenian and further alphabets up to the first with combining signs throughout.
        0x370..=0x482 | 0x48a..=0x590 => true,
        // Latin and Greek extended, punctuation that has a width, currency, arrows, box drawing.
        0x1e00..=0x1fff | 0x2010..=0x2027 | 0x2030..=0x205e | 0x20a0..=0x20bf => true,
        0x2100..=0x22ff | 0x2500..=0x25ff => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_and_latin1_are_both_shown() {
        assert_eq!(cells("Système".as_bytes()), "Système");
        assert_eq!(cells(b"Syst\xe8me"), "Système");
    }

    #[test]
    fn controls_and_wide_characters_cannot_move_the_cursor() {
        assert_eq!(cells(b"a\x1b[2Jb\x9b"), "a?[2Jb?");
        assert_eq!(cells("漢字".as_bytes()), "??");
    }
}
