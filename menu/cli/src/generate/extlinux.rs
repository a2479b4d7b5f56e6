//! extlinux.conf: labels with a kernel, its arguments and its initrds.
//!
//! Source: the Syslinux wiki, "SYSLINUX" and "EXTLINUX".

use fs::DeviceName;

use super::Entry;
use super::grub::folder;

/// What the file says: entries, the default one, and seconds before it boots.
pub(super) fn read(
    text: &str,
    device: &DeviceName,
    place: &str,
) -> (Vec<Entry>, Option<usize>, Option<u32>) {
    let folder = folder(place);
    let mut entries: Vec<(String, Entry)> = Vec::new();
    let (mut default, mut timeout) = (None, None);
    for line in text.lines().map(str::trim) {
        let (key, value) = line
            .split_once(|c: char| c.is_whitespace() || c == '=')
            .unwrap_or((line, ""));
        let value = value.trim();
        let full = |path: &str| match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("{folder}/{path}"),
        };
        let key = key.to_ascii_lowercase();
        let last = entries.last_mut();
        match (key.as_str(), last) {
            ("default", _) => default = Some(value.to_owned()),
            // In tenths of a second; 0 waits for ever there, and boots at once here.
            ("timeout", _) => timeout = value.parse().ok().filter(|tenths: &u32| *tenths > 0),
            ("label", _) => entries.push((
                value.to_owned(),
                Entry {
                    title: value.to_owned(),
                    device: Some(device.clone()),
                    ..Entry::default()
                },
            )),
            ("menu", last) => {
                let (word, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
                match (word.to_ascii_lowercase().as_str(), last) {
                    ("label", Some((_, entry))) => entry.title = rest.trim().replace('^', ""),
                    ("default", Some((label, _))) => default = Some(label.clone()),
                    _ => {}
                }
            }
            ("linux" | "kernel", Some((_, entry))) => entry.kernel = full(value),
            ("initrd", Some((_, entry))) => {
                entry.initrds.extend(value.split(',').map(full));
            }
            ("append", Some((_, entry))) => {
                let (initrds, arguments): (Vec<&str>, Vec<&str>) = value
                    .split_whitespace()
                    .partition(|word| word.starts_with("initrd="));
                entry.arguments = arguments.join(" ");
                for word in initrds {
                    let files = word.trim_start_matches("initrd=");
                    entry.initrds.extend(files.split(',').map(full));
                }
            }
            ("localboot" | "com32" | "boot" | "pxe", Some((_, entry))) => {
                entry.problem.get_or_insert_with(|| {
                    format!("it uses `{key}`, for which there is nothing here")
                });
            }
            _ => {}
        }
    }
    let default = default.and_then(|name| entries.iter().position(|(label, _)| *label == name));
    let entries = entries.into_iter().map(|(_, entry)| entry).collect();
    (entries, default, timeout.map(|tenths| tenths.div_ceil(10)))
}
