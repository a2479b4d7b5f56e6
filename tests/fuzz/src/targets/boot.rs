//! Kernel files: ELF with its notes and bzImage as a whole, and each decoder behind an intact header.

use bootloader::image::{Memory, NoMemory, Source, SourceError, Span, Width, gunzip, load};

use crate::Target;

/// Memory that a kernel may have here.
const KERNEL_MAX: u64 = 32 << 20;

pub(crate) const KERNEL: Target = Target {
    name: "kernel",
    about: "a kernel file: ELF of either width, notes, bzImage, gzip around them",
    longest: 8192,
    heap_mib: 48,
    words: &[
        b"\x7fELF",
        b"HdrS",
        b"Xen\0",
        b"\x1f\x8b\x08",
        b"__xen_guest\0",
        b"VIRT_BASE=0x",
    ],
    seeds: || {
        let elf = elf();
        vec![
            elf.clone(),
            bzimage(&elf),
            gzipped(&elf),
            gzipped(&bzimage(&gzipped(&elf))),
        ]
    },
    run: kernel,
};

pub(crate) const UNPACK: Target = Target {
    name: "unpack",
    about: "packed kernels behind an intact header: gzip, bzip2, lzma, xz, lzo, lz4, zstd",
    longest: 8192,
    heap_mib: 64,
    words: &[
        b"\x1f\x8b\x08\0",
        b"BZh9",
        b"1AY&SY",
        b"\xfd7zXZ\0\0\x01",
        b"\x28\xb5\x2f\xfd",
        b"\x5d\0\0\0\x04",
        b"\x89LZO\0\r\n\x1a\n",
        b"\x02\x21\x4c\x18",
    ],
    seeds: || vec![gzipped(&elf())],
    run: |input| kernel(&bzimage(input)),
};

/// A file in memory; a read outside of it is a fault of the reader's.
struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), SourceError> {
        let end = offset.saturating_add(out.len() as u64);
        assert!(
            end <= self.len(),
            "read of {offset}+{} in {}",
            out.len(),
            self.len()
        );
        out.copy_from_slice(&self.0[offset as usize..end as usize]);
        Ok(())
    }

    fn prefetch(&self, offset: u64, len: u64) {
        let end = offset.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.len()),
            "hint of {offset}+{len}"
        );
    }
}

/// Memory full of old bytes.
#[derive(Default)]
struct Pages {
    bytes: Vec<u8>,
    span: Option<Span>,
}

impl Memory for Pages {
    fn allocate(&mut self, span: Span) -> Result<&mut [u8], NoMemory> {
        assert!(self.span.is_none(), "asked twice");
        assert!(span.kernel_bytes <= span.work_bytes, "{span:?}");
        assert!(span.kernel_bytes.is_multiple_of(4096) && span.work_bytes.is_multiple_of(4096));
        self.span = Some(span);
        if span.work_bytes > KERNEL_MAX {
            return Err(NoMemory {
                needed: span.work_bytes,
                free: KERNEL_MAX,
            });
        }
        self.bytes = vec![0xaa; span.work_bytes as usize];
        Ok(&mut self.bytes)
    }
}

fn kernel(file: &[u8]) {
    for width in [Width::Bits64, Width::Bits32] {
        let mut pages = Pages::default();
        match load(&Bytes(file), width, &mut pages) {
            Ok(kernel) => {
                assert_eq!(kernel.width, width);
                assert!((kernel.virt_start..kernel.virt_end).contains(&kernel.entry));
                assert_eq!(kernel.virt_end - kernel.virt_start, kernel.kernel_bytes);
                assert!(kernel.kernel_bytes <= pages.bytes.len() as u64);
                assert_eq!(
                    kernel.virt_base + kernel.first_pfn * 4096,
                    kernel.virt_start
                );
                if let Some(page) = kernel.hypercall_page {
                    assert!(page.offset + 4096 <= kernel.kernel_bytes);
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    if file.starts_with(&[0x1f, 0x8b]) {
        let mut taken = 0_u64;
        let _ = gunzip(&Bytes(file), &mut |piece| {
            taken += piece.len() as u64;
            assert!(taken < 64 << 20, "more came out than can have been in it");
            Ok(())
        });
    }
}

/// A note of Xen's.
fn note(kind: u32, value: &[u8]) -> Vec<u8> {
    let mut out = 4_u32.to_le_bytes().to_vec();
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(b"Xen\0");
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// A small 64-bit kernel: one segment, and the notes in it.
pub(crate) fn elf() -> Vec<u8> {
    const BASE: u64 = 0xffff_ffff_8000_0000;
    const START: u64 = 0x10_0000;
    const AT: u64 = 0x200;
    let notes = [
        note(6, b"linux\0"),
        note(7, b"2.6\0"),
        note(5, b"xen-3.0\0"),
        note(3, &BASE.to_le_bytes()),
        note(4, &0_u64.to_le_bytes()),
        note(1, &(BASE + START).to_le_bytes()),
        note(2, &(BASE + START + 0x1000).to_le_bytes()),
        note(10, b"!writable_page_tables|pae_pgdir_above_4gb"),
        note(9, b"yes\0"),
        note(8, b"generic\0"),
    ]
    .concat();
    let mut text: Vec<u8> = (0..700_u32).map(|at| ((at * at) >> 3) as u8).collect();
    text.extend_from_slice(&notes);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for value in [BASE + START, 64, 0] {
        file.extend_from_slice(&value.to_le_bytes());
    }
    file.extend_from_slice(&[0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
    let mut program = |kind: u32, fields: [u64; 6]| {
        file.extend_from_slice(&kind.to_le_bytes());
        file.extend_from_slice(&7_u32.to_le_bytes());
        for value in fields {
            file.extend_from_slice(&value.to_le_bytes());
        }
    };
    let len = text.len() as u64;
    program(1, [AT, BASE + START, START, len, len + 0x1800, 0x1000]);
    let (at, count) = (AT + 700, notes.len() as u64);
    program(4, [at, BASE + START + 700, START + 700, count, count, 4]);
    file.resize(AT as usize, 0);
    file.append(&mut text);
    file
}

/// A bzImage of protocol 2.15 around `payload`.
fn bzimage(payload: &[u8]) -> Vec<u8> {
    const OFFSET: u32 = 0x20;
    let start = 2 * 512 + OFFSET as usize;
    let mut file = vec![0; start];
    file[0x1f1] = 1;
    file[0x1fe..0x206].copy_from_slice(b"\x55\xaa\xeb\x66HdrS");
    file[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    file[0x248..0x24c].copy_from_slice(&OFFSET.to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file.extend_from_slice(payload);
    file
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer
        .write_all(bytes)
        .and_then(|()| packer.finish())
        .expect("OK to unwrap: written to memory")
}
