//! GRUB's names: `(hd0,0)`, `(nd)`, `(hd0,0)/boot/x`, `(hd0)1+10`. See the GRUB 0.97 manual, "Device syntax" and
//! "Block list syntax"; and GRUB 2's for logical volumes and arrays, `(lvm/group-volume)`, `(md/0)`.
//!
//! All on bytes: a menu may hold any. [`DeviceName`] is what stands in the brackets, [`FileName`] the whole.

use alloc::vec::Vec;
use core::fmt;

/// A device as a menu names it.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DeviceName {
    /// `(hdN)` or `(hdN,M)`.
    Disk {
        /// N: the disk, from 0.
        disk: u32,
        /// M: the partition, from 0, logical ones from 4; the whole disk if absent.
        partition: Option<u32>,
    },
    /// `(nd)` or `(ndN)`.
    Net {
        /// N: the interface, from 0; GRUB's choice if absent.
        interface: Option<u32>,
    },
    /// `(cd)` or `(cdN)`.
    Cd {
        /// N: the drive, from 0; the only one if absent.
        drive: Option<u32>,
    },
    /// `(fdN)`.
    Floppy {
        /// N: the drive, from 0.
        drive: u32,
    },
    /// `(lvm/GROUP-VOLUME)` or `(lvm/GROUP-VOLUME,M)`.
    Lvm {
        /// The two names joined by `-`; each `-` in them is doubled. Not empty, without `,` and `)`.
        name: Vec<u8>,
        /// M: the partition on the volume, as on a disk.
        partition: Option<u32>,
    },
    /// `(md/NAME)` or `(md/NAME,M)`; `(md0)` is `(md/0)`.
    Md {
        /// The array's name without its host, or its number. Not empty, without `,` and `)`.
        name: Vec<u8>,
        /// M: the partition on the array, as on a disk.
        partition: Option<u32>,
    },
}

/// A stretch of 512-byte sectors in a block list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockRange {
    /// First sector, counted from the start of the device or partition.
    pub start: u64,
    /// Number of sectors, not 0.
    pub count: u64,
}

/// What follows the device in a file's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A path; starts with `/`.
    Path(Vec<u8>),
    /// A block list; not empty.
    Blocks(Vec<BlockRange>),
}

/// A file as a menu names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileName {
    /// The device in brackets; the current root device if absent.
    pub device: Option<DeviceName>,
    /// Where on the device.
    pub place: Place,
}

/// Why a name could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    /// The brackets hold no device name that GRUB knows.
    Device,
    /// A BSD partition letter, `(hd0,0,a)`: BSD labels are not read.
    BsdLetter(u8),
    /// A number is missing, malformed or too large.
    Number,
    /// What follows the device is neither a path that starts with `/` nor a block list.
    Path,
}

impl NameError {
    /// The number GRUB 0.97 gave to this error.
    #[must_use]
    pub const fn grub_error(self) -> u8 {
        match self {
            Self::Device | Self::BsdLetter(_) => 11,
            Self::Number => 23,
            Self::Path => 1,
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => f.write_str("unrecognised device name"),
            Self::BsdLetter(letter) => {
                write!(
                    f,
                    "BSD partition letter {} is not supported",
                    char::from(*letter)
                )
            }
            Self::Number => f.write_str("number missing or too large"),
            Self::Path => f.write_str("a file name is a path that starts with / or a block list"),
        }
    }
}

impl core::error::Error for NameError {}

impl Clone for DeviceName {
    // By hand, to have it once: derived, it is put wherever a name is copied.
    #[inline(never)]
    fn clone(&self) -> Self {
        match self {
            Self::Lvm { name, partition } => Self::Lvm {
                name: name.clone(),
                partition: *partition,
            },
            Self::Md { name, partition } => Self::Md {
                name: name.clone(),
                partition: *partition,
            },
            &Self::Disk { disk, partition } => Self::Disk { disk, partition },
            &Self::Net { interface } => Self::Net { interface },
            &Self::Cd { drive } => Self::Cd { drive },
            &Self::Floppy { drive } => Self::Floppy { drive },
        }
    }
}

impl DeviceName {
    /// Reads a name with its brackets, and nothing after them: `(hd0,0)`.
    /// # Errors
    /// As [`DeviceName::split`]; [`NameError::Device`] if there are no brackets or something follows.
    pub fn parse(text: &[u8]) -> Result<Self, NameError> {
        match Self::split(text)? {
            (Some(device), []) => Ok(device),
            _ => Err(NameError::Device),
        }
    }

    /// Takes a name in brackets off the front of `text`, if there is one: `(hd0,0)/x` gives the device and `/x`.
    /// # Errors
    /// [`NameError::Device`], [`NameError::BsdLetter`] or [`NameError::Number`] for what the brackets hold.
    pub fn split(text: &[u8]) -> Result<(Option<Self>, &[u8]), NameError> {
        let Some(inner) = text.strip_prefix(b"(") else {
            return Ok((None, text));
        };
        let end = inner
            .iter()
            .position(|&byte| byte == b')')
            .ok_or(NameError::Device)?;
        let (inner, rest) = inner.split_at_checked(end).ok_or(NameError::Device)?;
        Ok((Some(Self::inner(inner)?), rest.get(1..).unwrap_or_default()))
    }

    /// M of `(hdN,M)`, `(lvm/…,M)` and `(md/…,M)`.
    #[must_use]
    pub const fn partition(&self) -> Option<u32> {
        match self {
            Self::Disk { partition, .. }
            | Self::Lvm { partition, .. }
            | Self::Md { partition, .. } => *partition,
            Self::Net { .. } | Self::Cd { .. } | Self::Floppy { .. } => None,
        }
    }

    /// The same disk, volume or array with another partition, or none; other devices as they are.
    #[must_use]
    pub fn with_partition(&self, number: Option<u32>) -> Self {
        let mut name = self.clone();
        match &mut name {
            Self::Disk { partition, .. }
            | Self::Lvm { partition, .. }
            | Self::Md { partition, .. } => *partition = number,
            Self::Net { .. } | Self::Cd { .. } | Self::Floppy { .. } => {}
        }
        name
    }

    /// A volume or array with `suffix` behind its name, for a second one of the same name.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        let mut changed = self.clone();
        if let Self::Lvm { name, .. } | Self::Md { name, .. } = &mut changed {
            name.extend_from_slice(suffix.as_bytes());
        }
        changed
    }

    /// Reads what stands in the brackets.
    fn inner(text: &[u8]) -> Result<Self, NameError> {
        if let Some(rest) = text.strip_prefix(b"lvm/") {
            let (name, partition) = named(rest)?;
            return Ok(Self::Lvm { name, partition });
        }
        let array = text.strip_prefix(b"md").unwrap_or_default();
        if let [b'/', rest @ ..] | rest @ [b'0'..=b'9', ..] = array {
            let (name, partition) = named(rest)?;
            return Ok(Self::Md { name, partition });
        }
        let mut fields = text.split(|&byte| byte == b',');
        let drive = fields.next().unwrap_or_default();
        let (letters, number) = drive.split_at_checked(2).ok_or(NameError::Device)?;
        let partition = fields.next();
        let letter = fields.next();
        if fields.next().is_some() {
            return Err(NameError::Device);
        }
        let optional = |text: &[u8]| {
            if text.is_empty() {
                Ok(None)
            } else {
                number_in(text).map(Some)
            }
        };
        match (letters, partition) {
            (b"hd", _) => {
                let disk = number_in(number)?;
                let bsd = |text: &[u8]| match text {
                    [found @ b'a'..=b'h'] => Some(*found),
                    _ => None,
                };
                if let Some(letter) = letter.or(partition).and_then(bsd) {
                    return Err(NameError::BsdLetter(letter));
                }
                if letter.is_some() {
                    return Err(NameError::Device);
                }
                Ok(Self::Disk {
                    disk,
                    partition: partition.map(number_in).transpose()?,
                })
            }
            (b"nd", None) => Ok(Self::Net {
                interface: optional(number)?,
            }),
            (b"cd", None) => Ok(Self::Cd {
                drive: optional(number)?,
            }),
            (b"fd", None) => Ok(Self::Floppy {
                drive: number_in(number)?,
            }),
            _ => Err(NameError::Device),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk {
                disk,
                partition: Some(partition),
            } => write!(f, "(hd{disk},{partition})"),
            Self::Disk {
                disk,
                partition: None,
            } => write!(f, "(hd{disk})"),
            Self::Net {
                interface: Some(interface),
            } => write!(f, "(nd{interface})"),
            Self::Net { interface: None } => f.write_str("(nd)"),
            Self::Cd { drive: Some(drive) } => write!(f, "(cd{drive})"),
            Self::Cd { drive: None } => f.write_str("(cd)"),
            Self::Floppy { drive } => write!(f, "(fd{drive})"),
            Self::Lvm { name, partition } => write_named(f, "lvm", name, *partition),
            Self::Md { name, partition } => write_named(f, "md", name, *partition),
        }
    }
}

/// Bytes that are not printable ASCII come out as escapes.
fn write_named(
    f: &mut fmt::Formatter<'_>,
    kind: &str,
    name: &[u8],
    partition: Option<u32>,
) -> fmt::Result {
    write!(f, "({kind}/{}", name.escape_ascii())?;
    match partition {
        Some(number) => write!(f, ",{number})"),
        None => f.write_str(")"),
    }
}

/// `NAME` or `NAME,M`.
fn named(text: &[u8]) -> Result<(Vec<u8>, Option<u32>), NameError> {
    let mut fields = text.split(|&byte| byte == b',');
    match (fields.next(), fields.next(), fields.next()) {
        (Some(name), partition, None) if !name.is_empty() => {
            Ok((name.to_vec(), partition.map(number_in).transpose()?))
        }
        _ => Err(NameError::Device),
    }
}

impl FileName {
    /// Reads `(hd0,0)/boot/x`, `/boot/x`, `(hd0)1+10` or `+1`.
    /// # Errors
    /// Any [`NameError`].
    pub fn parse(text: &[u8]) -> Result<Self, NameError> {
        let (device, rest) = DeviceName::split(text)?;
        let place = match rest {
            [b'/', ..] => Place::Path(rest.to_vec()),
            [b'0'..=b'9' | b'+', ..] => Place::Blocks(blocks(rest)?),
            _ => return Err(NameError::Path),
        };
        Ok(Self { device, place })
    }
}

impl fmt::Display for FileName {
    /// Bytes that are not printable ASCII come out as escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(device) = &self.device {
            write!(f, "{device}")?;
        }
        match &self.place {
            Place::Path(path) => write!(f, "{}", path.escape_ascii()),
            Place::Blocks(ranges) => {
                for (at, range) in ranges.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{}+{}", range.start, range.count)?;
                }
                Ok(())
            }
        }
    }
}

/// `[START]+COUNT`, parted by commas.
fn blocks(text: &[u8]) -> Result<Vec<BlockRange>, NameError> {
    text.split(|&byte| byte == b',')
        .map(|range| {
            let plus = range
                .iter()
                .position(|&byte| byte == b'+')
                .ok_or(NameError::Path)?;
            let (start, count) = range.split_at_checked(plus).ok_or(NameError::Path)?;
            let start = if start.is_empty() {
                0
            } else {
                wide_number(start)?
            };
            let count = wide_number(count.get(1..).unwrap_or_default())?;
            let fits = start
                .checked_add(count)
                .and_then(|end| end.checked_mul(512))
                .is_some();
            if count > 0 && fits {
                Ok(BlockRange { start, count })
            } else {
                Err(NameError::Number)
            }
        })
        .collect()
}

fn number_in(text: &[u8]) -> Result<u32, NameError> {
    u32::try_from(wide_number(text)?).map_err(|_| NameError::Number)
}

/// Decimal, or hexadecimal after `0x`, as GRUB's `safe_parse_maxint`.
fn wide_number(text: &[u8]) -> Result<u64, NameError> {
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        digits => (digits, 10),
    };
    if digits.is_empty() {
        return Err(NameError::Number);
    }
    digits.iter().try_fold(0u64, |sum, &digit| {
        let digit = char::from(digit).to_digit(radix).ok_or(NameError::Number)?;
        sum.checked_mul(u64::from(radix))
            .and_then(|sum| sum.checked_add(u64::from(digit)))
            .ok_or(NameError::Number)
    })
}
