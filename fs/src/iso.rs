//! ISO9660 with Rock Ridge, else with Joliet, else plain, read only.
//!
//! Sources: ECMA-119 for the volume and its directories ([`record`]), IEEE P1281 and P1282 (SUSP and RRIP 1.12) for
//! [`rockridge`], which gives POSIX names, symbolic links and deep directories. Places are in bytes.

mod record;
mod rockridge;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::bytes::{Fields, buffer};
use crate::error::FsError;
use crate::path::{Listing, Tree};
use crate::run::{MappedFile, Pieces};
use crate::tree::{DirEntry, EntryKind, File, Kind, has};
use crate::volume::Volume;
use record::{Names, Reader, Record};

/// Byte of the first volume descriptor; each is one sector.
const DESCRIPTORS: u64 = 32768;
/// Sectors of the medium; directory records do not cross them.
pub(super) const SECTOR: u64 = 2048;
/// More volume descriptors than any real image has.
const DESCRIPTORS_MAX: u64 = 64;
/// The largest directory that is searched.
const DIRECTORY_MAX: u64 = 64 << 20;

/// A mounted ISO9660 file system.
pub(crate) struct Iso {
    volume: Volume,
    block_bytes: u64,
    names: Names,
    root: Node,
    label: Vec<u8>,
    uuid: Option<String>,
}

/// A file, directory or link.
#[derive(Clone)]
pub(crate) struct Node {
    kind: EntryKind,
    /// (byte on the volume, length) of each piece.
    pieces: Rc<[(u64, u64)]>,
    link: Rc<[u8]>,
    /// What keeps the file from being read.
    unreadable: Option<&'static str>,
    /// A directory that was moved elsewhere because it is too deep: byte of its new place.
    moved_to: Option<u64>,
}

/// Whether a volume descriptor is at its place.
pub(crate) fn probe(volume: &Volume) -> Result<bool, FsError> {
    Ok(has(volume, DESCRIPTORS.saturating_add(1), b"CD001")?
        && volume.len_bytes() >= DESCRIPTORS.saturating_add(SECTOR))
}

/// Sees a name and what it names.
type Visit<'a, T> = dyn FnMut(&[u8], &Node) -> Result<Option<T>, FsError> + 'a;

impl Iso {
    pub(crate) fn open(volume: Volume) -> Result<Self, FsError> {
        let (primary, joliet) = descriptors(&volume)?;
        let block_bytes = u64::from(primary.le16(128)?);
        if !matches!(block_bytes, 512 | 1024 | 2048) {
            return Err(FsError::corrupt("ISO9660 block size", block_bytes));
        }
        let mut iso = Self {
            label: primary.slice(40, 32)?.trim_ascii_end().to_vec(),
            uuid: date(primary.slice(830, 16)?).or(date(primary.slice(813, 16)?)),
            root: Record::parse(primary.slice(156, 34)?)?.node(block_bytes)?,
            volume,
            block_bytes,
            names: Names::Plain,
        };
        // Rock Ridge says so in the root directory's entry for itself.
        let own = Reader::new(&iso.volume, &iso.root)?.next()?;
        if let Some(skip) = own
            .as_deref()
            .map(Record::parse)
            .transpose()?
            .and_then(|own| rockridge::announced(&own))
        {
            iso.names = Names::RockRidge { skip };
        } else if let Some(joliet) = joliet {
            iso.root = Record::parse(joliet.slice(156, 34)?)?.node(block_bytes)?;
            iso.names = Names::Joliet;
        }
        Ok(iso)
    }

    /// Calls `visit` with each name of `dir` and what it names, until it gives something.
    fn scan<T>(&self, dir: &Node, visit: &mut Visit<'_, T>) -> Result<Option<T>, FsError> {
        let mut reader = Reader::new(&self.volume, dir)?;
        // Pieces of a large file so far: it has a record for each.
        let mut pieces: Vec<(u64, u64)> = Vec::new();
        while let Some(bytes) = reader.next()? {
            let record = Record::parse(&bytes)?;
            if record.is_self_or_parent() || record.is_associated() {
                continue;
            }
            let mut node = record.node(self.block_bytes)?;
            if record.continues() || !pieces.is_empty() {
                pieces.extend_from_slice(&node.pieces);
                if record.continues() {
                    continue;
                }
                node.pieces = core::mem::take(&mut pieces).into();
            }
            let Some(name) = self.name(&record, &mut node)? else {
                continue;
            };
            if let Some(found) = visit(&name, &node)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The record's name in the volume's best spelling; `None` for one that shall not be seen. Completes `node`.
    fn name(&self, record: &Record<'_>, node: &mut Node) -> Result<Option<Vec<u8>>, FsError> {
        match self.names {
            Names::Plain => Ok(Some(record::plain_name(record.name))),
            Names::Joliet => Ok(Some(record::joliet_name(record.name))),
            Names::RockRidge { skip } => {
                let area = record
                    .system_use
                    .get(usize::from(skip)..)
                    .unwrap_or_default();
                let found = rockridge::read(&self.volume, self.block_bytes, area)?;
                if found.is_moved_here {
                    return Ok(None);
                }
                if let Some(mode) = found.mode {
                    node.kind = EntryKind::of_mode(mode);
                }
                if let Some(block) = found.child {
                    node.kind = EntryKind::Directory;
                    node.moved_to = Some(u64::from(block).saturating_mul(self.block_bytes));
                }
                node.link = found.link.into();
                node.unreadable = node.unreadable.or(found.unreadable);
                Ok(Some(if found.name.is_empty() {
                    record::plain_name(record.name)
                } else {
                    found.name
                }))
            }
        }
    }
}

/// The primary descriptor and Joliet's, if there is one.
fn descriptors(volume: &Volume) -> Result<(Vec<u8>, Option<Vec<u8>>), FsError> {
    let (mut primary, mut joliet) = (None, None);
    for number in 0..DESCRIPTORS_MAX {
        let mut sector = buffer(SECTOR);
        volume.read_at(
            DESCRIPTORS.saturating_add(number.saturating_mul(SECTOR)),
            &mut sector,
        )?;
        if sector.slice(1, 5)? != b"CD001" {
            break;
        }
        match sector.u8(0)? {
            1 if primary.is_none() => primary = Some(sector),
            2 if joliet.is_none() && matches!(sector.slice(88, 3)?, b"%/@" | b"%/C" | b"%/E") => {
                joliet = Some(sector)
            }
            0xff => break,
            _ => {}
        }
    }
    Ok((
        primary.ok_or(FsError::corrupt(
            "no primary volume descriptor after byte",
            DESCRIPTORS,
        ))?,
        joliet,
    ))
}

/// `2024031512345600` as `2024-03-15-12-34-56-00`, which is what `blkid` calls the UUID.
fn date(digits: &[u8]) -> Option<String> {
    if !digits.iter().all(u8::is_ascii_digit) || digits.iter().all(|&digit| digit == b'0') {
        return None;
    }
    let mut text = String::new();
    for (at, &digit) in digits.iter().enumerate() {
        if at >= 4 && at.is_multiple_of(2) {
            text.push('-');
        }
        text.push(char::from(digit));
    }
    Some(text)
}

impl Tree for Iso {
    type Node = Node;

    fn kind(&self) -> Kind {
        Kind::Iso9660
    }

    fn label(&self) -> Option<Vec<u8>> {
        (!self.label.is_empty()).then(|| self.label.clone())
    }

    fn uuid(&self) -> Option<String> {
        self.uuid.clone()
    }

    fn root(&self) -> Result<Node, FsError> {
        Ok(self.root.clone())
    }

    fn node_kind(&self, node: &Node) -> EntryKind {
        node.kind
    }

    fn lookup(&self, dir: &Node, name: &[u8]) -> Result<Option<Node>, FsError> {
        let exact = matches!(self.names, Names::RockRidge { .. });
        let found = self.scan(dir, &mut |entry, node| {
            let same = if exact {
                entry == name
            } else {
                entry.eq_ignore_ascii_case(name)
            };
            Ok(same.then(|| node.clone()))
        })?;
        let Some(node) = found else { return Ok(None) };
        let Some(place) = node.moved_to else {
            return Ok(Some(node));
        };
        // The new place's entry for itself says how long it is.
        let mut start = buffer(34);
        self.volume.read_at(place, &mut start)?;
        Record::parse(&start)?.node(self.block_bytes).map(Some)
    }

    fn read_link(&self, link: &Node) -> Result<Vec<u8>, FsError> {
        Ok(link.link.to_vec())
    }

    fn children(&self, dir: &Node) -> Result<Vec<DirEntry>, FsError> {
        let mut found = Listing::default();
        self.scan::<()>(dir, &mut |name, node| {
            found.add(name, || Ok(node.kind))?;
            Ok(None)
        })?;
        Ok(found.into())
    }

    fn file(&self, node: &Node) -> Result<Box<dyn File>, FsError> {
        match node.unreadable {
            Some(why) => Err(FsError::unsupported(why)),
            None => Ok(Box::new(MappedFile(Pieces::new(
                self.volume.clone(),
                node.pieces.iter().copied(),
            )))),
        }
    }
}
