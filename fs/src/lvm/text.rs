//! The text of LVM's metadata: sections, numbers, strings and lists, as in `lvm.conf`. Read where it lies, without a
//! tree: a [`Section`] is the text between its braces.

/// `name { … }`, or the whole text.
#[derive(Clone, Copy)]
pub(super) struct Section<'a>(pub(super) &'a [u8]);

/// What stands behind a name.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Section(Section<'a>),
    Item(Item<'a>),
    List(List<'a>),
}

/// A string without its quotes, or a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Item<'a> {
    Text(&'a [u8]),
    Number(u64),
}

/// `[ … ]`.
#[derive(Clone, Copy)]
pub(super) struct List<'a>(&'a [u8]);

impl<'a> Section<'a> {
    /// What is in it, in order; ends where the text makes no sense.
    pub(super) const fn entries(self) -> Entries<'a> {
        Entries(self.0)
    }

    /// The sections in it, with their names.
    pub(super) fn sections(self) -> impl Iterator<Item = (&'a [u8], Section<'a>)> {
        self.entries().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((name, section)),
            _ => None,
        })
    }

    #[inline(never)]
    fn get(self, name: &[u8]) -> Option<Value<'a>> {
        let mut entries = self.entries();
        let found = entries.find(|(own, _)| *own == name);
        found.map(|(_, value)| value)
    }

    /// The section called `name`, or an empty one.
    pub(super) fn section(self, name: &[u8]) -> Section<'a> {
        match self.get(name) {
            Some(Value::Section(section)) => section,
            _ => Section(&[]),
        }
    }

    /// The number called `name`, or 0.
    pub(super) fn number(self, name: &[u8]) -> u64 {
        match self.get(name) {
            Some(Value::Item(Item::Number(number))) => number,
            _ => 0,
        }
    }

    /// The string called `name`, or an empty one.
    pub(super) fn text(self, name: &[u8]) -> &'a [u8] {
        match self.get(name) {
            Some(Value::Item(Item::Text(text))) => text,
            _ => &[],
        }
    }

    /// The items of the list called `name`, or none.
    pub(super) fn list(self, name: &[u8]) -> List<'a> {
        match self.get(name) {
            Some(Value::List(list)) => list,
            _ => List(&[]),
        }
    }

    /// Whether the list `name` has the word `word`.
    pub(super) fn has(self, name: &[u8], word: &[u8]) -> bool {
        self.list(name).any(|item| item == Item::Text(word))
    }
}

/// Names and values of a section.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let text = after_blanks(self.0);
        let len = text
            .iter()
            .position(|&byte| !is_name(byte))
            .unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(len).filter(|_| len > 0)?;
        let (value, rest) = match after_blanks(rest).split_first()? {
            (b'{', rest) => {
                let (inner, rest) = until_closed(rest)?;
                (Value::Section(Section(inner)), rest)
            }
            (b'=', rest) => match after_blanks(rest) {
                [b'[', rest @ ..] => {
                    let end = list_end(rest)?;
                    let (inner, rest) = rest.split_at_checked(end)?;
                    (Value::List(List(inner)), rest.get(1..)?)
                }
                rest => {
                    let (item, rest) = item(rest)?;
                    (Value::Item(item), rest)
                }
            },
            _ => return None,
        };
        self.0 = rest;
        Some((name, value))
    }
}

impl<'a> Iterator for List<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let mut text = after_blanks(self.0);
        while let [b',', rest @ ..] = text {
            text = after_blanks(rest);
        }
        let (item, rest) = item(text)?;
        self.0 = rest;
        Some(item)
    }
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/')
}

/// Without blanks and comments at the front.
fn after_blanks(text: &[u8]) -> &[u8] {
    let mut text = text;
    loop {
        text = text.trim_ascii_start();
        let [b'#', ..] = text else { return text };
        let end = text.iter().position(|&byte| byte == b'\n');
        text = end.and_then(|end| text.get(end..)).unwrap_or_default();
    }
}

/// A string or a number, and what follows it. Numbers that are no sizes (negative, with a point) are 0.
fn item(text: &[u8]) -> Option<(Item<'_>, &[u8])> {
    if let [b'"', rest @ ..] = text {
        let end = string_end(rest)?;
        let (inner, rest) = rest.split_at_checked(end)?;
        return Some((Item::Text(inner), rest.get(1..)?));
    }
    let len = text.iter().position(|&byte| !is_name(byte));
    let (digits, rest) = text.split_at_checked(len.unwrap_or(text.len()))?;
    let number = core::str::from_utf8(digits)
        .ok()
        .filter(|text| !text.is_empty())?;
    Some((Item::Number(number.parse().unwrap_or(0)), rest))
}

/// Where the string that begins before `text` ends.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn list_end(text: &[u8]) -> Option<usize> {
    let mut quoted = false;
    text.iter().position(|&byte| {
        quoted ^= byte == b'"';
        byte == b']' && !quoted
    })
}

/// The text up to the brace that closes it, and what follows that.
fn until_closed(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut depth = 1u32;
    let mut at = 0usize;
    loop {
        let here = text.get(at..)?;
        let step = match here.first()? {
            b'"' => string_end(here.get(1..)?)?.checked_add(2)?,
            b'#' => here.iter().position(|&byte| byte == b'\n')?,
            b'{' => {
                depth = depth.checked_add(1)?;
                1
            }
            b'}' => {
                depth = depth.checked_sub(1)?;
                1
            }
            _ => 1,
        };
        let next = at.checked_add(step)?;
        if depth == 0 {
            return Some((text.get(..at)?, text.get(next..)?));
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const TEXT: &[u8] = b"# Generated\nvg {\n id = \"a}{\\\"b\" # comment with }\n seqno = 7\nflags = []\n\
        status = [\"READ\", \"WRI]TE\"] lv-1.x {\n n=-1 list = [\n\"pv0\", 0, # one\n\"pv1\", 2048] }\n}\nversion = 1\n";

    #[test]
    fn sections_strings_numbers_lists() {
        let whole = Section(TEXT);
        let names: Vec<_> = whole.entries().map(|(name, _)| name).collect();
        assert_eq!(names, [&b"vg"[..], b"version"]);
        let group = whole.section(b"vg");
        assert_eq!(group.text(b"id"), b"a}{\\\"b");
        assert_eq!(group.number(b"seqno"), 7);
        assert_eq!(group.list(b"flags").count(), 0);
        assert!(group.has(b"status", b"WRI]TE") && !group.has(b"status", b"WRITE"));
        let volume = group.section(b"lv-1.x");
        assert_eq!(volume.number(b"n"), 0);
        let list: Vec<_> = volume.list(b"list").collect();
        let expected = [
            Item::Text(b"pv0"),
            Item::Number(0),
            Item::Text(b"pv1"),
            Item::Number(2048),
        ];
        assert_eq!(list, expected);
        assert_eq!(group.number(b"id"), 0);
        assert_eq!(group.text(b"nothing"), b"");
    }

    #[test]
    fn every_prefix_ends() {
        for len in 0..TEXT.len() {
            let (cut, rest) = TEXT.split_at(len);
            for text in [cut, rest] {
                for (_, value) in Section(text).entries().take(100) {
                    match value {
                        Value::Section(inner) => assert!(inner.entries().count() < 100),
                        Value::List(list) => assert!(list.count() < 100),
                        Value::Item(_) => {}
                    }
                }
            }
        }
    }
}
