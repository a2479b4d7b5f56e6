//! ISO9660 images by real xorriso.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod images;

use std::fs as host;

use fs::FsError;
use images::{
    Links, MemoryDisk, Sample, Scratch, XorShift, check_tree, mount, read, run, sample_tree, whole,
    write_tree,
};

fn make(scratch: &Scratch, options: &[&str]) -> Vec<u8> {
    let (root, image) = (scratch.path("root"), scratch.path("image"));
    let _ = host::remove_file(&image);
    let mut arguments = vec![
        "-as",
        "mkisofs",
        "-quiet",
        "-V",
        "SAMPLE",
        "--modification-date=2024031512345600",
    ];
    arguments.extend_from_slice(options);
    arguments.extend_from_slice(&["-o", image.to_str().unwrap(), root.to_str().unwrap()]);
    run("xorriso", "xorriso", &arguments);
    host::read(image).unwrap()
}

#[test]
fn rock_ridge() {
    let scratch = Scratch::new();
    let mut tree = sample_tree();
    let deep = "1/2/3/4/5/6/7/8/9/10/11/12";
    for (at, _) in deep.match_indices('/') {
        tree.push((deep[..at].into(), Sample::Directory));
    }
    tree.push((deep.into(), Sample::File(b"deep".to_vec())));
    for len in [100, 200, 255] {
        tree.push(("n".repeat(len), Sample::File(vec![7; len])));
    }
    write_tree(&scratch.path("root"), &tree);
    for options in [
        &["-R"][..],
        &["-R", "-J"],
        &["-R", "-rr_reloc_dir", "moved"],
        &["-r", "-iso-level", "3", "-joliet-long"],
    ] {
        let name = format!("{options:?}");
        let image = make(&scratch, options);
        for sector in [512, 2048] {
            let files = fs::mount(&whole(&MemoryDisk::new(image.clone(), sector))).unwrap();
            check_tree(files.as_ref(), &tree, Links::Present, &name);
            assert_eq!(files.label().unwrap(), b"SAMPLE");
            assert_eq!(files.uuid().unwrap(), "2024-03-15-12-34-56-00");
            assert!(files.open(b"BOOT/grub/menu.lst").is_err());
        }
    }
}

#[test]
fn joliet_and_plain() {
    let scratch = Scratch::new();
    let mut tree = sample_tree();
    tree.retain(|(name, sample)| !matches!(sample, Sample::Link(_)) && !name.starts_with("names"));
    tree.push(("Größe".into(), Sample::File(b"size".to_vec())));
    write_tree(&scratch.path("root"), &tree);
    let image = make(&scratch, &["--norock", "-J"]);
    let files = mount(image).unwrap();
    check_tree(files.as_ref(), &tree, Links::Absent, "joliet");
    assert_eq!(
        read(files.as_ref(), "/BOOT/grub/Menu.lst").unwrap(),
        b"timeout 5\ndefault 0\n"
    );

    let image = make(&scratch, &["--norock", "-iso-level", "1"]);
    let files = mount(image).unwrap();
    let names: Vec<_> = files
        .list(b"/boot/grub")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, [b"menu.lst"]);
    assert_eq!(
        read(files.as_ref(), "/boot/grub/MENU.LST").unwrap(),
        b"timeout 5\ndefault 0\n"
    );
}

#[test]
fn a_large_file_is_one_read_and_its_two_ends() {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    let big = XorShift(5).bytes(64 << 20);
    host::write(scratch.path("root/big"), &big).unwrap();
    let disk = MemoryDisk::new(make(&scratch, &["-R"]), 512);
    let files = fs::mount(&whole(&disk)).unwrap();
    let file = files.open(b"big").unwrap();
    let before = disk.reads.get();
    let mut bytes = vec![0; big.len()];
    file.read_at(0, &mut bytes).unwrap();
    assert!(bytes == big);
    assert!(disk.reads.get() - before <= 3);
}

#[test]
fn files_packed_by_zisofs_are_named() {
    let scratch = Scratch::new();
    host::create_dir_all(scratch.path("root")).unwrap();
    host::write(scratch.path("root/packed"), vec![b'x'; 200_000]).unwrap();
    host::write(scratch.path("root/plain"), b"plain").unwrap();
    let (root, image) = (scratch.path("root"), scratch.path("image"));
    let (root, image) = (root.to_str().unwrap(), image.to_str().unwrap());
    run(
        "xorriso",
        "xorriso",
        &[
            "-outdev",
            image,
            "-map",
            root,
            "/",
            "-set_filter",
            "--zisofs",
            "/packed",
            "--",
        ],
    );
    let files = mount(host::read(image).unwrap()).unwrap();
    assert_eq!(read(files.as_ref(), "plain").unwrap(), b"plain");
    assert_eq!(
        read(files.as_ref(), "packed").unwrap_err().to_string(),
        "not supported: compressed ISO9660 file (zisofs)"
    );
}

/// xorriso writes it as a component that elsewhere means the root.
#[test]
fn a_doubled_slash_in_a_link() {
    let scratch = Scratch::new();
    let tree = vec![
        ("a".into(), Sample::Directory),
        ("a/b".into(), Sample::Directory),
        ("a/b/up".into(), Sample::Link("..//file")),
        ("a/b/root".into(), Sample::Link("/file")),
        ("a/file".into(), Sample::File(b"beside".to_vec())),
        ("file".into(), Sample::File(b"in the root".to_vec())),
    ];
    write_tree(&scratch.path("root"), &tree);
    let files = mount(make(&scratch, &["-R"])).unwrap();
    assert_eq!(read(files.as_ref(), "a/b/up").unwrap(), b"beside");
    assert_eq!(read(files.as_ref(), "a/b/root").unwrap(), b"in the root");
}

/// Xen's advisory 497: a continuation that points at itself.
#[test]
fn continuations_in_a_circle_end() {
    let scratch = Scratch::new();
    let tree = vec![
        ("n".repeat(250), Sample::File(b"x".to_vec())),
        ("link".into(), Sample::Link(images::LONG_TARGET)),
    ];
    write_tree(&scratch.path("root"), &tree);
    let mut image = make(&scratch, &["-R"]);
    assert_eq!(
        read(mount(image.clone()).unwrap().as_ref(), &"n".repeat(250)).unwrap(),
        b"x"
    );
    // A CE field of 28 bytes, version 1: make its area begin with a CE field that names the same area.
    let fields: Vec<usize> = (0..image.len() - 28)
        .filter(|&at| image[at..].starts_with(b"CE\x1c\x01"))
        .collect();
    assert!(!fields.is_empty());
    for at in fields {
        let number = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap()) as usize;
        let area = number(at + 4) * 2048 + number(at + 12);
        let field = image[at..at + 28].to_vec();
        image[area..area + 28].copy_from_slice(&field);
    }
    let disk = MemoryDisk::new(image, 512);
    disk.budget.set(100);
    let files = fs::mount(&whole(&disk)).unwrap();
    let result = files.list(b"/");
    assert!(matches!(result, Err(FsError::Corrupt { .. })), "{result:?}");
}
