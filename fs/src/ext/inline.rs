//! Inline data: a small file's bytes in `i_block` and, beyond 60, in the extended attribute `system.data` at the
//! inode's end.

use alloc::vec::Vec;

use super::inode::Inode;
use crate::bytes::{Fields, index};
use crate::error::FsError;

const XATTR_MAGIC: u32 = 0xea02_0000;
/// `e_name_index` of names that start with `system.`.
const SYSTEM: u8 = 7;

/// The bytes of a file or link.
pub(super) fn data(inode: &Inode) -> Result<Vec<u8>, FsError> {
    let mut bytes = inode.block.to_vec();
    bytes.extend_from_slice(attribute(inode)?);
    bytes.truncate(index(inode.size));
    Ok(bytes)
}

/// The two stretches of directory entries; the first four bytes of `i_block` are the parent's number.
pub(super) fn directory(inode: &Inode) -> Result<[&[u8]; 2], FsError> {
    Ok([inode.block.get(4..).unwrap_or_default(), attribute(inode)?])
}

/// The value of `system.data`; empty if there is none.
fn attribute(inode: &Inode) -> Result<&[u8], FsError> {
    let raw: &[u8] = &inode.raw;
    if raw.len() <= 128 {
        return Ok(&[]);
    }
    let start = usize::from(raw.le16(0x80)?).saturating_add(128);
    let Some(area) = raw.get(start..).filter(|area| area.len() >= 4) else {
        return Ok(&[]);
    };
    if area.le32(0)? != XATTR_MAGIC {
        return Ok(&[]);
    }
    // Values are counted from the first entry.
    let area = area.get(4..).unwrap_or_default();
    let mut at: usize = 0;
    while area.get(at..).is_some_and(|rest| rest.len() >= 16) && area.le32(at)? != 0 {
        let name_len = usize::from(area.u8(at)?);
        let name = area.slice(at.saturating_add(16), name_len)?;
        if area.u8(at.saturating_add(1))? == SYSTEM && name == b"data" {
            let value_at = usize::from(area.le16(at.saturating_add(2))?);
            let value_len = area.le32(at.saturating_add(8))?;
            return area.slice(value_at, index(u64::from(value_len)));
        }
        at = at
            .saturating_add(16)
            .saturating_add(name_len)
            .saturating_add(3)
            & !3;
    }
    Ok(&[])
}
