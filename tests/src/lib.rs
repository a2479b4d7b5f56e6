//! What tests of several rooms share: guests and corpora for tests under a real Xen, and large menus.

pub mod large_menus;
