//! States of a split device (`io/xenbus.h`, `enum xenbus_state`), as the decimal numbers under `state` in xenstore.

use core::fmt;

/// What one end of a split device says about itself. Ordered: a device that closes only counts up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct State(pub u32);

impl State {
    /// No state: the key or the whole device is missing.
    pub const UNKNOWN: Self = Self(0);
    /// The end exists and has not begun.
    pub const INITIALISING: Self = Self(1);
    /// A back end that waits for the front end's keys.
    pub const INIT_WAIT: Self = Self(2);
    /// The front end has written its keys.
    pub const INITIALISED: Self = Self(3);
    /// In use.
    pub const CONNECTED: Self = Self(4);
    /// About to stop.
    pub const CLOSING: Self = Self(5);
    /// Stopped: everything shared is unmapped.
    pub const CLOSED: Self = Self(6);
    /// Being changed while in use.
    pub const RECONFIGURING: Self = Self(7);
    /// Changed while in use.
    pub const RECONFIGURED: Self = Self(8);
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::UNKNOWN => "missing",
            Self::INITIALISING => "initialising",
            Self::INIT_WAIT => "waiting for the front end",
            Self::INITIALISED => "initialised",
            Self::CONNECTED => "connected",
            Self::CLOSING => "closing",
            Self::CLOSED => "closed",
            Self::RECONFIGURING => "reconfiguring",
            Self::RECONFIGURED => "reconfigured",
            Self(other) => return write!(f, "state {other}"),
        };
        write!(f, "state {} ({name})", self.0)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
