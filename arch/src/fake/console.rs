//! The fake console daemon.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::world::World;
use crate::abi::console::{
    IN_BYTES, IN_CONS, IN_PROD, IN_RING, OUT_BYTES, OUT_CONS, OUT_PROD, OUT_RING,
};
use crate::addr::Mfn;
use crate::hypervisor::Port;

/// How the daemon treats the guest's output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// Takes everything at once.
    Quick,
    /// Takes this many bytes each time it is signalled or waited for.
    Slow(u32),
    /// Takes nothing.
    Asleep,
    /// Writes indices that make no sense.
    Mad,
}

pub(super) struct Consoled {
    pub(super) mfn: Mfn,
    pub(super) port: Port,
    pub(super) rung: bool,
    pub(super) reader: Reader,
    pub(super) printed: Vec<u8>,
    pub(super) typed: VecDeque<u8>,
}

impl Consoled {
    pub(super) fn new(mfn: Mfn, port: Port) -> Self {
        Self {
            mfn,
            port,
            rung: false,
            reader: Reader::Quick,
            printed: Vec::new(),
            typed: VecDeque::new(),
        }
    }

    pub(super) fn run(&mut self, world: &mut World) {
        self.rung = false;
        let page = world.memory.view(self.mfn);
        if self.reader == Reader::Mad {
            page.store(OUT_CONS, page.load(OUT_PROD).wrapping_add(5));
            page.store(IN_PROD, page.load(IN_CONS).wrapping_add(IN_BYTES + 1));
            return;
        }
        let mut consumed = page.load(OUT_CONS);
        let available = page.load(OUT_PROD).wrapping_sub(consumed);
        let take = match self.reader {
            Reader::Quick => available,
            Reader::Slow(most) => available.min(most),
            Reader::Asleep | Reader::Mad => 0,
        };
        for _ in 0..take {
            let at = (consumed & (OUT_BYTES - 1)) as usize;
            self.printed.push(page.load_byte(OUT_RING + at));
            consumed = consumed.wrapping_add(1);
        }
        page.store(OUT_CONS, consumed);
        let mut produced = page.load(IN_PROD);
        let mut told = take > 0;
        while produced.wrapping_sub(page.load(IN_CONS)) < IN_BYTES {
            let Some(key) = self.typed.pop_front() else {
                break;
            };
            let at = (produced & (IN_BYTES - 1)) as usize;
            page.write(IN_RING + at, &[key]);
            produced = produced.wrapping_add(1);
            told = true;
        }
        page.store(IN_PROD, produced);
        if told {
            world.notify_guest(self.port.0);
        }
    }
}
