//! A [`NetDevice`] as smoltcp wants one.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::device::NetDevice;
use crate::error::NetError;

/// Bytes of an Ethernet header, and of a VLAN tag that some bridges leave on.
const HEADER: usize = 14 + 4;

pub(crate) struct Adapter {
    device: Rc<dyn NetDevice>,
    mtu: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The first error, until somebody asks.
    error: Option<NetError>,
}

impl Adapter {
    pub(crate) fn new(device: Rc<dyn NetDevice>) -> Self {
        // At least what IPv4 demands of every link (RFC 791), at most what one page of a back end holds.
        let mtu = device.mtu().clamp(576, 4096 - HEADER);
        let frame = mtu.saturating_add(HEADER);
        Self {
            device,
            mtu,
            input: vec![0; frame],
            output: vec![0; frame],
            error: None,
        }
    }

    pub(crate) fn device(&self) -> &Rc<dyn NetDevice> {
        &self.device
    }

    pub(crate) fn mtu(&self) -> usize {
        self.mtu
    }

    pub(crate) fn take_error(&mut self) -> Option<NetError> {
        self.error.take()
    }
}

impl Device for Adapter {
    type RxToken<'a> = Incoming<'a>;
    type TxToken<'a> = Slot<'a>;

    fn receive(&mut self, _timestamp: Instant) -> Option<(Incoming<'_>, Slot<'_>)> {
        let len = match self.device.receive(&mut self.input) {
            Ok(Some(len)) => len,
            Ok(None) => return None,
            Err(error) => {
                self.error.get_or_insert(error);
                return None;
            }
        };
        let frame = self.input.get(..len)?;
        let slot = Slot {
            device: &*self.device,
            buffer: &mut self.output,
            error: &mut self.error,
        };
        Some((Incoming(frame), slot))
    }

    fn transmit(&mut self, _timestamp: Instant) -> Option<Slot<'_>> {
        Some(Slot {
            device: &*self.device,
            buffer: &mut self.output,
            error: &mut self.error,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu.saturating_add(14);
        capabilities
    }
}

pub(crate) struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(crate) struct Slot<'a> {
    device: &'a dyn NetDevice,
    buffer: &'a mut Vec<u8>,
    error: &'a mut Option<NetError>,
}

impl TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        if len > self.buffer.len() {
            self.buffer.resize(len, 0);
        }
        let (frame, _) = self.buffer.split_at_mut(len);
        frame.fill(0);
        let result = f(frame);
        if let Err(error) = self.device.send(frame) {
            self.error.get_or_insert(error);
        }
        result
    }
}
