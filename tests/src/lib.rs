//! Scenario tables, guests and corpora for tests under a real Xen.
