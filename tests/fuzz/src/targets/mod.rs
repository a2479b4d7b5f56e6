//! The targets, by what they attack.

mod boot;
// The host's program is for 64-bit hosts.
#[cfg(target_arch = "x86_64")]
mod check;
mod drivers;
mod files;
mod hostile;
mod lease;
#[cfg(target_arch = "x86_64")]
mod lint;
mod menu;
mod partitions;
mod screen;
mod segment;
mod sums;
mod tables;
mod transfer;
mod volumes;

use crate::Target;

pub(crate) use boot::elf as small_kernel;

/// All targets: disks, network, other domains, kernels, people.
pub(crate) const ALL: &[Target] = &[
    partitions::TARGET,
    files::EXT,
    files::FAT,
    files::ISO,
    files::XFS,
    files::BTRFS,
    files::SQUASHFS,
    volumes::LVM,
    volumes::MD,
    lease::OPTIONS,
    lease::DHCP,
    transfer::TFTP,
    transfer::DOWNLOAD,
    drivers::XENSTORE,
    drivers::BLKFRONT,
    drivers::NETFRONT,
    drivers::CONSOLE,
    boot::KERNEL,
    boot::UNPACK,
    menu::PARSE,
    #[cfg(target_arch = "x86_64")]
    lint::LINT,
    #[cfg(target_arch = "x86_64")]
    lint::FIX,
    screen::MENU,
    menu::WORDS,
    #[cfg(target_arch = "x86_64")]
    check::CHECK,
];
