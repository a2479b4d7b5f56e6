//! The Xen bed's ingredients: Debian's own packages, fetched once into a cache and unpacked there.
//!
//! [`Bed::prepare`] returns paths to a hypervisor, kernels, a toolstack and small host tools. Nothing is
//! installed in the system, apart from QEMU when it is missing.

mod apt;
mod cache;
mod modules;
mod needed;
mod products;
mod rust;
pub(crate) mod tools;

pub(crate) use cache::sha256;
pub(crate) use modules::KernelModules;
pub(crate) use needed::with_libraries;
pub(crate) use products::Bed;
pub(crate) use products::Kernel;
pub(crate) use rust::{debian_rust, is_rust_cached};
