//! What must load, and to what.

use bootloader::image::{Codec, HypercallPage, Pae, Width, load};

use crate::builder::*;

const LEN: usize = 3 << 20;

/// Loads `file` and compares with what `elf` must become.
fn check(elf: &Elf, file: &[u8], codec: Option<Codec>) {
    let (kernel, memory) = try_load(file).unwrap_or_else(|error| panic!("{codec:?}: {error}"));
    assert_eq!(kernel.packing.codec, codec);
    assert_eq!(kernel.kernel_bytes, memory.len() as u64);
    assert!(memory == elf.expected_memory(), "{codec:?}: memory differs");
}

#[test]
fn a_raw_elf_is_placed_by_physical_address() {
    let elf = Elf::linux(LEN);
    let file = elf.write();
    let (kernel, memory) = try_load(&file).unwrap();
    assert!(memory == elf.expected_memory());
    assert_eq!(kernel.width, Width::Bits64);
    assert_eq!(kernel.entry, VIRT_BASE + 0x100_0040);
    assert_eq!(
        (kernel.virt_base, kernel.paddr_offset, kernel.first_pfn),
        (VIRT_BASE, 0, 0x1000)
    );
    assert_eq!(kernel.virt_start, VIRT_BASE + 0x100_0000);
    assert_eq!(kernel.virt_end - kernel.virt_start, kernel.kernel_bytes);
    assert_eq!(
        (kernel.init_p2m, kernel.mod_start_pfn),
        (Some(0x80_0000_0000), true)
    );
    assert_eq!(kernel.features, "!writable_page_tables|pae_pgdir_above_4gb");
    assert_eq!(
        (kernel.guest_os.as_str(), kernel.guest_version.as_str()),
        ("linux", "2.6")
    );
    assert_eq!(kernel.hypercall_page, None);
    assert_eq!(kernel.packing.codec, None);
    check(&elf, &bzimage(&file), None);
}

#[test]
fn every_compression_at_the_kernels_own_settings() {
    let elf = Elf::linux(LEN);
    let file = elf.write();
    for (command, codec) in [
        ("gzip -n -9", Codec::Gzip),
        ("bzip2 -9", Codec::Bzip2),
        ("xz --check=crc32 --x86 --lzma2=dict=32MiB", Codec::Xz),
        ("xz --check=crc32 --x86 --lzma2=dict=128MiB", Codec::Xz),
        ("zstd -22 --ultra", Codec::Zstd),
        ("lzma -9", Codec::Lzma),
        ("lzop -9", Codec::Lzop),
        ("lz4 -l -9", Codec::Lz4),
    ] {
        let Some(payload) = pack_payload(command, &file) else {
            continue;
        };
        let image = bzimage(&payload);
        check(&elf, &image, Some(codec));
        if let Some(zipped) = pack("gzip -c", &image) {
            check(&elf, &zipped, Some(codec));
        }
    }
}

#[test]
fn other_settings_of_the_packers() {
    let elf = Elf::linux(LEN);
    let file = elf.write();
    for (command, codec) in [
        ("gzip -1", Codec::Gzip),
        ("bzip2 -1", Codec::Bzip2),
        ("xz -0", Codec::Xz),
        (
            "xz --check=none --lzma2=preset=9e,lc=0,lp=4,pb=4",
            Codec::Xz,
        ),
        ("xz --check=sha256 --block-size=300000", Codec::Xz),
        (
            "xz --check=crc64 -T2 --block-size=500000 --x86=start=4096 --lzma2",
            Codec::Xz,
        ),
        ("zstd -1", Codec::Zstd),
        ("zstd -3 --no-check", Codec::Zstd),
        ("zstd -19 --long=27", Codec::Zstd),
        ("zstd --fast=5", Codec::Zstd),
        ("xz --format=lzma -0", Codec::Lzma),
        ("lzop -1", Codec::Lzop),
        ("lzop -3 --crc32", Codec::Lzop),
        ("lzop -3 --no-checksum", Codec::Lzop),
        ("lz4 -l -1", Codec::Lz4),
    ] {
        let Some(payload) = pack_payload(command, &file) else {
            continue;
        };
        check(&elf, &bzimage(&payload), Some(codec));
    }
}

#[test]
fn data_that_does_not_pack_and_data_that_is_all_one_byte() {
    let mut random = Random(77);
    let noise: Vec<u8> = (0..LEN / 8)
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    let zeros = vec![0; LEN];
    let mut mixed = zeros.clone();
    mixed[..LEN / 3].copy_from_slice(&noise[..LEN / 3]);
    mixed[LEN / 2..].fill(0xe8);
    for data in [noise, zeros, mixed] {
        let mut elf = Elf::linux(LEN);
        elf.programs[1].memory_bytes = data.len() as u64;
        elf.programs[1].bytes = data;
        for (shift, program) in [(2u64, 2), (3, 3)] {
            elf.programs[program].offset += LEN as u64 * 2 + shift * 0x1000;
            elf.programs[program].paddr += LEN as u64 * 2;
        }
        let file = elf.write();
        for (command, codec) in [
            ("gzip -9", Codec::Gzip),
            ("bzip2 -9", Codec::Bzip2),
            ("xz --x86 --lzma2", Codec::Xz),
            ("zstd -3", Codec::Zstd),
            ("zstd -19", Codec::Zstd),
            ("lzma -1", Codec::Lzma),
            ("lzop -9", Codec::Lzop),
            ("lz4 -l -9", Codec::Lz4),
        ] {
            let Some(payload) = pack_payload(command, &file) else {
                continue;
            };
            check(&elf, &bzimage(&payload), Some(codec));
        }
    }
}

#[test]
fn a_gzipped_elf_with_junk_behind_it_or_a_long_tail() {
    let mut elf = Elf::linux(LEN);
    let Some(mut zipped) = pack("gzip -9", &elf.write()) else {
        return;
    };
    check(&elf, &zipped, Some(Codec::Gzip));
    zipped.extend_from_slice(b"signature");
    check(&elf, &zipped, Some(Codec::Gzip));
    // Debugging sections of a vmlinux: decoded for the checksum, not kept.
    elf.tail = 40 << 20;
    let zipped = pack("gzip -1", &elf.write()).unwrap();
    let mut pages = Pages::default();
    load(&Bytes::new(&zipped), Width::Bits64, &mut pages).unwrap();
    assert!(pages.span.unwrap().work_bytes < 8 << 20);
    check(&elf, &zipped, Some(Codec::Gzip));
}

#[test]
fn segments_may_stand_in_the_file_in_any_order() {
    let mut elf = Elf::linux(LEN);
    let (first, last) = (elf.programs[0].offset, elf.programs[3].offset);
    elf.programs[0].offset = last + LEN as u64;
    elf.programs[3].offset = first;
    elf = elf.with_notes(linux_notes());
    check(&elf, &elf.write(), None);
    let Some(zipped) = pack("gzip -9", &elf.write()) else {
        return;
    };
    check(&elf, &zipped, Some(Codec::Gzip));
}

#[test]
fn segments_that_move_up_and_down_and_share_a_page() {
    // Places far behind, right at, and before where they stand in the file.
    let mut elf = Elf::linux(LEN);
    let load = |offset: u64, paddr: u64, len: usize| Program {
        kind: PT_LOAD,
        offset,
        vaddr: 0,
        paddr,
        bytes: code(len, offset),
        memory_bytes: len as u64,
    };
    let notes = elf.programs.pop().unwrap();
    elf.programs = vec![
        load(0x4000, 0x100_0000, 0x5123),
        load(0x9200, 0x100_5123, 0x100),
        load(0x9300, 0x100_9300, 0x2000),
        load(0xb400, 0x101_0000, 0x8000),
        load(0x13400, 0x101_8000, 0x9000),
        load(0x20000, 0x102_1001, 0x1000),
        load(0x40000, 0x102_2001, 0x1000),
        notes,
    ];
    let elf = elf.with_notes(linux_notes());
    check(&elf, &elf.write(), None);
    let Some(zipped) = pack("gzip -9", &elf.write()) else {
        return;
    };
    check(&elf, &zipped, Some(Codec::Gzip));
}

#[test]
fn notes_in_sections_and_the_old_string() {
    // A PT_NOTE at offset 0 is passed over, as Xen does.
    let mut elf = Elf::linux(LEN);
    let program = elf.programs.pop().unwrap();
    elf.programs.push(Program {
        offset: 0,
        bytes: vec![],
        memory_bytes: 0,
        ..program
    });
    elf.sections = vec![(".text", 1, vec![1, 2, 3]), (".note.Xen", 7, linux_notes())];
    let (kernel, _) = try_load(&elf.write()).unwrap();
    assert_eq!(kernel.entry, VIRT_BASE + 0x100_0040);

    let string = b"GUEST_OS=Mini-OS,XEN_VER=xen-3.0,VIRT_BASE=0x1000000,HYPERCALL_PAGE=0x2,\
        PAE=yes[extended-cr3],LOADER=generic,BSD_SYMTAB=yes\0";
    elf.entry = 0x100_0000;
    elf.sections = vec![
        (".text", 1, vec![1, 2, 3]),
        ("__xen_guest", 1, string.to_vec()),
    ];
    let Some(zipped) = pack("gzip -9", &elf.write()) else {
        return;
    };
    for file in [elf.write(), zipped] {
        let (kernel, _) = try_load(&file).unwrap();
        assert_eq!(kernel.guest_os, "Mini-OS");
        // Without ELF_PADDR_OFFSET the physical addresses are virtual ones.
        assert_eq!((kernel.paddr_offset, kernel.first_pfn), (0x100_0000, 0));
        assert_eq!((kernel.entry, kernel.pae), (0x100_0000, Pae::ExtendedCr3));
        assert_eq!(
            kernel.hypercall_page,
            Some(HypercallPage {
                virt: 0x100_2000,
                offset: 0x2000
            })
        );
        assert!(kernel.bsd_symtab && !kernel.mod_start_pfn);
    }
}

#[test]
fn a_hypercall_page_beside_a_raw_kernel_extends_it() {
    let elf = Elf::linux(LEN);
    let len = elf.expected_memory().len() as u64;
    for (page, offset, start) in [
        (0x100_0000 + len, len, 0),
        (0xff_f000, 0, 0x1000),
        (0x100_3000, 0x3000, 0),
    ] {
        let notes = [linux_notes(), note(2, &(VIRT_BASE + page).to_le_bytes())].concat();
        let elf = elf.clone().with_notes(notes);
        let (kernel, memory) = try_load(&elf.write()).unwrap();
        let virt = VIRT_BASE + page;
        assert_eq!(kernel.hypercall_page, Some(HypercallPage { virt, offset }));
        let expected = elf.expected_memory();
        assert!(memory[start..start + expected.len()] == expected);
        assert_eq!(kernel.first_pfn, 0x1000 - start as u64 / 0x1000);
        assert!(
            memory[..start]
                .iter()
                .chain(&memory[start + expected.len()..])
                .all(|b| *b == 0)
        );
    }
}

#[test]
fn a_32_bit_kernel_for_a_32_bit_loader() {
    const BASE: u64 = 0xc000_0000;
    let notes = [
        note(6, b"linux\0"),
        note(5, b"xen-3.0\0"),
        note(3, &(BASE as u32).to_le_bytes()),
        note(9, b"yes\0"),
        note(12, &0xf580_0000u32.to_le_bytes()),
    ]
    .concat();
    let elf = Elf::linux(LEN).with_notes(notes).with_32_bits(BASE);
    let mut pages = Pages::default();
    let file = elf.write();
    let kernel = load(&Bytes::new(&file), Width::Bits32, &mut pages).unwrap();
    assert!(pages.bytes == elf.expected_memory());
    assert_eq!(
        (kernel.entry, kernel.pae),
        (BASE + 0x100_0000, Pae::ExtendedCr3)
    );
    assert_eq!(kernel.hv_start_low, Some(0xf580_0000));
}

#[test]
fn packed_data_is_asked_for_ahead() {
    let Some(payload) = pack_payload("lz4 -l -9", &Elf::linux(LEN).write()) else {
        return;
    };
    let image = bzimage(&payload);
    let source = Bytes::new(&image);
    load(&source, Width::Bits64, &mut Pages::default()).unwrap();
    assert!(source.prefetched.get() > 0);
    // The front is read once more than the rest: to see the headers.
    assert!(source.read.get() < image.len() as u64 + (1 << 20));
}
