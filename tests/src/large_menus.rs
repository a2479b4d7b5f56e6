//! Menus far larger than any guest has, of every kind that might cost a program more than its length.
//!
//! A [`Kind`] makes a menu of any length by repeating a piece.

/// A kind of menu.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What is special about it.
    pub name: &'static str,
    /// What it begins with.
    head: &'static str,
    /// What follows, again and again; the number counts from 0.
    piece: fn(usize) -> Vec<u8>,
}

/// An entry's beginning up to the kernel's arguments.
const ENTRY: &str =
    "timeout 5\ntitle Linux\nroot (hd0,0)\nkernel /vmlinuz root=/dev/xvda1 console=hvc0";

/// How often a piece stands on each of the long lines: 100 kB.
const PIECES_OF_LINE: usize = 8000;

macro_rules! kinds {
    ($($name:literal $head:expr, |$number:pat_param| $piece:expr;)*) => {
        /// All kinds.
        pub const KINDS: &[Kind] = &[$(Kind {
            name: $name,
            head: $head,
            piece: |$number| $piece.into(),
        }),*];
    };
}

kinds! {
    "ordinary entries" "default 0\ntimeout 5\ncolor cyan/blue white/blue\n", |n| ordinary(n);
    "lines that end in CR LF" "timeout 5\r\n", |n| ordinary(n).replace('\n', "\r\n");
    "comments" ENTRY, |_| "\n## should update-grub create alternative automagic boot options, e.g. alternative=true";
    "findings on every line" "", |n| format!(
        "title x{n}\nroot (hd0,msdos1)\nlinux /vmlinuz-{n} ro\nkernal /vmlinuz root=/dev/sda1\nkernel vmlinuz root=/dev/hda1 console=ttyS0\n\
        initrd (hd0,1\ninstall\nmap\nsplashimage x\n");
    "one setting many times" "", |n| format!("timeout {n} s\ncolor {n}\n");
    "one title many times" "timeout 5\n", |_| "title Linux\nroot (hd0,0)\nkernel /vmlinuz root=/dev/xvda1\n";
    "directives" "", |n| format!(
        "# pvgrub: allow(no-console, bad-device)\ntitle {n}\n# pvgrub: allow(nul)\nroot (hd9\nkernel /v\n");
    "other alphabets" "timeout 5\n", |n| format!("title Größe {n} 漢字\nroot (hd0,0)\nkernel /vmlinuz root=/dev/xvda1 console=hvc0\n");
    "lines of 100 kB" ENTRY, |n| match n % PIECES_OF_LINE {
        0 => format!("\ntitle {n}\nroot (hd0,0)\nkernel /vmlinuz root=/dev/xvda1 console=hvc0"),
        _ => " quiet splash".to_owned(),
    };
    "one kernel's arguments" ENTRY, |_| " quiet splash";
    "the same, joined line by line" ENTRY, |_| " \\\nquiet splash";
    "one initrd's files" "timeout 5\ntitle Linux\nkernel /v\ninitrd", |n| format!(" /initrd-{n}");
    "one list of fallbacks" "timeout 5\nfallback", |n| format!(" {n}");
    "one word" "", |_| "x";
    "one word of backslashes" "", |_| "\\";
    "titles alone" "", |_| "title\n";
    "blank lines" "", |_| "\n";
    "noise" "", |n| noise(n);
}

/// As Debian's update-grub wrote them.
fn ordinary(number: usize) -> String {
    format!(
        "# Entry {number}, see /usr/share/doc/grub\ntitle\t\tDebian GNU/Linux, kernel 6.1.0-{number}-amd64\nroot\t\t(hd0,0)\n\
        kernel\t\t/boot/vmlinuz-6.1.0-{number}-amd64 root=/dev/xvda1 ro quiet console=hvc0\n\
        initrd\t\t/boot/initrd.img-6.1.0-{number}-amd64\n\n"
    )
}

/// Bytes without a pattern: SplitMix64 (Steele, Lea, Flood 2014).
fn noise(number: usize) -> [u8; 8] {
    let mut bits = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ bits >> 31).to_le_bytes()
}

impl Kind {
    /// A menu of this kind, of at least `bytes` bytes and at most one piece more.
    #[must_use]
    pub fn menu(&self, bytes: usize) -> Vec<u8> {
        let mut text = self.head.as_bytes().to_vec();
        for number in 0.. {
            if text.len() >= bytes {
                break;
            }
            text.extend((self.piece)(number));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::KINDS;

    #[test]
    fn menus_have_the_length_that_was_asked_for() {
        for kind in KINDS {
            let len = kind.menu(100_000).len();
            assert!((100_000..100_500).contains(&len), "{}: {len}", kind.name);
        }
    }
}
