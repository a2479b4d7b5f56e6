//! The composer: devices, image formats, layout of the next kernel, and the way from menu to jump.
#![no_std]

extern crate alloc;

pub mod blkfront;
pub mod console;
pub mod disks;
pub mod image;
pub mod xenbus;
pub mod xenstore;
