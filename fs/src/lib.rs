//! From sectors to files: partitions and file systems, read only, over any [`BlockDevice`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod device;

pub use device::{BlockDevice, BlockError, Geometry};
