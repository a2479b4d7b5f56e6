//! One file's way from a TFTP server, as a state machine: datagrams and time in, datagrams and bytes out.
//!
//! Blocks are taken in order only. A window is acknowledged when it is complete; a block that comes early means that
//! one was lost, and the last good one is acknowledged once, from where the server begins again (RFC 7440). What has
//! been acknowledged is not acknowledged again at once, so that a duplicate on the wire does not double all that
//! follows (the "sorcerer's apprentice").

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use super::wire::{self, BAD_OPTIONS, PLAIN_BLOCK, PORT, Packet, UNKNOWN_TID};
use crate::error::NetError;

/// How long a server may send nothing new before the transfer is given up.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// First wait before a request is repeated.
const FIRST_RESEND: Duration = Duration::from_secs(1);
/// Longest wait before anything is repeated.
const RESEND_MAX: Duration = Duration::from_secs(4);
/// Shortest wait before an acknowledgement is repeated.
const RESEND_MIN: Duration = Duration::from_millis(200);
/// A block that was acknowledged longer ago than this and comes again is taken for a repetition by the server, whose
/// acknowledgement was lost; sooner, for a duplicate.
const DUPLICATE: Duration = Duration::from_millis(100);
/// How often the rate is looked at, and the least bytes that must have come.
const RATE_PERIOD: Duration = Duration::from_secs(60);
const RATE_MIN: u64 = 64 << 10;
/// Seconds after which the server is asked to repeat.
const SERVER_RESEND: u64 = 2;
/// Answers to strangers in one transfer: more would be a service to an attacker.
const STRANGERS_MAX: u8 = 16;

/// What is asked of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wishes {
    /// Bytes of a block, 512 to 65464.
    pub block: u16,
    /// Blocks in a row without acknowledgement, from 1.
    pub window: u16,
}

/// A datagram to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// To this port of the server.
    pub port: u16,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a datagram brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard<'a> {
    /// Nothing new.
    Nothing,
    /// The next bytes of the file; may be none.
    Data(&'a [u8]),
}

/// Where the transfer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The request was sent, with options or without.
    Asking { options: bool },
    /// The server answers.
    Receiving,
    /// The last block has come.
    Done,
}

/// One transfer.
#[derive(Debug)]
pub struct Transfer {
    server: Ipv4Addr,
    path: Vec<u8>,
    wishes: Wishes,
    phase: Phase,
    /// The server's port for this transfer.
    port: Option<u16>,
    block: u16,
    window: u16,
    size: Option<u64>,
    /// Number of the block to come.
    next: u16,
    /// Blocks taken since the last acknowledgement.
    unacknowledged: u16,
    /// Whether the loss of block `next` has been told.
    gap_told: bool,
    received: u64,
    begun: Duration,
    progress_at: Duration,
    acknowledged_at: Duration,
    /// Whether the time until the next block tells the round trip.
    timing: bool,
    resend: Duration,
    resend_base: Duration,
    resend_at: Duration,
    rate_at: Duration,
    rate_from: u64,
    strangers: u8,
    out: VecDeque<Outgoing>,
}

impl Transfer {
    /// Asks `server` for `path`.
    ///
    /// # Errors
    /// [`NetError::LongName`], [`NetError::Protocol`] for a path that no request can hold.
    pub fn new(
        server: Ipv4Addr,
        path: &[u8],
        wishes: Wishes,
        now: Duration,
    ) -> Result<Self, NetError> {
        let mut transfer = Self {
            server,
            path: path.to_vec(),
            wishes,
            phase: Phase::Asking { options: true },
            port: None,
            block: PLAIN_BLOCK,
            window: 1,
            size: None,
            next: 1,
            unacknowledged: 0,
            gap_told: false,
            received: 0,
            begun: now,
            progress_at: now,
            acknowledged_at: now,
            timing: false,
            resend: FIRST_RESEND,
            resend_base: FIRST_RESEND,
            resend_at: now.saturating_add(FIRST_RESEND),
            rate_at: now.saturating_add(RATE_PERIOD),
            rate_from: 0,
            strangers: 0,
            out: VecDeque::new(),
        };
        transfer.ask()?;
        Ok(transfer)
    }

    /// Who is asked.
    #[must_use]
    pub const fn server(&self) -> Ipv4Addr {
        self.server
    }

    /// What is asked for.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The file's size in bytes, if the server has said it.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Bytes that have come.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Blocks that the server sends in a row.
    #[must_use]
    pub const fn window(&self) -> u16 {
        self.window
    }

    /// Whether the server has answered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Asking { .. })
    }

    /// Whether the whole file has come.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// When [`Transfer::tick`] has something to do.
    #[must_use]
    pub fn wake_at(&self) -> Duration {
        self.resend_at
            .min(self.progress_at.saturating_add(PATIENCE))
    }

    /// Frames that the server sends before it hears from this side, as far as is known: 0 before it has answered.
    #[must_use]
    pub fn expected(&self) -> u16 {
        let window = self.window.saturating_sub(self.unacknowledged);
        let (Phase::Receiving, Some(size)) = (self.phase, self.size) else {
            return 0;
        };
        // A file ends with a block that is not full, and may be empty.
        let left = size.saturating_sub(self.received);
        let blocks = left.checked_div(u64::from(self.block)).unwrap_or(0);
        window.min(u16::try_from(blocks).unwrap_or(u16::MAX).saturating_add(1))
    }

    /// Whether there is something to send.
    #[must_use]
    pub fn has_out(&self) -> bool {
        !self.out.is_empty()
    }

    /// The next datagram to send.
    pub fn next_out(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    /// Says that nobody looked for a while, which is not the server's fault.
    pub fn resume(&mut self, now: Duration) {
        let away = now.saturating_sub(self.progress_at);
        self.rate_at = self.rate_at.saturating_add(away);
        self.progress_at = now;
        self.timing = false;
        self.resend_at = now.saturating_add(self.resend);
    }

    /// Ends the transfer: a server that still sends is told to stop.
    pub fn abandon(&mut self) {
        if let (Some(port), Phase::Receiving) = (self.port, self.phase) {
            let bytes = wire::error(0, "enough");
            self.out.push_back(Outgoing { port, bytes });
        }
        self.phase = Phase::Done;
    }

    fn ask(&mut self) -> Result<(), NetError> {
        let options = [
            ("tsize", 0),
            ("blksize", u64::from(self.wishes.block)),
            ("timeout", SERVER_RESEND),
            ("windowsize", u64::from(self.wishes.window)),
        ];
        // A window of one block is what there is without the option.
        let count = if self.wishes.window > 1 { 4 } else { 3 };
        let options = match self.phase {
            Phase::Asking { options: true } => options.get(..count).unwrap_or_default(),
            _ => &[],
        };
        let bytes = wire::request(&self.path, options)?;
        self.out.push_back(Outgoing { port: PORT, bytes });
        Ok(())
    }

    /// Acknowledges everything before `next`.
    fn acknowledge(&mut self, now: Duration) {
        if let Some(port) = self.port {
            let bytes = wire::acknowledge(self.next.wrapping_sub(1));
            self.out.push_back(Outgoing { port, bytes });
        }
        self.unacknowledged = 0;
        self.acknowledged_at = now;
        self.resend_at = now.saturating_add(self.resend);
    }

    fn fail(&mut self, code: u16, why: &str) -> NetError {
        if let Some(port) = self.port {
            let bytes = wire::error(code, why);
            self.out.push_back(Outgoing { port, bytes });
        }
        self.phase = Phase::Done;
        NetError::Protocol(alloc::format!("the TFTP server broke the protocol: {why}"))
    }

    /// Takes a datagram that came from `port` of the server's address.
    ///
    /// # Errors
    /// [`NetError::Refused`], [`NetError::Protocol`], [`NetError::WrongSize`]; the transfer is over.
    pub fn hear<'a>(
        &mut self,
        now: Duration,
        port: u16,
        datagram: &'a [u8],
    ) -> Result<Heard<'a>, NetError> {
        if self.phase == Phase::Done {
            return Ok(Heard::Nothing);
        }
        let Some(packet) = Packet::parse(datagram) else {
            return Ok(Heard::Nothing);
        };
        if self.port.is_some_and(|own| own != port) {
            // The answer to a repeated request, or a stranger: told off without disturbing the transfer.
            if !matches!(packet, Packet::Error { .. }) && self.strangers < STRANGERS_MAX {
                self.strangers = self.strangers.saturating_add(1);
                let bytes = wire::error(UNKNOWN_TID, "not a party to this transfer");
                self.out.push_back(Outgoing { port, bytes });
            }
            return Ok(Heard::Nothing);
        }
        match packet {
            Packet::Error { code, text } => {
                // A server that knows no options may say so in its own way.
                if self.phase == (Phase::Asking { options: true })
                    && matches!(code, 0 | 4 | BAD_OPTIONS)
                {
                    self.phase = Phase::Asking { options: false };
                    self.resend = FIRST_RESEND;
                    self.resend_at = now.saturating_add(self.resend);
                    self.ask()?;
                    return Ok(Heard::Nothing);
                }
                self.phase = Phase::Done;
                Err(NetError::Refused {
                    code,
                    text: wire::readable(text),
                })
            }
            Packet::Options(options) => self.agree(now, port, options),
            Packet::Data { block, bytes } => self.take(now, port, block, bytes),
        }
    }

    fn agree(
        &mut self,
        now: Duration,
        port: u16,
        bytes: &[u8],
    ) -> Result<Heard<'static>, NetError> {
        match self.phase {
            Phase::Asking { options: true } => self.port = Some(port),
            // Our acknowledgement was lost.
            Phase::Receiving if self.received == 0 && self.next == 1 => {
                if now >= self.acknowledged_at.saturating_add(DUPLICATE) {
                    self.acknowledge(now);
                }
                return Ok(Heard::Nothing);
            }
            _ => return Ok(Heard::Nothing),
        }
        let Some(options) = wire::options(bytes) else {
            return Err(self.fail(BAD_OPTIONS, "malformed options"));
        };
        for (name, value) in options {
            let small = u16::try_from(value).ok();
            if name.eq_ignore_ascii_case(b"blksize") {
                match small.filter(|block| (8..=self.wishes.block).contains(block)) {
                    Some(block) => self.block = block,
                    None => return Err(self.fail(BAD_OPTIONS, "a block size not asked for")),
                }
            } else if name.eq_ignore_ascii_case(b"windowsize") {
                match small.filter(|window| (1..=self.wishes.window).contains(window)) {
                    Some(window) => self.window = window,
                    None => return Err(self.fail(BAD_OPTIONS, "a window not asked for")),
                }
            } else if name.eq_ignore_ascii_case(b"tsize") {
                self.size = Some(value);
            } else if !name.eq_ignore_ascii_case(b"timeout") {
                return Err(self.fail(BAD_OPTIONS, "an option not asked for"));
            }
        }
        self.phase = Phase::Receiving;
        self.progress(now);
        self.acknowledge(now);
        self.timing = true;
        Ok(Heard::Nothing)
    }

    fn take<'a>(
        &mut self,
        now: Duration,
        port: u16,
        block: u16,
        bytes: &'a [u8],
    ) -> Result<Heard<'a>, NetError> {
        if let Phase::Asking { .. } = self.phase {
            if block != 1 {
                return Ok(Heard::Nothing);
            }
            // A server without options begins at once.
            self.port = Some(port);
            self.phase = Phase::Receiving;
        }
        let mut ahead = block.wrapping_sub(self.next);
        // Some servers count 65535, 1; told from a lost block 0 only where there is one block at a time.
        if ahead == 1 && self.next == 0 && self.window == 1 && self.received > 0 {
            self.next = 1;
            ahead = 0;
        }
        if ahead != 0 {
            self.out_of_order(now, block, ahead);
            return Ok(Heard::Nothing);
        }
        if bytes.len() > usize::from(self.block) {
            return Err(self.fail(4, "a block longer than agreed on"));
        }
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.received = self.received.saturating_add(count);
        if let Some(announced) = self.size
            && self.received > announced
        {
            let got = self.received;
            // The other side hears of it; the caller is told the numbers.
            let _ = self.fail(0, "longer than announced");
            return Err(NetError::WrongSize { announced, got });
        }
        self.next = self.next.wrapping_add(1);
        self.gap_told = false;
        self.measure(now);
        self.progress(now);
        self.unacknowledged = self.unacknowledged.saturating_add(1);
        let last = bytes.len() < usize::from(self.block);
        if last || self.unacknowledged >= self.window {
            self.acknowledge(now);
            self.timing = true;
        } else {
            self.resend_at = now.saturating_add(self.resend);
        }
        if last {
            self.phase = Phase::Done;
            if let Some(announced) = self.size
                && announced != self.received
            {
                let got = self.received;
                return Err(NetError::WrongSize { announced, got });
            }
        }
        Ok(Heard::Data(bytes))
    }

    /// A block that is not the next one.
    fn out_of_order(&mut self, now: Duration, block: u16, ahead: u16) {
        if ahead <= self.window {
            // One before it is lost; the server shall begin again there. Said once: what is still on its way would
            // make it begin again and again.
            if !self.gap_told {
                self.gap_told = true;
                self.timing = false;
                self.acknowledge(now);
            }
        } else if block == self.next.wrapping_sub(1)
            && self.unacknowledged == 0
            && now >= self.acknowledged_at.saturating_add(DUPLICATE)
        {
            // The last block again, long after: the acknowledgement was lost.
            self.acknowledge(now);
        }
    }

    /// Learns how long an answer takes.
    fn measure(&mut self, now: Duration) {
        if core::mem::take(&mut self.timing) {
            let sample = now.saturating_sub(self.acknowledged_at);
            let wish = sample.saturating_mul(4).clamp(RESEND_MIN, RESEND_MAX);
            // Down slowly, up at once.
            self.resend_base = if wish > self.resend_base || self.resend_base == FIRST_RESEND {
                wish
            } else {
                self.resend_base.saturating_add(wish).mul_f32(0.5)
            };
        }
    }

    fn progress(&mut self, now: Duration) {
        self.progress_at = now;
        self.resend = self.resend_base;
    }

    /// Does what is due: repeats what was not answered, or gives up.
    ///
    /// # Errors
    /// [`NetError::NoAnswer`], [`NetError::Stalled`], [`NetError::Slow`]; the transfer is over.
    pub fn tick(&mut self, now: Duration) -> Result<(), NetError> {
        if self.phase == Phase::Done {
            return Ok(());
        }
        if now >= self.progress_at.saturating_add(PATIENCE) {
            let server = self.server;
            let error = if self.is_open() {
                NetError::Stalled {
                    server,
                    at: self.received,
                    waited: PATIENCE,
                }
            } else {
                NetError::NoAnswer {
                    server,
                    waited: now.saturating_sub(self.begun),
                }
            };
            self.abandon();
            return Err(error);
        }
        if now >= self.rate_at {
            let bytes = self.received.saturating_sub(self.rate_from);
            if bytes < RATE_MIN && self.is_open() {
                self.abandon();
                let during = RATE_PERIOD;
                return Err(NetError::Slow { bytes, during });
            }
            self.rate_from = self.received;
            self.rate_at = now.saturating_add(RATE_PERIOD);
        }
        if now >= self.resend_at {
            self.resend = self.resend.saturating_mul(2).min(RESEND_MAX);
            self.resend_at = now.saturating_add(self.resend);
            self.timing = false;
            if self.is_open() {
                self.gap_told = false;
                self.acknowledge(now);
            } else {
                self.ask()?;
            }
        }
        Ok(())
    }
}
