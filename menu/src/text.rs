//! Bytes of no certain encoding to characters that a terminal can show, and the columns that those take.
//!
//! [`visible`] is the only way of a menu's bytes to the terminal: it lets no control through. [`width`] is what
//! terminals agree on (`wcwidth`) for the scripts in use; where one disagrees, [`crate::screen`] sets the cursor anew.
//! Source of the ranges: Unicode's general categories Mn and Me, and East Asian Width W and F.

use alloc::string::String;

/// Ranges of characters that join the one before and take no column.
const ZERO: &[(u16, u16)] = &[
    (0x300, 0x36f),
    (0x483, 0x489),
    // Hebrew, Arabic, Syriac, Thaana and what lies between.
    (0x591, 0x5bd),
    (0x5bf, 0x5bf),
    (0x5c1, 0x5c2),
    (0x5c4, 0x5c5),
    (0x5c7, 0x5c7),
    (0x610, 0x61a),
    (0x64b, 0x65f),
    (0x670, 0x670),
    (0x6d6, 0x6dc),
    (0x6df, 0x6e4),
    (0x6e7, 0x6e8),
    (0x6ea, 0x6ed),
    (0x711, 0x711),
    (0x730, 0x74a),
    (0x7a6, 0x7b0),
    (0x8d3, 0x8e1),
    // The scripts of India.
    (0x8e3, 0x902),
    (0x93a, 0x93a),
    (0x93c, 0x93c),
    (0x941, 0x948),
    (0x94d, 0x94d),
    (0x951, 0x957),
    (0x962, 0x963),
    (0x981, 0x981),
    (0x9bc, 0x9bc),
    (0x9c1, 0x9c4),
    (0x9cd, 0x9cd),
    (0xa01, 0xa02),
    (0xa3c, 0xa3c),
    (0xa41, 0xa51),
    (0xa70, 0xa71),
    (0xa81, 0xa82),
    (0xabc, 0xabc),
    (0xac1, 0xac8),
    (0xacd, 0xacd),
    (0xb3c, 0xb3c),
    (0xb3f, 0xb3f),
    (0xb41, 0xb44),
    (0xb4d, 0xb4d),
    (0xb82, 0xb82),
    (0xbc0, 0xbc0),
    (0xbcd, 0xbcd),
    (0xc3e, 0xc40),
    (0xc46, 0xc56),
    (0xccc, 0xccd),
    (0xd41, 0xd44),
    (0xd4d, 0xd4d),
    // Thai and Lao.
    (0xe31, 0xe31),
    (0xe34, 0xe3a),
    (0xe47, 0xe4e),
    (0xeb1, 0xeb1),
    (0xeb4, 0xebc),
    (0xec8, 0xece),
    // Hangul's later letters, which join a syllable.
    (0x1160, 0x11ff),
    (0x1ab0, 0x1ace),
    (0x1dc0, 0x1dff),
    (0x200b, 0x200d),
    (0x20d0, 0x20f0),
    (0x302a, 0x302d),
    (0x3099, 0x309a),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
];

/// Ranges of characters below U+10000 that take two columns.
const WIDE: &[(u16, u16)] = &[
    (0x1100, 0x115f),
    (0x231a, 0x231b),
    (0x2329, 0x232a),
    (0x23e9, 0x23ec),
    (0x23f0, 0x23f0),
    (0x23f3, 0x23f3),
    (0x25fd, 0x25fe),
    (0x2614, 0x2615),
    (0x2648, 0x2653),
    (0x267f, 0x267f),
    (0x2693, 0x2693),
    (0x26a1, 0x26a1),
    (0x26aa, 0x26ab),
    (0x26bd, 0x26be),
    (0x26c4, 0x26c5),
    (0x26ce, 0x26ce),
    (0x26d4, 0x26d4),
    (0x26ea, 0x26ea),
    (0x26f2, 0x26f3),
    (0x26f5, 0x26f5),
    (0x26fa, 0x26fa),
    (0x26fd, 0x26fd),
    (0x2705, 0x2705),
    (0x270a, 0x270b),
    (0x2728, 0x2728),
    (0x274c, 0x274c),
    (0x274e, 0x274e),
    (0x2753, 0x2755),
    (0x2757, 0x2757),
    (0x2795, 0x2797),
    (0x27b0, 0x27b0),
    (0x27bf, 0x27bf),
    (0x2b1b, 0x2b1c),
    (0x2b50, 0x2b50),
    (0x2b55, 0x2b55),
    (0x2e80, 0x303e),
    (0x3041, 0x3247),
    (0x3250, 0xa4c6),
    (0xa960, 0xa97c),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe10, 0xfe19),
    (0xfe30, 0xfe6b),
    (0xff01, 0xff60),
    (0xffe0, 0xffe6),
];

/// The same from U+10000 to U+1FFFF, less 0x10000: Tangut and old kana, then emoji.
const WIDE_PLANE_1: &[(u16, u16)] = &[
    (0x6fe0, 0xb2ff),
    (0xf004, 0xf004),
    (0xf0cf, 0xf0cf),
    (0xf18e, 0xf18e),
    (0xf191, 0xf19a),
    (0xf200, 0xf320),
    (0xf32d, 0xf335),
    (0xf337, 0xf37c),
    (0xf37e, 0xf393),
    (0xf3a0, 0xf3ca),
    (0xf3cf, 0xf3d3),
    (0xf3e0, 0xf3f0),
    (0xf3f4, 0xf3f4),
    (0xf3f8, 0xf43e),
    (0xf440, 0xf440),
    (0xf442, 0xf4fc),
    (0xf4ff, 0xf53d),
    (0xf54b, 0xf54e),
    (0xf550, 0xf567),
    (0xf57a, 0xf57a),
    (0xf595, 0xf596),
    (0xf5a4, 0xf5a4),
    (0xf5fb, 0xf64f),
    (0xf680, 0xf6c5),
    (0xf6cc, 0xf6cc),
    (0xf6d0, 0xf6d2),
    (0xf6d5, 0xf6df),
    (0xf6eb, 0xf6ec),
    (0xf6f4, 0xf6fc),
    (0xf7e0, 0xf7f0),
    (0xf90c, 0xf93a),
    (0xf93c, 0xf945),
    (0xf947, 0xf9ff),
    (0xfa70, 0xfaff),
];

/// The characters of `bytes` and where each begins: UTF-8 where that is what stands there, else Latin-1, byte by byte.
///
/// What is not UTF-8 is almost always Latin-1 in menus old enough to have it. Controls, and characters that change
/// the direction or the lines of what stands around them, are `?`.
pub fn characters(bytes: &[u8]) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut end = 0_usize;
    bytes.utf8_chunks().flat_map(move |chunk| {
        let start = end;
        let odd = start.saturating_add(chunk.valid().len());
        end = odd.saturating_add(chunk.invalid().len());
        let good = chunk.valid().char_indices();
        let good = good.map(move |(at, c)| (start.saturating_add(at), c));
        let odd = chunk.invalid().iter().zip(odd..);
        good.chain(odd.map(|(byte, at)| (at, char::from(*byte))))
            .map(|(at, c)| (at, harmless(c)))
    })
}

/// `bytes` as text that neither moves the cursor nor does anything else to a terminal; see [`characters`].
#[must_use]
pub fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    text.extend(characters(bytes).map(|(_, c)| c));
    text
}

/// `c`, or `?` where a terminal would do something else than show it.
#[must_use]
pub fn harmless(c: char) -> char {
    match u32::from(c) {
        // Controls of both sets, and the soft hyphen, about which terminals differ.
        ..=0x1f | 0x7f..=0x9f | 0xad => '?',
        // Direction marks, line separators, embeddings, and other invisible signs.
        0x200e..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f => '?',
        0xfeff | 0xfff0..=0xfffb | 0xfffe..=0xffff | 0xe_0000..=0xe_0fff => '?',
        _ => c,
    }
}

/// Columns that a terminal gives to `c`, which is [`harmless`]: 0 for a mark that joins the character before it, 2 for
/// wide ones.
#[must_use]
pub fn width(c: char) -> usize {
    let code = u32::from(c);
    let among = |ranges: &[(u16, u16)]| {
        let low = code & 0xffff;
        let after = ranges.partition_point(|(first, _)| u32::from(*first) <= low);
        let range = after.checked_sub(1).and_then(|index| ranges.get(index));
        range.is_some_and(|(_, last)| low <= u32::from(*last))
    };
    match code {
        ..0x300 => 1,
        ..0x1_0000 if among(ZERO) => 0,
        ..0x1_0000 if among(WIDE) => 2,
        0x1_0000..0x2_0000 if among(WIDE_PLANE_1) => 2,
        0x2_0000..0x4_0000 => 2, // rare ideographs
        _ => 1,
    }
}

/// Whether all terminals give `c` one column, beyond doubt: the alphabets of Europe, punctuation, arrows, boxes.
#[must_use]
pub fn is_plain(c: char) -> bool {
    matches!(u32::from(c), 0x20..=0x2ff | 0x370..=0x482 | 0x48a..=0x590 | 0x1e00..=0x1fff | 0x2010..=0x22ff | 0x2500..=0x25f0)
}

/// Columns that `text` takes, which holds nothing but harmless characters.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.chars().fold(0, |sum, c| sum.saturating_add(width(c)))
}

/// `text` cut to `columns`, with `>` as its last character where something is missing, or filled with blanks up to it.
#[must_use]
pub fn fitted(text: &str, columns: usize) -> String {
    let all = self::columns(text);
    let (room, tail) = match columns.checked_sub(1) {
        Some(room) if all > columns => (room, ">"),
        _ => (columns, ""),
    };
    let mut fitted = String::new();
    let mut used = 0_usize;
    for c in text.chars() {
        let next = used.saturating_add(width(c));
        if next > room {
            break;
        }
        fitted.push(c);
        used = next;
    }
    fitted.push_str(tail);
    let used = used.saturating_add(tail.len());
    fitted.extend(core::iter::repeat_n(' ', columns.saturating_sub(used)));
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn utf8_and_latin1_are_both_shown() {
        assert_eq!(visible("Système".as_bytes()), "Système");
        assert_eq!(visible(b"Syst\xe8me"), "Système");
        assert_eq!(visible("漢字 नमस्ते Ω".as_bytes()), "漢字 नमस्ते Ω");
        // One byte of another encoding does not spoil the rest.
        assert_eq!(visible("漢\u{e8}".as_bytes()), "漢è");
        assert_eq!(visible(b"\xe6\xbc\xa2 \xff \xe6\xbc"), "漢 ÿ æ¼");
        assert_eq!(visible(b"\xed\xa0\x80"), "í\u{a0}?"); // half a surrogate pair
    }

    #[test]
    fn no_control_reaches_the_terminal() {
        assert_eq!(visible(b"a\x1b[2Jb\x9b\x7f\r\n"), "a?[2Jb????");
        assert_eq!(
            visible("\u{9b}2J\u{85}\u{202e}\u{2028}".as_bytes()),
            "?2J???"
        );
        for c in '\0'..=char::MAX {
            assert!(!harmless(c).is_control());
        }
    }

    #[test]
    fn places_are_where_the_characters_begin() {
        let places: Vec<_> = characters("a漢\u{e8}".as_bytes()).collect();
        assert_eq!(places, [(0, 'a'), (1, '漢'), (4, 'è')]);
        let places: Vec<_> = characters(b"\xe8b\xe6\xbc!").collect();
        assert_eq!(places, [(0, 'è'), (1, 'b'), (2, 'æ'), (3, '¼'), (4, '!')]);
    }

    #[test]
    fn ranges_are_in_order() {
        for ranges in [ZERO, WIDE, WIDE_PLANE_1] {
            assert!(ranges.iter().all(|(first, last)| first <= last));
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    /// Against the tables of another implementation, for the scripts that [`ZERO`] and [`WIDE`] are about.
    #[test]
    fn widths_are_those_of_unicode() {
        let blocks = [
            0x20..=0x7bf,
            0xe00..=0xeff,
            0x1100..=0x11ff,
            0x1dc0..=0x28ff,
            0x2e80..=0x9fff,
            0xac00..=0xd7a3,
            0xf900..=0xfaff,
            0xfe00..=0xfffd,
            0x1_f300..=0x1_f6ff,
            0x1_f900..=0x1_f9ff,
            0x2_0000..=0x2_ffff,
        ];
        let all = blocks.into_iter().flatten().filter_map(char::from_u32);
        let differs = |c: &char| unicode_width::UnicodeWidthChar::width(*c) != Some(width(*c));
        let odd: Vec<char> = all.filter(|c| harmless(*c) == *c).filter(differs).collect();
        // Unassigned ones, fillers, and a few that changed lately.
        assert!(odd.len() < 100, "{}: {odd:?}", odd.len());
    }

    #[test]
    fn text_is_cut_and_filled_by_columns() {
        assert_eq!(fitted("ab", 4), "ab  ");
        assert_eq!(fitted("abcdef", 4), "abc>");
        assert_eq!(fitted("漢字", 4), "漢字");
        assert_eq!(fitted("漢字漢", 4), "漢> ");
        assert_eq!(fitted("e\u{301}e\u{301}", 2), "e\u{301}e\u{301}");
        assert_eq!(fitted("", 2), "  ");
        for columns in 0..9 {
            assert_eq!(super::columns(&fitted("a漢e\u{301}字", columns)), columns);
        }
    }
}
