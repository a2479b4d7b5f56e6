//! Compares two reports of the witness, line by line.
//!
//! A report is the `WITNESS key=value` lines of a console; everything else there is ignored. [`ALLOWED`] is the whole
//! list of lines in which a guest may tell the loader's work from that of `xl`.

use std::collections::BTreeMap;
use std::fmt;

/// A line that is not the same in both reports.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// The report does not end as it should; says which one.
    Incomplete(&'static str),
    /// The line is in the first report only.
    Missing(String),
    /// The line is in the second report only.
    Extra(String),
    /// Both have the line, with these values.
    Changed {
        /// What the line is about.
        key: String,
        /// In the first report.
        first: String,
        /// In the second report.
        second: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Incomplete(which) => write!(f, "the {which} report has no end"),
            Difference::Missing(line) => write!(f, "missing: {line}"),
            Difference::Extra(line) => write!(f, "extra: {line}"),
            Difference::Changed { key, first, second } => {
                write!(f, "{key}: should be {first:?}, is {second:?}")
            }
        }
    }
}

/// A line that may differ between xl (first) and the loader (second).
struct Allowed {
    /// Whether the rule is about this key.
    about: fn(&str) -> bool,
    /// Whether these values are the difference that is allowed.
    accept: fn(Option<&str>, Option<&str>) -> bool,
    /// Why no kernel can mind.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people and by a test"))]
    reason: &'static str,
}

/// The only differences that are accepted.
const ALLOWED: &[Allowed] = &[
    Allowed {
        about: |key| key == "start_info.mod_len" || key == "module.len",
        accept: |xl, loader| {
            let (Some(xl), Some(loader)) = (xl.and_then(hex), loader.and_then(hex)) else {
                return false;
            };
            loader.next_multiple_of(4096) == xl
        },
        reason: "xl rounds the length of an unmapped module up to pages; the loader says the exact length, and zeroes the rest",
    },
    Allowed {
        about: |key| {
            key.starts_with("backend.vbd.")
                && key
                    .rsplit_once(".key.")
                    .is_some_and(|(_, name)| FIRST_CONNECT.contains(&name))
        },
        accept: |xl, loader| xl.is_none() && loader == Some("there"),
        reason: "blkback writes these at its first connection and never removes them; only its own domain may",
    },
    Allowed {
        about: |key| key == "p2m.last_page_rest",
        accept: |_, loader| loader == Some("invalid"),
        reason: "entries past the last page name nothing; the loader writes there what Linux itself would",
    },
    Allowed {
        about: |key| {
            [
                "image.rest_of_last_page",
                "p2m.last_page_rest",
                "module.after_its_end",
            ]
            .contains(&key)
        },
        accept: |xl, loader| xl != Some("zero") && loader == Some("zero"),
        reason: "xl leaves the ends of pages as it got them, which need not be clean",
    },
];

/// What else is accepted in xen-shim, where not xl's library but the shim, like Xen for dom0, lays a domain out. The
/// loader does as the library.
const ALLOWED_IN_SHIM: &[Allowed] = &[
    Allowed {
        about: |key| key == "start_info.first_p2m_pfn",
        accept: |_, loader| loader == Some("0x0"),
        reason: "the field is about a p2m list at an address of its own, which 32-bit kernels cannot have",
    },
    Allowed {
        about: |key| key == "tables.flags.L3",
        accept: |shim, loader| shim == Some("0x7x4") && loader == Some("0x1x4"),
        reason: "the other flags mean nothing in a top table of 32 bits",
    },
    Allowed {
        about: |key| key == "tables.at_pt_base",
        accept: |shim, loader| shim.map(tables_by_level) == loader.map(tables_by_level),
        reason: "the shim takes tables as it meets them; the library puts those of a level together, the top first",
    },
];

/// How many tables of each level a line like `L3x1 L1x1 L2x1 L1x3` names.
fn tables_by_level(line: &str) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for (level, count) in line.split(' ').filter_map(|run| run.split_once('x')) {
        *counts.entry(level).or_default() += count.parse::<u64>().unwrap_or_default();
    }
    counts
}

/// Keys of Linux's blkback that appear when a front end connects.
const FIRST_CONNECT: &[&str] = &[
    "discard-alignment",
    "discard-granularity",
    "discard-secure",
    "feature-barrier",
    "feature-discard",
    "feature-flush-cache",
    "feature-persistent",
    "info",
    "physical-sector-size",
    "sector-size",
    "sectors",
];

/// What every boot by xl reports, whatever the variant: known from the ABI, not from the loader. A witness that does not
/// say these is itself broken.
pub(super) const FACTS: &[&str] = &[
    "image.bss=zero",
    "image.odd_segment=intact",
    "stack.place=behind the page tables",
    "start_info.store_pfn_less_own=1",
    "start_info.console_pfn_less_own=2",
    "cpu.cr3=pt_base",
    "cpu.ldt=0x0",
    "cpu.gdt.guest_descriptors=0",
    "event.upcall_mask.vcpu0=1",
    "event.upcall_pending_vcpus=0",
    "event.pending=0",
    "event.others=0",
    "event.count.interdomain=2",
    "console.output_waiting=0",
    "console.answers=yes",
    "map.runs_not_shown=0",
    "map.pages_of_others=0x0",
    "tables.used_twice=0",
    "tables.unmappable=0",
    "tables.nonzero_absent_entries=0",
    "tables.undeclared=0",
    "tables.mapped_writable=0",
    "tables.top_pinned=yes",
    "tables.others_pinned=0",
    "p2m.entries_m2p_disagrees=0x0",
    "p2m.entries_without_frame=0x0",
    "window=ok",
    "frames.others_not_writable=0",
    "grant.leftovers=0",
    "store.requests_unread=0",
    "store.responses_unread=0",
    "store.answers.domid=yes",
    "store/device/vbd/51712/state=1",
    "store/device/vif/0/state=1",
    "backend.vbd.51712.state=2",
    "backend.vif.0.state=2",
    "image.at_the_end=unchanged",
    "store.unexpected_events=0",
    "vcpu_info=was in shared_info",
    "done",
];

/// More of them for a guest with a module.
pub(super) const FACTS_MODULE: &[&str] = &["module.after_its_end=zero"];

/// More of them for a 64-bit guest under Xen itself.
pub(super) const FACTS_64: &[&str] = &[
    "start_info.magic=xen-3.0-x86_64",
    "grant.set_version=to 2: 0, to 1: 0",
];

/// More of them for a 32-bit guest in the shim, which knows but one version of grants.
pub(super) const FACTS_32: &[&str] = &["start_info.magic=xen-3.0-x86_32p"];

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// The report's lines in order. A loader's menu may have left the cursor in the middle of the first one.
fn report_lines(console: &str) -> impl Iterator<Item = &str> {
    console
        .lines()
        .filter_map(|line| line.split_once("WITNESS "))
        .map(|(_, line)| line.trim_end_matches('\r'))
}

/// The report's lines as keys and values, each key made unique.
fn lines(console: &str) -> Vec<(String, String)> {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut lines = Vec::new();
    for line in report_lines(console) {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let count = seen.entry(key).or_default();
        *count += 1;
        let key = match count {
            1 => key.to_owned(),
            more => format!("{key} ({more})"),
        };
        lines.push((key, value.to_owned()));
    }
    lines
}

fn complete(lines: &[(String, String)]) -> bool {
    lines.last().is_some_and(|(key, _)| key == "done")
}

/// All differences between two reports.
pub(super) fn exactly(first: &str, second: &str) -> Vec<Difference> {
    differences(first, second, |_, _, _| false)
}

/// The differences between a boot by xl and one by the loader that [`ALLOWED`] does not list.
pub(super) fn compare(direct: &str, loaded: &str) -> Vec<Difference> {
    differences(direct, loaded, |key, xl, loader| {
        ALLOWED
            .iter()
            .any(|rule| (rule.about)(key) && (rule.accept)(xl, loader))
    })
}

/// [`compare`] for guests of xen-shim.
pub(super) fn compare_in_shim(direct: &str, loaded: &str) -> Vec<Difference> {
    differences(direct, loaded, |key, shim, loader| {
        ALLOWED
            .iter()
            .chain(ALLOWED_IN_SHIM)
            .any(|rule| (rule.about)(key) && (rule.accept)(shim, loader))
    })
}

/// Those of `expected` (`key=value`) that `report` does not state; a repeated key may state it anywhere.
pub(super) fn missing_lines(report: &str, expected: &[&str]) -> Vec<Difference> {
    let stated: Vec<&str> = report_lines(report).collect();
    expected
        .iter()
        .filter(|line| !stated.contains(line))
        .map(|line| Difference::Missing((*line).to_owned()))
        .collect()
}

fn differences(
    first: &str,
    second: &str,
    allowed: impl Fn(&str, Option<&str>, Option<&str>) -> bool,
) -> Vec<Difference> {
    let (first, second) = (lines(first), lines(second));
    let mut found = Vec::new();
    for (which, report) in [("first", &first), ("second", &second)] {
        if !complete(report) {
            found.push(Difference::Incomplete(which));
        }
    }
    let in_second: BTreeMap<&str, &str> = second
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let in_first: BTreeMap<&str, &str> = first
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    for (key, value) in &first {
        let other = in_second.get(key.as_str()).copied();
        if other == Some(value) || allowed(key, Some(value), other) {
            continue;
        }
        found.push(match other {
            None => Difference::Missing(format!("{key}={value}")),
            Some(other) => Difference::Changed {
                key: key.clone(),
                first: value.clone(),
                second: other.to_owned(),
            },
        });
    }
    for (key, value) in &second {
        if !in_first.contains_key(key.as_str()) && !allowed(key, None, Some(value)) {
            found.push(Difference::Extra(format!("{key}={value}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECT: &str = "noise\r\nWITNESS start_info.flags=0x8\r\nNOTE mfn: 1\r\nWITNESS start_info.mod_len=0x4a000\r\n\
        WITNESS event.other=port 3 unbound\r\nWITNESS event.other=port 4 virq\r\nWITNESS cmd_line=a=b  c\r\nWITNESS done\r\n";

    fn changed(key: &str, first: &str, second: &str) -> Difference {
        Difference::Changed {
            key: key.to_owned(),
            first: first.to_owned(),
            second: second.to_owned(),
        }
    }

    #[test]
    fn equal_reports_have_no_difference() {
        assert_eq!(exactly(DIRECT, DIRECT), []);
        assert_eq!(compare(DIRECT, DIRECT), []);
    }

    #[test]
    fn notes_and_other_output_do_not_count() {
        let other = DIRECT
            .replace("NOTE mfn: 1", "NOTE mfn: 2")
            .replace("noise\r\n", "GNU GRUB\n\x1b[2J");
        assert_eq!(compare(DIRECT, &other), []);
    }

    #[test]
    fn a_changed_value_is_named() {
        let other = DIRECT.replace("flags=0x8", "flags=0x0");
        assert_eq!(
            compare(DIRECT, &other),
            [changed("start_info.flags", "0x8", "0x0")]
        );
    }

    #[test]
    fn values_keep_their_blanks_and_equal_signs() {
        let other = DIRECT.replace("a=b  c", "a=b c");
        assert_eq!(
            compare(DIRECT, &other),
            [changed("cmd_line", "a=b  c", "a=b c")]
        );
    }

    #[test]
    fn repeated_keys_are_told_apart() {
        let other = DIRECT.replace("WITNESS event.other=port 4 virq\r\n", "");
        assert_eq!(
            compare(DIRECT, &other),
            [Difference::Missing(
                "event.other (2)=port 4 virq".to_owned()
            )]
        );
        assert_eq!(
            compare(&other, DIRECT),
            [Difference::Extra("event.other (2)=port 4 virq".to_owned())]
        );
    }

    #[test]
    fn a_report_without_its_end_is_a_difference() {
        let cut = DIRECT.replace("WITNESS done\r\n", "");
        assert_eq!(
            compare(DIRECT, &cut),
            [
                Difference::Incomplete("second"),
                Difference::Missing("done=".to_owned())
            ]
        );
        assert_eq!(
            compare("", ""),
            [
                Difference::Incomplete("first"),
                Difference::Incomplete("second")
            ]
        );
    }

    #[test]
    fn an_exact_module_length_is_allowed_and_no_other() {
        let exact = DIRECT.replace("0x4a000", "0x493e1");
        assert_eq!(compare(DIRECT, &exact), []);
        assert_eq!(exactly(DIRECT, &exact).len(), 1);
        for wrong in ["0x49000", "0x4a001", "0x0", "300001", ""] {
            let other = DIRECT.replace("0x4a000", wrong);
            assert_eq!(
                compare(DIRECT, &other),
                [changed("start_info.mod_len", "0x4a000", wrong)],
                "{wrong}"
            );
        }
        // The other way round it would be the loader that rounds up.
        assert_eq!(compare(&exact, DIRECT).len(), 1);
    }

    #[test]
    fn what_blkback_adds_is_allowed_in_the_loaded_report_only() {
        let key = "WITNESS backend.vbd.51712.key.sectors=there\r\n";
        let more = format!("{key}{DIRECT}");
        assert_eq!(compare(DIRECT, &more), []);
        assert_eq!(compare(&more, DIRECT).len(), 1);
        let unknown = format!("{}{DIRECT}", key.replace("sectors", "ring-ref"));
        assert_eq!(compare(DIRECT, &unknown).len(), 1);
        let network = format!("{}{DIRECT}", key.replace("vbd", "vif"));
        assert_eq!(compare(DIRECT, &network).len(), 1);
    }

    #[test]
    fn page_ends_may_be_cleaner_but_not_dirtier() {
        let with = |value: &str| format!("WITNESS p2m.last_page_rest={value}\r\n{DIRECT}");
        assert_eq!(compare(&with("other"), &with("zero")), []);
        assert_eq!(compare(&with("zero"), &with("other")).len(), 1);
        assert_eq!(compare(&with("zero"), &with("invalid")), []);
        let image =
            |value: &str| with(value).replace("p2m.last_page_rest", "image.rest_of_last_page");
        assert_eq!(compare(&image("not zero"), &image("zero")), []);
        assert_eq!(compare(&image("zero"), &image("invalid")).len(), 1);
    }

    #[test]
    fn every_allowed_difference_has_its_reason() {
        assert!(ALLOWED.iter().all(|rule| rule.reason.len() > 20));
    }

    #[test]
    fn facts_are_looked_for_one_by_one() {
        let all: String = FACTS.iter().map(|f| format!("WITNESS {f}\n")).collect();
        assert_eq!(missing_lines(&all, FACTS), []);
        let wrong = all.replace("tables.top_pinned=yes", "tables.top_pinned=no");
        assert_eq!(
            missing_lines(&wrong, FACTS),
            [Difference::Missing("tables.top_pinned=yes".to_owned())]
        );
        assert_eq!(missing_lines("", FACTS).len(), FACTS.len());
    }
}
