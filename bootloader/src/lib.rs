//! The composer: devices, image formats, layout of the next kernel, and the way from menu to jump.
#![no_std]

extern crate alloc;

pub mod blkfront;
pub mod blocklist;
pub mod build;
pub mod config;
pub mod console;
pub mod disks;
pub mod files;
pub mod frontend;
pub mod image;
pub mod machine;
pub mod netfront;
pub mod network;
pub mod plan;
pub mod renumber;
pub mod saved;
pub mod tables;
pub mod terminal;
pub mod volumes;
pub mod xenbus;
pub mod xenstore;
