//! The checksums that partitions, ext file systems and LVM use.

use crc::{CRC_16_MODBUS, CRC_32_ISCSI, CRC_32_ISO_HDLC, Crc, Table};

static CASTAGNOLI: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);
static ETHERNET: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);
static SIXTEEN: Crc<u16, Table<1>> = Crc::<u16, Table<1>>::new(&CRC_16_MODBUS);

/// Continues a CRC32C from `seed` without the final inversion, as ext4 and jbd2 chain it. The first seed is `!0`.
#[must_use]
pub fn crc32c(seed: u32, data: &[u8]) -> u32 {
    let mut digest = CASTAGNOLI.digest_with_initial(seed.reverse_bits());
    digest.update(data);
    !digest.finalize()
}

/// The CRC32 of GPT headers and entries.
#[must_use]
pub fn crc32(data: &[u8]) -> u32 {
    ETHERNET.checksum(data)
}

/// LVM's checksum: the polynomial of [`crc32`] with a beginning of its own and no final inversion.
pub(crate) fn lvm_crc(data: &[u8]) -> u32 {
    let mut digest = ETHERNET.digest_with_initial(0xf597_a6cfu32.reverse_bits());
    digest.update(data);
    !digest.finalize()
}

/// The CRC16 of ext4's older group descriptors (`uninit_bg`), over the parts in order, starting at `!0`.
pub(crate) fn crc16(parts: &[&[u8]]) -> u16 {
    let mut digest = SIXTEEN.digest();
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(
            crc32c(crc32c(!0, b"1234"), b"56789"),
            crc32c(!0, b"123456789")
        );
        assert_eq!(crc16(&[b"1234", b"56789"]), 0x4b37);
    }
}
