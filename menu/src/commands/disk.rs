//! Commands that would write partition tables: refused, in plain words.
//!
//! Nothing that boots under Xen reads an active mark or a hidden type, and a loader that half-writes a table is worse
//! than one that does not.

use crate::error::{Code, Failure};
use crate::eval::{Exit, Session};
use crate::tree::Command;

pub(crate) fn refuse(_: &mut Session<'_>, _: &Command) -> Result<(), Exit> {
    Err(Failure::new(Code::WRITE)
        .because("this loader does not write partition tables")
        .because("the line can be removed: nothing under Xen depends on it")
        .into())
}
