//! Xenbus: how a front end in this guest and a back end in another domain meet and part through xenstore.
//!
//! [`Device`] is the front end's side of one device: `device/<class>/<id>` is ours to write, the back end's
//! directory is only read. The back end's state is polled; no watch is set, so none can be left behind.
//! Protocol: Xen `io/xenbus.h`; the order of closing is what Linux and QEMU back ends need so that another
//! kernel can connect afterwards.

use alloc::collections::BinaryHeap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

pub use arch::abi::xenbus::State;
use arch::{DomId, Instant};

use crate::xenstore::{Refusal, Store, StoreError};

/// How long a back end may take over each step.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// First and shortest wait between two looks at a back end's state.
const LOOK_MIN: Duration = Duration::from_millis(1);
/// Longest wait between two looks.
const LOOK_MAX: Duration = Duration::from_millis(50);

/// Why a device could not be connected or closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum XenbusError {
    /// Xenstore failed.
    Store {
        /// The path in question.
        path: String,
        /// What went wrong.
        source: StoreError,
    },
    /// The back end did not reach the state in time.
    Timeout {
        /// The state it was in at the end.
        found: State,
        /// What was waited for.
        wanted: &'static str,
        /// For how long.
        waited: Duration,
    },
    /// The back end went away or closed while it was waited for.
    Gone {
        /// The state it went to.
        found: State,
        /// What was waited for.
        wanted: &'static str,
    },
    /// A value in xenstore is outside what the protocol allows; the text says which.
    Value(String),
}

impl fmt::Display for XenbusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store { path, source } => write!(f, "{path}: {source}"),
            Self::Timeout {
                found,
                wanted,
                waited,
            } => write!(
                f,
                "the back end stays in {found} instead of {wanted} for {} s",
                waited.as_secs()
            ),
            Self::Gone { found, wanted } => {
                write!(f, "the back end went to {found} instead of {wanted}")
            }
            Self::Value(text) => f.write_str(text),
        }
    }
}

impl core::error::Error for XenbusError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Store { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The numbers of the devices of `class` (`vbd`, `vif`), in numeric order. Names that are not numbers as the
/// toolstack writes them are left out.
///
/// # Errors
/// What xenstore answered; a guest without such devices is no error.
pub fn list(store: &Store, class: &str) -> Result<Vec<u64>, XenbusError> {
    let path = format!("device/{class}");
    let names = match store.directory(&path) {
        Err(error) if error.is_not_found() => Vec::new(),
        other => other.map_err(|source| XenbusError::Store { path, source })?,
    };
    let ids: Vec<u64> = names
        .iter()
        .filter_map(|name| {
            name.parse::<u64>()
                .ok()
                .filter(|id| id.to_string() == *name)
        })
        .collect();
    // A heap: the library's sorts take kilobytes for each type.
    let mut ids = BinaryHeap::from(ids).into_sorted_vec();
    ids.dedup();
    Ok(ids)
}

/// A key that the toolstack may have written before us, and what it held.
#[derive(Debug)]
struct Borrowed {
    key: &'static str,
    before: Option<String>,
}

/// The front end's side of one device.
pub struct Device {
    store: Rc<Store>,
    id: u64,
    path: String,
    backend: String,
    backend_domain: DomId,
    /// Keys of ours in xenstore, to be removed.
    written: RefCell<Vec<&'static str>>,
    /// Keys that existed before us or might have, to be put back.
    borrowed: RefCell<Vec<Borrowed>>,
}

impl Device {
    /// The device `id` of `class`, as the toolstack described it.
    ///
    /// # Errors
    /// [`XenbusError::Store`] when the description is missing, [`XenbusError::Value`] when it makes no sense.
    pub fn open(store: Rc<Store>, class: &str, id: u64) -> Result<Self, XenbusError> {
        let path = format!("device/{class}/{id}");
        let at = |key: &str| format!("{path}/{key}");
        let backend = store
            .read_text(&at("backend"))
            .map_err(|source| failed(at("backend"), source))?;
        let number = store
            .read_number(&at("backend-id"))
            .map_err(|source| failed(at("backend-id"), source))?;
        let backend_domain = u16::try_from(number)
            .ok()
            .filter(|domain| *domain < DomId::SELF.0)
            .map(DomId)
            .ok_or_else(|| XenbusError::Value(format!("{path}/backend-id is {number}")))?;
        if !backend.starts_with('/') {
            return Err(XenbusError::Value(format!(
                "{path}/backend is \"{backend}\""
            )));
        }
        Ok(Self {
            store,
            id,
            path,
            backend,
            backend_domain,
            written: RefCell::new(Vec::new()),
            borrowed: RefCell::new(Vec::new()),
        })
    }

    /// The device's number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The domain of the back end.
    #[must_use]
    pub fn backend_domain(&self) -> DomId {
        self.backend_domain
    }

    /// The store that the device is described in.
    #[must_use]
    pub fn store(&self) -> &Rc<Store> {
        &self.store
    }

    fn ours(&self, key: &str) -> String {
        format!("{}/{key}", self.path)
    }

    fn theirs(&self, key: &str) -> String {
        format!("{}/{key}", self.backend)
    }

    /// A key of the front end as text, or `None` if it is missing.
    ///
    /// # Errors
    /// [`XenbusError::Store`].
    pub fn find_own(&self, key: &str) -> Result<Option<String>, XenbusError> {
        let path = self.ours(key);
        self.store
            .find_text(&path)
            .map_err(|source| failed(path, source))
    }

    /// A key of the back end as text, or `None` if it is missing.
    ///
    /// # Errors
    /// [`XenbusError::Store`].
    pub fn find_text(&self, key: &str) -> Result<Option<String>, XenbusError> {
        let path = self.theirs(key);
        self.store
            .find_text(&path)
            .map_err(|source| failed(path, source))
    }

    /// A key of the back end as a number, or `None` if it is missing.
    ///
    /// # Errors
    /// [`XenbusError::Store`], also for a value that is no number.
    pub fn find_number(&self, key: &str) -> Result<Option<u64>, XenbusError> {
        let path = self.theirs(key);
        self.store
            .find_number(&path)
            .map_err(|source| failed(path, source))
    }

    /// The front end's state as xenstore has it.
    ///
    /// # Errors
    /// [`XenbusError::Store`].
    pub fn state(&self) -> Result<State, XenbusError> {
        self.read_state(self.ours("state"))
    }

    /// The back end's state; [`State::UNKNOWN`] when it has none.
    ///
    /// # Errors
    /// [`XenbusError::Store`].
    pub fn backend_state(&self) -> Result<State, XenbusError> {
        self.read_state(self.theirs("state"))
    }

    fn read_state(&self, path: String) -> Result<State, XenbusError> {
        let number = self
            .store
            .find_number(&path)
            .map_err(|source| failed(path, source))?;
        Ok(number.map_or(State::UNKNOWN, |number| {
            State(u32::try_from(number).unwrap_or(u32::MAX))
        }))
    }

    /// Sets the front end's state.
    ///
    /// # Errors
    /// [`XenbusError::Store`].
    pub fn set_state(&self, state: State) -> Result<(), XenbusError> {
        let path = self.ours("state");
        self.store
            .write(&path, &state.0.to_string())
            .map_err(|source| failed(path, source))
    }

    /// Remembers what `key` holds, so that [`Device::forget_keys`] leaves it as it was; then writes `value` if it
    /// holds anything else.
    ///
    /// # Errors
    /// [`XenbusError::Store`].
    pub fn borrow_key(&self, key: &'static str, value: &str) -> Result<(), XenbusError> {
        let before = self.find_own(key)?;
        if before.as_deref() == Some(value) {
            return Ok(());
        }
        self.borrowed.borrow_mut().push(Borrowed { key, before });
        let path = self.ours(key);
        self.store
            .write(&path, value)
            .map_err(|source| failed(path, source))
    }

    /// Writes `keys` into the front end's directory in one transaction. They are removed by
    /// [`Device::forget_keys`].
    ///
    /// # Errors
    /// [`XenbusError::Store`].
    pub fn write_keys(&self, keys: &[(&'static str, String)]) -> Result<(), XenbusError> {
        // Noted first: a failure half way must not hide what was written.
        self.written
            .borrow_mut()
            .extend(keys.iter().map(|(key, _)| *key));
        self.store
            .transaction(|store, transaction| {
                for (key, value) in keys {
                    store.write_in(transaction, &self.ours(key), value)?;
                }
                Ok(())
            })
            .map_err(|source| failed(self.path.clone(), source))
    }

    /// Removes the keys that [`Device::write_keys`] wrote and puts back those of [`Device::borrow_key`].
    ///
    /// # Errors
    /// [`XenbusError::Store`] for the first key that could not be removed; the others are.
    pub fn forget_keys(&self) -> Result<(), XenbusError> {
        let mut first = Ok(());
        let mut note = |path: String, result: Result<(), StoreError>| {
            if let Err(source) = result
                && first.is_ok()
            {
                first = Err(failed(path, source));
            }
        };
        for key in self.written.borrow_mut().drain(..) {
            let path = self.ours(key);
            let result = self.store.remove(&path);
            note(path, result);
        }
        for Borrowed { key, before } in self.borrowed.borrow_mut().drain(..) {
            let path = self.ours(key);
            let result = match before {
                Some(value) => self.store.write(&path, &value),
                None => self.store.remove(&path),
            };
            note(path, result);
        }
        first
    }

    /// Looks at the back end's state until `verdict` has an opinion.
    ///
    /// # Errors
    /// [`XenbusError::Timeout`] after [`PATIENCE`], [`XenbusError::Gone`] when `verdict` gives up, or
    /// [`XenbusError::Store`].
    pub fn wait_backend(
        &self,
        wanted: &'static str,
        verdict: impl Fn(State) -> Verdict,
    ) -> Result<State, XenbusError> {
        self.wait_backend_for(PATIENCE, wanted, verdict)
    }

    /// As [`Device::wait_backend`], but for `patience` at most.
    ///
    /// # Errors
    /// As [`Device::wait_backend`].
    pub fn wait_backend_for(
        &self,
        patience: Duration,
        wanted: &'static str,
        verdict: impl Fn(State) -> Verdict,
    ) -> Result<State, XenbusError> {
        let hv = self.store.hypervisor();
        let begin = hv.now();
        let deadline = begin.after(patience);
        loop {
            let found = self.backend_state()?;
            match verdict(found) {
                Verdict::Reached => return Ok(found),
                Verdict::Hopeless => return Err(XenbusError::Gone { found, wanted }),
                Verdict::NotYet => {}
            }
            let now = hv.now();
            if now >= deadline {
                return Err(XenbusError::Timeout {
                    found,
                    wanted,
                    waited: patience,
                });
            }
            hv.poll(&[], next_look(begin, now).min(deadline));
        }
    }

    /// Waits, for `patience` at most, until the back end asks for a front end's keys.
    ///
    /// # Errors
    /// As [`Device::wait_backend`].
    pub fn wait_ready(&self, patience: Duration) -> Result<(), XenbusError> {
        self.wait_backend_for(patience, "ready for a front end", |state| match state {
            State::INIT_WAIT | State::INITIALISED => Verdict::Reached,
            _ => Verdict::NotYet,
        })?;
        Ok(())
    }

    /// Waits, for `patience` at most, until the back end is connected.
    ///
    /// # Errors
    /// As [`Device::wait_backend`].
    pub fn wait_connected(&self, patience: Duration) -> Result<(), XenbusError> {
        self.wait_backend_for(patience, "connected", |state| match state {
            State::CONNECTED => Verdict::Reached,
            State::CLOSING | State::CLOSED => Verdict::Hopeless,
            _ => Verdict::NotYet,
        })?;
        Ok(())
    }

    /// Closes what an earlier kernel left connected. What goes wrong in that shows in the states that are waited for next.
    ///
    /// # Errors
    /// [`XenbusError::Store`].
    pub fn recover(&self) -> Result<(), XenbusError> {
        if self.is_left_over()? {
            let mut notes = Vec::new();
            self.begin_close(&mut notes);
            self.finish_close(&mut notes);
        }
        Ok(())
    }

    /// Whether the front end or the back end is in a state that an earlier kernel left behind. A back end that is
    /// connected, closing or closed does not look at a new front end's keys.
    fn is_left_over(&self) -> Result<bool, XenbusError> {
        let ours = self.state()?;
        let theirs = self.backend_state()?;
        Ok(!matches!(
            ours,
            State::UNKNOWN | State::INITIALISING | State::INIT_WAIT
        ) || matches!(theirs, State::CONNECTED | State::CLOSING | State::CLOSED))
    }

    /// First half of closing: tells the back end to stop and waits until it has unmapped everything. Each failure
    /// is added to `notes`, and the next step is tried all the same.
    pub fn begin_close(&self, notes: &mut Vec<String>) {
        let step = self.set_state(State::CLOSING).and_then(|()| {
            self.wait_backend("closing", |found| gone_as_far_as(found, State::CLOSING))
        });
        note(notes, step);
        let step = self.set_state(State::CLOSED).and_then(|()| {
            self.wait_backend("closed", |found| gone_as_far_as(found, State::CLOSED))
        });
        note(notes, step);
    }

    /// Second half of closing, after grants and ports are gone: makes the device new again and waits until the
    /// back end is ready for another front end.
    pub fn finish_close(&self, notes: &mut Vec<String>) {
        // A back end without a state is unplugged: nothing will wait for another front end.
        if self.backend_state() == Ok(State::UNKNOWN) {
            note(notes, self.set_state(State::INITIALISING));
            return;
        }
        let step = self.set_state(State::INITIALISING).and_then(|()| {
            self.wait_backend("ready for another front end", |found| match found {
                State::INIT_WAIT => Verdict::Reached,
                _ => Verdict::NotYet,
            })
        });
        note(notes, step);
    }
}

/// What a state of the back end means to whoever waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// That is what was waited for.
    Reached,
    /// Look again.
    NotYet,
    /// It will not come any more.
    Hopeless,
}

/// Whether a closing back end has come to `state`. One that has no state any more is unplugged and shares nothing.
fn gone_as_far_as(found: State, state: State) -> Verdict {
    if found == State::UNKNOWN || (state..=State::CLOSED).contains(&found) {
        Verdict::Reached
    } else {
        Verdict::NotYet
    }
}

fn note<T>(notes: &mut Vec<String>, step: Result<T, XenbusError>) {
    if let Err(error) = step {
        notes.push(error.to_string());
    }
}

/// When to look again: after as long as has been waited so far, within bounds. A quick back end costs little
/// time, a slow one few questions.
fn next_look(begin: Instant, now: Instant) -> Instant {
    now.after(now.since(begin).clamp(LOOK_MIN, LOOK_MAX))
}

fn failed(path: String, source: StoreError) -> XenbusError {
    XenbusError::Store { path, source }
}

impl XenbusError {
    /// Whether the reason is that xenstore has no such entry.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::Store {
                source: StoreError::Refused(Refusal::NotFound),
                ..
            }
        )
    }
}
