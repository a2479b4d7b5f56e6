//! A check in a process of its own, so that a disk that breaks it breaks nothing else.
//!
//! [`supervise`] starts this program again with the same words, waits for its answer no longer than the limits say, and
//! passes it on, without anything that would drive a terminal, once it has ended well. [`Place`] says in which of the two
//! processes we are.

use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::args::{GuestOptions, Manner};
use crate::ending::Ending;
use crate::output::{Io, Reader};
use crate::sandbox::{self, Limits};

/// Tells the second process what it is, and who reads its answer.
const VARIABLE: &str = "PVGRUB_CONFINED";

/// Most that an answer may have, in bytes.
const ANSWER_MAX: u64 = 64 << 20;

/// What is added to the time that the second process has for itself, to start and to end.
const GRACE: Duration = Duration::from_secs(2);

/// In which process we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Place {
    /// There is only this one: no sandbox. Also what tests are in.
    #[default]
    Alone,
    /// The one that was started by hand: it starts the other.
    Outside,
    /// The one that looks at the disks.
    Inside,
}

impl Place {
    /// The place of this process, and who reads the answer if it is the second one.
    #[must_use]
    pub fn of_process() -> (Self, Option<Reader>) {
        match std::env::var(VARIABLE).as_deref() {
            Ok("terminal") => (Self::Inside, Some(Reader::Terminal)),
            Ok("other") => (Self::Inside, Some(Reader::Other)),
            _ => (Self::Outside, None),
        }
    }
}

/// Whether another process is to do the work.
#[must_use]
pub(crate) fn is_outside(options: &GuestOptions) -> bool {
    options.place == Place::Outside && !options.no_sandbox
}

/// Gives up what is not needed any more, where this is the process for it: everything is open.
///
/// # Errors
/// Why it cannot be given up; nothing must be read then.
pub(crate) fn enter(
    options: &GuestOptions,
    manner: &Manner,
    io: &mut Io<'_>,
) -> Result<(), String> {
    if options.place != Place::Inside {
        return Ok(());
    }
    sandbox::bound(options.limits).map_err(|error| format!("cannot set limits: {error}"))?;
    let landlock = sandbox::enter()?;
    if manner.verbose {
        // What cannot be said is no reason to stop.
        let _ = io.complain(&format!("the host's files are guarded by {landlock}"));
    }
    Ok(())
}

/// Starts this program again as the process that looks at the disks, and passes on what it says.
///
/// # Errors
/// When the answer cannot be written.
pub fn supervise(limits: Limits, io: &mut Io<'_>) -> io::Result<Ending> {
    let reader = match io.output_reader {
        Reader::Terminal => "terminal",
        Reader::Other => "other",
    };
    let begun = Instant::now();
    let child = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, reader)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            io.complain(&format!("cannot start the confined process: {error}"))?;
            return Ok(Ending::Unreadable);
        }
    };
    let (send, receive) = mpsc::channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for (index, stream) in streams.into_iter().enumerate() {
        let send = send.clone();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(stream) = stream {
                // What cannot be read any more is not there.
                let _ = stream.take(ANSWER_MAX).read_to_end(&mut bytes);
            }
            let _ = send.send((index, bytes));
        });
    }
    let deadline = limits.time + GRACE;
    let mut said = [Vec::new(), Vec::new()];
    for _ in 0..said.len() {
        match receive.recv_timeout(deadline.saturating_sub(begun.elapsed())) {
            Ok((index, bytes)) => {
                if let Some(place) = said.get_mut(index) {
                    *place = bytes;
                }
            }
            Err(_) => {
                // It may just have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                io.complain(&format!(
                    "no answer within {} s; a larger `--limits time=` waits longer",
                    limits.time.as_secs()
                ))?;
                return Ok(Ending::Unreadable);
            }
        }
    }
    let status = child.wait()?;
    let [output, errors] = said.map(|bytes| harmless(&bytes));
    match ending(status) {
        Some(ending) => {
            io.errors.write_all(errors.as_bytes())?;
            io.output.write_all(output.as_bytes())?;
            Ok(ending)
        }
        None => {
            io.complain(&broken(status, &errors, limits))?;
            Ok(Ending::Unreadable)
        }
    }
}

/// The ending that the second process had, if it was one.
fn ending(status: ExitStatus) -> Option<Ending> {
    match status.code()? {
        0 => Some(Ending::Clean),
        1 => Some(Ending::Findings),
        2 => Some(Ending::Unreadable),
        _ => None,
    }
}

/// Why there is no answer.
fn broken(status: ExitStatus, errors: &str, limits: Limits) -> String {
    if errors.contains("memory allocation of") {
        return format!(
            "this takes more than {} MiB of memory; a larger `--limits memory=` allows it",
            limits.memory_mib
        );
    }
    if let Some(libc::SIGXCPU | libc::SIGKILL) = status.signal() {
        return format!(
            "this takes more than {} s; a larger `--limits time=` allows it",
            limits.time.as_secs()
        );
    }
    let first = errors.lines().next().unwrap_or_default();
    format!("the confined process broke down ({status}): {first}")
}

/// Text without what would drive a terminal, but for colours.
fn harmless(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\n') {
        let (before, from) = rest.split_at(at);
        clean.push_str(before);
        let color = color_len(from);
        match from.get(..color).filter(|_| color > 0) {
            Some(sequence) => {
                clean.push_str(sequence);
                rest = from.get(color..).unwrap_or_default();
            }
            None => {
                clean.push(if from.starts_with('\t') { '\t' } else { '?' });
                let mut characters = from.chars();
                characters.next();
                rest = characters.as_str();
            }
        }
    }
    clean.push_str(rest);
    clean
}

/// Bytes of the colour that `text` begins with (`ESC [ 1 ; 32 m`), or 0.
fn color_len(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\x1b[") else {
        return 0;
    };
    let len = parameters
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b';')
        .count();
    if parameters.as_bytes().get(len) == Some(&b'm') {
        len + 3
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn colours_pass_and_nothing_else_does() {
        assert_eq!(
            harmless(b"\x1b[1;32mboots\x1b[0m\n"),
            "\x1b[1;32mboots\x1b[0m\n"
        );
        assert_eq!(harmless(b"\x1b[2J\x1b]0;x\x07\ty\r"), "?[2J?]0;x?\ty?");
        assert_eq!(harmless("\u{9b}1m é \x1b[".as_bytes()), "?1m é ?[");
        assert_eq!(harmless(b"\xff"), "\u{fffd}");
    }
}
