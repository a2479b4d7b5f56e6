//! Two hypervisors with hostile domains behind them. [`Daemon`] plays xenstored or the console daemon, on one page.
//! [`BackEnd`] leaves an honest back end at work and interferes: between any two steps it writes whatever the input says
//! into whatever pages a back end may write to, and into its own keys of xenstore.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use arch::abi::ring::{ENTRIES, RSP_EVENT, RSP_PROD};
use arch::addr::PAGE_BYTES;
use arch::fake::FakeXen;
use arch::{Access, DomId, Errno, GrantRef, Hypervisor, Instant, Port, SharedPage};

use crate::input::Input;

/// Waits that one input may lead to, before something must be wrong.
const WAITS_MAX: u64 = 200_000;

/// The bytes of an input, taken from the front by many calls.
pub(crate) struct Script {
    bytes: Vec<u8>,
    used: usize,
}

impl Script {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            used: 0,
        }
    }

    pub(crate) fn end(&mut self) {
        self.used = self.bytes.len();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.used >= self.bytes.len()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next(|input| input.u8())
    }

    pub(crate) fn word(&mut self) -> u32 {
        self.next(|input| input.u32())
    }

    /// Reads with `read` what is next.
    pub(crate) fn next<T>(&mut self, read: impl FnOnce(&mut Input<'_>) -> T) -> T {
        let rest = self.bytes.get(self.used..).unwrap_or_default();
        let mut input = Input::new(rest);
        let value = read(&mut input);
        self.used += rest.len() - input.all().len();
        value
    }
}

/// What a daemon does with its page when it is signalled or waited for; whether it signals.
pub(crate) type Act = Box<dyn FnMut(&SharedPage) -> bool>;

/// A guest with nothing but one ring, whose other end acts by itself.
pub(crate) struct Daemon {
    xen: Rc<FakeXen>,
    page: SharedPage,
    act: RefCell<Act>,
    pending: Cell<bool>,
    waits: Cell<u64>,
}

impl Daemon {
    /// The other end of `page`, which is a page of `xen`.
    pub(crate) fn new(xen: &Rc<FakeXen>, page: &SharedPage, act: Act) -> Rc<Self> {
        Rc::new(Self {
            xen: xen.clone(),
            page: xen.view(page),
            act: RefCell::new(act),
            pending: Cell::new(false),
            waits: Cell::new(0),
        })
    }

    fn step(&self) {
        if self.act.borrow_mut()(&self.page) {
            self.pending.set(true);
        }
    }
}

impl Hypervisor for Daemon {
    fn now(&self) -> Instant {
        self.xen.now()
    }

    fn poll(&self, _: &[Port], deadline: Instant) {
        count(&self.waits);
        // To wake up takes a while, or events without end would make a minute last for ever.
        self.xen.pass(Duration::from_millis(1));
        if !self.pending.get() {
            self.step();
        }
        if !self.pending.get() {
            self.xen.pass(deadline.since(self.xen.now()));
        }
    }

    fn take_pending(&self, _: Port) -> bool {
        self.pending.take()
    }

    fn send(&self, _: Port) -> Result<(), Errno> {
        self.step();
        Ok(())
    }

    fn open(&self, remote: DomId) -> Result<Port, Errno> {
        self.xen.open(remote)
    }

    fn close(&self, port: Port) -> Result<(), Errno> {
        self.xen.close(port)
    }

    fn alloc_page(&self) -> Result<SharedPage, Errno> {
        self.xen.alloc_page()
    }

    fn free_page(&self, page: SharedPage) {
        self.xen.free_page(page);
    }

    fn grant(&self, page: &SharedPage, to: DomId, access: Access) -> Result<GrantRef, Errno> {
        self.xen.grant(page, to, access)
    }

    fn revoke(&self, grant: GrantRef) -> Result<(), Errno> {
        self.xen.revoke(grant)
    }
}

fn count(waits: &Cell<u64>) {
    waits.set(waits.get() + 1);
    assert!(waits.get() < WAITS_MAX, "waiting without end");
}

/// A guest whose back end, in `directory` of xenstore, also does what the input says.
pub(crate) struct BackEnd {
    xen: Rc<FakeXen>,
    directory: &'static str,
    keys: &'static [&'static str],
    script: RefCell<Script>,
    /// What the back end may write to now.
    pages: RefCell<BTreeMap<u32, SharedPage>>,
    waits: Cell<u64>,
}

impl BackEnd {
    pub(crate) fn new(
        xen: &Rc<FakeXen>,
        directory: &'static str,
        keys: &'static [&'static str],
        script: &[u8],
    ) -> Rc<Self> {
        Rc::new(Self {
            xen: xen.clone(),
            directory,
            keys,
            script: RefCell::new(Script::new(script)),
            pages: RefCell::default(),
            waits: Cell::new(0),
        })
    }

    /// From now on the back end is honest.
    pub(crate) fn calm(&self) {
        self.script.borrow_mut().end();
    }

    fn strike(&self) {
        let mut script = self.script.borrow_mut();
        if script.is_over() {
            return;
        }
        let times = script.byte() % 4;
        for _ in 0..times {
            let (kind, which) = script.next(|input| (input.u8(), input.u8()));
            let pages = self.pages.borrow();
            let page = match pages.len() {
                0 => None,
                // The first pages of a device are its rings.
                count => pages.values().nth(if which < 128 {
                    usize::from(which & 1).min(count - 1)
                } else {
                    usize::from(which - 128) * count / 128
                }),
            };
            match (kind & 7, page) {
                (0, Some(page)) => {
                    let (at, value) = script.next(|input| (input.u16(), input.u32()));
                    // Requests are the guest's; an honest back end reads them too.
                    let at = if at & 0x8000 == 0 {
                        [RSP_PROD, RSP_EVENT][usize::from(at & 1)]
                    } else {
                        usize::from(at) % (PAGE_BYTES / 4) * 4
                    };
                    page.store(at, value);
                }
                (1, Some(page)) => {
                    let (at, bytes) = script.next(|input| {
                        let at = usize::from(input.u16()) % (PAGE_BYTES - 16);
                        let len = usize::from(input.u8() & 15);
                        (at.max(ENTRIES), input.take(len).to_vec())
                    });
                    page.write(at, &bytes);
                }
                (2 | 3, Some(page)) => {
                    let step = i32::from(script.byte().cast_signed());
                    page.store(RSP_PROD, page.load(RSP_PROD).wrapping_add_signed(step));
                }
                (4, _) => {
                    let state = script.byte() % 10;
                    self.write("state", &state.to_string());
                }
                (5, _) => {
                    let value = script.next(|input| {
                        let len = usize::from(input.u8() & 31);
                        input.take(len).to_vec()
                    });
                    let key = self.keys[usize::from(which) % self.keys.len()];
                    self.write(key, &String::from_utf8_lossy(&value));
                }
                (6, _) => self.xen.pass(Duration::from_millis(u64::from(which) * 50)),
                _ => {}
            }
        }
    }

    fn write(&self, key: &str, value: &str) {
        self.xen
            .set_store_value(&format!("{}/{key}", self.directory), value);
    }
}

impl Hypervisor for BackEnd {
    fn now(&self) -> Instant {
        self.xen.now()
    }

    fn poll(&self, ports: &[Port], deadline: Instant) {
        count(&self.waits);
        self.xen.pass(Duration::from_micros(50));
        self.strike();
        self.xen.poll(ports, deadline);
        self.strike();
    }

    fn take_pending(&self, port: Port) -> bool {
        self.xen.take_pending(port)
    }

    fn send(&self, port: Port) -> Result<(), Errno> {
        let result = self.xen.send(port);
        self.strike();
        result
    }

    fn open(&self, remote: DomId) -> Result<Port, Errno> {
        self.xen.open(remote)
    }

    fn close(&self, port: Port) -> Result<(), Errno> {
        self.xen.close(port)
    }

    fn alloc_page(&self) -> Result<SharedPage, Errno> {
        self.xen.alloc_page()
    }

    fn free_page(&self, page: SharedPage) {
        self.xen.free_page(page);
    }

    fn grant(&self, page: &SharedPage, to: DomId, access: Access) -> Result<GrantRef, Errno> {
        let grant = self.xen.grant(page, to, access)?;
        if access == Access::ReadWrite {
            self.pages.borrow_mut().insert(grant.0, self.xen.view(page));
        }
        Ok(grant)
    }

    fn revoke(&self, grant: GrantRef) -> Result<(), Errno> {
        self.xen.revoke(grant)?;
        self.pages.borrow_mut().remove(&grant.0);
        Ok(())
    }
}
