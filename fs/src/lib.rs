//! From sectors to files: partitions and file systems over any [`BlockDevice`]. Read only, but for
//! [`File::overwrite`], which replaces bytes of a file where they are.
//!
//! A disk becomes files in four steps: a [`BlockDevice`] is wrapped in a [`ReadAhead`], [`partitions`] lists what
//! is on it, a [`Volume`] is a window on it (a partition or the whole disk), and [`mount`] finds out which file
//! system the window holds. [`DeviceName`] and [`FileName`] read GRUB's spelling of all this, `(hd0,0)/boot/x`.
//!
//! Where disks are parts of something larger, [`assemble`] makes [`BlockDevice`]s of LVM's volumes and md's arrays, which
//! go through the same steps.
//!
//! The readers of XFS, btrfs and squashfs are behind the feature `more-readers`, which the smallest images do without.
//!
//! Nothing read from a disk may panic, loop or allocate without bound: all arithmetic on foreign integers is
//! checked or saturating, and every walk has a limit.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "more-readers"),
    expect(dead_code, reason = "the readers behind the feature use more")
)]
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]

extern crate alloc;

pub mod assembly;
#[cfg(feature = "more-readers")]
mod btrfs;
mod bytes;
pub mod cache;
pub mod checksum;
mod composite;
pub mod device;
pub mod error;
mod ext;
mod extents;
mod fat;
mod foreign;
mod iso;
mod lvm;
mod md;
pub mod name;
pub mod partition;
mod path;
mod run;
#[cfg(feature = "more-readers")]
mod squashfs;
pub mod tree;
pub mod volume;
#[cfg(feature = "more-readers")]
mod xfs;

pub use assembly::{Assembly, Candidate, Logical, assemble};
pub use cache::ReadAhead;
pub use device::{BlockDevice, BlockError, Geometry};
pub use error::FsError;
pub use name::{BlockRange, DeviceName, FileName, NameError, Place};
pub use partition::{Guid, Partition, PartitionType, Table, TableKind, partitions};
pub use run::block_list;
#[cfg(feature = "inspect")]
pub use tree::Inspection;
pub use tree::{DirEntry, EntryKind, File, FileSystem, Kind, Stretch, mount};
pub use volume::Volume;
