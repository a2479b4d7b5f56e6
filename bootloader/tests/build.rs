//! The next kernel's image, checked as Xen would check it, over the fake's frames.
//!
//! The checks do what Xen does when the new tables are pinned (types and writable aliases), and what a kernel does
//! first: walk its tables, follow its p2m list and the machine-to-physical table.

use std::collections::{BTreeMap, BTreeSet};

use arch::abi::Width;
use arch::abi::start_info::{StartInfo, flags};
use arch::addr::PAGE_BYTES;
use arch::fake::frames::FakeFrames;
use arch::{FrameSource, Frames, LOW_FRAMES, Mfn, Pfn};
use bootloader::build::{self, BuildError, Image, Module, ModuleKind, Parts};
use bootloader::image::{Kernel, Packing, Pae};
use bootloader::plan::PlanError;
use proptest::prelude::*;

const PAGE: u64 = PAGE_BYTES as u64;
const LINUX_BASE: u64 = 0xffff_ffff_8000_0000;
const LINUX_LIST: u64 = 0x80_0000_0000;

/// A kernel of `pages` pages, `first` pages above its base.
fn kernel(base: u64, first: u64, pages: u64, like_linux: bool) -> Kernel {
    Kernel {
        width: Width::Bits64,
        entry: base + first * PAGE + 0x1c0,
        virt_base: base,
        paddr_offset: 0,
        first_pfn: first,
        virt_start: base + first * PAGE,
        virt_end: base + (first + pages) * PAGE,
        kernel_bytes: pages * PAGE,
        pvh_entry: None,
        hypercall_page: None,
        init_p2m: like_linux.then_some(LINUX_LIST),
        mod_start_pfn: like_linux,
        pae: Pae::No,
        hv_start_low: None,
        features: String::new(),
        guest_os: "linux".into(),
        guest_version: "2.6".into(),
        bsd_symtab: false,
        packing: Packing {
            is_bzimage: false,
            is_gzipped: false,
            codec: None,
            unpacked_bytes: 0,
        },
    }
}

/// The same for a kernel of 32 bits.
fn kernel_32(base: u64, first: u64, pages: u64, pae: Pae) -> Kernel {
    Kernel {
        width: Width::Bits32,
        pae,
        ..kernel(base, first, pages, false)
    }
}

/// A loader's own situation: rings in two frames below its own memory, some frames that are page tables.
struct Guest {
    frames: FakeFrames,
    start: StartInfo,
    tables: Vec<u64>,
}

const STORE: u64 = 3;
const CONSOLE: u64 = 7;

impl Guest {
    fn new(nr_pages: u64, first_free: u64, tables: Vec<u64>, hole: Option<u64>) -> Self {
        Self::over(FakeFrames::new(nr_pages, first_free, hole), tables)
    }

    fn of_32_bits(nr_pages: u64, first_free: u64, tables: Vec<u64>) -> Self {
        Self::over(
            FakeFrames::new(nr_pages, first_free, None).of_width(Width::Bits32),
            tables,
        )
    }

    fn over(frames: FakeFrames, tables: Vec<u64>) -> Self {
        let nr_pages = frames.nr_pages();
        let start = StartInfo {
            magic: *b"xen-3.0-x86_64\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            nr_pages,
            shared_info: 0x1234_5000,
            flags: flags::VIRT_P2M_4TOOLS | flags::MULTIBOOT_MOD,
            store_mfn: frames.mfn(Pfn(STORE)).0,
            store_evtchn: 1,
            console_mfn: frames.mfn(Pfn(CONSOLE)).0,
            console_evtchn: 2,
            ..StartInfo::default()
        };
        Self {
            frames,
            start,
            tables,
        }
    }

    fn build(
        &self,
        kernel: Kernel,
        module: Option<(u64, ModuleKind)>,
    ) -> Result<Image, BuildError> {
        let pages = kernel.kernel_bytes / PAGE;
        let mut memory = self.frames.allocate(pages).map_err(BuildError::Frames)?;
        memory.fill(0x4b);
        let module = match module {
            None => None,
            Some((len, kind)) => {
                // Two runs, as when two files were read.
                let pages = len.div_ceil(PAGE);
                let mut runs = Vec::new();
                for count in [pages / 2, pages - pages / 2] {
                    if count > 0 {
                        runs.push(self.frames.allocate(count).map_err(BuildError::Frames)?);
                    }
                }
                Some(Module { runs, len, kind })
            }
        };
        let parts = Parts {
            kernel,
            memory,
            module,
            cmd_line: b"root=/dev/xvda1 ro".to_vec(),
        };
        build::build(&self.frames, &self.start, parts, &|_| self.tables.clone())
    }
}

/// The image's memory by machine frame, as Xen sees it.
struct Machine<'a> {
    bytes: BTreeMap<u64, &'a [u8]>,
}

impl<'a> Machine<'a> {
    fn new(guest: &Guest, image: &'a Image) -> Self {
        let mut bytes = BTreeMap::new();
        let runs = image.tables.iter().chain(&image.rest).chain([&image.stack]);
        for run in runs {
            for (step, page) in run.chunks_exact(PAGE_BYTES).enumerate() {
                let pfn = Pfn(Frames::first(run).0 + step as u64);
                bytes.insert(guest.frames.mfn(pfn).0, page);
            }
        }
        Self { bytes }
    }

    fn word(&self, mfn: u64, index: u64) -> u64 {
        let at = index as usize * 8;
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes[&mfn][at..at + 8]);
        u64::from_le_bytes(word)
    }
}

/// Every mapping below a table, and the tables met on the way.
fn walk(
    machine: &Machine<'_>,
    table: u64,
    level: u32,
    at: u64,
    pages: &mut BTreeMap<u64, u64>,
    tables: &mut BTreeSet<u64>,
    width: Width,
) {
    assert!(tables.insert(table), "table {table:#x} is linked twice");
    for index in 0..512 {
        let entry = machine.word(table, index);
        if entry == 0 {
            continue;
        }
        let shift = 12 + 9 * (level - 1);
        let mut below = at | index << shift;
        if level == 4 && index >= 256 {
            below |= 0xffff << 48;
        }
        assert_eq!(entry & 1, 1, "an entry that is not present is not zero");
        let mfn = entry >> 12;
        if level == 1 {
            pages.insert(below, entry);
        } else {
            let bare = width == Width::Bits32 && level == 3;
            assert_eq!(entry & 0xfff, if bare { 0x1 } else { 0x67 });
            walk(machine, mfn, level - 1, below, pages, tables, width);
        }
    }
}

fn check(guest: &Guest, image: &Image) -> StartInfo {
    let plan = &image.plan;
    let machine = Machine::new(guest, image);
    let new_mfn = |new: u64| guest.frames.mfn(Pfn(image.renumbering.source(new)));

    // A permutation of all frames.
    let all: BTreeSet<u64> = (0..guest.start.nr_pages)
        .map(|new| image.renumbering.source(new))
        .collect();
    assert_eq!(all.len() as u64, guest.start.nr_pages);

    // What Xen checks at the pin.
    let top = guest.frames.mfn(image.tables[0].first()).0;
    let (mut pages, mut tables) = (BTreeMap::new(), BTreeSet::new());
    let (levels, word_bytes) = match plan.width {
        Width::Bits64 => (4, 8),
        Width::Bits32 => (3, 4),
    };
    walk(
        &machine,
        top,
        levels,
        0,
        &mut pages,
        &mut tables,
        plan.width,
    );
    if plan.width == Width::Bits32 {
        assert!(
            pages.keys().all(|at| *at < 0xf580_0000),
            "xen's addresses are left alone"
        );
        assert_ne!(
            machine.word(top, 3),
            0,
            "the last gigabyte has its own level-2 table"
        );
    }
    let count: u64 = image.tables.iter().map(Frames::count).sum();
    assert_eq!(tables.len() as u64, count, "every table is linked");
    let in_use: BTreeSet<u64> = guest
        .tables
        .iter()
        .map(|&pfn| guest.frames.mfn(Pfn(pfn)).0)
        .collect();
    for (at, entry) in &pages {
        let mfn = entry >> 12;
        assert_ne!(
            mfn,
            Mfn::INVALID.0 & (u64::MAX >> 12),
            "{at:#x} maps a hole"
        );
        let writable = entry & 2 != 0;
        assert_eq!(writable, !tables.contains(&mfn), "access at {at:#x}");
        assert!(!in_use.contains(&mfn), "{at:#x} maps a table in use");
    }

    // What a kernel relies on.
    let info_at = plan.address(plan.start_info).0;
    let info = StartInfo::read(machine.bytes[&(pages[&info_at] >> 12)], plan.width);
    for frame in 0..plan.mapped {
        let entry = pages[&plan.address(frame).0];
        assert_eq!(
            entry >> 12,
            new_mfn(frame).0,
            "frame {frame:#x} of the area"
        );
    }
    assert_eq!(
        pages[&plan.address(plan.store).0] >> 12,
        guest.start.store_mfn
    );
    assert_eq!(
        pages[&plan.address(plan.console).0] >> 12,
        guest.start.console_mfn
    );
    assert_eq!(pages[&info.pt_base] >> 12, top);
    let word = |at: u64| {
        let page = pages[&(at & !(PAGE - 1))] >> 12;
        let word = machine.word(page, at % PAGE / 8);
        match (word_bytes, at % 8) {
            (8, _) => word,
            (_, 0) => word & 0xffff_ffff,
            _ => word >> 32,
        }
    };
    for new in 0..guest.start.nr_pages {
        let expected = new_mfn(new).0;
        assert_eq!(
            word(info.mfn_list + new * word_bytes),
            expected,
            "p2m[{new:#x}]"
        );
    }
    assert!(
        plan.mapped - plan.stack > 128,
        "at least 512 KiB behind the stack"
    );
    assert_eq!(plan.area().end % (4 << 20), 0);
    info
}

#[test]
fn a_kernel_like_linux_gets_what_the_domain_builder_would_give() {
    let guest = Guest::new(16384, 1200, vec![900, 901, 902], None);
    let image = guest
        .build(
            kernel(LINUX_BASE, 0x1000, 900, true),
            Some((5_000_001, ModuleKind::Plain)),
        )
        .unwrap();
    let info = check(&guest, &image);
    assert_eq!(info.flags, flags::VIRT_P2M_4TOOLS | flags::MOD_START_PFN);
    assert_eq!(info.mod_len, 5_000_001);
    assert_eq!(info.mod_start, image.plan.mapped);
    assert_eq!(info.mfn_list, LINUX_LIST);
    assert_eq!(info.first_p2m_pfn, image.plan.p2m.start);
    // 16384 words are 32 pages; one table each of levels 1, 2 and 3 maps them.
    assert_eq!(info.nr_p2m_frames, 32 + 3);
    assert_eq!(info.cmd_line, b"root=/dev/xvda1 ro");
    assert_eq!(info.shared_info, guest.start.shared_info);
    assert_eq!(image.plan.start_info + 1, image.plan.store);
    assert_eq!(image.plan.start_info + 2, image.plan.console);
}

#[test]
fn a_kernel_without_the_newer_notes_gets_all_in_one_area() {
    let guest = Guest::new(8192, 1200, vec![900], None);
    let image = guest
        .build(
            kernel(0, 0, 300, false),
            Some((70_000, ModuleKind::Multiboot)),
        )
        .unwrap();
    let info = check(&guest, &image);
    assert_eq!(info.flags, flags::VIRT_P2M_4TOOLS | flags::MULTIBOOT_MOD);
    assert_eq!(info.mod_start, 300 * PAGE);
    assert_eq!((info.first_p2m_pfn, info.nr_p2m_frames), (0, 0));
    assert_eq!(info.mfn_list, (300 + 18) * PAGE);
}

#[test]
fn a_32_bit_kernel_gets_three_levels_and_a_narrow_list() {
    let guest = Guest::of_32_bits(16384, 1200, vec![900, 901]);
    let image = guest
        .build(
            kernel_32(0xc000_0000, 0x400, 300, Pae::ExtendedCr3),
            Some((5_000_001, ModuleKind::Plain)),
        )
        .unwrap();
    let info = check(&guest, &image);
    assert_eq!(info.mod_start, 0xc000_0000 + (0x400 + 300) * PAGE);
    // The list of 16384 words is 16 pages; L3, one L2, and level 1 for the 12 MiB that all this ends at.
    assert_eq!(image.plan.p2m.end - image.plan.p2m.start, 16);
    assert_eq!(info.nr_pt_frames, 1 + 1 + image.plan.mapped / 512);
    let top = guest.frames.mfn(image.tables[0].first());
    assert!(
        top.0 >= LOW_FRAMES,
        "nothing was exchanged that need not be"
    );
}

#[test]
fn a_32_bit_kernel_at_address_0_gets_every_level_2_table() {
    let guest = Guest::of_32_bits(8192, 1200, vec![900]);
    let image = guest
        .build(kernel_32(0, 0, 300, Pae::ExtendedCr3), None)
        .unwrap();
    let info = check(&guest, &image);
    assert_eq!(info.nr_pt_frames, 1 + 4 + 2);
}

#[test]
fn a_32_bit_kernel_that_knows_no_better_gets_its_top_table_below_4_gib() {
    let guest = Guest::of_32_bits(8192, 1200, vec![900]);
    let image = guest
        .build(kernel_32(0xc000_0000, 0x400, 300, Pae::Yes), None)
        .unwrap();
    check(&guest, &image);
    let top = guest.frames.mfn(image.tables[0].first());
    assert!(top.0 < LOW_FRAMES, "{top:?}");
}

#[test]
fn a_32_bit_kernel_cannot_have_addresses_of_xens() {
    let guest = Guest::of_32_bits(1 << 15, 1200, Vec::new());
    let error = guest
        .build(
            kernel_32(0xf000_0000, 0x400, 300, Pae::Yes),
            Some((90 << 20, ModuleKind::Plain)),
        )
        .unwrap_err();
    assert!(
        matches!(error, BuildError::Plan(PlanError::Addresses { .. })),
        "{error}"
    );
}

#[test]
fn a_hole_in_the_list_is_never_mapped() {
    let guest = Guest::new(8192, 1200, vec![900], Some(40));
    let image = guest
        .build(kernel(LINUX_BASE, 64, 300, true), None)
        .unwrap();
    assert!((0..image.plan.mapped).all(|new| image.renumbering.source(new) != 40));
}

#[test]
fn too_little_memory_says_how_much_is_needed() {
    let guest = Guest::new(6000, 1200, Vec::new(), None);
    let error = guest
        .build(
            kernel(LINUX_BASE, 0x1000, 900, true),
            Some((14 << 20, ModuleKind::Plain)),
        )
        .unwrap_err();
    let BuildError::Plan(PlanError::Memory { needed, have }) = error else {
        panic!("{error}");
    };
    assert_eq!(have, 6000);
    assert!(needed > 4096 + 900 + 3584, "{needed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_layout_passes_the_checks(
        first in 0_u64..1500,
        pages in 1_u64..600,
        module in 0_u64..2_000_000,
        like_linux: bool,
        tables in proptest::collection::btree_set(8_u64..1200, 0..40),
    ) {
        let guest = Guest::new(9000, 1200, tables.into_iter().collect(), None);
        let base = if like_linux { LINUX_BASE } else { 0x20_0000 };
        let module = (module > 0).then_some((module, ModuleKind::Plain));
        let image = guest.build(kernel(base, first, pages, like_linux), module).unwrap();
        check(&guest, &image);
    }

    #[test]
    fn any_32_bit_layout_passes_the_checks(
        first in 0_u64..1500,
        pages in 1_u64..600,
        module in 0_u64..2_000_000,
        base in proptest::sample::select(vec![0_u64, 0x4000_0000, 0xc000_0000]),
        tables in proptest::collection::btree_set(8_u64..1200, 0..40),
    ) {
        let guest = Guest::of_32_bits(9000, 1200, tables.into_iter().collect());
        let module = (module > 0).then_some((module, ModuleKind::Plain));
        let image = guest.build(kernel_32(base, first, pages, Pae::ExtendedCr3), module).unwrap();
        check(&guest, &image);
    }
}
