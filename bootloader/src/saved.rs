//! `savedefault`: an entry's number in the file `default` beside the menu, replaced in place.
//!
//! The file keeps its length and its place, so nothing but a sector of its data changes; [`fs::File::overwrite`] refuses
//! where even that could do harm. `grub-set-default` makes such a file: a number, then lines of `#` as room to grow.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use fs::{DeviceName, File, FileName, Place};
use menu::{Code, Failure, Reply};

use crate::volumes::{self, Volumes};

/// The file's name.
const NAME: &[u8] = b"default";

/// The most of the file that is looked at, in bytes.
const HEAD_BYTES: u64 = 64;

/// Where a menu is: the disk and the folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MenuPlace {
    /// The volume.
    pub device: DeviceName,
    /// The folder, with a slash at its end.
    folder: Vec<u8>,
}

impl MenuPlace {
    /// The place of the menu that is called `name` when `root` is the root device; `None` for one that is in no folder,
    /// such as a block list.
    #[must_use]
    pub fn of(name: &[u8], root: Option<&DeviceName>) -> Option<Self> {
        let name = FileName::parse(name).ok()?;
        let Place::Path(mut path) = name.place else {
            return None;
        };
        let slash = path.iter().rposition(|&byte| byte == b'/')?;
        path.truncate(slash + 1);
        Some(Self {
            device: name.device.or_else(|| root.cloned())?,
            folder: path,
        })
    }

    /// The file `default` beside the menu.
    fn default_file(&self) -> Vec<u8> {
        [&self.folder, NAME].concat()
    }
}

/// The beginning of a file.
fn head(file: &dyn File) -> Result<Vec<u8>, Failure> {
    // At most HEAD_BYTES, so it fits a usize.
    let mut bytes = vec![0; file.len().min(HEAD_BYTES) as usize];
    file.read_at(0, &mut bytes)
        .map_err(|error| volumes::failure(&error))?;
    Ok(bytes)
}

/// What was saved beside the menu at `place`; empty where nothing was.
#[must_use]
pub fn read(volumes: &Volumes, place: &MenuPlace) -> Vec<u8> {
    let opened = volumes
        .file_system(&place.device)
        .and_then(|files| volumes::opened(files.as_ref(), &place.default_file()));
    opened
        .and_then(|file| head(file.as_ref()))
        .unwrap_or_default()
}

/// Saves `record` (`N`, or `N:M`) beside the menu at `place`.
///
/// # Errors
/// 15 where there is no file `default`; 29 where it is too short, is something else, or cannot be changed safely; and
/// whatever the disk says.
pub fn write(volumes: &Volumes, place: &MenuPlace, record: &[u8]) -> Reply {
    let path = place.default_file();
    let files = volumes.file_system(&place.device)?;
    if let Some(part) = volumes.part_of(&place.device)? {
        return Err(
            Failure::new(Code::WRITE).because(format!("{part}, whose other parts would differ"))
        );
    }
    let spelled = format!("{}{}", place.device, path.escape_ascii());
    let file = volumes::opened(files.as_ref(), &path).map_err(|failure| {
        failure.during(&spelled).because(
            "the file must be there already; make it in the guest: printf '0\\n#\\n#\\n#\\n' > default",
        )
    })?;
    let old = head(file.as_ref())?;
    let new = replaced(&old, record)
        .map_err(|why| Failure::new(Code::WRITE).because(format!("{spelled}: {why}")))?;
    let note = format!("   [saved {} in {spelled}]", record.escape_ascii());
    if old.starts_with(&new) {
        return Ok(note);
    }
    file.overwrite(0, &new)
        .map_err(|error| Failure::new(Code::WRITE).because(format!("{spelled}: {error}")))?;
    Ok(note)
}

/// What takes the place of as many bytes at the file's beginning, `old`.
fn replaced(old: &[u8], record: &[u8]) -> Result<Vec<u8>, &'static str> {
    let line = old
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or(old.len());
    let mut new = record.to_vec();
    // A newline after it, if there is room; and nothing left of what stood in the line before.
    new.push(b'\n');
    new.resize(new.len().max(line), b'\n');
    new.truncate(old.len().max(record.len()));
    let replaced = old
        .get(..new.len())
        .ok_or("the file is too short for the number; add lines of `#` to it")?;
    let known = |byte: &u8| {
        matches!(
            byte,
            b'0'..=b'9' | b':' | b' ' | b'\t' | b'\r' | b'\n' | b'#' | 0
        )
    };
    if !replaced.iter().all(known) {
        return Err("the file holds something other than a saved number");
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file's beginning, the record, and what takes its place.
    type Case = (&'static [u8], &'static [u8], Option<&'static [u8]>);

    #[test]
    fn the_file_keeps_its_length_and_the_rest_of_its_lines() {
        let cases: &[Case] = &[
            (b"0\n#\n#\n", b"1", Some(b"1\n")),
            (b"0\n#\n#\n", b"12", Some(b"12\n")),
            (b"10\n#\n#\n", b"2", Some(b"2\n")),
            (b"1:0\n#\n", b"0", Some(b"0\n\n")),
            (b"12345\n#\n", b"2", Some(b"2\n\n\n\n")),
            (b"0\n#\n#\n", b"1:0", Some(b"1:0\n")),
            (b"0", b"1", Some(b"1")),
            (b"0\n", b"1:0", None),
            (b"", b"1", None),
            (b"root:x:0:0", b"1", None),
        ];
        for &(old, record, expected) in cases {
            let new = replaced(old, record);
            let shown = old.escape_ascii();
            assert_eq!(new.as_deref().ok(), expected, "{shown}");
            assert!(new.is_err() || new.is_ok_and(|new| new.len() <= old.len()));
        }
    }

    #[test]
    fn the_file_is_beside_the_menu() {
        let hd = |disk, partition| DeviceName::Disk { disk, partition };
        let place = |name: &[u8], root: Option<DeviceName>| {
            MenuPlace::of(name, root.as_ref())
                .map(|place| (place.device.clone(), place.default_file()))
        };
        assert_eq!(
            place(b"(hd0,0)/boot/grub/menu.lst", None),
            Some((hd(0, Some(0)), b"/boot/grub/default".to_vec()))
        );
        assert_eq!(
            place(b"/menu.lst", Some(hd(1, None))),
            Some((hd(1, None), b"/default".to_vec()))
        );
        assert_eq!(place(b"/menu.lst", None), None);
        assert_eq!(place(b"(hd0)1+10", None), None);
    }
}
