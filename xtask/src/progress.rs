//! A line that shows that something long is still going on: rewritten on a terminal, repeated rarely elsewhere.

use std::io::{IsTerminal, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the line is rewritten on a terminal.
const TERMINAL: Duration = Duration::from_millis(300);
/// How often it is repeated in a log.
const LOG: Duration = Duration::from_secs(10);

/// Does `act` while showing `label`, the seconds passed, and whatever `detail` says.
pub(crate) fn during<T>(
    label: &str,
    detail: impl Fn() -> String + Sync,
    act: impl FnOnce() -> T,
) -> T {
    let done = AtomicBool::new(false);
    let terminal = stdout().is_terminal();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            let mut next = begun + if terminal { TERMINAL } else { LOG };
            let mut shown = false;
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
                if Instant::now() < next {
                    continue;
                }
                let line = format!("{label}: {} s {}", begun.elapsed().as_secs(), detail());
                if terminal {
                    print!("\r\x1b[K{}", line.trim_end());
                } else {
                    println!("{}", line.trim_end());
                }
                let _ = stdout().flush();
                shown = true;
                next = Instant::now() + if terminal { TERMINAL } else { LOG };
            }
            if terminal && shown {
                print!("\r\x1b[K");
                let _ = stdout().flush();
            }
        });
        let _finish = Finish(&done);
        act()
    })
}

/// Ends the line even if what it tells of panics.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
