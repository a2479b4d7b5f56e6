//! stub
use crate::{bytes::*, error::FsError, path::Tree, tree::*, volume::Volume};
use alloc::{boxed::Box, string::String, vec::Vec};
pub(crate) struct Fat;
pub(crate) fn is_boot_sector(first: &[u8]) -> bool {
    let _ = (first.le16(0), join(0, 0));
    false
}
pub(crate) fn probe(_: &Volume) -> Result<bool, FsError> {
    Ok(false)
}
impl Fat {
    pub(crate) fn open(_: Volume) -> Result<Self, FsError> {
        Err(FsError::Unrecognised)
    }
}
impl Tree for Fat {
    type Node = ();
    fn kind(&self) -> Kind {
        Kind::Fat32
    }
    fn label(&self) -> Option<Vec<u8>> {
        None
    }
    fn uuid(&self) -> Option<String> {
        None
    }
    fn root(&self) -> Result<(), FsError> {
        Ok(())
    }
    fn node_kind(&self, (): &()) -> EntryKind {
        EntryKind::Directory
    }
    fn lookup(&self, (): &(), _: &[u8]) -> Result<Option<()>, FsError> {
        Ok(None)
    }
    fn read_link(&self, (): &()) -> Result<Vec<u8>, FsError> {
        Ok(Vec::new())
    }
    fn children(&self, (): &()) -> Result<Vec<DirEntry>, FsError> {
        Ok(Vec::new())
    }
    fn file(&self, (): &()) -> Result<Box<dyn File>, FsError> {
        Err(FsError::Unrecognised)
    }
}
