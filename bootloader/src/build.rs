//! From a loaded kernel to an image that can be entered: start_info, page tables, p2m list, all in their own frames.
//!
//! [`build`] changes nothing that the running loader relies on; what it returns can be dropped.

use alloc::vec::Vec;
use core::fmt;

use arch::abi::Width;
use arch::abi::start_info::{StartInfo, flags};
use arch::addr::PAGE_BYTES;
use arch::{Errno, FrameSource, Frames, Mfn, NoFrames, Pfn, Virt};

use crate::image::{Kernel, Pae};
use crate::plan::{Plan, PlanError, Request};
use crate::renumber::{RenumberError, Renumbering};
use crate::tables;

/// End of a 64-bit kernel's addresses.
const VIRT_END_64: u64 = u64::MAX;
/// Where the hypervisor's part begins in a 32-bit guest of a 64-bit Xen (`HYPERVISOR_VIRT_START` for compat guests).
const VIRT_END_32: u64 = 0xF580_0000;

/// What `mod_start` leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModuleKind {
    /// One blob: an initrd.
    Plain,
    /// A list of multiboot modules, which must lie in the mapped area.
    Multiboot,
}

/// The module that the kernel is given, as runs of frames that follow each other.
#[derive(Debug)]
pub struct Module {
    /// The bytes, in order; every run but the last is full.
    pub runs: Vec<Frames>,
    /// Bytes in all.
    pub len: u64,
    /// What they are.
    pub kind: ModuleKind,
}

/// What the menu has loaded.
#[derive(Debug)]
pub struct Parts {
    /// The kernel's properties.
    pub kernel: Kernel,
    /// The kernel's memory.
    pub memory: Frames,
    /// Its module, if any.
    pub module: Option<Module>,
    /// Its command line.
    pub cmd_line: Vec<u8>,
}

/// An image ready to be pinned.
#[derive(Debug)]
pub struct Image {
    /// Where everything is.
    pub plan: Plan,
    /// Which frame becomes which.
    pub renumbering: Renumbering,
    /// The page tables: the area's, then the p2m list's.
    pub tables: Vec<Frames>,
    /// The boot stack's frame.
    pub stack: Frames,
    /// The kernel's entry point.
    pub entry: Virt,
    /// Everything else, kept from being given away.
    pub rest: Vec<Frames>,
}

/// Why no image could be built. The menu goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// The layout is impossible.
    Plan(PlanError),
    /// Memory is short.
    Frames(NoFrames),
    /// No place for a frame.
    Renumber(RenumberError),
    /// Xen has no frame below 4 GiB for the top page table.
    Low(Errno),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(error) => error.fmt(f),
            Self::Frames(error) => error.fmt(f),
            Self::Renumber(error) => error.fmt(f),
            Self::Low(error) => write!(
                f,
                "this kernel needs a page table below 4 GiB, and Xen gives no frame there ({error})"
            ),
        }
    }
}

impl core::error::Error for BuildError {}

impl From<PlanError> for BuildError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl From<NoFrames> for BuildError {
    fn from(error: NoFrames) -> Self {
        Self::Frames(error)
    }
}

impl From<Errno> for BuildError {
    fn from(error: Errno) -> Self {
        Self::Low(error)
    }
}

impl From<RenumberError> for BuildError {
    fn from(error: RenumberError) -> Self {
        Self::Renumber(error)
    }
}

/// What `kernel` and a module of `len` bytes ask for, in a domain of `nr_pages`.
#[must_use]
pub fn request(kernel: &Kernel, module: Option<(u64, ModuleKind)>, nr_pages: u64) -> Request {
    let (module_len, kind) = module.unwrap_or((0, ModuleKind::Plain));
    Request {
        width: kernel.width,
        virt_base: kernel.virt_base,
        kernel: kernel.virt_start..kernel.virt_end,
        p2m_at: kernel.init_p2m,
        module_unmapped: kernel.mod_start_pfn && kind == ModuleKind::Plain,
        module_len,
        nr_pages,
        virt_end: match kernel.width {
            Width::Bits64 => VIRT_END_64,
            Width::Bits32 => VIRT_END_32,
        },
    }
}

/// Builds the image for `parts`. `start` is the loader's own start_info; `live_tables` lists, sorted, the frames of the
/// page tables in use, given the address at which the boot stack will be.
///
/// # Errors
/// [`BuildError`]; the parts are gone, nothing else has changed.
pub fn build(
    source: &dyn FrameSource,
    start: &StartInfo,
    parts: Parts,
    live_tables: &dyn Fn(Virt) -> Vec<u64>,
) -> Result<Image, BuildError> {
    let Parts {
        kernel,
        mut memory,
        module,
        cmd_line,
    } = parts;
    let nr_pages = start.nr_pages;
    let about = module.as_ref().map(|module| (module.len, module.kind));
    let plan = Plan::new(&request(&kernel, about, nr_pages))?;
    write_hypercall_page(&kernel, &mut memory);
    let count = |range: &core::ops::Range<u64>| range.end - range.start;
    let mut list = source.allocate(count(&plan.p2m))?;
    let mut area_tables = source.allocate(count(&plan.tables))?;
    if kernel.width == Width::Bits32 && kernel.pae == Pae::Yes {
        // It loads its top table through a register of 32 bits, and knows no way around that.
        source.make_low(area_tables.first())?;
    }
    let mut list_tables = if plan.p2m_tables.is_empty() {
        None
    } else {
        Some(source.allocate(count(&plan.p2m_tables))?)
    };
    let mut info = source.allocate(1)?;
    let stack = source.allocate(1)?;

    let assign = |map: &mut Renumbering| -> Result<(), RenumberError> {
        let mut put = |target: u64, run: &Frames| map.assign(target, run.first().0, run.count());
        put(plan.kernel.start, &memory)?;
        let mut at = plan.module.start;
        for run in module.iter().flat_map(|module| &module.runs) {
            put(at, run)?;
            at += run.count();
        }
        put(plan.p2m.start, &list)?;
        put(plan.tables.start, &area_tables)?;
        if let Some(run) = &list_tables {
            put(plan.p2m_tables.start, run)?;
        }
        put(plan.start_info, &info)?;
        put(plan.stack, &stack)?;
        map.assign(plan.store, source.pfn(Mfn(start.store_mfn)).0, 1)?;
        map.assign(plan.console, source.pfn(Mfn(start.console_mfn)).0, 1)
    };
    let stack_at = plan.address(plan.stack);
    let mut in_use = live_tables(stack_at);
    let renumbering = loop {
        let kept_out = |frame: u64| {
            in_use.binary_search(&frame).is_ok() || source.mfn(Pfn(frame)) == Mfn::INVALID
        };
        let mut map = Renumbering::new(plan.end, nr_pages);
        assign(&mut map)?;
        let map = map.complete(plan.mapped, &kept_out)?;
        // The loader's own tables may have grown under all this; then look again.
        let now = live_tables(stack_at);
        if now == in_use {
            break map;
        }
        in_use = now;
    };
    let mfn = |new: u64| source.mfn(Pfn(renumbering.source(new)));
    let no_tables: &mut [u8] = &mut [];
    tables::write(
        &plan,
        &mut area_tables,
        list_tables.as_deref_mut().unwrap_or(no_tables),
        &mfn,
    );
    write_list(&mut list, source, &renumbering, plan.width);
    start_info(start, &plan, about, cmd_line).write(&mut info, plan.width);
    let mut rest: Vec<Frames> = module.into_iter().flat_map(|module| module.runs).collect();
    rest.extend([memory, list, info]);
    Ok(Image {
        entry: Virt(kernel.entry),
        plan,
        renumbering,
        tables: core::iter::once(area_tables).chain(list_tables).collect(),
        stack,
        rest,
    })
}

fn write_list(list: &mut [u8], source: &dyn FrameSource, map: &Renumbering, width: Width) {
    source.copy_p2m(list);
    let word = match width {
        Width::Bits64 => 8,
        Width::Bits32 => 4,
    };
    for (new, old) in map.changes() {
        let bytes = source.mfn(Pfn(old)).0.to_le_bytes();
        let Ok(at) = usize::try_from(new).map(|new| new * word) else {
            continue;
        };
        if let Some(slot) = list.get_mut(at..at + word) {
            slot.copy_from_slice(&bytes[..word]);
        }
    }
}

fn start_info(
    own: &StartInfo,
    plan: &Plan,
    module: Option<(u64, ModuleKind)>,
    cmd_line: Vec<u8>,
) -> StartInfo {
    let mut bits = own.flags & !(flags::MULTIBOOT_MOD | flags::MOD_START_PFN);
    let (mod_start, mod_len) = match module {
        Some((len, kind)) if len > 0 => {
            if kind == ModuleKind::Multiboot {
                bits |= flags::MULTIBOOT_MOD;
            }
            if plan.module_unmapped {
                bits |= flags::MOD_START_PFN;
                (plan.module.start, len)
            } else {
                (plan.address(plan.module.start).0, len)
            }
        }
        _ => (0, 0),
    };
    let (first_p2m_pfn, nr_p2m_frames) = if plan.p2m_tables.is_empty() {
        (0, 0)
    } else {
        (plan.p2m.start, plan.p2m_tables.end - plan.p2m.start)
    };
    StartInfo {
        flags: bits,
        pt_base: plan.address(plan.tables.start).0,
        nr_pt_frames: plan.tables.end - plan.tables.start,
        mfn_list: plan.p2m_at,
        mod_start,
        mod_len,
        cmd_line,
        first_p2m_pfn,
        nr_p2m_frames,
        ..own.clone()
    }
}

/// Bytes of a stub in the hypercall page, and their number.
const STUB_BYTES: usize = 32;
const STUBS: u32 = 128;
/// `__HYPERVISOR_iret`, whose stub never returns.
const IRET: u32 = 23;

/// Fills the page that a kernel with a `HYPERCALL_PAGE` note calls, as Xen does (`xen/arch/x86/pv/hypercall.c`).
fn write_hypercall_page(kernel: &Kernel, memory: &mut [u8]) {
    let Some(page) = kernel.hypercall_page else {
        return;
    };
    let Some(bytes) = usize::try_from(page.offset)
        .ok()
        .and_then(|at| memory.get_mut(at..at.checked_add(PAGE_BYTES)?))
    else {
        return;
    };
    bytes.fill(0xcc);
    for (number, stub) in (0..STUBS).zip(bytes.chunks_exact_mut(STUB_BYTES)) {
        let n = number.to_le_bytes();
        let code: Vec<u8> = match (kernel.width, number) {
            // push rcx; push r11; push rax; mov eax, n; syscall
            (Width::Bits64, IRET) => {
                [&[0x51, 0x41, 0x53, 0x50, 0xb8], &n[..], &[0x0f, 0x05]].concat()
            }
            // push rcx; push r11; mov eax, n; syscall; pop r11; pop rcx; ret
            (Width::Bits64, _) => [
                &[0x51, 0x41, 0x53, 0xb8],
                &n[..],
                &[0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3],
            ]
            .concat(),
            // push eax; mov eax, n; int 0x82
            (Width::Bits32, IRET) => [&[0x50, 0xb8], &n[..], &[0xcd, 0x82]].concat(),
            // mov eax, n; int 0x82; ret
            (Width::Bits32, _) => [&[0xb8], &n[..], &[0xcd, 0x82, 0xc3]].concat(),
        };
        stub[..code.len()].copy_from_slice(&code);
    }
}
