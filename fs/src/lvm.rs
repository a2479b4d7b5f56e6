//! LVM2: finds physical volumes and reads the newest description of their group.
//!
//! A physical volume has a label in one of its first four sectors, with its UUID and the places of its metadata areas.
//! An area is a header and a circular buffer of texts, of which the header names the current one; all are checked by
//! CRC. A volume may have no area: the group's other volumes know of it. [`group`] turns the text into devices.
//! Format: LVM2's `lib/format_text/layout.h` and `lib/label/label.h`.

mod group;
mod text;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::assembly::{Kind, Logical, Part};
use crate::bytes::{buffer, index, number};
use crate::checksum::lvm_crc;
use crate::error::FsError;
use crate::volume::Volume;

const SECTOR: u64 = 512;
/// Sectors in which the label may be.
const LABEL_SECTORS: u64 = 4;
/// The areas that one volume has at most (2 in practice).
const AREAS_MAX: usize = 8;
/// The longest text that is read. A group of a thousand volumes has less than 1 MiB.
const TEXT_MAX: u64 = 2 << 20;
/// A header of an area; the buffer of texts begins behind it.
const HEADER_BYTES: u64 = 512;

/// A physical volume.
pub(crate) struct Physical {
    uuid: Vec<u8>,
    /// Its metadata areas: first byte and length.
    areas: Vec<(u64, u64)>,
}

/// The physical volume on `volume`, if there is one.
pub(crate) fn find(volume: &Volume) -> Result<Option<Physical>, FsError> {
    let mut label = buffer(SECTOR);
    for sector in 0..LABEL_SECTORS {
        let at = sector.saturating_mul(SECTOR);
        if at.saturating_add(SECTOR) > volume.len_bytes() {
            return Ok(None);
        }
        volume.read_at(at, &mut label)?;
        let sound = label.starts_with(b"LABELONE")
            && number(&label, 8, 8) == sector
            && u64::from(lvm_crc(label.get(20..).unwrap_or_default())) == number(&label, 16, 4);
        if !sound || label.get(24..32) != Some(b"LVM2 001") {
            continue;
        }
        let at = index(number(&label, 20, 4));
        let Some(header) = label.get(at..) else {
            return Ok(None);
        };
        let Some((uuid, lists)) = header.split_at_checked(32) else {
            return Ok(None);
        };
        let mut found = Physical {
            uuid: uuid.to_vec(),
            areas: Vec::new(),
        };
        // The size, then two lists of (offset, size), each closed by zeros: data, metadata.
        let mut is_metadata = false;
        for pair in lists.get(8..).unwrap_or_default().chunks_exact(16) {
            match (number(pair, 0, 8), is_metadata) {
                (0, false) => is_metadata = true,
                (0, true) => break,
                (_, false) => {}
                (offset, true) => found.areas.push((offset, number(pair, 8, 8))),
            }
        }
        found.areas.truncate(AREAS_MAX);
        return Ok(Some(found));
    }
    Ok(None)
}

/// The current text of the metadata area at `area`, empty if it has none; or why it is not to be trusted.
fn text(volume: &Volume, (area, len): (u64, u64)) -> Result<Vec<u8>, String> {
    const MAGIC: &[u8] = b"\x20LVM2\x20x[5A%r0N*>";
    const IGNORED: u64 = 1;
    let read = |at: u64, out: &mut [u8]| {
        volume
            .read_at(area.saturating_add(at), out)
            .map_err(|error| error.to_string())
    };
    let mut header = buffer(HEADER_BYTES);
    read(0, &mut header)?;
    let sound = header.get(4..20) == Some(MAGIC)
        && number(&header, 24, 8) == area
        && u64::from(lvm_crc(header.get(4..).unwrap_or_default())) == number(&header, 0, 4);
    if !sound {
        return Err("a metadata area's header is damaged".into());
    }
    let area_len = number(&header, 32, 8).min(len);
    let (start, text_len) = (number(&header, 40, 8), number(&header, 48, 8));
    if start == 0 || number(&header, 60, 4) & IGNORED != 0 {
        return Ok(Vec::new());
    }
    let straight = area_len.saturating_sub(start);
    if start < HEADER_BYTES || straight == 0 || text_len > area_len.min(TEXT_MAX) {
        return Err("a metadata text lies beyond its area".into());
    }
    let mut text = buffer(text_len);
    let (first, wrapped) = text.split_at_mut(index(straight.min(text_len)));
    read(start, first)?;
    if !wrapped.is_empty() {
        read(HEADER_BYTES, wrapped)?;
    }
    if u64::from(lvm_crc(&text)) != number(&header, 56, 4) {
        return Err("a metadata text's checksum is wrong".into());
    }
    Ok(text)
}

/// A group, and where its newest text is.
struct Newest<'a> {
    id: Vec<u8>,
    seqno: u64,
    volume: &'a Volume,
    area: (u64, u64),
}

/// The logical volumes of all groups that `parts` are of, in the order in which the groups were found, but for groups whose
/// identifiers are in `known`; theirs are added. Texts are kept one at a time.
pub(crate) fn volumes(
    parts: &[Part],
    known: &mut Vec<Vec<u8>>,
    warnings: &mut Vec<String>,
) -> Vec<Logical> {
    let mut groups: Vec<Newest<'_>> = Vec::new();
    let mut physicals: Vec<(&Part, &Physical)> = Vec::new();
    for part in parts {
        let Kind::Lvm(physical) = &part.kind else {
            continue;
        };
        // A copy of a disk may have another description of the group than the disk has; one of them is believed.
        let same = |(_, other): &&(&Part, &Physical)| other.uuid == physical.uuid;
        if let Some((first, _)) = physicals.iter().find(same) {
            let (name, first) = (&part.name, &first.name);
            warnings.push(format!(
                "{name}: LVM: a copy of the physical volume {first}, left aside"
            ));
            continue;
        }
        physicals.push((part, physical));
        for &area in &physical.areas {
            let text = match text(&part.volume, area) {
                Ok(text) => text,
                Err(why) => {
                    warnings.push(format!("{}: LVM: {why}", part.name));
                    continue;
                }
            };
            let Some((_, group)) = group::of(&text) else {
                continue;
            };
            let newest = Newest {
                id: group.text(b"id").to_vec(),
                seqno: group.number(b"seqno"),
                volume: &part.volume,
                area,
            };
            if known.contains(&newest.id) {
                continue;
            }
            match groups.iter_mut().find(|other| other.id == newest.id) {
                Some(other) if other.seqno < newest.seqno => *other = newest,
                Some(_) => {}
                None => groups.push(newest),
            }
        }
    }
    let mut all = Vec::new();
    for newest in groups {
        known.push(newest.id);
        // It was read before, and was right.
        let text = text(newest.volume, newest.area).unwrap_or_default();
        if let Some((name, section)) = group::of(&text) {
            group::volumes(name, section, &physicals, &mut all);
        }
    }
    all
}
