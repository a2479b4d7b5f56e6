//! TAB completion: of commands, devices, and files, whichever the word before the cursor can be.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::Failure;
use crate::lexer::split_word;
use crate::machine::{ItemKind, Machine};
use crate::order::sorted;
use crate::table::{COMMANDS, Place};
use crate::text::visible;

/// What TAB found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Completion {
    /// These bytes go on from the cursor.
    Insert(Vec<u8>),
    /// Several ways to go on, for showing.
    Choices(Vec<String>),
    /// Nothing goes on from here.
    Nothing,
    /// The folder or the device could not be looked at.
    Failed(Failure),
}

/// Completes what stands before the cursor.
pub fn complete(machine: &mut dyn Machine, before: &[u8]) -> Completion {
    let start = before
        .iter()
        .rposition(|byte| matches!(byte, b' ' | b'\t' | b'='))
        .map_or(0, |at| at.saturating_add(1));
    let word = before.get(start..).unwrap_or_default();
    let in_command = split_word(before.get(..start).unwrap_or_default())
        .0
        .is_empty();
    if in_command {
        let offered = COMMANDS
            .iter()
            .filter(|info| !matches!(info.place, Place::Title | Place::Setting));
        return choose(
            word,
            offered
                .map(|info| Item {
                    text: info.name.into(),
                    end: b" ",
                })
                .collect(),
        );
    }
    if word.is_empty() || (word.starts_with(b"(") && !word.contains(&b')')) {
        let devices = match machine.devices() {
            Ok(devices) => devices,
            Err(failure) => return Completion::Failed(failure),
        };
        return choose(
            word,
            devices
                .into_iter()
                .map(|text| Item { text, end: b"" })
                .collect(),
        );
    }
    let Some(slash) = word.iter().rposition(|byte| *byte == b'/') else {
        return match word.last() {
            Some(b')') => Completion::Insert(b"/".to_vec()),
            _ => Completion::Nothing,
        };
    };
    let (folder, name) = word
        .split_at_checked(slash.saturating_add(1))
        .unwrap_or((word, &[]));
    let items = match machine.list(folder) {
        Ok(items) => items,
        Err(failure) => return Completion::Failed(failure),
    };
    let items = items
        .into_iter()
        .filter(|item| !matches!(item.name.as_slice(), b"." | b".."));
    let ends = |kind| match kind {
        ItemKind::File => &b" "[..],
        ItemKind::Folder => b"/",
    };
    choose(
        name,
        items
            .map(|item| Item {
                text: item.name,
                end: ends(item.kind),
            })
            .collect(),
    )
}

struct Item {
    text: Vec<u8>,
    /// What follows the item once it is the only one.
    end: &'static [u8],
}

fn choose(typed: &[u8], items: Vec<Item>) -> Completion {
    let items = items
        .into_iter()
        .filter(|item| item.text.starts_with(typed))
        .collect();
    let items: Vec<Item> = sorted(items, |a: &Item, b: &Item| a.text < b.text);
    let Some((first, others)) = items.split_first() else {
        return Completion::Nothing;
    };
    let shared = others.iter().fold(first.text.len(), |len, other| {
        first
            .text
            .iter()
            .zip(&other.text)
            .take_while(|(a, b)| a == b)
            .count()
            .min(len)
    });
    let mut more = first
        .text
        .get(typed.len()..shared)
        .unwrap_or_default()
        .to_vec();
    if others.is_empty() {
        more.extend_from_slice(first.end);
    }
    if !more.is_empty() {
        return Completion::Insert(more);
    }
    Completion::Choices(items.iter().map(|item| visible(&item.text)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeMachine;

    fn after(typed: &str) -> Completion {
        let mut machine = FakeMachine::default();
        machine.add_file("(hd0,0)/boot/vmlinuz-6.1", b"");
        machine.add_file("(hd0,0)/boot/vmlinuz-6.12", b"");
        machine.add_file("(hd0,0)/boot/grub/menu.lst", b"");
        complete(&mut machine, typed.as_bytes())
    }

    #[test]
    fn commands() {
        assert_eq!(after("kern"), Completion::Insert(b"el ".to_vec()));
        assert_eq!(
            after("r"),
            Completion::Choices(
                ["rarp", "read", "reboot", "root", "rootnoverify"]
                    .map(String::from)
                    .into()
            )
        );
        assert_eq!(after("zz"), Completion::Nothing);
    }

    #[test]
    fn devices_and_files() {
        assert_eq!(after("root (h"), Completion::Insert(b"d0".to_vec()));
        assert_eq!(after("root (hd0,"), Completion::Insert(b"0)".to_vec()));
        assert_eq!(after("cat (hd0,0)"), Completion::Insert(b"/".to_vec()));
        assert_eq!(
            after("cat (hd0,0)/boot/g"),
            Completion::Insert(b"rub/".to_vec())
        );
        assert_eq!(
            after("kernel (hd0,0)/boot/v"),
            Completion::Insert(b"mlinuz-6.1".to_vec())
        );
        assert_eq!(
            after("kernel (hd0,0)/boot/vmlinuz-6.12"),
            Completion::Insert(b" ".to_vec())
        );
        let both = ["vmlinuz-6.1", "vmlinuz-6.12"].map(String::from).into();
        assert_eq!(
            after("kernel (hd0,0)/boot/vmlinuz-6.1"),
            Completion::Choices(both)
        );
        assert_eq!(after("kernel x"), Completion::Nothing);
    }
}
