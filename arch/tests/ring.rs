//! Both halves of a ring on one page: order kept past every wrap, hostile indices refused.
#![cfg(feature = "fake")]

use arch::Hypervisor;
use arch::abi::ring::{REQ_PROD, RSP_PROD};
use arch::fake::FakeXen;
use arch::ring::{Armed, BackRing, FrontRing, Full, Notify};

const ENTRY: usize = 108;

fn halves(start: u32) -> (FrontRing, BackRing, std::rc::Rc<FakeXen>) {
    let xen = FakeXen::new();
    let page = xen.alloc_page().expect("the fake has memory");
    let other = xen.view(&page);
    let front = FrontRing::new(page, ENTRY, start);
    (front, BackRing::attach(other, ENTRY), xen)
}

#[test]
fn entries_keep_their_order_across_the_wrap() {
    for start in [0, (1 << 31) - 40, u32::MAX - 40] {
        let (mut front, mut back, _xen) = halves(start);
        let (mut asked, mut answered) = (0_u32, 0_u32);
        for round in 1..40 {
            for _ in 0..round % 33 {
                front.put(&asked.to_le_bytes()).unwrap();
                asked += 1;
            }
            let _ = front.publish();
            let mut entry = [0; ENTRY];
            while back.take(&mut entry).unwrap().is_some() {
                back.put(&entry[..4]).unwrap();
            }
            let _ = back.publish();
            let mut answer = [0; 4];
            while front.take(&mut answer).unwrap().is_some() {
                assert_eq!(u32::from_le_bytes(answer), answered);
                answered += 1;
            }
            assert_eq!(answered, asked);
            assert_eq!(front.free(), 32);
        }
    }
}

#[test]
fn a_full_ring_takes_no_more() {
    let (mut front, mut back, _xen) = halves(u32::MAX - 3);
    for _ in 0..32 {
        front.put(&[1]).unwrap();
    }
    assert_eq!(front.put(&[1]), Err(Full));
    assert_eq!(back.put(&[1]), Err(Full));
    assert_eq!(back.take(&mut [0]), Ok(None));
}

#[test]
fn impossible_indices_are_overruns() {
    let (mut front, mut back, _xen) = halves(7);
    front.put(&[1]).unwrap();
    let _ = front.publish();
    front.page().store(RSP_PROD, 9);
    let overrun = front.take(&mut [0]).unwrap_err();
    assert_eq!((overrun.producer, overrun.limit), (9, 1));
    front.page().store(RSP_PROD, 6);
    assert!(front.take(&mut [0]).is_err());
    front.page().store(REQ_PROD, 7 + 33);
    assert!(back.take(&mut [0]).is_err());
}

#[test]
fn events_are_wanted_only_by_a_side_that_sleeps() {
    let (mut front, mut back, _xen) = halves(0);
    front.put(&[1]).unwrap();
    assert_eq!(front.publish(), Notify::Wanted);
    front.put(&[2]).unwrap();
    assert_eq!(front.publish(), Notify::NotNeeded);
    let mut entry = [0];
    assert_eq!(back.arm(), Armed::Ready);
    back.take(&mut entry).unwrap();
    back.take(&mut entry).unwrap();
    assert_eq!(back.arm(), Armed::Idle);
    front.put(&[3]).unwrap();
    assert_eq!(front.publish(), Notify::Wanted);
}

#[test]
fn an_event_may_be_wanted_for_several_at_once() {
    for start in [0, u32::MAX - 2] {
        let (mut front, mut back, _xen) = halves(start);
        for byte in 0..4 {
            front.put(&[byte]).unwrap();
        }
        let _ = front.publish();
        let mut entry = [0];
        let mut answer = |back: &mut BackRing| {
            back.take(&mut entry).unwrap();
            back.put(&[9]).unwrap();
            back.publish()
        };
        assert_eq!(front.arm_for(3), Armed::Idle);
        assert_eq!(answer(&mut back), Notify::NotNeeded);
        assert_eq!(front.arm(), Armed::Ready);
        assert_eq!(front.arm_for(3), Armed::Idle);
        assert_eq!(answer(&mut back), Notify::NotNeeded);
        assert_eq!(answer(&mut back), Notify::Wanted);
        assert_eq!(front.arm_for(3), Armed::Ready);
    }
}
