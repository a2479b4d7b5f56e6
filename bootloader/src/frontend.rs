//! What every front end shares with its back end, and how it is taken back: granted pages, from grant to revocation, the
//! closing of a device, and [`Leftovers`], which closing could not take back.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use arch::{Access, DomId, Errno, GrantRef, Hypervisor, Mfn, Port, SharedPage};

use crate::xenbus::Device;

/// How long a back end that says it is closed may keep a page mapped.
const UNMAP_PATIENCE: Duration = Duration::from_secs(2);
/// Wait between two attempts to take a page back.
const RETRY: Duration = Duration::from_millis(5);

/// A page of ours that another domain may map.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) page: SharedPage,
    pub(crate) grant: GrantRef,
}

/// A page that the back end would not let go of. It is never freed: whoever gets its frame next would share it
/// with the back end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leak {
    /// The page's frame.
    pub mfn: Mfn,
    /// The grant that is still in use.
    pub grant: GrantRef,
}

impl Granted {
    /// A fresh page that `to` may read and write.
    pub(crate) fn new(hv: &dyn Hypervisor, to: DomId) -> Result<Self, Errno> {
        let page = hv.alloc_page()?;
        match hv.grant(&page, to, Access::ReadWrite) {
            Ok(grant) => Ok(Self { page, grant }),
            Err(error) => {
                hv.free_page(page);
                Err(error)
            }
        }
    }
}

/// What closing a device left behind.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Leftovers {
    /// Pages that the back end still has mapped. While there are any, their frames must not be given to another
    /// kernel.
    pub leaks: Vec<Leak>,
    /// Steps that failed, in words. They may keep the next kernel from using the device.
    pub notes: Vec<String>,
}

impl Leftovers {
    /// What is left of `pages` once they are taken back.
    pub(crate) fn of_pages(hv: &dyn Hypervisor, pages: Vec<Granted>) -> Self {
        Self {
            leaks: take_back(hv, pages),
            notes: Vec::new(),
        }
    }

    /// Whether everything was taken back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leaks.is_empty() && self.notes.is_empty()
    }

    /// Adds what another device left behind.
    pub fn append(&mut self, mut other: Self) {
        self.leaks.append(&mut other.leaks);
        self.notes.append(&mut other.notes);
    }

    /// Says in each note that it is of the device `name`.
    pub(crate) fn named(mut self, name: &str) -> Self {
        for note in &mut self.notes {
            *note = format!("{name}: {note}");
        }
        self
    }
}

/// Takes a shared device apart: the reverse of connecting, in the order that leaves it ready for another kernel.
pub(crate) fn part(
    hv: &dyn Hypervisor,
    device: &Device,
    port: Port,
    pages: Vec<Granted>,
) -> Leftovers {
    let mut notes = Vec::new();
    device.begin_close(&mut notes);
    if let Err(error) = device.forget_keys() {
        notes.push(error.to_string());
    }
    let leaks = take_back(hv, pages);
    if let Err(error) = hv.close(port) {
        notes.push(format!("event channel {}: {error}", port.0));
    }
    device.finish_close(&mut notes);
    Leftovers { leaks, notes }
}

/// Ends the grants of `pages` and frees them. Pages still mapped are tried again for [`UNMAP_PATIENCE`] and then
/// returned as leaks.
fn take_back(hv: &dyn Hypervisor, pages: Vec<Granted>) -> Vec<Leak> {
    let deadline = hv.now().after(UNMAP_PATIENCE);
    let mut mapped = pages;
    loop {
        let mut still = Vec::new();
        for granted in mapped {
            match hv.revoke(granted.grant) {
                Ok(()) => hv.free_page(granted.page),
                Err(_) => still.push(granted),
            }
        }
        mapped = still;
        let now = hv.now();
        if mapped.is_empty() || now >= deadline {
            break;
        }
        hv.poll(&[], now.after(RETRY).min(deadline));
    }
    mapped
        .iter()
        .map(|granted| Leak {
            mfn: granted.page.mfn(),
            grant: granted.grant,
        })
        .collect()
}
