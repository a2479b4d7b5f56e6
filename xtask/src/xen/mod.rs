//! A real Xen inside QEMU, run from the host: [`machine::Machine`] boots it, [`dom0::Dom0`] runs commands in it,
//! [`guest::Guest`] is one domain with its console.

pub(crate) mod cpio;
pub(crate) mod disk;
pub(crate) mod dom0;
pub(crate) mod gpt;
pub(crate) mod guest;
pub(crate) mod initrd;
pub(crate) mod machine;
pub(crate) mod qmp;
pub(crate) mod ramdisk;
pub(crate) mod storage;
