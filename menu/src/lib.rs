//! The GRUB-legacy menu: text to intent.
//!
//! [`parse()`] turns the bytes of a `menu.lst` into a [`Menu`] and [`Diagnostic`]s; it is total. [`run()`] shows the
//! menu on a [`Terminal`], takes keys, and runs entries against a [`Machine`], which is what this room calls the
//! disks, kernels and hypervisor behind it. Neither trait is implemented here: the composer does that.
//!
//! The way of the data: bytes → [`lexer`] → [`parse`](mod@parse) → [`tree`] → [`run`](mod@run) (keys and screens) →
//! [`eval`] (commands) → [`Machine`]. The state machines ([`keys`], [`select`], [`edit`], [`line_editor`]) are
//! pure: keys go in, actions come out, and drawing ([`screen`]) is apart from both.
//!
//! Source of the language: the GRUB 0.97 manual and the behaviour of PV-GRUB.
#![no_std]
#![forbid(unsafe_code)]
// Tests may panic; what runs on bytes from outside may not.
#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::as_conversions)
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod commands;
pub mod complete;
pub mod crypt;
pub mod diagnostic;
pub mod digest;
pub mod edit;
pub mod error;
pub mod eval;
pub mod keys;
pub mod lexer;
pub mod line_editor;
pub mod machine;
pub mod number;
mod order;
pub mod page;
pub mod parse;
pub mod prompt;
pub mod run;
pub mod screen;
pub mod select;
pub mod table;
pub mod terminal;
pub mod text;
pub mod tree;

#[cfg(test)]
mod fake;

pub use diagnostic::{Diagnostic, Severity};
pub use error::{Code, Failure};
pub use machine::{ItemKind, KernelOptions, ListItem, Machine, Reply, Search, Unzip, Verify};
pub use parse::parse;
pub use run::{Choice, Options, Outcome, Unattended, run};
pub use terminal::{Input, ShutdownRequest, Terminal, TerminalKind};
pub use tree::{Command, DefaultEntry, Entry, Menu};
