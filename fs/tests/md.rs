//! md's arrays, sound, degraded and damaged.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use fs::FsError;
use images::volumes::{Md, all, check, data, name, volume, why};
use images::{MemoryDisk, whole};

#[test]
fn md_mirrors_of_all_versions() {
    for (version, own) in [(90, "7"), (0, "host:root"), (1, "root"), (2, "a:root")] {
        let members = [0, 1].map(|role| {
            let mut md = Md::mirror(version, role);
            md.name = own;
            md.member(1 << 20, &data(u64::from(role) + 1))
        });
        let text = if version == 90 { "(md/7)" } else { "(md/root)" };
        for (given, first) in [(&members[..], 1), (&members[1..], 2)] {
            let made = all(given);
            check(volume(&made, text), &data(first));
            let about = &made.get(&name(text)).unwrap().about;
            assert_eq!(*about, format!("RAID 1, {} of 2 members", given.len()));
        }
        let turned = [members[1].clone(), members[0].clone()];
        check(volume(&all(&turned), text), &data(1));
        // Any change of the superblock makes it none.
        let mut damaged = members.clone();
        damaged[0][Md::mirror(version, 0).place(1 << 20) + 160] ^= 4;
        check(volume(&all(&damaged), text), &data(2));
    }
}

#[test]
fn md_names_that_no_menu_can_spell() {
    for (own, spelled) in [
        ("a b", "(md/a_b)"),
        ("x,(1)=2", "(md/x__1__2)"),
        ("bob's", "(md/bob_s)"),
        ("\"back\\slash\"", "(md/_back_slash_)"),
        ("host:größe", "(md/gr____e)"),
        ("", "(md/127)"),
    ] {
        let mut md = Md::mirror(2, 0);
        md.name = own;
        let made = all(&[md.member(1 << 20, &data(1))]);
        check(volume(&made, spelled), &data(1));
        assert_eq!(made.logicals[0].name.to_string(), spelled);
    }
}

/// What is different about a member.
type Change<'a> = &'a dyn Fn(&mut Md);

#[test]
fn md_members_that_do_not_count() {
    let one = |change: Change<'_>| {
        let mut md = Md::mirror(2, 0);
        change(&mut md);
        let first = md.member(1 << 20, &data(1));
        let second = Md::mirror(2, 1).member(1 << 20, &data(2));
        (all(&[first.clone(), second]), all(&[first]))
    };
    let cases: &[(Change<'_>, &str)] = &[
        (&|md| md.features = 2, "(hd0) is being rebuilt"),
        (&|md| md.features = 16, "(hd0) is being rebuilt"),
        (&|md| md.features = 8, "(hd0) has bad blocks"),
        (&|md| md.role = 0xfffe, "(hd0) is marked faulty"),
        (&|md| md.role = 0xffff, "(hd0) is a spare"),
        (&|md| md.used = 1 << 30, "(hd0) is too short"),
    ];
    for (change, reason) in cases {
        let (both, alone) = one(*change);
        if !reason.contains("short") {
            check(volume(&both, "(md/root)"), &data(2));
        }
        let expected = format!("no member is in sync; {reason}");
        assert_eq!(why(&alone, "(md/root)"), expected);
    }
    // Left behind: what it holds is old.
    let (both, alone) = one(&|md| md.events = 16);
    check(volume(&both, "(md/root)"), &data(2));
    check(volume(&alone, "(md/root)"), &data(1));
    let (reshaped, _) = one(&|md| {
        md.features = 4;
        md.events = 18;
    });
    assert_eq!(why(&reshaped, "(md/root)"), "it is being reshaped");
    let (other, _) = one(&|md| {
        md.level = 5;
        md.events = 18;
    });
    let expected = "it is RAID 5, which pv-grub does not read; RAID 1 and linear it does";
    assert_eq!(why(&other, "(md/root)"), expected);
}

#[test]
fn md_linear() {
    let member = |role, seed| {
        let mut md = Md::mirror(2, role);
        md.level = -1;
        md.events += u64::from(role);
        md.member(1 << 20, &data(seed))
    };
    let members = [member(1, 2), member(0, 1)];
    check(
        volume(&all(&members), "(md/root)"),
        &[data(1), data(2)].concat(),
    );
    assert_eq!(
        why(&all(&members[..1]), "(md/root)"),
        "member 0 of 2 is missing"
    );
}

#[test]
fn members_are_named_when_they_are_mounted() {
    let part = |image: Vec<u8>| fs::mount(&whole(&MemoryDisk::new(image, 512))).err();
    let md = FsError::Member("a member of a RAID array; arrays are named (md/NAME)");
    for version in [0, 1, 2] {
        let image = Md::mirror(version, 0).member(1 << 20, &data(1));
        assert_eq!(part(image), Some(md.clone()), "1.{version}");
    }
}
