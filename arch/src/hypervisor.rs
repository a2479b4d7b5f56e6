//! What the drivers ask of a hypervisor: safe operations only.
//!
//! [`Hypervisor`] is implemented twice: by `native` with hypercalls, and by `fake` for tests on the host.
//! No interrupts exist here: upcalls stay masked, and waiting is [`Hypervisor::poll`] with a deadline.

use core::fmt;
use core::time::Duration;

use crate::SharedPage;

/// A moment: nanoseconds since the hypervisor started (Xen's `system_time`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// The moment `wait` after this one; saturates.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// Time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A local event channel port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Port(pub u32);

/// A domain's number; [`DomId::SELF`] names the caller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DomId(pub u16);

impl DomId {
    /// The calling domain (`DOMID_SELF`).
    pub const SELF: Self = Self(0x7FF0);
}

/// A grant reference: an index of this domain's grant table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GrantRef(pub u32);

/// What a grant allows the other domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// The other domain may only read the page.
    ReadOnly,
    /// The other domain may read and write the page.
    ReadWrite,
}

/// A hypercall's refusal: Xen's error number, positive (`xen/include/public/errno.h`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Out of memory, or of grant references.
    pub const NOMEM: Self = Self(12);
    /// The other domain still uses what was to be taken back.
    pub const BUSY: Self = Self(16);
    /// An argument that the hypervisor does not take.
    pub const INVAL: Self = Self(22);
    /// No room: every event channel port is in use.
    pub const NOSPC: Self = Self(28);
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            1 => "EPERM",
            2 => "ENOENT",
            12 => "ENOMEM",
            14 => "EFAULT",
            16 => "EBUSY",
            22 => "EINVAL",
            28 => "ENOSPC",
            38 => "ENOSYS",
            95 => "EOPNOTSUPP",
            other => return write!(f, "xen error {other}"),
        };
        f.write_str(name)
    }
}

impl core::error::Error for Errno {}

/// The operations a driver needs. Object-safe; passed as `&dyn Hypervisor`.
///
/// Single-threaded: one vCPU, no interrupts. Implementations use interior mutability.
pub trait Hypervisor {
    /// The present moment.
    fn now(&self) -> Instant;

    /// Sleeps until one of `ports` has its pending bit set or `deadline` has passed; returns at once if one has.
    ///
    /// Pending bits stay set: clear one with [`Hypervisor::take_pending`] before looking at its ring, and look
    /// before polling again. May wake early; callers re-check in a loop of their own. At most 128 ports.
    fn poll(&self, ports: &[Port], deadline: Instant);

    /// Clears the pending bit of `port` and says whether it was set.
    fn take_pending(&self, port: Port) -> bool;

    /// Notifies the other end of `port`.
    ///
    /// # Errors
    /// What Xen answered: the port is closed or its other end is gone.
    fn send(&self, port: Port) -> Result<(), Errno>;

    /// Opens a port that `remote` may bind to.
    ///
    /// # Errors
    /// [`Errno::NOSPC`] when no port is free, or what Xen answered.
    fn open(&self, remote: DomId) -> Result<Port, Errno>;

    /// Closes a port opened by [`Hypervisor::open`].
    ///
    /// # Errors
    /// What Xen answered: the port was not open.
    fn close(&self, port: Port) -> Result<(), Errno>;

    /// One zeroed page of this domain that can be granted. Dropping a [`SharedPage`] does nothing:
    /// give it back with [`Hypervisor::free_page`].
    ///
    /// # Errors
    /// [`Errno::NOMEM`] when no frame is left.
    fn alloc_page(&self) -> Result<SharedPage, Errno>;

    /// Takes back a page from [`Hypervisor::alloc_page`]. The page must not be granted any more: the grant must
    /// have been ended by [`Hypervisor::revoke`].
    fn free_page(&self, page: SharedPage);

    /// Allows `to` to map `page`.
    ///
    /// # Errors
    /// [`Errno::NOMEM`] when the grant table is full; [`Errno::INVAL`] for a frame beyond 32 bits (grant table v1).
    fn grant(&self, page: &SharedPage, to: DomId, access: Access) -> Result<GrantRef, Errno>;

    /// Ends a grant.
    ///
    /// # Errors
    /// [`Errno::BUSY`] while the other domain still has the page mapped; nothing changed then: try again later.
    fn revoke(&self, grant: GrantRef) -> Result<(), Errno>;
}
