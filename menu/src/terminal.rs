//! What the menu needs from a console: bytes out, bytes in until a deadline, and a clock.

use core::time::Duration;

/// What the toolstack asks of this domain (`control/shutdown` in xenstore).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShutdownRequest {
    /// `poweroff` or `halt`.
    PowerOff,
    /// `reboot`.
    Reboot,
}

/// What a terminal understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TerminalKind {
    /// Cursor addressing and reverse video, as every terminal behind `xl console` does.
    #[default]
    Vt100,
    /// Text and backspace only: the list is printed, not drawn.
    Dumb,
}

/// What ended a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// A byte was typed.
    Byte(u8),
    /// The toolstack asked the domain to stop; the menu ends and says so in its outcome.
    Shutdown(ShutdownRequest),
}

/// A console. Nothing here may block for ever except [`Terminal::read`] without a deadline.
pub trait Terminal {
    /// Sends bytes. Where nobody reads the console they are dropped after a bounded wait, never waited for.
    fn write(&mut self, bytes: &[u8]);

    /// Waits for input until [`Terminal::now`] reaches `deadline` (`None`: for ever, the processor asleep).
    ///
    /// `None` when the deadline passed. A deadline in the past only looks whether something is there already.
    fn read(&mut self, deadline: Option<Duration>) -> Option<Input>;

    /// Time since some fixed moment; never goes back.
    fn now(&self) -> Duration;
}

/// Sends text: each newline becomes carriage return and newline. Other controls are not sent: the text may hold what a
/// menu, a disk or a server says, and that must not drive the terminal of whoever looks.
pub fn print(terminal: &mut dyn Terminal, text: &str) {
    let mut first = true;
    for line in text.split('\n') {
        if !first {
            terminal.write(b"\r\n");
        }
        first = false;
        if line.contains(char::is_control) {
            terminal.write(
                line.replace('\t', " ")
                    .replace(char::is_control, "?")
                    .as_bytes(),
            );
        } else if !line.is_empty() {
            terminal.write(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::print;
    use crate::fake::FakeTerminal;

    #[test]
    fn text_does_not_drive_the_terminal() {
        let mut terminal = FakeTerminal::default();
        print(&mut terminal, "a\tb\n\x1b[2J\x7f\u{9b}1m\n\né");
        assert_eq!(terminal.text(), "a b\r\n?[2J??1m\r\n\r\né");
    }
}
