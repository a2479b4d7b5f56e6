//! Files in gzip format that are no kernels: menus, multiboot modules.

use super::load::{in_gzip, open_gzip};
use super::{ImageError, Source};

/// Bytes handed out at once.
const PIECE_BYTES: usize = 32 << 10;

/// Unpacks `source` and gives the bytes, in order and in pieces, to `sink`. Returns how many there were.
///
/// # Errors
/// What the data or the file has wrong, or what `sink` answered; some pieces may have been given by then.
pub fn gunzip(
    source: &dyn Source,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), ImageError>,
) -> Result<u64, ImageError> {
    let mut inflate = open_gzip(source).map_err(in_gzip)?;
    let mut piece = alloc::vec![0; PIECE_BYTES];
    let mut total = 0_u64;
    loop {
        let count = inflate.fill(&mut piece).map_err(in_gzip)?;
        if count == 0 {
            return Ok(total);
        }
        sink(piece.get(..count).unwrap_or_default())?;
        total = total.saturating_add(count as u64);
    }
}
