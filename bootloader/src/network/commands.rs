//! The menu's network commands: `dhcp`, `bootp`, `ifconfig`, `tftpserver`, `rarp`.

use alloc::format;
use alloc::string::String;
use core::net::Ipv4Addr;

use fs::DeviceName;
use menu::{Code, Failure, Reply};
use net::Fixed;

use super::{CONNECT_PATIENCE, Network, failure};

fn bad(why: String) -> Failure {
    Failure::new(Code::BAD_ARGUMENT).because(why)
}

fn words(args: &[u8]) -> impl Iterator<Item = &[u8]> {
    args.split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
}

fn address(text: &[u8]) -> Result<Ipv4Addr, Failure> {
    let parsed = core::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| {
        bad(format!(
            "\"{}\" is not an address such as 10.0.0.1; there is no name service here",
            text.escape_ascii()
        ))
    })
}

/// Bits of a mask, which must be ones and then zeroes.
fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).unwrap_or(32))
}

fn mask_of(prefix: u8) -> Ipv4Addr {
    let zeroes = 32_u32.saturating_sub(u32::from(prefix));
    Ipv4Addr::from(u32::MAX.checked_shl(zeroes).unwrap_or(0))
}

/// The mask that an address had before there were masks.
fn class_of(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

impl Network {
    /// Does what the command `word` with `args` says. `--with-configfile` is left to the menu.
    ///
    /// # Errors
    /// 21 without an interface or a lease, 38 (bad argument) and others.
    pub fn command(&self, word: &[u8], args: &[u8]) -> Reply {
        match word {
            b"dhcp" | b"bootp" => self.dhcp(args),
            b"ifconfig" => self.ifconfig(args),
            b"tftpserver" => {
                let word = words(args).next().unwrap_or_default();
                self.server.set(Some(address(word)?));
                Ok(String::new())
            }
            _ => Err(Failure::new(Code::UNKNOWN_COMMAND).because(
                "no server speaks RARP any more; use `dhcp`, or `ifconfig` with an address",
            )),
        }
    }

    fn dhcp(&self, args: &[u8]) -> Reply {
        let mut which = None;
        for word in words(args) {
            match DeviceName::parse(word) {
                Ok(DeviceName::Net { interface }) => which = interface,
                _ if word == b"--with-configfile" => {}
                _ => return Err(bad(format!("dhcp: \"{}\"", word.escape_ascii()))),
            }
        }
        if which.is_none() {
            // Whoever answers first this time.
            self.chosen.set(None);
        }
        let place = self.lease(which, self.after(self.patience.get()))?;
        self.chosen.set(Some(place));
        Ok(self.shown(place))
    }

    fn ifconfig(&self, args: &[u8]) -> Reply {
        let (mut own, mut mask, mut gateway, mut server) = (None, None, None, None);
        let mut which = None;
        for word in words(args) {
            let split = word.iter().position(|byte| *byte == b'=');
            let (name, value) = match split.and_then(|at| word.split_at_checked(at)) {
                Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
                None => (word, &[][..]),
            };
            match name {
                b"--address" => own = Some(address(value)?),
                b"--mask" => mask = Some(address(value)?),
                b"--gateway" => gateway = Some(address(value)?),
                b"--server" => server = Some(address(value)?),
                _ => match DeviceName::parse(word) {
                    Ok(DeviceName::Net { interface }) => which = interface,
                    _ => return Err(bad(format!("ifconfig: \"{}\"", word.escape_ascii()))),
                },
            }
        }
        let place = self.place(which.unwrap_or(0))?;
        if server.is_some() {
            self.server.set(server);
        }
        let changed = own.is_some() || mask.is_some() || gateway.is_some();
        if changed {
            self.configure(place, own, mask, gateway)?;
            self.chosen.set(Some(place));
        }
        let place = match which {
            Some(_) => place,
            None => self.chosen.get().unwrap_or(place),
        };
        Ok(self.shown(place))
    }

    /// Sets what is given and keeps the rest.
    fn configure(
        &self,
        place: usize,
        own: Option<Ipv4Addr>,
        mask: Option<Ipv4Addr>,
        gateway: Option<Ipv4Addr>,
    ) -> Result<(), Failure> {
        let before = self.fixed_of(place);
        let own = own.or(before.map(|before| before.address));
        let own = own.ok_or_else(|| bad("ifconfig: --address=IP is missing".into()))?;
        let prefix = match mask {
            Some(mask) => prefix_of(mask).ok_or_else(|| bad(format!("{mask} is not a mask")))?,
            None => before
                .filter(|before| before.address == own)
                .map_or(class_of(own), |before| before.prefix),
        };
        let fixed = Fixed {
            address: own,
            prefix,
            gateway: gateway.or(before.and_then(|before| before.gateway)),
        };
        let slots = &mut *self.slots.borrow_mut();
        if let Some(slot) = slots.get_mut(place) {
            self.bring_up(place, slot, CONNECT_PATIENCE)?;
            if let Some(up) = &mut slot.up {
                up.stack.configure(fixed).map_err(|error| failure(&error))?;
                slot.fixed = Some(fixed);
            }
        }
        Ok(())
    }

    /// The settings in force, by hand or by lease.
    fn fixed_of(&self, place: usize) -> Option<Fixed> {
        let leased = self.lease_of(place).map(|lease| Fixed {
            address: lease.address,
            prefix: lease.prefix,
            gateway: lease.router,
        });
        let slots = self.slots.borrow();
        slots.get(place)?.fixed.or(leased)
    }

    /// What `dhcp` and `ifconfig` show, as the original did.
    fn shown(&self, place: usize) -> String {
        let Some(fixed) = self.fixed_of(place) else {
            return format!("nd{place} has no address");
        };
        let unset = Ipv4Addr::UNSPECIFIED;
        let server = self.server_for(place).unwrap_or(unset);
        let mut text = format!(
            "Address: {}\nNetmask: {}\nServer: {server}\nGateway: {}",
            fixed.address,
            mask_of(fixed.prefix),
            fixed.gateway.unwrap_or(unset)
        );
        if let Some(warning) = self.lease_of(place).and_then(|lease| lease.warning()) {
            text.push('\n');
            text.push_str(&warning);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{class_of, mask_of, prefix_of};
    use core::net::Ipv4Addr;

    #[test]
    fn masks_and_prefixes() {
        for (prefix, mask) in [(0, [0, 0, 0, 0]), (24, [255, 255, 255, 0]), (32, [255; 4])] {
            assert_eq!(mask_of(prefix).octets(), mask);
            assert_eq!(prefix_of(Ipv4Addr::from(mask)), Some(prefix));
        }
        assert_eq!(prefix_of(Ipv4Addr::new(255, 0, 255, 0)), None);
        assert_eq!(class_of(Ipv4Addr::new(192, 168, 0, 1)), 24);
        assert_eq!(class_of(Ipv4Addr::new(10, 0, 0, 1)), 8);
    }
}
