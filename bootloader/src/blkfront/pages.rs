//! Pages that a back end may map, from grant to revocation.

use alloc::vec::Vec;
use core::time::Duration;

use arch::{Access, DomId, Errno, GrantRef, Hypervisor, Mfn, SharedPage};

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

/// Ends the grants of `pages` and frees them. Pages still mapped are tried again for [`UNMAP_PATIENCE`] and then
/// returned as leaks.
pub(crate) fn take_back(hv: &dyn Hypervisor, pages: Vec<Granted>) -> Vec<Leak> {
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
