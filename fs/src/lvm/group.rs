//! A volume group's text as devices: segments of logical volumes over extents of physical ones.
//!
//! Read are the segment types `striped` (linear is one stripe), `mirror` and `raid1`. A leg of `raid1` counts if its
//! metadata volume says that it is in sync: dm-raid's superblock, Linux `drivers/md/dm-raid.c`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::text::{Item, Section};
use super::{Physical, SECTOR};
use crate::assembly::{Logical, Part, composed};
use crate::bytes::{number, size};
use crate::composite::{Layout, Map, Piece};
use crate::name::DeviceName;
use crate::volume::Volume;

/// How deep volumes may lie on volumes: a mirror, its leg, a move of that leg.
const DEPTH_MAX: u32 = 4;
/// The most stripes or legs; LVM makes 128 of the one and 10 of the other.
const AREAS_MAX: usize = 128;
/// The most volumes of each kind that are looked at; they are found by their names one by one.
const ENTRIES_MAX: usize = 8192;

/// The group that a text is of: the first section, whose name is the group's.
pub(super) fn of(text: &[u8]) -> Option<(&[u8], Section<'_>)> {
    Section(text).sections().next()
}

/// A physical volume.
struct Extents<'a> {
    name: &'a [u8],
    text: Section<'a>,
    /// From its first extent on, if it is there.
    volume: Option<Volume>,
}

/// A logical volume, and what became of it. While it is being built that is that it contains itself.
struct Entry<'a> {
    name: &'a [u8],
    text: Section<'a>,
    built: Option<Result<Volume, String>>,
}

/// A snapshot: a hidden volume's segment says of which volume it is, and where its changes are. Users know it by the
/// name of the latter.
struct Snapshot<'a> {
    segment: &'a [u8],
    origin: &'a [u8],
    store: &'a [u8],
    is_merging: bool,
}

impl<'a> Snapshot<'a> {
    fn of(name: &'a [u8], text: Section<'a>) -> Option<Self> {
        let mut segments = text.sections().map(|(_, segment)| segment);
        let segment = segments.find(|segment| segment.text(b"type") == b"snapshot")?;
        let merging = segment.text(b"merging_store");
        Some(Self {
            segment: name,
            origin: segment.text(b"origin"),
            store: match merging {
                [] => segment.text(b"cow_store"),
                store => store,
            },
            is_merging: !merging.is_empty(),
        })
    }
}

struct Group<'a> {
    extent_bytes: u64,
    physical: Vec<Extents<'a>>,
    logical: Vec<Entry<'a>>,
    snapshots: Vec<Snapshot<'a>>,
    /// Which legs of the volume at work are left out, and why.
    lost: String,
}

/// Adds the group's visible volumes to `all`.
pub(super) fn volumes(
    name: &[u8],
    section: Section<'_>,
    parts: &[(&Part, &Physical)],
    all: &mut Vec<Logical>,
) {
    let mut group = Group::new(section, parts);
    for at in 0..group.logical.len() {
        let Some(&Entry {
            name: own, text, ..
        }) = group.logical.get(at)
        else {
            continue;
        };
        let is_shown = match group.role(own) {
            Some(Role::Segment) => false,
            Some(Role::Store) => true,
            None => text.has(b"status", b"VISIBLE"),
        };
        if !is_shown {
            continue;
        }
        // As GRUB 2 writes it: each `-` of the two names twice.
        let mut full = Vec::new();
        for part in [name, b"", own] {
            if part.is_empty() {
                full.push(b'-');
            }
            for &byte in part {
                let twice = usize::from(byte == b'-').saturating_add(1);
                full.resize(full.len().saturating_add(twice), byte);
            }
        }
        group.lost.clear();
        let volume = group.visible(own);
        all.push(Logical {
            name: DeviceName::Lvm {
                name: full,
                partition: None,
            },
            about: format!("LVM volume{}", group.lost),
            volume,
        });
    }
}

/// What a volume is to a snapshot.
enum Role {
    /// It has the snapshot's segment.
    Segment,
    /// It has the changes.
    Store,
}

impl<'a> Group<'a> {
    fn new(section: Section<'a>, parts: &[(&Part, &Physical)]) -> Self {
        let mut group = Self {
            extent_bytes: section.number(b"extent_size").saturating_mul(SECTOR),
            physical: Vec::new(),
            logical: Vec::new(),
            snapshots: Vec::new(),
            lost: String::new(),
        };
        let inner = |name: &[u8]| section.section(name).sections().take(ENTRIES_MAX);
        for (name, text) in inner(b"physical_volumes") {
            group.physical.push(Extents {
                name,
                text,
                volume: there(text, parts),
            });
        }
        for (name, text) in inner(b"logical_volumes") {
            group.snapshots.extend(Snapshot::of(name, text));
            group.logical.push(Entry {
                name,
                text,
                built: None,
            });
        }
        group
    }

    /// Whether the volume `name` is a part of a snapshot.
    fn role(&self, name: &[u8]) -> Option<Role> {
        self.snapshots.iter().find_map(|snapshot| {
            if snapshot.segment == name {
                Some(Role::Segment)
            } else {
                (snapshot.store == name).then_some(Role::Store)
            }
        })
    }

    /// A volume that users know.
    fn visible(&mut self, name: &'a [u8]) -> Result<Volume, String> {
        let parts = |one: &&Snapshot<'_>| one.segment == name || one.store == name;
        if let Some(snapshot) = self.snapshots.iter().find(parts) {
            return Err(format!(
                "it is a snapshot of {0}, which pv-grub does not read; {0} it does",
                snapshot.origin.escape_ascii()
            ));
        }
        let mut merging = self.snapshots.iter().filter(|one| one.is_merging);
        if merging.any(|snapshot| snapshot.origin == name) {
            return Err("a snapshot is being merged into it".into());
        }
        self.build(name, 0)
    }

    /// Puts a volume together, or finds what was put together before.
    fn build(&mut self, name: &[u8], depth: u32) -> Result<Volume, String> {
        let Some(at) = self.logical.iter().position(|entry| entry.name == name) else {
            return Err(format!("there is no volume {}", name.escape_ascii()));
        };
        let Some(entry) = self.logical.get_mut(at) else {
            return Err(String::new());
        };
        if let Some(built) = &entry.built {
            return built.clone();
        }
        let text = entry.text;
        entry.built = Some(Err("volumes lie on each other in a circle".into()));
        let built = if depth > DEPTH_MAX {
            Err("volumes lie on each other too deeply".into())
        } else {
            self.pieces(name, text, depth.saturating_add(1))
        };
        if let Some(entry) = self.logical.get_mut(at) {
            entry.built = Some(built.clone());
        }
        built
    }

    fn pieces(&mut self, name: &[u8], volume: Section<'a>, depth: u32) -> Result<Volume, String> {
        let mut pieces = Vec::new();
        let mut at = 0u64;
        for (_, segment) in volume.sections() {
            let extents = segment.number(b"extent_count");
            if segment.number(b"start_extent") != at || extents == 0 {
                return Err("its segments do not follow each other".into());
            }
            at = at.saturating_add(extents);
            pieces.push(self.segment(segment, extents, depth)?);
        }
        if volume.number(b"segment_count") != size(pieces.len()) || pieces.is_empty() {
            return Err("segments are missing in its description".into());
        }
        let has_snapshots = self
            .snapshots
            .iter()
            .any(|snapshot| snapshot.origin == name);
        let read_only = if has_snapshots {
            Some("it has snapshots")
        } else if volume.has(b"status", b"WRITE") {
            None
        } else {
            Some("it is marked read-only")
        };
        Ok(composed(Map::new(pieces, read_only)))
    }

    fn segment(&mut self, segment: Section<'a>, extents: u64, depth: u32) -> Result<Piece, String> {
        let kind = segment.text(b"type");
        let (key, raid): (&[u8], bool) = match kind {
            b"striped" | b"linear" => (b"stripes", false),
            b"mirror" => (b"mirrors", false),
            b"raid1" => (b"raids", true),
            other => {
                return Err(format!(
                    "it is of type {}, which pv-grub does not read; linear, striped, mirror and raid1 it does",
                    other.escape_ascii()
                ));
            }
        };
        // A volume and its first extent; or, of raid1, a leg's metadata and the leg.
        let list: Vec<Item<'a>> = segment
            .list(key)
            .take(AREAS_MAX.saturating_mul(2))
            .collect();
        let striped = key == b"stripes";
        let count = size(list.len()) / 2;
        let each = if striped {
            extents.checked_div(count).unwrap_or(0)
        } else {
            extents
        };
        let mut newest = State::default();
        if raid {
            for (position, pair) in (0u64..).zip(list.chunks_exact(2)) {
                if let Ok(state) = self.state(pair, position, depth)
                    && state.events >= newest.events
                {
                    newest = state;
                }
            }
        }
        let mut areas = Vec::new();
        let mut first = None;
        for (position, pair) in (0u64..).zip(list.chunks_exact(2)) {
            let area = match *pair {
                [Item::Text(name), Item::Number(extent)] if !raid => {
                    self.area(name, extent, each, depth)
                }
                [_, Item::Text(image)] if raid => self
                    .state(pair, position, depth)
                    .and_then(|own| own.check(&newest, position))
                    .and_then(|()| self.area(image, 0, each, depth)),
                _ => Err("a list makes no sense".into()),
            };
            match area {
                Ok(area) => areas.push(area),
                Err(why) if striped => return Err(why),
                Err(why) => {
                    self.lost
                        .push_str(&format!("; leg {position} is left out: {why}"));
                    first.get_or_insert(why);
                }
            }
        }
        if areas.is_empty() {
            return Err(first.unwrap_or("a segment lies nowhere".into()));
        }
        let stripe = segment.number(b"stripe_size").saturating_mul(SECTOR);
        Ok(Piece {
            len: extents.saturating_mul(self.extent_bytes),
            layout: match areas.len() {
                _ if !striped => Layout::Mirror,
                1 => Layout::Striped(u64::MAX),
                _ => Layout::Striped(stripe),
            },
            areas,
        })
    }

    /// `count` extents from `first` on of a physical or hidden logical volume.
    fn area(&mut self, name: &[u8], first: u64, count: u64, depth: u32) -> Result<Volume, String> {
        let each = self.extent_bytes;
        let volume = match self.physical.iter().find(|other| other.name == name) {
            Some(physical) => physical.volume.clone().ok_or_else(|| {
                format!(
                    "physical volume {} is missing (it was {})",
                    physical.text.text(b"id").escape_ascii(),
                    physical.text.text(b"device").escape_ascii()
                )
            })?,
            None => self.build(name, depth)?,
        };
        volume
            .part(first.saturating_mul(each), count.saturating_mul(each))
            .ok_or("its extents lie beyond a volume's end".into())
    }

    /// What dm-raid says of the leg at `position`: its superblock is at the beginning of the metadata volume.
    fn state(&mut self, pair: &[Item<'a>], position: u64, depth: u32) -> Result<State, String> {
        const MAGIC: &[u8] = b"DmRd";
        let [Item::Text(meta), Item::Text(image)] = *pair else {
            return Err("a list makes no sense".into());
        };
        let mut raw = [0; 64];
        self.area(meta, 0, 1, depth)?
            .read_at(0, &mut raw)
            .map_err(|error| format!("{error}"))?;
        let rebuilt = self
            .logical
            .iter()
            .any(|entry| entry.name == image && entry.text.has(b"status", b"REBUILD"));
        let known = raw.starts_with(MAGIC);
        Ok(State {
            known,
            // One that was never activated: the first leg is the one to begin from.
            events: if known { number(&raw, 16, 8) } else { 0 },
            in_sync: !rebuilt
                && if known {
                    number(&raw, 32, 8) == u64::MAX && number(&raw, 12, 4) == position
                } else {
                    position == 0
                },
            failed: if known { number(&raw, 24, 8) } else { 0 },
        })
    }
}

/// What dm-raid says of a leg.
#[derive(Clone, Copy, Default)]
struct State {
    /// There is a superblock.
    known: bool,
    events: u64,
    in_sync: bool,
    /// A bit for each leg.
    failed: u64,
}

impl State {
    /// Whether the leg may be read, given the newest superblock of all.
    fn check(self, newest: &Self, position: u64) -> Result<(), String> {
        let failed = u32::try_from(position)
            .ok()
            .and_then(|position| newest.failed.checked_shr(position))
            .is_some_and(|bits| bits & 1 != 0);
        if self.in_sync && !failed && self.known == newest.known && self.events == newest.events {
            Ok(())
        } else {
            Err("it is not in sync".into())
        }
    }
}

/// The physical volume that `text` describes, from its first extent on.
fn there(text: Section<'_>, parts: &[(&Part, &Physical)]) -> Option<Volume> {
    // One that was away while the group changed has old data.
    if text.has(b"flags", b"MISSING") {
        return None;
    }
    // In the text it has dashes.
    let id = || text.text(b"id").iter().filter(|&&byte| byte != b'-');
    let (part, _) = parts
        .iter()
        .find(|(_, physical)| id().eq(physical.uuid.iter()))?;
    let start = text.number(b"pe_start").saturating_mul(SECTOR);
    let len = part.volume.len_bytes().checked_sub(start)?;
    part.volume.part(start, len)
}
