//! This machine: the code that runs only inside a Xen guest.
//!
//! [`entry`] is where Xen jumps to, [`platform::Platform`] the real [`Hypervisor`](crate::Hypervisor), [`memory`]
//! the frames and their direct map, [`heap`] Rust's allocator, [`handoff`] the way out. One folder per width holds
//! what differs: hypercall convention, entry, trampoline, page-table shape.

mod builtins;
mod entry;
mod handoff;
mod heap;
mod hypercall;
mod m2p;
mod memory;
mod paging;
mod platform;
mod single;
mod trap;

#[cfg(target_arch = "x86_64")]
#[path = "x86_64/mod.rs"]
mod width;
#[cfg(target_arch = "x86")]
#[path = "x86_32/mod.rs"]
mod width;

pub use entry::BootInfo;
pub use handoff::{HandOff, Pinned, hand_off, live_tables};
pub use memory::peak_frames;
pub use platform::Platform;
pub use trap::{Shutdown, shutdown};
