//! One request and its reply over the xenstore page, by polling.
//!
//! The daemon owns two of the four indices and everything in the reply ring; lengths are checked before a byte
//! is taken. After a violation the two sides no longer agree where a message begins, so the ring stays refused.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::time::Duration;

use arch::abi::xs_wire::{
    CONNECTED, CONNECTION, HEADER_BYTES, Header, Kind, PAYLOAD_MAX, REQ_CONS, REQ_PROD, REQ_RING,
    RING_BYTES, RSP_CONS, RSP_PROD, RSP_RING,
};
use arch::{Hypervisor, Instant, Port, SharedPage};

use super::{Refusal, StoreError};

/// How long a request and its reply may take. Long: a control domain that is short of processor time has been seen to
/// take half a minute, and without xenstore nothing else works either.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long they may take once a request has gone unanswered: a daemon that is gone should not cost a
/// minute a question.
pub const SHORT_PATIENCE: Duration = Duration::from_secs(1);
/// First request number. Not 1, so that a reply to an earlier kernel is not taken for one of ours.
const FIRST_REQUEST: u32 = 0x7067_0001;

/// The ring, and what is known of the daemon behind it.
pub(super) struct Wire {
    pub(super) hv: Rc<dyn Hypervisor>,
    page: SharedPage,
    port: Port,
    next_request: Cell<u32>,
    patience: Cell<Duration>,
    /// Whether an index was moved since the last event was sent.
    untold: Cell<bool>,
    /// Why the ring cannot be used any more.
    broken: RefCell<Option<String>>,
}

/// A limit that passed, or a violation: the reasons to stop in the middle of a message.
enum Stop {
    Late,
    Broken(String),
}

impl Wire {
    /// Takes over the ring: waits a moment for requests of an earlier kernel to be taken, and drops replies to them.
    pub(super) fn new(hv: Rc<dyn Hypervisor>, page: SharedPage, port: Port) -> Self {
        let wire = Self {
            hv,
            page,
            port,
            next_request: Cell::new(FIRST_REQUEST),
            patience: Cell::new(PATIENCE),
            untold: Cell::new(false),
            broken: RefCell::new(None),
        };
        let deadline = wire.hv.now().after(SHORT_PATIENCE);
        // A daemon that does not take them is found out by the first request.
        let _ = wire.settle(deadline);
        wire
    }

    /// The event channel of the ring.
    pub(super) fn port(&self) -> Port {
        self.port
    }

    /// The page of the rings.
    pub(super) fn page(&self) -> &SharedPage {
        &self.page
    }

    /// Waits until the daemon has taken every request, then drops what is in the reply ring. False if `deadline`
    /// passed first.
    pub(super) fn settle(&self, deadline: Instant) -> bool {
        let settled = loop {
            self.hv.take_pending(self.port);
            if self.page.load(CONNECTION) == CONNECTED
                && self.page.load(REQ_CONS) == self.page.load(REQ_PROD)
            {
                break true;
            }
            if self.hv.now() >= deadline {
                break false;
            }
            self.hv.poll(&[self.port], deadline);
        };
        self.page.store(RSP_CONS, self.page.load(RSP_PROD));
        self.untold.set(true);
        self.notify();
        self.hv.take_pending(self.port);
        settled
    }

    /// Tells the daemon of what was put and of what was taken. A refusal means that it is gone, which the time
    /// limits deal with.
    fn notify(&self) {
        if self.untold.replace(false) {
            let _ = self.hv.send(self.port);
        }
    }

    /// Sends one request made of `parts` and returns the payload of its reply.
    pub(super) fn request(
        &self,
        kind: Kind,
        transaction: u32,
        parts: &[&[u8]],
    ) -> Result<Vec<u8>, StoreError> {
        if let Some(why) = &*self.broken.borrow() {
            return Err(StoreError::Broken(why.clone()));
        }
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let header = Header {
            kind,
            request: self.next_request.get(),
            transaction,
            len: match u32::try_from(len) {
                Ok(wire_len) if len <= PAYLOAD_MAX => wire_len,
                _ => return Err(StoreError::TooLong { len }),
            },
        };
        self.next_request.set(header.request.wrapping_add(1));
        let deadline = self.hv.now().after(self.patience.get());
        let answer = self.exchange(&header, parts, deadline);
        match answer {
            Ok((reply, payload)) => {
                self.patience.set(PATIENCE);
                self.judge(&header, &reply, payload)
            }
            Err(Stop::Late) => {
                self.patience.set(SHORT_PATIENCE);
                Err(StoreError::Timeout)
            }
            Err(Stop::Broken(why)) => Err(self.give_up(why)),
        }
    }

    /// Refuses the ring from now on.
    fn give_up(&self, why: String) -> StoreError {
        *self.broken.borrow_mut() = Some(why.clone());
        StoreError::Broken(why)
    }

    /// Tells an answer from a refusal.
    fn judge(
        &self,
        asked: &Header,
        reply: &Header,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        if reply.kind == Kind::ERROR {
            return Err(StoreError::Refused(Refusal::parse(&payload)));
        }
        if reply.kind != asked.kind {
            return Err(self.give_up(format!(
                "a reply of type {} to a request of type {}",
                reply.kind.0, asked.kind.0
            )));
        }
        Ok(payload)
    }

    fn exchange(
        &self,
        header: &Header,
        parts: &[&[u8]],
        deadline: Instant,
    ) -> Result<(Header, Vec<u8>), Stop> {
        self.send_all(&header.encode(), deadline, Message::Begins)?;
        for part in parts {
            self.send_all(part, deadline, Message::Goes)?;
        }
        self.notify();
        loop {
            let mut bytes = [0; HEADER_BYTES];
            self.receive_all(&mut bytes, deadline, Message::Begins)?;
            let reply = Header::decode(&bytes);
            let len = match usize::try_from(reply.len) {
                Ok(len) if len <= PAYLOAD_MAX => len,
                _ => return Err(Stop::Broken(format!("a reply of {} bytes", reply.len))),
            };
            let mut payload = vec![0; len];
            self.receive_all(&mut payload, deadline, Message::Goes)?;
            // Events of a watch that an earlier kernel left behind, and replies to it, are not for us.
            if reply.kind != Kind::WATCH_EVENT && reply.request == header.request {
                return Ok((reply, payload));
            }
            // They must not keep us here for ever. Only here: an answer that is there counts, however late we wake up.
            if self.hv.now() >= deadline {
                return Err(Stop::Late);
            }
        }
    }

    /// Puts `bytes` into the request ring, waiting for room.
    fn send_all(&self, bytes: &[u8], deadline: Instant, stage: Message) -> Result<(), Stop> {
        let mut rest = bytes;
        let mut stage = stage;
        while !rest.is_empty() {
            let produced = self.page.load(REQ_PROD);
            let consumed = self.page.load(REQ_CONS);
            let used = produced.wrapping_sub(consumed);
            if used > RING_BYTES {
                return Err(Stop::Broken(format!("{used} bytes in the request ring")));
            }
            // At most 1024, so it fits a usize of either width.
            let room = (RING_BYTES - used) as usize;
            if room == 0 || self.page.load(CONNECTION) != CONNECTED {
                self.wait(deadline, stage, |page| {
                    let moved = room > 0 || page.load(REQ_CONS) != consumed;
                    moved && page.load(CONNECTION) == CONNECTED
                })?;
                continue;
            }
            let count = rest.len().min(room);
            let at = (produced & (RING_BYTES - 1)) as usize;
            let (now, later) = rest.split_at(count);
            let (first, second) = now.split_at(count.min(RING_BYTES as usize - at));
            self.page.write(REQ_RING + at, first);
            self.page.write(REQ_RING, second);
            self.page
                .store(REQ_PROD, produced.wrapping_add(count as u32));
            self.untold.set(true);
            rest = later;
            stage = Message::Goes;
        }
        Ok(())
    }

    /// Fills `out` from the reply ring, waiting for more.
    fn receive_all(&self, out: &mut [u8], deadline: Instant, stage: Message) -> Result<(), Stop> {
        let mut done = 0;
        let mut stage = stage;
        while done < out.len() {
            let consumed = self.page.load(RSP_CONS);
            let available = self.page.load(RSP_PROD).wrapping_sub(consumed);
            if available > RING_BYTES {
                return Err(Stop::Broken(format!("{available} bytes in the reply ring")));
            }
            if available == 0 {
                self.wait(deadline, stage, |page| page.load(RSP_PROD) != consumed)?;
                continue;
            }
            let rest = &mut out[done..];
            let count = rest.len().min(available as usize);
            let at = (consumed & (RING_BYTES - 1)) as usize;
            let (first, second) = rest[..count].split_at_mut(count.min(RING_BYTES as usize - at));
            self.page.read(RSP_RING + at, first);
            self.page.read(RSP_RING, second);
            self.page
                .store(RSP_CONS, consumed.wrapping_add(count as u32));
            self.untold.set(true);
            done += count;
            stage = Message::Goes;
        }
        Ok(())
    }

    /// Waits for the daemon to do something with either ring. What has been `done` counts after the deadline too;
    /// events alone do not, or a daemon that sends them without end would keep us here.
    fn wait(
        &self,
        deadline: Instant,
        stage: Message,
        done: impl FnOnce(&SharedPage) -> bool,
    ) -> Result<(), Stop> {
        // The daemon sleeps when a ring is full or empty.
        self.notify();
        let woken = self.hv.take_pending(self.port);
        if woken && done(&self.page) {
            return Ok(());
        }
        if self.hv.now() >= deadline {
            return Err(late(stage));
        }
        if !woken {
            self.hv.poll(&[self.port], deadline);
        }
        Ok(())
    }
}

/// Whether a message has been begun: giving up in the middle of one costs the ring.
#[derive(Clone, Copy)]
enum Message {
    Begins,
    Goes,
}

fn late(stage: Message) -> Stop {
    match stage {
        Message::Begins => Stop::Late,
        Message::Goes => Stop::Broken(String::from("a message stopped half way")),
    }
}
