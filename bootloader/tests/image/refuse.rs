//! What must be refused, with which number, and with a way out in the message.

use bootloader::image::{ImageError, Width, load};

use crate::builder::*;

const LEN: usize = 300_000;

/// Expects `file` to be refused with GRUB's `number` and all of `words` in the message.
fn refused(file: &[u8], number: u8, words: &[&str]) {
    let result = try_load(file).map(|(kernel, _)| kernel);
    let error = result.expect_err("it must be refused");
    let text = error.to_string();
    assert_eq!(error.grub_error(), number, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

fn with_notes(notes: &[Vec<u8>]) -> Vec<u8> {
    Elf::linux(LEN).with_notes(notes.concat()).write()
}

#[test]
fn other_widths_and_processors() {
    let mut elf = Elf::linux(LEN);
    elf.programs
        .iter_mut()
        .for_each(|program| program.vaddr = 0);
    elf.entry = 0;
    let file = elf.write();
    let error = load(&Bytes::new(&file), Width::Bits32, &mut Pages::default()).unwrap_err();
    assert!(error.to_string().contains("pv-grub-x86_64.gz"), "{error}");
    elf.machine = 183;
    refused(&elf.write(), 13, &["0xb7"]);
    elf.width = Width::Bits32;
    elf.machine = 3;
    refused(
        &elf.write(),
        13,
        &["this is a 32-bit kernel; start this domain with pv-grub-x86_32.gz"],
    );
}

#[test]
fn files_that_are_no_kernels() {
    refused(b"", 13, &["not a kernel", "00 00 00 00"]);
    refused(
        b"#!/bin/sh\n",
        13,
        &["23 21 2f 62", "neither ELF nor bzImage"],
    );
    refused(b"\x7fELF", 13, &["truncated image"]);
    let Some(zipped) = pack("gzip", b"menu.lst") else {
        return;
    };
    refused(&zipped, 13, &["not a kernel", "6d 65 6e 75"]);
    refused(&zipped[..5], 3, &["truncated image", "gzip"]);
    let mut old = bzimage(&[0; 100]);
    old[0x206] = 7;
    refused(&old, 13, &["boot protocol 2.07", "2.08"]);
}

#[test]
fn unknown_compression_is_named_by_its_magic() {
    let image = bzimage(b"\xca\xfe\xba\xbe\x01\x02\x03\x04");
    refused(&image, 4, &["ca fe ba be 01 02", "zstd"]);
    refused(&bzimage(b""), 4, &["00 00 00 00"]);
}

#[test]
fn what_is_packed_must_be_a_kernel() {
    let Some(payload) = pack_payload("xz", b"hello") else {
        return;
    };
    refused(&bzimage(&payload), 13, &["what is packed is not ELF"]);
}

#[test]
fn kernels_without_a_pv_entry() {
    let version = note(5, b"xen-3.0\0");
    let pvh = note(18, &0x100_0000u32.to_le_bytes());
    let notes = [note(6, b"linux\0"), version, pvh];
    refused(
        &with_notes(&notes),
        13,
        &["no Xen PV entry (PVH/HVM only)", "type=\"pvh\""],
    );
    refused(&with_notes(&[]), 13, &["no Xen notes", "CONFIG_XEN_PV"]);
}

#[test]
fn notes_that_cannot_be_satisfied() {
    let base = || note(3, &VIRT_BASE.to_le_bytes());
    let version = || note(5, b"xen-3.0\0");
    let linux = || note(6, b"linux\0");
    refused(&with_notes(&[linux(), base()]), 13, &["no XEN_VERSION"]);
    refused(
        &with_notes(&[linux(), base(), note(5, b"xen-2.0\0")]),
        13,
        &["not xen-3.0"],
    );
    refused(&with_notes(&[version(), base()]), 13, &["no LOADER"]);
    refused(
        &with_notes(&[version(), base(), note(8, b"lilo\0")]),
        13,
        &["not generic"],
    );
    let offset = note(4, &0u64.to_le_bytes());
    refused(
        &with_notes(&[linux(), version(), offset]),
        13,
        &["no VIRT_BASE"],
    );
    let entry = note(1, &1u32.to_le_bytes());
    refused(
        &with_notes(&[linux(), version(), base(), entry]),
        13,
        &["entry is outside"],
    );
    let p2m = note(15, &(VIRT_BASE + 0x100_1000).to_le_bytes());
    refused(
        &with_notes(&[linux(), version(), base(), p2m]),
        13,
        &["INIT_P2M"],
    );
    for page in [
        0x1000,
        VIRT_BASE + 0x100_0001,
        u64::MAX - 0xfff,
        VIRT_BASE - 0x1000,
    ] {
        let page = note(2, &page.to_le_bytes());
        refused(
            &with_notes(&[linux(), version(), base(), page]),
            13,
            &["hypercall page"],
        );
    }
}

#[test]
fn required_features() {
    for name in [
        "auto_translated_physmap",
        "supervisor_mode_kernel",
        "dom0",
        "telepathy",
    ] {
        let features = format!("writable_page_tables|!{name}");
        let notes = [linux_notes(), note(10, features.as_bytes())];
        refused(&with_notes(&notes), 13, &[name, "PV guests do not have"]);
    }
    let notes = [
        linux_notes(),
        note(10, b"!writable_page_tables|auto_translated_physmap|dom0"),
    ];
    assert!(try_load(&with_notes(&notes)).is_ok());
}

#[test]
fn a_32_bit_kernel_without_pae() {
    let notes = [note(6, b"linux\0"), note(5, b"xen-3.0\0"), note(9, b"no\0")].concat();
    let file = Elf::linux(LEN).with_notes(notes).with_32_bits(0).write();
    let error = load(&Bytes::new(&file), Width::Bits32, &mut Pages::default()).unwrap_err();
    assert_eq!(error, ImageError::NoPae);
}

#[test]
fn too_little_memory_says_how_much_is_needed() {
    let file = Elf::linux(16 << 20).write();
    let mut pages = Pages {
        limit: Some(10 << 20),
        ..Pages::default()
    };
    let error = load(&Bytes::new(&file), Width::Bits64, &mut pages).unwrap_err();
    assert_eq!(error.grub_error(), 28);
    let text = error.to_string();
    assert!(text.contains("needs 15 MiB, 10 MiB are free"), "{text}");
    assert!(text.contains("at least 5 MiB more"), "{text}");
}

#[test]
fn truncated_images_say_how_much_is_missing() {
    let file = Elf::linux(LEN).write();
    let tail = LEN / 32;
    // The tail is not needed; one byte of the last segment is.
    assert!(try_load(&file[..file.len() - tail]).is_ok());
    refused(
        &file[..file.len() - tail - 1],
        13,
        &["truncated image: at least 1 bytes"],
    );
    let Some(payload) = pack_payload("xz --x86 --lzma2", &file) else {
        return;
    };
    let image = bzimage(&payload);
    let cut = image.len() - 5000 - 1000;
    refused(
        &image[..cut],
        13,
        &["truncated image: at least 1000 bytes are missing"],
    );
    let mut zipped = pack("gzip", &file).unwrap();
    let size = zipped.split_off(zipped.len() - 4);
    zipped.truncate(zipped.len() / 2);
    zipped.extend_from_slice(&size);
    refused(&zipped, 3, &["gzip data"]);
}

#[test]
fn a_wrong_size_and_a_wrong_checksum() {
    let file = Elf::linux(LEN).write();
    for command in [
        "xz --check=crc32",
        "zstd",
        "lz4 -l",
        "lzop",
        "bzip2",
        "lzma",
    ] {
        let Some(mut payload) = pack_payload(command, &file) else {
            continue;
        };
        let size = payload.len() - 4;
        for said in [file.len() + 1, file.len() - 1] {
            payload[size..].copy_from_slice(&(said as u32).to_le_bytes());
            refused(&bzimage(&payload), 3, &["unpacks to"]);
        }
        payload[size..].copy_from_slice(&u32::MAX.to_le_bytes());
        refused(&bzimage(&payload), 28, &["4294967295 bytes", "1073741824"]);
    }
    let Some(mut zipped) = pack("gzip", &file) else {
        return;
    };
    let crc = zipped.len() - 8;
    zipped[crc] ^= 1;
    refused(&zipped, 3, &["gzip checksum"]);
}

#[test]
fn headers_that_make_no_sense() {
    let good = Elf::linux(LEN);
    let spoilt = |spoil: &dyn Fn(&mut Elf)| {
        let mut elf = good.clone();
        spoil(&mut elf);
        elf.write()
    };
    refused(
        &spoilt(&|elf| elf.programs[0].memory_bytes = 10),
        13,
        &["size is not possible"],
    );
    refused(
        &spoilt(&|elf| elf.programs[3].paddr = u64::MAX - 5),
        13,
        &["size is not possible"],
    );
    refused(
        &spoilt(&|elf| elf.programs[3].memory_bytes = u64::MAX),
        13,
        &["not possible"],
    );
    refused(
        &spoilt(&|elf| elf.programs[1].paddr -= 0x1000),
        13,
        &["overlap"],
    );
    refused(
        &spoilt(&|elf| elf.programs[3].memory_bytes = 2 << 30),
        28,
        &["more than the"],
    );
    refused(
        &spoilt(&|elf| elf.programs.truncate(0)),
        13,
        &["program headers"],
    );
    refused(
        &spoilt(&|elf| elf.programs.retain(|p| p.kind != PT_LOAD)),
        13,
        &["nothing to load"],
    );
}

#[test]
fn a_failing_disk_keeps_its_own_number() {
    let file = Elf::linux(LEN).write();
    let zipped = pack("gzip", &file).unwrap_or_else(|| file.clone());
    for (file, bad_from) in [
        (&file, 200_000),
        (&file, 10),
        (&zipped, zipped.len() as u64 - 1),
        (&zipped, 5),
    ] {
        let source = Bytes {
            bad_from,
            ..Bytes::new(file)
        };
        let error = load(&source, Width::Bits64, &mut Pages::default()).unwrap_err();
        assert_eq!(
            (error.grub_error(), error.to_string().as_str()),
            (25, "disk on fire")
        );
    }
}
