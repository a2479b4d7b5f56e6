//! LVM's volumes, sound, degraded and damaged; and arrays together with them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::rc::Rc;

use fs::{BlockDevice, BlockError, ReadAhead, Volume};
use images::volumes::{
    A, B, EXTENT, Md, PE_START, SHOWN, all, assembled, bytes, check, damage_text, dashed, data,
    disks, group, len_of, logical, name, physical, put, volume, why, write_text,
};
use images::{MemoryDisk, XorShift, whole};

const HIDDEN: &str = "\"READ\", \"WRITE\"";
const LEN: usize = len_of(32);

/// Two physical volumes of 32 extents with random bytes, and this text on both.
fn pair(text: &str) -> [Vec<u8>; 2] {
    [(A, 1), (B, 2)].map(|(uuid, seed)| {
        let mut image = physical(LEN, uuid, Some(text));
        let data = XorShift(seed).bytes(32 * EXTENT);
        put(&mut image, PE_START * 512, &data);
        image
    })
}

fn extent(image: &[u8], number: usize) -> &[u8] {
    &image[PE_START * 512 + number * EXTENT..][..EXTENT]
}

fn both(logical: &str) -> String {
    group("my-vg", 3, &[(A, ""), (B, "")], logical)
}

const LINEAR: &str = "type = \"striped\"\nstripe_count = 1\nstripes = [\n\"pv1\", 4\n]";

#[test]
fn linear_over_two_volumes() {
    let text = both(&logical(
        "ro-ot",
        SHOWN,
        &[
            (1, LINEAR),
            (
                2,
                "type = \"striped\"\nstripe_count = 1\nstripes = [\"pv0\", 0]",
            ),
            (
                1,
                "type = \"striped\"\nstripe_count = 1\nstripes = [\"pv1\", 0]",
            ),
        ],
    ));
    let images = pair(&text);
    let made = all(&images);
    let expected = [
        extent(&images[1], 4),
        extent(&images[0], 0),
        extent(&images[0], 1),
        extent(&images[1], 0),
    ]
    .concat();
    check(volume(&made, "(lvm/my--vg-ro--ot)"), &expected);
    assert_eq!(made.names(), "(lvm/my--vg-ro--ot)");
    assert_eq!(made.parts, [name("(hd0)"), name("(hd1)")]);
    assert_eq!(made.warnings, [""; 0]);
    // In the other order, and on disks of larger sectors than extents are aligned to.
    let turned = [images[1].clone(), images[0].clone()];
    check(volume(&all(&turned), "(lvm/my--vg-ro--ot)"), &expected);
    let large: Vec<_> = images
        .iter()
        .map(|image| MemoryDisk::new(image.clone(), 4096))
        .collect();
    check(volume(&assembled(&large), "(lvm/my--vg-ro--ot)"), &expected);
}

#[test]
fn large_reads_stay_large() {
    let segment = "type = \"striped\"\nstripes = [\"pv0\", 0]";
    let images = pair(&both(&logical("root", SHOWN, &[(30, segment)])));
    let disks = disks(&images);
    let made = assembled(&disks);
    let volume = volume(&made, "(lvm/my--vg-root)");
    volume.disk().forget();
    disks[0].reads.set(0);
    let mut out = vec![0; 29 * EXTENT];
    volume.read_at(0, &mut out).unwrap();
    assert_eq!(disks[0].reads.get(), 1);
    volume.prefetch(0, 1 << 20);
    assert_eq!(
        disks[0].hints.borrow().last(),
        Some(&(PE_START as u64 * 512, 1 << 20))
    );
}

#[test]
fn striped() {
    for (sectors, stripes) in [(8usize, 2usize), (128, 2), (64, 2)] {
        let segment = format!(
            "type = \"striped\"\nstripe_count = {stripes}\nstripe_size = {sectors}\nstripes = [\"pv0\", 1, \"pv1\", 2]"
        );
        let images = pair(&both(&logical("s", SHOWN, &[(6, &segment), (1, LINEAR)])));
        let made = all(&images);
        let sources = [
            &images[0][PE_START * 512 + EXTENT..][..3 * EXTENT],
            &images[1][PE_START * 512 + 2 * EXTENT..][..3 * EXTENT],
        ];
        let stripe = sectors * 512;
        let mut expected: Vec<u8> = (0..6 * EXTENT / stripe)
            .flat_map(|number| &sources[number % 2][number / 2 * stripe..][..stripe])
            .copied()
            .collect();
        expected.extend_from_slice(extent(&images[1], 4));
        check(volume(&made, "(lvm/my--vg-s)"), &expected);
    }
}

/// raid1 over two legs of 2 extents, with their metadata in extents 0 and 1 of the two volumes.
fn raid_text(flags: &str) -> String {
    let leg =
        |pv: u32, extent: u32| format!("type = \"striped\"\nstripes = [\"pv{pv}\", {extent}]");
    let raid = "type = \"raid1\"\ndevice_count = 2\nregion_size = 1024\nraids = [\"r_rmeta_0\", \"r_rimage_0\", \"r_rmeta_1\", \"r_rimage_1\"]";
    let volumes = [
        logical("r", SHOWN, &[(2, raid)]),
        logical("r_rmeta_0", HIDDEN, &[(1, &leg(0, 0))]),
        logical("r_rmeta_1", HIDDEN, &[(1, &leg(1, 0))]),
        logical("r_rimage_0", HIDDEN, &[(2, &leg(0, 1))]),
        logical("r_rimage_1", HIDDEN, &[(2, &leg(1, 1))]),
    ];
    group("vg", 3, &[(A, ""), (B, flags)], &volumes.concat())
}

/// dm-raid's superblock at the beginning of extent 0.
fn raid_superblock(image: &mut [u8], position: u32, events: u64, recovered: u64, failed: u64) {
    let at = PE_START * 512;
    put(image, at, &[0; 64]);
    put(image, at, b"DmRd");
    put(image, at + 8, &2u32.to_le_bytes());
    put(image, at + 12, &position.to_le_bytes());
    put(image, at + 16, &events.to_le_bytes());
    put(image, at + 24, &failed.to_le_bytes());
    put(image, at + 32, &recovered.to_le_bytes());
}

const SYNC: u64 = u64::MAX;

/// Which leg is read, by its bytes; the legs differ.
fn leg_read(images: &[Vec<u8>; 2], given: &[usize]) -> Result<usize, String> {
    let some: Vec<_> = given.iter().map(|&number| images[number].clone()).collect();
    let made = all(&some);
    let found = made.get(&name("(lvm/vg-r)")).unwrap();
    let got = bytes(found.volume.as_ref().map_err(Clone::clone)?);
    let legs = [0, 1].map(|leg| [extent(&images[leg], 1), extent(&images[leg], 2)].concat());
    Ok(legs.iter().position(|leg| *leg == got).unwrap())
}

#[test]
fn raid1_reads_a_leg_in_sync() {
    type Leg = (u64, u64, u64);
    let cases: &[(Leg, Leg, Result<usize, &str>)] = &[
        ((5, SYNC, 0), (5, SYNC, 0), Ok(0)),
        ((4, SYNC, 0), (5, SYNC, 0), Ok(1)),
        ((5, 2048, 0), (5, SYNC, 0), Ok(1)),
        ((5, SYNC, 1), (5, SYNC, 1), Ok(1)),
        ((5, SYNC, 2), (5, SYNC, 2), Ok(0)),
        ((5, 0, 0), (5, 0, 0), Err("it is not in sync")),
        ((4, SYNC, 0), (5, SYNC, 2), Err("it is not in sync")),
    ];
    for (first, second, expected) in cases {
        let mut images = pair(&raid_text(""));
        raid_superblock(&mut images[0], 0, first.0, first.1, first.2);
        raid_superblock(&mut images[1], 1, second.0, second.1, second.2);
        let got = leg_read(&images, &[0, 1]);
        assert_eq!(got, expected.map_err(String::from), "{first:?} {second:?}");
    }
}

#[test]
fn raid1_with_a_leg_missing() {
    let mut images = pair(&raid_text(""));
    raid_superblock(&mut images[0], 0, 5, SYNC, 0);
    raid_superblock(&mut images[1], 1, 5, SYNC, 0);
    assert_eq!(leg_read(&images, &[1]), Ok(1));
    assert_eq!(leg_read(&images, &[0]), Ok(0));
    let made = all(&images[1..]);
    let about = &made.get(&name("(lvm/vg-r)")).unwrap().about;
    let missing = format!("physical volume {} is missing (it was /dev/sd0)", dashed(A));
    assert_eq!(*about, format!("LVM volume; leg 0 is left out: {missing}"));
    // A volume that was away while the group changed is there again, with old data.
    let mut images = pair(&raid_text("\"MISSING\""));
    raid_superblock(&mut images[0], 0, 5, SYNC, 0);
    raid_superblock(&mut images[1], 1, 5, SYNC, 0);
    assert_eq!(leg_read(&images, &[1, 0]), Ok(0));
    assert_eq!(leg_read(&images, &[1]).unwrap_err(), missing);
}

#[test]
fn raid1_that_was_never_active_has_its_data_on_the_first_leg() {
    let mut images = pair(&raid_text(""));
    for image in &mut images {
        put(image, PE_START * 512, &[0; 512]);
    }
    assert_eq!(leg_read(&images, &[0, 1]), Ok(0));
}

#[test]
fn a_leg_that_cannot_be_read_gives_way_to_the_other() {
    let mut images = pair(&raid_text(""));
    raid_superblock(&mut images[0], 0, 5, SYNC, 0);
    raid_superblock(&mut images[1], 1, 5, SYNC, 0);
    let disks = disks(&images);
    let made = assembled(&disks);
    let found = volume(&made, "(lvm/vg-r)");
    found.disk().forget();
    disks[0].budget.set(0);
    let expected = [extent(&images[1], 1), extent(&images[1], 2)].concat();
    assert!(bytes(found) == expected);
    disks[1].budget.set(0);
    let nothing_held = Volume::whole(Rc::new(ReadAhead::new(found.disk().device().clone())));
    let error = nothing_held.read_at(0, &mut vec![0; 1 << 17]).unwrap_err();
    assert_eq!(error, BlockError::Timeout("budget used up".into()));
}

#[test]
fn old_mirrors_and_moves() {
    let segment = "type = \"mirror\"\nmirror_count = 2\nmirrors = [\"pv0\", 1, \"pv1\", 7]";
    let moved = "type = \"striped\"\nstripes = [\"pvmove0\", 0]";
    let volumes = [
        logical("m", SHOWN, &[(1, segment)]),
        logical("pvmove0", HIDDEN, &[(1, segment)]),
        logical("on", SHOWN, &[(1, moved), (1, LINEAR)]),
    ];
    let images = pair(&both(&volumes.concat()));
    let made = all(&images);
    check(volume(&made, "(lvm/my--vg-m)"), extent(&images[0], 1));
    let expected = [extent(&images[0], 1), extent(&images[1], 4)].concat();
    check(volume(&made, "(lvm/my--vg-on)"), &expected);
    // The first leg's volume is gone.
    let made = all(&images[1..]);
    check(volume(&made, "(lvm/my--vg-m)"), extent(&images[1], 7));
}

#[test]
fn what_cannot_be_read_keeps_its_name() {
    let circle = |other: &str| format!("type = \"striped\"\nstripes = [\"{other}\", 0]");
    let volumes = [
        logical(
            "thin",
            SHOWN,
            &[(1, "type = \"thin\"\nthin_pool = \"pool\"")],
        ),
        logical(
            "far",
            SHOWN,
            &[(1, "type = \"striped\"\nstripes = [\"pv0\", 999999]")],
        ),
        logical(
            "lost",
            SHOWN,
            &[(1, "type = \"striped\"\nstripes = [\"nothing\", 0]")],
        ),
        logical("egg", SHOWN, &[(1, &circle("hen"))]),
        logical("hen", HIDDEN, &[(1, &circle("egg"))]),
        logical("origin", SHOWN, &[(1, LINEAR)]),
        // As LVM writes it: the one that users see is hidden in the text, and the other way round.
        logical("snap", HIDDEN, &[(1, LINEAR)]),
        logical(
            "snapshot0",
            SHOWN,
            &[(
                1,
                "type = \"snapshot\"\norigin = \"origin\"\ncow_store = \"snap\"",
            )],
        ),
        logical("empty", SHOWN, &[]),
        logical("gap", SHOWN, &[(1, "start_extent = 5")]),
    ];
    let made = all(&pair(&both(&volumes.concat())));
    let expected = [
        (
            "thin",
            "it is of type thin, which pv-grub does not read; linear, striped, mirror and raid1 it does",
        ),
        ("far", "its extents lie beyond a volume's end"),
        ("lost", "there is no volume nothing"),
        ("egg", "volumes lie on each other in a circle"),
        (
            "snap",
            "it is a snapshot of origin, which pv-grub does not read; origin it does",
        ),
        ("empty", "segments are missing in its description"),
        (
            "gap",
            "it is of type , which pv-grub does not read; linear, striped, mirror and raid1 it does",
        ),
    ];
    for (own, reason) in expected {
        assert_eq!(why(&made, &format!("(lvm/my--vg-{own})")), reason, "{own}");
    }
    for hidden in ["hen", "snapshot0"] {
        let hidden = format!("(lvm/my--vg-{hidden})");
        assert!(made.get(&name(&hidden)).is_none(), "{hidden}");
    }
    let origin = volume(&made, "(lvm/my--vg-origin)");
    assert_eq!(origin.len_bytes(), EXTENT as u64);
    let error = origin.overwrite(0, b"x").unwrap_err();
    assert_eq!(error, BlockError::ReadOnly("it has snapshots".into()));
    let half = all(&pair(&both(&logical("l", SHOWN, &[(1, LINEAR)])))[..1]);
    let missing = format!("physical volume {} is missing (it was /dev/sd1)", dashed(B));
    assert_eq!(why(&half, "(lvm/my--vg-l)"), missing);
}

#[test]
fn the_newest_text_counts_and_damaged_ones_do_not() {
    let at = |extent: u32| format!("type = \"striped\"\nstripes = [\"pv0\", {extent}]");
    let text = |seqno, extent| {
        let volume = logical("root", SHOWN, &[(1, &at(extent))]);
        group("my-vg", seqno, &[(A, ""), (B, "")], &volume)
    };
    let mut images = pair(&text(3, 0));
    write_text(&mut images[1], &text(4, 1));
    check(
        volume(&all(&images), "(lvm/my--vg-root)"),
        extent(&images[0], 1),
    );
    damage_text(&mut images[1]);
    let made = all(&images);
    check(volume(&made, "(lvm/my--vg-root)"), extent(&images[0], 0));
    assert_eq!(
        made.warnings,
        ["(hd1): LVM: a metadata text's checksum is wrong"]
    );
    // A volume without an area of its own.
    images[1] = physical(LEN, B, None);
    check(
        volume(&all(&images), "(lvm/my--vg-root)"),
        extent(&images[0], 0),
    );
    // A label whose sum is wrong is none.
    images[0][600] ^= 1;
    assert_eq!(all(&images).names(), "");
}

#[test]
fn writes_go_through_where_each_byte_is_in_one_place() {
    let linear = logical("l", SHOWN, &[(1, LINEAR)]);
    let fixed = logical("fixed", "\"READ\", \"VISIBLE\"", &[(1, LINEAR)]);
    let mirror = "type = \"mirror\"\nmirrors = [\"pv0\", 1, \"pv1\", 7]";
    let mirror = logical("m", SHOWN, &[(1, mirror)]);
    let disks = disks(&pair(&both(&[linear, fixed, mirror].concat())));
    let made = assembled(&disks);
    volume(&made, "(lvm/my--vg-l)")
        .overwrite(1000, b"new")
        .unwrap();
    let at = PE_START * 512 + 4 * EXTENT + 1000;
    assert_eq!(disks[1].bytes()[at..at + 3], *b"new");
    for (own, reason) in [
        ("fixed", "it is marked read-only"),
        ("m", "it is a mirror, whose halves would differ"),
    ] {
        let volume = volume(&made, &format!("(lvm/my--vg-{own})"));
        let error = volume.overwrite(1000, b"other").unwrap_err();
        assert_eq!(error, BlockError::ReadOnly(reason.into()));
    }
    assert_eq!(disks[0].writes.get() + disks[1].writes.get(), 1);
}

#[test]
fn groups_on_arrays_and_arrays_of_the_same_name() {
    let text = group(
        "vg",
        1,
        &[(A, "")],
        &logical(
            "r",
            SHOWN,
            &[(1, "type = \"striped\"\nstripes = [\"pv0\", 1]")],
        ),
    );
    let mut inner = physical(512 << 10, A, Some(&text));
    let bytes = XorShift(9).bytes(EXTENT);
    put(&mut inner, PE_START * 512 + EXTENT, &bytes);
    // The members' own beginnings look like physical volumes, too.
    let mut md = Md::mirror(0, 0);
    md.used = inner.len() as u64;
    let member = md.member(1 << 20, &inner);
    let mut other = Md::mirror(2, 0);
    other.array = 2;
    let made = all(&[member, other.member(1 << 20, &data(3))]);
    check(volume(&made, "(lvm/vg-r)"), &bytes);
    assert_eq!(made.names(), "(md/root) (md/root_1) (lvm/vg-r)");
}

#[test]
fn parts_are_named_when_they_are_mounted() {
    let image = physical(LEN, A, Some("x"));
    let error = fs::mount(&whole(&MemoryDisk::new(image, 512))).err();
    let text = error.unwrap().to_string();
    assert!(text.contains("(lvm/GROUP-VOLUME)"), "{text}");
}

/// Whatever the metadata hold, putting things together and reading them ends.
#[test]
fn changed_at_random() {
    let mut images = [A, B]
        .map(|uuid| physical(len_of(4), uuid, Some(&raid_text(""))))
        .to_vec();
    raid_superblock(&mut images[0], 0, 5, SYNC, 0);
    raid_superblock(&mut images[1], 1, 5, SYNC, 0);
    for version in [90, 0, 1, 2] {
        let mut md = Md::mirror(version, 0);
        md.name = "3";
        md.array = version as u8;
        images.push(md.member(512 << 10, &data(1)));
    }
    let places: Vec<Vec<usize>> = images
        .iter()
        .map(|image| {
            let about_itself = |at: &usize| *at < 72 << 10 || *at >= 320 << 10;
            let all = (0..image.len()).filter(about_itself);
            all.filter(|&at| image[at] != 0).collect()
        })
        .collect();
    let mut random = XorShift(77);
    for round in 0..1000 {
        let mut changed = images.clone();
        for _ in 0..=random.below(4) {
            let which = random.below(changed.len());
            let image = &mut changed[which];
            let at = places[which][random.below(places[which].len())];
            image[at] = match random.below(3) {
                0 => random.next() as u8,
                1 => 0xff,
                _ => b'0' + random.below(10) as u8,
            };
        }
        // With right sums the changes come further.
        if round % 2 == 0 {
            for image in &mut changed[..2] {
                resum(image);
            }
        }
        let disks = disks(&changed);
        for disk in &disks {
            disk.budget.set(2000);
        }
        let made = assembled(&disks);
        for logical in &made.logicals {
            if let Ok(volume) = &logical.volume {
                let mut out = vec![0; 70_000];
                let _ = volume.read_at(0, &mut out);
                let _ = volume.read_at(volume.len_bytes().saturating_sub(9), &mut out[..9]);
                volume.prefetch(0, u64::MAX);
                let _ = fs::mount(volume);
            }
        }
    }
}

/// Makes the checksums of label, header and text right again, where the header still says where the text is.
fn resum(image: &mut [u8]) {
    use images::volumes::lvm_crc;
    let number =
        |image: &[u8], at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
    let (start, len) = (number(image, 4136), number(image, 4144));
    if (512..65536).contains(&start) && len <= 65024 {
        let (start, len) = (start as usize, len as usize);
        let straight = len.min(65536 - start);
        let mut text = image[4096 + start..][..straight].to_vec();
        text.extend_from_slice(&image[4096 + 512..][..len - straight]);
        let sum = lvm_crc(&text);
        put(image, 4096 + 56, &sum.to_le_bytes());
    }
    let sum = lvm_crc(&image[4100..4608]);
    put(image, 4096, &sum.to_le_bytes());
    let sum = lvm_crc(&image[532..1024]);
    put(image, 528, &sum.to_le_bytes());
}

/// The read-ahead layer of a composed device takes a device like any other.
#[test]
fn a_composed_device_is_a_device() {
    let images = pair(&both(&logical("l", SHOWN, &[(1, LINEAR)])));
    let made = all(&images);
    let device: Rc<dyn BlockDevice> = volume(&made, "(lvm/my--vg-l)").disk().device().clone();
    assert_eq!(device.geometry().len_bytes, EXTENT as u64);
    assert!(device.read(EXTENT as u64, &mut [0; 512]).is_err());
    let again = Volume::whole(Rc::new(ReadAhead::new(device)));
    check(&again, extent(&images[1], 4));
}
