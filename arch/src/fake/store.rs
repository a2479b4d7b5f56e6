//! The fake xenstored: a tree, transactions, and ways to go wrong.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::HOME;
use super::world::{Tree, World, remove, set};
use crate::abi::xs_wire::{
    HEADER_BYTES, Header, Kind, PAYLOAD_MAX, REQ_CONS, REQ_PROD, REQ_RING, RING_BYTES, RSP_CONS,
    RSP_PROD, RSP_RING,
};
use crate::addr::Mfn;
use crate::hypervisor::Port;

/// A way in which xenstored misbehaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreFault {
    /// The next so many commits fail with EAGAIN.
    CommitAgain(u32),
    /// Every reply says that it is longer than the protocol allows.
    ReplyTooLong,
    /// Every reply is of another type than its request.
    WrongKind,
    /// Nothing is answered.
    Silent,
    /// The next so many requests are not answered.
    Drops(u32),
    /// A watch event comes before each reply.
    EventsBetween,
    /// A reply to some other request comes before each reply.
    StaleReply,
    /// The producer index is further ahead than the ring is long.
    IndexTooFar,
    /// Each reply stops half way.
    HalfReply,
    /// Some bytes of replies are nonsense made from this number.
    Scribbles(u64),
    /// A long listing changes between its first so many parts.
    ListingChanges(u32),
}

pub(super) struct Xenstored {
    pub(super) mfn: Mfn,
    pub(super) port: Port,
    pub(super) rung: bool,
    faults: Vec<StoreFault>,
    received: Vec<u8>,
    replies: Vec<u8>,
    transactions: BTreeMap<u32, Snapshot>,
    next_transaction: u32,
    watches: Vec<String>,
}

struct Snapshot {
    tree: Tree,
    generation: u64,
    written: Vec<String>,
}

/// An error's name as it goes on the wire.
type Refused = &'static str;

impl Xenstored {
    pub(super) fn new(mfn: Mfn, port: Port) -> Self {
        Self {
            mfn,
            port,
            rung: false,
            faults: Vec::new(),
            received: Vec::new(),
            replies: Vec::new(),
            transactions: BTreeMap::new(),
            next_transaction: 1,
            watches: Vec::new(),
        }
    }

    pub(super) fn add_fault(&mut self, fault: StoreFault) {
        self.faults.push(fault);
    }

    fn has(&self, fault: StoreFault) -> bool {
        self.faults.contains(&fault)
    }

    /// Counts a fault of limited number down; whether it strikes.
    fn strikes(&mut self, kind: fn(u32) -> StoreFault) -> bool {
        for fault in &mut self.faults {
            let left = match *fault {
                StoreFault::CommitAgain(left)
                | StoreFault::Drops(left)
                | StoreFault::ListingChanges(left) => left,
                _ => continue,
            };
            if left > 0 && kind(left) == *fault {
                *fault = kind(left - 1);
                return true;
            }
        }
        false
    }

    pub(super) fn run(&mut self, world: &mut World) {
        if !core::mem::take(&mut self.rung) {
            return;
        }
        loop {
            let moved = self.receive(world) | self.send(world);
            if !moved {
                return;
            }
            world.notify_guest(self.port.0);
        }
    }

    /// Takes what is in the request ring and answers complete requests.
    fn receive(&mut self, world: &mut World) -> bool {
        let page = world.memory.view(self.mfn);
        let mut consumed = page.load(REQ_CONS);
        let available = page.load(REQ_PROD).wrapping_sub(consumed);
        for _ in 0..available.min(RING_BYTES) {
            let at = (consumed & (RING_BYTES - 1)) as usize;
            self.received.push(page.load_byte(REQ_RING + at));
            consumed = consumed.wrapping_add(1);
        }
        page.store(REQ_CONS, consumed);
        while let Some((bytes, rest)) = self.received.split_first_chunk::<HEADER_BYTES>() {
            let header = Header::decode(bytes);
            let len = header.len as usize;
            assert!(len <= PAYLOAD_MAX, "a request of {len} bytes");
            if rest.len() < len {
                break;
            }
            let payload = rest[..len].to_vec();
            self.received.drain(..HEADER_BYTES + len);
            self.answer(world, &header, &payload);
        }
        available > 0
    }

    /// Puts what fits of the replies into the ring.
    fn send(&mut self, world: &mut World) -> bool {
        let page = world.memory.view(self.mfn);
        if self.has(StoreFault::IndexTooFar) && !self.replies.is_empty() {
            page.store(RSP_PROD, page.load(RSP_CONS).wrapping_add(RING_BYTES + 1));
            self.replies.clear();
            return true;
        }
        let mut produced = page.load(RSP_PROD);
        let room = RING_BYTES - produced.wrapping_sub(page.load(RSP_CONS)).min(RING_BYTES);
        let count = self.replies.len().min(room as usize);
        for byte in self.replies.drain(..count) {
            let at = (produced & (RING_BYTES - 1)) as usize;
            page.write(RSP_RING + at, &[byte]);
            produced = produced.wrapping_add(1);
        }
        page.store(RSP_PROD, produced);
        count > 0
    }

    fn reply(&mut self, header: Header, payload: &[u8]) {
        self.replies.extend(header.encode());
        self.replies.extend(payload);
    }

    fn answer(&mut self, world: &mut World, asked: &Header, payload: &[u8]) {
        let answer = self.execute(world, asked, payload);
        if self.has(StoreFault::Silent) || self.strikes(StoreFault::Drops) {
            return;
        }
        if self.has(StoreFault::EventsBetween) {
            let event = b"device/vbd\0token\0";
            let header = Header {
                kind: Kind::WATCH_EVENT,
                request: 0,
                transaction: 0,
                len: event.len() as u32,
            };
            self.reply(header, event);
        }
        if self.has(StoreFault::StaleReply) {
            let header = Header {
                request: asked.request.wrapping_sub(1),
                len: 5,
                ..*asked
            };
            self.reply(header, b"stale");
        }
        let (kind, payload) = match answer {
            Ok(payload) if self.has(StoreFault::WrongKind) => (Kind(99), payload),
            Ok(payload) => (asked.kind, payload),
            Err(name) => (Kind::ERROR, format!("{name}\0").into_bytes()),
        };
        let len = if self.has(StoreFault::ReplyTooLong) {
            PAYLOAD_MAX + 1
        } else {
            payload.len()
        };
        let header = Header {
            kind,
            len: len as u32,
            ..*asked
        };
        self.reply(header, &payload);
        self.scribble();
        if self.has(StoreFault::HalfReply) {
            let half = self.replies.len() / 2;
            self.replies.truncate(half);
        }
    }

    /// Changes a byte of the replies now and then, by a generator that repeats.
    fn scribble(&mut self) {
        for fault in &mut self.faults {
            let StoreFault::Scribbles(state) = fault else {
                continue;
            };
            let mut next = || {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (*state >> 32) as usize
            };
            if next() % 3 == 0 {
                let at = next() % self.replies.len().max(1);
                if let Some(byte) = self.replies.get_mut(at) {
                    *byte = next() as u8;
                }
            }
        }
    }

    fn execute(
        &mut self,
        world: &mut World,
        asked: &Header,
        payload: &[u8],
    ) -> Result<Vec<u8>, Refused> {
        match asked.kind {
            Kind::TRANSACTION_START => {
                let id = self.next_transaction;
                self.next_transaction += 1;
                let snapshot = Snapshot {
                    tree: world.tree.clone(),
                    generation: world.generation,
                    written: Vec::new(),
                };
                self.transactions.insert(id, snapshot);
                return Ok(format!("{id}\0").into_bytes());
            }
            Kind::TRANSACTION_END => return self.end(world, asked.transaction, payload),
            Kind::RESET_WATCHES => {
                self.watches.clear();
                return Ok(b"OK\0".to_vec());
            }
            _ => {}
        }
        let (path, rest) = split(payload)?;
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{HOME}/{path}")
        };
        match asked.kind {
            Kind::WATCH => {
                self.watches.push(path);
                Ok(b"OK\0".to_vec())
            }
            Kind::UNWATCH => {
                self.watches.retain(|watched| *watched != path);
                Ok(b"OK\0".to_vec())
            }
            Kind::READ => self
                .tree(world, asked.transaction)?
                .get(&path)
                .cloned()
                .ok_or("ENOENT"),
            Kind::DIRECTORY => {
                let names = self.children(world, asked.transaction, &path)?;
                if names.len() > PAYLOAD_MAX {
                    return Err("E2BIG");
                }
                Ok(names)
            }
            Kind::DIRECTORY_PART => self.part(world, asked.transaction, &path, rest),
            Kind::WRITE | Kind::MKDIR | Kind::RM => {
                if !path.starts_with(&format!("{HOME}/")) {
                    return Err("EACCES");
                }
                self.change(world, asked, &path, rest)
            }
            _ => Err("ENOSYS"),
        }
    }

    fn tree<'a>(&'a self, world: &'a World, transaction: u32) -> Result<&'a Tree, Refused> {
        if transaction == 0 {
            return Ok(&world.tree);
        }
        self.transactions
            .get(&transaction)
            .map(|snapshot| &snapshot.tree)
            .ok_or("ENOENT")
    }

    fn change(
        &mut self,
        world: &mut World,
        asked: &Header,
        path: &str,
        value: &[u8],
    ) -> Result<Vec<u8>, Refused> {
        let tree = if asked.transaction == 0 {
            &mut world.tree
        } else {
            let snapshot = self
                .transactions
                .get_mut(&asked.transaction)
                .ok_or("ENOENT")?;
            snapshot.written.push(path.to_owned());
            &mut snapshot.tree
        };
        match asked.kind {
            Kind::RM if !remove(tree, path) => return Err("ENOENT"),
            Kind::RM => {}
            _ => set(tree, path, value),
        }
        if asked.transaction == 0 {
            world.touch(path);
        }
        Ok(b"OK\0".to_vec())
    }

    fn end(&mut self, world: &mut World, id: u32, how: &[u8]) -> Result<Vec<u8>, Refused> {
        let snapshot = self.transactions.remove(&id).ok_or("ENOENT")?;
        if how == b"T\0" {
            if self.strikes(StoreFault::CommitAgain) || snapshot.generation != world.generation {
                return Err("EAGAIN");
            }
            world.tree = snapshot.tree;
            for path in &snapshot.written {
                world.touch(path);
            }
        }
        Ok(b"OK\0".to_vec())
    }

    /// The names of a node's children, each with a NUL.
    fn children(&self, world: &World, transaction: u32, path: &str) -> Result<Vec<u8>, Refused> {
        let tree = self.tree(world, transaction)?;
        if !tree.contains_key(path) {
            return Err("ENOENT");
        }
        let below = format!("{path}/");
        let mut names = Vec::new();
        for name in tree.keys().filter_map(|name| name.strip_prefix(&below)) {
            if !name.contains('/') {
                names.extend(name.as_bytes());
                names.push(0);
            }
        }
        Ok(names)
    }

    fn part(
        &mut self,
        world: &mut World,
        transaction: u32,
        path: &str,
        rest: &[u8],
    ) -> Result<Vec<u8>, Refused> {
        let names = self.children(world, transaction, path)?;
        let (offset, _) = split(rest)?;
        let offset: usize = offset.parse().map_err(|_| "EINVAL")?;
        let mut answer = format!("{}\0", world.generation).into_bytes();
        let mut end = offset;
        // Whole names only, as many as fit with a NUL to end the list.
        while let Some(next) = names
            .get(end..)
            .and_then(|tail| tail.iter().position(|byte| *byte == 0))
        {
            if answer.len() + (end + next + 1 - offset) + 1 > PAYLOAD_MAX {
                break;
            }
            end += next + 1;
        }
        answer.extend(names.get(offset..end).unwrap_or_default());
        if end >= names.len() {
            answer.push(0);
        }
        if self.strikes(StoreFault::ListingChanges) {
            world.generation += 1;
        }
        Ok(answer)
    }

    pub(super) fn leftovers(&self, world: &World) -> Vec<String> {
        let mut all: Vec<String> = self
            .watches
            .iter()
            .map(|path| format!("a watch on {path}"))
            .collect();
        all.extend(
            self.transactions
                .keys()
                .map(|id| format!("transaction {id}")),
        );
        let page = world.memory.view(self.mfn);
        for (what, consumer, producer) in [
            ("requests", REQ_CONS, REQ_PROD),
            ("replies", RSP_CONS, RSP_PROD),
        ] {
            let waiting = page.load(producer).wrapping_sub(page.load(consumer));
            if waiting > 0 {
                all.push(format!("{waiting} bytes of xenstore {what}"));
            }
        }
        all
    }
}

/// The text up to a NUL, and what follows it.
fn split(payload: &[u8]) -> Result<(String, &[u8]), Refused> {
    let end = payload.iter().position(|byte| *byte == 0).ok_or("EINVAL")?;
    let text = core::str::from_utf8(&payload[..end]).map_err(|_| "EINVAL")?;
    Ok((text.to_string(), &payload[end + 1..]))
}
