//! How much heap unpacking takes beside the kernel's own memory, for each compression at the settings of
//! the Linux build.
//!
//! One test in a binary of its own, because the count is of the whole process.

#[expect(dead_code, reason = "the tests in image/ use the rest")]
#[path = "image/builder.rs"]
mod builder;

use std::time::Instant;

use bootloader::image::{Width, load};
use peak_alloc::PeakAlloc;

use builder::{Bytes, Elf, Pages, bzimage, pack_payload};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Heap alone; bzip2 comes nearest. Much less than the kernel, so that no second copy can hide in it.
const HEAP_LIMIT_BYTES: u64 = 4 << 20;

/// Everything but the memory the kernel stays in: heap, and memory that is free again afterwards.
const LIMIT_BYTES: u64 = 16 << 20;

#[test]
fn peak_beyond_the_kernel() {
    let elf = Elf::linux(12 << 20);
    let file = elf.write();
    let expected = elf.expected_memory();
    eprintln!(
        "ELF file of {} KiB, {} KiB in memory",
        file.len() >> 10,
        expected.len() >> 10
    );
    eprintln!("| format | packed KiB | heap KiB | work memory KiB | ms |");
    let commands = [
        "gzip -n -9",
        "bzip2 -9",
        "xz --check=crc32 --x86 --lzma2=dict=32MiB",
        "zstd -22 --ultra",
        "lzma -9",
        "lzop -9",
        "lz4 -l -9",
    ];
    // Side by side, because zstd takes its time at this level.
    let payloads = std::thread::scope(|scope| {
        let packers = commands.map(|command| {
            let file = &file;
            scope.spawn(move || pack_payload(command, file))
        });
        packers.map(|packer| packer.join().unwrap())
    });
    for (command, payload) in commands.into_iter().zip(payloads) {
        let Some(payload) = payload else { continue };
        let image = bzimage(&payload);
        let mut pages = Pages::default();
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        let begin = Instant::now();
        let kernel = load(&Bytes::new(&image), Width::Bits64, &mut pages).unwrap();
        let time = begin.elapsed();
        let span = pages.span.unwrap();
        let heap = (HEAP.peak_usage() - before) as u64 - span.work_bytes;
        let work = span.work_bytes - span.kernel_bytes;
        eprintln!(
            "| {command} | {} | {} | {} | {} |",
            payload.len() >> 10,
            heap >> 10,
            work >> 10,
            time.as_millis()
        );
        assert!(heap <= HEAP_LIMIT_BYTES, "{command}: {heap} bytes");
        assert!(
            heap + work <= LIMIT_BYTES,
            "{command}: {heap} + {work} bytes"
        );
        assert!(
            pages.bytes[..expected.len()] == expected,
            "{command}: memory differs"
        );
        assert_eq!(kernel.kernel_bytes, expected.len() as u64);
    }
}
