//! Layout of the console page (`io/console.h`). Alike in both widths; indices run freely and are masked on use.

/// Offset of the input ring: bytes typed by the operator.
pub const IN_RING: usize = 0;
/// Size of the input ring in bytes.
pub const IN_BYTES: u32 = 1024;
/// Offset of the output ring: bytes printed by the guest.
pub const OUT_RING: usize = 1024;
/// Size of the output ring in bytes.
pub const OUT_BYTES: u32 = 2048;
/// Offset of the input consumer index, written by the guest.
pub const IN_CONS: usize = 3072;
/// Offset of the input producer index, written by the daemon.
pub const IN_PROD: usize = 3076;
/// Offset of the output consumer index, written by the daemon.
pub const OUT_CONS: usize = 3080;
/// Offset of the output producer index, written by the guest.
pub const OUT_PROD: usize = 3084;

const _: () = assert!(IN_BYTES.is_power_of_two() && OUT_BYTES.is_power_of_two());
const _: () = assert!(OUT_RING == IN_RING + 1024 && IN_CONS == OUT_RING + 2048);
