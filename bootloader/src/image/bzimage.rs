//! The bzImage header, as far as it says where the kernel proper is (Linux `Documentation/arch/x86/boot.rst`).

use super::ImageError;

/// How much of the file's front [`Payload::find`] looks at.
pub(super) const HEADER_BYTES: usize = 0x250;

/// Where in a bzImage the packed kernel is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Payload {
    /// First byte, from the start of the file.
    pub(super) start: u64,
    /// First byte after it.
    pub(super) end: u64,
}

impl Payload {
    /// Reads the header in `head`, the front of the file; `None` if it is no bzImage.
    ///
    /// # Errors
    /// [`ImageError::OldProtocol`].
    pub(super) fn find(head: &[u8]) -> Result<Option<Self>, ImageError> {
        const MAGIC_AT: usize = 0x202;
        if head.get(0x1fe..0x200) != Some(&[0x55, 0xaa])
            || head.get(MAGIC_AT..MAGIC_AT + 4) != Some(b"HdrS")
        {
            return Ok(None);
        }
        let version = u16_at(head, 0x206);
        let (Some(version), Some(setup_sectors), Some(offset), Some(len)) = (
            version,
            head.get(0x1f1),
            u32_at(head, 0x248),
            u32_at(head, 0x24c),
        ) else {
            return Err(ImageError::Truncated {
                missing: (HEADER_BYTES - head.len()) as u64,
                of: None,
            });
        };
        if version < 0x208 {
            return Err(ImageError::OldProtocol(version));
        }
        // 0 means 4, for the sake of very old kernels.
        let setup_sectors = if *setup_sectors == 0 {
            4
        } else {
            u64::from(*setup_sectors)
        };
        let start = (setup_sectors + 1) * 512 + u64::from(offset);
        Ok(Some(Self {
            start,
            end: start + u64::from(len),
        }))
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_le_bytes(*bytes))
}
