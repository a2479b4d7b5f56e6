//! TFTP's client: packets in [`wire`], one transfer in [`Transfer`].

mod transfer;
pub mod wire;

pub use transfer::{Heard, Outgoing, PATIENCE, Transfer, Wishes};
