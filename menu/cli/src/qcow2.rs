//! qcow2 images, through the library `imago`, and through nothing but the file that is already open.
//!
//! A qcow2 header may name other files: a backing image, an external data file. Whoever may write to an image may write
//! such a header, and a guest may write to its disk; so nothing that a header names is ever opened here. An image that
//! needs another file than [`backing`](crate::backing) has opened before is refused, with what would work.

use std::fs::File;
use std::io;

use imago::qcow2::Qcow2;
use imago::raw::Raw;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder};

use crate::backing::Layer;
use crate::disk::{Bytes, Format};

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
    /// Reads the headers of open files: an image, and what it lies on.
    ///
    /// # Errors
    /// What is wrong with one, or that it needs another file.
    pub(crate) fn new(layers: Vec<Layer>) -> Result<Self, String> {
        let mut below = None;
        for (format, storage) in layers.into_iter().rev() {
            below = Some(match format {
                Format::Raw => FormatAccess::new(open(Raw::builder(storage))?),
                Format::Qcow2 => FormatAccess::new(layer(storage, below.take())?),
            });
        }
        let access = below.ok_or("an image of no files")?;
        let len = access.size();
        Ok(Self { access, len })
    }
}

/// The image in `storage` that lies on `below`, and on nothing else.
fn layer(storage: Storage, below: Option<FormatAccess<Storage>>) -> Result<Qcow2<Storage>, String> {
    let is_alone = below.is_none();
    // Said here, so that the library looks for neither.
    let builder = Qcow2::builder(storage).backing(below).data_file(None);
    let image = open(builder)?;
    let named = match image.implicit_backing_file() {
        Some(named) if is_alone => Some(named),
        _ if image.requires_external_data_file() => image.implicit_external_data_file(),
        _ => return Ok(image),
    };
    let named = named.map_or_else(String::new, |name| {
        format!(", {},", menu::text::visible(name.as_bytes()))
    });
    Err(format!(
        "the image needs another file{named} and what an image names is not opened; `--backing-files FOLDER` opens \
         backing files below FOLDER, and a device of `qemu-nbd --read-only` or a copy of `qemu-img convert` needs none"
    ))
}

fn open<B: FormatDriverBuilder<Storage>>(builder: B) -> Result<B::Format, String> {
    let opened = builder.write(false).open(DenyImplicitOpenGate::default());
    opened.map_err(|error| format!("not a sound qcow2 image: {error}"))
}

impl Bytes for Image {
    fn len_bytes(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.access.read(out, offset)
    }
}
