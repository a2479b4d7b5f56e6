//! The real hypervisor: events, grants, time and pages, by hypercall and shared info page.

use alloc::vec::Vec;
use core::ptr::NonNull;

use super::hypercall;
use super::m2p;
use super::memory;
use super::single::SingleCore;
use super::width::{self, SPECIAL};
use crate::abi::Width;
use crate::abi::grant;
use crate::abi::shared_info::{self, TimeInfo};
use crate::addr::{Mfn, PAGE_BYTES, Pfn, Virt};
use crate::frames::{FrameSource, Frames, NoFrames};
use crate::hypervisor::{Access, DomId, Errno, GrantRef, Hypervisor, Instant, Port};
use crate::shared::SharedPage;

/// Pages of the special area before the grant table's frames: shared info and the two rings.
const SPECIAL_GRANTS: u64 = 3;
/// Grant table frames that may be mapped: 16 times 512 entries serve fifteen connected disks.
const MAX_GRANT_FRAMES: u32 = 16;

const AT: shared_info::Layout = shared_info::layout(Width::NATIVE);

/// The hypervisor this guest runs under. All values are the same one.
#[derive(Clone, Copy, Debug)]
pub struct Platform(());

struct State {
    shared_info: Option<SharedPage>,
    grants: Vec<SharedPage>,
    /// Entries never used so far start here; 0 while the table is not set up.
    next_grant: u32,
    free_grants: Vec<GrantRef>,
}

static STATE: SingleCore<State> = SingleCore::new(State {
    shared_info: None,
    grants: Vec::new(),
    next_grant: 0,
    free_grants: Vec::new(),
});

/// Maps machine frame `mfn` at page `slot` of the special area.
fn special(slot: u64, mfn: Mfn) -> SharedPage {
    let at = Virt(SPECIAL + slot * PAGE_BYTES as u64);
    memory::map(at, mfn);
    let start = NonNull::new(core::ptr::with_exposed_provenance_mut(at.0 as usize))
        .expect("OK to unwrap: the special area is not at address 0");
    // SAFETY: the page was just mapped, stays mapped, and only this value touches it.
    unsafe { SharedPage::new(start, mfn) }
}

impl Platform {
    /// Maps the shared info page (machine address `shared_info`) and the two rings. Called once, by the entry.
    pub(super) fn start(
        shared_info: u64,
        store: Mfn,
        console: Mfn,
    ) -> (Self, SharedPage, SharedPage) {
        let page = special(0, Mfn(shared_info / PAGE_BYTES as u64));
        // A loader that ran before this one may have left the flag clear; this one must never be interrupted.
        page.store_byte(AT.upcall_mask, 1);
        STATE.get().shared_info = Some(page);
        (Self(()), special(1, store), special(2, console))
    }

    /// Leaves the shared info page as a kernel expects it at its start: upcalls masked, nothing pending, no p2m data.
    pub(super) fn leave() {
        let state = STATE.get();
        let Some(page) = &state.shared_info else {
            return;
        };
        page.store_byte(AT.upcall_mask, 1);
        for word in 0..AT.ports / 32 {
            page.store(AT.evtchn_pending + word as usize * 4, 0);
        }
        for offset in (AT.pending_sel..AT.pending_sel + AT.word).step_by(4) {
            page.store(offset, 0);
        }
        page.store_byte(AT.upcall_pending, 0);
        let p2m = [
            AT.max_pfn,
            AT.frame_list_list,
            AT.p2m_cr3,
            AT.p2m_vaddr,
            AT.p2m_generation,
        ];
        for field in p2m {
            for offset in (field..field + AT.word).step_by(4) {
                page.store(offset, 0);
            }
        }
    }

    /// The platform, for those who report a panic.
    pub(super) fn get() -> Self {
        Self(())
    }

    /// Faulting address of the last page fault (`vcpu_info.arch.cr2`).
    pub(super) fn fault_address() -> u64 {
        let Some(state) = STATE.try_get() else {
            return 0;
        };
        state.shared_info.as_ref().map_or(0, |page| {
            let mut bytes = [0; 8];
            page.read(AT.cr2, &mut bytes[..AT.word]);
            u64::from_le_bytes(bytes)
        })
    }
}

#[repr(C)]
struct AllocUnbound {
    dom: u16,
    remote: u16,
    port: u32,
}

#[repr(C)]
struct Poll {
    ports: *const u32,
    count: u32,
    timeout: u64,
}

#[repr(C)]
struct SetupTable {
    dom: u16,
    frames: u32,
    status: i16,
    list: *mut usize,
}

#[repr(C)]
struct Version {
    dom_or_version: u32,
    version: u32,
}

const EVTCHN_CLOSE: usize = 3;
const EVTCHN_SEND: usize = 4;
const EVTCHN_ALLOC_UNBOUND: usize = 6;
const SCHED_POLL: usize = 3;
const GNTTAB_SETUP_TABLE: usize = 2;
const GNTTAB_SET_VERSION: usize = 8;
const GNTTAB_GET_VERSION: usize = 10;

/// Ports that one poll may name.
const MAX_POLL_PORTS: usize = 128;

impl Platform {
    /// The moment at which the processor's counter read `count`, not long ago.
    pub(super) fn time_of(self, count: u64) -> Instant {
        let now = self.now();
        let state = STATE.get();
        let Some(page) = &state.shared_info else {
            return now;
        };
        let mut bytes = [0; 32];
        page.read(AT.time, &mut bytes);
        // Xen may have begun a new interval since, so that the count lies before it: measure backwards from now.
        let since = TimeInfo {
            tsc_timestamp: count,
            system_time: 0,
            ..TimeInfo::read(&bytes)
        };
        Instant(now.0.saturating_sub(since.at(width::counter())))
    }
}

impl Hypervisor for Platform {
    fn now(&self) -> Instant {
        let state = STATE.get();
        let Some(page) = &state.shared_info else {
            return Instant(0);
        };
        loop {
            let before = page.load(AT.time);
            let mut bytes = [0; 32];
            page.read(AT.time, &mut bytes);
            let time = TimeInfo::read(&bytes);
            let now = time.at(width::counter());
            page.barrier();
            // Xen writes this page only on the processor that runs this vCPU, so a retry always ends.
            if before & 1 == 0 && page.load(AT.time) == before {
                return Instant(now);
            }
        }
    }

    fn poll(&self, ports: &[Port], deadline: Instant) {
        let mut numbers = [0; MAX_POLL_PORTS];
        let count = ports.len().min(MAX_POLL_PORTS);
        for (number, port) in numbers.iter_mut().zip(ports) {
            *number = port.0;
        }
        let mut poll = Poll {
            ports: numbers.as_ptr(),
            count: count as u32,
            // A time-out of 0 would mean for ever.
            timeout: deadline.0.max(1),
        };
        // SAFETY: `Poll` is `struct sched_poll`; its pointer is to `count` port numbers, alive during the call.
        // A refusal (a port that is gone) ends the wait at once, and callers look at the clock themselves.
        let _ = unsafe { hypercall::sched_op(SCHED_POLL, &mut poll) };
    }

    fn take_pending(&self, port: Port) -> bool {
        let state = STATE.get();
        let Some(page) = &state.shared_info else {
            return false;
        };
        if port.0 >= AT.ports {
            return false;
        }
        let bit = 1 << (port.0 % 32);
        let offset = AT.evtchn_pending + (port.0 / 32) as usize * 4;
        page.clear_bits(offset, bit) & bit != 0
    }

    fn send(&self, port: Port) -> Result<(), Errno> {
        let mut number = port.0;
        // SAFETY: `evtchn_send` is one 32-bit port.
        unsafe { hypercall::event_channel_op(EVTCHN_SEND, &mut number) }.map(drop)
    }

    fn open(&self, remote: DomId) -> Result<Port, Errno> {
        let mut request = AllocUnbound {
            dom: DomId::SELF.0,
            remote: remote.0,
            port: 0,
        };
        // SAFETY: the structure is `evtchn_alloc_unbound`.
        unsafe { hypercall::event_channel_op(EVTCHN_ALLOC_UNBOUND, &mut request) }?;
        Ok(Port(request.port))
    }

    fn close(&self, port: Port) -> Result<(), Errno> {
        let mut number = port.0;
        // SAFETY: `evtchn_close` is one 32-bit port.
        unsafe { hypercall::event_channel_op(EVTCHN_CLOSE, &mut number) }?;
        // An event that came in before the close must not greet whoever gets this port next.
        self.take_pending(port);
        Ok(())
    }

    fn alloc_page(&self) -> Result<SharedPage, Errno> {
        let start = memory::claim(None, 1).ok_or(Errno::NOMEM)?;
        // SAFETY: a mapped frame that was just claimed, so no reference to it exists.
        unsafe { core::ptr::write_bytes(start.as_ptr(), 0, PAGE_BYTES) };
        // SAFETY: as above; it stays claimed until `free_page`.
        Ok(unsafe { SharedPage::new(start, memory::mfn(memory::pfn_at(start))) })
    }

    fn free_page(&self, page: SharedPage) {
        memory::release(page.start(), 1);
    }

    fn grant(&self, page: &SharedPage, to: DomId, access: Access) -> Result<GrantRef, Errno> {
        let frame = u32::try_from(page.mfn().0).map_err(|_| Errno::INVAL)?;
        let reference = take_reference()?;
        let flags = match access {
            Access::ReadOnly => grant::PERMIT_ACCESS | grant::READ_ONLY,
            Access::ReadWrite => grant::PERMIT_ACCESS,
        };
        let state = STATE.get();
        let (table, offset) = entry(&state, reference)?;
        table.store(offset + grant::FRAME, frame);
        table.store(offset, u32::from(flags) | u32::from(to.0) << 16);
        Ok(reference)
    }

    fn revoke(&self, reference: GrantRef) -> Result<(), Errno> {
        let mut state = STATE.get();
        let (table, offset) = entry(&state, reference)?;
        let current = table.load(offset);
        if current & u32::from(grant::READING | grant::WRITING) != 0 {
            return Err(Errno::BUSY);
        }
        table.replace(offset, current, 0).map_err(|_| Errno::BUSY)?;
        table.store(offset + grant::FRAME, 0);
        state.free_grants.push(reference);
        Ok(())
    }
}

fn entry(state: &State, reference: GrantRef) -> Result<(&SharedPage, usize), Errno> {
    let index = reference.0 as usize;
    let table = state
        .grants
        .get(index / grant::ENTRIES_PER_FRAME)
        .ok_or(Errno::INVAL)?;
    Ok((table, index % grant::ENTRIES_PER_FRAME * grant::ENTRY_BYTES))
}

fn take_reference() -> Result<GrantRef, Errno> {
    let mut state = STATE.get();
    if let Some(reference) = state.free_grants.pop() {
        return Ok(reference);
    }
    let have = state.grants.len() * grant::ENTRIES_PER_FRAME;
    if state.next_grant as usize >= have {
        if state.grants.is_empty() {
            use_version_1();
            state.next_grant = grant::RESERVED_ENTRIES;
        }
        grow_table(&mut state)?;
    }
    let reference = GrantRef(state.next_grant);
    state.next_grant += 1;
    Ok(reference)
}

/// A kernel that booted us may have left the table in version 2. Failure is fine: only version 1 exists then.
fn use_version_1() {
    let mut version = Version {
        dom_or_version: u32::from(DomId::SELF.0),
        version: 0,
    };
    // SAFETY: `gnttab_get_version` is a domain number padded to 32 bits and a 32-bit answer.
    let got = unsafe { hypercall::grant_table_op(GNTTAB_GET_VERSION, &mut version) };
    if got.is_ok() && version.version == 2 {
        let mut wanted = 1_u32;
        // SAFETY: `gnttab_set_version` is one 32-bit number.
        let _ = unsafe { hypercall::grant_table_op(GNTTAB_SET_VERSION, &mut wanted) };
    }
}

/// Maps one more frame of the grant table.
fn grow_table(state: &mut State) -> Result<(), Errno> {
    let frames = state.grants.len() as u32 + 1;
    if frames > MAX_GRANT_FRAMES {
        return Err(Errno::NOMEM);
    }
    let mut list = [0_usize; MAX_GRANT_FRAMES as usize];
    let mut setup = SetupTable {
        dom: DomId::SELF.0,
        frames,
        status: 0,
        list: list.as_mut_ptr(),
    };
    // SAFETY: the structure is `gnttab_setup_table`, and its list has room for `frames` words.
    unsafe { hypercall::grant_table_op(GNTTAB_SETUP_TABLE, &mut setup) }?;
    if setup.status != 0 {
        return Err(Errno::NOMEM);
    }
    let slot = frames as usize - 1;
    let page = special(SPECIAL_GRANTS + slot as u64, Mfn(list[slot] as u64));
    state.grants.push(page);
    Ok(())
}

impl FrameSource for Platform {
    fn allocate(&self, count: u64) -> Result<Frames, NoFrames> {
        memory::allocate(None, count)
    }

    fn allocate_near(&self, at: Pfn, count: u64) -> Result<Frames, NoFrames> {
        memory::allocate(Some(at), count)
    }

    fn mfn(&self, pfn: Pfn) -> Mfn {
        memory::mfn(pfn)
    }

    fn pfn(&self, mfn: Mfn) -> Pfn {
        m2p::pfn_of(mfn)
    }

    fn make_low(&self, pfn: Pfn) -> Result<(), Errno> {
        memory::make_low(pfn)
    }

    fn copy_p2m(&self, list: &mut [u8]) {
        memory::copy_p2m(list);
    }

    fn nr_pages(&self) -> u64 {
        memory::nr_pages()
    }

    fn free_frames(&self) -> u64 {
        memory::free_frames()
    }

    fn reach(&self) -> u64 {
        memory::reach()
    }
}
