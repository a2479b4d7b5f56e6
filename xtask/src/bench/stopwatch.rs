//! The processor's time of programs on the host.
//!
//! It says the same on a busy machine as on an idle one, nearly; and it counts all processes that a program waits for.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::command::shown;
use crate::problem::{Context, Problem, Result};

/// Runs its arguments and says at the end how long that took: seconds in the program, and in the system for it.
const TIMED: &str = "TIMEFORMAT='%U %S'; time \"$@\"";

/// `program` with the clock around it, for [`processor_time`].
pub(super) fn clocked(program: &Path) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", TIMED, "bash"]).arg(program);
    command
}

/// Runs a [`clocked`] program, whose output is thrown away, and returns the time that it took.
///
/// # Errors
/// When it ends with another code than one of `fine`.
pub(super) fn processor_time(mut command: Command, fine: &[i32]) -> Result<Duration> {
    let done = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context(|| "cannot run bash")?;
    let errors = String::from_utf8_lossy(&done.stderr);
    if !done.status.code().is_some_and(|code| fine.contains(&code)) {
        return Err(Problem::new(format!(
            "`{}` ended with {}: {errors}",
            shown(&command),
            done.status
        )));
    }
    sum_of(errors.lines().last().unwrap_or_default())
        .context(|| format!("bash does not say how long it took: {errors}"))
}

/// The two times of bash's last line.
fn sum_of(line: &str) -> Option<Duration> {
    let (user, system) = line.split_once(' ')?;
    let seconds = user.parse::<f64>().ok()? + system.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_says_how_long_a_program_took() {
        assert_eq!(sum_of("0.250 0.500"), Some(Duration::from_millis(750)));
        assert_eq!(sum_of("bash: line 1: nothing: command not found"), None);
        let time = |program: &str| processor_time(clocked(Path::new(program)), &[1]);
        assert!(time("false").is_ok_and(|time| time < Duration::from_secs(1)));
        assert!(time("true").is_err());
    }
}
