//! The xenstore wire protocol (`io/xs_wire.h`): the ring page and message headers. Alike in both widths.

/// Offset of the request ring.
pub const REQ_RING: usize = 0;
/// Offset of the reply ring.
pub const RSP_RING: usize = 1024;
/// Size of either ring in bytes.
pub const RING_BYTES: u32 = 1024;
/// Offset of the request consumer index, written by the daemon.
pub const REQ_CONS: usize = 2048;
/// Offset of the request producer index, written by the guest.
pub const REQ_PROD: usize = 2052;
/// Offset of the reply consumer index, written by the guest.
pub const RSP_CONS: usize = 2056;
/// Offset of the reply producer index, written by the daemon.
pub const RSP_PROD: usize = 2060;
/// Offset of the bitmap of what the daemon can do.
pub const SERVER_FEATURES: usize = 2064;
/// Offset of the connection's state: [`CONNECTED`] or [`RECONNECT`].
pub const CONNECTION: usize = 2068;
/// Offset of the daemon's word on why it gave up on the ring.
pub const ERROR: usize = 2072;

/// Value at [`CONNECTION`]: the steady state.
pub const CONNECTED: u32 = 0;
/// Value at [`CONNECTION`]: the daemon is about to reconnect.
pub const RECONNECT: u32 = 1;

/// Most bytes after a header; a longer message ends the connection.
pub const PAYLOAD_MAX: usize = 4096;
/// Most bytes of a path that begins with `/`.
pub const ABS_PATH_MAX: usize = 3072;
/// Most bytes of any other path; it is relative to the domain's home.
pub const REL_PATH_MAX: usize = 2048;

/// What a message is (`enum xsd_sockmsg_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind(pub u32);

impl Kind {
    /// Lists the children of a node.
    pub const DIRECTORY: Self = Self(1);
    /// Reads a value.
    pub const READ: Self = Self(2);
    /// Asks to be told of changes.
    pub const WATCH: Self = Self(4);
    /// Ends a watch.
    pub const UNWATCH: Self = Self(5);
    /// Begins a transaction.
    pub const TRANSACTION_START: Self = Self(6);
    /// Ends a transaction.
    pub const TRANSACTION_END: Self = Self(7);
    /// Writes a value, making nodes as needed.
    pub const WRITE: Self = Self(11);
    /// Makes a node.
    pub const MKDIR: Self = Self(12);
    /// Removes a node and what is below it.
    pub const RM: Self = Self(13);
    /// From the daemon: something watched has changed.
    pub const WATCH_EVENT: Self = Self(15);
    /// From the daemon: the request failed; the payload is an error's name.
    pub const ERROR: Self = Self(16);
    /// Ends every watch of the domain.
    pub const RESET_WATCHES: Self = Self(21);
    /// Lists the children of a node from an offset on.
    pub const DIRECTORY_PART: Self = Self(22);
}

/// Bytes of a message's header.
pub const HEADER_BYTES: usize = 16;

/// The header of a message (`struct xsd_sockmsg`): four little-endian words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What is asked or answered.
    pub kind: Kind,
    /// The asker's number, repeated in the answer.
    pub request: u32,
    /// The transaction, or 0.
    pub transaction: u32,
    /// Bytes that follow.
    pub len: u32,
}

impl Header {
    /// The header as it goes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let words = [self.kind.0, self.request, self.transaction, self.len];
        for (slot, word) in bytes.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads a header off the wire. Nothing is checked.
    #[must_use]
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
        Self {
            kind: Kind(u32::from_le_bytes([a, b, c, d])),
            request: u32::from_le_bytes([e, f, g, h]),
            transaction: u32::from_le_bytes([i, j, k, l]),
            len: u32::from_le_bytes([m, n, o, p]),
        }
    }
}

/// The names of errors that the daemon sends.
pub const ERROR_NAMES: [&str; 16] = [
    "EINVAL",
    "EACCES",
    "EEXIST",
    "EISDIR",
    "ENOENT",
    "ENOMEM",
    "ENOSPC",
    "EIO",
    "ENOTEMPTY",
    "ENOSYS",
    "EROFS",
    "EBUSY",
    "EAGAIN",
    "EISCONN",
    "E2BIG",
    "EPERM",
];

const _: () = assert!(RSP_RING == REQ_RING + RING_BYTES as usize);
const _: () = assert!(REQ_CONS == RSP_RING + RING_BYTES as usize);

#[cfg(test)]
mod tests {
    use super::{Header, Kind};

    #[test]
    fn header_survives_the_wire() {
        let header = Header {
            kind: Kind::READ,
            request: 0x0102_0304,
            transaction: 7,
            len: 4096,
        };
        let bytes = header.encode();
        assert_eq!(bytes[0..8], [2, 0, 0, 0, 4, 3, 2, 1]);
        assert_eq!(Header::decode(&bytes), header);
    }
}
