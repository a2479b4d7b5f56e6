//! dom0 as seen from the host: command lines go in, output and exit code come back.
//!
//! Protocol, over one virtio serial port: the host writes a line; the agent in dom0 runs it and answers
//! `CODE LENGTH` and a newline, then LENGTH bytes of output.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::problem::{Context, Problem, Result};

/// What a command in dom0 came to.
pub(crate) struct Answer {
    /// The exit code.
    pub(crate) code: u32,
    /// Standard output and error, together.
    pub(crate) output: String,
}

/// One connection to dom0's agent; commands run one after the other.
pub(crate) struct Dom0 {
    stream: Mutex<UnixStream>,
}

impl Dom0 {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Dom0 {
            stream: Mutex::new(stream),
        }
    }

    /// Runs one line of shell in dom0 and returns what it came to, whatever the exit code.
    ///
    /// # Errors
    /// When dom0 does not answer within `limit`: then the bed is broken and this connection is of no more use.
    pub(crate) fn try_run(&self, line: &str, limit: Duration) -> Result<Answer> {
        if line.contains('\n') {
            return Err(Problem::new("a command for dom0 is one line"));
        }
        let until = Instant::now() + limit;
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(stream, "{line}").context(|| "dom0 takes no commands")?;
        let mut header = Vec::new();
        while header.last() != Some(&b'\n') {
            let mut byte = [0];
            fill(&mut stream, &mut byte, until, line)?;
            header.push(byte[0]);
        }
        let header = String::from_utf8_lossy(&header).into_owned();
        let (code, length) = header
            .trim()
            .split_once(' ')
            .context(|| format!("dom0 answers nonsense: {header}"))?;
        let code = code
            .parse()
            .context(|| format!("dom0 answers nonsense: {header}"))?;
        let length: usize = length
            .parse()
            .context(|| format!("dom0 answers nonsense: {header}"))?;
        let mut output = vec![0; length];
        fill(&mut stream, &mut output, until, line)?;
        Ok(Answer {
            code,
            output: String::from_utf8_lossy(&output).into_owned(),
        })
    }

    /// Runs one line of shell in dom0 within a minute and returns its output.
    ///
    /// # Errors
    /// As [`Dom0::try_run`], and when the exit code is not 0.
    pub(crate) fn run(&self, line: &str) -> Result<String> {
        let answer = self.try_run(line, Duration::from_secs(60))?;
        if answer.code == 0 {
            return Ok(answer.output);
        }
        Err(Problem::new(format!(
            "in dom0, `{line}` ended with {}: {}",
            answer.code,
            answer.output.trim()
        )))
    }
}

fn fill(stream: &mut UnixStream, buffer: &mut [u8], until: Instant, line: &str) -> Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(Problem::new("dom0 has gone")),
            Ok(count) => filled += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).context(|| "dom0 has gone"),
        }
        if filled < buffer.len() && Instant::now() > until {
            return Err(Problem::new(format!(
                "dom0 did not finish `{line}` in time"
            )));
        }
    }
    Ok(())
}
