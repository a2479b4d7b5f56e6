//! The client against a server in this process, over a wire that can be made bad.
#![expect(
    clippy::unwrap_used,
    reason = "outside of test functions too, a test fails by panicking"
)]

mod lease;
mod mutate;
mod transfer;

use std::rc::Rc;
use std::time::Duration;

use net::fake::{Card, Dhcp, Faults, Lan, Server, Settings};
use net::{NetDevice, Stack};

/// Bytes that differ from block to block.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at ^ (at >> 9) ^ (at >> 17).wrapping_mul(31)) as u8)
        .collect()
}

/// A guest on a wire.
pub(crate) struct Bed {
    pub(crate) card: Rc<Card>,
    pub(crate) stack: Stack,
}

impl Bed {
    pub(crate) fn new(settings: Settings, faults: Faults, seed: u64) -> Self {
        let lan = Lan::new(Server::new(settings), faults, seed);
        let card = Rc::new(Card::new(lan));
        let stack = Stack::new(card.clone()).unwrap();
        Self { card, stack }
    }

    /// With a lease and one file, `/file`.
    pub(crate) fn with_file(file: Vec<u8>, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            dhcp: Some(Dhcp::default()),
            ..Settings::default()
        };
        settings.files.insert(b"/file".to_vec(), file);
        change(&mut settings);
        let mut bed = Self::new(settings, Faults::default(), 1);
        let soon = bed.soon(10);
        bed.stack.obtain_lease(soon).unwrap();
        bed
    }

    /// The moment in so many seconds.
    pub(crate) fn soon(&self, seconds: u64) -> Duration {
        self.card.now() + Duration::from_secs(seconds)
    }

    /// How long `work` takes on the fake clock.
    pub(crate) fn elapsed<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> (T, Duration) {
        let begin = self.card.now();
        let result = work(self);
        (result, self.card.now() - begin)
    }
}
