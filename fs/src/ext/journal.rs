//! stub
use super::{Core, store::Replay};
use crate::error::FsError;
use alloc::{rc::Rc, string::String, vec::Vec};
pub(super) const MAGIC: u32 = 0xc03b_3998;
pub(super) fn read(core: &Rc<Core>) -> Result<(Replay, Vec<String>), FsError> {
    let _ = core;
    Ok((
        Replay::default(),
        alloc::vec![String::from("the journal was not replayed")],
    ))
}
