//! Damaged files: never a panic, never more time or memory than a good one.

use std::time::{Duration, Instant};

use bootloader::image::{Width, load};

use crate::builder::*;

const LEN: usize = 150_000;

/// Images of every format around one kernel.
fn images() -> Vec<(&'static str, Vec<u8>)> {
    let file = Elf::linux(LEN).write();
    let mut images = vec![("raw", file.clone())];
    for command in [
        "gzip -9",
        "bzip2 -9",
        "xz --check=crc32 --x86 --lzma2=dict=32MiB",
        "xz --check=none",
        "zstd -19",
        "zstd -1 --no-check",
        "lzma -9",
        "lzop -9",
        "lzop -1 --no-checksum",
        "lz4 -l -9",
    ] {
        if let Some(payload) = pack_payload(command, &file) {
            images.push((command, bzimage(&payload)));
        }
    }
    if let Some(zipped) = pack("gzip -9", &file) {
        images.push(("gzipped", zipped));
    }
    images
}

/// Loads `file`, whatever comes of it, and looks at time and memory.
fn survive(name: &str, file: &[u8]) -> bool {
    let mut pages = Pages {
        limit: Some(64 << 20),
        ..Pages::default()
    };
    let begin = Instant::now();
    let result = load(&Bytes::new(file), Width::Bits64, &mut pages);
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{name} takes too long"
    );
    if let Err(error) = &result {
        assert!(!error.to_string().is_empty());
    }
    result.is_ok()
}

#[test]
fn truncated_at_many_points() {
    for (name, image) in images() {
        // The end of a bzImage is code for real machines, that of the raw file is padding.
        let needed = image.len() - 5000;
        let mut random = Random(5);
        let cuts = (0..60).chain((0..60).map(|_| random.below(needed)));
        for cut in cuts.chain([needed - 1]) {
            let is_loaded = survive(name, &image[..cut]);
            assert!(!is_loaded, "{name} cut to {cut} loads");
        }
    }
}

#[test]
fn packed_data_truncated_behind_an_intact_header() {
    let file = Elf::linux(LEN).write();
    for command in [
        "bzip2",
        "xz --x86 --lzma2",
        "zstd",
        "lzma",
        "lzop",
        "lz4 -l",
    ] {
        let Some(packed) = pack(command, &file) else {
            continue;
        };
        let mut random = Random(6);
        for _ in 0..40 {
            let mut payload = packed[..random.below(packed.len())].to_vec();
            payload.extend_from_slice(&(file.len() as u32).to_le_bytes());
            assert!(!survive(command, &bzimage(&payload)), "{command}");
        }
    }
}

#[test]
fn changed_bytes() {
    for (name, image) in images() {
        let mut random = Random(11);
        for round in 0..250 {
            let mut image = image.clone();
            // Mostly near the front, where headers and tables are.
            let reach = if round % 3 == 0 {
                image.len()
            } else {
                4000.min(image.len())
            };
            for _ in 0..=random.below(4) {
                let at = random.below(reach);
                image[at] = random.next() as u8;
            }
            survive(name, &image);
        }
    }
}

#[test]
fn changed_payloads() {
    for (name, image) in images() {
        let mut random = Random(12);
        for round in 0..250 {
            let mut image = image.clone();
            let start = 0x923.min(image.len() / 2);
            let reach = if round % 2 == 0 {
                200
            } else {
                image.len() - start - 5000
            };
            for _ in 0..=random.below(3) {
                let at = start + random.below(reach);
                image[at] ^= 1 << random.below(8);
            }
            survive(name, &image);
        }
    }
}

#[test]
fn noise_behind_each_magic() {
    let mut random = Random(13);
    let magics: [&[u8]; 7] = [
        &[0x1f, 0x8b, 8, 0],
        b"BZh91AY&SY",
        b"\xfd7zXZ\0\0\x01\x69\x22\xde\x36",
        &[0x28, 0xb5, 0x2f, 0xfd],
        &[0x5d, 0, 0, 0, 4],
        b"\x89LZO\0\r\n\x1a\n",
        &[2, 0x21, 0x4c, 0x18],
    ];
    for magic in magics {
        for _ in 0..300 {
            let len = random.below(3000);
            let mut payload = magic.to_vec();
            payload.extend((0..len).map(|_| random.next() as u8));
            payload.extend_from_slice(&100_000u32.to_le_bytes());
            survive("noise", &bzimage(&payload));
        }
    }
}
