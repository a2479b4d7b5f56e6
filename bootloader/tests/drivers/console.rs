//! The console against a daemon that is quick, slow, asleep or mad.

use std::fmt::Write;
use std::time::Duration;

use crate::bed::{console, pattern};
use arch::fake::console::Reader;
use arch::fake::{FakeXen, Start};

fn soon(xen: &std::rc::Rc<FakeXen>, wait: Duration) -> arch::Instant {
    xen.hypervisor().now().after(wait)
}

#[test]
fn long_output_arrives_whole_through_a_slow_reader() {
    for ring_index in [0, 1 << 31, u32::MAX - 700] {
        let xen = FakeXen::started(Start { ring_index });
        xen.set_console_reader(Reader::Slow(100));
        let console = console(&xen);
        let text = pattern(10_000);
        for part in text.chunks(777) {
            console.write(part);
        }
        let deadline = soon(&xen, Duration::from_secs(5));
        console.drain(deadline).unwrap();
        assert_eq!(xen.printed(), text);
        assert_eq!(console.dropped(), 0);
    }
}

#[test]
fn line_feeds_get_a_carriage_return() {
    let xen = FakeXen::new();
    let console = console(&xen);
    write!(&console, "one\ntwo{}\n\n", 3).unwrap();
    assert_eq!(xen.printed(), b"one\r\ntwo3\r\n\r\n");
}

#[test]
fn a_sleeping_reader_costs_one_short_wait() {
    let xen = FakeXen::new();
    xen.set_console_reader(Reader::Asleep);
    let console = console(&xen);
    let begin = xen.hypervisor().now();
    for _ in 0..1000 {
        console.write(&[b'x'; 100]);
    }
    let waited = xen.hypervisor().now().since(begin);
    assert!(waited >= Duration::from_millis(200), "{waited:?}");
    assert!(waited < Duration::from_millis(210), "{waited:?}");
    assert_eq!(console.dropped(), 100_000 - 2048);
    let deadline = soon(&xen, Duration::from_millis(50));
    assert_eq!(console.drain(deadline).unwrap_err().bytes, 2048);

    // It wakes up: what comes now is printed, and worth waiting for again.
    xen.set_console_reader(Reader::Slow(64));
    let rest = pattern(5000);
    console.write(&rest);
    let deadline = soon(&xen, Duration::from_secs(5));
    console.drain(deadline).unwrap();
    assert!(xen.printed().ends_with(&rest));
}

#[test]
fn keys_arrive_in_order_past_the_ring_s_end() {
    for ring_index in [0, u32::MAX - 1000] {
        let xen = FakeXen::started(Start { ring_index });
        let console = console(&xen);
        let keys = pattern(3000);
        xen.type_keys(&keys);
        let mut got = Vec::new();
        while let Some(key) = console.read_byte(soon(&xen, Duration::from_millis(10))) {
            got.push(key);
        }
        assert_eq!(got, keys);
    }
}

#[test]
fn waiting_for_a_key_ends_at_the_deadline() {
    let xen = FakeXen::new();
    let console = console(&xen);
    let deadline = soon(&xen, Duration::from_secs(3));
    assert_eq!(console.read_byte(deadline), None);
    let now = xen.hypervisor().now();
    assert!(now >= deadline && now.since(deadline) < Duration::from_millis(1));
}

#[test]
fn mad_indices_neither_hang_nor_panic() {
    let xen = FakeXen::new();
    let console = console(&xen);
    xen.set_console_reader(Reader::Mad);
    console.write(&[b'x'; 5000]);
    let mut out = [0; 8];
    assert_eq!(console.read(&mut out), 0);
    let deadline = soon(&xen, Duration::from_millis(10));
    assert_eq!(console.read_byte(deadline), None);
    assert!(console.drain(deadline).is_err());
}
