//! Network requests and responses (`io/netif.h`), encoded and decoded as data. Alike in both widths of guest.
//!
//! Two rings: on one the front end sends packets, on the other it gives the back end pages to put packets into. A
//! packet here lies in one page: the front end does not offer `feature-sg`.

/// Bytes of an entry of the ring for sending.
pub const TX_ENTRY_BYTES: usize = 12;
/// Bytes of an entry of the ring for receiving.
pub const RX_ENTRY_BYTES: usize = 8;

/// Flag of a received packet: its checksum is not filled in, for it never left the host (`NETRXF_csum_blank`).
pub const RX_CSUM_BLANK: u16 = 2;
/// Flag of a received packet: it goes on in the next response (`NETRXF_more_data`).
pub const RX_MORE_DATA: u16 = 4;
/// Flag of a received packet: the next response is something else (`NETRXF_extra_info`).
pub const RX_EXTRA_INFO: u16 = 8;

/// Status of a packet that was sent (`NETIF_RSP_OKAY`).
pub const STATUS_OKAY: i16 = 0;
/// Status of a packet that was refused (`NETIF_RSP_ERROR`).
pub const STATUS_ERROR: i16 = -1;

/// A packet to send: `netif_tx_request`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxRequest {
    /// The page's grant reference.
    pub grant: u32,
    /// First byte in the page.
    pub offset: u16,
    /// `NETTXF_*`.
    pub flags: u16,
    /// The asker's number, repeated in the response.
    pub id: u16,
    /// Bytes of the packet.
    pub size: u16,
}

impl TxRequest {
    /// The request as it stands in the ring.
    #[must_use]
    pub fn encode(&self) -> [u8; TX_ENTRY_BYTES] {
        let [g0, g1, g2, g3] = self.grant.to_le_bytes();
        let [o0, o1] = self.offset.to_le_bytes();
        let [f0, f1] = self.flags.to_le_bytes();
        let [i0, i1] = self.id.to_le_bytes();
        let [s0, s1] = self.size.to_le_bytes();
        [g0, g1, g2, g3, o0, o1, f0, f1, i0, i1, s0, s1]
    }

    /// Reads a request: the back end's half. Nothing is checked.
    #[must_use]
    pub fn decode(bytes: [u8; TX_ENTRY_BYTES]) -> Self {
        let [g0, g1, g2, g3, o0, o1, f0, f1, i0, i1, s0, s1] = bytes;
        Self {
            grant: u32::from_le_bytes([g0, g1, g2, g3]),
            offset: u16::from_le_bytes([o0, o1]),
            flags: u16::from_le_bytes([f0, f1]),
            id: u16::from_le_bytes([i0, i1]),
            size: u16::from_le_bytes([s0, s1]),
        }
    }
}

/// What became of a packet: `netif_tx_response`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxResponse {
    /// The request's number.
    pub id: u16,
    /// How it ended.
    pub status: i16,
}

impl TxResponse {
    /// The response as it stands in the ring.
    #[must_use]
    pub fn encode(&self) -> [u8; TX_ENTRY_BYTES] {
        let mut bytes = [0; TX_ENTRY_BYTES];
        let ([i0, i1], [s0, s1]) = (self.id.to_le_bytes(), self.status.to_le_bytes());
        bytes[..4].copy_from_slice(&[i0, i1, s0, s1]);
        bytes
    }

    /// Reads a response. Nothing is checked.
    #[must_use]
    pub fn decode(bytes: [u8; TX_ENTRY_BYTES]) -> Self {
        let [i0, i1, s0, s1, ..] = bytes;
        Self {
            id: u16::from_le_bytes([i0, i1]),
            status: i16::from_le_bytes([s0, s1]),
        }
    }
}

/// A page to receive into: `netif_rx_request`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RxRequest {
    /// The asker's number, repeated in the response.
    pub id: u16,
    /// The page's grant reference.
    pub grant: u32,
}

impl RxRequest {
    /// The request as it stands in the ring.
    #[must_use]
    pub fn encode(&self) -> [u8; RX_ENTRY_BYTES] {
        let [i0, i1] = self.id.to_le_bytes();
        let [g0, g1, g2, g3] = self.grant.to_le_bytes();
        [i0, i1, 0, 0, g0, g1, g2, g3]
    }

    /// Reads a request: the back end's half. Nothing is checked.
    #[must_use]
    pub fn decode(bytes: [u8; RX_ENTRY_BYTES]) -> Self {
        let [i0, i1, _, _, g0, g1, g2, g3] = bytes;
        Self {
            id: u16::from_le_bytes([i0, i1]),
            grant: u32::from_le_bytes([g0, g1, g2, g3]),
        }
    }
}

/// A packet that has come: `netif_rx_response`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RxResponse {
    /// The request's number.
    pub id: u16,
    /// First byte in the page.
    pub offset: u16,
    /// [`RX_CSUM_BLANK`] and others.
    pub flags: u16,
    /// Bytes of the packet, or a negative status.
    pub status: i16,
}

impl RxResponse {
    /// The response as it stands in the ring.
    #[must_use]
    pub fn encode(&self) -> [u8; RX_ENTRY_BYTES] {
        let ([i0, i1], [o0, o1]) = (self.id.to_le_bytes(), self.offset.to_le_bytes());
        let ([f0, f1], [s0, s1]) = (self.flags.to_le_bytes(), self.status.to_le_bytes());
        [i0, i1, o0, o1, f0, f1, s0, s1]
    }

    /// Reads a response. Nothing is checked.
    #[must_use]
    pub fn decode(bytes: [u8; RX_ENTRY_BYTES]) -> Self {
        let [i0, i1, o0, o1, f0, f1, s0, s1] = bytes;
        Self {
            id: u16::from_le_bytes([i0, i1]),
            offset: u16::from_le_bytes([o0, o1]),
            flags: u16::from_le_bytes([f0, f1]),
            status: i16::from_le_bytes([s0, s1]),
        }
    }
}

const _: () = assert!(super::ring::entry_count(TX_ENTRY_BYTES) == 256);
const _: () = assert!(super::ring::entry_count(RX_ENTRY_BYTES) == 256);

#[cfg(test)]
mod tests {
    use super::{RxRequest, RxResponse, TxRequest, TxResponse};

    #[test]
    fn entries_are_laid_out_as_in_netif_h() {
        let tx = TxRequest {
            grant: 0x0403_0201,
            offset: 0x0605,
            flags: 0x0807,
            id: 0x0A09,
            size: 0x0C0B,
        };
        assert_eq!(tx.encode(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(TxRequest::decode(tx.encode()), tx);
        let sent = TxResponse {
            id: 0x0201,
            status: -2,
        };
        assert_eq!(sent.encode()[..4], [1, 2, 0xFE, 0xFF]);
        assert_eq!(TxResponse::decode(sent.encode()), sent);
        let rx = RxRequest {
            id: 0x0201,
            grant: 0x0807_0605,
        };
        assert_eq!(rx.encode(), [1, 2, 0, 0, 5, 6, 7, 8]);
        assert_eq!(RxRequest::decode(rx.encode()), rx);
        let came = RxResponse {
            id: 0x0201,
            offset: 0x0403,
            flags: 0x0605,
            status: 0x0807,
        };
        assert_eq!(came.encode(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(RxResponse::decode(came.encode()), came);
    }
}
