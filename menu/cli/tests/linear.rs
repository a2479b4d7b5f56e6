//! The linter's work grows with a menu's length and no faster, whatever the menu holds.
//!
//! Processor time of this thread counts, so that it does not matter what else the machine does.

use std::time::Duration;

use pv_grub_tests::large_menus::{KINDS, Kind};
use pvgrub::fmt::formatted;
use pvgrub::lint::places::Places;
use pvgrub::lint::{Levels, lint};
use rustix::time::{ClockId, clock_gettime};

const SMALL: usize = 256 << 10;
/// How many times longer the large menu is than the small one.
const LONGER: u32 = 8;
/// How many times more work it may be at most: what is linear takes 8 times, squares take 64 times.
const MORE: u32 = 16;
/// Less is too short to tell how long it is.
const SHORTEST: Duration = Duration::from_millis(2);
/// A disturbed measurement is made anew, so often. What is not linear is never undisturbed.
const TURNS: usize = 8;

fn processor_time(work: &dyn Fn()) -> Duration {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(now).expect("a time since the thread began")
    };
    let begun = now();
    work();
    now() - begun
}

/// Holds `work` on a long menu against the same on a short one.
fn assert_linear(kind: &Kind, what: &str, work: impl Fn(&[u8])) {
    let small = kind.menu(SMALL);
    let large = kind.menu(SMALL * LONGER as usize);
    let mut least = [Duration::MAX; 2];
    for _ in 0..TURNS {
        for (text, least) in [&small, &large].into_iter().zip(&mut least) {
            *least = processor_time(&|| work(text)).min(*least);
        }
        if least[1] < least[0].max(SHORTEST) * MORE {
            return;
        }
    }
    panic!(
        "{what} {}: {LONGER} times the bytes took {least:?}",
        kind.name
    );
}

#[test]
fn linting_is_linear() {
    for kind in KINDS {
        assert_linear(kind, "lint", |text| {
            let places = Places::new(text);
            std::hint::black_box(lint(&places, &Levels::default(), 1000));
        });
    }
}

#[test]
fn formatting_is_linear() {
    for kind in KINDS {
        assert_linear(kind, "fmt", |text| {
            // What it refuses it has looked at too.
            let _ = std::hint::black_box(formatted(text));
        });
    }
}
