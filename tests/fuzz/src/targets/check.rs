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
    about: "pvgrub check and generate: a guest's disk with bytes changed, menu and grub.cfg among them",
    longest: 256,
    heap_mib: 96,
    words: &[],
    seeds: || patches::seeds(&BASES),
    run,
};

static BASES: LazyLock<Vec<Base>> =
    LazyLock::new(|| vec![Base::unpack(include_bytes!("../../images/guest.gz"))]);

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
        assert_eq!(boots, report.boot.last().is_some_and(|last| last.boots));
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
