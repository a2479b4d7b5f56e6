use super::*;
use alloc::vec;

/// A message with these options.
fn message(options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[16..20].copy_from_slice(&[10, 0, 0, 7]);
    message[236..].copy_from_slice(&MAGIC);
    message.extend_from_slice(options);
    message.push(255);
    message
}

fn lease(options: &[u8]) -> Lease {
    Lease::parse(&message(options)).unwrap()
}

fn option(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, u8::try_from(value.len()).unwrap()], value].concat()
}

#[test]
fn option_150_is_text_or_addresses() {
    let path = |options: &[u8]| lease(options).menu().map(|menu| menu.path);
    assert_eq!(path(&option(150, b"/m.lst")), Some(b"/m.lst".to_vec()));
    assert_eq!(
        path(&option(150, b"/menu.ls\0")),
        Some(b"/menu.ls".to_vec())
    );
    // As dnsmasq can send it: in groups of four.
    assert_eq!(path(&option(150, b"/m.lst\0\0")), Some(b"/m.lst".to_vec()));
    // 8 printable bytes with a slash are text even beside a boot file.
    let both = [option(150, b"/menu.ls"), option(67, b"boot")].concat();
    assert_eq!(path(&both), Some(b"/menu.ls".to_vec()));
    let addresses = [
        option(150, &[10, 0, 0, 9, 10, 0, 0, 8]),
        option(67, b"boot/menu"),
    ]
    .concat();
    assert_eq!(path(&addresses), Some(b"boot/menu".to_vec()));
    assert_eq!(lease(&addresses).server(), Some(Ipv4Addr::new(10, 0, 0, 9)));
    // Printable addresses: 100.64.100.100.
    let printable = [option(150, b"d@dd"), option(67, b"boot")].concat();
    assert_eq!(path(&printable), Some(b"boot".to_vec()));
    assert_eq!(path(&option(150, b"menu")), Some(b"menu".to_vec()));
    assert_eq!(path(&option(150, &[1, 2, 3])), None);
    assert_eq!(path(&option(150, &[10, 0, 0, 9])), None);
    assert_eq!(path(&option(67, b"boot")), None);
}

#[test]
fn long_options_are_joined() {
    let options = [
        option(150, b"/a/long"),
        option(12, b"x"),
        option(150, b"/path"),
    ]
    .concat();
    assert_eq!(lease(&options).menu().unwrap().path, b"/a/long/path");
}

#[test]
fn options_overflow_into_file_and_name() {
    let mut bytes = message(&option(52, &[3]));
    bytes[108..120].copy_from_slice(b"\x43\x05hello\xFF----");
    bytes[44..54].copy_from_slice(b"\x96\x06/menu1\xFF-");
    let lease = Lease::parse(&bytes).unwrap();
    assert_eq!(lease.boot_file.as_deref(), Some(&b"hello"[..]));
    assert_eq!(lease.menu().unwrap().path, b"/menu1");
    // Without option 52 the field is a name.
    bytes[240] = 0;
    bytes[241] = 0;
    bytes[242] = 0;
    let lease = Lease::parse(&bytes).unwrap();
    assert_eq!(lease.boot_file.as_deref(), Some(&b"C\x05hello\xFF----"[..]));
}

#[test]
fn the_server_is_found_in_order() {
    let mut bytes = message(&[option(54, &[10, 0, 0, 1]), option(66, b"10.0.0.3")].concat());
    assert_eq!(
        Lease::parse(&bytes).unwrap().server(),
        Some(Ipv4Addr::new(10, 0, 0, 3))
    );
    bytes[20..24].copy_from_slice(&[10, 0, 0, 2]);
    assert_eq!(
        Lease::parse(&bytes).unwrap().server(),
        Some(Ipv4Addr::new(10, 0, 0, 2))
    );
    // dnsmasq and others put themselves there unasked.
    bytes[20..24].copy_from_slice(&[10, 0, 0, 1]);
    assert_eq!(
        Lease::parse(&bytes).unwrap().server(),
        Some(Ipv4Addr::new(10, 0, 0, 3))
    );
    let named = lease(&[option(54, &[10, 0, 0, 1]), option(66, b"boot.example")].concat());
    assert_eq!(named.server(), Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert!(named.warning().unwrap().contains("boot.example"));
}

#[test]
fn cut_off_options_are_left_out() {
    let full = message(&option(150, b"/menu.lst"));
    for len in 0..full.len() {
        match Lease::parse(&full[..len]) {
            Ok(lease) => assert!(lease.menu().is_none() || len >= full.len() - 1),
            Err(_) => assert!(len < 240),
        }
    }
}
