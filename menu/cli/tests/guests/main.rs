//! What is said of guests by their disks.

mod backing;
mod check;
#[path = "../../../../fs/tests/images/mod.rs"]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod fs_images;
mod generate;
mod images;
mod logical;
mod network;
mod sandbox;
#[path = "../scratch/mod.rs"]
mod scratch;
#[path = "../session/mod.rs"]
mod session;
