//! The two rings and the pages that go round in them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use arch::abi::netif::{
    RX_CSUM_BLANK, RX_ENTRY_BYTES, RX_EXTRA_INFO, RX_MORE_DATA, RxRequest, RxResponse,
    TX_ENTRY_BYTES, TxRequest, TxResponse,
};
use arch::addr::PAGE_BYTES;
use arch::ring::{Armed, FrontRing, Notify};
use arch::{DomId, Errno, GrantRef, Hypervisor, Port};
use net::forget_udp_checksum;

use crate::frontend::Granted;

/// Pages to receive into: one for each entry of the ring.
const RX_PAGES: u16 = 256;
/// Pages to send from: a TFTP client sends little.
const TX_PAGES: u16 = 32;
/// Pages that are given back to the back end together, while it has plenty.
const RX_BATCH: u16 = 32;

/// What went through an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Frames given to the back end.
    pub sent: u64,
    /// Frames taken from the back end.
    pub received: u64,
    /// Frames that were lost here: no room to send, too long, or refused by the back end.
    pub dropped: u64,
}

/// A page that the back end may have.
struct Buffer {
    granted: Granted,
    /// Whether the back end has it now.
    out: bool,
}

/// Rings and pages of one interface.
pub(super) struct Queue {
    tx: FrontRing,
    tx_grant: GrantRef,
    rx: FrontRing,
    rx_grant: GrantRef,
    tx_buffers: Vec<Buffer>,
    rx_buffers: Vec<Buffer>,
    /// Pages in the ring that the back end has not been shown.
    unshown: u16,
    /// The rest of a packet in several parts is passed over.
    skipping: bool,
    /// How the back end broke the protocol.
    broken: Option<String>,
    counters: Counters,
}

impl Queue {
    /// Rings and pages for `backend`.
    ///
    /// # Errors
    /// What the hypervisor said, and the pages that are to be taken back.
    pub(super) fn new(hv: &dyn Hypervisor, backend: DomId) -> Result<Self, (Errno, Vec<Granted>)> {
        let count = usize::from(RX_PAGES + TX_PAGES) + 2;
        let mut pages = Vec::with_capacity(count);
        for _ in 0..count {
            match Granted::new(hv, backend) {
                Ok(page) => pages.push(page),
                Err(error) => return Err((error, pages)),
            }
        }
        let mut pages = pages.into_iter();
        let (Some(tx), Some(rx)) = (pages.next(), pages.next()) else {
            return Err((Errno::NOMEM, pages.collect()));
        };
        let mut buffers = pages.map(|granted| Buffer {
            granted,
            out: false,
        });
        let tx_buffers = buffers.by_ref().take(usize::from(TX_PAGES)).collect();
        Ok(Self {
            tx: FrontRing::new(tx.page, TX_ENTRY_BYTES, 0),
            tx_grant: tx.grant,
            rx: FrontRing::new(rx.page, RX_ENTRY_BYTES, 0),
            rx_grant: rx.grant,
            tx_buffers,
            rx_buffers: buffers.collect(),
            unshown: 0,
            skipping: false,
            broken: None,
            counters: Counters::default(),
        })
    }

    /// Grants of the rings' pages: sending, receiving.
    pub(super) fn grants(&self) -> (GrantRef, GrantRef) {
        (self.tx_grant, self.rx_grant)
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// Gives every page for receiving to the back end, before it is there to be told.
    pub(super) fn offer_all(&mut self) {
        for id in 0..RX_PAGES {
            self.offer(id);
        }
        // Nobody listens yet; the back end looks when it connects.
        let _ = self.rx.publish();
    }

    fn offer(&mut self, id: u16) {
        if let Some(buffer) = self.rx_buffers.get_mut(usize::from(id)) {
            let grant = buffer.granted.grant.0;
            // There are as many pages as entries.
            buffer.out = self.rx.put(&RxRequest { id, grant }.encode()).is_ok();
        }
    }

    /// All pages, to be taken back.
    pub(super) fn into_pages(self) -> Vec<Granted> {
        let buffers = self.tx_buffers.into_iter().chain(self.rx_buffers);
        let mut pages: Vec<Granted> = buffers.map(|buffer| buffer.granted).collect();
        for (ring, grant) in [(self.tx, self.tx_grant), (self.rx, self.rx_grant)] {
            pages.push(Granted {
                page: ring.into_page(),
                grant,
            });
        }
        pages
    }

    fn check(&self) -> Result<(), String> {
        match &self.broken {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    fn breaks(&mut self, how: String) -> String {
        let reason = format!("the back end broke the protocol: {how}");
        self.broken = Some(reason.clone());
        reason
    }

    /// Sends `frame`; it is lost when every page is under way.
    ///
    /// # Errors
    /// How the back end broke the protocol.
    pub(super) fn send(
        &mut self,
        hv: &dyn Hypervisor,
        port: Port,
        frame: &[u8],
    ) -> Result<(), String> {
        self.check()?;
        self.reclaim()?;
        let size = u16::try_from(frame.len()).unwrap_or(u16::MAX);
        let free = self.tx_buffers.iter().position(|buffer| !buffer.out);
        let slot = free.and_then(|index| Some((index, u16::try_from(index).ok()?)));
        let (Some((index, id)), true) = (slot, frame.len() <= PAGE_BYTES && !frame.is_empty())
        else {
            self.counters.dropped += 1;
            return Ok(());
        };
        let buffer = &mut self.tx_buffers[index];
        buffer.granted.page.write(0, frame);
        let request = TxRequest {
            grant: buffer.granted.grant.0,
            offset: 0,
            flags: 0,
            id,
            size,
        };
        // Fewer pages than entries: there is always room.
        buffer.out = self.tx.put(&request.encode()).is_ok();
        self.counters.sent += 1;
        if self.tx.publish() == Notify::Wanted {
            // A back end that is gone shows in its state, not here.
            let _ = hv.send(port);
        }
        Ok(())
    }

    /// Takes back the pages whose frames were sent.
    fn reclaim(&mut self) -> Result<(), String> {
        loop {
            let mut entry = [0; TX_ENTRY_BYTES];
            match self.tx.take(&mut entry) {
                Ok(None) => return Ok(()),
                Ok(Some(())) => {}
                Err(overrun) => return Err(self.breaks(format!("{overrun}"))),
            }
            let TxResponse { id, status } = TxResponse::decode(entry);
            match self.tx_buffers.get_mut(usize::from(id)) {
                Some(buffer) if buffer.out => buffer.out = false,
                _ => return Err(self.breaks(format!("an answer to frame {id}, not sent"))),
            }
            if status < 0 {
                self.counters.dropped += 1;
            }
        }
    }

    /// Copies the next frame into `out` and returns its length.
    ///
    /// # Errors
    /// How the back end broke the protocol.
    pub(super) fn receive(
        &mut self,
        hv: &dyn Hypervisor,
        port: Port,
        out: &mut [u8],
    ) -> Result<Option<usize>, String> {
        self.check()?;
        // No more than a ring full: bad frames without end must not keep anybody here.
        for _ in 0..RX_PAGES {
            let mut entry = [0; RX_ENTRY_BYTES];
            match self.rx.take(&mut entry) {
                Ok(None) => {
                    self.show(hv, port);
                    return Ok(None);
                }
                Ok(Some(())) => {}
                Err(overrun) => return Err(self.breaks(format!("{overrun}"))),
            }
            let response = RxResponse::decode(entry);
            let len = self.copy_out(response, out)?;
            self.offer(response.id);
            self.unshown += 1;
            if self.unshown >= RX_BATCH {
                self.show(hv, port);
            }
            match len {
                Some(len) => {
                    self.counters.received += 1;
                    return Ok(Some(len));
                }
                None => self.counters.dropped += 1,
            }
        }
        Ok(None)
    }

    /// Shows the back end the pages that it may have.
    fn show(&mut self, hv: &dyn Hypervisor, port: Port) {
        if core::mem::take(&mut self.unshown) > 0 && self.rx.publish() == Notify::Wanted {
            let _ = hv.send(port);
        }
    }

    /// Copies the frame of a response, if it is a whole and good one.
    fn copy_out(&mut self, response: RxResponse, out: &mut [u8]) -> Result<Option<usize>, String> {
        let RxResponse {
            id,
            offset,
            flags,
            status,
        } = response;
        let buffer = self.rx_buffers.get_mut(usize::from(id));
        let Some(buffer) = buffer.filter(|buffer| buffer.out) else {
            return Err(self.breaks(format!("a frame in page {id}, which it does not have")));
        };
        buffer.out = false;
        if flags & RX_EXTRA_INFO != 0 {
            return Err(self.breaks("extra information, not asked for".into()));
        }
        let more = flags & RX_MORE_DATA != 0;
        let part = core::mem::replace(&mut self.skipping, more) || more;
        // Negative: the back end could not deliver it.
        let len = usize::try_from(status).unwrap_or(0);
        let at = usize::from(offset);
        if at + len > PAGE_BYTES {
            return Err(self.breaks(format!("a frame at {at}+{len} in a page")));
        }
        if part || len == 0 || len > out.len() {
            return Ok(None);
        }
        let frame = &mut out[..len];
        buffer.granted.page.read(at, frame);
        if flags & RX_CSUM_BLANK != 0 {
            forget_udp_checksum(frame);
        }
        Ok(Some(len))
    }

    /// Asks for an event when there are `frames` frames; whether there are so many already.
    pub(super) fn arm(&mut self, frames: u32) -> bool {
        self.broken.is_none() && self.rx.arm_for(frames) == Armed::Ready
    }
}
