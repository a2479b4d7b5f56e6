//! Where everything of the next kernel goes: pure arithmetic over frame numbers.
//!
//! A [`Plan`] follows the domain builder's own start-of-day order (`public/xen.h`, "Start-of-day memory layout"), so
//! that a kernel cannot tell the loader from the builder. Frame numbers here are the next kernel's; [`crate::renumber`]
//! says which frame gets which number.

use core::fmt;
use core::ops::Range;

use arch::Virt;
use arch::abi::Width;
use arch::addr::PAGE_SHIFT;

/// Bytes of a frame.
const PAGE: u64 = 1 << PAGE_SHIFT;
/// Frames that stay free, mapped, behind the boot stack: 512 KiB.
const SLACK_FRAMES: u64 = 128;
/// The mapped area ends on a multiple of this, in virtual addresses.
const AREA_ALIGN: u64 = 4 << 20;

/// What a kernel asks for, as its notes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The kernel's width.
    pub width: Width,
    /// Address of frame 0 (`VIRT_BASE`).
    pub virt_base: u64,
    /// First byte of the kernel's image in memory, page aligned.
    pub kernel: Range<u64>,
    /// Where the kernel wants its p2m list (`INIT_P2M`), if not in the mapped area.
    pub p2m_at: Option<u64>,
    /// The module is to be given by frame number, unmapped (`MOD_START_PFN`).
    pub module_unmapped: bool,
    /// Bytes of the module; 0 for none.
    pub module_len: u64,
    /// Frame numbers of this domain.
    pub nr_pages: u64,
    /// End of the addresses a kernel may use (a 32-bit kernel's hole for the hypervisor starts here).
    pub virt_end: u64,
}

/// Why no plan can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The image and what belongs to it need more frames than the domain has.
    Memory {
        /// Frames needed.
        needed: u64,
        /// Frames the domain has.
        have: u64,
    },
    /// The image does not fit into the addresses a kernel may use.
    Addresses {
        /// First address beyond the mapped area.
        end: u64,
        /// First address that is not the kernel's.
        limit: u64,
    },
    /// The notes contradict each other or name addresses that cannot be.
    Notes(&'static str),
}

/// Frame numbers of every part, and the addresses that start_info tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Address of frame 0.
    pub virt_base: u64,
    /// The kernel's frames.
    pub kernel: Range<u64>,
    /// The module's frames.
    pub module: Range<u64>,
    /// The module lies outside the mapped area.
    pub module_unmapped: bool,
    /// The p2m list's frames.
    pub p2m: Range<u64>,
    /// Address of the p2m list.
    pub p2m_at: u64,
    /// Page tables that map the p2m list alone; empty when it lies in the mapped area.
    pub p2m_tables: Range<u64>,
    /// The frame of start_info.
    pub start_info: u64,
    /// The frame of the xenstore ring.
    pub store: u64,
    /// The frame of the console ring.
    pub console: u64,
    /// The page tables of the mapped area, top one first.
    pub tables: Range<u64>,
    /// The frame of the boot stack.
    pub stack: u64,
    /// Frames below this are mapped.
    pub mapped: u64,
    /// Frames below this belong to the image; all others keep their numbers.
    pub end: u64,
    /// Width of the kernel.
    pub width: Width,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { needed, have } => write!(
                f,
                "this kernel and its modules need {} MiB, this domain has {} MiB",
                needed.div_ceil(256),
                have / 256
            ),
            Self::Addresses { end, limit } => write!(
                f,
                "the kernel's start-up area ends at {end:#x}, beyond {limit:#x} where its addresses end"
            ),
            Self::Notes(text) => f.write_str(text),
        }
    }
}

impl core::error::Error for PlanError {}

/// Tables of each level, level 1 first, that map `area`.
///
/// The top level counts one table always. A 32-bit kernel has three levels, and level-2 tables up to the last
/// gigabyte, where Xen's part of the address space is.
#[must_use]
pub fn tables_for(area: &Range<u64>, width: Width) -> [u64; 4] {
    let touched = |shift: u32| {
        if area.is_empty() {
            0
        } else {
            ((area.end - 1) >> shift) - (area.start >> shift) + 1
        }
    };
    match width {
        Width::Bits64 => [touched(21), touched(30), touched(39), 1],
        Width::Bits32 => {
            let gigabytes = 4_u64.saturating_sub(area.start >> 30);
            [touched(21), gigabytes, 1, 0]
        }
    }
}

impl Plan {
    /// Lays out what `request` asks for.
    ///
    /// # Errors
    /// [`PlanError`], before anything has been touched.
    pub fn new(request: &Request) -> Result<Self, PlanError> {
        let base = request.virt_base;
        let word = match request.width {
            Width::Bits64 => 8,
            Width::Bits32 => 4,
        };
        if !base.is_multiple_of(PAGE) || request.kernel.start < base || request.kernel.is_empty() {
            return Err(PlanError::Notes(
                "the kernel's image lies below its own base address",
            ));
        }
        let frames = |bytes: u64| bytes.div_ceil(PAGE);
        let p2m_at = match request.p2m_at {
            // As the domain builder: honoured for a page-aligned address below the kernel's base, 64 bits only.
            Some(at) if request.width == Width::Bits64 && at % PAGE == 0 && at < base => Some(at),
            _ => None,
        };
        let module_frames = frames(request.module_len);
        let list_frames = frames(request.nr_pages.saturating_mul(word));
        let kernel =
            (request.kernel.start - base) / PAGE..frames(request.kernel.end.saturating_sub(base));
        let mut next = kernel.end;
        let mut take = |count: u64| {
            let start = next;
            next = next.saturating_add(count);
            start..next
        };
        let inside = |unmapped: bool, count: u64| if unmapped { 0 } else { count };
        let module = take(inside(request.module_unmapped, module_frames));
        let p2m = take(inside(p2m_at.is_some(), list_frames));
        let [start_info, store, console] = [take(1).start, take(1).start, take(1).start];
        let first_table = next;
        let (tables, mapped) = Self::fit_area(request, first_table)?;
        let mut plan = Self {
            virt_base: base,
            kernel,
            module,
            module_unmapped: request.module_unmapped && module_frames > 0,
            p2m_at: base.wrapping_add(p2m.start.wrapping_mul(PAGE)),
            p2m,
            p2m_tables: mapped..mapped,
            start_info,
            store,
            console,
            tables: first_table..first_table + tables,
            stack: first_table + tables,
            mapped,
            end: mapped,
            width: request.width,
        };
        if plan.module_unmapped {
            plan.module = plan.end..plan.end.saturating_add(module_frames);
            plan.end = plan.module.end;
        }
        if let Some(at) = p2m_at {
            plan.place_list(at, list_frames, base)?;
        }
        if plan.end > request.nr_pages {
            return Err(PlanError::Memory {
                needed: plan.end,
                have: request.nr_pages,
            });
        }
        Ok(plan)
    }

    /// Tables and frames of the mapped area, whose tables start at frame `first_table`: more tables make the area
    /// longer, and a longer area may need more tables.
    fn fit_area(request: &Request, first_table: u64) -> Result<(u64, u64), PlanError> {
        let base = request.virt_base;
        let mut tables = 1;
        loop {
            let frames = first_table.saturating_add(tables + 1 + SLACK_FRAMES);
            let overflow = PlanError::Addresses {
                end: u64::MAX,
                limit: request.virt_end,
            };
            let end = frames
                .checked_mul(PAGE)
                .and_then(|bytes| base.checked_add(bytes - 1))
                .ok_or(overflow)?
                | (AREA_ALIGN - 1);
            // The last byte, so that an area may end where addresses do.
            if end > request.virt_end.wrapping_sub(1) {
                return Err(PlanError::Addresses {
                    end,
                    limit: request.virt_end,
                });
            }
            let area = base..end.saturating_add(1);
            let needed = tables_for(&area, request.width).iter().sum();
            if needed <= tables {
                return Ok((tables, (end - base) / PAGE + 1));
            }
            tables = needed;
        }
    }

    /// Puts the p2m list behind everything, mapped at `at` by tables of its own.
    fn place_list(&mut self, at: u64, list_frames: u64, base: u64) -> Result<(), PlanError> {
        let end = list_frames
            .checked_mul(PAGE)
            .and_then(|bytes| at.checked_add(bytes))
            .filter(|&end| end <= base)
            .ok_or(PlanError::Notes(
                "the place for the p2m list runs into the kernel",
            ))?;
        if (at >> 39) <= (base >> 39) && ((end - 1) >> 39) >= (base >> 39) {
            return Err(PlanError::Notes(
                "the p2m list and the kernel share 512 GiB of addresses, which no kernel does",
            ));
        }
        let [l1, l2, l3, _] = tables_for(&(at..end), self.width);
        self.p2m = self.end..self.end.saturating_add(list_frames);
        self.p2m_tables = self.p2m.end..self.p2m.end.saturating_add(l1 + l2 + l3);
        self.p2m_at = at;
        self.end = self.p2m_tables.end;
        Ok(())
    }

    /// Frames that the image fills: what lies between and behind its parts is the kernel's free memory.
    #[must_use]
    pub fn frames(&self) -> u64 {
        let ranges = [
            &self.kernel,
            &self.module,
            &self.p2m,
            &self.tables,
            &self.p2m_tables,
        ];
        // And start_info, the two rings, the boot stack.
        ranges
            .iter()
            .map(|range| range.end - range.start)
            .sum::<u64>()
            + 4
    }

    /// Where frame `frame` of the mapped area is mapped.
    #[must_use]
    pub fn address(&self, frame: u64) -> Virt {
        Virt(self.virt_base.wrapping_add(frame.wrapping_mul(PAGE)))
    }

    /// The mapped area.
    #[must_use]
    pub fn area(&self) -> Range<u64> {
        self.virt_base..self.virt_base + self.mapped * PAGE
    }
}
