//! Leases: what is read from them, how long is waited, how they are kept.

use std::net::Ipv4Addr;
use std::time::Duration;

use net::fake::{Dhcp, Faults, Settings};
use net::{Fixed, NetError};

use crate::Bed;

fn with(dhcp: Dhcp) -> Bed {
    let settings = Settings {
        dhcp: Some(dhcp),
        ..Settings::default()
    };
    Bed::new(settings, Faults::default(), 3)
}

#[test]
fn option_150_as_text_is_the_menu() {
    let mut bed = with(Dhcp {
        options: vec![
            (150, b"/boot/menu.lst".to_vec()),
            (3, vec![10, 0, 0, 254]),
            (12, b"guest".to_vec()),
        ],
        ..Dhcp::default()
    });
    let deadline = bed.soon(4);
    let (lease, took) = bed.elapsed(|bed| bed.stack.obtain_lease(deadline).cloned());
    let lease = lease.unwrap();
    assert!(took < Duration::from_millis(100), "{took:?}");
    assert_eq!(lease.address, Ipv4Addr::new(10, 0, 0, 77));
    assert_eq!(lease.prefix, 24);
    assert_eq!(lease.router, Some(Ipv4Addr::new(10, 0, 0, 254)));
    assert_eq!(lease.host_name.as_deref(), Some(&b"guest"[..]));
    assert_eq!(lease.menu().unwrap().path, b"/boot/menu.lst");
    assert_eq!(lease.server(), Some(net::fake::ADDRESS));
}

#[test]
fn a_silent_network_costs_what_was_allowed() {
    for seconds in [4, 30] {
        let mut bed = Bed::new(Settings::default(), Faults::default(), 1);
        let deadline = bed.soon(seconds);
        let (result, took) = bed.elapsed(|bed| bed.stack.obtain_lease(deadline).cloned());
        assert!(matches!(result, Err(NetError::NoLease { .. })));
        let limit = Duration::from_secs(seconds);
        assert!(
            took >= limit - Duration::from_millis(1) && took < limit + Duration::from_millis(50),
            "{took:?}"
        );
        // 0, 1.5, 3.5, then every 4 seconds.
        let asked = bed.card.lan.borrow_mut().server().asked;
        assert_eq!(u64::from(asked), if seconds == 4 { 3 } else { 9 });
    }
}

#[test]
fn a_bad_wire_still_gives_a_lease() {
    for seed in 0..20 {
        let settings = Settings {
            dhcp: Some(Dhcp::default()),
            ..Settings::default()
        };
        let faults = Faults {
            loss: 20,
            duplicate: 20,
            reorder: 20,
            mutate: 0,
        };
        let mut bed = Bed::new(settings, faults, seed);
        let deadline = bed.soon(30);
        bed.stack.obtain_lease(deadline).unwrap();
    }
}

#[test]
fn leases_are_renewed() {
    let mut bed = with(Dhcp {
        seconds: 240,
        ..Dhcp::default()
    });
    let deadline = bed.soon(4);
    bed.stack.obtain_lease(deadline).unwrap();
    for _ in 0..1000 {
        bed.card.pass(Duration::from_secs(1));
        bed.stack.poll().unwrap();
    }
    assert!(bed.stack.lease().is_some());
    let asked = bed.card.lan.borrow_mut().server().asked;
    assert!((8..16).contains(&asked), "{asked}");
    // The server goes away: the lease ends in its time.
    bed.card.lan.borrow_mut().server().settings().dhcp = None;
    for _ in 0..400 {
        bed.card.pass(Duration::from_secs(1));
        bed.stack.poll().unwrap();
    }
    assert!(bed.stack.lease().is_none() && !bed.stack.has_address());
}

#[test]
fn fixed_settings_need_no_server() {
    let mut bed = Bed::new(Settings::default(), Faults::default(), 1);
    bed.card
        .lan
        .borrow_mut()
        .server()
        .settings()
        .files
        .insert(b"x".to_vec(), b"y".to_vec());
    let fixed = Fixed {
        address: Ipv4Addr::new(10, 0, 0, 5),
        prefix: 24,
        gateway: None,
    };
    bed.stack.configure(fixed).unwrap();
    let deadline = bed.soon(4);
    let remote = bed.stack.open(net::fake::ADDRESS, b"x", deadline).unwrap();
    assert_eq!(remote.len(), 1);
    for address in [
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(224, 0, 0, 1),
    ] {
        assert!(bed.stack.configure(Fixed { address, ..fixed }).is_err());
    }
}
