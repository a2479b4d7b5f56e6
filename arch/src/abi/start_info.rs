//! `struct start_info`: what Xen hands a paravirtualised kernel at its entry (`public/xen.h`).
//!
//! [`StartInfo`] is the same value for both widths; [`StartInfo::read`] and [`StartInfo::write`] know the two layouts.

use alloc::vec::Vec;

use super::Width;

/// Bytes of the command line field, its NUL included.
pub const CMD_LINE_BYTES: usize = 1024;

/// Bits of [`StartInfo::flags`] (`SIF_*`).
pub mod flags {
    /// The module is a list of multiboot modules.
    pub const MULTIBOOT_MOD: u32 = 1 << 2;
    /// `mod_start` is a frame number, and the module is not mapped.
    pub const MOD_START_PFN: u32 = 1 << 3;
    /// The toolstack can walk a virtually mapped p2m list.
    pub const VIRT_P2M_4TOOLS: u32 = 1 << 4;
}

/// The fields of `struct start_info`, addresses widened to 64 bits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StartInfo {
    /// "xen-3.0-x86_64" or "xen-3.0-x86_32p", padded with NULs.
    pub magic: [u8; 32],
    /// Frames this domain owns.
    pub nr_pages: u64,
    /// Machine address of the shared info frame.
    pub shared_info: u64,
    /// `SIF_*`, see [`flags`].
    pub flags: u32,
    /// Machine frame of the xenstore ring.
    pub store_mfn: u64,
    /// Event channel of the xenstore ring.
    pub store_evtchn: u32,
    /// Machine frame of the console ring.
    pub console_mfn: u64,
    /// Event channel of the console ring.
    pub console_evtchn: u32,
    /// Virtual address of the top page table.
    pub pt_base: u64,
    /// Page table frames from `pt_base` on.
    pub nr_pt_frames: u64,
    /// Virtual address of the p2m list.
    pub mfn_list: u64,
    /// Virtual address, or frame number with [`flags::MOD_START_PFN`], of the module.
    pub mod_start: u64,
    /// Bytes of the module.
    pub mod_len: u64,
    /// Command line without its NUL; at most [`CMD_LINE_BYTES`] - 1 bytes.
    pub cmd_line: Vec<u8>,
    /// With an `INIT_P2M` note: first frame of the p2m list.
    pub first_p2m_pfn: u64,
    /// With an `INIT_P2M` note: frames of the list and of its page tables.
    pub nr_p2m_frames: u64,
}

/// Byte offsets of the fields in one width's layout.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Bytes of a native word.
    pub word: usize,
    /// Offset of `nr_pages`.
    pub nr_pages: usize,
    /// Offset of `shared_info`.
    pub shared_info: usize,
    /// Offset of `flags`.
    pub flags: usize,
    /// Offset of `store_mfn`.
    pub store_mfn: usize,
    /// Offset of `store_evtchn`.
    pub store_evtchn: usize,
    /// Offset of `console.domU.mfn`.
    pub console_mfn: usize,
    /// Offset of `console.domU.evtchn`.
    pub console_evtchn: usize,
    /// Offset of `pt_base`.
    pub pt_base: usize,
    /// Offset of `nr_pt_frames`.
    pub nr_pt_frames: usize,
    /// Offset of `mfn_list`.
    pub mfn_list: usize,
    /// Offset of `mod_start`.
    pub mod_start: usize,
    /// Offset of `mod_len`.
    pub mod_len: usize,
    /// Offset of `cmd_line`.
    pub cmd_line: usize,
    /// Offset of `first_p2m_pfn`.
    pub first_p2m_pfn: usize,
    /// Offset of `nr_p2m_frames`.
    pub nr_p2m_frames: usize,
    /// Size of the structure.
    pub size: usize,
}

/// The layout for `width`.
#[must_use]
pub const fn layout(width: Width) -> Layout {
    match width {
        Width::Bits64 => Layout {
            word: 8,
            nr_pages: 32,
            shared_info: 40,
            flags: 48,
            store_mfn: 56,
            store_evtchn: 64,
            console_mfn: 72,
            console_evtchn: 80,
            pt_base: 88,
            nr_pt_frames: 96,
            mfn_list: 104,
            mod_start: 112,
            mod_len: 120,
            cmd_line: 128,
            first_p2m_pfn: 1152,
            nr_p2m_frames: 1160,
            size: 1168,
        },
        Width::Bits32 => Layout {
            word: 4,
            nr_pages: 32,
            shared_info: 36,
            flags: 40,
            store_mfn: 44,
            store_evtchn: 48,
            console_mfn: 52,
            console_evtchn: 56,
            pt_base: 60,
            nr_pt_frames: 64,
            mfn_list: 68,
            mod_start: 72,
            mod_len: 76,
            cmd_line: 80,
            first_p2m_pfn: 1104,
            nr_p2m_frames: 1108,
            size: 1112,
        },
    }
}

impl StartInfo {
    /// Reads the structure from the first bytes of its page.
    ///
    /// # Panics
    /// When `page` is shorter than the structure: a caller's bug.
    #[must_use]
    pub fn read(page: &[u8], width: Width) -> Self {
        let at = layout(width);
        let small = |offset: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&page[offset..offset + 4]);
            u32::from_le_bytes(bytes)
        };
        let word = |offset: usize| {
            let mut bytes = [0; 8];
            bytes[..at.word].copy_from_slice(&page[offset..offset + at.word]);
            u64::from_le_bytes(bytes)
        };
        let mut magic = [0; 32];
        magic.copy_from_slice(&page[..32]);
        let line = &page[at.cmd_line..at.cmd_line + CMD_LINE_BYTES];
        let end = line
            .iter()
            .position(|&b| b == 0)
            .unwrap_or(CMD_LINE_BYTES - 1);
        Self {
            magic,
            nr_pages: word(at.nr_pages),
            shared_info: word(at.shared_info),
            flags: small(at.flags),
            store_mfn: word(at.store_mfn),
            store_evtchn: small(at.store_evtchn),
            console_mfn: word(at.console_mfn),
            console_evtchn: small(at.console_evtchn),
            pt_base: word(at.pt_base),
            nr_pt_frames: word(at.nr_pt_frames),
            mfn_list: word(at.mfn_list),
            mod_start: word(at.mod_start),
            mod_len: word(at.mod_len),
            cmd_line: line[..end].to_vec(),
            first_p2m_pfn: word(at.first_p2m_pfn),
            nr_p2m_frames: word(at.nr_p2m_frames),
        }
    }

    /// Writes the structure into `page` and zeroes the rest of it. A command line longer than the field is cut:
    /// the caller has warned before.
    ///
    /// # Panics
    /// When `page` is shorter than the structure: a caller's bug.
    pub fn write(&self, page: &mut [u8], width: Width) {
        let at = layout(width);
        page.fill(0);
        page[..32].copy_from_slice(&self.magic);
        let words = [
            (at.nr_pages, self.nr_pages),
            (at.shared_info, self.shared_info),
            (at.store_mfn, self.store_mfn),
            (at.console_mfn, self.console_mfn),
            (at.pt_base, self.pt_base),
            (at.nr_pt_frames, self.nr_pt_frames),
            (at.mfn_list, self.mfn_list),
            (at.mod_start, self.mod_start),
            (at.mod_len, self.mod_len),
            (at.first_p2m_pfn, self.first_p2m_pfn),
            (at.nr_p2m_frames, self.nr_p2m_frames),
        ];
        for (offset, value) in words {
            page[offset..offset + at.word].copy_from_slice(&value.to_le_bytes()[..at.word]);
        }
        let small = [
            (at.flags, self.flags),
            (at.store_evtchn, self.store_evtchn),
            (at.console_evtchn, self.console_evtchn),
        ];
        for (offset, value) in small {
            page[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        }
        let len = self.cmd_line.len().min(CMD_LINE_BYTES - 1);
        page[at.cmd_line..at.cmd_line + len].copy_from_slice(&self.cmd_line[..len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_in_both_widths() {
        let info = StartInfo {
            magic: *b"xen-3.0-x86_32p\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            nr_pages: 0x1_0001,
            shared_info: 0x7_f000,
            flags: 0x18,
            store_mfn: 5,
            store_evtchn: 1,
            console_mfn: 6,
            console_evtchn: 2,
            pt_base: 0x1000_0000,
            nr_pt_frames: 9,
            mfn_list: 0x2000_0000,
            mod_start: 77,
            mod_len: 12345,
            cmd_line: b"root=/dev/xvda1".to_vec(),
            first_p2m_pfn: 3,
            nr_p2m_frames: 4,
        };
        for width in [Width::Bits64, Width::Bits32] {
            let mut page = [0xff; 4096];
            info.write(&mut page, width);
            assert_eq!(StartInfo::read(&page, width), info);
            assert!(page[layout(width).size..].iter().all(|&b| b == 0));
        }
    }

    #[test]
    fn an_overlong_command_line_keeps_its_final_nul() {
        let info = StartInfo {
            cmd_line: alloc::vec![b'x'; 3000],
            ..StartInfo::default()
        };
        let mut page = [0; 4096];
        info.write(&mut page, Width::Bits64);
        assert_eq!(
            StartInfo::read(&page, Width::Bits64).cmd_line.len(),
            CMD_LINE_BYTES - 1
        );
    }
}
