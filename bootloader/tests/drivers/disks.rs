//! Finding, naming, opening and closing many disks.

use std::time::Duration;

use arch::fake::blkback::{DiskFault, FakeDisk};
use arch::fake::{FakeXen, HOME};
use bootloader::blkfront::Settings;
use bootloader::disks::Disks;
use fs::BlockDevice;

use crate::bed::{Bed, pattern, store};

fn bed(ids: &[u64]) -> (Bed, Disks) {
    let xen = FakeXen::new();
    for id in ids {
        let mut bytes = pattern(65536);
        bytes[..8].copy_from_slice(&id.to_le_bytes());
        xen.add_disk(FakeDisk::new(*id, bytes));
    }
    let store = store(&xen);
    let disks = Disks::discover(store.clone(), Settings::default()).unwrap();
    (Bed { xen, store }, disks)
}

#[test]
fn disks_are_numbered_by_device_number() {
    // As numbers, not as text: 5632 (hdc) comes before 51712, and an extended number last.
    let (bed, disks) = bed(&[51713, (1 << 28) | (26 << 8), 768, 51712, 5632]);
    bed.xen
        .set_store_value(&format!("{HOME}/device/vbd/nonsense/state"), "1");
    let names: Vec<_> = disks
        .list()
        .iter()
        .map(|vbd| (vbd.index, vbd.name.clone().unwrap(), vbd.partition))
        .collect();
    let expected = [
        (0, "hda", None),
        (1, "hdc", None),
        (2, "xvda", None),
        (3, "xvda1", Some(1)),
        (4, "xvdaa", None),
    ]
    .map(|(index, name, part)| (index, name.to_string(), part));
    assert_eq!(names, expected);
    bed.assert_clean();
}

#[test]
fn forty_disks_are_opened_and_closed() {
    let ids: Vec<u64> = (0..40).map(|disk| (1 << 28) | (disk << 8)).collect();
    let (bed, disks) = bed(&ids);
    assert_eq!(disks.list().len(), 40);
    for (index, id) in ids.iter().enumerate() {
        let disk = disks.open(index).unwrap();
        let mut out = [0; 512];
        disk.read(0, &mut out).unwrap();
        assert_eq!(out[..8], id.to_le_bytes());
    }
    assert!(disks.open(40).is_err());
    assert!(disks.close_all().is_empty());
    bed.assert_clean();
    // Again, after a boot that failed.
    disks.open(7).unwrap().read(0, &mut [0; 512]).unwrap();
    assert!(disks.close_all().is_empty());
    bed.assert_clean();
}

#[test]
fn nothing_is_connected_before_it_is_used() {
    let (bed, disks) = bed(&[51712, 51728]);
    assert_eq!(bed.xen.pages_in_use(), 0);
    disks.open(1).unwrap();
    assert_eq!(
        bed.xen
            .store_value(&format!("{HOME}/device/vbd/51712/state"))
            .as_deref(),
        Some("1")
    );
    assert!(disks.close_all().is_empty());
    bed.assert_clean();
}

#[test]
fn a_dead_disk_costs_its_wait_once_and_harms_no_other() {
    let (bed, disks) = bed(&[51712, 51728, 51744]);
    bed.xen.break_disk(51728, DiskFault::NeverConnects);
    let took = bed.elapsed(|| {
        for _ in 0..5 {
            let error = disks.open(1).err().unwrap();
            assert!(error.to_string().starts_with("hd1 (xvdb): "), "{error}");
        }
    });
    assert!(took < Duration::from_secs(12), "{took:?}");
    for index in [0, 2] {
        disks.open(index).unwrap().read(0, &mut [0; 512]).unwrap();
    }
    bed.xen.mend_disk(51728);
    disks.forget_failures();
    disks.open(1).unwrap().read(0, &mut [0; 512]).unwrap();
    assert!(disks.close_all().is_empty());
    bed.assert_clean();
}

#[test]
fn a_guest_without_disks_has_none() {
    let (bed, disks) = bed(&[]);
    assert!(disks.list().is_empty());
    let error = disks.open(0).err().unwrap();
    assert_eq!(error.to_string(), "hd0: this guest has 0 disks");
    bed.assert_clean();
}
