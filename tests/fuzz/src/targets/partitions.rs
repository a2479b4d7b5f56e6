//! Partition tables: an MBR with a chain of logical partitions and a GPT, with bytes changed.

use std::rc::Rc;
use std::sync::LazyLock;

use fs::{BlockDevice, ReadAhead, Volume, partitions};

use super::tables;
use crate::Target;
use crate::patches::{self, Base};

pub(crate) const TARGET: Target = Target {
    name: "partitions",
    about: "MBR, chains of logical partitions and GPT with bytes changed, checksums made right",
    longest: 256,
    heap_mib: 32,
    words: &[],
    seeds: || patches::seeds(&BASES),
    run,
};

static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    vec![
        Base::new(tables::mbr(), 512),
        Base::new(tables::gpt(512), 512).repaired(Some(tables::repair_512)),
        Base::new(tables::gpt(4096), 4096).repaired(Some(tables::repair_4096)),
        Base::new(tables::gpt(512), 512),
    ]
});

fn run(input: &[u8]) {
    let disk = patches::disk(&BASES, input);
    let len = disk.geometry().len_bytes;
    if len == 0 {
        return;
    }
    let cache = Rc::new(ReadAhead::new(Rc::clone(&disk) as Rc<dyn BlockDevice>));
    match partitions(&cache) {
        Ok(table) => {
            assert!(
                table.partitions.is_sorted_by_key(|one| one.number),
                "partitions out of order"
            );
            for one in &table.partitions {
                // One that lies beyond the disk is listed, with nothing in it.
                let end = one.start.checked_add(one.len);
                assert!(
                    one.len == 0 || end.is_some_and(|end| end <= len),
                    "partition {one:?} leaves the disk of {len} bytes"
                );
                assert!(!one.kind.to_string().is_empty());
                if one.len > 0 {
                    let volume = Volume::partition(Rc::clone(&cache), one);
                    let _ = volume.read_at(one.len - 1, &mut [0]);
                    assert!(volume.read_at(one.len, &mut [0]).is_err());
                }
            }
            for one in table.partitions.iter().take(4) {
                let _ = fs::mount(&Volume::partition(Rc::clone(&cache), one)).map(|_| ());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    disk.check_steps();
}
