//! The drivers against the fake hypervisor: the good course of things, each fault, and nothing left behind.
#![expect(
    clippy::unwrap_used,
    reason = "outside of test functions too, a test fails by panicking"
)]

mod bed;
mod blkfront;
mod console;
mod disks;
mod faults;
mod netfront;
mod network;
mod properties;
mod saved;
mod writes;
mod xenstore;
