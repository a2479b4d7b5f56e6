//! `pvgrub check` and `pvgrub generate`: a guest's disk with bytes changed, its menu and its other configurations too.

use std::io;
use std::rc::Rc;
use std::sync::LazyLock;

use fs::BlockDevice;
use pvgrub::disk::Bytes;
use pvgrub::{check, generate};

use crate::Target;
use crate::disk::Disk;
use crate::patches::{self, Base};

/// Memory of the guest, in MiB.
const GUEST_MIB: u64 = 32;

pub(crate) const CHECK: Target = Target {
    name: "check",
    about: "pvgrub check and generate: guests' disks with bytes changed: menu.lst, grub.cfg, BLS entries, extlinux.conf, a menu of the network, LVM, md",
    longest: 256,
    heap_mib: 96,
    words: &[],
    seeds: || patches::seeds(&BASES),
    run,
};

/// The first has a menu and everything else too; `generate` stops at the first configuration that can start, so the others
/// are alone elsewhere. The last ones have neither, and are looked through for what they are made of.
const IMAGES: [&[u8]; 8] = [
    include_bytes!("../../images/guest.gz"),
    include_bytes!("../../images/guest-bls.gz"),
    include_bytes!("../../images/guest-extlinux.gz"),
    include_bytes!("../../images/guest-grub.gz"),
    include_bytes!("../../images/guest-network.gz"),
    include_bytes!("../../images/lvm-linear.gz"),
    include_bytes!("../../images/lvm-on-md.gz"),
    include_bytes!("../../images/md-stale.gz"),
];

static BASES: LazyLock<Vec<Base>> =
    LazyLock::new(|| IMAGES.iter().map(|packed| Base::unpack(packed)).collect());

struct Whole(Rc<Disk>);

impl Bytes for Whole {
    fn len_bytes(&self) -> u64 {
        self.0.geometry().len_bytes
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out).map_err(io::Error::other)
    }
}

fn run(input: &[u8]) {
    let disk = patches::disk(&BASES, input);
    if disk.geometry().len_bytes == 0 {
        return;
    }
    if let Ok(report) = check::of_disk(Box::new(Whole(disk.clone())), GUEST_MIB) {
        assert!(!report.summary.is_empty());
        let boots = report.verdict == check::Verdict::Boots;
        // What comes behind an entry that needs the network may boot; whether it is tried nobody knows.
        let last_boots = report.boot.last().is_some_and(|last| last.boots);
        assert!(boots == last_boots || report.verdict == check::Verdict::NotJudged);
        assert_eq!(boots, report.image.is_some());
        for entry in &report.entries {
            assert_eq!(entry.step.boots, entry.verdict == check::Verdict::Boots);
        }
    }
    if let Some(menu) = generate::of_disk(Box::new(Whole(disk.clone()))) {
        let (parsed, remarks) = menu::parse(menu.as_bytes());
        assert!(!parsed.entries.is_empty(), "no entry in {menu:?}");
        assert!(remarks.is_empty(), "{remarks:?} of {menu:?}");
    }
    disk.check_steps();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each image is there for is reached without a change.
    #[test]
    fn every_image_is_what_it_is_for() {
        let of = |number: u8| {
            let disk = patches::disk(&BASES, &[number]);
            let report = check::of_disk(Box::new(Whole(disk.clone())), GUEST_MIB).expect("memory");
            (report, generate::of_disk(Box::new(Whole(disk))))
        };
        assert_eq!(of(0).0.verdict, check::Verdict::Boots);
        for (number, kind, title) in [
            (1, "BLS", "title B"),
            (2, "extlinux", "title A"),
            (3, "grub.cfg", "title A"),
        ] {
            let (report, menu) = of(number);
            assert_eq!(report.others.first().map(|other| other.kind), Some(kind));
            let menu = menu.unwrap_or_default();
            assert!(menu.contains(title), "{number}: {menu}");
        }
        let (report, _) = of(4);
        assert_eq!(report.verdict, check::Verdict::NotJudged);
        assert!(report.entries.last().is_some_and(|entry| entry.step.boots));
        for (number, count) in [(5, 1), (6, 2), (7, 1)] {
            assert_eq!(of(number).0.logicals.len(), count, "{number}");
        }
    }
}
