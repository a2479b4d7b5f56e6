//! An interface at work: smoltcp below, a lease, and one file at a time.
//!
//! [`Stack::poll`] takes what has arrived and keeps the lease alive; [`Stack::open`] and [`Stack::read`] wait on the
//! device, each with a limit. Opening a file ends the transfer of the one before it, which is asked for again if it is
//! read once more.

mod files;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::iface::{Config, Interface, PollIngressSingleResult, SocketHandle, SocketSet};
use smoltcp::socket::{dhcpv4, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{DhcpOption, EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

use crate::adapter::Adapter;
use crate::device::NetDevice;
use crate::dhcp::{self, Lease};
use crate::error::NetError;
use files::Active;

/// Datagrams that wait for the client: it takes each as it comes, so these are few.
const WAITING: usize = 8;
/// Largest DHCP message that is kept; an Ethernet frame holds less.
const DHCP_MESSAGE: usize = 2048;
/// Bytes that are kept of what is passed over in a file, unless told otherwise.
const KEEP: u64 = 8 << 20;
/// Longest sleep: whoever waits looks at the clock at least so often.
const NAP: Duration = Duration::from_millis(500);
/// How long the fragments of a packet may be apart. They come in a row; one that is lost must not take the place of
/// others for longer than a transfer takes to ask again.
const FRAGMENTS: smoltcp::time::Duration = smoltcp::time::Duration::from_millis(100);
/// First local port of transfers; RFC 6335 leaves those from 49152 to whoever wants them.
const PORTS: u16 = 49152;
/// What this client calls itself (option 60), for servers that tell clients apart.
const VENDOR_CLASS: &[DhcpOption<'_>] = &[DhcpOption {
    kind: 60,
    data: b"pv-grub",
}];

/// Settings given by hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fixed {
    /// The guest's address.
    pub address: Ipv4Addr,
    /// Bits of the network's part of the address, at most 32.
    pub prefix: u8,
    /// The router to other networks.
    pub gateway: Option<Ipv4Addr>,
}

/// Hears how far a file is.
pub trait Watcher {
    /// Called now and then while `path` comes: `done` of `total` bytes, if the total is known.
    fn progress(&self, path: &[u8], done: u64, total: Option<u64>);
}

/// One interface with addresses and sockets.
pub struct Stack {
    adapter: Adapter,
    interface: Interface,
    sockets: SocketSet<'static>,
    udp: SocketHandle,
    dhcp: Option<SocketHandle>,
    dhcp_begun: Duration,
    lease: Option<Lease>,
    fixed: Option<Fixed>,
    active: Option<Active>,
    next_id: u64,
    next_port: u16,
    watcher: Option<Rc<dyn Watcher>>,
    /// Bytes of a file that may be kept because they were passed over.
    keep: u64,
}

impl Stack {
    /// A stack over `device`, without an address.
    ///
    /// # Errors
    /// [`NetError::Device`] when the interface has a group's address.
    pub fn new(device: Rc<dyn NetDevice>) -> Result<Self, NetError> {
        let mac = EthernetAddress(device.mac());
        if !mac.is_unicast() {
            return Err(NetError::Device(alloc::format!(
                "{mac} is not the address of an interface"
            )));
        }
        let now = device.now();
        let mut config = Config::new(HardwareAddress::Ethernet(mac));
        let [.., a, b, c, d] = mac.0;
        // Transaction numbers must differ from guest to guest and from boot to boot; they keep nothing secret.
        config.random_seed = u64::try_from(now.as_nanos())
            .unwrap_or_default()
            .rotate_left(32)
            ^ u64::from(u32::from_be_bytes([a, b, c, d]));
        let seed = config.random_seed;
        let mut adapter = Adapter::new(device);
        let mut interface = Interface::new(config, &mut adapter, moment(now));
        interface.set_reassembly_timeout(FRAGMENTS);
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || {
            udp::PacketBuffer::new(
                vec![udp::PacketMetadata::EMPTY; WAITING],
                vec![0; WAITING.saturating_mul(4096)],
            )
        };
        let udp = sockets.add(udp::Socket::new(buffer(), buffer()));
        let [low, high, ..] = seed.to_le_bytes();
        Ok(Self {
            adapter,
            interface,
            sockets,
            udp,
            dhcp: None,
            dhcp_begun: now,
            lease: None,
            fixed: None,
            active: None,
            next_id: 1,
            // Somewhere in the upper quarter.
            next_port: PORTS | (u16::from_le_bytes([low, high]) & 0x3FFF),
            watcher: None,
            keep: KEEP,
        })
    }

    /// Tells `watcher` of every file that takes more than a second.
    pub fn watch(&mut self, watcher: Rc<dyn Watcher>) {
        self.watcher = Some(watcher);
    }

    /// Keeps at most `bytes` of what is passed over when a file is read further on.
    pub fn keep_at_most(&mut self, bytes: u64) {
        self.keep = bytes;
    }

    /// The interface underneath.
    #[must_use]
    pub fn device(&self) -> &Rc<dyn NetDevice> {
        self.adapter.device()
    }

    /// The present lease.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// The settings given by hand.
    #[must_use]
    pub fn fixed(&self) -> Option<&Fixed> {
        self.fixed.as_ref()
    }

    /// Whether there is an address to send from.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.interface.ipv4_addr().is_some()
    }

    fn now(&self) -> Duration {
        self.adapter.device().now()
    }

    /// Begins to ask for a lease, anew if there was one. [`Stack::poll`] does the rest.
    pub fn start_dhcp(&mut self) {
        self.fixed = None;
        self.clear_address();
        self.dhcp_begun = self.now();
        match self.dhcp {
            Some(handle) => self.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).reset(),
            None => {
                let mut socket = dhcpv4::Socket::new();
                socket.set_outgoing_options(VENDOR_CLASS);
                socket.set_parameter_request_list(dhcp::WANTED);
                // Once for each interface: the socket wants a buffer that outlives it.
                socket
                    .set_receive_packet_buffer(Box::leak(vec![0; DHCP_MESSAGE].into_boxed_slice()));
                self.dhcp = Some(self.sockets.add(socket));
            }
        }
        self.pace_dhcp();
    }

    /// Uses settings given by hand instead of a lease.
    ///
    /// # Errors
    /// [`NetError::NoAddress`] for an address that no host can have.
    pub fn configure(&mut self, fixed: Fixed) -> Result<(), NetError> {
        if !dhcp::usable(&fixed.address) || fixed.prefix > 32 {
            return Err(NetError::NoAddress);
        }
        if let Some(handle) = self.dhcp.take() {
            self.sockets.remove(handle);
        }
        self.lease = None;
        self.set_address(fixed.address, fixed.prefix, fixed.gateway);
        self.fixed = Some(fixed);
        Ok(())
    }

    fn clear_address(&mut self) {
        self.active = None;
        self.lease = None;
        self.interface
            .update_ip_addrs(|addresses| addresses.clear());
        self.interface.routes_mut().remove_default_ipv4_route();
    }

    fn set_address(&mut self, address: Ipv4Addr, prefix: u8, router: Option<Ipv4Addr>) {
        let cidr = IpCidr::Ipv4(Ipv4Cidr::new(address, prefix.min(32)));
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // One place is free: the list was just emptied.
            let _ = addresses.push(cidr);
        });
        self.interface.routes_mut().remove_default_ipv4_route();
        if let Some(router) = router.filter(dhcp::usable) {
            // The same holds for routes.
            let _ = self.interface.routes_mut().add_default_ipv4_route(router);
        }
    }

    /// Asks more and more patiently: after 1.5, 2 and then every 4 seconds. Not after one: ISC's server looks for a
    /// second whether an address is in use before it offers it, and an offer to an earlier question is not heard.
    fn pace_dhcp(&mut self) {
        let Some(handle) = self.dhcp else {
            return;
        };
        let waited = self.now().saturating_sub(self.dhcp_begun);
        let milliseconds = match waited.as_secs() {
            0 => 1500,
            1 | 2 => 2000,
            _ => 4000,
        };
        let socket = self.sockets.get_mut::<dhcpv4::Socket<'_>>(handle);
        let mut retry = socket.get_retry_config();
        retry.discover_timeout = smoltcp::time::Duration::from_millis(milliseconds);
        retry.initial_request_timeout = smoltcp::time::Duration::from_secs(1);
        retry.request_retries = 4;
        socket.set_retry_config(retry);
    }

    /// Takes what has arrived, sends what is due, keeps the lease.
    ///
    /// # Errors
    /// [`NetError::Device`] when the interface is of no more use.
    pub fn poll(&mut self) -> Result<(), NetError> {
        let now = moment(self.now());
        self.pace_dhcp();
        // So many frames at most: a flood must not keep anybody here.
        for _ in 0..512 {
            if !self.take_one(now) {
                break;
            }
        }
        self.interface.poll_maintenance(now);
        self.interface
            .poll_egress(now, &mut self.adapter, &mut self.sockets);
        self.follow_lease();
        match self.adapter.take_error() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Takes one frame; whether there was one.
    fn take_one(&mut self, now: Instant) -> bool {
        self.interface
            .poll_ingress_single(now, &mut self.adapter, &mut self.sockets)
            != PollIngressSingleResult::None
    }

    fn follow_lease(&mut self) {
        let Some(handle) = self.dhcp else {
            return;
        };
        let socket = self.sockets.get_mut::<dhcpv4::Socket<'_>>(handle);
        match socket.poll() {
            None => {}
            Some(dhcpv4::Event::Deconfigured) if self.lease.is_some() => self.clear_address(),
            Some(dhcpv4::Event::Deconfigured) => {}
            Some(dhcpv4::Event::Configured(config)) => {
                let message: &[u8] = config.packet.map_or(&[], |packet| packet.into_inner());
                let parsed = Lease::parse(message).ok();
                let lease = Lease {
                    address: config.address.address(),
                    prefix: config.address.prefix_len(),
                    router: config.router,
                    dhcp_server: Some(config.server.address),
                    ..parsed.unwrap_or(Lease {
                        address: config.address.address(),
                        prefix: 32,
                        router: None,
                        dhcp_server: None,
                        next_server: None,
                        tftp_name: None,
                        boot_file: None,
                        option_150: None,
                        host_name: None,
                    })
                };
                let same = self
                    .lease
                    .as_ref()
                    .is_some_and(|old| old.address == lease.address && old.prefix == lease.prefix);
                if !same {
                    self.set_address(lease.address, lease.prefix, lease.router);
                }
                self.lease = Some(lease);
            }
        }
    }

    /// When [`Stack::poll`] has something to do by itself.
    pub fn wake_at(&mut self) -> Duration {
        let now = self.now();
        let delay = self.interface.poll_delay(moment(now), &self.sockets);
        let delay = delay.map_or(NAP, |delay| {
            Duration::from_micros(delay.total_micros()).min(NAP)
        });
        now.saturating_add(delay)
    }

    /// Asks for a lease and waits for it until `deadline`.
    ///
    /// # Errors
    /// [`NetError::NoLease`]; [`NetError::Device`].
    pub fn obtain_lease(&mut self, deadline: Duration) -> Result<&Lease, NetError> {
        let begun = self.now();
        self.start_dhcp();
        loop {
            self.poll()?;
            let now = self.now();
            if self.lease.is_some() || now >= deadline {
                break;
            }
            let wake = self.wake_at().min(deadline);
            self.device().wait(1, wake);
        }
        let waited = self.now().saturating_sub(begun);
        self.lease.as_ref().ok_or(NetError::NoLease { waited })
    }
}

/// A moment as smoltcp counts it.
fn moment(now: Duration) -> Instant {
    Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}
