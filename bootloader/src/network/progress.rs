//! What the network is waited for, on the console: how far a file is, in one line that is written over, and a lease.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;
use core::time::Duration;

use arch::{Hypervisor, Instant};
use net::Watcher;

use crate::console::Console;

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(500);

/// A line about the file that is coming.
pub struct Progress {
    hv: Rc<dyn Hypervisor>,
    console: Rc<Console>,
    next: Cell<Instant>,
    /// Whether the cursor stands behind a line that is not finished.
    open: Cell<bool>,
}

impl Progress {
    /// Lines on `console`.
    #[must_use]
    pub fn new(hv: Rc<dyn Hypervisor>, console: Rc<Console>) -> Self {
        Self {
            hv,
            console,
            next: Cell::new(Instant(0)),
            open: Cell::new(false),
        }
    }

    /// Says that no DHCP server has answered, and how long one is waited for.
    pub fn no_lease_yet(&self, left: Duration) {
        let seconds = left.as_millis().div_ceil(1000);
        let line = format!("   no DHCP server has answered yet; waiting {seconds} s more\r\n");
        self.console.write(line.as_bytes());
    }

    /// Ends the line, if there is one.
    pub fn end(&self) {
        if self.open.take() {
            self.console.write(b"\r\n");
        }
    }
}

impl Watcher for Progress {
    fn progress(&self, path: &[u8], done: u64, total: Option<u64>) {
        let complete = total == Some(done);
        let now = self.hv.now();
        if now < self.next.get() && !(complete && self.open.get()) {
            return;
        }
        // A file that is whole and was never spoken of needs no line.
        if complete && !self.open.get() {
            return;
        }
        self.next.set(now.after(EVERY));
        self.console.write(line(path, done, total).as_bytes());
        self.open.set(true);
        if complete {
            self.end();
        }
    }
}

fn line(path: &[u8], done: u64, total: Option<u64>) -> String {
    let path = path.escape_ascii();
    let done = done / 1024;
    match total {
        Some(total) => format!("\r   (nd){path}: {done} of {} KiB", total.div_ceil(1024)),
        None => format!("\r   (nd){path}: {done} KiB"),
    }
}
