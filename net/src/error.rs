//! Why the network did not give what was asked: [`NetError`], with GRUB's number for it.

use alloc::string::String;
use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

/// Why a lease or a file could not be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NetError {
    /// The interface failed; the text says how.
    Device(String),
    /// No DHCP server gave a lease in time.
    NoLease {
        /// How long was waited.
        waited: Duration,
    },
    /// The interface has no address yet.
    NoAddress,
    /// Nothing says which server has the file.
    NoServer,
    /// The server did not answer the request for a file.
    NoAnswer {
        /// Who was asked.
        server: Ipv4Addr,
        /// How long was waited.
        waited: Duration,
    },
    /// The server stopped in the middle of a file.
    Stalled {
        /// Who stopped.
        server: Ipv4Addr,
        /// Bytes that had come.
        at: u64,
        /// How long was waited.
        waited: Duration,
    },
    /// The server sends, but at a rate that leads nowhere.
    Slow {
        /// Bytes that came.
        bytes: u64,
        /// In this time.
        during: Duration,
    },
    /// The server refused, in its own words (RFC 1350, error codes).
    Refused {
        /// TFTP's error code.
        code: u16,
        /// The server's text, printable.
        text: String,
    },
    /// The server broke the protocol; the text says how.
    Protocol(String),
    /// The file's size is not what the server announced.
    WrongSize {
        /// Bytes announced.
        announced: u64,
        /// Bytes that came, at least.
        got: u64,
    },
    /// The file's name does not fit a request.
    LongName {
        /// Its bytes.
        len: usize,
    },
    /// The range asked for leaves the file.
    BeyondEnd {
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        len: u64,
        /// Size of the file in bytes.
        size: u64,
    },
}

impl NetError {
    /// The number GRUB 0.97 gave to this error.
    #[must_use]
    pub const fn grub_error(&self) -> u8 {
        match self {
            // File not found, access violation.
            Self::Refused { code: 1 | 2, .. } => 15,
            Self::LongName { .. } => 1,
            Self::BeyondEnd { .. } => 24,
            Self::NoLease { .. } | Self::NoAddress | Self::NoServer => 21,
            _ => 25,
        }
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(text) | Self::Protocol(text) => f.write_str(text),
            Self::NoLease { waited } => {
                write!(f, "no DHCP server answered in {} s", waited.as_secs())
            }
            Self::NoAddress => f.write_str("the interface has no address; try `dhcp`"),
            Self::NoServer => f.write_str("no TFTP server is known; name one with `tftpserver`"),
            Self::NoAnswer { server, waited } => write!(
                f,
                "the TFTP server {server} did not answer in {} s",
                waited.as_secs()
            ),
            Self::Stalled { server, at, waited } => write!(
                f,
                "the TFTP server {server} sent nothing more for {} s after {at} bytes",
                waited.as_secs()
            ),
            Self::Slow { bytes, during } => write!(
                f,
                "the TFTP server sent {bytes} bytes in {} s, which leads nowhere",
                during.as_secs()
            ),
            Self::Refused { code, text } => {
                write!(f, "the TFTP server says: {text} (error {code})")
            }
            Self::WrongSize { announced, got } => write!(
                f,
                "the TFTP server announced {announced} bytes and sent {got}"
            ),
            Self::LongName { len } => write!(f, "a name of {len} bytes does not fit a request"),
            Self::BeyondEnd { offset, len, size } => {
                write!(f, "bytes {offset}+{len} are beyond the file's end ({size})")
            }
        }
    }
}

impl core::error::Error for NetError {}
