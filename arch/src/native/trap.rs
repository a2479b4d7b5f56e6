//! Processor exceptions and the last words of a dying loader.
//!
//! Nothing here returns to the interrupted code: an exception or a panic prints what and where on the guest's
//! console and crashes the domain, so that the toolstack's `on_crash` decides what happens next.

use core::arch::global_asm;
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use super::hypercall::{self, TrapInfo};
use super::platform::Platform;
use super::single::SingleCore;
use super::width;
use crate::abi::console;
use crate::hypervisor::{Hypervisor, Port};
use crate::shared::SharedPage;

/// Vectors with handlers: the processor's exceptions.
pub(super) const VECTORS: usize = 20;

/// Bytes from one vector's stub to the next one's.
pub(super) const STUB_BYTES: usize = 16;

// One stub per vector, STUB_BYTES apart; `trap_common`, in the width's folder, knows the vector from the address that
// `call` pushed.
global_asm!(
    ".section .text.trap, \"ax\", @progbits",
    ".balign {bytes}",
    ".global trap_stubs",
    "trap_stubs:",
    ".rept {vectors}",
    "    .balign {bytes}",
    "    call trap_common",
    ".endr",
    bytes = const STUB_BYTES,
    vectors = const VECTORS,
);

unsafe extern "C" {
    /// The first vector's stub.
    #[link_name = "trap_stubs"]
    static STUBS: u8;
}

/// Whether the processor pushes an error code for `vector`.
fn has_error_code(vector: usize) -> bool {
    matches!(vector, 8 | 10..=14 | 17)
}

static LAST_WORDS: SingleCore<Option<(SharedPage, Port)>> = SingleCore::new(None);

/// Installs the handlers, and keeps a way to the console for whatever goes wrong. `page` is a second view of the ring.
pub(super) fn start(page: SharedPage, port: Port) {
    *LAST_WORDS.get() = Some((page, port));
    let mut table = [TrapInfo {
        vector: 0,
        flags: 0,
        cs: width::KERNEL_CS,
        address: 0,
    }; VECTORS + 1];
    for (vector, entry) in table.iter_mut().take(VECTORS).enumerate() {
        entry.vector = vector as u8;
        entry.address = (&raw const STUBS).addr() + vector * STUB_BYTES;
    }
    // SAFETY: the last entry's address is 0; the stubs above take Xen's frame and never return.
    let _ = unsafe { hypercall::set_trap_table(Some(&table)) };
}

/// Removes the handlers: the next kernel brings its own.
pub(super) fn leave() {
    // SAFETY: clearing needs no table.
    let _ = unsafe { hypercall::set_trap_table(None) };
    let _ = hypercall::clear_callbacks();
}

/// Reports an exception. `frame` is what the stub of `vector` makes of the stack: the width's few words, the error code
/// of those vectors that have one, then where it happened.
pub(super) extern "C" fn report(vector: usize, frame: *const usize) -> ! {
    let word = |index: usize| {
        // SAFETY: only the stubs call this, with the frame that Xen pushed; indices stay below its length.
        let at = unsafe { frame.add(index) };
        // SAFETY: as above.
        unsafe { at.read() }
    };
    let (at, error) = if has_error_code(vector) {
        (width::FRAME_HEAD + 1, word(width::FRAME_HEAD))
    } else {
        (width::FRAME_HEAD, 0)
    };
    let instruction = word(at);
    // SAFETY: as above.
    let stack = unsafe { width::stack_before(frame, at) };
    panic!(
        "processor exception {vector} (error {error:#x}) at {instruction:#x}, stack {stack:#x}, last fault address {:#x}",
        Platform::fault_address()
    );
}

/// Why the domain ends (`SHUTDOWN_*`, `public/sched.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Shutdown {
    /// The guest is done.
    PowerOff = 0,
    /// The toolstack is to build the domain again.
    Reboot = 1,
    /// Something broke.
    Crash = 3,
}

/// Ends the domain.
pub fn shutdown(reason: Shutdown) -> ! {
    const SCHED_SHUTDOWN: usize = 2;
    loop {
        let mut number = reason as u32;
        // SAFETY: `sched_shutdown` is one 32-bit reason.
        let _ = unsafe { hypercall::sched_op(SCHED_SHUTDOWN, &mut number) };
    }
}

/// Writes straight into the console ring, waiting at most a moment for room.
struct Console<'a>(&'a SharedPage, Port);

impl Write for Console<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.byte(b'\r');
            }
            self.byte(byte);
        }
        Ok(())
    }
}

impl Console<'_> {
    fn byte(&self, byte: u8) {
        /// Attempts before a byte is given up: about a second, as each one yields to the console's domain.
        const PATIENCE: u32 = 100_000;
        let produced = self.0.load(console::OUT_PROD);
        for _ in 0..PATIENCE {
            let used = produced.wrapping_sub(self.0.load(console::OUT_CONS));
            if used < console::OUT_BYTES {
                let at = console::OUT_RING + (produced % console::OUT_BYTES) as usize;
                self.0.write(at, &[byte]);
                self.0.store(console::OUT_PROD, produced.wrapping_add(1));
                return;
            }
            self.notify();
            let mut nothing = 0_u32;
            // SAFETY: `yield` takes no argument.
            let _ = unsafe { hypercall::sched_op(0, &mut nothing) };
        }
    }

    fn notify(&self) {
        let mut number = self.1.0;
        // SAFETY: `evtchn_send` is one 32-bit port.
        let _ = unsafe { hypercall::event_channel_op(4, &mut number) };
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    if PANICKING.swap(true, Ordering::Relaxed) {
        // The report itself failed: say nothing more, end.
        shutdown(Shutdown::Crash)
    }
    if let Some(words) = LAST_WORDS.try_get()
        && let Some((page, port)) = &*words
    {
        let mut console = Console(page, *port);
        let _ = write!(
            console,
            "\npv-grub: {info}\npv-grub: this is a bug; the domain stops here\n"
        );
        console.notify();
        // Give the console's domain time to read before the ring disappears with this domain.
        let platform = Platform::get();
        let deadline = platform.now().after(core::time::Duration::from_millis(500));
        while page.load(console::OUT_CONS) != page.load(console::OUT_PROD)
            && platform.now() < deadline
        {
            platform.poll(
                &[*port],
                platform.now().after(core::time::Duration::from_millis(5)),
            );
            platform.take_pending(*port);
        }
    }
    shutdown(Shutdown::Crash)
}
