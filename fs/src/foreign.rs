//! What is known by name and not read: file systems of others, swap, encryption, and parts of larger volumes.
//!
//! Magic numbers and their places as the formats' own documents and headers have them; `fs/tests/foreign.rs` holds
//! the first bytes that the real tools write.

use crate::error::FsError;
use crate::tree::has;
use crate::volume::Volume;

/// (byte offset, bytes, what it is).
const MAGICS: &[(u64, &[u8], &str)] = &[
    #[cfg(not(feature = "more-readers"))]
    (0, b"XFSB", "an XFS file system"),
    #[cfg(not(feature = "more-readers"))]
    (0, b"hsqs", "a squashfs file system"),
    #[cfg(not(feature = "more-readers"))]
    (65600, b"_BHRfS_M", "a btrfs file system"),
    (0, b"LUKS\xba\xbe\0\x01", "a LUKS 1 (encrypted) volume"),
    (0, b"LUKS\xba\xbe\0\x02", "a LUKS 2 (encrypted) volume"),
    (0, b"\x45\x3d\xcd\x28", "a cramfs file system"),
    (3, b"NTFS    ", "an NTFS file system"),
    (3, b"EXFAT   ", "an exFAT file system"),
    (3, b"-FVE-FS-", "a BitLocker (encrypted) volume"),
    (1024, b"\xe2\xe1\xf5\xe0", "an EROFS file system"),
    (1024, b"\x10\x20\xf5\xf2", "an F2FS file system"),
    (1024, b"\x02\0\0\0\0\0\x34\x34", "a NILFS2 file system"),
    (1040, b"\x8f\x13\x01\0", "a Minix file system"),
    (1048, b"\x5a\x4d\0\0\0", "a Minix file system"),
    (4086, b"SWAPSPACE2", "Linux swap space"),
    (4086, b"SWAP-SPACE", "Linux swap space"),
    (
        4086,
        b"S1SUSPEND",
        "Linux swap space with a suspended system",
    ),
    (4120, BCACHE, "a bcache device"),
    (4120, BCACHEFS, "a bcachefs file system"),
    (8244, b"ReIsErFs", "a ReiserFS file system"),
    (9564, UFS1, "a UFS file system"),
    (9564, UFS2, "a UFS2 file system"),
    (16408, b"version\0", "a member of a ZFS pool"),
    (32768, b"JFS1", "a JFS file system"),
    (32769, b"BEA01", "a UDF file system"),
    (65536, b"\x01\x16\x19\x70", "a GFS2 file system"),
    (65588, b"ReIsEr", "a ReiserFS file system"),
    (66908, UFS2, "a UFS2 file system"),
    // After what they may have at their beginning.
    (188, b"\x60\x0d\xde\xee", "a Sun disk label"),
    (512, b"\x57\x45\x56\x82", "a BSD disk label"),
    (524, b"\xee\xdd\x0d\x60", "a Solaris label with slices"),
];

const BCACHE: &[u8] = b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81";
const BCACHEFS: &[u8] = b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef";
const UFS1: &[u8] = b"\x54\x19\x01\x00";
const UFS2: &[u8] = b"\x19\x01\x54\x19";

/// Sectors of 512 bytes in which the label of an LVM physical volume may be.
const LVM_LABELS: u64 = 4;

/// What `volume` holds, if it is on the list, as the error that says so.
pub(crate) fn identify(volume: &Volume) -> Result<Option<FsError>, FsError> {
    for sector in 0..LVM_LABELS {
        if has(volume, sector.saturating_mul(512), b"LABELONE")? {
            return Ok(Some(FsError::Member(
                "an LVM physical volume; the logical volumes on it are named (lvm/GROUP-VOLUME)",
            )));
        }
    }
    for &(at, magic, name) in MAGICS {
        if has(volume, at, magic)? {
            return Ok(Some(FsError::Foreign(name)));
        }
    }
    Ok(None)
}
