//! A recording machine and a scripted terminal for the tests.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::error::{Code, Failure};
use crate::machine::{ItemKind, KernelOptions, ListItem, Machine, Reply, Search, Unzip, Verify};
use crate::terminal::{Input, ShutdownRequest, Terminal};

/// Has the files it was given, and writes down what it was asked.
#[derive(Debug, Default)]
pub(crate) struct FakeMachine {
    files: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) log: Vec<String>,
    root: Vec<u8>,
    kernel: bool,
    pub(crate) saved: Vec<u8>,
    /// What `savedefault` answers, where it is to fail.
    pub(crate) save_failure: Option<Failure>,
    pub(crate) boot_failure: Option<Failure>,
    /// Why no folder can be listed.
    pub(crate) list_failure: Option<Failure>,
}

impl FakeMachine {
    pub(crate) fn with_files(names: &[&str]) -> Self {
        let mut machine = Self::default();
        names.iter().for_each(|name| machine.add_file(name, b""));
        machine
    }

    pub(crate) fn add_file(&mut self, name: &str, bytes: &[u8]) {
        self.files.insert(name.as_bytes().to_vec(), bytes.to_vec());
    }

    fn full_name(&self, file: &[u8]) -> Vec<u8> {
        if file.starts_with(b"(") {
            file.to_vec()
        } else {
            [&self.root[..], file].concat()
        }
    }

    fn open(&mut self, what: &str, file: &[u8], more: &str) -> Result<Vec<u8>, Failure> {
        let name = self.full_name(file);
        self.log
            .push(format!("{what} {}{more}", String::from_utf8_lossy(&name)));
        self.files
            .get(&name)
            .cloned()
            .ok_or_else(|| Failure::new(Code::FILE_NOT_FOUND).because("no such file"))
    }
}

impl Machine for FakeMachine {
    fn reset(&mut self) {
        self.log.push("reset".into());
        self.root = b"(nd)".to_vec();
        self.kernel = false;
    }

    fn set_root(&mut self, device: &[u8], verify: Verify) -> Reply {
        self.log.push(format!(
            "root {} {verify:?}",
            String::from_utf8_lossy(device)
        ));
        if device.starts_with(b"(hd9") {
            return Err(Failure::new(Code::NO_DISK).because("there are 1 disks"));
        }
        self.root = device.to_vec();
        Ok(match verify {
            Verify::Mount => " Filesystem type is ext2fs".into(),
            Verify::SetOnly => String::new(),
        })
    }

    fn load_kernel(&mut self, file: &[u8], args: &[u8], options: &KernelOptions) -> Reply {
        let image_type = options.image_type.as_deref().map(String::from_utf8_lossy);
        let mut more = format!(" [{}]", String::from_utf8_lossy(args));
        more.extend(image_type.map(|name| format!(" type={name}")));
        more.push_str(if options.no_mem_option { " no-mem" } else { "" });
        self.open("kernel", file, &more)?;
        self.kernel = true;
        Ok(String::new())
    }

    fn add_initrd(&mut self, file: &[u8]) -> Reply {
        if !self.kernel {
            return Err(Code::NEED_KERNEL_FIRST.into());
        }
        self.open("initrd", file, "").map(|_| String::new())
    }

    fn add_module(&mut self, file: &[u8], args: &[u8], unzip: Unzip) -> Reply {
        let more = format!(" [{}] {unzip:?}", String::from_utf8_lossy(args));
        self.open("module", file, &more).map(|_| String::new())
    }

    fn boot(&mut self) -> Result<(), Failure> {
        self.log.push("boot".into());
        self.boot_failure.clone().map_or(Ok(()), Err)
    }

    fn read_file(&mut self, file: &[u8], _: usize) -> Result<Vec<u8>, Failure> {
        self.open("read", file, "")
    }

    fn root(&mut self) -> Vec<u8> {
        self.root.clone()
    }

    fn devices(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        Ok([b"(hd0)".to_vec(), b"(hd0,0)".to_vec()].into())
    }

    fn list(&mut self, folder: &[u8]) -> Result<Vec<ListItem>, Failure> {
        self.list_failure.clone().map_or(Ok(()), Err)?;
        let folder = self.full_name(folder);
        let mut names = BTreeSet::new();
        for rest in self
            .files
            .keys()
            .filter_map(|name| name.strip_prefix(&folder[..]))
        {
            let mut parts = rest.splitn(2, |byte| *byte == b'/');
            let name = parts.next().unwrap().to_vec();
            let kind = if parts.next().is_some() {
                ItemKind::Folder
            } else {
                ItemKind::File
            };
            names.insert((name, kind == ItemKind::Folder));
        }
        let kind = |folder| {
            if folder {
                ItemKind::Folder
            } else {
                ItemKind::File
            }
        };
        Ok(names
            .into_iter()
            .map(|(name, folder)| ListItem {
                name,
                kind: kind(folder),
            })
            .collect())
    }

    fn find(&mut self, search: Search<'_>) -> Result<Vec<Vec<u8>>, Failure> {
        match search {
            Search::File(file) if self.files.contains_key(&[b"(hd0,0)", file].concat()) => {
                Ok([b"(hd0,0)".to_vec()].into())
            }
            Search::Label(b"root" | b"my disk") => {
                Ok([b"(hd0)".to_vec(), b"(hd1)".to_vec()].into())
            }
            _ => Err(Code::FILE_NOT_FOUND.into()),
        }
    }

    fn save_default(&mut self, record: &[u8]) -> Reply {
        self.log
            .push(format!("save {}", String::from_utf8_lossy(record)));
        self.save_failure.clone().map_or(Ok(String::new()), Err)
    }

    fn saved_default(&mut self) -> Vec<u8> {
        self.saved.clone()
    }
}

/// What happens on the console, and when: waits between keys pass at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Byte(u8),
    Wait(Duration),
    Shutdown(ShutdownRequest),
}

/// Plays steps; once they are over, nobody types any more, and a wait for ever becomes a shutdown request.
#[derive(Debug, Default)]
pub(crate) struct FakeTerminal {
    steps: VecDeque<Step>,
    pub(crate) now: Duration,
    pub(crate) sent: Vec<u8>,
    /// Bytes sent, by the second in which they were.
    pub(crate) per_second: BTreeMap<u64, usize>,
}

impl FakeTerminal {
    /// `<1500>` waits milliseconds, `<off>` asks for power off, everything else is typed. A wait of 0.2 s follows ESC.
    pub(crate) fn typing(script: &str) -> Self {
        let mut steps = VecDeque::new();
        let mut rest = script;
        while let Some(c) = rest.chars().next() {
            if let Some((word, after)) =
                rest.strip_prefix('<').and_then(|rest| rest.split_once('>'))
            {
                rest = after;
                match word.parse() {
                    Ok(ms) => steps.push_back(Step::Wait(Duration::from_millis(ms))),
                    Err(_) if word == "esc" => {
                        steps.push_back(Step::Byte(0x1b));
                        steps.push_back(Step::Wait(Duration::from_millis(200)));
                    }
                    Err(_) if word == "off" => {
                        steps.push_back(Step::Shutdown(ShutdownRequest::PowerOff))
                    }
                    Err(_) => std::panic!("unknown step {word}"),
                }
                continue;
            }
            let (one, after) = rest.split_at(c.len_utf8());
            steps.extend(one.bytes().map(Step::Byte));
            rest = after;
        }
        Self {
            steps,
            ..Self::default()
        }
    }

    /// These steps.
    pub(crate) fn playing(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.sent).to_string()
    }
}

impl Terminal for FakeTerminal {
    fn write(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
        *self.per_second.entry(self.now.as_secs()).or_default() += bytes.len();
    }

    fn read(&mut self, deadline: Option<Duration>) -> Option<Input> {
        match self.steps.pop_front() {
            Some(Step::Byte(byte)) => Some(Input::Byte(byte)),
            Some(Step::Shutdown(request)) => Some(Input::Shutdown(request)),
            Some(Step::Wait(wait)) => {
                let left = deadline
                    .map(|deadline| deadline.saturating_sub(self.now))
                    .filter(|left| *left < wait);
                if let Some(left) = left {
                    self.now += left;
                    self.steps.push_front(Step::Wait(wait - left));
                    return None;
                }
                self.now += wait;
                self.read(deadline)
            }
            None => match deadline {
                Some(deadline) => {
                    self.now = self.now.max(deadline);
                    None
                }
                None => Some(Input::Shutdown(ShutdownRequest::PowerOff)),
            },
        }
    }

    fn now(&self) -> Duration {
        self.now
    }
}

/// As much of a vt100 as the menu relies on: a second opinion on what the painter sends.
#[derive(Debug)]
pub(crate) struct Vt100 {
    cells: Vec<Vec<(String, bool)>>,
    column: usize,
    row: usize,
    reverse: bool,
    kept: (usize, usize),
}

impl Vt100 {
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        Self {
            cells: std::vec![std::vec![(" ".into(), false); columns]; rows],
            column: 0,
            row: 0,
            reverse: false,
            kept: (0, 0),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let text = core::str::from_utf8(bytes)
            .expect("OK to unwrap: what is sent is UTF-8, which this test is about");
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\r' => self.column = 0,
                '\n' if self.row + 1 == self.cells.len() => {
                    let columns = self.cells[0].len();
                    self.cells.remove(0);
                    self.cells.push(std::vec![(" ".into(), false); columns]);
                }
                '\n' => self.row += 1,
                '\x08' => self.column = self.column.saturating_sub(1),
                '\x1b' => {
                    match chars.next() {
                        Some('[') => {}
                        Some('7') => {
                            self.kept = (self.column, self.row);
                            continue;
                        }
                        Some('8') => {
                            (self.column, self.row) = self.kept;
                            continue;
                        }
                        other => std::panic!("{other:?} after ESC"),
                    }
                    let mut sequence = String::new();
                    let last = loop {
                        match chars.next().unwrap() {
                            c @ ('0'..='9' | ';') => sequence.push(c),
                            c => break c,
                        }
                    };
                    self.control(&sequence, last);
                }
                c => {
                    // What a width is, another implementation says.
                    let width = unicode_width::UnicodeWidthChar::width(c);
                    self.print(c, width.expect("OK to unwrap: a control fails the test"));
                }
            }
        }
    }

    fn print(&mut self, c: char, width: usize) {
        let row = &mut self.cells[self.row];
        if width == 0 {
            // At a line's beginning there is nothing that it could join.
            if let Some(cell) = self.column.checked_sub(1).and_then(|at| row.get_mut(at)) {
                cell.0.push(c);
            }
            return;
        }
        for place in 0..width {
            if let Some(cell) = row.get_mut(self.column + place) {
                let text = if place == 0 { c.into() } else { String::new() };
                *cell = (text, self.reverse);
            }
        }
        self.column = (self.column + width).min(row.len());
    }

    fn control(&mut self, sequence: &str, last: char) {
        let numbers: Vec<usize> = sequence.split(';').filter_map(|n| n.parse().ok()).collect();
        match last {
            'H' => {
                self.row = numbers
                    .first()
                    .map_or(0, |n| n - 1)
                    .min(self.cells.len() - 1);
                self.column = numbers.get(1).map_or(0, |n| n - 1);
            }
            'J' => {
                assert_eq!((self.row, self.column), (0, 0));
                self.cells
                    .iter_mut()
                    .flatten()
                    .for_each(|cell| *cell = (" ".into(), false));
            }
            'n' => assert_eq!(sequence, "6"),
            'm' => self.reverse = numbers.contains(&7),
            _ => std::panic!("{sequence}{last} is not a sequence to rely on"),
        }
    }

    /// In how many rows this character stands in this column.
    pub(crate) fn column_of(&self, c: char, column: usize) -> usize {
        let stands = |cells: &&Vec<(String, bool)>| cells[column].0 == String::from(c);
        self.cells.iter().filter(stands).count()
    }

    /// The page: `[`and `]` around what is in reverse video, `_` where the cursor is.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for (row, cells) in self.cells.iter().enumerate() {
            let line: String = cells.iter().map(|(c, _)| c.as_str()).collect();
            let reverse: String = cells
                .iter()
                .filter(|(_, reverse)| *reverse)
                .map(|(c, _)| c.as_str())
                .collect();
            text.push_str(line.trim_end());
            if !reverse.is_empty() {
                text.push_str(&format!("   <== highlighted: [{}]", reverse.trim()));
            }
            if row == self.row {
                text.push_str(&format!("   <== cursor in column {}", self.column));
            }
            text.push('\n');
        }
        text
    }
}
