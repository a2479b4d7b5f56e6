//! Xen's ring macros and `arch::ring`, side by side: the same steps on two pages, compared after each.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use arch::addr::PAGE_BYTES;
use arch::fake::FakeXen;
use arch::ring::{Armed, BackRing, FrontRing, Notify};
use arch::{Hypervisor, SharedPage};

use crate::command::run;
use crate::problem::{Context, Problem, Result};

/// The program with Xen's macros.
const SOURCE: &str = include_str!("ring.c");
/// Steps of one script.
const STEPS: usize = 4000;
/// Where scripts begin: at zero, and shortly before the index changes its sign and wraps.
const STARTS: [u32; 4] = [0, (1 << 31) - 100, u32::MAX - 100, u32::MAX];
/// The letters of a script; see `ring.c`.
const LETTERS: &[u8] = b"PPPpTTTRRRrCCCab";
/// Bytes of a request and of a response.
const ASK: usize = 112;
const ANSWER: usize = 16;

/// Compiles the program and compares it with our rings, script by script.
///
/// # Errors
/// The first step where they differ; or why the program could not be built or run.
pub(super) fn check(include: &Path, folder: &Path) -> Result<()> {
    let source = folder.join("ring.c");
    let program = folder.join("ring");
    std::fs::write(&source, SOURCE).context(|| format!("cannot write {}", source.display()))?;
    run(Command::new("gcc")
        .args(["-O1", "-I"])
        .arg(include)
        .arg(&source)
        .arg("-o")
        .arg(&program))?;
    for (seed, start) in STARTS.into_iter().enumerate() {
        let script = script(seed as u64);
        let theirs = run_theirs(&program, start, &script)?;
        let ours = run_ours(start, &script);
        for (number, (ours, theirs)) in ours.iter().zip(theirs.lines()).enumerate() {
            if ours != theirs {
                return Err(Problem::new(format!(
                    "ring from {start:#x}, step {number}: ours is \"{ours}\", Xen's is \"{theirs}\""
                )));
            }
        }
        if ours.len() != theirs.lines().count() {
            return Err(Problem::new("Xen's rings made fewer steps than ours"));
        }
    }
    println!(
        "rings agree with Xen's macros in {} steps",
        STEPS * STARTS.len()
    );
    Ok(())
}

/// Steps in no particular order, the same each time.
fn script(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..STEPS)
        .map(|_| {
            // Xorshift: any generator will do, as long as it repeats.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            LETTERS[(state >> 32) as usize % LETTERS.len()]
        })
        .collect()
}

fn run_theirs(program: &Path, start: u32, script: &[u8]) -> Result<String> {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context(|| format!("cannot run {}", program.display()))?;
    let mut input = child.stdin.take().context(|| "the program has no input")?;
    let mut text = format!("{start}\n").into_bytes();
    text.extend(script);
    // From another thread: the program answers while it reads, and neither pipe holds everything.
    let writer = std::thread::spawn(move || input.write_all(&text));
    let output = child.wait_with_output()?;
    writer
        .join()
        .map_err(|_| Problem::new("the writer of the script stopped"))??;
    if !output.status.success() {
        return Err(Problem::new(format!("{} failed", program.display())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run_ours(start: u32, script: &[u8]) -> Vec<String> {
    let xen = FakeXen::new();
    // OK to unwrap: the fake hypervisor has as much memory as this process.
    let page = xen.alloc_page().expect("a page");
    let look = xen.view(&page);
    let theirs = xen.view(&page);
    let mut front = FrontRing::new(page, ASK, start);
    let mut back = BackRing::attach(theirs, ASK);
    let mut filler: u32 = 0;
    let mut lines = Vec::new();
    for step in script {
        filler = filler.wrapping_mul(5).wrapping_add(77);
        let byte = filler.to_le_bytes()[0];
        let mut ask = [byte; ASK];
        let mut answer = [byte; ANSWER];
        let got: i32 = match step {
            b'P' => front.put(&ask).map_or(-1, |()| 1),
            b'p' => i32::from(front.publish() == Notify::Wanted),
            b'T' => match back.take(&mut ask) {
                Ok(Some(())) => i32::from(ask[ASK - 1]),
                _ => -1,
            },
            b'R' => back.put(&answer).map_or(-1, |()| 1),
            b'r' => i32::from(back.publish() == Notify::Wanted),
            b'C' => match front.take(&mut answer) {
                Ok(Some(())) => i32::from(answer[ANSWER - 1]),
                _ => -1,
            },
            b'a' => i32::from(front.arm() == Armed::Ready),
            _ => i32::from(back.arm() == Armed::Ready),
        };
        lines.push(format!("{} {got} {:016x}", char::from(*step), hash(&look)));
    }
    lines
}

/// FNV-1a of a page.
fn hash(page: &SharedPage) -> u64 {
    let mut bytes = [0; PAGE_BYTES];
    page.read(0, &mut bytes);
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
