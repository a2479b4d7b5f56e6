//! The handshake of a block front end: from the toolstack's description to a ring that the back end reads.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};

use arch::abi::blkif::{
    ENTRY_BYTES, INFO_CDROM, INFO_READ_ONLY, INFO_REMOVABLE, PROTOCOL, SECTOR_BYTES,
};
use arch::ring::FrontRing;
use arch::{Errno, Hypervisor, Port};
use fs::{BlockError, Geometry};

use super::Settings;
use crate::frontend::{Granted, Leftovers, part};
use crate::xenbus::{Device, PATIENCE, State, XenbusError};

/// What the back end says about its disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Traits {
    /// Whether the disk takes writes.
    pub writes: Writes,
    /// Whether written bytes can be put on the medium for certain.
    pub flushes: Flushes,
    /// Whether it is a CD-ROM drive.
    pub medium: Medium,
    /// Most segments in an indirect request; 0 if there are none.
    pub indirect_segments: u64,
}

/// Whether a disk takes writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writes {
    /// It does.
    Allowed,
    /// It is read-only.
    Refused,
}

/// Whether a back end takes requests to flush its caches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flushes {
    /// It does.
    Offered,
    /// It does not: what is written is as safe as the back end makes it.
    Absent,
}

/// What kind of medium a disk has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// A disk that stays.
    Fixed,
    /// A disk that may be taken out.
    Removable,
    /// A CD-ROM.
    Cdrom,
}

/// A connected device, before its first request.
pub(super) struct Link {
    pub(super) hv: Rc<dyn Hypervisor>,
    pub(super) device: Device,
    pub(super) ring: FrontRing,
    pub(super) ring_grant: arch::GrantRef,
    pub(super) port: Port,
    pub(super) geometry: Geometry,
    pub(super) traits: Traits,
}

/// A failed attempt, and what it could not take back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectFailure {
    /// Why the disk cannot be used.
    pub error: BlockError,
    /// What is still shared with the back end; empty unless the back end misbehaves.
    pub leftovers: Leftovers,
}

impl From<BlockError> for ConnectFailure {
    fn from(error: BlockError) -> Self {
        Self {
            error,
            leftovers: Leftovers::default(),
        }
    }
}

impl Link {
    /// Brings `device` from the toolstack's description to state connected.
    pub(super) fn connect(
        device: Device,
        name: &str,
        settings: &Settings,
    ) -> Result<Self, ConnectFailure> {
        let hv = device.store().hypervisor().clone();
        device.recover().map_err(|error| absent(name, &error))?;
        await_back_end(&device, name)?;
        let granted = Granted::new(&*hv, device.backend_domain())
            .map_err(|error| unmade(name, "the ring's page", error))?;
        let port = match hv.open(device.backend_domain()) {
            Ok(port) => port,
            Err(error) => {
                let failure = ConnectFailure {
                    error: unmade(name, "an event channel", error),
                    leftovers: Leftovers::of_pages(&*hv, alloc::vec![granted]),
                };
                return Err(failure);
            }
        };
        let Granted { page, grant } = granted;
        let ring = FrontRing::new(page, ENTRY_BYTES, settings.ring_start);
        let described = introduce(&device, grant, port)
            .map_err(|error| absent(name, &error))
            .and_then(|()| describe(&device, name));
        match described {
            Ok((geometry, traits)) => Ok(Self {
                hv,
                device,
                ring,
                ring_grant: grant,
                port,
                geometry,
                traits,
            }),
            Err(error) => {
                let page = ring.into_page();
                let pages = alloc::vec![Granted { page, grant }];
                Err(ConnectFailure {
                    error,
                    leftovers: part(&*hv, &device, port, pages),
                })
            }
        }
    }
}

/// Waits until the back end asks for our keys.
fn await_back_end(device: &Device, name: &str) -> Result<(), BlockError> {
    // A drive without a medium has a back end that waits for one and says nothing until then.
    let early = device
        .backend_state()
        .map_err(|error| absent(name, &error))?;
    if early < State::INIT_WAIT {
        let medium = device
            .find_text("params")
            .map_err(|error| absent(name, &error))?;
        // Nothing, or the kind of file without a file: "aio:".
        if medium.is_some_and(|medium| medium.is_empty() || medium.ends_with(':')) {
            return Err(empty(name));
        }
    }
    device
        .wait_ready(PATIENCE)
        .map_err(|error| absent(name, &error))?;
    Ok(())
}

/// Tells the back end of ring and event channel, and waits until it is connected.
fn introduce(device: &Device, grant: arch::GrantRef, port: Port) -> Result<(), XenbusError> {
    // No `feature-persistent`: the back end would keep pages mapped for as long as it likes.
    // The toolstack writes `protocol` for kernels that do not know the key; what it says, or that it says nothing, is
    // put back for them.
    device.borrow_key("protocol", PROTOCOL)?;
    device.write_keys(&[
        ("ring-ref", grant.0.to_string()),
        ("event-channel", port.0.to_string()),
    ])?;
    device.set_state(State::INITIALISED)?;
    device.wait_connected(PATIENCE)
}

/// Reads what the back end says of its disk, and declares the front end connected.
fn describe(device: &Device, name: &str) -> Result<(Geometry, Traits), BlockError> {
    let number = |key: &str| {
        device
            .find_number(key)
            .map_err(|error| absent(name, &error))
    };
    let sectors = number("sectors")?
        .ok_or_else(|| BlockError::Absent(format!("{name}: the back end gives no size")))?;
    if sectors == 0 {
        return Err(empty(name));
    }
    let sector_size = number("sector-size")?.unwrap_or(SECTOR_BYTES);
    let sector_bytes = u32::try_from(sector_size)
        .ok()
        .filter(|bytes| bytes.is_power_of_two() && (512..=4096).contains(bytes))
        .ok_or_else(|| BlockError::Absent(format!("{name}: sectors of {sector_size} bytes")))?;
    // `sectors` counts units of 512 bytes whatever the sector size is.
    let len_bytes = sectors
        .checked_mul(SECTOR_BYTES)
        .map(|bytes| bytes - bytes % u64::from(sector_bytes))
        .ok_or_else(|| BlockError::Absent(format!("{name}: a disk of {sectors} sectors")))?;
    let info = number("info")?.unwrap_or(0);
    let mode = device
        .find_text("mode")
        .map_err(|error| absent(name, &error))?;
    let indirect_segments = number("feature-max-indirect-segments")?.unwrap_or(0);
    let flushes = match number("feature-flush-cache")? {
        None | Some(0) => Flushes::Absent,
        Some(_) => Flushes::Offered,
    };
    device
        .set_state(State::CONNECTED)
        .map_err(|error| absent(name, &error))?;
    let writes = if info & INFO_READ_ONLY != 0 || mode.as_deref() == Some("r") {
        Writes::Refused
    } else {
        Writes::Allowed
    };
    let medium = if info & INFO_CDROM != 0 {
        Medium::Cdrom
    } else if info & INFO_REMOVABLE != 0 {
        Medium::Removable
    } else {
        Medium::Fixed
    };
    let geometry = Geometry {
        sector_bytes,
        len_bytes,
    };
    let traits = Traits {
        writes,
        flushes,
        medium,
        indirect_segments,
    };
    Ok((geometry, traits))
}

fn absent(name: &str, error: &XenbusError) -> BlockError {
    BlockError::Absent(format!("{name}: {error}"))
}

fn empty(name: &str) -> BlockError {
    BlockError::Absent(format!("{name}: empty drive"))
}

fn unmade(name: &str, what: &str, error: Errno) -> BlockError {
    let text: String = format!("{name}: no memory for {what}: {error}");
    BlockError::Absent(text)
}
