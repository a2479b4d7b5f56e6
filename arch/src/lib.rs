//! The Xen room: what a paravirtualised guest shares with its hypervisor, and the only unsafe code of this loader.
//!
//! [`addr`] holds the kinds of address that must never be confused, [`hypervisor`] the safe operations that
//! drivers are written against, [`shared`] a page that another domain writes at the same time.
//! Sources: Xen's public headers (`xen/include/public`).
#![no_std]
#![expect(
    unsafe_code,
    reason = "hypercalls, page tables and shared memory exist only in this room"
)]

extern crate alloc;
#[cfg(any(feature = "fake", feature = "host"))]
extern crate std;

pub mod abi;
pub mod addr;
#[cfg(any(feature = "native", feature = "host"))]
mod extents;
#[cfg(feature = "fake")]
pub mod fake;
pub mod frames;
#[cfg(feature = "host")]
pub mod host;
pub mod hypervisor;
#[cfg(feature = "native")]
pub mod native;
pub mod ring;
pub mod shared;

pub use addr::{Mfn, Pfn, Virt};
pub use frames::{FrameSource, Frames, LOW_FRAMES, NoFrames};
pub use hypervisor::{Access, DomId, Errno, GrantRef, Hypervisor, Instant, Port};
pub use shared::SharedPage;
