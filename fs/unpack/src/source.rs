//! What a decoder needs from a file. The composer implements it.

use alloc::string::String;

/// Why bytes of a file could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceError {
    /// What happened, as a sentence without a full stop.
    pub message: String,
    /// GRUB's number for it.
    pub number: u8,
}

/// A file, such as a kernel's. Implementations use interior mutability.
pub trait Source {
    /// Length of the file in bytes.
    fn len(&self) -> u64;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with the bytes at `offset`, all of which the file has.
    ///
    /// # Errors
    /// [`SourceError`] says why the bytes cannot be had.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), SourceError>;

    /// Says that the `len` bytes at `offset` will be read soon. Never fails, never waits.
    fn prefetch(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }
}
