//! GRUB's numbered errors, and the chain of reasons that goes with one.
//!
//! [`Code`] is the number users look up; its meaning is that of GRUB 0.97's list. [`Failure`] adds what was found
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
                match self.0 { $($number => $text,)* _ => "unknown error" }
            }
        }
    };
}

codes! {
    FILE_NAME 1 "filename must be either an absolute pathname or blocklist";
    BAD_FILE_TYPE 2 "bad file or directory type";
    BAD_GZIP_DATA 3 "bad or corrupt data while decompressing file";
    BAD_GZIP_HEADER 4 "bad or incompatible header in compressed file";
    BAD_PARTITION_TABLE 5 "partition table invalid or corrupt";
    BAD_VERSION 6 "mismatched or corrupt version of stage1/stage2";
    BELOW_ONE_MEGABYTE 7 "loading below 1MB is not supported";
    KERNEL_NEEDED 8 "kernel must be loaded before booting";
    BOOT_FAILURE 9 "unknown boot failure";
    UNSUPPORTED_FEATURES 10 "unsupported Multiboot features requested";
    UNKNOWN_DEVICE 11 "unrecognized device string, or you omitted the required DEVICE part which should lead the filename";
    INVALID_DEVICE 12 "invalid device requested";
    BAD_EXECUTABLE 13 "invalid or unsupported executable format";
    FILE_LENGTH 14 "filesystem compatibility error, cannot read whole file";
    FILE_NOT_FOUND 15 "file not found";
    FILE_SYSTEM_CORRUPT 16 "inconsistent filesystem structure";
    CANNOT_MOUNT 17 "cannot mount selected partition";
    BEYOND_LIMIT 18 "selected cylinder exceeds maximum supported by BIOS";
    NEED_KERNEL_FIRST 19 "linux kernel must be loaded before initrd";
    NEED_MULTIBOOT 20 "multiboot kernel must be loaded before modules";
    NO_DISK 21 "selected disk does not exist";
    NO_PARTITION 22 "no such partition";
    NUMBER 23 "error while parsing number";
    OUTSIDE_PARTITION 24 "attempt to access block outside partition";
    READ 25 "disk read error";
    TOO_MANY_LINKS 26 "too many symbolic links";
    UNKNOWN_COMMAND 27 "unrecognized command";
    WONT_FIT 28 "selected item cannot fit into memory";
    WRITE 29 "disk write error";
    BAD_ARGUMENT 30 "invalid argument";
    UNALIGNED 31 "file is not sector aligned";
    PRIVILEGED 32 "must be authenticated";
    NEED_INITRD_KERNEL 33 "serial device not configured";
    NO_SPARE_SECTORS 34 "no spare sectors on the disk";
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
    /// `Error 15: file not found` and a line of two blanks and text for each reason; no final newline.
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
            "Error 15: file not found\n  kernel /boot/v: no such entry in /boot\n  look there"
        );
        assert_eq!(
            Failure::new(Code(99)).during("x").to_string(),
            "Error 99: unknown error\n  x"
        );
    }
}
