//! The network room: from Ethernet frames to files.
//!
//! [`Stack`] joins a [`NetDevice`] to smoltcp's IP and UDP, gets a [`Lease`] by DHCP or takes fixed settings, and reads
//! files by TFTP. What a DHCP answer says is read in [`dhcp`]; the TFTP client in [`tftp`] is a state machine without
//! input or output of its own. Nothing here waits without a limit, whatever the other side sends.
//! Protocols: RFC 2131, 2132, 3396, 5859 (DHCP); RFC 1350, 2347, 2348, 2349, 7440 (TFTP).
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]

extern crate alloc;

mod adapter;
mod device;
pub mod dhcp;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod remote;
mod stack;
pub mod tftp;

pub use device::{NetDevice, forget_udp_checksum};
pub use dhcp::{Lease, MenuPlace};
pub use error::NetError;
pub use remote::Remote;
pub use stack::{Fixed, Stack, Watcher};
