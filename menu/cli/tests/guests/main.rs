//! What is said of guests by their disks.

mod check;
mod generate;
mod images;
mod sandbox;
#[path = "../session/mod.rs"]
mod session;
