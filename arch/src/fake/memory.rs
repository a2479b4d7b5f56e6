//! Frames and grants of the fake guest.

use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ptr::NonNull;

use crate::abi::grant::RESERVED_ENTRIES;
use crate::addr::{Mfn, PAGE_BYTES};
use crate::hypervisor::{Access, DomId, Errno, GrantRef};
use crate::shared::SharedPage;

/// First machine frame of the fake guest: far from small numbers, so that a mixed-up number shows.
const FIRST_MFN: u64 = 0x8_1000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    /// One of the rings that the guest was given.
    Ring,
    Allocated,
    /// Given back. Never used again, so that a late write is seen for what it is.
    Freed,
}

struct Frame {
    start: NonNull<u8>,
    used: Use,
}

struct Grant {
    mfn: Mfn,
    to: DomId,
    access: Access,
    /// Times the frame is mapped through this grant.
    mapped: u32,
}

/// The guest's frames and its grant table.
pub struct Memory {
    frames: BTreeMap<u64, Frame>,
    grants: BTreeMap<u32, Grant>,
    /// Most pages allocated at one time.
    pub limit: usize,
    /// What the guest or a back end did wrong.
    pub misuse: Vec<String>,
}

fn layout() -> Layout {
    Layout::from_size_align(PAGE_BYTES, PAGE_BYTES).expect("a page is a valid layout")
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            frames: BTreeMap::new(),
            grants: BTreeMap::new(),
            limit: usize::MAX,
            misuse: Vec::new(),
        }
    }

    fn make(&mut self, used: Use) -> Mfn {
        // SAFETY: the layout's size is a page, not zero.
        let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout()) }) else {
            handle_alloc_error(layout());
        };
        // Downwards and by threes: consecutive numbers would hide mistakes.
        let mfn = FIRST_MFN + 3 * self.frames.len() as u64;
        self.frames.insert(mfn, Frame { start, used });
        Mfn(mfn)
    }

    /// A frame that the guest has from the start.
    pub(super) fn make_ring(&mut self) -> Mfn {
        self.make(Use::Ring)
    }

    pub(super) fn alloc(&mut self) -> Result<SharedPage, Errno> {
        if self.in_use() >= self.limit {
            return Err(Errno::NOMEM);
        }
        let mfn = self.make(Use::Allocated);
        Ok(self.view(mfn))
    }

    /// Another view of a frame.
    ///
    /// # Panics
    /// When the guest has no such frame.
    #[must_use]
    pub fn view(&self, mfn: Mfn) -> SharedPage {
        let frame = self.frames.get(&mfn.0).expect("a frame of the guest");
        // SAFETY: `start` is a page-aligned allocation of a page that lives as long as the fake hypervisor, which
        // tests keep to their end, and nobody makes a reference to its bytes.
        unsafe { SharedPage::new(frame.start, mfn) }
    }

    pub(super) fn free(&mut self, mfn: Mfn) {
        if let Some((number, _)) = self.grants.iter().find(|(_, grant)| grant.mfn == mfn) {
            self.misuse
                .push(format!("{mfn:?} was freed while granted as {number}"));
        }
        match self.frames.get_mut(&mfn.0) {
            Some(frame) if frame.used == Use::Allocated => frame.used = Use::Freed,
            _ => self
                .misuse
                .push(format!("{mfn:?} was freed, not allocated")),
        }
    }

    /// Pages allocated and not given back.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.frames
            .values()
            .filter(|frame| frame.used == Use::Allocated)
            .count()
    }

    pub(super) fn grant(&mut self, mfn: Mfn, to: DomId, access: Access) -> Result<GrantRef, Errno> {
        let number = (RESERVED_ENTRIES..)
            .find(|number| !self.grants.contains_key(number))
            .ok_or(Errno::NOMEM)?;
        self.grants.insert(
            number,
            Grant {
                mfn,
                to,
                access,
                mapped: 0,
            },
        );
        Ok(GrantRef(number))
    }

    pub(super) fn revoke(&mut self, grant: GrantRef) -> Result<(), Errno> {
        match self.grants.get(&grant.0) {
            None => {
                self.misuse
                    .push(format!("grant {} was revoked, not granted", grant.0));
                Err(Errno::INVAL)
            }
            Some(found) if found.mapped > 0 => Err(Errno::BUSY),
            Some(_) => {
                self.grants.remove(&grant.0);
                Ok(())
            }
        }
    }

    /// Maps a grant for a back end in `domain`.
    pub(super) fn map(&mut self, grant: u32, domain: DomId, access: Access) -> Option<SharedPage> {
        let found = self
            .grants
            .get_mut(&grant)
            .filter(|found| found.to == domain)
            .filter(|found| found.access == Access::ReadWrite || access == Access::ReadOnly);
        let Some(found) = found else {
            self.misuse
                .push(format!("grant {grant} cannot be mapped by {domain:?}"));
            return None;
        };
        found.mapped += 1;
        let mfn = found.mfn;
        Some(self.view(mfn))
    }

    pub(super) fn unmap(&mut self, grant: u32) {
        if let Some(found) = self.grants.get_mut(&grant) {
            found.mapped = found.mapped.saturating_sub(1);
        }
    }

    pub(super) fn leftovers(&self) -> Vec<String> {
        let mut all = self.misuse.clone();
        for (number, grant) in &self.grants {
            let state = if grant.mapped > 0 {
                "mapped"
            } else {
                "not mapped"
            };
            all.push(format!(
                "grant {number} of {:?} to {:?}, {state}",
                grant.mfn, grant.to
            ));
        }
        if self.in_use() > 0 {
            all.push(format!("{} pages", self.in_use()));
        }
        all
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for frame in self.frames.values() {
            // SAFETY: allocated in `make` with this layout, and dropped once, with the map.
            unsafe { dealloc(frame.start.as_ptr(), layout()) };
        }
    }
}
