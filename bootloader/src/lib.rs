//! The composer: devices, image formats, layout of the next kernel, and the way from menu to jump.
#![no_std]

extern crate alloc;
