//! QEMU's control socket: plugs and unplugs disks while Xen runs.
//!
//! Protocol: QMP, one JSON object per line. Only what this needs is understood: `"return"` and `"error"`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::problem::{Context, Problem, Result};

/// An open QMP session.
pub(crate) struct Qmp {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Qmp {
    /// Takes over a fresh connection: reads the greeting and leaves the negotiation mode.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub(crate) fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let lines = BufReader::new(stream.try_clone()?);
        let mut qmp = Qmp { stream, lines };
        qmp.line()?;
        qmp.execute("{\"execute\":\"qmp_capabilities\"}")?;
        Ok(qmp)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let count = self
            .lines
            .read_line(&mut line)
            .context(|| "QEMU does not answer")?;
        if count == 0 {
            Err(Problem::new("QEMU has closed its control socket"))
        } else {
            Ok(line)
        }
    }

    /// Sends one command and waits for its result; events in between are dropped.
    ///
    /// # Errors
    /// QEMU's own error, or a broken connection.
    pub(crate) fn execute(&mut self, command: &str) -> Result<()> {
        writeln!(self.stream, "{command}").context(|| "cannot write to QEMU")?;
        loop {
            let line = self.line()?;
            if line.starts_with("{\"return\"") {
                return Ok(());
            }
            if line.starts_with("{\"error\"") {
                return Err(Problem::new(format!(
                    "QEMU refuses {command}: {}",
                    line.trim()
                )));
            }
        }
    }
}
