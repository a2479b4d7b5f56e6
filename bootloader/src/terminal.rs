//! The guest's console as the menu wants it, with an ear for the toolstack.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;

use arch::{Hypervisor, Instant};
use menu::{Input, ShutdownRequest, Terminal};

use crate::console::Console;
use crate::network::Network;
use crate::xenstore::Store;

/// How often `control/shutdown` is looked at while nobody types.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the toolstack writes what it wants of the domain.
const SHUTDOWN_KEY: &str = "control/shutdown";

/// Bytes that are taken off the ring at once when there are more: each time costs an event. Otherwise one by one, so
/// that what is typed ahead stays in the ring for the kernel.
const PASTED: usize = 64;

/// The console ring, and `control/shutdown` in xenstore. Waiting puts the vCPU to sleep.
pub struct Screen {
    hv: Rc<dyn Hypervisor>,
    console: Rc<Console>,
    store: Rc<Store>,
    network: Option<Rc<Network>>,
    next_look: Instant,
    /// Bytes taken off the ring and not handed over, the next one last.
    ahead: Vec<u8>,
}

impl Screen {
    /// A terminal on `console`, which looks into `store` now and then.
    #[must_use]
    pub fn new(hv: Rc<dyn Hypervisor>, console: Rc<Console>, store: Rc<Store>) -> Self {
        let next_look = hv.now();
        Self {
            hv,
            console,
            store,
            network: None,
            next_look,
            ahead: Vec::new(),
        }
    }

    /// The next byte typed, if there is one.
    fn byte(&mut self) -> Option<u8> {
        if self.ahead.is_empty() {
            let mut bytes = [0; PASTED];
            let most = if self.console.typed() > PASTED {
                PASTED
            } else {
                1
            };
            let count = self.console.read(&mut bytes[..most]);
            self.ahead.extend(bytes[..count].iter().rev());
        }
        self.ahead.pop()
    }

    /// Keeps the leases of `network` while it waits for keys.
    #[must_use]
    pub fn minding(mut self, network: Rc<Network>) -> Self {
        self.network = Some(network);
        self
    }

    /// What the toolstack has asked for since the last look. The request is acknowledged by emptying the key.
    ///
    /// Polled rather than watched: a watch would have to be taken back before the next kernel starts.
    fn request(&mut self) -> Option<ShutdownRequest> {
        if self.hv.now() < self.next_look {
            return None;
        }
        self.next_look = self.hv.now().after(LOOK_EVERY);
        if let Some(network) = &self.network {
            network.tick();
        }
        let text = self.store.find_text(SHUTDOWN_KEY).ok().flatten()?;
        let request = match text.as_str() {
            "poweroff" | "halt" => ShutdownRequest::PowerOff,
            "reboot" => ShutdownRequest::Reboot,
            // A suspend is left alone: the toolstack gives up by itself.
            _ => return None,
        };
        // The domain ends in any case; the toolstack only likes to know that the request was seen.
        let _ = self.store.write(SHUTDOWN_KEY, "");
        Some(request)
    }
}

impl Terminal for Screen {
    fn write(&mut self, bytes: &[u8]) {
        self.console.write(bytes);
    }

    fn read(&mut self, deadline: Option<Duration>) -> Option<Input> {
        let end = deadline.map(|deadline| Instant(0).after(deadline));
        loop {
            if let Some(byte) = self.byte() {
                return Some(Input::Byte(byte));
            }
            if let Some(request) = self.request() {
                return Some(Input::Shutdown(request));
            }
            let now = self.hv.now();
            if end.is_some_and(|end| now >= end) {
                return None;
            }
            let wake = end.map_or(self.next_look, |end| end.min(self.next_look));
            self.hv.poll(&[self.console.port()], wake);
        }
    }

    fn now(&self) -> Duration {
        self.hv.now().since(Instant(0))
    }
}
