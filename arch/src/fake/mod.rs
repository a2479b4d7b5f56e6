//! The fake hypervisor.
