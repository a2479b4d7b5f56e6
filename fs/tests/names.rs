//! GRUB's device and file names.

use fs::{BlockRange, DeviceName, FileName, NameError, Place};
use proptest::prelude::*;

#[test]
fn devices() {
    let disk = |disk, partition| Ok(DeviceName::Disk { disk, partition });
    let lvm = |name: &str, partition| {
        let name = name.into();
        Ok(DeviceName::Lvm { name, partition })
    };
    let md = |name: &str, partition| {
        let name = name.into();
        Ok(DeviceName::Md { name, partition })
    };
    let cases: &[(&str, Result<DeviceName, NameError>)] = &[
        ("(hd0)", disk(0, None)),
        ("(hd0,0)", disk(0, Some(0))),
        ("(hd25,127)", disk(25, Some(127))),
        ("(hd0x10,4)", disk(16, Some(4))),
        ("(nd)", Ok(DeviceName::Net { interface: None })),
        ("(nd1)", Ok(DeviceName::Net { interface: Some(1) })),
        ("(cd)", Ok(DeviceName::Cd { drive: None })),
        ("(cd2)", Ok(DeviceName::Cd { drive: Some(2) })),
        ("(fd0)", Ok(DeviceName::Floppy { drive: 0 })),
        ("(lvm/vg-root)", lvm("vg-root", None)),
        ("(lvm/my--vg-ro--ot,3)", lvm("my--vg-ro--ot", Some(3))),
        ("(md/0)", md("0", None)),
        ("(md/root,1)", md("root", Some(1))),
        ("(md0)", md("0", None)),
        ("(md127,4)", md("127", Some(4))),
        ("(lvm/)", Err(NameError::Device)),
        ("(lvm)", Err(NameError::Device)),
        ("(lvm/a,1,2)", Err(NameError::Device)),
        ("(lvm/a,x)", Err(NameError::Number)),
        ("(md/)", Err(NameError::Device)),
        ("(md)", Err(NameError::Device)),
        ("(mdx)", Err(NameError::Device)),
        ("(hd0,a)", Err(NameError::BsdLetter(b'a'))),
        ("(hd12,0,h)", Err(NameError::BsdLetter(b'h'))),
        ("(hd0,0,i)", Err(NameError::Device)),
        ("(hd0,0,a,b)", Err(NameError::Device)),
        ("(hd)", Err(NameError::Number)),
        ("(hd0,)", Err(NameError::Number)),
        ("(hd4294967296)", Err(NameError::Number)),
        ("(hd-1)", Err(NameError::Number)),
        ("(fd)", Err(NameError::Number)),
        ("(nd,0)", Err(NameError::Device)),
        ("(sd0)", Err(NameError::Device)),
        ("()", Err(NameError::Device)),
        ("(h)", Err(NameError::Device)),
        ("(hd0", Err(NameError::Device)),
        ("hd0", Err(NameError::Device)),
        ("(hd0)/", Err(NameError::Device)),
        ("", Err(NameError::Device)),
    ];
    for (text, expected) in cases {
        assert_eq!(DeviceName::parse(text.as_bytes()), *expected, "{text}");
    }
    assert_eq!(NameError::BsdLetter(b'a').grub_error(), 11);
}

/// A text and what it is read as.
type Case = (
    &'static [u8],
    Result<(Option<DeviceName>, Place), NameError>,
);

#[test]
fn files() {
    let root = || {
        Some(DeviceName::Disk {
            disk: 0,
            partition: Some(0),
        })
    };
    let path = |text: &[u8]| Place::Path(text.to_vec());
    let blocks = |ranges: &[(u64, u64)]| {
        Place::Blocks(
            ranges
                .iter()
                .map(|&(start, count)| BlockRange { start, count })
                .collect(),
        )
    };
    let cases: &[Case] = &[
        (b"(hd0,0)/boot/x", Ok((root(), path(b"/boot/x")))),
        (b"/boot/x", Ok((None, path(b"/boot/x")))),
        (b"/(hd0)", Ok((None, path(b"/(hd0)")))),
        (b"/b\xc3\xff", Ok((None, path(b"/b\xc3\xff")))),
        (b"(hd0,0)1+10", Ok((root(), blocks(&[(1, 10)])))),
        (b"(hd0,0)+1", Ok((root(), blocks(&[(0, 1)])))),
        (
            b"0+1,0x10+5,+2",
            Ok((None, blocks(&[(0, 1), (16, 5), (0, 2)]))),
        ),
        (b"1+0", Err(NameError::Number)),
        (b"1+", Err(NameError::Number)),
        (b"1+1,", Err(NameError::Path)),
        (b"1", Err(NameError::Path)),
        (b"18446744073709551615+1", Err(NameError::Number)),
        (b"36028797018963967+2", Err(NameError::Number)),
        (b"(hd0,0)", Err(NameError::Path)),
        (b"boot/x", Err(NameError::Path)),
        (b"", Err(NameError::Path)),
        (b"(hd0,0,a)/x", Err(NameError::BsdLetter(b'a'))),
    ];
    for (text, expected) in cases {
        let got = FileName::parse(text).map(|name| (name.device, name.place));
        assert_eq!(got, *expected, "{}", text.escape_ascii());
    }
}

fn device() -> impl Strategy<Value = DeviceName> {
    prop_oneof![
        (any::<u32>(), any::<Option<u32>>())
            .prop_map(|(disk, partition)| DeviceName::Disk { disk, partition }),
        any::<Option<u32>>().prop_map(|interface| DeviceName::Net { interface }),
        any::<Option<u32>>().prop_map(|drive| DeviceName::Cd { drive }),
        any::<u32>().prop_map(|drive| DeviceName::Floppy { drive }),
        ("[a-zA-Z0-9+_.-]{1,20}", any::<Option<u32>>()).prop_map(|(name, partition)| {
            let name = name.into_bytes();
            DeviceName::Lvm { name, partition }
        }),
        ("[a-zA-Z0-9:_.-]{1,20}", any::<Option<u32>>()).prop_map(|(name, partition)| {
            let name = name.into_bytes();
            DeviceName::Md { name, partition }
        }),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    let range =
        (0..1u64 << 50, 1..1u64 << 50).prop_map(|(start, count)| BlockRange { start, count });
    prop_oneof![
        "/[ -\\[\\]-~]{0,40}"
            .prop_filter("no escapes", |text| !text.contains(['\'', '"', '\\']))
            .prop_map(|text| Place::Path(text.into_bytes())),
        prop::collection::vec(range, 1..9).prop_map(Place::Blocks),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(device in prop::option::of(device()), place in place()) {
        let name = FileName { device, place };
        prop_assert_eq!(FileName::parse(name.to_string().as_bytes()), Ok(name.clone()));
        if let Some(device) = name.device {
            prop_assert_eq!(DeviceName::parse(device.to_string().as_bytes()), Ok(device.clone()));
        }
    }

    #[test]
    fn any_bytes_at_all(text in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = FileName::parse(&text);
        let _ = DeviceName::split(&text);
    }

    #[test]
    fn nearly_names(text in "\\(?(hd|nd|cd|fd|lvm/|md/?)?[0-9a-hx,+]{0,30}\\)?[/0-9+,]{0,10}") {
        if let Ok(name) = FileName::parse(text.as_bytes()) {
            prop_assert_eq!(FileName::parse(name.to_string().as_bytes()).unwrap(), name);
        }
    }
}
