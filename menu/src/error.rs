//! GRUB's numbered errors, and the chain of reasons that goes with one.
//!
//! [`Code`] is the number users look up; number and text are those of GRUB 0.97's `err_list`, letter by letter, because
//! scripts look for them on consoles. [`Failure`] adds what was found
//! and what would work, a line each.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The number of a GRUB error. The numbers are GRUB 0.97's; they are what users search for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code(pub u8);

/// One row for each error: name, number, text.
macro_rules! codes {
    ($($name:ident $number:literal $text:literal;)*) => {
        impl Code {
            $(#[doc = concat!("Error ", stringify!($number), ": ", $text, ".")] pub const $name: Self = Self($number);)*

            /// What the number means.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self.0 { $($number => $text,)* _ => "Unknown error" }
            }
        }
    };
}

codes! {
    FILE_NAME 1 "Filename must be either an absolute pathname or blocklist";
    BAD_FILE_TYPE 2 "Bad file or directory type";
    BAD_GZIP_DATA 3 "Bad or corrupt data while decompressing file";
    BAD_GZIP_HEADER 4 "Bad or incompatible header in compressed file";
    BAD_PARTITION_TABLE 5 "Partition table invalid or corrupt";
    BAD_VERSION 6 "Mismatched or corrupt version of stage1/stage2";
    BELOW_ONE_MEGABYTE 7 "Loading below 1MB is not supported";
    KERNEL_NEEDED 8 "Kernel must be loaded before booting";
    BOOT_FAILURE 9 "Unknown boot failure";
    UNSUPPORTED_FEATURES 10 "Unsupported Multiboot features requested";
    UNKNOWN_DEVICE 11 "Unrecognized device string";
    INVALID_DEVICE 12 "Invalid device requested";
    BAD_EXECUTABLE 13 "Invalid or unsupported executable format";
    FILE_LENGTH 14 "Filesystem compatibility error, cannot read whole file";
    FILE_NOT_FOUND 15 "File not found";
    FILE_SYSTEM_CORRUPT 16 "Inconsistent filesystem structure";
    CANNOT_MOUNT 17 "Cannot mount selected partition";
    BEYOND_LIMIT 18 "Selected cylinder exceeds maximum supported by BIOS";
    NEED_KERNEL_FIRST 19 "Linux kernel must be loaded before initrd";
    NEED_MULTIBOOT 20 "Multiboot kernel must be loaded before modules";
    NO_DISK 21 "Selected disk does not exist";
    NO_PARTITION 22 "No such partition";
    NUMBER 23 "Error while parsing number";
    OUTSIDE_PARTITION 24 "Attempt to access block outside partition";
    READ 25 "Disk read error";
    TOO_MANY_LINKS 26 "Too many symbolic links";
    UNKNOWN_COMMAND 27 "Unrecognized command";
    WONT_FIT 28 "Selected item cannot fit into memory";
    WRITE 29 "Disk write error";
    BAD_ARGUMENT 30 "Invalid argument";
    UNALIGNED 31 "File is not sector aligned";
    PRIVILEGED 32 "Must be authenticated";
    NOT_INITIALIZED 33 "Device not initialized yet";
    NO_SPARE_SECTORS 34 "No spare sectors on the disk";
    NUMBER_OVERFLOW 35 "Overflow while parsing number";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error {}: {}", self.0, self.text())
    }
}

/// A command's failure: GRUB's number, and below it what was found and what would work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// GRUB's number for it.
    pub code: Code,
    /// Reasons, the outermost first; each is shown on a line of its own.
    pub detail: Vec<String>,
}

impl Failure {
    /// A failure without detail.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: Vec::new(),
        }
    }

    /// Adds a reason below those already there.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.detail.push(reason.into());
        self
    }

    /// Says what was being done: `what: ` before the first reason, or alone where there is none.
    #[must_use]
    pub fn during(mut self, what: &str) -> Self {
        match self.detail.first_mut() {
            Some(first) => *first = alloc::format!("{what}: {first}"),
            None => self.detail.push(what.into()),
        }
        self
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Failure {
    /// `Error 15: File not found` and a line of two blanks and text for each reason; no final newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.detail
            .iter()
            .try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl core::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn shows_number_text_and_reasons() {
        let failure = Failure::new(Code::FILE_NOT_FOUND)
            .because("no such entry in /boot")
            .because("look there");
        assert_eq!(
            failure.during("kernel /boot/v").to_string(),
            "Error 15: File not found\n  kernel /boot/v: no such entry in /boot\n  look there"
        );
        assert_eq!(
            Failure::new(Code(99)).during("x").to_string(),
            "Error 99: Unknown error\n  x"
        );
    }
}
