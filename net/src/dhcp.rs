//! What a DHCP answer says: [`Lease`], read from the raw message.
//!
//! smoltcp keeps the lease alive; it does not read the options that a boot needs, nor options that overflow into the
//! fields `file` and `sname`. Sources: RFC 2131, 2132, 3396 (long options), 5859 (option 150 as addresses).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// The options that are asked for: mask, routers, name servers, host name, broadcast address, time servers, vendor's
/// own, TFTP server, boot file, and the menu's path.
pub const WANTED: &[u8] = &[1, 3, 6, 12, 28, 42, 43, 54, 66, 67, 150];

/// Offsets in a message (RFC 2131, figure 1).
const YOUR_ADDRESS: usize = 16;
const NEXT_SERVER: usize = 20;
const SERVER_NAME: core::ops::Range<usize> = 44..108;
const BOOT_FILE: core::ops::Range<usize> = 108..236;
const OPTIONS: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// Where the DHCP server says that the menu is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MenuPlace {
    /// The path as it was given: `/boot/menu.lst`, `(hd0,0)/boot/menu.lst`.
    pub path: Vec<u8>,
    /// Which option said so, for messages.
    pub from: &'static str,
}

/// What a DHCP server gave this guest, as far as a boot cares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The guest's address.
    pub address: Ipv4Addr,
    /// Bits of the network's part of the address.
    pub prefix: u8,
    /// The router to other networks.
    pub router: Option<Ipv4Addr>,
    /// The server that gave the lease.
    pub dhcp_server: Option<Ipv4Addr>,
    /// `siaddr`, or `next-server`: where boot files are.
    pub next_server: Option<Ipv4Addr>,
    /// Option 66 as text.
    pub tftp_name: Option<Vec<u8>>,
    /// Option 67, or the field `file`.
    pub boot_file: Option<Vec<u8>>,
    /// Option 150, raw.
    pub option_150: Option<Vec<u8>>,
    /// Option 12.
    pub host_name: Option<Vec<u8>>,
}

/// All that stands in a message's options, repeated ones joined (RFC 3396).
struct Options<'a> {
    parts: Vec<(u8, &'a [u8])>,
}

impl<'a> Options<'a> {
    /// Reads one area of options. What is cut off is left out.
    fn scan(&mut self, area: &'a [u8]) {
        let mut rest = area;
        loop {
            match rest {
                [0, tail @ ..] => rest = tail,
                [255, ..] | [] | [_] => return,
                [code, len, tail @ ..] => {
                    let Some((value, tail)) = tail.split_at_checked(usize::from(*len)) else {
                        return;
                    };
                    self.parts.push((*code, value));
                    rest = tail;
                }
            }
        }
    }

    fn get(&self, code: u8) -> Option<Vec<u8>> {
        let mut found: Option<Vec<u8>> = None;
        for (_, value) in self.parts.iter().filter(|(own, _)| *own == code) {
            found.get_or_insert_default().extend_from_slice(value);
        }
        found
    }

    fn address(&self, code: u8) -> Option<Ipv4Addr> {
        address(&self.get(code)?, 0)
    }

    fn text(&self, code: u8) -> Option<Vec<u8>> {
        text(&self.get(code)?)
    }
}

/// The address at `at`, if it is one that a host can have.
fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    let octets: [u8; 4] = field.try_into().ok()?;
    Some(Ipv4Addr::from(octets)).filter(usable)
}

/// Whether a host can have this address.
#[must_use]
pub fn usable(address: &Ipv4Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
}

/// Text up to the first NUL, if there is any.
fn text(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    (!text.is_empty()).then(|| text.to_vec())
}

impl Lease {
    /// Reads the message of a DHCP server (its UDP payload).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(message: &[u8]) -> Result<Self, &'static str> {
        let area = message.get(OPTIONS..).ok_or("a short DHCP message")?;
        if message.get(236..OPTIONS) != Some(&MAGIC[..]) {
            return Err("a BOOTP message without options");
        }
        let mut options = Options { parts: Vec::new() };
        options.scan(area);
        let file = message.get(BOOT_FILE).unwrap_or_default();
        let name = message.get(SERVER_NAME).unwrap_or_default();
        // Only the first area may say that the others hold options too.
        let overload = options.get(52).and_then(|value| value.first().copied());
        let file_is_options = matches!(overload, Some(1 | 3));
        if file_is_options {
            options.scan(file);
        }
        if matches!(overload, Some(2 | 3)) {
            options.scan(name);
        }
        let mask = options
            .get(1)
            .and_then(|mask| <[u8; 4]>::try_from(mask).ok());
        let bits = mask.map_or(0, |mask| u32::from_be_bytes(mask).leading_ones());
        Ok(Self {
            address: address(message, YOUR_ADDRESS).ok_or("a DHCP message without an address")?,
            prefix: u8::try_from(bits).unwrap_or(32),
            router: options.address(3),
            dhcp_server: options.address(54),
            next_server: address(message, NEXT_SERVER),
            tftp_name: options.text(66),
            boot_file: options
                .text(67)
                .or_else(|| if file_is_options { None } else { text(file) }),
            option_150: options.get(150).filter(|value| !value.is_empty()),
            host_name: options.text(12),
        })
    }

    /// Option 150 read as text or as addresses.
    ///
    /// It is text when every byte is printable, but for NULs at the end; it is addresses when it is whole groups
    /// of 4 bytes and not text, or when it could be either, holds no slash, and a boot file is named too.
    fn menu_option(&self) -> Option<Option150> {
        let raw = self.option_150.as_deref()?;
        let zeroes = raw.iter().rev().take_while(|byte| **byte == 0).count();
        let (trimmed, _) = raw.split_at(raw.len().saturating_sub(zeroes));
        let printable =
            !trimmed.is_empty() && trimmed.iter().all(|byte| (0x20..0x7F).contains(byte));
        let groups = raw.len().is_multiple_of(4);
        if printable && !(groups && !raw.contains(&b'/') && self.boot_file.is_some()) {
            return Some(Option150::Path(trimmed.to_vec()));
        }
        if !groups {
            return None;
        }
        let servers: Vec<Ipv4Addr> = raw.chunks(4).filter_map(|four| address(four, 0)).collect();
        Some(Option150::Servers(servers))
    }

    /// Where the menu is: option 150 as text; or option 67, else `file`, when option 150 holds addresses.
    #[must_use]
    pub fn menu(&self) -> Option<MenuPlace> {
        match self.menu_option()? {
            Option150::Path(path) => Some(MenuPlace {
                path,
                from: "option 150",
            }),
            Option150::Servers(_) => self.boot_file.clone().map(|path| MenuPlace {
                path,
                from: "option 67",
            }),
        }
    }

    /// The TFTP server: the first address of option 150, else `next-server`, else option 66 if it is an address, else
    /// the DHCP server itself. A `next-server` that is the DHCP server itself comes behind option 66: servers put their
    /// own address there when nobody has said anything.
    #[must_use]
    pub fn server(&self) -> Option<Ipv4Addr> {
        let listed = match self.menu_option() {
            Some(Option150::Servers(servers)) => servers.first().copied(),
            _ => None,
        };
        let named = || {
            let name = core::str::from_utf8(self.tftp_name.as_deref()?).ok()?;
            name.trim().parse().ok().filter(usable)
        };
        listed
            .or(self.told_server())
            .or_else(named)
            .or(self.next_server)
            .or(self.dhcp_server)
    }

    /// `next-server` where it says more than who gave the lease.
    fn told_server(&self) -> Option<Ipv4Addr> {
        self.next_server
            .filter(|server| Some(*server) != self.dhcp_server)
    }

    /// What cannot be followed and should be known: a server given by name, as there is no name service here.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let name = self.tftp_name.as_deref()?;
        let is_address =
            core::str::from_utf8(name).is_ok_and(|name| name.trim().parse::<Ipv4Addr>().is_ok());
        if is_address || self.told_server().is_some() {
            return None;
        }
        Some(alloc::format!(
            "option 66 names the server \"{}\": only addresses can be used here",
            name.escape_ascii()
        ))
    }
}

/// The two meanings of option 150.
enum Option150 {
    /// The original's: the menu's path.
    Path(Vec<u8>),
    /// RFC 5859's: TFTP servers.
    Servers(Vec<Ipv4Addr>),
}

#[cfg(test)]
mod tests;
