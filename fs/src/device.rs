//! What a file system needs from a disk. The composer implements it (block front end, ramdisk, test image).

use core::fmt;

use alloc::string::String;

/// A disk's shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Logical sector size in bytes: 512 or a larger power of two, at most 4096. Reads are multiples of it.
    pub sector_bytes: u32,
    /// Size of the disk in bytes.
    pub len_bytes: u64,
}

/// A disk that can be read, and perhaps written. Object-safe; implementations use interior mutability.
pub trait BlockDevice {
    /// The disk's shape. Constant for the life of the value.
    fn geometry(&self) -> Geometry;

    /// Fills `out` with the bytes at `offset`. Both `offset` and `out.len()` are multiples of the sector size.
    ///
    /// A large `out` is read with as many requests in flight as the device takes.
    /// # Errors
    /// Any [`BlockError`]; the contents of `out` are then unspecified.
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), BlockError>;

    /// Says that `len` bytes at `offset` will be read soon. A device may start reading them; a later
    /// [`BlockDevice::read`] of the same bytes then finds them on their way. Never fails, never waits.
    fn prefetch(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// Puts `bytes` at `offset`, both multiples of the sector size, and has them on the medium when it returns, as far
    /// as the device can do that.
    /// # Errors
    /// [`BlockError::ReadOnly`] for a device that takes no writes, the default; others as [`BlockDevice::read`]. It is
    /// then unknown which of the bytes were written.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), BlockError> {
        let _ = (offset, bytes);
        Err(BlockError::ReadOnly("the disk cannot be written".into()))
    }
}

/// Why a read or write failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BlockError {
    /// The range leaves the disk; nothing was asked of the device.
    OutOfRange {
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Size of the disk in bytes.
        disk: u64,
    },
    /// The device answered with an error; the text says which.
    Io(String),
    /// The device did not answer in time; the text says what was waited for.
    Timeout(String),
    /// There is no working device: absent, empty, or never connected; the text says why.
    Absent(String),
    /// The device takes no writes; the text names it.
    ReadOnly(String),
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { offset, len, disk } => {
                write!(f, "bytes {offset}+{len} are beyond the disk's end ({disk})")
            }
            Self::Io(text) | Self::Timeout(text) | Self::Absent(text) | Self::ReadOnly(text) => {
                f.write_str(text)
            }
        }
    }
}

impl core::error::Error for BlockError {}
