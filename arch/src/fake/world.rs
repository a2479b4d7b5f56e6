//! What the daemons share: clock, memory, event channels, and the tree of xenstore.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::HOME;
use super::memory::Memory;
use crate::addr::Mfn;
use crate::hypervisor::{DomId, Errno, Instant, Port};
use crate::shared::SharedPage;

/// Who is behind an event channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    /// Open, and not bound yet.
    Nobody,
    Store,
    Console,
    /// A block back end, by its place.
    Disk(usize),
    /// A network back end, by its place.
    Net(usize),
}

struct Channel {
    remote: DomId,
    peer: Peer,
    pending: bool,
}

pub(super) type Tree = BTreeMap<String, Vec<u8>>;

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) memory: Memory,
    channels: BTreeMap<u32, Channel>,
    pub(super) tree: Tree,
    /// The tree as the guest found it, with later changes by others.
    baseline: Tree,
    /// Counts changes of the tree.
    pub(super) generation: u64,
    /// Paths written since the back ends last looked.
    touched: BTreeSet<String>,
}

/// Sets a node and makes those above it.
pub(super) fn set(tree: &mut Tree, path: &str, value: &[u8]) {
    for (at, _) in path.match_indices('/').skip(1) {
        tree.entry(path[..at].to_owned()).or_default();
    }
    tree.insert(path.to_owned(), value.to_vec());
}

/// Removes a node and everything below; whether it was there.
pub(super) fn remove(tree: &mut Tree, path: &str) -> bool {
    let below = format!("{path}/");
    let found = tree.remove(path).is_some();
    tree.retain(|name, _| !name.starts_with(&below));
    found
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            // Not 0: the hypervisor has been up for a while.
            now: Instant(1_000_000_000),
            memory: Memory::new(),
            channels: BTreeMap::new(),
            tree: Tree::new(),
            baseline: Tree::new(),
            generation: 1,
            touched: BTreeSet::new(),
        }
    }

    /// A page and a port that the guest has from the start.
    pub(super) fn make_ring(&mut self, peer: Peer) -> (Mfn, Port) {
        let mfn = self.memory.make_ring();
        let port = self.add_channel(DomId(0), peer);
        (mfn, port)
    }

    fn add_channel(&mut self, remote: DomId, peer: Peer) -> Port {
        let free = (1..).find(|number| !self.channels.contains_key(number));
        let number = free.expect("a free port");
        self.channels.insert(
            number,
            Channel {
                remote,
                peer,
                pending: false,
            },
        );
        Port(number)
    }

    pub(super) fn open(&mut self, remote: DomId) -> Result<Port, Errno> {
        if self.channels.len() >= 1023 {
            return Err(Errno::NOSPC);
        }
        Ok(self.add_channel(remote, Peer::Nobody))
    }

    pub(super) fn close(&mut self, port: Port) -> Result<(), Errno> {
        match self.channels.get(&port.0).map(|channel| channel.peer) {
            None => Err(Errno::INVAL),
            Some(Peer::Store | Peer::Console) => {
                self.memory
                    .misuse
                    .push(format!("port {} was closed, not ours to close", port.0));
                Err(Errno::INVAL)
            }
            Some(_) => {
                self.channels.remove(&port.0);
                Ok(())
            }
        }
    }

    /// Binds a back end of `domain` to a port that the guest opened.
    pub(super) fn bind(&mut self, port: u32, domain: DomId, peer: Peer) -> bool {
        match self.channels.get_mut(&port) {
            Some(channel) if channel.remote == domain && channel.peer == Peer::Nobody => {
                channel.peer = peer;
                // A bound port starts with an event, as in Xen.
                channel.pending = true;
                true
            }
            _ => {
                self.memory
                    .misuse
                    .push(format!("port {port} cannot be bound by {domain:?}"));
                false
            }
        }
    }

    /// The back end lets go of a port.
    pub(super) fn unbind(&mut self, port: u32) {
        if let Some(channel) = self.channels.get_mut(&port) {
            channel.peer = Peer::Nobody;
        }
    }

    pub(super) fn peer(&self, port: Port) -> Result<Peer, Errno> {
        self.channels
            .get(&port.0)
            .map(|channel| channel.peer)
            .ok_or(Errno::INVAL)
    }

    pub(super) fn notify_guest(&mut self, port: u32) {
        if let Some(channel) = self.channels.get_mut(&port) {
            channel.pending = true;
        }
    }

    pub(super) fn take_pending(&mut self, port: Port) -> bool {
        self.channels
            .get_mut(&port.0)
            .is_some_and(|channel| core::mem::take(&mut channel.pending))
    }

    pub(super) fn any_pending(&self, ports: &[Port]) -> bool {
        ports
            .iter()
            .filter_map(|port| self.channels.get(&port.0))
            .any(|channel| channel.pending)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the caller gives its page up"
    )]
    pub(super) fn free(&mut self, page: SharedPage) {
        self.memory.free(page.mfn());
    }

    /// A value as text.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let value = self.tree.get(path)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// A value as a number.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// A write by somebody other than the guest.
    pub(super) fn host_write(&mut self, path: &str, value: &str) {
        set(&mut self.tree, path, value.as_bytes());
        set(&mut self.baseline, path, value.as_bytes());
        self.touch(path);
    }

    /// A removal by somebody other than the guest.
    pub(super) fn host_remove(&mut self, path: &str) {
        remove(&mut self.tree, path);
        remove(&mut self.baseline, path);
        self.touch(path);
    }

    pub(super) fn touch(&mut self, path: &str) {
        self.generation += 1;
        self.touched.insert(path.to_owned());
    }

    pub(super) fn take_touched(&mut self) -> BTreeSet<String> {
        core::mem::take(&mut self.touched)
    }

    pub(super) fn leftovers(&self) -> Vec<String> {
        let mut all = self.memory.leftovers();
        for (number, channel) in &self.channels {
            if matches!(channel.peer, Peer::Nobody | Peer::Disk(_) | Peer::Net(_)) {
                all.push(format!("port {number}"));
            } else if channel.pending {
                all.push(format!("an event pending on port {number}"));
            }
        }
        let home = format!("{HOME}/");
        for (path, value) in self.tree.iter().filter(|(path, _)| path.starts_with(&home)) {
            let now = String::from_utf8_lossy(value);
            match self.baseline.get(path) {
                None => all.push(format!("{path} = \"{now}\", not there before")),
                Some(before) if before != value => {
                    let before = String::from_utf8_lossy(before).to_string();
                    all.push(format!("{path} = \"{now}\", was \"{before}\""));
                }
                Some(_) => {}
            }
        }
        for path in self.baseline.keys() {
            if !self.tree.contains_key(path) {
                all.push(format!("{path} is gone"));
            }
        }
        all
    }
}
