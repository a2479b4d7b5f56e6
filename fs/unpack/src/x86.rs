//! The x86 filter of xz: turns the absolute targets of calls and jumps back into relative ones.
//!
//! Written after the description in the XZ Utils' and the Linux kernel's `xz_dec_bcj.c` (public domain).

/// Undoes the filter on the whole of `code`, whose first byte had the position `start`.
///
/// Done in place once all is decoded: the dictionary holds filtered bytes, and here the output is
/// the dictionary.
pub(super) fn undo(code: &mut [u8], start: u32) {
    /// The filter's memory of opcodes it did not convert decides whether the next may be.
    const ALLOWED: [bool; 8] = [true, true, true, false, true, false, false, false];
    const BYTE_OF_MASK: [usize; 8] = [0, 1, 2, 2, 3, 3, 3, 3];
    let mut mask = 0usize;
    let mut previous: Option<usize> = None;
    let mut at = 0;
    while let Some(skipped) = code.get(at..).and_then(find_opcode) {
        at += skipped;
        let Some(operand) = code
            .get(at + 1..at + 5)
            .and_then(|bytes| bytes.first_chunk::<4>())
            .copied()
        else {
            break;
        };
        let gap = previous.map_or(usize::MAX, |previous| at - previous);
        previous = Some(at);
        if gap > 3 {
            mask = 0;
        } else {
            mask = mask << (gap - 1) & 7;
            if mask != 0 && (!ALLOWED[mask & 7] || is_sign(operand[3 - BYTE_OF_MASK[mask & 7]])) {
                mask = mask << 1 | 1;
                at += 1;
                continue;
            }
        }
        if !is_sign(operand[3]) {
            mask = mask << 1 | 1;
            at += 1;
            continue;
        }
        let next = start.wrapping_add(at as u32).wrapping_add(5);
        let mut target = u32::from_le_bytes(operand);
        let relative = loop {
            let relative = target.wrapping_sub(next);
            if mask == 0 {
                break relative;
            }
            let shift = BYTE_OF_MASK[mask & 7] as u32 * 8;
            if !is_sign((relative >> (24 - shift)) as u8) {
                break relative;
            }
            target = relative ^ ((1 << (32 - shift)) - 1);
        };
        // Bit 24 is the sign, copied into the top byte.
        let relative = relative & 0x01ff_ffff;
        let relative = relative | 0u32.wrapping_sub(relative & 0x0100_0000);
        if let Some(place) = code.get_mut(at + 1..at + 5) {
            place.copy_from_slice(&relative.to_le_bytes());
        }
        at += 5;
    }
}

/// Where the first call or jump (0xe8, 0xe9) may be.
fn find_opcode(code: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let (words, _) = code.as_chunks::<8>();
    let is_free = |word: &[u8; 8]| {
        let differs = u64::from_le_bytes(*word) & (0xfe * LOW) ^ (0xe8 * LOW);
        // A byte of zeros borrows from its own top bit.
        differs.wrapping_sub(LOW) & !differs & (0x80 * LOW) == 0
    };
    let free = words.iter().take_while(|word| is_free(word)).count() * 8;
    let rest = code.get(free..)?;
    Some(free + rest.iter().position(|byte| byte & 0xfe == 0xe8)?)
}

/// Whether a top byte is all zeros or all ones: a target near enough to have been converted.
fn is_sign(byte: u8) -> bool {
    byte == 0 || byte == 0xff
}
