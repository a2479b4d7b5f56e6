//! Entries of the Boot Loader Specification: a file each in `/loader/entries`, newest first.
//!
//! Source: the UAPI Group's Boot Loader Specification, type 1; `$kernelopts` and the like come from grubenv, as in
//! Fedora's `blscfg`.

use std::cmp::Ordering;

use fs::DeviceName;

use super::grub::environment;
use super::words::expand;
use super::{Disks, Entry};

/// Reads the entries in `folder` of `device`. `value` knows variables of a grub.cfg, if there is one.
pub(super) fn read<'a>(
    disks: &Disks<'_>,
    device: &DeviceName,
    folder: &str,
    value: impl Fn(&str) -> Option<&'a str>,
) -> (Vec<Entry>, Option<usize>) {
    let mut names: Vec<String> = disks
        .names(device, folder)
        .into_iter()
        .filter_map(|name| Some(name.strip_suffix(".conf")?.to_owned()))
        .collect();
    names.sort_by(|a, b| by_version(b, a));
    let mut saved = Vec::new();
    for grub in ["/boot/grub2", "/grub2", "/boot/grub", "/grub"] {
        saved.extend(environment(disks, device, grub));
    }
    let variable = |name: &str| {
        let own = saved.iter().find(|(key, _)| key == name);
        own.map(|(_, value)| value.as_str())
            .or_else(|| value(name))
            .unwrap_or_default()
    };
    let entries = names
        .iter()
        .filter_map(|name| {
            let text = disks.read(device, &format!("{folder}/{name}.conf"))?;
            Some(entry(&text, device, name, &variable))
        })
        .collect();
    let wanted = variable("saved_entry");
    let default = names.iter().position(|name| name == wanted);
    (entries, default)
}

fn entry<'a>(
    text: &str,
    device: &DeviceName,
    name: &str,
    variable: &impl Fn(&str) -> &'a str,
) -> Entry {
    let mut entry = Entry {
        title: name.to_owned(),
        device: Some(device.clone()),
        ..Entry::default()
    };
    let mut options: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        let Some((key, value)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let value = expand(value.trim(), variable);
        match key {
            "title" => entry.title = value,
            "linux" => entry.kernel = value,
            "initrd" => entry
                .initrds
                .extend(value.split_whitespace().map(str::to_owned)),
            "options" => options.push(value),
            "efi" | "uki" => {
                entry.problem.get_or_insert_with(|| {
                    format!("it uses `{key}`, for which there is nothing here")
                });
            }
            _ => {}
        }
    }
    let joined = options.join(" ");
    entry.arguments = joined.split_whitespace().collect::<Vec<_>>().join(" ");
    entry
}

/// Compares names as versions: numbers as numbers, the rest as text; `~` is before everything.
fn by_version(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.starts_with('~'), b.starts_with('~')) {
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            _ => {}
        }
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let part = |text: &'_ str| {
            let digit = text.starts_with(|c: char| c.is_ascii_digit());
            let end = text.find(|c: char| c.is_ascii_digit() != digit);
            (digit, end.unwrap_or(text.len()))
        };
        let ((a_digit, a_end), (b_digit, b_end)) = (part(a), part(b));
        let (a_part, a_rest) = a.split_at(a_end);
        let (b_part, b_rest) = b.split_at(b_end);
        let order = match (a_digit, b_digit) {
            (true, true) => {
                let (a, b) = (
                    a_part.trim_start_matches('0'),
                    b_part.trim_start_matches('0'),
                );
                a.len().cmp(&b.len()).then_with(|| a.cmp(b))
            }
            _ => a_part.cmp(b_part),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
}

#[cfg(test)]
mod tests {
    use super::by_version;

    #[test]
    fn newer_kernels_come_first() {
        let mut names = [
            "a-6.1.9",
            "a-6.1.10",
            "a-6.10",
            "a-0-rescue",
            "a-6.1.10~rc1",
        ];
        names.sort_by(|a, b| by_version(b, a));
        assert_eq!(
            names,
            [
                "a-6.10",
                "a-6.1.10",
                "a-6.1.10~rc1",
                "a-6.1.9",
                "a-0-rescue"
            ]
        );
    }
}
