//! What each command does. The [table](crate::table) says where a command may stand and points here.

use crate::eval::{Exit, Session};
use crate::tree::Command;

pub(crate) mod boot;
pub(crate) mod disk;
pub(crate) mod files;
pub(crate) mod network;
pub(crate) mod password;
pub(crate) mod settings;

/// A command's code.
pub(crate) type Handler = fn(&mut Session<'_>, &Command) -> Result<(), Exit>;
