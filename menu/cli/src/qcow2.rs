//! qcow2 images, through the library `imago`, and through nothing but the file that is already open.
//!
//! A qcow2 header may name other files: a backing image, an external data file. Whoever may write to an image may write
//! such a header, and a guest may write to its disk; so nothing that a header names is ever opened. An image that needs
//! another file is refused, with what would work.

use std::fs::File;
use std::io;

use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder};

use crate::disk::Bytes;

/// What a qcow2 image begins with.
pub(crate) const MAGIC: &[u8; 4] = b"QFI\xfb";

/// A file that is open, and not read yet.
pub(crate) type Storage = imago::file::File;

/// Hands an open file to the library, which reads nothing of it yet.
///
/// # Errors
/// When its size cannot be found out.
pub(crate) fn storage(file: File) -> io::Result<Storage> {
    file.try_into()
}

/// An open image.
pub(crate) struct Image {
    access: FormatAccess<Storage>,
    len: u64,
}

impl Image {
    /// Reads the header of an open file.
    ///
    /// # Errors
    /// What is wrong with it, or that it needs another file.
    pub(crate) fn new(storage: Storage) -> Result<Self, String> {
        let image = Qcow2::<Storage>::builder(storage)
            .write(false)
            .open(DenyImplicitOpenGate::default())
            .map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => format!(
                    "the image needs another file, and what an image names is not opened ({error}); \
                     give a device of `qemu-nbd --read-only`, or a copy of `qemu-img convert`"
                ),
                _ => format!("not a sound qcow2 image: {error}"),
            })?;
        let access = FormatAccess::new(image);
        let len = access.size();
        Ok(Self { access, len })
    }
}

impl Bytes for Image {
    fn len_bytes(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.access.read(out, offset)
    }
}
