//! Menus from files and from standard input.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use menu::eval::MAX_MENU_BYTES;

use crate::output::Io;

/// A menu's bytes and where they come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The file as it was named; `-` is standard input.
    pub path: PathBuf,
    /// Its bytes.
    pub text: Vec<u8>,
}

impl Source {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// The system's reason; or that the file is longer than the loader reads, in words for people.
    pub fn read(path: &Path, io: &mut Io<'_>) -> Result<Self, String> {
        let shown = shown(path);
        let text = if path == OsStr::new("-") {
            bounded(&mut io.input)
        } else {
            std::fs::File::open(path).and_then(bounded)
        };
        let text = text.map_err(|error| format!("{shown}: {error}"))?;
        if text.len() > MAX_MENU_BYTES {
            return Err(format!(
                "{shown}: longer than the {MAX_MENU_BYTES} bytes that the loader reads of a menu"
            ));
        }
        Ok(Self {
            path: path.to_path_buf(),
            text,
        })
    }

    /// The name for showing.
    #[must_use]
    pub fn name(&self) -> String {
        shown(&self.path)
    }
}

/// A path for showing: `<stdin>` for `-`; what is not text, or would drive a terminal, is replaced.
#[must_use]
pub fn shown(path: &Path) -> String {
    if path == OsStr::new("-") {
        return "<stdin>".into();
    }
    menu::text::visible(path.as_os_str().as_encoded_bytes())
}

/// All bytes, or one more than the longest menu has: a device that never ends is no menu either.
fn bounded(stream: impl Read) -> std::io::Result<Vec<u8>> {
    let limit = MAX_MENU_BYTES as u64;
    let mut text = Vec::new();
    stream
        .take(limit.saturating_add(1))
        .read_to_end(&mut text)?;
    Ok(text)
}
