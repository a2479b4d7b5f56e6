//! Linux's software RAID: superblocks of versions 0.90, 1.0, 1.1 and 1.2; arrays of level 1 and linear.
//!
//! Each member carries a superblock of its own ([`find`]); [`arrays`] puts together those of one array. A member counts
//! if its superblock's checksum is right, it is in sync, its event count is the array's highest (one that was left behind
//! while the array went on has a lower count), and the first member with that count has it in the same place: halves that
//! were both used alone do not know each other any more. Format: Linux `include/uapi/linux/raid/md_p.h`; names as GRUB 2
//! gives them, without the home host.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::assembly::{Kind, Logical, Part, composed};
use crate::bytes::{buffer, index, number, until_nul};
use crate::composite::{Layout, Map, Piece};
use crate::device::BlockError;
use crate::error::FsError;
use crate::name::DeviceName;
use crate::volume::Volume;

const MAGIC: u64 = 0xa92b_4efc;
const SECTOR: u64 = 512;
/// What both kinds of superblock take at most.
const SUPERBLOCK_BYTES: u64 = 4096;
/// `feature_map`: the member is being rebuilt, or replaces another; the array is being reshaped; bad blocks.
const REBUILT: u64 = 0x2 | 0x10;
const RESHAPING: u64 = 0x4;
const BAD_BLOCKS: u64 = 0x8;
/// Roles that are none: Linux's, from 0xfffe on, and two of this module's.
const SPARE: u64 = 0xffff;
const FAULTY: u64 = 0xfffe;
const NOT_IN_SYNC: u64 = 0x1_0000;
const HAS_BAD_BLOCKS: u64 = 0x1_0001;
/// More members than any array has.
const MEMBERS_MAX: u64 = 1024;

/// What a member says of itself and its array. Sizes are in bytes.
pub(crate) struct Member {
    array: Vec<u8>,
    name: Vec<u8>,
    /// 1; all ones in 32 bits for linear.
    level: u64,
    members: u64,
    events: u64,
    /// Its place in the array, or one of the roles that are none.
    role: u64,
    /// Its line in the table of roles, and that table as this member has it.
    number: u64,
    roles: Vec<u64>,
    /// The superblock's first byte on its volume.
    at: u64,
    reshaping: bool,
    start: u64,
    len: u64,
    /// What a mirror uses of each member.
    used: u64,
    /// Linear arrays use whole chunks only.
    chunk: u64,
}

const LINEAR: u64 = 0xffff_ffff;

impl Member {
    /// Where the superblock is on the disk under `volume`, which is the member.
    pub(crate) const fn place(&self, volume: &Volume) -> u64 {
        volume.start_bytes().saturating_add(self.at)
    }

    /// Whether what is at `end` and before may be a partition of the array, seen through this member.
    pub(crate) fn holds(&self, end: u64) -> bool {
        self.start == 0 && self.level == 1 && end <= self.used
    }

    /// What menus call the array.
    pub(crate) fn array_name(&self) -> DeviceName {
        DeviceName::Md {
            name: self.name.clone(),
            partition: None,
        }
    }

    /// Whether this member has `other` where that one has itself.
    fn agrees_with(&self, other: &Self) -> bool {
        self.roles.get(index(other.number)) == Some(&other.role)
    }
}

/// Where the superblock of each version is on a volume of `len` bytes: 4 KiB from the start, the start, and from the
/// end with 4 KiB alignment.
fn places(len: u64) -> [u64; 3] {
    let last = len.saturating_sub(8192);
    [SUPERBLOCK_BYTES, 0, last.saturating_sub(last % 4096)]
}

/// The error for a member whose data begin elsewhere, versions 1.1 and 1.2: what such a volume itself seems to hold is left
/// over from before.
pub(crate) fn begins_here(volume: &Volume) -> Result<(), FsError> {
    let [first, second, _] = places(volume.len_bytes());
    for place in [first, second] {
        if version_1(volume, place)?.is_some() {
            return Err(PART);
        }
    }
    Ok(())
}

/// The error for any member.
pub(crate) fn is_part(volume: &Volume) -> Result<(), FsError> {
    find(volume)?.map_or(Ok(()), |_| Err(PART))
}

const PART: FsError = FsError::Member("a member of a RAID array; arrays are named (md/NAME)");

/// The superblock on `volume`, if there is one.
pub(crate) fn find(volume: &Volume) -> Result<Option<Member>, FsError> {
    for place in places(volume.len_bytes()) {
        if let Some(member) = version_1(volume, place)? {
            return Ok(Some(member));
        }
    }
    version_0(volume)
}

/// What may be a superblock at `at`, if its magic is right.
fn read(volume: &Volume, at: u64) -> Result<Option<Vec<u8>>, FsError> {
    let mut raw = buffer(SUPERBLOCK_BYTES);
    match volume.read_at(at, &mut raw) {
        Ok(()) if number(&raw, 0, 4) == MAGIC => Ok(Some(raw)),
        Ok(()) | Err(BlockError::OutOfRange { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The sum of the little-endian words of `raw` but for the one at `sum_at`, as Linux folds it to 32 bits.
fn sum(raw: &[u8], sum_at: usize) -> u64 {
    let total = (0..raw.len())
        .step_by(4)
        .filter(|&at| at != sum_at)
        .fold(0u64, |sum, at| sum.wrapping_add(number(raw, at, 4)));
    (total & 0xffff_ffff).wrapping_add(total >> 32) & 0xffff_ffff
}

fn version_1(volume: &Volume, at: u64) -> Result<Option<Member>, FsError> {
    let Some(mut raw) = read(volume, at)? else {
        return Ok(None);
    };
    let sectors = |at| number(&raw, at, 8).saturating_mul(SECTOR);
    let end = number(&raw, 220, 4).saturating_mul(2).saturating_add(256);
    if number(&raw, 4, 4) != 1 || sectors(144) != at || end > SUPERBLOCK_BYTES {
        return Ok(None);
    }
    let (start, len, used) = (sectors(128), sectors(136), sectors(80));
    raw.truncate(index(end));
    if sum(&raw, 216) != number(&raw, 216, 4) {
        return Ok(None);
    }
    let features = number(&raw, 8, 4);
    let own = number(&raw, 160, 4);
    let roles = raw.get(256..).unwrap_or_default().chunks_exact(2);
    let roles: Vec<u64> = roles.map(|role| number(role, 0, 2)).collect();
    let role = match features {
        features if features & REBUILT != 0 => NOT_IN_SYNC,
        features if features & BAD_BLOCKS != 0 => HAS_BAD_BLOCKS,
        _ => roles.get(index(own)).copied().unwrap_or(SPARE),
    };
    let name = until_nul(raw.get(32..64).unwrap_or_default());
    let colon = name.iter().position(|&byte| byte == b':');
    let name = colon.map_or(name, |colon| {
        name.get(colon.saturating_add(1)..).unwrap_or_default()
    });
    Ok(Some(Member {
        array: raw.get(16..32).unwrap_or_default().to_vec(),
        name: nameable(name),
        level: number(&raw, 72, 4),
        members: number(&raw, 92, 4),
        events: number(&raw, 200, 8),
        role,
        number: own,
        roles,
        at,
        reshaping: features & RESHAPING != 0,
        start,
        len,
        used,
        chunk: number(&raw, 88, 4).saturating_mul(SECTOR),
    }))
}

/// A name as it can be written in a menu; one that is empty is mdadm's for an array without a name.
fn nameable(name: &[u8]) -> Vec<u8> {
    if name.is_empty() {
        return b"127".to_vec();
    }
    // Some mean something in a menu, some would be shown in another way than they are typed.
    let fits = |byte: &u8| byte.is_ascii_graphic() && !b"(),='\"\\".contains(byte);
    let bytes = name.iter();
    bytes
        .map(|byte| if fits(byte) { *byte } else { b'_' })
        .collect()
}

/// 0.90: in the last 64 KiB that begin at a multiple of 64 KiB; words in the writer's byte order, here little-endian.
fn version_0(volume: &Volume) -> Result<Option<Member>, FsError> {
    const RESERVED: u64 = 64 << 10;
    const FAULTY_BIT: u64 = 1;
    const SYNC_BIT: u64 = 4;
    let len = volume.len_bytes();
    let at = len.saturating_sub(len % RESERVED).checked_sub(RESERVED);
    let Some(raw) = at.map_or(Ok(None), |at| read(volume, at))? else {
        return Ok(None);
    };
    // Some tools wrote a sum that was folded further.
    let fold = |sum: u64| {
        let sum = (sum & 0xffff).wrapping_add(sum >> 16);
        (sum & 0xffff).wrapping_add(sum >> 16)
    };
    let sound = fold(sum(&raw, 152)) == fold(number(&raw, 152, 4));
    let minor = number(&raw, 8, 4);
    if number(&raw, 4, 4) != 0 || minor < 90 || !sound {
        return Ok(None);
    }
    let mut array = raw.get(20..24).unwrap_or_default().to_vec();
    array.extend_from_slice(raw.get(52..64).unwrap_or_default());
    // A descriptor has 32 words: number, major, minor, role, state, and more. 27 of them are the table; then comes this
    // member's own.
    let role = |at: usize| match number(&raw, at.saturating_add(16), 4) {
        state if state & FAULTY_BIT != 0 => FAULTY,
        state if state & SYNC_BIT == 0 => NOT_IN_SYNC,
        _ => number(&raw, at.saturating_add(12), 4),
    };
    let own = 3968;
    Ok(Some(Member {
        array,
        name: number(&raw, 44, 4).to_string().into_bytes(),
        level: number(&raw, 28, 4),
        members: number(&raw, 40, 4),
        events: number(&raw, 156, 8),
        role: role(own),
        number: number(&raw, own, 4),
        roles: (512..own).step_by(128).map(role).collect(),
        at: at.unwrap_or_default(),
        // Version 0.91 says so.
        reshaping: minor > 90,
        start: 0,
        len: at.unwrap_or_default(),
        used: number(&raw, 32, 4).saturating_mul(1024),
        chunk: number(&raw, 260, 4),
    }))
}

/// Puts the arrays together whose members are among `parts`, in the order in which they were found, but for those whose
/// identifiers are in `known`; adds theirs.
pub(crate) fn arrays(parts: &[Part], known: &mut Vec<Vec<u8>>) -> Vec<Logical> {
    let mut all = Vec::new();
    for part in parts {
        let Kind::Md(first) = &part.kind else {
            continue;
        };
        if known.contains(&first.array) {
            continue;
        }
        known.push(first.array.clone());
        let members: Vec<(&Part, &Member)> = parts
            .iter()
            .filter_map(|part| match &part.kind {
                Kind::Md(member) if member.array == first.array => Some((part, member)),
                _ => None,
            })
            .collect();
        // The member that knows most speaks for the array.
        let newest = members
            .iter()
            .map(|(_, member)| *member)
            .fold(
                first,
                |best, one| {
                    if one.events > best.events { one } else { best }
                },
            );
        let mut about = String::new();
        let volume = array(newest, &members, &mut about);
        all.push(Logical {
            name: newest.array_name(),
            about,
            volume,
        });
    }
    all
}

fn array(
    array: &Member,
    members: &[(&Part, &Member)],
    about: &mut String,
) -> Result<Volume, String> {
    let linear = array.level == LINEAR;
    if array.reshaping {
        return Err("it is being reshaped".into());
    }
    if !linear && array.level != 1 {
        return Err(format!(
            "it is RAID {}, which pv-grub does not read; RAID 1 and linear it does",
            array.level
        ));
    }
    // The machine may have died between the writing of two superblocks; that is no harm where each byte is on one
    // member only.
    let newest = array.events.saturating_sub(u64::from(linear));
    let mut pieces = Vec::new();
    let mut legs = Vec::new();
    for role in 0..array.members.min(MEMBERS_MAX) {
        let volume = members
            .iter()
            .filter(|(_, member)| {
                member.role == role
                    && member.events >= newest
                    && (linear || array.agrees_with(member))
            })
            .find_map(|(part, member)| {
                let len = if linear {
                    let rest = member.len.checked_rem(array.chunk).unwrap_or(0);
                    member.len.saturating_sub(rest)
                } else {
                    array.used
                };
                part.volume.part(member.start, len)
            });
        match volume {
            Some(volume) if linear => pieces.push(Piece {
                len: volume.len_bytes(),
                layout: Layout::Striped(u64::MAX),
                areas: vec![volume],
            }),
            None if linear => return Err(format!("member {role} of {} is missing", array.members)),
            leg => legs.extend(leg),
        }
    }
    if !linear {
        if legs.is_empty() {
            return Err(excuses(array, members));
        }
        *about = format!("RAID 1, {} of {} members", legs.len(), array.members);
        pieces.push(Piece {
            len: array.used,
            layout: Layout::Mirror,
            areas: legs,
        });
    } else {
        about.push_str("linear RAID");
    }
    Ok(composed(Map::new(pieces, None)))
}

/// Why a mirror has no leg.
fn excuses(array: &Member, members: &[(&Part, &Member)]) -> String {
    let mut text = String::from("no member is in sync");
    for (part, member) in members {
        let why = match member.role {
            _ if member.events < array.events => "is stale",
            SPARE => "is a spare",
            FAULTY => "is marked faulty",
            NOT_IN_SYNC => "is being rebuilt",
            HAS_BAD_BLOCKS => "has bad blocks",
            _ if !array.agrees_with(member) => "contradicts the others",
            _ => "is too short",
        };
        text.push_str(&format!("; {} {why}", part.name));
    }
    text
}
