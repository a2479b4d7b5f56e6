//! Bytes to keys. Escape sequences are told from a lone ESC by time: [`ESCAPE_WAIT`] without a further byte.
//!
//! [`Decoder`] is pure: bytes and the time go in, keys come out. [`Keyboard`] joins it to a [`Terminal`].
//! Sequences: those of vt100, xterm, linux and rxvt for the keys that [`Key`] names; others are swallowed.
//!
//! Only what terminals send is a sequence. ESC and a letter are two keys, however fast: a guest that was not run
//! for a while finds both at once, and GRUB 0.97 knows no Alt.

use core::time::Duration;

use crate::terminal::{Input, ShutdownRequest, Terminal};

/// How long after an ESC the next byte may come and still belong to it.
///
/// The original counted polling turns and so split arrows on slow consoles; 100 ms is more than a network console
/// needs between bytes of one write, and less than a person notices.
pub const ESCAPE_WAIT: Duration = Duration::from_millis(100);

/// Longest escape sequence, in bytes after the ESC; a longer one is noise and ends here.
const MAX_SEQUENCE: usize = 16;

/// One key press.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// A printable byte: ASCII, or a byte of whatever encoding the terminal uses.
    Char(u8),
    /// Control and a letter, as the lower-case letter: `Ctrl(b'a')`.
    Ctrl(u8),
    /// Enter, as CR or LF.
    Enter,
    /// Tab.
    Tab,
    /// Backspace, as 0x08 or 0x7f.
    Backspace,
    /// A lone ESC.
    Escape,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Insert.
    Insert,
    /// Delete.
    Delete,
    /// Not a key: the terminal says where its cursor is, both from 1.
    Report {
        /// Column.
        columns: u16,
        /// Row.
        rows: u16,
    },
    /// Something was pressed that has no meaning here.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Ground,
    /// After ESC, since this time.
    Escape(Duration),
    /// After `ESC [`.
    Csi(Csi),
    /// After `ESC O`, since this time.
    Ss3(Duration),
}

/// A control sequence being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Csi {
    /// Its first two parameters so far.
    numbers: [u16; 2],
    /// Which of them is being read; beyond them, nothing is kept.
    place: usize,
    /// Bytes after `ESC [`.
    len: usize,
    /// When the last byte came.
    last: Duration,
}

/// The keys that came of one byte or of time, in order.
pub type Keys = [Option<Key>; 3];

/// Puts two lists of keys in a row; together they are at most three.
fn both(first: Keys, second: Keys) -> Keys {
    let mut keys = first.into_iter().chain(second).flatten();
    core::array::from_fn(|_| keys.next())
}

/// Assembles keys from bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    state: State,
    /// The last byte was a CR: an LF straight after it belongs to the same Enter.
    after_cr: bool,
}

impl Decoder {
    /// Takes one byte that came at time `now`.
    ///
    /// A byte can end an earlier key and begin or be another: the older ones come first.
    pub fn feed(&mut self, byte: u8, now: Duration) -> Keys {
        let overdue = self.expire(now);
        let after_cr = core::mem::take(&mut self.after_cr);
        let keys = match self.state {
            State::Ground => [self.at_ground(byte, after_cr, now), None, None],
            State::Escape(_) => self.after_escape(byte, now),
            State::Ss3(_) => self.after_ss3(byte, now),
            State::Csi(csi) => [self.in_csi(byte, csi, now), None, None],
        };
        both(overdue, keys)
    }

    /// The time at which [`Decoder::expire`] would yield a key.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Ground => None,
            State::Escape(since) | State::Ss3(since) | State::Csi(Csi { last: since, .. }) => {
                Some(since.saturating_add(ESCAPE_WAIT))
            }
        }
    }

    /// The keys that an unfinished sequence turns into once its time is over.
    pub fn expire(&mut self, now: Duration) -> Keys {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return [None; 3];
        }
        let (first, second) = match core::mem::take(&mut self.state) {
            State::Ground => (None, None),
            State::Escape(_) => (Some(Key::Escape), None),
            State::Ss3(_) => (Some(Key::Escape), Some(Key::Char(b'O'))),
            State::Csi(Csi { len: 0, .. }) => (Some(Key::Escape), Some(Key::Char(b'['))),
            State::Csi(_) => (Some(Key::Other), None),
        };
        [first, second, None]
    }

    /// A byte that belongs to no sequence, or begins one.
    fn at_ground(&mut self, byte: u8, after_cr: bool, now: Duration) -> Option<Key> {
        self.after_cr = byte == b'\r';
        match byte {
            0x1b => {
                self.state = State::Escape(now);
                None
            }
            b'\n' if after_cr => None,
            _ => Some(plain(byte)),
        }
    }

    fn after_escape(&mut self, byte: u8, now: Duration) -> Keys {
        self.state = State::Ground;
        match byte {
            b'[' => {
                self.state = State::Csi(Csi {
                    numbers: [0; 2],
                    place: 0,
                    len: 0,
                    last: now,
                });
                [None; 3]
            }
            b'O' => {
                self.state = State::Ss3(now);
                [None; 3]
            }
            // The ESC was alone; a second one may begin a sequence.
            _ => [Some(Key::Escape), self.at_ground(byte, false, now), None],
        }
    }

    fn after_ss3(&mut self, byte: u8, now: Duration) -> Keys {
        self.state = State::Ground;
        match byte {
            // Arrows and the like, F1 to F4, and the keypad, which also sends the letters from j to y.
            b'A'..=b'F' | b'H' | b'M' | b'P'..=b'S' | b'X' | b'j'..=b'y' => {
                [Some(final_byte(byte, 0)), None, None]
            }
            _ => [
                Some(Key::Escape),
                Some(Key::Char(b'O')),
                self.at_ground(byte, false, now),
            ],
        }
    }

    fn in_csi(&mut self, byte: u8, csi: Csi, now: Duration) -> Option<Key> {
        let mut csi = Csi {
            last: now,
            len: csi.len.saturating_add(1),
            ..csi
        };
        self.state = State::Ground;
        match byte {
            0x1b => {
                self.state = State::Escape(now);
                return Some(Key::Other);
            }
            _ if csi.len > MAX_SEQUENCE => return Some(Key::Other),
            b'0'..=b'9' => {
                if let Some(number) = csi.numbers.get_mut(csi.place) {
                    let digit = u16::from(byte.wrapping_sub(b'0'));
                    *number = number.saturating_mul(10).saturating_add(digit);
                }
            }
            b';' => csi.place = csi.place.saturating_add(1),
            // `[[A` is how the Linux console sends F1.
            b'[' if csi.len == 1 => csi.numbers[0] = u16::MAX,
            0x20..=0x3f => csi.place = usize::MAX,
            b'R' if csi.place == 1 => {
                let [rows, columns] = csi.numbers;
                return Some(Key::Report { columns, rows });
            }
            // A second number is a modifier: Shift-Up counts as Up.
            0x40..=0x7e => return Some(final_byte(byte, csi.numbers[0])),
            _ => return Some(Key::Other),
        }
        self.state = State::Csi(csi);
        None
    }
}

fn plain(byte: u8) -> Key {
    match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x08 | 0x7f => Key::Backspace,
        0x01..=0x1a => Key::Ctrl(byte | 0x60),
        0x20..=0x7e | 0x80..=0xff => Key::Char(byte),
        _ => Key::Other,
    }
}

/// The key of a sequence's last byte; `number` is the first parameter.
fn final_byte(byte: u8, number: u16) -> Key {
    match (byte, number) {
        (_, u16::MAX) => Key::Other,
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'F', _) | (b'~', 4 | 8) => Key::End,
        (b'H', _) | (b'~', 1 | 7) => Key::Home,
        (b'M', 0) => Key::Enter,
        (b'~', 2) => Key::Insert,
        (b'~', 3) => Key::Delete,
        (b'~', 5) => Key::PageUp,
        (b'~', 6) => Key::PageDown,
        _ => Key::Other,
    }
}

/// What ended a wait for a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A key.
    Key(Key),
    /// The deadline passed.
    Timeout,
    /// The toolstack asked the domain to stop.
    Shutdown(ShutdownRequest),
}

/// A [`Decoder`] and the keys it already has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keyboard {
    decoder: Decoder,
    ready: Keys,
}

impl Keyboard {
    /// The next key, waiting until `deadline` (`None`: for ever).
    pub fn next(&mut self, terminal: &mut dyn Terminal, deadline: Option<Duration>) -> Event {
        loop {
            if let Some(key) = self.ready.iter_mut().find_map(Option::take) {
                return Event::Key(key);
            }
            let wait = match (self.decoder.deadline(), deadline) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            match terminal.read(wait) {
                Some(Input::Shutdown(request)) => return Event::Shutdown(request),
                Some(Input::Byte(byte)) => self.ready = self.decoder.feed(byte, terminal.now()),
                None => {
                    let now = terminal.now();
                    self.ready = self.decoder.expire(now);
                    let is_over = deadline.is_some_and(|deadline| now >= deadline);
                    if is_over && self.ready.iter().all(Option::is_none) {
                        return Event::Timeout;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut keys: Vec<Key> = bytes
            .iter()
            .flat_map(|byte| decoder.feed(*byte, Duration::ZERO))
            .flatten()
            .collect();
        keys.extend(decoder.expire(ESCAPE_WAIT).into_iter().flatten());
        keys
    }

    #[test]
    fn plain_bytes() {
        use Key::{Backspace, Char, Ctrl, Enter, Other, Tab};
        assert_eq!(keys(b"a\xe9"), [Char(b'a'), Char(0xe9)]);
        assert_eq!(
            keys(b"\x10\t\x7f\x08\0"),
            [Ctrl(b'p'), Tab, Backspace, Backspace, Other]
        );
        assert_eq!(keys(b"\r\n\n\r"), [Enter, Enter, Enter]);
    }

    #[test]
    fn sequences_of_several_terminals() {
        use Key::{Delete, Down, End, Home, Left, PageDown, PageUp, Right, Up};
        assert_eq!(keys(b"\x1b[A\x1b[B\x1b[C\x1b[D"), [Up, Down, Right, Left]);
        assert_eq!(keys(b"\x1bOA\x1bOB\x1bOH\x1bOF"), [Up, Down, Home, End]);
        assert_eq!(
            keys(b"\x1b[1~\x1b[7~\x1b[H\x1b[4~\x1b[8~\x1b[F"),
            [Home, Home, Home, End, End, End]
        );
        assert_eq!(keys(b"\x1b[3~\x1b[5~\x1b[6~"), [Delete, PageUp, PageDown]);
        assert_eq!(keys(b"\x1b[1;2A"), [Up]);
        assert_eq!(
            keys(b"\x1b[30;100R"),
            [Key::Report {
                columns: 100,
                rows: 30
            }]
        );
    }

    #[test]
    fn unknown_sequences_are_swallowed_whole() {
        assert_eq!(keys(b"\x1b[24~x"), [Key::Other, Key::Char(b'x')]);
        assert_eq!(keys(b"\x1b[[Ax"), [Key::Other, Key::Char(b'x')]);
        assert_eq!(keys(b"\x1b[?1;2cx"), [Key::Other, Key::Char(b'x')]);
        assert_eq!(
            keys(b"\x1b[1111111111111111111111A").first(),
            Some(&Key::Other)
        );
    }

    #[test]
    fn a_lone_escape_needs_time() {
        let mut decoder = Decoder::default();
        let ms = Duration::from_millis;
        assert_eq!(decoder.feed(0x1b, ms(0)), [None; 3]);
        assert_eq!(decoder.expire(ms(99)), [None; 3]);
        assert_eq!(decoder.deadline(), Some(ms(100)));
        assert_eq!(decoder.expire(ms(100))[0], Some(Key::Escape));
        assert_eq!(decoder.deadline(), None);
        // A byte that comes late does not belong to the ESC.
        decoder.feed(0x1b, ms(200));
        assert_eq!(
            decoder.feed(b'[', ms(301)),
            [Some(Key::Escape), Some(Key::Char(b'[')), None]
        );
        assert_eq!(keys(b"\x1b\x1b"), [Key::Escape, Key::Escape]);
    }

    /// A guest that was not run for a while finds what was typed meanwhile all at once.
    #[test]
    fn escape_and_a_letter_are_two_keys() {
        use Key::{Char, Ctrl, Enter, Escape, Up};
        assert_eq!(keys(b"\x1bc"), [Escape, Char(b'c')]);
        assert_eq!(keys(b"\x1b\r\n"), [Escape, Enter]);
        assert_eq!(keys(b"\x1b\x0e\xe9"), [Escape, Ctrl(b'n'), Char(0xe9)]);
        assert_eq!(keys(b"\x1b\x1b[A"), [Escape, Up]);
        // What begins like a sequence and is none.
        assert_eq!(keys(b"\x1bO"), [Escape, Char(b'O')]);
        assert_eq!(keys(b"\x1bOe"), [Escape, Char(b'O'), Char(b'e')]);
        assert_eq!(keys(b"\x1bO\x1b[A"), [Escape, Char(b'O'), Up]);
        assert_eq!(keys(b"\x1b["), [Escape, Char(b'[')]);
        let mut decoder = Decoder::default();
        decoder.feed(0x1b, Duration::ZERO);
        decoder.feed(b'O', Duration::ZERO);
        assert_eq!(
            decoder.feed(b'x', ESCAPE_WAIT),
            [Some(Escape), Some(Char(b'O')), Some(Char(b'x'))]
        );
    }

    #[test]
    fn slow_sequences_are_kept_together() {
        let mut decoder = Decoder::default();
        let ms = Duration::from_millis;
        decoder.feed(0x1b, ms(0));
        decoder.feed(b'[', ms(90));
        assert_eq!(decoder.feed(b'A', ms(180)), [Some(Key::Up), None, None]);
    }
}
