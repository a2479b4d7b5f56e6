//! ELF headers: what goes where in memory, and where the notes are.
//!
//! Kernels are placed by `p_paddr`; `p_vaddr` may be 0 (Linux' per-CPU area). Segments may share a page,
//! not a byte.

use alloc::collections::BinaryHeap;
use alloc::vec;
use alloc::vec::Vec;

use elf::abi::{EM_386, EM_X86_64, PT_LOAD, PT_NOTE};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::parse::ParsingTable;
use elf::segment::SegmentTable;

use super::{ImageError, MAX_KERNEL_BYTES, PAGE_BYTES, Width};

/// Kernels have about five; the bound keeps a made-up table small.
const MAX_PROGRAM_HEADERS: u16 = 256;

/// The bytes of an ELF file, wherever they are.
pub(super) trait ElfFile {
    /// Fills `out` with the bytes at `offset`.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), ImageError>;
}

impl ElfFile for [u8] {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), ImageError> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.get(start..)?.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(ImageError::BadElf(
            "it refers to bytes that it does not have",
        ))?);
        Ok(())
    }
}

/// A part of the file that is loaded. In order of their places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Segment {
    /// Where its bytes go: from [`Layout::start`].
    pub(super) at: u64,
    /// How much memory it takes; what the file does not fill is zero.
    pub(super) memory_bytes: u64,
    /// Where its bytes are in the file.
    pub(super) offset: u64,
    /// How many there are.
    pub(super) file_bytes: u64,
}

/// The section headers' place, for kernels whose notes are only there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sections {
    pub(super) offset: u64,
    pub(super) count: u16,
    pub(super) entry_bytes: u16,
    pub(super) names_index: u16,
}

/// What the ELF and program headers say.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) width: Width,
    pub(super) entry: u64,
    /// `p_paddr` of the first loaded byte, rounded down to a page.
    pub(super) start: u64,
    /// Bytes from there to the end of the last page.
    pub(super) bytes: u64,
    /// In the order of their places in memory; none is empty, none overlap.
    pub(super) segments: Vec<Segment>,
    /// Offset and length of each `PT_NOTE` segment.
    pub(super) notes: Vec<(u64, u64)>,
    pub(super) sections: Option<Sections>,
}

impl Layout {
    /// Reads the headers of `file`, which must be for `native`.
    ///
    /// # Errors
    /// [`ImageError::OtherWidth`], [`ImageError::OtherMachine`], [`ImageError::BadElf`],
    /// [`ImageError::TooLarge`], and what reading `file` gives.
    pub(super) fn read(file: &(impl ElfFile + ?Sized), native: Width) -> Result<Self, ImageError> {
        const BAD_HEADER: ImageError = ImageError::BadElf("its header is not valid");
        let mut ident = [0; 16];
        file.read_at(0, &mut ident)?;
        let ident = parse_ident::<LittleEndian>(&ident).map_err(|_| BAD_HEADER)?;
        let class = ident.1;
        let mut tail = [0; 48];
        let tail = tail
            .get_mut(..if class == Class::ELF64 { 48 } else { 36 })
            .unwrap_or_default();
        file.read_at(16, tail)?;
        let header = FileHeader::parse_tail(ident, tail).map_err(|_| BAD_HEADER)?;
        let (width, header_bytes) = match (class, header.e_machine) {
            (Class::ELF64, EM_X86_64) => (Width::Bits64, 56),
            (Class::ELF32, EM_386) => (Width::Bits32, 32),
            (_, machine) => return Err(ImageError::OtherMachine(machine)),
        };
        if width != native {
            return Err(ImageError::OtherWidth(width));
        }
        if header.e_phentsize != header_bytes
            || header.e_phnum == 0
            || header.e_phnum > MAX_PROGRAM_HEADERS
        {
            return Err(ImageError::BadElf(
                "its program headers are missing or of a wrong size",
            ));
        }
        let mut table = vec![0; usize::from(header.e_phnum) * usize::from(header_bytes)];
        file.read_at(header.e_phoff, &mut table)?;
        let table: SegmentTable<'_, LittleEndian> = ParsingTable::new(LittleEndian, class, &table);

        let mut loaded = Vec::new();
        let mut notes = Vec::new();
        for program in table.iter() {
            let (offset, file_bytes) = (program.p_offset, program.p_filesz);
            let (at, memory_bytes) = (program.p_paddr, program.p_memsz);
            if program.p_type == PT_NOTE && offset != 0 {
                // An offset of 0 is a slip of old linkers; Xen passes over it too.
                notes.push((offset, file_bytes));
            }
            if program.p_type != PT_LOAD || memory_bytes == 0 {
                continue;
            }
            let ends = (offset.checked_add(file_bytes), at.checked_add(memory_bytes));
            if file_bytes > memory_bytes
                || !matches!(ends, (Some(_), Some(end)) if end < u64::MAX - PAGE_BYTES)
            {
                return Err(ImageError::BadElf("a segment's size is not possible"));
            }
            loaded.push(Segment {
                offset,
                file_bytes,
                at,
                memory_bytes,
            });
        }
        let sections = (header.e_shoff != 0 && header.e_shnum != 0).then_some(Sections {
            offset: header.e_shoff,
            count: header.e_shnum,
            entry_bytes: header.e_shentsize,
            names_index: header.e_shstrndx,
        });
        let (start, bytes) = arrange(&mut loaded)?;
        Ok(Self {
            width,
            entry: header.e_entry,
            start,
            bytes,
            segments: loaded,
            notes,
            sections,
        })
    }

    /// Where the last byte that matters is in the file: the end of the last segment or note.
    pub(super) fn file_end(&self) -> u64 {
        let segments = self
            .segments
            .iter()
            .map(|segment| segment.offset + segment.file_bytes);
        let notes = self
            .notes
            .iter()
            .map(|(offset, len)| offset.saturating_add(*len));
        segments.chain(notes).max().unwrap_or(0)
    }

    /// Whether the segments come in the file in the order they have in memory, and share no byte there.
    pub(super) fn is_ordered(&self) -> bool {
        let mut end = 0;
        self.segments
            .iter()
            .filter(|segment| segment.file_bytes > 0)
            .all(|segment| {
                let comes_after = end <= segment.offset;
                end = segment.offset + segment.file_bytes;
                comes_after
            })
    }
}

/// Sorts the segments, makes their places relative to the first page, and returns that page's address and
/// the length of the whole.
fn arrange(segments: &mut Vec<Segment>) -> Result<(u64, u64), ImageError> {
    // A heap: the library's sorts take kilobytes for each type.
    *segments = BinaryHeap::from(core::mem::take(segments)).into_sorted_vec();
    let first = segments
        .first()
        .ok_or(ImageError::BadElf("it has nothing to load"))?;
    let start = first.at & !(PAGE_BYTES - 1);
    let mut end = start;
    for segment in &mut *segments {
        if segment.at < end {
            return Err(ImageError::BadElf("its segments overlap"));
        }
        end = segment.at + segment.memory_bytes;
        segment.at -= start;
    }
    let bytes = (end - start).next_multiple_of(PAGE_BYTES);
    if bytes > MAX_KERNEL_BYTES {
        Err(ImageError::TooLarge(bytes))
    } else {
        Ok((start, bytes))
    }
}
