//! What the stack needs of a network interface: [`NetDevice`].

use core::time::Duration;

use crate::error::NetError;

/// An Ethernet interface, its clock, and a way to sleep until something arrives. Object-safe; implementations use
/// interior mutability.
pub trait NetDevice {
    /// The interface's address; not a group address.
    fn mac(&self) -> [u8; 6];

    /// Largest IP packet in bytes, usually 1500.
    fn mtu(&self) -> usize;

    /// Sends one frame, without checksum of its own. A frame for which there is no room is lost, as on a wire.
    /// # Errors
    /// [`NetError::Device`] when the interface is of no more use.
    fn send(&self, frame: &[u8]) -> Result<(), NetError>;

    /// Copies the next frame into `frame` and returns its length. One that is longer than `frame` is lost.
    /// # Errors
    /// [`NetError::Device`] when the interface is of no more use.
    fn receive(&self, frame: &mut [u8]) -> Result<Option<usize>, NetError>;

    /// Time since some fixed moment.
    fn now(&self) -> Duration;

    /// Sleeps until `frames` frames may have arrived or `until` has come; may wake early, and may not sleep for long
    /// while some but not all are there.
    fn wait(&self, frames: u16, until: Duration);
}

/// Clears the checksum of the UDP datagram in `frame`, which means "none" (RFC 768): for frames that never left the
/// host and whose sender left the sum to hardware. Other frames, fragments among them, are not touched.
pub fn forget_udp_checksum(frame: &mut [u8]) {
    const ETHERNET: usize = 14;
    const UDP: u8 = 17;
    let Some(packet) = frame.get_mut(ETHERNET..) else {
        return;
    };
    let (Some(&first), Some(&protocol)) = (packet.first(), packet.get(9)) else {
        return;
    };
    let fragment = packet.get(6..8).is_none_or(|field| {
        field
            .iter()
            .zip([0x3F, 0xFF])
            .any(|(byte, mask)| byte & mask != 0)
    });
    if first >> 4 != 4 || protocol != UDP || fragment {
        return;
    }
    // At most 60: the header's length in words of 4 bytes.
    let header = usize::from(first & 0xF).saturating_mul(4);
    if let Some(sum) = packet.get_mut(header.saturating_add(6)..header.saturating_add(8)) {
        sum.fill(0);
    }
}
