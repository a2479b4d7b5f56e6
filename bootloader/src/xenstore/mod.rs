//! Xenstore: the tree of names and values through which a guest finds its devices.
//!
//! [`Store`] asks one question at a time and polls for the answer. It never sets a watch: a watch would outlive
//! this kernel. Paths without a leading `/` are relative to the guest's own directory.
//! Protocol: Xen `io/xs_wire.h`, `docs/misc/xenstore.txt`.

mod wire;

use alloc::borrow::ToOwned;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use arch::abi::xs_wire::{ABS_PATH_MAX, ERROR_NAMES, Kind, REL_PATH_MAX};
use arch::{Hypervisor, Instant, Port, SharedPage};

use wire::Wire;
pub use wire::{PATIENCE, SHORT_PATIENCE};

/// Times that a transaction is tried before a store that is always busy is reported.
const TRANSACTION_TRIES: u32 = 16;
/// Times that a long listing is begun again because it changed meanwhile.
const LISTING_TRIES: u32 = 8;
/// Most bytes of names in a listing: no directory that a guest has a use for comes near.
const LISTING_BYTES_MAX: usize = 1 << 20;

/// Why the daemon refused a request: an error's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no such node.
    NotFound,
    /// Somebody else changed what the transaction has seen: try again.
    Again,
    /// No permission.
    Denied,
    /// The answer would be too long.
    TooBig,
    /// The daemon does not know the request.
    Unknown,
    /// The request makes no sense to the daemon.
    Invalid,
    /// Another error, by its name.
    Other(String),
}

impl Refusal {
    fn parse(payload: &[u8]) -> Self {
        let name = payload.split(|byte| *byte == 0).next().unwrap_or_default();
        match name {
            b"ENOENT" => Self::NotFound,
            b"EAGAIN" => Self::Again,
            b"EACCES" | b"EPERM" => Self::Denied,
            b"E2BIG" => Self::TooBig,
            b"ENOSYS" => Self::Unknown,
            b"EINVAL" => Self::Invalid,
            other => Self::Other(
                ERROR_NAMES
                    .iter()
                    .find(|known| known.as_bytes() == other)
                    .map_or_else(|| readable(other), |known| (*known).to_owned()),
            ),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such entry (ENOENT)"),
            Self::Again => f.write_str("changed by somebody else (EAGAIN)"),
            Self::Denied => f.write_str("no permission (EACCES)"),
            Self::TooBig => f.write_str("too long an answer (E2BIG)"),
            Self::Unknown => f.write_str("not known to the daemon (ENOSYS)"),
            Self::Invalid => f.write_str("not accepted by the daemon (EINVAL)"),
            Self::Other(name) => write!(f, "error {name}"),
        }
    }
}

/// Why a request to xenstore failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// The daemon answered with an error.
    Refused(Refusal),
    /// No answer in time.
    Timeout,
    /// The daemon broke the protocol, now or earlier; the text says how.
    Broken(String),
    /// The request is longer than the protocol allows; nothing was sent.
    TooLong {
        /// Bytes of the request or path.
        len: usize,
    },
    /// A path or value holds a NUL byte; nothing was sent.
    Nul,
    /// The value is not a decimal number of 64 bits; the text is the value.
    NotANumber(String),
    /// A listing kept changing, or is larger than any this guest can use.
    Listing,
}

impl StoreError {
    /// Whether the daemon said that the node does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        *self == Self::Refused(Refusal::NotFound)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Timeout => f.write_str("xenstore does not answer"),
            Self::Broken(why) => write!(f, "xenstore broke its protocol: {why}"),
            Self::TooLong { len } => write!(f, "{len} bytes are too long for xenstore"),
            Self::Nul => f.write_str("a NUL byte in a xenstore path or value"),
            Self::NotANumber(text) => write!(f, "\"{text}\" is not a number"),
            Self::Listing => f.write_str("a xenstore listing that keeps changing or is too long"),
        }
    }
}

impl core::error::Error for StoreError {}

/// A transaction that is open, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transaction(u32);

impl Transaction {
    /// Each request by itself.
    pub const NONE: Self = Self(0);
}

/// The connection to xenstore.
pub struct Store {
    wire: Wire,
}

impl Store {
    /// Takes over the ring in `page`, whose daemon is behind `port`. Replies to an earlier kernel are dropped.
    #[must_use]
    pub fn new(hv: Rc<dyn Hypervisor>, page: SharedPage, port: Port) -> Self {
        Self {
            wire: Wire::new(hv, page, port),
        }
    }

    /// The hypervisor under the store.
    #[must_use]
    pub fn hypervisor(&self) -> &Rc<dyn Hypervisor> {
        &self.wire.hv
    }

    /// The event channel of the ring.
    #[must_use]
    pub fn port(&self) -> Port {
        self.wire.port()
    }

    /// The page of the rings.
    #[must_use]
    pub fn page(&self) -> &SharedPage {
        self.wire.page()
    }

    /// The value at `path`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with [`Refusal::NotFound`] when there is no such node; any other [`StoreError`].
    pub fn read(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        self.read_in(Transaction::NONE, path)
    }

    /// The value at `path` as `transaction` sees it.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_in(&self, transaction: Transaction, path: &str) -> Result<Vec<u8>, StoreError> {
        self.ask(Kind::READ, transaction, path, &[])
    }

    /// The value at `path` as text; bytes that are not text are replaced.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_text(&self, path: &str) -> Result<String, StoreError> {
        Ok(readable(&self.read(path)?))
    }

    /// The value at `path` as text, or `None` if there is no such node.
    ///
    /// # Errors
    /// As [`Store::read`], except for a missing node.
    pub fn find_text(&self, path: &str) -> Result<Option<String>, StoreError> {
        found(self.read_text(path))
    }

    /// The decimal number at `path`.
    ///
    /// # Errors
    /// [`StoreError::NotANumber`] for anything else; otherwise as [`Store::read`].
    pub fn read_number(&self, path: &str) -> Result<u64, StoreError> {
        let text = self.read_text(path)?;
        let digits = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
        // `parse` would also take a plus sign, which nobody writes.
        match digits.parse() {
            Ok(number) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
            _ => Err(StoreError::NotANumber(text)),
        }
    }

    /// The decimal number at `path`, or `None` if there is no such node.
    ///
    /// # Errors
    /// As [`Store::read_number`], except for a missing node.
    pub fn find_number(&self, path: &str) -> Result<Option<u64>, StoreError> {
        found(self.read_number(path))
    }

    /// Sets the value at `path`, making nodes as needed.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn write(&self, path: &str, value: &str) -> Result<(), StoreError> {
        self.write_in(Transaction::NONE, path, value)
    }

    /// Sets the value at `path` in `transaction`.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub fn write_in(
        &self,
        transaction: Transaction,
        path: &str,
        value: &str,
    ) -> Result<(), StoreError> {
        self.ask(Kind::WRITE, transaction, path, value.as_bytes())?;
        Ok(())
    }

    /// Removes `path` and everything below. A node that is not there is no error.
    ///
    /// # Errors
    /// Any [`StoreError`] but [`Refusal::NotFound`].
    pub fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.remove_in(Transaction::NONE, path)
    }

    /// Removes `path` in `transaction`; otherwise as [`Store::remove`].
    ///
    /// # Errors
    /// As [`Store::remove`].
    pub fn remove_in(&self, transaction: Transaction, path: &str) -> Result<(), StoreError> {
        found(self.ask(Kind::RM, transaction, path, &[]))?;
        Ok(())
    }

    /// The names of the children of `path`, in the daemon's order. Names that are not text are left out.
    ///
    /// # Errors
    /// [`StoreError::Listing`] for one that keeps changing or is too long; any other [`StoreError`].
    pub fn directory(&self, path: &str) -> Result<Vec<String>, StoreError> {
        let names = match self.ask(Kind::DIRECTORY, Transaction::NONE, path, &[]) {
            Err(StoreError::Refused(Refusal::TooBig)) => self.long_directory(path)?,
            other => other?,
        };
        Ok(names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .filter_map(|name| core::str::from_utf8(name).ok())
            .map(ToOwned::to_owned)
            .collect())
    }

    /// A listing longer than one reply, in parts. Each part begins with the node's generation count: another one
    /// means that the list has changed and must be begun again.
    fn long_directory(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        for _ in 0..LISTING_TRIES {
            if let Some(names) = self.try_long_directory(path)? {
                return Ok(names);
            }
        }
        Err(StoreError::Listing)
    }

    fn try_long_directory(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut names: Vec<u8> = Vec::new();
        let mut generation: Option<Vec<u8>> = None;
        loop {
            let offset = alloc::format!("{}\0", names.len());
            let part = self.ask(
                Kind::DIRECTORY_PART,
                Transaction::NONE,
                path,
                offset.as_bytes(),
            )?;
            let split = part
                .iter()
                .position(|byte| *byte == 0)
                .ok_or(StoreError::Listing)?;
            let (count, rest) = part.split_at(split);
            if *generation.get_or_insert_with(|| count.to_vec()) != count {
                return Ok(None);
            }
            let chunk = rest.get(1..).unwrap_or_default();
            names.extend_from_slice(chunk);
            // The last part ends with an empty name.
            if chunk.is_empty() || chunk == b"\0" || chunk.ends_with(b"\0\0") {
                return Ok(Some(names));
            }
            if names.len() > LISTING_BYTES_MAX {
                return Err(StoreError::Listing);
            }
        }
    }

    /// Runs `body` in a transaction, again from the start as long as somebody else interferes, at most 16 times.
    ///
    /// # Errors
    /// What `body` returned (the transaction is then undone), or [`Refusal::Again`] when it never got through.
    pub fn transaction<T>(
        &self,
        mut body: impl FnMut(&Self, Transaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        for attempt in 0..TRANSACTION_TRIES {
            match self.try_transaction(&mut body) {
                Err(StoreError::Refused(Refusal::Again)) => {
                    // Somebody is busy in the same place: give way, a little longer each time.
                    let pause = Duration::from_millis(u64::from(attempt));
                    let deadline = self.wire.hv.now().after(pause);
                    self.wire.hv.poll(&[], deadline);
                }
                other => return other,
            }
        }
        Err(StoreError::Refused(Refusal::Again))
    }

    fn try_transaction<T>(
        &self,
        body: &mut impl FnMut(&Self, Transaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let id = self.wire.request(Kind::TRANSACTION_START, 0, &[b"\0"])?;
        let text = readable(&id);
        let transaction = match text.trim_end_matches('\0').parse() {
            Ok(number) if number != 0 => Transaction(number),
            _ => return Err(StoreError::NotANumber(text)),
        };
        match body(self, transaction) {
            Ok(value) => {
                self.end(transaction, b"T\0")?;
                Ok(value)
            }
            Err(error) => {
                // The body's error is the one to report.
                let _ = self.end(transaction, b"F\0");
                Err(error)
            }
        }
    }

    fn end(&self, transaction: Transaction, how: &[u8]) -> Result<(), StoreError> {
        self.wire
            .request(Kind::TRANSACTION_END, transaction.0, &[how])?;
        Ok(())
    }

    /// Makes the ring ready for the next kernel: no request waiting, no reply unread, no event pending.
    ///
    /// # Errors
    /// [`StoreError::Timeout`] when the daemon has not taken everything by `deadline`.
    pub fn quiesce(&self, deadline: Instant) -> Result<(), StoreError> {
        if self.wire.settle(deadline) {
            Ok(())
        } else {
            Err(StoreError::Timeout)
        }
    }

    fn ask(
        &self,
        kind: Kind,
        transaction: Transaction,
        path: &str,
        rest: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let limit = if path.starts_with('/') {
            ABS_PATH_MAX
        } else {
            REL_PATH_MAX
        };
        if path.len() >= limit {
            return Err(StoreError::TooLong { len: path.len() });
        }
        if path.contains('\0') {
            return Err(StoreError::Nul);
        }
        self.wire
            .request(kind, transaction.0, &[path.as_bytes(), b"\0", rest])
    }
}

/// Bytes from the daemon as text; what is not text is replaced.
fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Turns "no such node" into `None`.
fn found<T>(answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
