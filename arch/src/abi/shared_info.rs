//! `struct shared_info`: the page a guest and its hypervisor share (`public/xen.h`, `public/arch-x86`).

use super::Width;

/// Byte offsets into the shared info page for one width; `vcpu_info[0]` starts at 0.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// `vcpu_info[0].evtchn_upcall_pending`, one byte.
    pub upcall_pending: usize,
    /// `vcpu_info[0].evtchn_upcall_mask`, one byte.
    pub upcall_mask: usize,
    /// `vcpu_info[0].evtchn_pending_sel`, a native word.
    pub pending_sel: usize,
    /// `vcpu_info[0].arch.cr2`, a native word.
    pub cr2: usize,
    /// `vcpu_info[0].time`, the same 32 bytes in both widths.
    pub time: usize,
    /// `evtchn_pending`, an array of native words.
    pub evtchn_pending: usize,
    /// `evtchn_mask`, an array of native words.
    pub evtchn_mask: usize,
    /// Event channel ports that exist with two-level events.
    pub ports: u32,
    /// `arch.max_pfn`, a native word; the p2m fields follow it.
    pub max_pfn: usize,
    /// `arch.pfn_to_mfn_frame_list_list`, a native word.
    pub frame_list_list: usize,
    /// `arch.p2m_cr3`, a native word.
    pub p2m_cr3: usize,
    /// `arch.p2m_vaddr`, a native word.
    pub p2m_vaddr: usize,
    /// `arch.p2m_generation`, a native word.
    pub p2m_generation: usize,
    /// Bytes of a native word.
    pub word: usize,
}

/// The layout for `width`.
#[must_use]
pub const fn layout(width: Width) -> Layout {
    match width {
        Width::Bits64 => Layout {
            upcall_pending: 0,
            upcall_mask: 1,
            pending_sel: 8,
            cr2: 16,
            time: 32,
            evtchn_pending: 2048,
            evtchn_mask: 2560,
            ports: 4096,
            max_pfn: 3088,
            frame_list_list: 3096,
            p2m_cr3: 3112,
            p2m_vaddr: 3120,
            p2m_generation: 3128,
            word: 8,
        },
        Width::Bits32 => Layout {
            upcall_pending: 0,
            upcall_mask: 1,
            pending_sel: 4,
            cr2: 8,
            time: 32,
            evtchn_pending: 2048,
            evtchn_mask: 2176,
            ports: 1024,
            max_pfn: 2316,
            frame_list_list: 2320,
            p2m_cr3: 2328,
            p2m_vaddr: 2332,
            p2m_generation: 2336,
            word: 4,
        },
    }
}

/// `struct vcpu_time_info`: how to turn the processor's counter into system time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimeInfo {
    /// Odd while Xen writes.
    pub version: u32,
    /// The counter when `system_time` was taken.
    pub tsc_timestamp: u64,
    /// Nanoseconds since Xen started, at `tsc_timestamp`.
    pub system_time: u64,
    /// Fraction: nanoseconds per (shifted) count, times 2^32.
    pub mul: u32,
    /// Shift of the count before the multiplication; negative shifts right.
    pub shift: i8,
}

impl TimeInfo {
    /// Reads the 32 bytes at the layout's `time` offset.
    #[must_use]
    pub fn read(bytes: &[u8; 32]) -> Self {
        let [v0, v1, v2, v3, _, _, _, _, rest @ ..] = *bytes;
        let [t0, t1, t2, t3, t4, t5, t6, t7, rest @ ..] = rest;
        let [s0, s1, s2, s3, s4, s5, s6, s7, m0, m1, m2, m3, shift, ..] = rest;
        Self {
            version: u32::from_le_bytes([v0, v1, v2, v3]),
            tsc_timestamp: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            system_time: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            mul: u32::from_le_bytes([m0, m1, m2, m3]),
            shift: i8::from_le_bytes([shift]),
        }
    }

    /// System time in nanoseconds when the processor's counter reads `tsc`.
    #[must_use]
    pub fn at(&self, tsc: u64) -> u64 {
        // Processors' counters may differ a little: before the interval's begin is its begin, not centuries later.
        let count = tsc.saturating_sub(self.tsc_timestamp);
        let amount = u32::from(self.shift.unsigned_abs()).min(63);
        let scaled = if self.shift >= 0 {
            count << amount
        } else {
            count >> amount
        };
        let ns = (u128::from(scaled) * u128::from(self.mul)) >> 32;
        self.system_time.wrapping_add(ns as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_scales_the_counter_both_ways() {
        let mut time = TimeInfo {
            version: 2,
            tsc_timestamp: 1000,
            system_time: 5_000_000,
            mul: 1 << 31,
            shift: 1,
        };
        assert_eq!(time.at(1000 + 800), 5_000_000 + 800);
        time.shift = -1;
        assert_eq!(time.at(1000 + 800), 5_000_000 + 200);
        assert_eq!(time.at(1000), 5_000_000);
        assert_eq!(time.at(999), 5_000_000);
    }
}
