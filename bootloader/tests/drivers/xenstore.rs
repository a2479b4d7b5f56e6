//! Xenstore requests against a good daemon and against each of its faults.

use std::rc::Rc;
use std::time::Duration;

use crate::bed::store;
use arch::abi::xs_wire;
use arch::fake::store::StoreFault;
use arch::fake::{FakeXen, HOME, Start};
use bootloader::xenstore::{PATIENCE, Refusal, SHORT_PATIENCE, Store, StoreError};

fn with_fault(fault: StoreFault) -> (Rc<FakeXen>, Rc<Store>) {
    let xen = FakeXen::new();
    let store = store(&xen);
    xen.break_store(fault);
    (xen, store)
}

fn quiet(xen: &Rc<FakeXen>, store: &Store) {
    let deadline = xen.hypervisor().now().after(Duration::from_secs(1));
    store.quiesce(deadline).unwrap();
    assert_eq!(xen.leftovers(), Vec::<String>::new());
}

#[test]
fn values_are_read_and_written_at_any_index() {
    for ring_index in [0, 1000, (1 << 31) - 3, u32::MAX - 8] {
        let xen = FakeXen::started(Start { ring_index });
        let store = store(&xen);
        assert_eq!(store.read_number("domid"), Ok(5));
        let long = "v".repeat(3000);
        store.write("data/long", &long).unwrap();
        assert_eq!(store.read_text(&format!("{HOME}/data/long")), Ok(long));
        assert_eq!(store.directory("data"), Ok(vec!["long".to_string()]));
        store.remove("data").unwrap();
        store.remove("data").unwrap();
        assert_eq!(store.find_text("data/long"), Ok(None));
        quiet(&xen, &store);
    }
}

#[test]
fn refusals_have_names() {
    let xen = FakeXen::new();
    let store = store(&xen);
    assert_eq!(
        store.read("nothing"),
        Err(StoreError::Refused(Refusal::NotFound))
    );
    assert_eq!(
        store.write("/local/domain/0/x", "1"),
        Err(StoreError::Refused(Refusal::Denied))
    );
    store.write("data/word", "12x").unwrap();
    assert_eq!(
        store.read_number("data/word"),
        Err(StoreError::NotANumber("12x".to_string()))
    );
    assert!(matches!(
        store.read(&"p".repeat(2048)),
        Err(StoreError::TooLong { .. })
    ));
    assert!(matches!(
        store.write("data/x", &"v".repeat(4096)),
        Err(StoreError::TooLong { .. })
    ));
    assert_eq!(store.read("a\0b"), Err(StoreError::Nul));
    store.remove("data").unwrap();
    quiet(&xen, &store);
}

#[test]
fn a_long_listing_comes_in_parts() {
    let xen = FakeXen::new();
    let names: Vec<String> = (0..700)
        .map(|number| format!("entry-{number:010}"))
        .collect();
    for name in &names {
        xen.set_store_value(&format!("{HOME}/many/{name}"), "");
    }
    let store = store(&xen);
    assert_eq!(store.directory("many").unwrap(), names);
    // It changes twice while being read, and is begun again.
    xen.break_store(StoreFault::ListingChanges(2));
    assert_eq!(store.directory("many").unwrap(), names);
    xen.break_store(StoreFault::ListingChanges(1000));
    assert_eq!(store.directory("many"), Err(StoreError::Listing));
    quiet(&xen, &store);
}

#[test]
fn a_transaction_is_tried_again_after_eagain() {
    let (xen, store) = with_fault(StoreFault::CommitAgain(3));
    let mut runs = 0;
    store
        .transaction(|store, transaction| {
            runs += 1;
            store.write_in(transaction, "data/a", "1")?;
            store.write_in(transaction, "data/b", "2")
        })
        .unwrap();
    assert_eq!(runs, 4);
    assert_eq!(
        xen.store_value(&format!("{HOME}/data/b")).as_deref(),
        Some("2")
    );
    store.remove("data").unwrap();
    quiet(&xen, &store);
}

#[test]
fn a_transaction_gives_up_on_endless_eagain() {
    let (xen, store) = with_fault(StoreFault::CommitAgain(u32::MAX));
    let result = store.transaction(|store, transaction| store.write_in(transaction, "data/a", "1"));
    assert_eq!(result, Err(StoreError::Refused(Refusal::Again)));
    quiet(&xen, &store);
}

#[test]
fn a_failed_transaction_changes_nothing() {
    let xen = FakeXen::new();
    let store = store(&xen);
    let result = store.transaction(|store, transaction| {
        store.write_in(transaction, "data/a", "1")?;
        store.read_in(transaction, "missing")
    });
    assert_eq!(result, Err(StoreError::Refused(Refusal::NotFound)));
    assert_eq!(xen.store_value(&format!("{HOME}/data/a")), None);
    quiet(&xen, &store);
}

#[test]
fn watch_events_and_stale_replies_are_skipped() {
    for fault in [StoreFault::EventsBetween, StoreFault::StaleReply] {
        let (xen, store) = with_fault(fault);
        for _ in 0..200 {
            assert_eq!(store.read_number("domid"), Ok(5));
        }
        quiet(&xen, &store);
    }
}

#[test]
fn replies_to_an_earlier_kernel_are_dropped() {
    let xen = FakeXen::new();
    let (page, _) = xen.store_ring();
    page.store(xs_wire::RSP_PROD, 500);
    let store = store(&xen);
    assert_eq!(store.read_number("domid"), Ok(5));
    quiet(&xen, &store);
}

#[test]
fn a_silent_daemon_costs_its_time_once() {
    let (xen, store) = with_fault(StoreFault::Silent);
    let hv = xen.hypervisor();
    let begin = hv.now();
    assert_eq!(store.read("domid"), Err(StoreError::Timeout));
    let waited = hv.now().since(begin);
    assert!(waited >= PATIENCE && waited < PATIENCE + SHORT_PATIENCE);
    let begin = hv.now();
    assert_eq!(store.read("domid"), Err(StoreError::Timeout));
    assert!(hv.now().since(begin) < Duration::from_secs(2));
}

#[test]
fn one_lost_reply_is_not_the_end() {
    let (xen, store) = with_fault(StoreFault::Drops(1));
    assert_eq!(store.read("domid"), Err(StoreError::Timeout));
    assert_eq!(store.read_number("domid"), Ok(5));
    quiet(&xen, &store);
}

#[test]
fn violations_end_the_connection_with_a_reason() {
    for (fault, reason) in [
        (StoreFault::ReplyTooLong, "a reply of 4097 bytes"),
        (StoreFault::WrongKind, "a reply of type 99"),
        (StoreFault::IndexTooFar, "1025 bytes in the reply ring"),
        (StoreFault::HalfReply, "stopped half way"),
    ] {
        let (_xen, store) = with_fault(fault);
        for _ in 0..2 {
            let error = store.read("domid").unwrap_err();
            assert!(
                error.to_string().contains(reason),
                "{fault:?} gave \"{error}\""
            );
        }
    }
}
