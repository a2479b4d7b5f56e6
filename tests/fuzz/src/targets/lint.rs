//! What the host's linter makes of menus: findings that lie in the text, fixes that change nothing for the loader.

use pvgrub::fmt::formatted;
use pvgrub::lint::fix::{fixed, meaning};
use pvgrub::lint::places::Places;
use pvgrub::lint::{Levels, lint};

use super::menu::{WORDS_OF_MENUS, corpus};
use crate::Target;

pub(crate) const LINT: Target = Target {
    name: "lint",
    about: "any bytes as a menu: looked at by every rule",
    longest: 4096,
    heap_mib: 32,
    words: WORDS_OF_MENUS,
    seeds: corpus,
    run: |input| {
        let places = Places::new(input);
        let linted = lint(&places, &Levels::default(), usize::MAX);
        for finding in &linted.findings {
            assert!(places.range(finding.span).end <= input.len());
            assert!(!finding.said.message.is_empty());
        }
    },
};

pub(crate) const FIX: Target = Target {
    name: "fix",
    about: "any bytes as a menu: fixed and put in canonical form, which boots the same",
    longest: 4096,
    heap_mib: 32,
    words: WORDS_OF_MENUS,
    seeds: corpus,
    run: |input| {
        let once = fixed(input, &Levels::default()).expect("OK to unwrap: a fault is a crash");
        assert_eq!(
            meaning(input),
            meaning(&once.text),
            "fixed, it boots something else"
        );
        let again = fixed(&once.text, &Levels::default());
        assert_eq!(
            again.expect("OK to unwrap: a fault is a crash").count,
            0,
            "fixed twice"
        );
        let form = formatted(input).expect("OK to unwrap: a fault is a crash");
        let again = formatted(&form).expect("OK to unwrap: a fault is a crash");
        assert!(form == again, "canonical form is not its own");
    },
};
