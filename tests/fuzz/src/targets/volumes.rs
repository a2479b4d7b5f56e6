//! Logical volumes and arrays: what `lvcreate` and `mdadm` made, as partitions of one disk, with bytes changed. Puts
//! together what is there, and reads, mounts and looks at all of it.
//!
//! The images come from a guest's disks of the scenarios `place-lvm-*`, `place-md-*` and `volumes-refused`.

use std::rc::Rc;
use std::sync::LazyLock;

use crc::{Algorithm, CRC_32_ISO_HDLC, Crc};
use fs::{BlockDevice, Candidate, DeviceName, ReadAhead, assemble, partitions};

use super::files;
use crate::Target;
use crate::disk::read_changed;
use crate::image::Image;
use crate::patches::{self, Base, Changes};

/// The cache of every volume holds 2 MiB, and a volume may have another one below it.
const HEAP_MIB: usize = 96;
/// Volumes that are read; an input can make thousands of names.
const LOOKED_AT: usize = 8;

macro_rules! target {
    ($target:ident, $images:ident, $name:literal, $about:literal, $repair:expr, [$($image:literal),+ $(,)?]) => {
        const $images: &[&[u8]] = &[$(include_bytes!(concat!("../../images/", $image, ".gz"))),+];

        pub(crate) const $target: Target = {
            static BASES: LazyLock<Vec<Base>> =
                LazyLock::new(|| patches::bases($images, &[Some($repair), None]));
            Target {
                name: $name,
                about: $about,
                longest: 256,
                heap_mib: HEAP_MIB,
                words: &[],
                seeds: || patches::seeds(&BASES),
                run: |input| attack(&BASES, input),
            }
        };
    };
}

target!(
    LVM,
    LVM_IMAGES,
    "lvm",
    "LVM's physical volumes with bytes changed: linear, striped, raid1, mirror, on an array, of kinds that are not read; checksums made right, or not",
    repair_lvm,
    [
        "lvm-linear",
        "lvm-striped",
        "lvm-raid1",
        "lvm-mirror",
        "lvm-on-md",
        "lvm-refused",
    ]
);
target!(
    MD,
    MD_IMAGES,
    "md",
    "members of RAID arrays with bytes changed: mirrors of all versions, linear, one half stale; checksums made right, or not",
    repair_md,
    [
        "md-0.90",
        "md-1.0",
        "md-1.1",
        "md-1.2",
        "md-linear",
        "md-stale"
    ]
);

fn attack(bases: &'static [Base], input: &[u8]) {
    let disk = patches::disk(bases, input);
    if disk.geometry().len_bytes == 0 {
        return;
    }
    let cache = Rc::new(ReadAhead::new(Rc::clone(&disk) as Rc<dyn BlockDevice>));
    let whole = DeviceName::Disk {
        disk: 0,
        partition: None,
    };
    if let Ok(table) = partitions(&cache) {
        let candidates = Candidate::all(&whole, &cache, &table);
        for candidate in &candidates {
            let _ = candidate.part_of();
        }
        let made = assemble(candidates);
        assert!(made.warnings.iter().all(|warning| !warning.is_empty()));
        for (at, one) in made.logicals.iter().enumerate() {
            let spelled = one.name.to_string();
            assert_eq!(
                DeviceName::parse(spelled.as_bytes()).as_ref(),
                Ok(&one.name),
                "no menu can name it"
            );
            assert!(
                made.logicals[..at]
                    .iter()
                    .all(|other| other.name != one.name),
                "{spelled} twice"
            );
        }
        for one in made.logicals.iter().take(LOOKED_AT) {
            match &one.volume {
                Ok(volume) => read(volume),
                Err(why) => assert!(!why.is_empty()),
            }
        }
    }
    disk.check_steps();
}

fn read(volume: &fs::Volume) {
    let len = volume.len_bytes();
    let mut bytes = vec![0; 200_000.min(usize::try_from(len).unwrap_or(usize::MAX))];
    let _ = volume.read_at(0, &mut bytes);
    let _ = volume.read_at(len - bytes.len() as u64, &mut bytes);
    assert!(
        volume.read_at(len, &mut [0]).is_err(),
        "read beyond the end"
    );
    volume.prefetch(0, u64::MAX);
    let _ = partitions(volume.disk());
    if let Ok(mounted) = fs::mount(volume) {
        files::look(mounted.as_ref());
    }
}

/// Partitions of the images begin and end at a multiple of this.
const ALIGNED: u64 = 1 << 20;

/// LVM's checksum: that of Ethernet with a beginning of its own and no end.
const LVM_CRC: Crc<u32> = Crc::<u32>::new(&Algorithm {
    init: 0xf597_a6cf_u32.reverse_bits(),
    xorout: 0,
    ..CRC_32_ISO_HDLC
});

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

/// Makes the sums of labels, headers of metadata areas and texts right.
fn repair_lvm(image: &Image, changes: &mut Changes) {
    const MAGIC: &[u8] = b"\x20LVM2\x20x[5A%r0N*>";
    const AREA_MAX: u64 = 4 << 20;
    for begin in (0..image.len_bytes()).step_by(ALIGNED as usize) {
        let mut label = vec![0; 512];
        read_changed(image, changes, begin + 512, &mut label);
        if label.starts_with(b"LABELONE") {
            let sum = LVM_CRC.checksum(&label[20..]);
            changes.push((begin + 528, sum.to_le_bytes().to_vec()));
        }
        let area = begin + 4096;
        let mut header = vec![0; 512];
        read_changed(image, changes, area, &mut header);
        if header[4..20] != *MAGIC {
            continue;
        }
        let (len, start, text_len) = (
            number(&header, 32).min(AREA_MAX),
            number(&header, 40),
            number(&header, 48),
        );
        if (512..len).contains(&start) && text_len <= len - 512 {
            let mut text = vec![0; text_len as usize];
            let straight = text_len.min(len - start) as usize;
            let (first, rest) = text.split_at_mut(straight);
            read_changed(image, changes, area + start, first);
            read_changed(image, changes, area + 512, rest);
            let sum = LVM_CRC.checksum(&text).to_le_bytes();
            header[56..60].copy_from_slice(&sum);
            changes.push((area + 56, sum.to_vec()));
        }
        let sum = LVM_CRC.checksum(&header[4..]);
        changes.push((area, sum.to_le_bytes().to_vec()));
    }
}

/// Makes the sums of superblocks right.
fn repair_md(image: &Image, changes: &mut Changes) {
    const MAGIC: [u8; 4] = 0xa92b_4efc_u32.to_le_bytes();
    for edge in (0..=image.len_bytes()).step_by(ALIGNED as usize) {
        let before = |bytes: u64| edge.checked_sub(bytes);
        for at in [Some(edge), Some(edge + 4096), before(8192), before(65536)] {
            let Some(at) = at else { continue };
            let mut raw = vec![0; 4096];
            read_changed(image, changes, at, &mut raw);
            if !raw.starts_with(&MAGIC) {
                continue;
            }
            let (len, sum_at) = match raw[4] {
                0 => (4096, 152),
                _ => (256 + 2 * (number(&raw, 220) & 0x7ff) as usize, 216),
            };
            if len > raw.len() {
                continue;
            }
            raw.truncate(len);
            raw[sum_at..sum_at + 4].fill(0);
            let total: u64 = raw
                .chunks(4)
                .map(|word| {
                    let mut whole = [0; 4];
                    whole[..word.len()].copy_from_slice(word);
                    u64::from(u32::from_le_bytes(whole))
                })
                .sum();
            let sum = ((total & 0xffff_ffff) + (total >> 32)) as u32;
            changes.push((at + sum_at as u64, sum.to_le_bytes().to_vec()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is changed is no heap of zeros: each image makes a volume whose menu can be read.
    #[test]
    fn the_images_are_sound() {
        for target in [LVM, MD] {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{}", target.name);
        }
        for packed in LVM_IMAGES.iter().chain(MD_IMAGES) {
            let base: &'static Base = Box::leak(Box::new(Base::unpack(packed)));
            let disk = patches::disk(std::slice::from_ref(base), &[]);
            let cache = Rc::new(ReadAhead::new(disk as Rc<dyn BlockDevice>));
            let whole = DeviceName::Disk {
                disk: 0,
                partition: None,
            };
            let table = partitions(&cache).unwrap();
            let made = assemble(Candidate::all(&whole, &cache, &table));
            let (read, refused): (Vec<_>, Vec<_>) =
                made.logicals.iter().partition(|one| one.volume.is_ok());
            let has_menu = |volume: &fs::Volume| {
                fs::mount(volume).is_ok_and(|files| files.open(b"/boot/menu").is_ok())
            };
            let volumes = read.iter().filter_map(|one| one.volume.as_ref().ok());
            assert_eq!(volumes.filter(|volume| has_menu(volume)).count(), 1);
            let said: Vec<_> = refused
                .iter()
                .filter_map(|one| one.volume.as_ref().err())
                .collect();
            if *packed == LVM_IMAGES[LVM_IMAGES.len() - 1] {
                for kind in [
                    "thin,",
                    "thin-pool,",
                    "cache,",
                    "raid5",
                    "raid0",
                    "snapshot",
                ] {
                    assert!(
                        said.iter().any(|why| why.contains(kind)),
                        "{kind}: {said:?}"
                    );
                }
            } else {
                assert!(said.is_empty(), "{said:?}");
            }
        }
    }
}
