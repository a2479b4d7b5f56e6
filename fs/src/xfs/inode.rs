//! Inodes: kind, size, and the data fork, which holds a short file itself or says where the blocks are.

use alloc::rc::Rc;

use super::Core;
use crate::bytes::{Fields, buffer, index};
use crate::error::FsError;
use crate::tree::EntryKind;

/// `di_flags`: the data is on the realtime device.
const REALTIME: u16 = 1;
/// `di_flags2`: extent counters of 64 and 32 bits.
const BIG_COUNTERS: u64 = 1 << 4;

/// `di_format`: what the data fork holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// The file's bytes.
    Local,
    /// All its extents.
    Extents,
    /// The root of a B+tree of extents.
    Tree,
    /// A device number, or something that no file has.
    Other,
}

/// An inode's fields that matter here.
#[derive(Clone)]
pub(crate) struct Inode {
    pub(super) number: u64,
    pub(super) mode: u16,
    pub(super) format: Format,
    pub(super) size: u64,
    /// Number of extents, as the inode counts them.
    pub(super) extents: u64,
    is_realtime: bool,
    /// The data fork.
    pub(super) fork: Rc<[u8]>,
}

/// Fields of the core in one byte order or the other: on the disk it is big-endian, in the log the machine's.
struct Fork {
    mode: u16,
    format: u8,
    size: u64,
    extents: u64,
    /// `di_forkoff` in bytes: where the attributes begin in the inode's literal area, or 0.
    attributes: u64,
    flags: u16,
}

impl Fork {
    fn parse(core: &[u8], is_v3: bool, order: Order) -> Result<Self, FsError> {
        let order = &order;
        let flags2 = if is_v3 { order.u64(core, 120)? } else { 0 };
        Ok(Self {
            mode: order.u16(core, 2)?,
            format: core.u8(5)?,
            size: order.u64(core, 56)?,
            extents: if flags2 & BIG_COUNTERS != 0 {
                order.u64(core, 24)?
            } else {
                u64::from(order.u32(core, 76)?)
            },
            attributes: u64::from(core.u8(82)?).saturating_mul(8),
            flags: order.u16(core, 90)?,
        })
    }
}

/// A byte order.
#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Result<u16, FsError> {
        match self {
            Self::Big => bytes.be16(at),
            Self::Little => bytes.le16(at),
        }
    }
    fn u32(self, bytes: &[u8], at: usize) -> Result<u32, FsError> {
        match self {
            Self::Big => bytes.be32(at),
            Self::Little => bytes.le32(at),
        }
    }
    fn u64(self, bytes: &[u8], at: usize) -> Result<u64, FsError> {
        match self {
            Self::Big => bytes.be64(at),
            Self::Little => bytes.le64(at),
        }
    }
}

impl Inode {
    /// Reads inode `number`, as the log has it where that is newer.
    pub(super) fn read(core: &Core, number: u64) -> Result<Self, FsError> {
        let superblock = &core.superblock;
        let at = superblock.inode_position(number)?;
        let mut raw = buffer(u64::from(superblock.inode_bytes));
        core.store.read(at, &mut raw)?;
        // Version 5 has inodes of version 3, whose core is longer.
        let is_v3 = superblock.is_v5;
        let core_bytes: u64 = if is_v3 { 176 } else { 100 };
        let logged = core.store.inode(at);
        let fields = match logged {
            Some(logged) => {
                check_identity(&logged.core, is_v3, Order::Little, number)?;
                Fork::parse(&logged.core, is_v3, Order::Little)?
            }
            None => {
                check_identity(&raw, is_v3, Order::Big, number)?;
                if is_v3 && !core.store.is_newer(at, u64::from(superblock.inode_bytes)) {
                    super::verify(&raw, 100, "checksum of inode", number)?;
                }
                Fork::parse(&raw, is_v3, Order::Big)?
            }
        };
        let room = u64::from(superblock.inode_bytes).saturating_sub(core_bytes);
        let fork_bytes = match fields.attributes {
            0 => room,
            bytes if bytes <= room => bytes,
            bytes => return Err(FsError::corrupt("inode's di_forkoff", bytes)),
        };
        let fork = match logged.and_then(|logged| logged.fork.as_ref()) {
            Some(fork) => Rc::clone(fork),
            None => raw.slice(index(core_bytes), index(fork_bytes))?.into(),
        };
        Ok(Self {
            number,
            mode: fields.mode,
            format: match fields.format {
                1 => Format::Local,
                2 => Format::Extents,
                3 => Format::Tree,
                _ => Format::Other,
            },
            size: fields.size,
            extents: fields.extents,
            is_realtime: fields.flags & REALTIME != 0,
            fork,
        })
    }

    pub(super) fn kind(&self) -> EntryKind {
        EntryKind::of_mode(self.mode.into())
    }

    /// Refuses what is not on this volume.
    pub(super) fn check_readable(&self) -> Result<(), FsError> {
        if self.is_realtime {
            return Err(FsError::Unsupported(
                alloc::format!("XFS file on a realtime device (inode {})", self.number).into(),
            ));
        }
        Ok(())
    }
}

/// Checks the magic, the version and the number that an inode carries, and that it is in use.
fn check_identity(core: &[u8], is_v3: bool, order: Order, number: u64) -> Result<(), FsError> {
    let version = core.u8(4)?;
    let good = order.u16(core, 0)? == 0x494e
        && (version == 3) == is_v3
        && order.u16(core, 2)? != 0
        && (!is_v3 || order.u64(core, 152)? == number);
    if good {
        Ok(())
    } else {
        Err(FsError::corrupt("no such inode", number))
    }
}
