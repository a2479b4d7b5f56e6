//! Configurations of boot loaders that pv-grub does not read: GRUB 2's grub.cfg, the Boot Loader Specification's
//! entries, extlinux.conf. The usual reason why a guest that booted elsewhere does not boot here.

use bootloader::volumes::Volumes;
use fs::DeviceName;

use super::report::Other;

/// Where GRUB 2 keeps its configuration.
pub(crate) const GRUB_CFG: [&str; 6] = [
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
    "/grub/grub.cfg",
    "/grub2/grub.cfg",
    "/EFI/fedora/grub.cfg",
    "/EFI/debian/grub.cfg",
];

/// Where the Boot Loader Specification's entries are.
pub(crate) const BLS: [&str; 2] = ["/boot/loader/entries", "/loader/entries"];

/// Where syslinux on ext looks.
pub(crate) const EXTLINUX: [&str; 8] = [
    "/boot/extlinux/extlinux.conf",
    "/extlinux/extlinux.conf",
    "/boot/extlinux.conf",
    "/extlinux.conf",
    "/boot/syslinux/syslinux.cfg",
    "/syslinux/syslinux.cfg",
    "/boot/syslinux.cfg",
    "/syslinux.cfg",
];

/// Every such configuration on every volume, in the order of the volumes.
pub(crate) fn look(volumes: &Volumes) -> Vec<Other> {
    let mut found = Vec::new();
    for device in volumes.names() {
        for place in BLS {
            if has_entries(volumes, &device, place) {
                found.push(Other {
                    kind: "BLS",
                    place: format!("{device}{place}"),
                });
            }
        }
        for (kind, places) in [("grub.cfg", &GRUB_CFG[..]), ("extlinux", &EXTLINUX[..])] {
            for place in places {
                let name = format!("{device}{place}");
                if volumes.open(name.as_bytes(), None).is_ok() {
                    found.push(Other { kind, place: name });
                }
            }
        }
    }
    found
}

fn has_entries(volumes: &Volumes, device: &DeviceName, folder: &str) -> bool {
    let entries = volumes.list(format!("{device}{folder}").as_bytes(), None);
    entries.is_ok_and(|entries| entries.iter().any(|entry| entry.name.ends_with(b".conf")))
}
