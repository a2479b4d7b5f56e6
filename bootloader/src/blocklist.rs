//! `blocklist`: where a file's bytes are, in GRUB's notation: `(hd0,0)4096+8,4200[0-20]`.

use alloc::format;
use alloc::string::String;

use fs::{DeviceName, Stretch};
use menu::{Code, Failure};

/// Bytes of a sector in block lists, whatever the disk's own are.
const SECTOR: u64 = 512;

/// The list for a file on `device` that is at `stretches`. A last sector that is used in part shows how far, as
/// `[0-BYTES]`.
///
/// # Errors
/// 31 where bytes have no sectors of their own.
pub fn text(device: &DeviceName, stretches: &[Stretch]) -> Result<String, Failure> {
    let mut text = format!("{device}");
    let mut separator = "";
    for stretch in stretches {
        let Some(start) = stretch.start else {
            return Err(Failure::new(Code::UNALIGNED).because(
                "a part of the file has no blocks: a hole, data in the inode, or newer in the journal",
            ));
        };
        if !start.is_multiple_of(SECTOR) {
            return Err(Failure::new(Code::UNALIGNED));
        }
        let (first, whole) = (start / SECTOR, stretch.len / SECTOR);
        if whole > 0 {
            text.push_str(&format!("{separator}{first}+{whole}"));
            separator = ",";
        }
        let rest = stretch.len % SECTOR;
        if rest > 0 {
            text.push_str(&format!("{separator}{}[0-{rest}]", first + whole));
            separator = ",";
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_counted_from_the_device_s_start() {
        let device = DeviceName::Disk {
            disk: 0,
            partition: Some(1),
        };
        let stretch = |start, len| Stretch { start, len };
        let list = |stretches: &[Stretch]| text(&device, stretches);
        assert_eq!(list(&[]).as_deref(), Ok("(hd0,1)"));
        let two = [stretch(Some(4096), 2048), stretch(Some(512), 700)];
        assert_eq!(list(&two).as_deref(), Ok("(hd0,1)8+4,1+1,2[0-188]"));
        assert_eq!(
            list(&[stretch(Some(1024), 20)]).as_deref(),
            Ok("(hd0,1)2[0-20]")
        );
        assert!(list(&[stretch(None, 512)]).is_err());
        assert!(list(&[stretch(Some(100), 512)]).is_err());
    }
}
