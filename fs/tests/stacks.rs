//! Arrays and groups on each other, and parts that are not what they seem.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use images::volumes::{
    A, B, EXTENT, Md, PE_START, SHOWN, all, check, data, group, len_of, logical, name, physical,
    put, volume, why, write_text,
};
use images::{MemoryDisk, XorShift};

const FIRST: &str = "type = \"striped\"\nstripes = [\"pv0\", 0]";

/// A table with these partitions: number from 0, first byte, length.
fn partitioned(image: &mut [u8], partitions: &[(usize, usize)]) {
    for (number, (start, len)) in partitions.iter().enumerate() {
        let at = 446 + 16 * number;
        put(image, at + 4, &[0x83]);
        put(image, at + 8, &((start / 512) as u32).to_le_bytes());
        put(image, at + 12, &((len / 512) as u32).to_le_bytes());
    }
    put(image, 510, &[0x55, 0xaa]);
}

/// A physical volume with a group `vg`, whose volume `root` has these bytes.
fn with_root(uuid: &str, seqno: u32, bytes: &[u8]) -> Vec<u8> {
    let extents = bytes.len() / EXTENT;
    let root = logical("root", SHOWN, &[(extents as u32, FIRST)]);
    let text = group("vg", seqno, &[(uuid, "")], &root);
    let mut image = physical(len_of(extents), uuid, Some(&text));
    put(&mut image, PE_START * 512, bytes);
    image
}

/// A mirror of version `version` around `inner`.
fn around(inner: &[u8], version: u32, role: u16) -> Md {
    let mut md = Md::mirror(version, role);
    md.name = if version == 90 { "0" } else { "outer" };
    md.used = inner.len() as u64;
    md
}

fn parts(made: &fs::Assembly) -> String {
    let names: Vec<String> = made.parts.iter().map(ToString::to_string).collect();
    names.join(" ")
}

/// Seen through a half that was left behind, partitions and what is on them are old.
#[test]
fn partitions_within_an_array_are_the_array_s() {
    for version in [90, 0] {
        let halves = [(0, 16), (1, 17)].map(|(role, events)| {
            let own = with_root(A, 1, &XorShift(events).bytes(2 * EXTENT));
            let mut disk = vec![0; (1 << 16) + own.len()];
            put(&mut disk, 1 << 16, &own);
            partitioned(&mut disk, &[(1 << 16, own.len())]);
            let mut md = around(&disk, version, role);
            md.events = events;
            md.member(1 << 20, &disk)
        });
        let made = all(&halves);
        let array = if version == 90 {
            "(md/0)"
        } else {
            "(md/outer)"
        };
        assert_eq!(made.names(), format!("{array} (lvm/vg-root)"));
        assert_eq!(made.parts.len(), 5, "{}", parts(&made));
        check(
            volume(&made, "(lvm/vg-root)"),
            &XorShift(17).bytes(2 * EXTENT),
        );
    }
}

/// The superblock of a last partition may be taken for the disk's.
#[test]
fn the_last_partition_s_superblock_is_not_the_disk_s() {
    let member = Md {
        name: "4",
        ..Md::mirror(90, 0)
    }
    .member(512 << 10, &data(5));
    let mut disk = vec![0; 1 << 20];
    put(&mut disk, 512 << 10, &member);
    partitioned(&mut disk, &[(64 << 10, 64 << 10), (512 << 10, 512 << 10)]);
    let made = all(&[disk]);
    assert_eq!(parts(&made), "(hd0,1)");
    check(volume(&made, "(md/4)"), &data(5));
}

/// Labels and superblocks outlive what they were for, where a disk was given partitions.
#[test]
fn what_is_left_over_is_no_part() {
    let lvm = with_root(A, 1, &[7; EXTENT]);
    let small = Md::mirror(2, 0);
    let old = Md {
        used: 128 << 10,
        ..Md::mirror(0, 0)
    };
    for mut disk in [lvm, small.member(1 << 20, &[]), old.member(1 << 20, &[])] {
        assert_eq!(parts(&all(std::slice::from_ref(&disk))), "(hd0)");
        partitioned(&mut disk, &[(96 << 10, 64 << 10)]);
        let made = all(&[disk]);
        assert_eq!((parts(&made), made.names()), Default::default());
    }
}

#[test]
fn a_copy_of_a_disk_is_left_aside() {
    let disk = with_root(A, 1, &XorShift(3).bytes(2 * EXTENT));
    // The copy went on by itself: its volume is elsewhere.
    let mut copy = disk.clone();
    let root = logical(
        "root",
        SHOWN,
        &[(1, "type = \"striped\"\nstripes = [\"pv0\", 1]")],
    );
    write_text(&mut copy, &group("vg", 5, &[(A, "")], &root));
    let made = all(&[disk.clone(), copy.clone()]);
    check(
        volume(&made, "(lvm/vg-root)"),
        &XorShift(3).bytes(2 * EXTENT),
    );
    assert_eq!(
        made.warnings,
        ["(hd1): LVM: a copy of the physical volume (hd0), left aside"]
    );
    let made = all(&[copy, disk]);
    assert_eq!(volume(&made, "(lvm/vg-root)").len_bytes(), EXTENT as u64);
}

/// Both halves went on alone, and have the same count: one of them is the array, for every read.
#[test]
fn halves_that_do_not_know_each_other() {
    for version in [90, 0, 2] {
        let halves = [0, 1].map(|role| {
            let mut md = around(&data(1), version, role);
            md.other = Some(0xfffe);
            md.member(1 << 20, &data(u64::from(role) + 1))
        });
        let array = if version == 90 {
            "(md/0)"
        } else {
            "(md/outer)"
        };
        let made = all(&halves);
        check(volume(&made, array), &data(1));
        assert_eq!(
            made.get(&name(array)).unwrap().about,
            "RAID 1, 1 of 2 members"
        );
        check(volume(&all(&halves[1..]), array), &data(2));
    }
}

/// A linear array over two mirrors.
#[test]
fn arrays_on_arrays() {
    let disks: Vec<Vec<u8>> = (0..4u16)
        .map(|number| {
            let mut inner = Md::mirror(0, number / 2);
            inner.level = -1;
            inner.array = 9;
            inner.name = "whole";
            inner.used = 128 << 10;
            let inner = inner.member(256 << 10, &data(u64::from(number / 2))[..128 << 10]);
            let mut outer = around(&inner, 2, number % 2);
            outer.array = 1 + (number / 2) as u8;
            outer.member(1 << 20, &inner)
        })
        .collect();
    let made = all(&disks);
    assert_eq!(made.names(), "(md/outer) (md/outer_1) (md/whole)");
    let expected = [&data(0)[..128 << 10], &data(1)[..128 << 10]].concat();
    check(volume(&made, "(md/whole)"), &expected);
    let made = all(&disks[..2]);
    assert_eq!(why(&made, "(md/whole)"), "member 1 of 2 is missing");
}

/// What is inside a volume is found, and takes nothing over that is outside.
#[test]
fn volumes_within_volumes() {
    let secret = XorShift(8).bytes(EXTENT);
    let mut group_on_array = with_root(B, 9, &secret);
    group_on_array.resize(group_on_array.len() + EXTENT, 0);
    // The text of the inner group has a name and an identifier of its own.
    let text = group(
        "inner",
        2,
        &[(B, "")],
        &logical("root", SHOWN, &[(1, FIRST)]),
    );
    write_text(&mut group_on_array, &text);
    let array = around(&group_on_array, 2, 0);
    let array = Md {
        array: 3,
        name: "inside",
        ..array
    }
    .member(len_of(8), &group_on_array);
    let made = all(&[in_a_volume(&array)]);
    check(volume(&made, "(md/inside)"), &group_on_array);
    assert_eq!(made.names(), "(lvm/vg-root) (md/inside) (lvm/inner-root)");
    check(volume(&made, "(lvm/inner-root)"), &secret);
    // On a partition of the volume.
    let mut disk = vec![0; 2 * EXTENT];
    let at = disk.len();
    disk.extend_from_slice(&array);
    partitioned(&mut disk, &[(at, array.len())]);
    let made = all(&[in_a_volume(&disk)]);
    assert_eq!(made.names(), "(lvm/vg-root) (md/inside) (lvm/inner-root)");
    assert_eq!(parts(&made), "(hd0) (lvm/vg-root,0) (md/inside)");
}

/// A logical volume `(lvm/vg-root)` that holds `bytes`.
fn in_a_volume(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(EXTENT), 0);
    with_root(A, 1, &bytes)
}

#[test]
fn what_is_inside_takes_nothing_over() {
    // A physical volume of the same group, and newer.
    let impostor = with_root(A, 99, &[6; EXTENT]);
    let made = all(&[in_a_volume(&impostor)]);
    assert_eq!(made.names(), "(lvm/vg-root)");
    check(volume(&made, "(lvm/vg-root)"), &{
        let mut padded = impostor.clone();
        padded.resize(padded.len().next_multiple_of(EXTENT), 0);
        padded
    });
    // The same on an array.
    let member = around(&impostor, 2, 0).member(1 << 20, &impostor);
    let made = all(&[in_a_volume(&member)]);
    assert_eq!(made.names(), "(lvm/vg-root) (md/outer)");
    // A member of the array that the group is on, and newer.
    let mut evil = around(&data(1), 2, 0);
    evil.events = 1000;
    let inner = in_a_volume(&evil.member(1 << 20, &data(1)));
    let outer = around(&inner, 2, 1).member(4 << 20, &inner);
    let made = all(&[outer]);
    assert_eq!(made.names(), "(md/outer) (lvm/vg-root)");
    check(volume(&made, "(md/outer)"), &inner);
}

/// Layer upon layer ends.
#[test]
fn depth_is_bounded() {
    let mut inner = data(1);
    for depth in 0..8u8 {
        let md = Md {
            array: depth,
            ..around(&inner, 2, 0)
        };
        let len = inner.len() + (1 << 20);
        inner = md.member(len, &inner);
    }
    let made = all(&[inner]);
    assert_eq!(made.logicals.len(), 3);
}

#[test]
fn names_that_no_menu_could_spell() {
    let odd = Md {
        name: "host:a b,(c)=\u{e4}",
        ..Md::mirror(2, 0)
    };
    let made = all(&[odd.member(1 << 20, &data(1))]);
    assert_eq!(made.names(), "(md/a_b__c____)");
    check(volume(&made, "(md/a_b__c____)"), &data(1));
}

/// What a half says when it is looked at by itself.
#[test]
fn a_part_says_what_it_is_of() {
    let disk = images::whole(&MemoryDisk::new(
        Md::mirror(0, 0).member(1 << 20, &data(1)),
        512,
    ));
    let table = fs::partitions(disk.disk()).unwrap();
    let candidates = fs::Candidate::all(&name("(hd0)"), disk.disk(), &table);
    let said = candidates[0].part_of().unwrap().unwrap();
    assert_eq!(said, "a member of the RAID array (md/root)");
}
