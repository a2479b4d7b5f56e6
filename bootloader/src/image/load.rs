//! The way from a file to a [`Kernel`].

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::bzimage::{self, Payload};
use super::layout::{ElfFile, Layout, Segment};
use super::notes::Notes;
use super::{
    HypercallPage, ImageError, Kernel, MAX_KERNEL_BYTES, Memory, PAGE_BYTES, Packing, Source, Span,
    Width,
};
use unpack::{Codec, Fault, Feed, FileFeed, Inflate, Input, MAGIC_BYTES, Window};

const ELF_MAGIC: &[u8] = b"\x7fELF";
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// How much of a packed ELF file is decoded to see its headers, which are at its front.
const PROBE_BYTES: usize = 64 << 10;

/// A gzip file's length is taken from its end, where something else may stand. Beyond what the segments
/// need it is believed up to so much; the rest of a longer file is decoded for its checksum but not kept.
const MAX_GZIP_TAIL: u64 = 16 << 20;

/// Loads the kernel in `source` to memory from `memory`, for a loader of the width `native`.
///
/// # Errors
/// Any [`ImageError`]; the memory's contents are then unspecified.
pub fn load(
    source: &dyn Source,
    native: Width,
    memory: &mut dyn Memory,
) -> Result<Kernel, ImageError> {
    let mut head = read_head(Input::new(
        Feed::File(FileFeed::new(source, 0, source.len())),
        HEAD_LIMIT,
    ))?;
    let is_gzipped = head.starts_with(GZIP_MAGIC);
    if is_gzipped {
        let inflate = open_gzip(source).map_err(in_gzip)?;
        head = read_head(Input::new(Feed::Inflate(Box::new(inflate)), HEAD_LIMIT)).map_err(
            |error| match error {
                // Without a size to compare with; the header alone is more than came out.
                ImageError::Truncated { .. } => ImageError::Truncated {
                    missing: 1,
                    of: Some(Codec::Gzip),
                },
                error => error,
            },
        )?;
    }
    if head.starts_with(ELF_MAGIC) {
        if is_gzipped {
            let len = source.len();
            return Packed {
                source,
                is_bzimage: false,
                is_gzipped: false,
                start: 0,
                end: len,
                codec: Codec::Gzip,
            }
            .load(native, memory);
        }
        return Raw {
            source,
            start: 0,
            end: source.len(),
        }
        .load(false, native, memory);
    }
    let Some(payload) = Payload::find(&head)? else {
        let mut magic = [0; 4];
        for (to, from) in magic.iter_mut().zip(&head) {
            *to = *from;
        }
        return Err(ImageError::NotAKernel(magic));
    };
    load_bzimage(source, is_gzipped, payload, native, memory)
}

/// How many bytes of a file [`read_head`] looks at.
const HEAD_LIMIT: u64 = bzimage::HEADER_BYTES as u64;

/// The first bytes of `input`, as many as are needed to tell what it is.
fn read_head(mut input: Input<'_>) -> Result<Vec<u8>, ImageError> {
    let mut head = vec![0; bzimage::HEADER_BYTES];
    let len = input.read(&mut head).map_err(in_gzip)?;
    head.truncate(len);
    Ok(head)
}

/// A fault in the gzip around a whole file.
pub(super) fn in_gzip(fault: Fault) -> ImageError {
    explain(fault, Codec::Gzip, 0, 1)
}

/// The error for `fault`, met with `produced` bytes decoded of `expected`.
fn explain(fault: Fault, codec: Codec, produced: u64, expected: u64) -> ImageError {
    match fault {
        Fault::Source(error) => ImageError::Source(*error),
        Fault::Truncated => ImageError::Truncated {
            missing: expected.saturating_sub(produced).max(1),
            of: Some(codec),
        },
        Fault::Corrupt(what) => ImageError::Corrupt(codec, what),
        Fault::Unsupported(what) => ImageError::UnsupportedPacking(codec, what),
        Fault::Full => ImageError::WrongSize {
            found: produced,
            said: expected,
        },
    }
}

pub(super) fn open_gzip(source: &dyn Source) -> Result<Inflate<'_>, Fault> {
    let len = source.len();
    Inflate::new(Input::new(Feed::File(FileFeed::new(source, 0, len)), len))
}

fn load_bzimage(
    source: &dyn Source,
    is_gzipped: bool,
    payload: Payload,
    native: Width,
    memory: &mut dyn Memory,
) -> Result<Kernel, ImageError> {
    let Payload { start, end } = payload;
    if end > MAX_KERNEL_BYTES {
        return Err(ImageError::TooLarge(end));
    }
    if !is_gzipped && end > source.len() {
        return Err(ImageError::Truncated {
            missing: end - source.len(),
            of: None,
        });
    }
    let packed = Packed {
        source,
        is_bzimage: true,
        is_gzipped,
        start,
        end,
        codec: Codec::Gzip,
    };
    let mut magic = [0; MAGIC_BYTES];
    if end - start >= magic.len() as u64 {
        packed
            .open()
            .and_then(|mut input| input.exact(&mut magic))
            .map_err(in_gzip)?;
    }
    if magic.starts_with(ELF_MAGIC) && !is_gzipped {
        return Raw { source, start, end }.load(true, native, memory);
    }
    let codec = Codec::of_magic(&magic).ok_or(ImageError::UnknownCompression(magic))?;
    Packed { codec, ..packed }.load(native, memory)
}

/// An ELF file that stands in the open.
struct Raw<'a> {
    source: &'a dyn Source,
    /// Where in the file it begins and ends.
    start: u64,
    end: u64,
}

impl ElfFile for Raw<'_> {
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), ImageError> {
        let from = self.start.saturating_add(offset);
        let to = from.saturating_add(out.len() as u64);
        if to > self.end {
            return Err(ImageError::Truncated {
                missing: to - self.end,
                of: None,
            });
        }
        self.source.read_at(from, out).map_err(ImageError::Source)
    }
}

impl Raw<'_> {
    fn load(
        &self,
        is_bzimage: bool,
        native: Width,
        memory: &mut dyn Memory,
    ) -> Result<Kernel, ImageError> {
        let layout = Layout::read(self, native)?;
        let missing = layout.file_end().saturating_sub(self.end - self.start);
        if missing > 0 {
            return Err(ImageError::Truncated { missing, of: None });
        }
        let notes = Notes::find(&layout, self)?;
        let place = Place::new(&layout, &notes)?;
        let memory = memory.allocate(Span {
            kernel_bytes: place.bytes,
            work_bytes: place.bytes,
        })?;
        let (memory, _) = split(memory, place.bytes)?;
        // The segments' places are from the layout's start, which a hypercall page may have moved away from.
        let shift = layout.start - place.start;
        for segment in &layout.segments {
            let bytes = piece(memory, segment.at + shift, segment.file_bytes)?;
            self.read_in_chunks(segment.offset, bytes)?;
        }
        clear_gaps(memory, &layout.segments, shift)?;
        let packing = Packing {
            is_bzimage,
            is_gzipped: false,
            codec: None,
            unpacked_bytes: self.end - self.start,
        };
        Ok(place.into_kernel(&layout, notes, packing))
    }

    /// Reads in pieces, so that no layer below needs to hold a whole segment.
    fn read_in_chunks(&self, offset: u64, out: &mut [u8]) -> Result<(), ImageError> {
        const CHUNK_BYTES: usize = 1 << 20;
        let len = out.len() as u64;
        let mut done = 0;
        for chunk in out.chunks_mut(CHUNK_BYTES) {
            self.read_at(offset + done, chunk)?;
            done += chunk.len() as u64;
            let ahead = (len - done).min(CHUNK_BYTES as u64);
            if ahead > 0 {
                self.source.prefetch(self.start + offset + done, ahead);
            }
        }
        Ok(())
    }
}

/// An ELF file that is packed.
struct Packed<'a> {
    source: &'a dyn Source,
    is_bzimage: bool,
    /// There is a gzip around the whole file; `start` and `end` count what comes out of it.
    is_gzipped: bool,
    start: u64,
    end: u64,
    codec: Codec,
}

impl<'a> Packed<'a> {
    /// The packed data, with all that stands before `end`.
    fn open(&self) -> Result<Input<'a>, Fault> {
        let len = self.end - self.start;
        if !self.is_gzipped {
            return Ok(Input::new(
                Feed::File(FileFeed::new(self.source, self.start, self.end)),
                len,
            ));
        }
        let mut input = Input::new(Feed::Inflate(Box::new(open_gzip(self.source)?)), self.end);
        input.skip(self.start)?;
        Ok(input)
    }

    /// The packed data alone.
    fn open_data(&self) -> Result<Input<'a>, Fault> {
        let mut input = self.open()?;
        // Linux appends the size to all formats but gzip, which has it as its own last field.
        let trailer = if self.codec == Codec::Gzip { 0 } else { 4 };
        input.end_after((self.end - self.start).saturating_sub(trailer));
        Ok(input)
    }

    /// The size of the ELF file, from the last four bytes.
    fn read_size(&self) -> Result<u64, Fault> {
        let mut input = if self.is_gzipped {
            let mut input = self.open()?;
            input.skip((self.end - self.start).saturating_sub(4))?;
            input
        } else {
            let from = self.end.saturating_sub(4).max(self.start);
            Input::new(Feed::File(FileFeed::new(self.source, from, self.end)), 4)
        };
        Ok(u32::from_le_bytes(input.array()?).into())
    }

    fn load(&self, native: Width, memory: &mut dyn Memory) -> Result<Kernel, ImageError> {
        let codec = self.codec;
        let said = self
            .read_size()
            .map_err(|fault| explain(fault, codec, 0, 1))?;
        // What stands at the end of a gzip file may be anything; see below.
        if said > MAX_KERNEL_BYTES && codec != Codec::Gzip {
            return Err(ImageError::TooLarge(said));
        }
        let layout = self.probe(said, native)?;
        let needed = layout.file_end();
        if needed > MAX_KERNEL_BYTES {
            return Err(ImageError::TooLarge(needed));
        }
        let keep = match codec {
            Codec::Gzip
                if !(needed..=needed + MAX_GZIP_TAIL).contains(&said)
                    || said > MAX_KERNEL_BYTES =>
            {
                needed
            }
            _ if said < needed => {
                return Err(ImageError::Truncated {
                    missing: needed - said,
                    of: Some(codec),
                });
            }
            _ => said,
        };
        // Segments in the order of the file can be moved to their places within the same memory. Others
        // (no kernel is known to have them) are copied from behind.
        let from = if layout.is_ordered() { 0 } else { layout.bytes };
        let work_bytes = layout.bytes.max(from + keep).next_multiple_of(PAGE_BYTES);
        let memory = memory.allocate(Span {
            kernel_bytes: layout.bytes,
            work_bytes,
        })?;
        let file = piece(memory, from, keep)?;

        let mut window = if codec == Codec::Gzip {
            Window::discarding(file, MAX_KERNEL_BYTES)
        } else {
            Window::keeping(file)
        };
        let result = self
            .open_data()
            .and_then(|mut input| codec.unpack(&mut input, &mut window));
        let found = window.total();
        result.map_err(|fault| explain(fault, codec, found, said.max(keep)))?;
        if found < keep || codec != Codec::Gzip && found != said {
            return Err(ImageError::WrongSize {
                found,
                said: said.max(keep),
            });
        }

        let notes = Notes::find(&layout, &*file)?;
        let place = Place::new(&layout, &notes)?;
        if place.start != layout.start || place.bytes > work_bytes {
            // It would have to be known before the notes were unpacked.
            return Err(ImageError::BadNote(
                "the hypercall page is outside the kernel; unpack the kernel file",
            ));
        }
        move_segments(memory, &layout.segments, from)?;
        let (memory, _) = split(memory, place.bytes)?;
        clear_gaps(memory, &layout.segments, 0)?;
        let packing = Packing {
            is_bzimage: self.is_bzimage,
            is_gzipped: self.is_gzipped,
            codec: Some(codec),
            unpacked_bytes: found,
        };
        Ok(place.into_kernel(&layout, notes, packing))
    }

    /// Decodes the front of the ELF file and reads its headers.
    fn probe(&self, said: u64, native: Width) -> Result<Layout, ImageError> {
        let mut front = vec![0; PROBE_BYTES];
        let mut window = Window::keeping(&mut front);
        let result = self
            .open_data()
            .and_then(|mut input| self.codec.unpack(&mut input, &mut window));
        let len = window.len();
        match result {
            Ok(()) | Err(Fault::Full) => {}
            Err(fault) => return Err(explain(fault, self.codec, len as u64, said)),
        }
        front.truncate(len);
        if !front.starts_with(ELF_MAGIC) {
            return Err(ImageError::BadElf("what is packed is not ELF"));
        }
        Layout::read(&*front, native)
    }
}

/// The kernel's place, as its notes have it.
struct Place {
    /// `p_paddr` of the first page.
    start: u64,
    bytes: u64,
    virt_base: u64,
    paddr_offset: u64,
    first_pfn: u64,
    virt_start: u64,
    virt_end: u64,
    entry: u64,
    hypercall_page: Option<HypercallPage>,
}

impl Place {
    /// Works out addresses and checks them (`libelf-dominfo.c`, `elf_xen_addr_calc_check`).
    fn new(layout: &Layout, notes: &Notes) -> Result<Self, ImageError> {
        notes.check(layout.width)?;
        if notes.paddr_offset.is_some() && notes.virt_base.is_none() {
            return Err(ImageError::BadNote(
                "it has a PADDR_OFFSET but no VIRT_BASE",
            ));
        }
        let virt_base = notes.virt_base.unwrap_or(0);
        let paddr_offset =
            notes
                .paddr_offset
                .unwrap_or(if notes.is_legacy { virt_base } else { 0 });
        // Addresses of a 32-bit kernel stay below 4 GiB; those of a 64-bit one may be anywhere.
        let top = match layout.width {
            Width::Bits64 => u64::MAX,
            Width::Bits32 => u32::MAX.into(),
        };
        let virt_of = |paddr: u64| paddr.wrapping_add(virt_base.wrapping_sub(paddr_offset));
        let (mut start, mut bytes) = (layout.start, layout.bytes);
        if let Some(page) = notes.hypercall_page {
            // Old kernels may have it beside their segments.
            let at = page.wrapping_sub(virt_base.wrapping_sub(paddr_offset));
            let end = start.max(at).saturating_add(PAGE_BYTES).max(start + bytes);
            let end = if at < start { start + bytes } else { end };
            start = start.min(at);
            bytes = end - start;
            if !at.is_multiple_of(PAGE_BYTES) || bytes > MAX_KERNEL_BYTES {
                return Err(ImageError::BadNote(
                    "the hypercall page is nowhere near the kernel",
                ));
            }
        }
        let virt_start = virt_of(start);
        let virt_end = virt_start.checked_add(bytes).filter(|end| *end - 1 <= top);
        let virt_end =
            virt_end.ok_or(ImageError::BadNote("the kernel ends beyond all addresses"))?;
        let is_aligned = [virt_base, virt_start]
            .iter()
            .all(|at| at.is_multiple_of(PAGE_BYTES));
        if !is_aligned || virt_base > virt_start {
            return Err(ImageError::BadNote(
                "VIRT_BASE does not fit the kernel's addresses",
            ));
        }
        let entry = notes.entry.unwrap_or(layout.entry);
        if !(virt_start..virt_end).contains(&entry) {
            return Err(ImageError::BadNote("the entry is outside the kernel"));
        }
        if notes
            .init_p2m
            .is_some_and(|p2m| (virt_start..virt_end).contains(&p2m))
        {
            return Err(ImageError::BadNote("INIT_P2M is inside the kernel"));
        }
        let first_pfn = (virt_start - virt_base) / PAGE_BYTES;
        if first_pfn > MAX_KERNEL_BYTES / PAGE_BYTES {
            return Err(ImageError::BadNote("the kernel is too far from VIRT_BASE"));
        }
        let hypercall_page = notes.hypercall_page.map(|virt| HypercallPage {
            virt,
            offset: virt.wrapping_sub(virt_start),
        });
        Ok(Self {
            start,
            bytes,
            virt_base,
            paddr_offset,
            first_pfn,
            virt_start,
            virt_end,
            entry,
            hypercall_page,
        })
    }

    fn into_kernel(self, layout: &Layout, notes: Notes, packing: Packing) -> Kernel {
        Kernel {
            width: layout.width,
            entry: self.entry,
            virt_base: self.virt_base,
            paddr_offset: self.paddr_offset,
            first_pfn: self.first_pfn,
            virt_start: self.virt_start,
            virt_end: self.virt_end,
            kernel_bytes: self.bytes,
            pvh_entry: notes.phys32_entry,
            hypercall_page: self.hypercall_page,
            init_p2m: notes.init_p2m,
            mod_start_pfn: notes.mod_start_pfn.is_some_and(|value| value != 0),
            pae: notes.pae.unwrap_or_default(),
            hv_start_low: notes.hv_start_low,
            features: notes.features.unwrap_or_default(),
            guest_os: notes.guest_os.unwrap_or_default(),
            guest_version: notes.guest_version.unwrap_or_default(),
            bsd_symtab: notes.bsd_symtab,
            packing,
        }
    }
}

/// Memory that is smaller than what was asked for.
const SHORT_MEMORY: ImageError = ImageError::BadElf("it does not fit the memory it was given");

/// The `len` bytes of `memory` at `at`.
fn piece(memory: &mut [u8], at: u64, len: u64) -> Result<&mut [u8], ImageError> {
    let end = at
        .checked_add(len)
        .and_then(|end| usize::try_from(end).ok());
    match (usize::try_from(at), end) {
        (Ok(at), Some(end)) => memory.get_mut(at..end).ok_or(SHORT_MEMORY),
        _ => Err(SHORT_MEMORY),
    }
}

fn split(memory: &mut [u8], at: u64) -> Result<(&mut [u8], &mut [u8]), ImageError> {
    usize::try_from(at)
        .ok()
        .and_then(|at| memory.split_at_mut_checked(at))
        .ok_or(SHORT_MEMORY)
}

/// Moves the segments' bytes from where the file begins, at `from`, to their places.
///
/// When the file is at 0 its segments have the same order as their places and overlap in neither. So a
/// segment that moves down can only meet, at its place, earlier ones, and one that moves up later ones:
/// first those that move down, in ascending order, then those that move up, in descending order.
fn move_segments(memory: &mut [u8], segments: &[Segment], from: u64) -> Result<(), ImageError> {
    let moves_down = |segment: &&Segment| segment.at <= from + segment.offset;
    let down = segments.iter().filter(|segment| moves_down(segment));
    let up = segments.iter().rev().filter(|segment| !moves_down(segment));
    for segment in down.chain(up) {
        let source = from + segment.offset;
        let range = |at: u64| {
            Some(
                usize::try_from(at).ok()?
                    ..usize::try_from(at.checked_add(segment.file_bytes)?).ok()?,
            )
        };
        let (Some(source), Some(place)) = (range(source), range(segment.at)) else {
            return Err(SHORT_MEMORY);
        };
        if source.end > memory.len() || place.end > memory.len() {
            return Err(SHORT_MEMORY);
        }
        memory.copy_within(source, place.start);
    }
    Ok(())
}

/// Clears what no segment's bytes fill. The segments' places are `shift` further on in `memory`.
fn clear_gaps(memory: &mut [u8], segments: &[Segment], shift: u64) -> Result<(), ImageError> {
    let mut at = 0;
    for segment in segments {
        let start = segment.at + shift;
        piece(memory, at, start - at)?.fill(0);
        at = start + segment.file_bytes;
    }
    let end = memory.len() as u64;
    piece(memory, at, end - at)?.fill(0);
    Ok(())
}
