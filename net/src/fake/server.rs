//! The server at the other end of the wire: smoltcp below, DHCP and TFTP above.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint, Ipv4Cidr};

use super::tftp::Sending;

/// How the DHCP server answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dhcp {
    /// The address it gives.
    pub address: Ipv4Addr,
    /// For how many seconds.
    pub seconds: u32,
    /// Options as they stand, beside type, server, mask and time.
    pub options: Vec<(u8, Vec<u8>)>,
    /// `siaddr`.
    pub next_server: Ipv4Addr,
    /// `file`: at most 128 bytes.
    pub file: Vec<u8>,
    /// Says that `file` holds options.
    pub overload: Option<u8>,
}

impl Default for Dhcp {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::new(10, 0, 0, 77),
            seconds: 3600,
            options: Vec::new(),
            next_server: Ipv4Addr::UNSPECIFIED,
            file: Vec::new(),
            overload: None,
        }
    }
}

/// How the TFTP server sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tftp {
    /// Largest block it agrees to; 0: it knows no options.
    pub block: u16,
    /// Largest window it agrees to; 0: it does not know that option.
    pub window: u16,
    /// What it says of the size, added to the truth; `None`: nothing.
    pub size: Option<i64>,
    /// The number after 65535.
    pub after_wrap: u16,
    /// Falls silent after so many bytes.
    pub dies_after: Option<u64>,
    /// Answers options with this error.
    pub refuses_options: Option<u16>,
    /// Sends without end.
    pub endless: bool,
}

impl Default for Tftp {
    fn default() -> Self {
        Self {
            block: 65464,
            window: 64,
            size: Some(0),
            after_wrap: 0,
            dies_after: None,
            refuses_options: None,
            endless: false,
        }
    }
}

/// A server's set-up.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// `None`: no DHCP server.
    pub dhcp: Option<Dhcp>,
    /// The TFTP server's ways.
    pub tftp: Tftp,
    /// The files, by path.
    pub files: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Frames in and out.
#[derive(Default)]
struct Port {
    input: VecDeque<Vec<u8>>,
    output: Vec<Vec<u8>>,
}

struct Rx(Vec<u8>);
struct Tx<'a>(&'a mut Vec<Vec<u8>>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Rx, Tx<'_>)> {
        let frame = self.input.pop_front()?;
        Some((Rx(frame), Tx(&mut self.output)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.output))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// DHCP and TFTP on one address, 10.0.0.1.
pub struct Server {
    settings: Settings,
    port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
    dhcp: SocketHandle,
    tftp: SocketHandle,
    sending: Vec<(SocketHandle, Sending)>,
    next_port: u16,
    /// Requests for files so far.
    pub requests: u32,
    /// DHCP messages so far.
    pub asked: u32,
}

/// The server's address.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn socket(packets: usize) -> udp::Socket<'static> {
    let buffer = || {
        udp::PacketBuffer::new(
            vec![udp::PacketMetadata::EMPTY; packets],
            vec![0; packets * 1500],
        )
    };
    udp::Socket::new(buffer(), buffer())
}

impl Server {
    /// A server.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let mut port = Port::default();
        let mac = EthernetAddress([2, 0, 0, 0, 0, 1]);
        let mut interface = Interface::new(
            Config::new(HardwareAddress::Ethernet(mac)),
            &mut port,
            Instant::ZERO,
        );
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(ADDRESS, 24)));
        });
        let mut sockets = SocketSet::new(Vec::new());
        let dhcp = sockets.add(socket(8));
        let tftp = sockets.add(socket(8));
        let _ = sockets.get_mut::<udp::Socket<'_>>(dhcp).bind(67);
        let _ = sockets.get_mut::<udp::Socket<'_>>(tftp).bind(69);
        Self {
            settings,
            port,
            interface,
            sockets,
            dhcp,
            tftp,
            sending: Vec::new(),
            next_port: 50000,
            requests: 0,
            asked: 0,
        }
    }

    /// The set-up, to change.
    pub fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    pub(super) fn take(&mut self, frame: Vec<u8>) {
        self.port.input.push_back(frame);
    }

    /// Does what is due and returns the frames it sends.
    pub(super) fn run(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let moment = Instant::from_micros(now.as_micros() as i64);
        for _ in 0..4 {
            self.interface
                .poll(moment, &mut self.port, &mut self.sockets);
            self.answer_dhcp();
            self.answer_requests(now);
            self.go_on(now);
        }
        self.interface
            .poll(moment, &mut self.port, &mut self.sockets);
        core::mem::take(&mut self.port.output)
    }

    pub(super) fn wake_at(&mut self, now: Duration) -> Option<Duration> {
        let moment = Instant::from_micros(now.as_micros() as i64);
        let own = self
            .interface
            .poll_delay(moment, &self.sockets)
            .map(|delay| now + Duration::from_micros(delay.total_micros()));
        let timers = self.sending.iter().map(|(_, sending)| sending.wake_at());
        own.into_iter().chain(timers).min()
    }

    fn answer_dhcp(&mut self) {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.dhcp);
        while let Ok((message, _)) = socket.recv() {
            self.asked += 1;
            let Some(dhcp) = &self.settings.dhcp else {
                continue;
            };
            let Some(reply) = reply(message, dhcp) else {
                continue;
            };
            let to = IpEndpoint::new(IpAddress::Ipv4(Ipv4Addr::BROADCAST), 68);
            let _ = socket.send_slice(&reply, to);
        }
    }

    fn answer_requests(&mut self, now: Duration) {
        let mut requests = Vec::new();
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.tftp);
        while let Ok((packet, from)) = socket.recv() {
            requests.push((packet.to_vec(), from.endpoint));
        }
        for (packet, from) in requests {
            self.requests += 1;
            let port = self.next_port;
            self.next_port += 1;
            let Some(sending) = Sending::begin(
                &packet,
                from,
                &self.settings.tftp,
                &self.settings.files,
                now,
            ) else {
                continue;
            };
            let mut own = socket_for_sending();
            let _ = own.bind(port);
            self.sending.push((self.sockets.add(own), sending));
        }
    }

    fn go_on(&mut self, now: Duration) {
        let mut over = Vec::new();
        for (index, (handle, sending)) in self.sending.iter_mut().enumerate() {
            let socket = self.sockets.get_mut::<udp::Socket<'_>>(*handle);
            while let Ok((packet, from)) = socket.recv() {
                if from.endpoint == sending.peer {
                    sending.hear(packet, now);
                }
            }
            sending.tick(now);
            for packet in sending.take_output() {
                let _ = socket.send_slice(&packet, sending.peer);
            }
            if sending.is_over() && socket.send_queue() == 0 {
                over.push(index);
            }
        }
        for index in over.into_iter().rev() {
            let (handle, _) = self.sending.remove(index);
            self.sockets.remove(handle);
        }
    }
}

fn socket_for_sending() -> udp::Socket<'static> {
    socket(160)
}

/// The answer to a DISCOVER or REQUEST.
fn reply(message: &[u8], dhcp: &Dhcp) -> Option<Vec<u8>> {
    let options = message.get(240..)?;
    let kind = options.windows(3).find(|w| w[0] == 53 && w[1] == 1)?[2];
    let answer = match kind {
        1 => 2,
        3 => 5,
        _ => return None,
    };
    let mut reply = message[..240].to_vec();
    reply[0] = 2;
    reply[16..20].copy_from_slice(&dhcp.address.octets());
    reply[20..24].copy_from_slice(&dhcp.next_server.octets());
    reply[108..108 + dhcp.file.len()].copy_from_slice(&dhcp.file);
    let mut put = |code: u8, value: &[u8]| {
        for part in value.chunks(255) {
            reply.extend_from_slice(&[code, part.len() as u8]);
            reply.extend_from_slice(part);
        }
    };
    put(53, &[answer]);
    put(54, &ADDRESS.octets());
    put(1, &[255, 255, 255, 0]);
    put(51, &dhcp.seconds.to_be_bytes());
    if let Some(overload) = dhcp.overload {
        put(52, &[overload]);
    }
    for (code, value) in &dhcp.options {
        put(*code, value);
    }
    reply.push(255);
    Some(reply)
}
