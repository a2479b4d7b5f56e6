//! Logical volumes and arrays: listed by the loader's names, with what is missing of them.

use super::check::check;
use super::fs_images::volumes::{
    A, B, EXTENT, Md, PE_START, SHOWN, group, len_of, logical, physical,
};
use super::images::{Layout, Scratch, disk, kernel};
use super::session::run;
use pvgrub::Ending;
use serde_json::Value;

const MENU: &[u8] = b"timeout 1\ntitle A\nkernel /vmlinuz\n";

/// The bytes of a file system with a menu and a kernel.
fn root(scratch: &Scratch) -> Vec<u8> {
    let files: &[(&str, &[u8])] = &[("boot/grub/menu.lst", MENU), ("vmlinuz", &kernel())];
    std::fs::read(disk(scratch, "root.img", Layout::Whole, files)).expect("the file system")
}

#[test]
fn logical_volumes_are_listed_with_what_is_missing() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    let extents = root.len().div_ceil(EXTENT);
    let count = u32::try_from(extents).expect("a small disk");
    let on = |pv: u32| format!("type = \"striped\"\nstripe_count = 1\nstripes = [\"pv{pv}\", 0]");
    let text = group(
        "vg",
        3,
        &[(A, ""), (B, "")],
        &[
            logical("root", SHOWN, &[(count, &on(0))]),
            logical("data", SHOWN, &[(2, &on(1))]),
        ]
        .concat(),
    );
    let mut first = physical(len_of(extents), A, Some(&text));
    first[PE_START * 512..][..root.len()].copy_from_slice(&root);
    let first = scratch.write("a.img", &first);
    let second = scratch.write("b.img", physical(len_of(4), B, Some(&text)));
    let extra = "--extra=(lvm/vg-root)/boot/grub/menu.lst";
    let (ending, report) = check(&[&first, &second, extra]);
    assert_eq!(ending, Ending::Clean, "{report:#}");
    assert_eq!(report["boot"][0]["kernel"]["file"], "(lvm/vg-root)/vmlinuz");
    let logicals = &report["logicals"];
    assert_eq!(logicals[0]["device"], "(lvm/vg-root)");
    assert_eq!(logicals[0]["bytes"], extents * EXTENT);
    assert_eq!(logicals[0]["volumes"][0]["file_system"], "ext4");
    assert_eq!(logicals[0]["volumes"][0]["label"], "guest");
    assert_eq!(logicals[1]["device"], "(lvm/vg-data)");
    assert_eq!(logicals[1]["problem"], Value::Null);
    // Without its second half the group still has its first volume.
    let (ending, report) = check(&[&first, extra]);
    assert_eq!(ending, Ending::Clean, "{report:#}");
    let data = &report["logicals"][1];
    assert_eq!(
        (&data["device"], &data["bytes"]),
        (&"(lvm/vg-data)".into(), &Value::Null)
    );
    assert!(data["problem"].to_string().contains("BBBBBB-"), "{data:#}");
    let ran = run(&["check", "-v", &first, extra], b"");
    for line in [
        "  volume   (lvm/vg-root) is ",
        "\n           (lvm/vg-root)  ext4, label guest, UUID ",
        "  volume   (lvm/vg-data) cannot be put together: ",
    ] {
        assert!(ran.output.contains(line), "{line}: {}", ran.output);
    }
}

#[test]
fn arrays_are_listed_whole_degraded_and_in_parts() {
    let scratch = Scratch::new();
    let root = root(&scratch);
    let member = |role, change: &dyn Fn(&mut Md)| {
        let mut md = Md::mirror(2, role);
        md.used = root.len() as u64;
        change(&mut md);
        let name = format!("{role}-{}-{}.img", md.level, md.features);
        scratch.write(&name, md.member(root.len() + (1 << 20), &root))
    };
    let (first, second) = (member(0, &|_| ()), member(1, &|_| ()));
    let extra = "--extra=(md/root)/boot/grub/menu.lst";
    let about = |words: &[&str]| {
        let (ending, report) = check(words);
        (ending, report["logicals"][0].clone())
    };
    let (ending, array) = about(&[&first, &second, extra]);
    assert_eq!(ending, Ending::Clean, "{array:#}");
    assert_eq!(
        (&array["device"], &array["about"]),
        (&"(md/root)".into(), &"RAID 1, 2 of 2 members".into())
    );
    assert_eq!(array["volumes"][0]["file_system"], "ext4");
    let (ending, array) = about(&[&second, extra]);
    assert_eq!(
        (ending, &array["about"]),
        (Ending::Clean, &"RAID 1, 1 of 2 members".into())
    );
    // One that is being rebuilt is no array, and its half is no file system.
    let rebuilt = member(0, &|md| md.features = 2);
    let (ending, array) = about(&[&rebuilt, extra]);
    assert_eq!(ending, Ending::Findings);
    assert_eq!(
        array["problem"],
        "no member is in sync; (hd0) is being rebuilt"
    );
    let ran = run(&["check", "-v", &rebuilt, extra], b"");
    let line = "  volume   (md/root) cannot be put together: no member is in sync; (hd0) is being rebuilt\n";
    assert!(ran.output.contains(line), "{}", ran.output);
}
