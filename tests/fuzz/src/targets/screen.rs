//! The menu at work: a menu's text, and anything typed at it, until it boots or is told to stop.

use std::time::Duration;

use menu::{
    Code, Failure, Input as Key, ItemKind, KernelOptions, ListItem, Machine, Options, Reply,
    Search, ShutdownRequest, Terminal, Unattended, Unzip, Verify, run,
};

use super::menu::{WORDS_OF_MENUS, corpus};
use crate::Target;
use crate::input::{Input, piece};

pub(crate) const MENU: Target = Target {
    name: "menu",
    about: "a menu's text run as a whole, with anything typed at it: screens, editor, prompt, commands",
    longest: 3000,
    heap_mib: 16,
    words: WORDS_OF_MENUS,
    seeds,
    run: play,
};

/// Keys as people press them.
const TYPED: [&[u8]; 8] = [
    b"\r",
    b"\x1b[B\x1b[B\r",
    b"e\x1b[Bexx\r\x1bb",
    b"c\t\tkernel /boot/vm\t ro\rinitrd /boot/initrd.img\rboot\r",
    b"p\rsecret\r",
    b"chelp\rhelp kernel\rcat /menu.lst\rfind /boot/vmlinuz\rgeometry (hd0)\rmd5crypt\rx\r",
    b"\x1b\xfe\x02o\x1b[3~d\x1b[5~\x1b[6~\x1b[H\x1b[F1",
    b"\xfe\xff\xfe\xff\xfe\xff",
];

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, text) in corpus().into_iter().enumerate() {
        let keys = TYPED[number % TYPED.len()];
        seeds.push(
            [
                vec![number as u8],
                piece(&text[..text.len().min(1500)]),
                keys.to_vec(),
            ]
            .concat(),
        );
    }
    for (number, keys) in TYPED.iter().enumerate() {
        let text = b"default 1\ntimeout 5\nfallback 0\ntitle a\nkernel /boot/vmlinuz\ntitle b\nroot (hd0,0)\nkernel /none\n";
        seeds.push([vec![number as u8 * 16], piece(text), keys.to_vec()].concat());
    }
    seeds
}

/// Reads that a run may make after its input has been typed.
const IDLE_MAX: u32 = 300;
/// Bytes that a run may print for each byte of its input and each idle wait.
const PRINTED_MAX: usize = 60_000;

/// A terminal at which an input is typed. 0xfe and a number wait so many tenths of a second; 0xff asks the guest to stop.
struct Typist<'a> {
    keys: Input<'a>,
    now: Duration,
    idle: u32,
    printed: Vec<u8>,
    reads: usize,
}

impl Typist<'_> {
    fn rest(&mut self, deadline: Option<Duration>) -> Option<Key> {
        self.idle += 1;
        match deadline {
            Some(deadline) if self.idle < IDLE_MAX => {
                self.now = self.now.max(deadline);
                None
            }
            _ => Some(Key::Shutdown(ShutdownRequest::PowerOff)),
        }
    }
}

impl Terminal for Typist<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.printed.extend_from_slice(bytes);
    }

    fn read(&mut self, deadline: Option<Duration>) -> Option<Key> {
        self.reads += 1;
        // Sequences are never torn apart between two reads.
        check_printed(&core::mem::take(&mut self.printed));
        if self.keys.is_empty() {
            return self.rest(deadline);
        }
        match self.keys.u8() {
            0xfe => {
                let wait = Duration::from_millis(100 * u64::from(self.keys.u8()));
                let until = self.now + wait;
                // A wait beyond the deadline is one to the deadline.
                self.now = deadline.map_or(until, |deadline| until.min(deadline).max(self.now));
                match deadline {
                    None => Some(Key::Byte(b' ')),
                    Some(_) => None,
                }
            }
            0xff => Some(Key::Shutdown(ShutdownRequest::Reboot)),
            byte => Some(Key::Byte(byte)),
        }
    }

    fn now(&self) -> Duration {
        self.now
    }
}

/// Whatever a menu holds and whoever types, a terminal is sent text and sequences of a vt100 only.
fn check_printed(bytes: &[u8]) {
    assert!(
        bytes.len() < PRINTED_MAX,
        "{} bytes printed at once",
        bytes.len()
    );
    let text = core::str::from_utf8(bytes).expect("what is printed is UTF-8");
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => match chars.next() {
                Some('7' | '8') => {}
                Some('[') => {
                    let last = chars.find(|c| !matches!(c, '0'..='9' | ';' | '?'));
                    assert!(
                        last.is_some_and(|c| c.is_ascii_alphabetic()),
                        "ESC [ … {last:?}"
                    );
                }
                other => panic!("ESC {other:?} is sent to the terminal"),
            },
            '\r' | '\n' | '\x08' | '\x07' => {}
            c => assert!(!c.is_control(), "{c:?} is sent to the terminal in {text:?}"),
        }
    }
}

/// Some files, of which one is the menu again.
struct Host<'a> {
    menu: &'a [u8],
    kernel: bool,
    mood: u8,
}

impl Host<'_> {
    fn find_file(&self, file: &[u8]) -> Result<(), Failure> {
        match file.rsplit(|byte| *byte == b'/').next() {
            Some(name) if name.starts_with(b"none") => {
                Err(Failure::new(Code::FILE_NOT_FOUND).because("no such file"))
            }
            Some(_) if self.mood & 1 != 0 => {
                Err(Failure::new(Code::FILE_NOT_FOUND).because(file.escape_ascii().to_string()))
            }
            _ => Ok(()),
        }
    }
}

impl Machine for Host<'_> {
    fn reset(&mut self) {
        self.kernel = false;
    }

    fn set_root(&mut self, device: &[u8], _: Verify) -> Reply {
        if device.starts_with(b"(hd9") {
            return Err(Failure::new(Code::NO_DISK).because("there is 1 disk"));
        }
        Ok(" Filesystem type is ext2".into())
    }

    fn load_kernel(&mut self, file: &[u8], _: &[u8], _: &KernelOptions) -> Reply {
        self.find_file(file)?;
        self.kernel = true;
        Ok("   [bzImage]".into())
    }

    fn add_initrd(&mut self, file: &[u8]) -> Reply {
        self.find_file(file).map(|()| String::new())
    }

    fn add_module(&mut self, file: &[u8], _: &[u8], _: Unzip) -> Reply {
        self.find_file(file).map(|()| String::new())
    }

    fn boot(&mut self) -> Result<(), Failure> {
        match (self.kernel, self.mood & 2) {
            (true, 0) => Ok(()),
            _ => Err(Code::NEED_KERNEL_FIRST.into()),
        }
    }

    fn read_file(&mut self, file: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
        self.find_file(file)?;
        Ok(self.menu[..self.menu.len().min(limit)].to_vec())
    }

    fn devices(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        Ok([b"(hd0)".to_vec(), b"(hd0,0)".to_vec()].into())
    }

    fn list(&mut self, _: &[u8]) -> Result<Vec<ListItem>, Failure> {
        let item = |name: &[u8], kind| ListItem {
            name: name.to_vec(),
            kind,
        };
        Ok(vec![
            item(b"boot", ItemKind::Folder),
            item(b"vmlinuz", ItemKind::File),
            item(
                self.menu.get(..self.menu.len().min(20)).unwrap_or_default(),
                ItemKind::File,
            ),
        ])
    }

    fn find(&mut self, search: Search<'_>) -> Result<Vec<Vec<u8>>, Failure> {
        match search {
            Search::File(file) => self.find_file(file)?,
            Search::Label(b"none") => return Err(Code::FILE_NOT_FOUND.into()),
            Search::Label(_) | Search::Uuid(_) => {}
        }
        Ok(vec![b"(hd0,0)".to_vec(), b"(hd1)".to_vec()])
    }

    fn saved_default(&mut self) -> Vec<u8> {
        self.menu.get(..12).unwrap_or_default().to_vec()
    }
}

fn play(input: &[u8]) {
    // How long a password takes to check is bounded elsewhere, and would be all that is measured here.
    if input.windows(7).any(|part| part == b"rounds=") {
        return;
    }
    let mut input = Input::new(input);
    let flags = input.u8();
    let text = input.piece();
    let mut host = Host {
        menu: text,
        kernel: false,
        mood: flags,
    };
    let mut typist = Typist {
        keys: Input::new(input.all()),
        now: Duration::ZERO,
        idle: 0,
        printed: Vec::new(),
        reads: 0,
    };
    let options = Options {
        unattended: [
            Unattended::Wait,
            Unattended::RetryAfter(5),
            Unattended::Reboot,
            Unattended::PowerOff,
        ][usize::from(flags >> 2 & 3)],
        columns: [80, 20, 132, 41][usize::from(flags >> 4 & 3)],
        rows: [24, 5, 60, 12][usize::from(flags >> 6)],
        ..Options::default()
    };
    let menu = Some(text).filter(|_| flags & 3 != 3);
    let _ = run(menu, &mut typist, &mut host, &options);
    check_printed(&typist.printed);
}
