//! One transfer of the fake TFTP server.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use smoltcp::wire::IpEndpoint;

use super::server::Tftp;

/// How long it waits before it repeats.
const RESEND: Duration = Duration::from_secs(1);

pub(super) struct Sending {
    pub(super) peer: IpEndpoint,
    file: Vec<u8>,
    ways: Tftp,
    block: usize,
    window: u64,
    /// First block that was not acknowledged; 0 while the options were not.
    base: u64,
    timer: Duration,
    repeats: u32,
    output: Vec<Vec<u8>>,
    over: bool,
    dead: bool,
    options: Option<Vec<u8>>,
}

fn error(code: u8, text: &str) -> Vec<u8> {
    let mut packet = [&[0, 5, 0, code], text.as_bytes()].concat();
    packet.push(0);
    packet
}

impl Sending {
    pub(super) fn begin(
        packet: &[u8],
        peer: IpEndpoint,
        ways: &Tftp,
        files: &BTreeMap<Vec<u8>, Vec<u8>>,
        now: Duration,
    ) -> Option<Self> {
        let fields: Vec<&[u8]> = packet.get(2..)?.split(|byte| *byte == 0).collect();
        if packet[..2] != [0, 1] || fields.len() < 3 {
            return None;
        }
        let mut sending = Self {
            peer,
            file: files.get(fields[0]).cloned().unwrap_or_default(),
            ways: *ways,
            block: 512,
            window: 1,
            base: 1,
            timer: now + RESEND,
            repeats: 0,
            output: Vec::new(),
            over: false,
            dead: false,
            options: None,
        };
        if !files.contains_key(fields[0]) {
            sending.output.push(error(1, "File not found"));
            sending.over = true;
            return Some(sending);
        }
        let asked: Vec<(String, u64)> = fields[2..]
            .chunks_exact(2)
            .filter_map(|pair| {
                let name = String::from_utf8_lossy(pair[0]).to_string();
                Some((name, core::str::from_utf8(pair[1]).ok()?.parse().ok()?))
            })
            .collect();
        if !asked.is_empty()
            && let Some(code) = ways.refuses_options
        {
            sending.output.push(error(code as u8, "no options here"));
            sending.over = true;
            return Some(sending);
        }
        if ways.block > 0 && !asked.is_empty() {
            let mut agreed = Vec::from([0, 6]);
            let mut agree = |name: &str, value: u64| {
                agreed.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
            };
            for (name, value) in asked {
                match name.as_str() {
                    "blksize" => {
                        let block = value.min(u64::from(ways.block));
                        sending.block = block as usize;
                        agree("blksize", block);
                    }
                    "windowsize" if ways.window > 0 => {
                        sending.window = value.min(u64::from(ways.window));
                        agree("windowsize", sending.window);
                    }
                    "tsize" => {
                        if let Some(lie) = ways.size {
                            let size = sending.file.len() as i64 + lie;
                            agree("tsize", size as u64);
                        }
                    }
                    "timeout" => agree("timeout", value),
                    _ => {}
                }
            }
            sending.base = 0;
            sending.output.push(agreed.clone());
            sending.options = Some(agreed);
        } else {
            sending.send_window();
        }
        Some(sending)
    }

    fn last(&self) -> u64 {
        if self.ways.endless {
            return u64::MAX;
        }
        (self.file.len() / self.block) as u64 + 1
    }

    fn number(&self, block: u64) -> u16 {
        match self.ways.after_wrap {
            0 => block as u16,
            _ => ((block - 1) % 65535) as u16 + 1,
        }
    }

    fn send_window(&mut self) {
        for block in self.base..self.base.saturating_add(self.window) {
            if block > self.last() {
                break;
            }
            let at = (block - 1) as usize * self.block;
            let (begin, end) = if self.ways.endless {
                (0, self.block)
            } else {
                (at, (at + self.block).min(self.file.len()))
            };
            if self.ways.dies_after.is_some_and(|after| at as u64 >= after) {
                self.dead = true;
                break;
            }
            let mut packet = Vec::from([0, 3]);
            packet.extend_from_slice(&self.number(block).to_be_bytes());
            if self.ways.endless {
                packet.resize(self.block + 4, b'.');
            } else {
                packet.extend_from_slice(&self.file[begin..end]);
            }
            self.output.push(packet);
        }
    }

    pub(super) fn hear(&mut self, packet: &[u8], now: Duration) {
        match packet {
            [0, 4, high, low] => {
                let number = u16::from_be_bytes([*high, *low]);
                if self.base == 0 {
                    if number == 0 {
                        self.advance(1, now);
                    }
                    return;
                }
                let found = (self.base..self.base.saturating_add(self.window))
                    .rev()
                    .find(|block| self.number(*block) == number);
                if let Some(block) = found {
                    self.advance(block + 1, now);
                } else if self.window > 1 {
                    // "Begin again": only told to those who know windows.
                    let before = if self.base == 1 {
                        0
                    } else {
                        self.number(self.base - 1)
                    };
                    if before == number {
                        self.timer = now + RESEND;
                        self.send_window();
                    }
                }
            }
            [0, 5, ..] => self.over = true,
            _ => {}
        }
    }

    fn advance(&mut self, base: u64, now: Duration) {
        self.base = base;
        self.repeats = 0;
        self.timer = now + RESEND;
        if base > self.last() {
            self.over = true;
        } else {
            self.send_window();
        }
    }

    pub(super) fn tick(&mut self, now: Duration) {
        if self.over || now < self.timer {
            return;
        }
        self.timer = now + RESEND;
        self.repeats += 1;
        if self.repeats > 10 || self.dead {
            self.over = true;
            return;
        }
        match (&self.options, self.base) {
            (Some(options), 0) => self.output.push(options.clone()),
            _ => self.send_window(),
        }
    }

    pub(super) fn wake_at(&self) -> Duration {
        self.timer
    }

    pub(super) fn take_output(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.output)
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}
