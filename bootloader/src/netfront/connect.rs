//! The handshake of a network front end: from the toolstack's description to two rings that the back end serves.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use arch::{GrantRef, Port};

use super::ConnectFailure;
use super::queue::Queue;
use crate::frontend::{Leftovers, part};
use crate::xenbus::{Device, State, XenbusError};

/// A connected device.
pub(super) struct Link {
    pub(super) device: Device,
    pub(super) queue: Queue,
    pub(super) port: Port,
    pub(super) mac: [u8; 6],
    pub(super) mtu: usize,
}

/// Largest packet without scatter-gather, and the smallest that IPv4 allows for.
const MTU_MAX: u64 = 1500;
const MTU_MIN: u64 = 576;

fn plain(reason: String) -> ConnectFailure {
    ConnectFailure {
        reason,
        leftovers: Leftovers::default(),
    }
}

/// Brings `device` from the toolstack's description to state connected.
pub(super) fn connect(device: Device, patience: Duration) -> Result<Link, ConnectFailure> {
    let hv = device.store().hypervisor().clone();
    let said = |error: XenbusError| plain(error.to_string());
    device.recover().map_err(said)?;
    let mac = read_mac(&device).map_err(plain)?;
    let mtu = device.find_own("mtu").map_err(said)?;
    let mtu = mtu.and_then(|text| text.trim().parse().ok());
    let mtu = mtu.unwrap_or(MTU_MAX).clamp(MTU_MIN, MTU_MAX);
    device.wait_ready(patience).map_err(said)?;
    let mut queue =
        Queue::new(&*hv, device.backend_domain()).map_err(|(error, pages)| ConnectFailure {
            reason: format!("no memory for the rings: {error}"),
            leftovers: Leftovers::of_pages(&*hv, pages),
        })?;
    let port = match hv.open(device.backend_domain()) {
        Ok(port) => port,
        Err(error) => {
            return Err(ConnectFailure {
                reason: format!("no event channel: {error}"),
                leftovers: Leftovers::of_pages(&*hv, queue.into_pages()),
            });
        }
    };
    queue.offer_all();
    match introduce(&device, queue.grants(), port, patience) {
        Ok(()) => Ok(Link {
            device,
            queue,
            port,
            mac,
            // At most 1500.
            mtu: usize::try_from(mtu).unwrap_or(1500),
        }),
        Err(error) => Err(ConnectFailure {
            reason: error.to_string(),
            leftovers: part(&*hv, &device, port, queue.into_pages()),
        }),
    }
}

/// Tells the back end of rings and event channel, and waits until it is connected.
fn introduce(
    device: &Device,
    (tx, rx): (GrantRef, GrantRef),
    port: Port,
    patience: Duration,
) -> Result<(), XenbusError> {
    device.write_keys(&[
        ("tx-ring-ref", tx.0.to_string()),
        ("rx-ring-ref", rx.0.to_string()),
        ("event-channel", port.0.to_string()),
        ("request-rx-copy", "1".to_string()),
        ("feature-rx-notify", "1".to_string()),
        ("feature-sg", "0".to_string()),
        ("feature-gso-tcpv4", "0".to_string()),
        // Packets that never left the host may come with blank checksums: computing them is most of a packet's price.
        ("feature-no-csum-offload", "0".to_string()),
    ])?;
    device.set_state(State::CONNECTED)?;
    device.wait_connected(patience)
}

/// The interface's address, from the front end's directory or the back end's.
fn read_mac(device: &Device) -> Result<[u8; 6], String> {
    let own = device
        .find_own("mac")
        .map_err(|error: XenbusError| error.to_string())?;
    let text = match own {
        Some(text) => text,
        None => device
            .find_text("mac")
            .map_err(|error| error.to_string())?
            .unwrap_or_default(),
    };
    parse_mac(&text).ok_or_else(|| format!("\"{text}\" is no interface's address"))
}

/// Six pairs of hexadecimal digits with colons between; no group's address.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut fields = text.trim().split(':');
    for byte in &mut mac {
        let field = fields.next().filter(|field| field.len() == 2)?;
        // `from_str_radix` would take a sign.
        if !field.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(field, 16).ok()?;
    }
    (fields.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::parse_mac;

    #[test]
    fn addresses_are_checked() {
        let good = Some([0, 0x16, 0x3E, 0xA, 0xB, 0xC]);
        assert_eq!(parse_mac("00:16:3e:0a:0B:0c"), good);
        for bad in [
            "",
            "00:16:3e:0a:0b",
            "00:16:3e:0a:0b:0c:0d",
            "0:16:3e:0a:0b:0c",
            "+0:16:3e:0a:0b:0c",
            "ff:ff:ff:ff:ff:ff",
            "01:16:3e:0a:0b:0c",
            "00:00:00:00:00:00",
        ] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }
}
