//! Files over TFTP: opening, reading in order, and what happens between.

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::socket::udp;
use smoltcp::wire::IpAddress;

use super::{NAP, PORTS, Stack, moment};
use crate::error::NetError;
use crate::remote::{HEAD, HEAD_UNKNOWN, Kept, Remote};
use crate::tftp::{Heard, PATIENCE, Transfer, Wishes};

/// Blocks in a row that the server is asked to send: they all fit the receive ring of an interface (256 frames), even
/// while nobody looks.
const WINDOW: u16 = 64;
/// Bytes of a file that are taken from the interface before the reader gets them.
const BATCH: usize = 32 << 10;
/// Bytes of IPv4, UDP and TFTP headers before a block.
const BLOCK_HEADERS: usize = 20 + 8 + 4;
/// A reader who was away for longer than this may find that the server has given up: the file is asked for again.
const LONG_AWAY: Duration = Duration::from_secs(5);
/// Most bytes of a file whose server does not tell its size.
const UNKNOWN_MAX: u64 = 4 << 30;

/// The transfer in hand.
pub(super) struct Active {
    id: u64,
    transfer: Transfer,
    /// Offset of the first byte of `spill`.
    position: u64,
    /// Bytes that have come and were not read.
    spill: Vec<u8>,
    /// How many of them have been read all the same.
    taken: usize,
    begun: Duration,
    looked: Duration,
}

impl Active {
    /// Moves bytes to `out` and returns how many.
    fn drain(&mut self, out: &mut [u8]) -> usize {
        let waiting = self.spill.get(self.taken..).unwrap_or_default();
        let count = waiting.len().min(out.len());
        let (now, _) = waiting.split_at(count);
        let (target, _) = out.split_at_mut(count);
        target.copy_from_slice(now);
        self.skip(count);
        count
    }

    fn skip(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count);
        let moved = u64::try_from(count).unwrap_or(u64::MAX);
        self.position = self.position.saturating_add(moved);
        if self.taken >= self.spill.len() {
            self.spill.clear();
            self.taken = 0;
        }
    }
}

impl Stack {
    /// Asks `server` for the file `path`; the server must answer before `deadline`.
    ///
    /// A server that does not tell the size has the file read through once, to be measured, and again to be used; one
    /// of at most 1 MiB is kept from the first time.
    ///
    /// # Errors
    /// Any [`NetError`].
    pub fn open(
        &mut self,
        server: Ipv4Addr,
        path: &[u8],
        deadline: Duration,
    ) -> Result<Remote, NetError> {
        let mut remote = Remote {
            server,
            path: path.to_vec(),
            len: 0,
            id: 0,
            head: Vec::new(),
            kept: Kept::default(),
        };
        self.request(&mut remote, deadline)?;
        match self
            .active
            .as_ref()
            .and_then(|active| active.transfer.size())
        {
            Some(size) => remote.len = size,
            None => remote.len = self.measure(&mut remote)?,
        }
        Ok(remote)
    }

    /// Reads a file through to learn its size.
    fn measure(&mut self, remote: &mut Remote) -> Result<u64, NetError> {
        loop {
            self.advance(remote, HEAD_UNKNOWN)?;
            let Some(active) = &mut self.active else {
                return Err(NetError::NoAddress);
            };
            active.skip(active.spill.len().saturating_sub(active.taken));
            if active.position > UNKNOWN_MAX {
                let got = active.position;
                self.drop_transfer();
                return Err(NetError::WrongSize {
                    announced: UNKNOWN_MAX,
                    got,
                });
            }
            if active.transfer.is_done() {
                return Ok(active.position);
            }
        }
    }

    /// Fills `out` with the bytes at `offset`.
    ///
    /// # Errors
    /// Any [`NetError`]; the contents of `out` are then unspecified.
    pub fn read(
        &mut self,
        remote: &mut Remote,
        offset: u64,
        out: &mut [u8],
    ) -> Result<(), NetError> {
        let len = u64::try_from(out.len()).unwrap_or(u64::MAX);
        let end = offset.checked_add(len).filter(|end| *end <= remote.len);
        if end.is_none() {
            let size = remote.len;
            return Err(NetError::BeyondEnd { offset, len, size });
        }
        let from_head = usize::try_from(offset)
            .ok()
            .and_then(|at| remote.head.get(at..))
            .unwrap_or_default();
        let count = from_head.len().min(out.len());
        let (kept, rest) = out.split_at_mut(count);
        kept.copy_from_slice(from_head.split_at(count).0);
        let offset = offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        let count = remote.kept.take(offset, rest);
        let (_, rest) = rest.split_at_mut(count);
        let offset = offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if rest.is_empty() {
            return Ok(());
        }
        let before = self.long_away(remote);
        let result = self.stream(remote, offset, rest);
        if result.is_err() {
            let after = self.active.take().map(|active| active.transfer.received());
            // The server gave up while nobody looked.
            if before.is_some() && before == after {
                return self.stream(remote, offset, rest);
            }
        }
        result
    }

    /// Bytes that have come of `remote`, if nobody has looked after its transfer for long.
    fn long_away(&self, remote: &Remote) -> Option<u64> {
        let active = self.active.as_ref()?;
        let away = self.now().saturating_sub(active.looked) > LONG_AWAY;
        (away && active.id == remote.id).then(|| active.transfer.received())
    }

    /// Reads from the server, from the present transfer if it is not beyond `offset` yet.
    fn stream(&mut self, remote: &mut Remote, offset: u64, out: &mut [u8]) -> Result<(), NetError> {
        let usable = self
            .active
            .as_ref()
            .is_some_and(|active| active.id == remote.id && active.position <= offset);
        if !usable {
            let deadline = self.now().saturating_add(PATIENCE);
            self.request(remote, deadline)?;
        }
        let now = self.now();
        if let Some(active) = &mut self.active {
            active.transfer.resume(now);
        }
        let mut rest = out;
        loop {
            let Some(active) = &mut self.active else {
                return Err(NetError::NoAddress);
            };
            if active.position < offset {
                let gap = usize::try_from(offset.saturating_sub(active.position));
                let waiting = active.spill.get(active.taken..).unwrap_or_default();
                let count = gap.unwrap_or(usize::MAX).min(waiting.len());
                let (passed, _) = waiting.split_at(count);
                remote.kept.pass(active.position, passed, self.keep);
                active.skip(count);
            }
            if active.position >= offset {
                let at = active.position;
                let count = active.drain(rest);
                let (read, later) = rest.split_at_mut(count);
                remote.kept.follow(at, read, self.keep);
                rest = later;
            }
            if rest.is_empty() {
                active.looked = self.adapter.device().now();
                return Ok(());
            }
            if active.transfer.is_done() {
                // The whole file has come, and it was shorter: checked there if the server had told the size.
                let got = active.position;
                let announced = remote.len;
                return Err(NetError::WrongSize { announced, got });
            }
            self.advance(remote, HEAD)?;
        }
    }

    /// Begins a transfer of `remote` and waits until the server has agreed.
    fn request(&mut self, remote: &mut Remote, deadline: Duration) -> Result<(), NetError> {
        if !self.has_address() {
            return Err(NetError::NoAddress);
        }
        self.drop_transfer();
        let now = self.now();
        let block = u16::try_from(self.adapter.mtu().saturating_sub(BLOCK_HEADERS));
        let wishes = Wishes {
            block: block.unwrap_or(u16::MAX).clamp(512, 65464),
            window: WINDOW,
        };
        let transfer = Transfer::new(remote.server, &remote.path, wishes, now)?;
        self.next_port = self.next_port.wrapping_add(1) | PORTS;
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        socket.close();
        // The port is not 0 and the socket closed: nothing else can be wrong.
        let _ = socket.bind(self.next_port);
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        remote.id = id;
        remote.kept = Kept::default();
        self.active = Some(Active {
            id,
            transfer,
            position: 0,
            spill: Vec::new(),
            taken: 0,
            begun: now,
            looked: now,
        });
        loop {
            match &self.active {
                Some(active) if !active.transfer.is_open() => {}
                _ => return Ok(()),
            }
            if self.now() >= deadline {
                self.drop_transfer();
                let waited = self.now().saturating_sub(now);
                let server = remote.server;
                return Err(NetError::NoAnswer { server, waited });
            }
            self.step(remote, HEAD_UNKNOWN, deadline)?;
        }
    }

    /// Tells the server that no more is wanted.
    fn drop_transfer(&mut self) {
        if let Some(mut active) = self.active.take() {
            active.transfer.abandon();
            while let Some(out) = active.transfer.next_out() {
                self.send(active.transfer.server(), out.port, &out.bytes);
            }
            let now = moment(self.now());
            self.interface
                .poll_egress(now, &mut self.adapter, &mut self.sockets);
        }
    }

    fn send(&mut self, server: Ipv4Addr, port: u16, bytes: &[u8]) {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        // A datagram that does not fit is lost, as on a wire, and repeated.
        let _ = socket.send_slice(bytes, (IpAddress::Ipv4(server), port));
    }

    /// Waits until something has come or the transfer is over.
    fn advance(&mut self, remote: &mut Remote, head: usize) -> Result<(), NetError> {
        loop {
            let far = self.now().saturating_add(NAP);
            self.step(remote, head, far)?;
            let Some(active) = &self.active else {
                return Err(NetError::NoAddress);
            };
            if !active.spill.is_empty() || active.transfer.is_done() {
                return Ok(());
            }
        }
    }

    /// Takes what has come, up to what has to be answered; sleeps, but not beyond `until`, when there is nothing.
    fn step(&mut self, remote: &mut Remote, head: usize, until: Duration) -> Result<(), NetError> {
        let begun = self.now();
        let now = moment(begun);
        let mut idle = true;
        for _ in 0..512 {
            if !self.take_one(now) {
                break;
            }
            idle = false;
            if self.deliver(remote, head, begun)? {
                break;
            }
        }
        self.follow_lease();
        if let Some(active) = &mut self.active {
            active.transfer.tick(begun)?;
            let server = active.transfer.server();
            while let Some(out) = self
                .active
                .as_mut()
                .and_then(|active| active.transfer.next_out())
            {
                self.send(server, out.port, &out.bytes);
            }
        }
        self.interface.poll_maintenance(now);
        self.interface
            .poll_egress(now, &mut self.adapter, &mut self.sockets);
        if let Some(error) = self.adapter.take_error() {
            return Err(error);
        }
        self.tell(begun);
        if idle {
            let (due, frames) = self.active.as_ref().map_or((until, 1), |active| {
                let transfer = &active.transfer;
                // Waking for each frame costs more than the frame. Half of what is to come: the other half arrives
                // while this one is read.
                (transfer.wake_at(), transfer.expected() / 2)
            });
            let wake = self.wake_at().min(due).min(until);
            self.device().wait(frames.max(1), wake);
        }
        Ok(())
    }

    /// Hands datagrams to the transfer; whether that is enough for now.
    fn deliver(
        &mut self,
        remote: &mut Remote,
        head: usize,
        now: Duration,
    ) -> Result<bool, NetError> {
        let Some(active) = &mut self.active else {
            return Ok(true);
        };
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        while let Ok((datagram, from)) = socket.recv() {
            if from.endpoint.addr != IpAddress::Ipv4(remote.server) {
                continue;
            }
            match active.transfer.hear(now, from.endpoint.port, datagram)? {
                Heard::Nothing => {}
                Heard::Data(bytes) => {
                    let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    let at = active.transfer.received().saturating_sub(count);
                    remote.keep(at, bytes, head);
                    active.spill.extend_from_slice(bytes);
                }
            }
        }
        let read = active.spill.len() >= BATCH;
        Ok(read || active.transfer.has_out() || active.transfer.is_done())
    }

    fn tell(&self, now: Duration) {
        let (Some(watcher), Some(active)) = (&self.watcher, &self.active) else {
            return;
        };
        if now.saturating_sub(active.begun) >= Duration::from_secs(1) {
            let done = active.transfer.received();
            watcher.progress(active.transfer.path(), done, active.transfer.size());
        }
    }
}
