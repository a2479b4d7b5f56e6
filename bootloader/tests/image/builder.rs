//! Makes kernels for the tests of this folder and of `image_heap.rs`: ELF files, bzImages, and packed data by the real tools.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code, though not in test functions"
)]

use std::cell::Cell;
use std::io::Write;
use std::process::{Command, Stdio};

use bootloader::image::{
    ImageError, Kernel, Memory, NoMemory, Source, SourceError, Span, Width, load,
};

/// A seeded generator (xorshift64*), so that a failure repeats.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

/// Bytes that pack like a kernel: repeated idioms, calls with near targets, tables, zeros, some noise.
pub(crate) fn code(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed | 1);
    let mut out = Vec::with_capacity(len + 64);
    while out.len() < len {
        match random.below(100) {
            0..30 => {
                out.push(if random.below(4) == 0 { 0xe9 } else { 0xe8 });
                let target = random.below(1 << 12) * 16;
                let relative = target.wrapping_sub(out.len() + 4) as u32;
                out.extend_from_slice(&relative.to_le_bytes());
            }
            30..60 => {
                let word = Random(random.next() % 512 + 1).next().to_le_bytes();
                out.extend_from_slice(&word[..3 + random.below(5)]);
            }
            60..95 if out.len() > 64 => {
                let reach = out.len().min(1 << (6 + random.below(19)));
                let start = out.len() - 1 - random.below(reach);
                let count = (4 + random.below(60)).min(out.len() - start);
                out.extend_from_within(start..start + count);
            }
            95..97 => out.resize(out.len() + random.below(600), 0),
            _ => out.extend_from_slice(&random.next().to_le_bytes()),
        }
    }
    out.truncate(len);
    out
}

/// A program header and the bytes it stands for.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) kind: u32,
    /// Where in the file; the bytes are written there.
    pub(crate) offset: u64,
    pub(crate) vaddr: u64,
    pub(crate) paddr: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) memory_bytes: u64,
}

/// An ELF file to be written.
#[derive(Clone)]
pub(crate) struct Elf {
    pub(crate) width: Width,
    pub(crate) machine: u16,
    pub(crate) entry: u64,
    pub(crate) programs: Vec<Program>,
    /// Name, type and bytes, appended to the file with section headers.
    pub(crate) sections: Vec<(&'static str, u32, Vec<u8>)>,
    /// Zeros at the end.
    pub(crate) tail: usize,
}

pub(crate) const PT_LOAD: u32 = 1;
pub(crate) const PT_NOTE: u32 = 4;
pub(crate) const VIRT_BASE: u64 = 0xffff_ffff_8000_0000;

impl Elf {
    /// A kernel shaped like Linux: text with the notes in it, data, a per-CPU area without an address, the
    /// rest with bss. About `len` bytes.
    pub(crate) fn linux(len: usize) -> Self {
        let page = |at: u64| at.next_multiple_of(0x1000);
        let (text_len, data_len) = (len / 2, len / 4);
        let mut text = code(text_len, 1);
        let notes = linux_notes();
        let note_at = (text_len / 2) & !3;
        text[note_at..note_at + notes.len()].copy_from_slice(&notes);
        let text_at = 0x20_0000.min(page(len as u64 / 16));
        let data_at = page(text_at + text_len as u64);
        let cpu_at = page(data_at + data_len as u64) + 0x3000;
        let init_at = page(cpu_at + 0x800);
        let (text_to, data_to) = (0x100_0000, 0x100_0000 + page(text_len as u64));
        let cpu_to = data_to + page(data_len as u64);
        let init_to = cpu_to + 0x1000;
        let load = |offset, paddr: u64, bytes: Vec<u8>, more: u64| Program {
            kind: PT_LOAD,
            offset,
            vaddr: paddr + VIRT_BASE,
            paddr,
            memory_bytes: bytes.len() as u64 + more,
            bytes,
        };
        let mut programs = vec![
            load(text_at, text_to, text, 0),
            load(data_at, data_to, code(data_len, 2), 0),
            load(cpu_at, cpu_to, code(0x800, 3), 0x100),
            load(init_at, init_to, code(len / 8, 4), 0x1_2345),
        ];
        programs[2].vaddr = 0;
        programs.push(Program {
            kind: PT_NOTE,
            offset: text_at + note_at as u64,
            vaddr: 0,
            paddr: text_to + note_at as u64,
            memory_bytes: notes.len() as u64,
            bytes: notes,
        });
        let entry = VIRT_BASE + text_to;
        Self {
            width: Width::Bits64,
            machine: 62,
            entry,
            programs,
            sections: vec![],
            tail: len / 32,
        }
    }

    /// The file.
    pub(crate) fn write(&self) -> Vec<u8> {
        let is_64 = self.width == Width::Bits64;
        let mut file = Vec::new();
        let mut put_at = |at: u64, bytes: &[u8]| {
            let at = usize::try_from(at).unwrap();
            file.resize(file.len().max(at + bytes.len()), 0);
            file[at..at + bytes.len()].copy_from_slice(bytes);
        };
        let header_len = if is_64 { 64 } else { 52 };
        let mut table = Vec::new();
        for program in &self.programs {
            put_at(program.offset, &program.bytes);
            let len = program.bytes.len() as u64;
            let fields = [
                program.offset,
                program.vaddr,
                program.paddr,
                len,
                program.memory_bytes,
            ];
            table.extend_from_slice(&program.kind.to_le_bytes());
            if is_64 {
                table.extend_from_slice(&7u32.to_le_bytes());
                fields
                    .iter()
                    .for_each(|field| table.extend_from_slice(&field.to_le_bytes()));
                table.extend_from_slice(&0x1000u64.to_le_bytes());
            } else {
                let fields = fields.map(|field| u32::try_from(field).unwrap());
                fields
                    .iter()
                    .for_each(|field| table.extend_from_slice(&field.to_le_bytes()));
                table.extend_from_slice(&7u32.to_le_bytes());
                table.extend_from_slice(&0x1000u32.to_le_bytes());
            }
        }
        put_at(header_len, &table);
        file.resize(file.len() + self.tail, 0);
        let (section_at, section_count) = self.write_sections(&mut file);
        let mut header = b"\x7fELF".to_vec();
        header.extend_from_slice(&[if is_64 { 2 } else { 1 }, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        header.extend_from_slice(&2u16.to_le_bytes());
        header.extend_from_slice(&self.machine.to_le_bytes());
        header.extend_from_slice(&1u32.to_le_bytes());
        for field in [self.entry, header_len, section_at] {
            let bytes = field.to_le_bytes();
            header.extend_from_slice(if is_64 { &bytes } else { &bytes[..4] });
        }
        header.extend_from_slice(&0u32.to_le_bytes());
        let (program_len, section_len) = if is_64 { (56, 64) } else { (32, 40) };
        let count = self.programs.len() as u16;
        let names = section_count.saturating_sub(1);
        for field in [
            header_len as u16,
            program_len,
            count,
            section_len,
            section_count,
            names,
        ] {
            header.extend_from_slice(&field.to_le_bytes());
        }
        file[..header.len()].copy_from_slice(&header);
        file
    }

    /// Appends the sections and their headers; returns where the headers are and how many.
    fn write_sections(&self, file: &mut Vec<u8>) -> (u64, u16) {
        if self.sections.is_empty() {
            return (0, 0);
        }
        let mut names = vec![0];
        let mut headers = vec![[0u64; 4]];
        let strings = (".shstrtab", 3, Vec::new());
        for (name, kind, bytes) in self.sections.iter().chain([&strings]) {
            let name_at = names.len() as u64;
            names.extend_from_slice(name.as_bytes());
            names.push(0);
            let bytes = if *kind == 3 { &names } else { bytes };
            headers.push([
                name_at,
                u64::from(*kind),
                file.len() as u64,
                bytes.len() as u64,
            ]);
            file.extend_from_slice(bytes);
        }
        let at = file.len() as u64;
        for [name, kind, offset, len] in &headers {
            let is_64 = self.width == Width::Bits64;
            file.extend_from_slice(&(*name as u32).to_le_bytes());
            file.extend_from_slice(&(*kind as u32).to_le_bytes());
            for field in [0, 0, *offset, *len] {
                let bytes = field.to_le_bytes();
                file.extend_from_slice(if is_64 { &bytes } else { &bytes[..4] });
            }
            file.resize(file.len() + if is_64 { 24 } else { 16 }, 0);
        }
        (at, headers.len() as u16)
    }

    /// What the kernel's memory must hold, by a way of its own: zeros, then each segment.
    pub(crate) fn expected_memory(&self) -> Vec<u8> {
        let loads = || {
            self.programs
                .iter()
                .filter(|program| program.kind == PT_LOAD)
        };
        let start = loads().map(|load| load.paddr).min().unwrap() & !0xfff;
        let end = loads()
            .map(|load| load.paddr + load.memory_bytes)
            .max()
            .unwrap();
        let len = (end - start).next_multiple_of(0x1000);
        let mut memory = vec![0; usize::try_from(len).unwrap()];
        for load in loads() {
            let at = usize::try_from(load.paddr - start).unwrap();
            memory[at..at + load.bytes.len()].copy_from_slice(&load.bytes);
        }
        memory
    }

    /// Replaces the notes of the `PT_NOTE` segment, and moves them to the end of the file.
    pub(crate) fn with_notes(mut self, notes: Vec<u8>) -> Self {
        let end = self
            .programs
            .iter()
            .map(|p| p.offset + p.bytes.len() as u64)
            .max()
            .unwrap();
        let program = self
            .programs
            .iter_mut()
            .find(|program| program.kind == PT_NOTE)
            .unwrap();
        program.offset = end.next_multiple_of(4);
        program.memory_bytes = notes.len() as u64;
        program.bytes = notes;
        self
    }

    /// Makes it one of 32 bits that is entered at its text, `base` above where that lies. What its addresses are
    /// is left to its notes.
    pub(crate) fn with_32_bits(mut self, base: u64) -> Self {
        self.width = Width::Bits32;
        self.machine = 3;
        self.entry = base + 0x100_0000;
        self.programs
            .iter_mut()
            .for_each(|program| program.vaddr = 0);
        self
    }
}

/// One note with Xen's name.
pub(crate) fn note(id: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in [4, value.len() as u32, id] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    out.extend_from_slice(b"Xen\0");
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// The notes of a Linux kernel, with both lengths of number and features without a NUL.
pub(crate) fn linux_notes() -> Vec<u8> {
    [
        // Some other program's note comes first.
        [
            &[4, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0][..],
            b"GNU\0",
            &[1, 2, 3, 4],
        ]
        .concat(),
        note(6, b"linux\0"),
        note(7, b"2.6\0"),
        note(5, b"xen-3.0\0"),
        note(3, &VIRT_BASE.to_le_bytes()),
        note(4, &0u32.to_le_bytes()),
        note(1, &(VIRT_BASE + 0x100_0040).to_le_bytes()),
        note(10, b"!writable_page_tables|pae_pgdir_above_4gb"),
        note(8, b"generic\0"),
        note(15, &0x80_0000_0000u64.to_le_bytes()),
        note(16, &1u32.to_le_bytes()),
        note(18, &0x100_0100u32.to_le_bytes()),
    ]
    .concat()
}

/// A bzImage of protocol 2.15 around `payload`.
pub(crate) fn bzimage(payload: &[u8]) -> Vec<u8> {
    const SETUP_SECTORS: u8 = 3;
    const PAYLOAD_OFFSET: u32 = 0x123;
    let start = (usize::from(SETUP_SECTORS) + 1) * 512 + PAYLOAD_OFFSET as usize;
    let mut file = vec![0; start];
    file[0x1f1] = SETUP_SECTORS;
    file[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    file[0x248..0x24c].copy_from_slice(&PAYLOAD_OFFSET.to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file.extend_from_slice(payload);
    // The code that unpacks the kernel on real machines follows the payload.
    file.extend_from_slice(&code(5000, 9));
    file
}

/// Runs `command` (words) on `input`. `None`, and a line on standard error, if there is no such program;
/// in CI that is a failure.
pub(crate) fn pack(command: &str, input: &[u8]) -> Option<Vec<u8>> {
    let mut words = command.split(' ');
    let mut process = Command::new(words.next().unwrap());
    process
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = match process.spawn() {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{command}: {error}");
            eprintln!("skipped: {command}: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command}: {}", output.status);
    Some(output.stdout)
}

/// Packs `elf` as the payload of a bzImage; Linux appends the size to all formats but gzip.
pub(crate) fn pack_payload(command: &str, elf: &[u8]) -> Option<Vec<u8>> {
    let mut payload = pack(command, elf)?;
    if !command.starts_with("gzip") {
        payload.extend_from_slice(&(elf.len() as u32).to_le_bytes());
    }
    Some(payload)
}

/// A file in memory that checks how it is read.
pub(crate) struct Bytes<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) read: Cell<u64>,
    pub(crate) prefetched: Cell<u64>,
    /// Reads that reach beyond this fail.
    pub(crate) bad_from: u64,
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            read: Cell::new(0),
            prefetched: Cell::new(0),
            bad_from: u64::MAX,
        }
    }
}

impl Source for Bytes<'_> {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), SourceError> {
        let end = offset + out.len() as u64;
        assert!(
            end <= self.len(),
            "read of {offset}+{} in {}",
            out.len(),
            self.len()
        );
        if end > self.bad_from {
            return Err(SourceError {
                message: "disk on fire".to_owned(),
                number: 25,
            });
        }
        self.read.set(self.read.get() + out.len() as u64);
        out.copy_from_slice(&self.bytes[offset as usize..end as usize]);
        Ok(())
    }

    fn prefetch(&self, offset: u64, len: u64) {
        assert!(offset + len <= self.len());
        self.prefetched.set(self.prefetched.get() + len);
    }
}

/// Memory full of old bytes.
#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) bytes: Vec<u8>,
    pub(crate) span: Option<Span>,
    pub(crate) limit: Option<u64>,
}

impl Memory for Pages {
    fn allocate(&mut self, span: Span) -> Result<&mut [u8], NoMemory> {
        assert!(self.span.is_none(), "asked twice");
        assert!(span.kernel_bytes <= span.work_bytes);
        assert!(span.kernel_bytes.is_multiple_of(4096) && span.work_bytes.is_multiple_of(4096));
        self.span = Some(span);
        match self.limit {
            Some(free) if free < span.work_bytes => Err(NoMemory {
                needed: span.work_bytes,
                free,
            }),
            _ => {
                self.bytes = vec![0xaa; usize::try_from(span.work_bytes).unwrap()];
                Ok(&mut self.bytes)
            }
        }
    }
}

/// Loads `file` as the 64-bit loader would.
pub(crate) fn try_load(file: &[u8]) -> Result<(Kernel, Vec<u8>), ImageError> {
    let mut pages = Pages::default();
    let kernel = load(&Bytes::new(file), Width::Bits64, &mut pages)?;
    pages
        .bytes
        .truncate(usize::try_from(kernel.kernel_bytes).unwrap());
    Ok((kernel, pages.bytes))
}
