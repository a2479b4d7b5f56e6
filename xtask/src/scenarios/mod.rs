//! The table of scenarios: every promise that is kept under a real Xen, one row each.

mod chain;
mod confined;
mod dialogue;
mod direct;
mod files;
pub(crate) mod hello;
mod loader;
pub(crate) mod media;
mod menu;
mod network;
mod newer_files;
pub(crate) mod packing;
mod places;
mod refusals;
mod sizes;
pub(crate) mod tree;
mod trouble;
mod volumes;
pub(crate) mod wide32;
mod witness;

use crate::scenario::Scenario;

/// All scenarios, in the order in which they are started.
pub(crate) fn all() -> Vec<&'static Scenario> {
    [
        direct::TABLE,
        loader::TABLE,
        places::PLACES,
        places::OTHERS,
        files::EXT,
        files::OTHERS,
        newer_files::TABLE,
        volumes::PLACES,
        volumes::NAMES,
        volumes::REFUSED,
        volumes::TREES,
        volumes::DEBIAN,
        packing::TABLE,
        refusals::TABLE,
        chain::TABLE,
        confined::TABLE,
        sizes::TABLE,
        trouble::TABLE,
        menu::TABLE,
        dialogue::TABLE,
        network::TABLE,
        wide32::TABLE,
        wide32::SAME,
        witness::TABLE,
    ]
    .into_iter()
    .flatten()
    .collect()
}
