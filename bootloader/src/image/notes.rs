//! What a kernel tells Xen about itself: ELF notes, or the older `__xen_guest` string.
//!
//! Both spellings end in one [`Notes`]. Protocol: Xen `public/elfnote.h`; which value is required and what
//! an absent one means follows `xen/common/libelf/libelf-dominfo.c`.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use elf::abi::SHT_NOTE;
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::note::{Note, NoteIterator};
use elf::parse::ParsingTable;
use elf::section::{SectionHeader, SectionHeaderTable};

use super::layout::{ElfFile, Layout, Sections};
use super::{ImageError, Width};

/// Notes and the section headers are small; more than this in all is not read.
const MAX_TABLE_BYTES: u64 = 1 << 20;

/// Where the hypervisor's addresses begin in a 32-bit guest.
const HYPERVISOR_32: u64 = 0xf580_0000;

/// Bytes by which the last note may exceed its segment.
const OVERHANG: usize = 64;

/// Features a kernel may require: those a PV guest has. Of the known ones `auto_translated_physmap`,
/// `supervisor_mode_kernel` and `dom0` are left out. Linux requires `writable_page_tables`, which every
/// Xen claims in its own way of emulation.
const FEATURES: [&str; 3] = [
    "writable_page_tables",
    "writable_descriptor_tables",
    "pae_pgdir_above_4gb",
];

/// How a 32-bit kernel wants its page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pae {
    /// No PAE; also what a kernel means that does not say.
    #[default]
    No,
    /// PAE, with the top table below 4 GiB.
    Yes,
    /// PAE, with the top table anywhere.
    ExtendedCr3,
    /// PAE and not, as the hypervisor likes.
    Bimodal,
}

/// The values of a kernel's notes; `None` where there is no such note.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Notes {
    pub(super) entry: Option<u64>,
    pub(super) hypercall_page: Option<u64>,
    pub(super) virt_base: Option<u64>,
    pub(super) paddr_offset: Option<u64>,
    pub(super) hv_start_low: Option<u64>,
    pub(super) init_p2m: Option<u64>,
    pub(super) mod_start_pfn: Option<u64>,
    pub(super) phys32_entry: Option<u64>,
    pub(super) xen_version: Option<String>,
    pub(super) guest_os: Option<String>,
    pub(super) guest_version: Option<String>,
    pub(super) loader: Option<String>,
    pub(super) features: Option<String>,
    pub(super) pae: Option<Pae>,
    pub(super) bsd_symtab: bool,
    /// The values come from a `__xen_guest` string.
    pub(super) is_legacy: bool,
}

impl Notes {
    /// Finds the notes of the kernel in `file`: in its note segments, else its note sections, else its
    /// `__xen_guest` section.
    ///
    /// # Errors
    /// [`ImageError::NoXenNotes`], and what reading `file` gives.
    pub(super) fn find(
        layout: &Layout,
        file: &(impl ElfFile + ?Sized),
    ) -> Result<Self, ImageError> {
        let mut notes = Self::default();
        let mut found = 0;
        let mut budget = MAX_TABLE_BYTES;
        for (offset, len) in &layout.notes {
            found += notes.take_all(&read(file, *offset, *len, &mut budget)?);
        }
        if found > 0 {
            return Ok(notes);
        }
        let Some(sections) = layout.sections else {
            return Err(ImageError::NoXenNotes);
        };
        let headers = read_sections(sections, layout.width, file, &mut budget)?;
        for header in headers.iter().filter(|header| header.sh_type == SHT_NOTE) {
            found += notes.take_all(&read(file, header.sh_offset, header.sh_size, &mut budget)?);
        }
        if found > 0 {
            return Ok(notes);
        }
        let names = headers
            .get(usize::from(sections.names_index))
            .ok_or(ImageError::NoXenNotes)?;
        let names = read(file, names.sh_offset, names.sh_size, &mut budget)?;
        for header in &headers {
            let name = usize::try_from(header.sh_name)
                .ok()
                .and_then(|start| names.get(start..));
            if name.is_some_and(|name| name.starts_with(b"__xen_guest\0")) {
                return Ok(Self::from_string(&text(&read(
                    file,
                    header.sh_offset,
                    header.sh_size,
                    &mut budget,
                )?)));
            }
        }
        Err(ImageError::NoXenNotes)
    }

    /// Takes Xen's notes out of `data` and says how many there were.
    fn take_all(&mut self, data: &[u8]) -> usize {
        // Whatever p_align says, notes are laid out to multiples of four.
        // The last one may claim more than the segment holds, as that of GRUB's own 32-bit image does: Xen minds that no
        // more than it minds the zeroes that this adds.
        let mut data = data.to_vec();
        data.resize(data.len() + OVERHANG, 0);
        let notes = NoteIterator::new(LittleEndian, Class::ELF32, 4, &data);
        let mut count = 0;
        for note in notes {
            if let Note::Unknown(note) = note
                && matches!(note.name, b"Xen\0" | b"Xen")
                && let Ok(id) = u32::try_from(note.n_type)
            {
                self.take(id, note.desc);
                count += 1;
            }
        }
        count
    }

    /// Takes one note; the numbers are those of `XEN_ELFNOTE_*`.
    fn take(&mut self, id: u32, value: &[u8]) {
        match id {
            1 => self.entry = number(value),
            2 => self.hypercall_page = number(value),
            3 => self.virt_base = number(value),
            4 => self.paddr_offset = number(value),
            5 => self.xen_version = Some(text(value)),
            6 => self.guest_os = Some(text(value)),
            7 => self.guest_version = Some(text(value)),
            8 => self.loader = Some(text(value)),
            9 => self.pae = Some(pae_note(&text(value))),
            10 => self.features = Some(text(value)),
            11 => self.bsd_symtab = text(value) == "yes",
            12 => self.hv_start_low = number(value),
            15 => self.init_p2m = number(value),
            16 => self.mod_start_pfn = number(value),
            18 => self.phys32_entry = number(value),
            _ => {}
        }
    }

    /// Takes the values of a `__xen_guest` string: `KEY=value,KEY=value`.
    fn from_string(string: &str) -> Self {
        let mut notes = Self {
            is_legacy: true,
            ..Self::default()
        };
        let mut hypercall_page_index = None;
        for pair in string.split(',') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key.trim() {
                "LOADER" => notes.loader = Some(value.to_owned()),
                "GUEST_OS" => notes.guest_os = Some(value.to_owned()),
                "GUEST_VER" => notes.guest_version = Some(value.to_owned()),
                "XEN_VER" => notes.xen_version = Some(value.to_owned()),
                "FEATURES" => notes.features = Some(value.to_owned()),
                "PAE" => notes.pae = Some(pae(value)),
                "BSD_SYMTAB" => notes.bsd_symtab = true,
                "VIRT_BASE" => notes.virt_base = written_number(value),
                "VIRT_ENTRY" => notes.entry = written_number(value),
                "ELF_PADDR_OFFSET" => notes.paddr_offset = written_number(value),
                "HYPERCALL_PAGE" => hypercall_page_index = written_number(value),
                _ => {}
            }
        }
        // Here the hypercall page is a page number from the base.
        notes.hypercall_page = hypercall_page_index.map(|page| {
            page.wrapping_mul(super::PAGE_BYTES)
                .wrapping_add(notes.virt_base.unwrap_or(0))
        });
        notes
    }

    /// Checks what does not depend on addresses.
    ///
    /// # Errors
    /// [`ImageError::NoPvEntry`], [`ImageError::BadNote`], [`ImageError::RequiredFeature`],
    /// [`ImageError::NoPae`].
    pub(super) fn check(&self, width: Width) -> Result<(), ImageError> {
        if self.phys32_entry.is_some() && self.entry.is_none() && self.virt_base.is_none() {
            return Err(ImageError::NoPvEntry);
        }
        match &self.xen_version {
            Some(version) if version.starts_with("xen-3.0") => {}
            Some(_) => return Err(ImageError::BadNote("XEN_VERSION is not xen-3.0")),
            None => return Err(ImageError::BadNote("there is no XEN_VERSION")),
        }
        let is_linux = self
            .guest_os
            .as_ref()
            .is_some_and(|os| os.starts_with("linux"));
        match &self.loader {
            Some(loader) if loader.starts_with("generic") => {}
            _ if is_linux => {}
            Some(_) => return Err(ImageError::BadNote("LOADER is not generic")),
            None => return Err(ImageError::BadNote("there is no LOADER")),
        }
        for feature in self
            .features
            .iter()
            .flat_map(|features| features.split('|'))
        {
            if let Some(name) = feature.trim().strip_prefix('!')
                && !FEATURES.contains(&name)
            {
                return Err(ImageError::RequiredFeature(name.to_owned()));
            }
        }
        if width == Width::Bits32 && self.pae.unwrap_or_default() == Pae::No {
            return Err(ImageError::NoPae);
        }
        if width == Width::Bits32 && self.hv_start_low.is_some_and(|low| low > HYPERVISOR_32) {
            return Err(ImageError::BadNote(
                "HV_START_LOW asks for addresses that Xen keeps for itself",
            ));
        }
        Ok(())
    }
}

/// A number of four or eight bytes.
fn number(value: &[u8]) -> Option<u64> {
    match value.first_chunk::<8>() {
        Some(bytes) => Some(u64::from_le_bytes(*bytes)),
        None => value
            .first_chunk::<4>()
            .map(|bytes| u32::from_le_bytes(*bytes).into()),
    }
}

/// Text up to the first NUL, if there is one.
fn text(value: &[u8]) -> String {
    let end = value
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

/// A number as C writes it.
fn written_number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The note's values: whoever has notes at all can have its top table anywhere.
fn pae_note(value: &str) -> Pae {
    if value.contains("bimodal") {
        Pae::Bimodal
    } else if value.starts_with("yes") {
        Pae::ExtendedCr3
    } else {
        Pae::No
    }
}

/// The older string's values.
fn pae(value: &str) -> Pae {
    match value {
        "bimodal" => Pae::Bimodal,
        _ if value.starts_with("yes[extended-cr3]") => Pae::ExtendedCr3,
        _ if value.starts_with("yes") => Pae::Yes,
        _ => Pae::No,
    }
}

/// Reads a table of the file, if it has a believable size, and takes that off `budget`.
fn read(
    file: &(impl ElfFile + ?Sized),
    offset: u64,
    len: u64,
    budget: &mut u64,
) -> Result<Vec<u8>, ImageError> {
    const TOO_LARGE: ImageError = ImageError::BadElf("its notes or section headers are too large");
    *budget = budget.checked_sub(len).ok_or(TOO_LARGE)?;
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| TOO_LARGE)?];
    file.read_at(offset, &mut bytes)?;
    Ok(bytes)
}

fn read_sections(
    sections: Sections,
    width: Width,
    file: &(impl ElfFile + ?Sized),
    budget: &mut u64,
) -> Result<Vec<SectionHeader>, ImageError> {
    let (class, entry_bytes) = match width {
        Width::Bits64 => (Class::ELF64, 64),
        Width::Bits32 => (Class::ELF32, 40),
    };
    if sections.entry_bytes != entry_bytes {
        return Err(ImageError::BadElf(
            "its section headers are of a wrong size",
        ));
    }
    let table = read(
        file,
        sections.offset,
        u64::from(sections.count) * u64::from(entry_bytes),
        budget,
    )?;
    let table: SectionHeaderTable<'_, LittleEndian> =
        ParsingTable::new(LittleEndian, class, &table);
    Ok(table.iter().collect())
}
