//! Rock Ridge: POSIX names, modes and links in the "system use" fields after a record's name (RRIP 1.12, over
//! SUSP 1.12).
//!
//! Fields may go on elsewhere on the volume (`CE`), and from there elsewhere again: the number of such steps is
//! limited, as is the length of what is put together from pieces.

use alloc::vec::Vec;

use super::record::Record;
use crate::bytes::{Fields, buffer};
use crate::error::FsError;
use crate::path::LINK_BYTES_MAX;
use crate::volume::Volume;

/// How many continuation areas one record may have. Four hold the longest name and link.
const CONTINUATIONS_MAX: u32 = 32;
/// The largest continuation area; they do not cross sectors in practice.
const AREA_MAX: u32 = 32 << 10;

/// What the fields say.
#[derive(Default)]
pub(super) struct Found {
    pub(super) name: Vec<u8>,
    pub(super) mode: Option<u32>,
    pub(super) link: Vec<u8>,
    /// Block of the directory that this entry stands for (`CL`).
    pub(super) child: Option<u32>,
    /// The directory belongs elsewhere (`RE`).
    pub(super) is_moved_here: bool,
    pub(super) unreadable: Option<&'static str>,
}

/// If the root's entry for itself announces such fields (`SP`): how many bytes to skip in every other record.
pub(super) fn announced(own: &Record<'_>) -> Option<u8> {
    match own.system_use {
        [b'S', b'P', 7, 1, 0xbe, 0xef, skip, ..] => Some(*skip),
        _ => None,
    }
}

/// Reads the fields in `area` and its continuations.
pub(super) fn read(volume: &Volume, block_bytes: u64, area: &[u8]) -> Result<Found, FsError> {
    let mut found = Found::default();
    let mut link = Link::default();
    let mut area = area.to_vec();
    for _ in 0..CONTINUATIONS_MAX {
        let mut continuation = None;
        let mut rest: &[u8] = &area;
        while rest.len() >= 4 {
            let len = usize::from(rest.u8(2)?);
            // Zeros, or bytes of somebody else's, end the area.
            let Some(field) = rest.get(..len).filter(|_| len >= 4) else {
                break;
            };
            match field.slice(0, 2)? {
                b"ST" => break,
                b"CE" => continuation = Some((field.le32(4)?, field.le32(12)?, field.le32(20)?)),
                b"NM" => add_name(&mut found.name, field)?,
                b"PX" => found.mode = Some(field.le32(4)?),
                b"SL" => link.add(field)?,
                b"CL" => found.child = Some(field.le32(4)?),
                b"RE" => found.is_moved_here = true,
                b"ZF" => found.unreadable = Some("compressed ISO9660 file (zisofs)"),
                b"SF" => found.unreadable = Some("sparse ISO9660 file"),
                _ => {}
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        let Some((block, offset, len)) = continuation else {
            found.link = link.target;
            return Ok(found);
        };
        if len > AREA_MAX {
            return Err(FsError::corrupt(
                "Rock Ridge continuation's length",
                u64::from(len),
            ));
        }
        let at = u64::from(block)
            .saturating_mul(block_bytes)
            .saturating_add(u64::from(offset));
        area = buffer(u64::from(len));
        volume.read_at(at, &mut area)?;
    }
    Err(FsError::corrupt(
        "Rock Ridge continuations without end, more than",
        u64::from(CONTINUATIONS_MAX),
    ))
}

fn add_name(name: &mut Vec<u8>, field: &[u8]) -> Result<(), FsError> {
    match field.u8(4)? & 0x06 {
        0x02 => name.push(b'.'),
        0x04 => name.extend_from_slice(b".."),
        _ => name.extend_from_slice(field.get(5..).unwrap_or_default()),
    }
    check_len(name)
}

fn check_len(text: &[u8]) -> Result<(), FsError> {
    let len = crate::bytes::size(text.len());
    if len > LINK_BYTES_MAX {
        Err(FsError::corrupt(
            "Rock Ridge name or link too long, bytes",
            len,
        ))
    } else {
        Ok(())
    }
}

/// A link's target, put together from components.
#[derive(Default)]
struct Link {
    target: Vec<u8>,
    /// The last component goes on in the next one.
    is_open: bool,
}

impl Link {
    fn add(&mut self, field: &[u8]) -> Result<(), FsError> {
        let mut rest = field.get(5..).unwrap_or_default();
        while rest.len() >= 2 {
            let flags = rest.u8(0)?;
            let len = usize::from(rest.u8(1)?);
            let text = rest.slice(2, len)?;
            if !self.is_open && !self.target.is_empty() && !self.target.ends_with(b"/") {
                self.target.push(b'/');
            }
            match flags & 0x0e {
                0x02 => self.target.push(b'.'),
                0x04 => self.target.extend_from_slice(b".."),
                // The root, or, in the middle, a doubled slash.
                0x08 => self.target.push(b'/'),
                _ => self.target.extend_from_slice(text),
            }
            self.is_open = flags & 0x01 != 0;
            check_len(&self.target)?;
            rest = rest.get(len.saturating_add(2)..).unwrap_or_default();
        }
        Ok(())
    }
}
