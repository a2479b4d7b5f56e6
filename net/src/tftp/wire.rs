//! TFTP packets as bytes (RFC 1350, 2347).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::error::NetError;

/// The port that requests go to.
pub const PORT: u16 = 69;
/// Bytes of a block when nothing else was agreed on.
pub const PLAIN_BLOCK: u16 = 512;
/// Most bytes of a request (RFC 2347).
const REQUEST_MAX: usize = 512;
/// Most characters of a server's message that are shown.
const TEXT_MAX: usize = 160;

/// The server's error code for "file not found".
pub const NOT_FOUND: u16 = 1;
/// The error code for a packet of somebody who is no party to the transfer.
pub const UNKNOWN_TID: u16 = 5;
/// The error code for options that are not agreed to.
pub const BAD_OPTIONS: u16 = 8;

/// What a server may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// Part of the file.
    Data {
        /// The block's number, from 1, in 16 bits.
        block: u16,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// The options agreed to, as they stand.
    Options(&'a [u8]),
    /// A refusal.
    Error {
        /// Why.
        code: u16,
        /// The same in words; not checked.
        text: &'a [u8],
    },
}

impl<'a> Packet<'a> {
    /// Reads a datagram; `None` for anything that no server sends to a reader.
    #[must_use]
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        match datagram {
            [0, 3, high, low, bytes @ ..] => Some(Self::Data {
                block: u16::from_be_bytes([*high, *low]),
                bytes,
            }),
            [0, 5, high, low, text @ ..] => Some(Self::Error {
                code: u16::from_be_bytes([*high, *low]),
                text,
            }),
            [0, 6, options @ ..] => Some(Self::Options(options)),
            _ => None,
        }
    }
}

/// The names and numbers in an options packet; `None` when it is malformed.
pub fn options(bytes: &[u8]) -> Option<Vec<(&[u8], u64)>> {
    let mut fields = bytes.split(|byte| *byte == 0);
    let mut found = Vec::new();
    loop {
        let name = fields.next()?;
        let Some(value) = fields.next() else {
            // Nothing may follow the last NUL.
            return name.is_empty().then_some(found);
        };
        // More than anybody was asked for.
        if found.len() >= 16 {
            return None;
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return None;
        }
        found.push((name, core::str::from_utf8(value).ok()?.parse().ok()?));
    }
}

/// A request to read `path` with `options`.
///
/// # Errors
/// [`NetError::LongName`]; [`NetError::Protocol`] for a path with a NUL byte.
pub fn request(path: &[u8], options: &[(&str, u64)]) -> Result<Vec<u8>, NetError> {
    if path.contains(&0) {
        return Err(NetError::Protocol(
            "a NUL byte in a file's name".to_string(),
        ));
    }
    let mut bytes = Vec::from([0, 1]);
    bytes.extend_from_slice(path);
    bytes.extend_from_slice(b"\0octet\0");
    for (name, value) in options {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(value.to_string().as_bytes());
        bytes.push(0);
    }
    if bytes.len() > REQUEST_MAX {
        return Err(NetError::LongName { len: path.len() });
    }
    Ok(bytes)
}

/// Says that everything up to `block` has come.
#[must_use]
pub fn acknowledge(block: u16) -> Vec<u8> {
    let [high, low] = block.to_be_bytes();
    Vec::from([0, 4, high, low])
}

/// Ends a transfer.
#[must_use]
pub fn error(code: u16, text: &str) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    let mut bytes = Vec::from([0, 5, high, low]);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// The server's words, fit for a screen.
#[must_use]
pub fn readable(text: &[u8]) -> String {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let mut shown = String::new();
    for byte in text.iter().take(TEXT_MAX) {
        shown.push(match byte {
            0x20..0x7F => char::from(*byte),
            _ => '.',
        });
    }
    if shown.is_empty() {
        shown.push_str("(no text)");
    }
    shown
}
