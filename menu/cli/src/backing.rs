//! Backing files of qcow2 images: found and opened before the sandbox is closed, and only where they may be.
//!
//! A header says what its image lies on, and whoever wrote the image wrote the header: it may name any file of the host.
//! So [`Folders`] opens nothing but regular files below the folders that the command line names, which the kernel sees to
//! (`openat2` with `RESOLVE_BENEATH`), for reading alone, at most [`LAYERS_MAX`] deep. Of an image's bytes nothing is
//! read here but the name and the format; a format that is not said is not guessed, for a raw image may begin as its
//! guest likes.
//! The header: QEMU `docs/interop/qcow2.rst`.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::disk::Format;
use crate::input::shown;
use crate::qcow2::{self, Storage};

/// The most files that one image may be made of.
const LAYERS_MAX: usize = 8;

/// The longest name of a backing file, in bytes.
const NAME_MAX: u32 = 1023;

/// The most of an image that is looked at for the name: its first cluster, which has no more than 2 MiB; what QEMU writes
/// is in the first 64 KiB.
const HEADER_MAX: u64 = 64 << 10;

/// The header extension that says the backing file's format.
const FORMAT_EXTENSION: u32 = 0xe279_2aca;

/// A file of an image, opened and not read yet.
pub(crate) type Layer = (Format, Storage);

/// Folders below which backing files may be opened.
pub(crate) struct Folders(Vec<Folder>);

struct Folder {
    /// Without links and dots.
    path: PathBuf,
    handle: OwnedFd,
}

/// What an image lies on.
#[derive(PartialEq, Eq, Debug)]
struct Named {
    name: Vec<u8>,
    format: Option<Vec<u8>>,
}

impl Folders {
    /// Opens the folders.
    ///
    /// # Errors
    /// Which of them cannot be opened.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, String> {
        let open = |path: &PathBuf| {
            let text = |error: io::Error| format!("{}: {error}", shown(path));
            let whole = path.canonicalize().map_err(text)?;
            let handle = File::open(&whole).map_err(text)?;
            if !handle.metadata().map_err(text)?.is_dir() {
                return Err(format!("{}: --backing-files wants a folder", shown(path)));
            }
            Ok(Folder {
                path: whole,
                handle: handle.into(),
            })
        };
        paths.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// The image at `path`, which is open as `file`, and the files that it lies on, the uppermost first. Without folders
    /// nothing is looked for, and an image that lies on another file cannot be read later.
    ///
    /// # Errors
    /// What is named and cannot or may not be opened.
    pub(crate) fn layers(&self, path: &Path, file: File) -> Result<Vec<Layer>, String> {
        let (mut path, mut file, mut format) = (path.to_path_buf(), file, Format::Qcow2);
        let mut layers = Vec::new();
        loop {
            let named = match format {
                Format::Qcow2 if !self.0.is_empty() => {
                    named(&file).map_err(|error| error.to_string())?
                }
                Format::Qcow2 | Format::Raw => None,
            };
            let storage = qcow2::storage(file).map_err(|error| error.to_string())?;
            layers.push((format, storage));
            let Some(named) = named else {
                return Ok(layers);
            };
            if layers.len() >= LAYERS_MAX {
                return Err(format!("it is made of more than {LAYERS_MAX} files"));
            }
            format = named.format()?;
            (path, file) = self.beneath(&path, &named.name)?;
        }
    }

    /// Opens `name`, which the image at `image` lies on.
    fn beneath(&self, image: &Path, name: &[u8]) -> Result<(PathBuf, File), String> {
        let name = Path::new(std::ffi::OsStr::from_bytes(name));
        let says = format!("its backing file is {}", shown(name));
        let mut folder = image
            .canonicalize()
            .map_err(|error| format!("{}: {error}", shown(image)))?;
        folder.pop();
        // Behind a name, `..` may mean another folder than the one before; the kernel knows.
        let mut rest = name.components();
        while let Some(Component::CurDir | Component::ParentDir) = rest.clone().next() {
            if rest.next() == Some(Component::ParentDir) {
                folder.pop();
            }
        }
        // An absolute name takes the folder's place.
        let whole = folder.join(rest.as_path());
        let mut why = String::new();
        for folder in &self.0 {
            let Ok(inside) = whole.strip_prefix(&folder.path) else {
                continue;
            };
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            let opened = openat2(&folder.handle, inside, flags, Mode::empty(), resolve);
            match opened.map(File::from).map_err(io::Error::from) {
                Ok(file) => {
                    let is_file = file.metadata().is_ok_and(|about| about.is_file());
                    return match is_file {
                        true => Ok((whole, file)),
                        false => Err(format!("{says}, which is no regular file")),
                    };
                }
                Err(error) if error.raw_os_error() == Some(libc::EXDEV) => {}
                Err(error) => why = error.to_string(),
            }
        }
        Err(match why.as_str() {
            "" => format!("{says}, which is in no folder of --backing-files"),
            why => format!("{says}: {why}"),
        })
    }
}

impl Named {
    fn format(&self) -> Result<Format, String> {
        match self.format.as_deref() {
            Some(b"raw") => Ok(Format::Raw),
            Some(b"qcow2") => Ok(Format::Qcow2),
            Some(other) => Err(format!(
                "its backing file has the format {}; raw and qcow2 can be read",
                menu::text::visible(other)
            )),
            None => Err(
                "it does not say which format its backing file has; `qemu-img rebase -u -F FORMAT -b FILE` writes it down"
                    .to_owned(),
            ),
        }
    }
}

/// What the qcow2 image in `file` lies on. What makes no sense is left for whoever reads the image.
fn named(file: &File) -> io::Result<Option<Named>> {
    let len = file.metadata()?.len().min(HEADER_MAX);
    let mut header = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_exact_at(&mut header, 0)?;
    Ok(named_in(&header))
}

fn named_in(header: &[u8]) -> Option<Named> {
    let word = |at: usize| {
        let bytes = header.get(at..at.checked_add(4)?)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let at = u64::from(word(8)?) << 32 | u64::from(word(12)?);
    let len = word(16)?;
    if !header.starts_with(qcow2::MAGIC) || at == 0 || len == 0 || len > NAME_MAX {
        return None;
    }
    let at = usize::try_from(at).ok()?;
    let end = at.checked_add(usize::try_from(len).ok()?)?;
    let name = header.get(at..end)?.to_vec();
    let mut at = match word(4)? {
        2 => 72,
        _ => usize::try_from(word(100)?).ok()?,
    };
    let mut format = None;
    while let (Some(kind), Some(len)) = (word(at), word(at.saturating_add(4))) {
        let start = at.saturating_add(8);
        let end = start.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
        if kind == 0 {
            break;
        }
        if kind == FORMAT_EXTENSION {
            format = header.get(start..end).map(<[u8]>::to_vec);
        }
        at = end.checked_next_multiple_of(8)?;
    }
    Some(Named { name, format })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u32, name: &[u8], format: Option<&[u8]>) -> Vec<u8> {
        let mut header = vec![0; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, qcow2::MAGIC);
        put(4, &version.to_be_bytes());
        put(8, &256_u64.to_be_bytes());
        put(16, &(name.len() as u32).to_be_bytes());
        put(100, &104_u32.to_be_bytes());
        let mut at = if version == 2 { 72 } else { 104 };
        if let Some(format) = format {
            put(at, &0x6803_f857_u32.to_be_bytes());
            put(at + 4, &3_u32.to_be_bytes());
            at += 16;
            put(at, &FORMAT_EXTENSION.to_be_bytes());
            put(at + 4, &(format.len() as u32).to_be_bytes());
            put(at + 8, format);
        }
        put(256, name);
        header
    }

    #[test]
    fn names_and_formats_are_read() {
        for version in [2, 3] {
            for format in [None, Some(&b"raw"[..]), Some(b"qcow2"), Some(b"vmdk")] {
                let named = named_in(&header(version, b"base.img", format)).expect("a name");
                assert_eq!(named.name, b"base.img");
                assert_eq!(named.format.as_deref(), format, "{version}");
                assert_eq!(
                    named.format().is_ok(),
                    matches!(format, Some(b"raw" | b"qcow2"))
                );
            }
        }
        assert_eq!(named_in(&header(3, b"", None)), None);
    }

    #[test]
    fn headers_without_sense_name_nothing() {
        let good = header(3, b"base.img", Some(b"raw"));
        for len in 0..good.len() {
            // Only that it ends.
            let _ = named_in(&good[..len]);
        }
        for at in [8, 12, 16, 100, 108, 124] {
            let mut wrong = good.clone();
            wrong[at..at + 4].fill(0xff);
            let read = named_in(&wrong);
            assert!(at >= 100 || read.is_none(), "{at}");
        }
    }
}
