//! Xen's binary interface as data: sizes, offsets and numbers for both widths of guest.
//!
//! Nothing here depends on the width this crate is built for, so both layouts are tested on the host.
//! `cargo xtask abi-check` compares these numbers with Xen's own headers.

pub mod blkif;
pub mod console;
pub mod grant;
pub mod netif;
pub mod ring;
pub mod shared_info;
pub mod start_info;
pub mod xenbus;
pub mod xs_wire;

/// The width of a guest: it decides the layout of everything with a `long`, a pointer or an aligned 64-bit field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// An i686 guest with PAE: `long` has 4 bytes, 64-bit fields are aligned to 4.
    Bits32,
    /// An `x86_64` guest: `long` has 8 bytes, 64-bit fields are aligned to 8.
    Bits64,
}

impl Width {
    /// The width of the guest this crate is compiled for.
    pub const NATIVE: Self = if size_of::<usize>() == 8 {
        Self::Bits64
    } else {
        Self::Bits32
    };
}
