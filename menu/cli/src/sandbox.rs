//! What this process gives up before it looks at a disk that a guest has written.
//!
//! [`enter`] is called once everything is open: from then on nothing can be opened, written, connected to or started, and
//! no new code can be mapped. Two walls stand one behind the other: Landlock forbids every access to files and networks,
//! seccomp leaves the few system calls that reading, remembering and answering take; any other fails with `EPERM`.
//! A kernel without Landlock (before 5.13, or where it is off) has the second wall only, which alone suffices; an older
//! Landlock than the newest forbids files, and knows nothing of networks.
//!
//! [`Limits`] bounds what a disk may cost.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, getpid, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// The newest Landlock that is asked for; an older kernel gives what it has.
const LANDLOCK: ABI = ABI::V6;

/// What a check may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Memory of the process, in MiB.
    pub memory_mib: u64,
    /// Time until the answer is there.
    pub time: Duration,
}

impl Limits {
    /// Enough for a kernel of 1 GiB, the largest that is taken, and a large initrd; and for the slowest decoder.
    pub const USUAL: Self = Self {
        memory_mib: 2048,
        time: Duration::from_secs(60),
    };
}

impl FromStr for Limits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut limits = Self::USUAL;
        for part in text.split(',') {
            let value = |text: &str| {
                let value = text.parse().ok().filter(|value| *value > 0);
                value.ok_or_else(|| format!("`{part}`: a whole number from 1 is needed"))
            };
            match part.split_once('=') {
                Some(("memory", mib)) => limits.memory_mib = value(mib)?,
                Some(("time", seconds)) => limits.time = Duration::from_secs(value(seconds)?),
                _ => return Err(format!("`{part}` is neither memory=MIB nor time=SECONDS")),
            }
        }
        Ok(limits)
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory={},time={}", self.memory_mib, self.time.as_secs())
    }
}

/// What Landlock forbids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Landlock {
    /// All that is asked of it, or what this version of it knows of that: files in any case.
    Version(ABI),
    /// Nothing: this kernel has none.
    Absent,
}

impl fmt::Display for Landlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "Landlock {version:?} and seccomp"),
            Self::Absent => f.write_str("seccomp alone; this kernel has no Landlock"),
        }
    }
}

/// Bounds this process: memory, processor time, no core file, no file written.
///
/// # Errors
/// The system's.
pub fn bound(limits: Limits) -> std::io::Result<()> {
    let set = |resource, value| {
        let value = Some(value);
        setrlimit(
            resource,
            Rlimit {
                current: value,
                maximum: value,
            },
        )
    };
    set(Resource::As, limits.memory_mib.saturating_mul(1 << 20))?;
    set(Resource::Cpu, limits.time.as_secs().max(1))?;
    set(Resource::Core, 0)?;
    set(Resource::Fsize, 0)?;
    Ok(())
}

/// Puts both walls around the calling thread, and threads that it starts.
///
/// # Errors
/// Why seccomp cannot be had; nothing must be read then. A lack of Landlock is no error.
pub fn enter() -> Result<Landlock, String> {
    let landlock = landlock()?;
    seccomp()?;
    Ok(landlock)
}

/// The first wall alone.
///
/// # Errors
/// The system's. A lack of Landlock is no error.
pub fn landlock() -> Result<Landlock, String> {
    let restrict = || {
        Ruleset::default()
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?
            .create()?
            .restrict_self()
    };
    let status = restrict().map_err(|error| format!("landlock: {error}"))?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => Landlock::Absent,
        (_, LandlockStatus::Available { effective_abi, .. }) => Landlock::Version(effective_abi),
        _ => Landlock::Absent,
    })
}

/// The second wall alone.
///
/// # Errors
/// The system's.
pub fn seccomp() -> Result<(), String> {
    let filter = filter().map_err(|error| format!("seccomp: {error}"))?;
    apply_filter(&filter).map_err(|error| format!("seccomp: {error}"))
}

/// The system calls that are left.
fn filter() -> Result<BpfProgram, seccompiler::Error> {
    let always = [
        libc::SYS_read,
        libc::SYS_pread64,
        libc::SYS_preadv,
        libc::SYS_lseek,
        libc::SYS_fstat,
        libc::SYS_close,
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_restart_syscall,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_sched_yield,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    let mut rules: std::collections::BTreeMap<i64, Vec<SeccompRule>> =
        always.into_iter().map(|call| (call, Vec::new())).collect();
    let is = |argument, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
    };
    // Answers and complaints; nothing else was opened for writing anyway.
    for call in [libc::SYS_write, libc::SYS_writev] {
        rules.insert(
            call,
            vec![
                SeccompRule::new(vec![is(0, 1)?])?,
                SeccompRule::new(vec![is(0, 2)?])?,
            ],
        );
    }
    // Memory, but no code.
    let no_code = || {
        let exec = u64::from(libc::PROT_EXEC.unsigned_abs());
        let op = SeccompCmpOp::MaskedEq(exec);
        SeccompRule::new(vec![SeccompCondition::new(
            2,
            SeccompCmpArgLen::Dword,
            op,
            0,
        )?])
    };
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![no_code()?]);
    }
    // abort() of itself.
    let own = u64::from(getpid().as_raw_nonzero().get().unsigned_abs());
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![is(0, own)?])?]);
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch)?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let limits: Limits = "memory=64,time=3".parse().expect("both");
        assert_eq!(
            (limits.memory_mib, limits.time),
            (64, Duration::from_secs(3))
        );
        let limits: Limits = "time=9".parse().expect("one");
        assert_eq!(limits.memory_mib, Limits::USUAL.memory_mib);
        assert_eq!(limits.to_string().parse(), Ok(limits));
        for wrong in [
            "",
            "memory",
            "memory=0",
            "time=x",
            "disk=1",
            "memory=1;time=2",
        ] {
            wrong.parse::<Limits>().expect_err(wrong);
        }
    }
}
