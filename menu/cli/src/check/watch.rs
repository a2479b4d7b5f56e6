//! The loader, watched: it reads, unpacks and lays out as in a guest, and stops where a guest would be entered.
//!
//! [`Watch`] stands between the menu and the loader's own [`Loader`] and notes what each entry does. [`Shortcut`] is the
//! loader's launcher: it remembers kernels and initrds that were read before, for entries often share them, and takes
//! the finished image instead of entering it. [`Screen`] is a console that nobody sits at.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use arch::abi::Width;
use arch::{FrameSource, Virt};
use bootloader::build::Image;
use bootloader::files::{self, Blob};
use bootloader::image::{self, ImageError, Kernel, Memory, Source, Span};
use bootloader::machine::{Launcher, Loader};
use fs::DeviceName;
use menu::eval::MAX_KERNEL_ARGS;
use menu::text::visible;
use menu::{
    Code, Failure, Input, KernelOptions, ListItem, Machine, Reply, Search, ShutdownRequest,
    Terminal, Unzip, Verify,
};

/// How much of an initrd is read at a time, only to know that it can be read: 1 MiB.
const READ_BYTES: usize = 1 << 20;

/// Waits of a console after which time flies: no menu that boots by itself has so many, unless it counts for hours.
const PATIENT_WAITS: u32 = 4096;

/// A file as an entry names it: the root device at that moment, and the name.
type FileKey = (Vec<u8>, Vec<u8>);

/// What is known of a kernel or an initrd that was read.
#[derive(Clone, Debug)]
pub(crate) struct FileFact {
    /// The file with its device: `(hd0,0)/boot/vmlinuz`.
    pub(crate) name: Vec<u8>,
    /// Its size in bytes.
    pub(crate) bytes: u64,
}

/// One entry's way: what it loaded, and where it ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    /// Its number in its menu.
    pub(crate) entry: usize,
    /// The menu it is of: 0 is the first one.
    pub(crate) menu: usize,
    /// The kernel's file, once it was named.
    pub(crate) kernel_file: Option<FileFact>,
    /// The kernel, once it was read, or why it was refused.
    pub(crate) kernel: Option<Result<Kernel, ImageError>>,
    /// Initrds and modules, in order.
    pub(crate) initrds: Vec<FileFact>,
    /// The kernel's command line, as the menu and `--append=` make it.
    pub(crate) cmd_line: Vec<u8>,
    /// The image that would have been entered: frames it fills, and the first frame behind it.
    pub(crate) image: Option<(u64, u64)>,
    /// Why it failed.
    pub(crate) failure: Option<Failure>,
    /// What it needs of the network, where it failed for that: `(nd)/vmlinuz`.
    pub(crate) network: Option<String>,
}

impl Attempt {
    /// The command line as the kernel gets it: no more than fits.
    pub(crate) fn command_line(&self) -> &[u8] {
        let len = self.cmd_line.len().min(MAX_KERNEL_ARGS);
        self.cmd_line.get(..len).unwrap_or_default()
    }

    /// Memory that a guest must have for it, in MiB.
    pub(crate) fn needs_mib(&self) -> Option<u64> {
        let (used, end) = self.image?;
        Some(used.max(end).div_ceil(256))
    }
}

/// What was seen of a run.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Entries in the order in which they were tried.
    pub(crate) attempts: Vec<Attempt>,
    /// Menus that were entered behind the first one.
    pub(crate) menus: usize,
    /// `savedefault` was met.
    pub(crate) saves: bool,
    /// The menu waits for a key that nobody presses.
    pub(crate) waits: bool,
    /// Attempts before the menu began all over again, once it has.
    pub(crate) first_round: Option<usize>,
}

/// Kernels and initrds that were read, shared by all runs on the same disks.
#[derive(Default)]
pub(crate) struct Memo {
    kernels: RefCell<BTreeMap<(FileKey, bool), Remembered>>,
    initrds: RefCell<BTreeSet<FileKey>>,
}

type Remembered = (Option<Span>, Result<Kernel, ImageError>);

/// How far kernels and initrds are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Depth {
    /// All of them: what is damaged is found.
    Whole,
    /// Kernels up to their headers, initrds not at all.
    Headers,
}

/// The loader's launcher on a host.
pub(crate) struct Shortcut<'a> {
    width: Width,
    depth: Depth,
    memo: &'a Memo,
    current: RefCell<FileKey>,
    kernel: RefCell<Option<Result<Kernel, ImageError>>>,
    bytes: Cell<u64>,
    image: Cell<Option<(u64, u64)>>,
}

impl<'a> Shortcut<'a> {
    pub(crate) fn new(width: Width, depth: Depth, memo: &'a Memo) -> Self {
        Self {
            width,
            depth,
            memo,
            current: RefCell::default(),
            kernel: RefCell::default(),
            bytes: Cell::new(0),
            image: Cell::new(None),
        }
    }
}

/// Notes how much memory a kernel asks for on its way to the loader.
struct Asked<'a> {
    memory: &'a mut dyn Memory,
    span: Option<Span>,
}

impl Memory for Asked<'_> {
    fn allocate(&mut self, span: Span) -> Result<&mut [u8], image::NoMemory> {
        self.span = Some(span);
        self.memory.allocate(span)
    }
}

impl Shortcut<'_> {
    /// Reads a kernel as deep as is wanted, into `memory`.
    fn read(
        &self,
        source: &dyn Source,
        memory: &mut dyn Memory,
    ) -> (Option<Span>, Result<Kernel, ImageError>) {
        if self.depth == Depth::Whole {
            let mut asked = Asked { memory, span: None };
            let result = image::load(source, self.width, &mut asked);
            return (asked.span, result);
        }
        // The loader reads the headers, then asks for memory.
        let mut front = Front(None);
        let result = image::load(source, self.width, &mut front);
        let Some(span) = front.0 else {
            return (None, result);
        };
        let result = match memory.allocate(span) {
            Ok(_) => Ok(like_linux(self.width, span)),
            Err(error) => Err(error.into()),
        };
        (Some(span), result)
    }
}

/// Memory that is never given: what is wanted of it is all that is asked.
struct Front(Option<Span>);

impl Memory for Front {
    fn allocate(&mut self, span: Span) -> Result<&mut [u8], image::NoMemory> {
        self.0 = Some(span);
        Err(image::NoMemory { needed: 0, free: 0 })
    }
}

/// What a kernel of which the headers alone are known is taken for: Linux, 16 MiB above its base.
fn like_linux(width: Width, span: Span) -> Kernel {
    let virt_base: u64 = match width {
        Width::Bits64 => 0xffff_ffff_8000_0000,
        Width::Bits32 => 0xc000_0000,
    };
    let virt_start = virt_base + (16 << 20);
    Kernel {
        width,
        entry: virt_start,
        virt_base,
        paddr_offset: 0,
        first_pfn: (16 << 20) / 4096,
        virt_start,
        virt_end: virt_start.saturating_add(span.kernel_bytes),
        kernel_bytes: span.kernel_bytes,
        pvh_entry: None,
        hypercall_page: None,
        init_p2m: (width == Width::Bits64).then_some(0x80_0000_0000),
        mod_start_pfn: width == Width::Bits64,
        pae: image::Pae::ExtendedCr3,
        hv_start_low: None,
        features: String::new(),
        guest_os: String::new(),
        guest_version: String::new(),
        bsd_symtab: false,
        packing: image::Packing {
            is_bzimage: false,
            is_gzipped: false,
            codec: None,
            unpacked_bytes: 0,
        },
    }
}

impl Launcher for Shortcut<'_> {
    fn live_tables(&self, _stack_at: Virt) -> Vec<u64> {
        Vec::new()
    }

    fn launch(&self, image: Image) -> Failure {
        self.image.set(Some((image.plan.frames(), image.plan.end)));
        // The menu never sees it: the watch takes the image for a boot.
        Failure::new(Code::BOOT_FAILURE)
    }

    fn width(&self) -> Width {
        self.width
    }

    fn load(&self, source: &dyn Source, memory: &mut dyn Memory) -> Result<Kernel, ImageError> {
        self.bytes.set(source.len());
        let key = (self.current.borrow().clone(), self.width == Width::Bits64);
        let known = self.memo.kernels.borrow().get(&key).cloned();
        let result = match known {
            Some((span, result)) => {
                if let Some(span) = span {
                    memory.allocate(span)?;
                }
                result
            }
            None => {
                let (span, result) = self.read(source, memory);
                // Too little memory is a matter of the guest, not of the file.
                if !matches!(result, Err(ImageError::Memory(_))) {
                    let remembered = (span, result.clone());
                    self.memo.kernels.borrow_mut().insert(key, remembered);
                }
                result
            }
        };
        *self.kernel.borrow_mut() = Some(result.clone());
        result
    }

    fn append(
        &self,
        blob: &mut Blob,
        frames: &dyn FrameSource,
        file: &dyn fs::File,
    ) -> Result<(), Failure> {
        self.bytes.set(file.len());
        let key = self.current.borrow().clone();
        blob.append_room(frames, file.len())
            .map_err(|error| files::memory_failure(&error))?;
        if self.depth == Depth::Headers || self.memo.initrds.borrow().contains(&key) {
            return Ok(());
        }
        let mut piece = vec![0; READ_BYTES];
        let mut done = 0;
        while done < file.len() {
            let count = (file.len() - done).min(READ_BYTES as u64);
            let piece = piece.get_mut(..count as usize).unwrap_or_default();
            file.read_at(done, piece)
                .map_err(|error| bootloader::volumes::failure(&error))?;
            done += count;
        }
        self.memo.initrds.borrow_mut().insert(key);
        Ok(())
    }
}

/// The loader with somebody watching.
pub(crate) struct Watch<'a> {
    loader: Loader<'a>,
    shortcut: &'a Shortcut<'a>,
    notes: Rc<RefCell<Notes>>,
    /// What the last command needed of the network, which is not tried.
    needed: Option<String>,
}

/// Whether `name`, a file or a device, is on the network when `root` is the root device.
pub(crate) fn is_network(name: &[u8], root: &[u8]) -> bool {
    let own = DeviceName::split(name).ok().and_then(|(device, _)| device);
    let device = own.or_else(|| DeviceName::parse(root).ok());
    matches!(device, Some(DeviceName::Net { .. }))
}

impl<'a> Watch<'a> {
    pub(crate) fn new(
        loader: Loader<'a>,
        shortcut: &'a Shortcut<'a>,
        notes: Rc<RefCell<Notes>>,
    ) -> Self {
        Self {
            loader,
            shortcut,
            notes,
            needed: None,
        }
    }

    /// Remembers that a command failed because `name` is on the network.
    fn heed<T>(&mut self, result: Result<T, Failure>, name: &[u8]) -> Result<T, Failure> {
        let is_needed = result.is_err() && is_network(name, &self.loader.root());
        self.needed = is_needed.then(|| visible(&self.full_name(name)));
        result
    }

    /// The file `name` with the root device before it, where it has no device of its own.
    fn full_name(&mut self, name: &[u8]) -> Vec<u8> {
        if name.first() == Some(&b'/') {
            [&self.loader.root()[..], name].concat()
        } else {
            name.to_vec()
        }
    }

    fn expect(&mut self, file: &[u8]) {
        let key = (self.loader.root(), file.to_vec());
        *self.shortcut.current.borrow_mut() = key;
        self.shortcut.bytes.set(0);
        *self.shortcut.kernel.borrow_mut() = None;
    }

    fn note(&self, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.notes.borrow_mut().attempts.last_mut() {
            change(attempt);
        }
    }

    fn fact(&mut self, file: &[u8]) -> FileFact {
        FileFact {
            name: self.full_name(file),
            bytes: self.shortcut.bytes.get(),
        }
    }
}

impl Machine for Watch<'_> {
    fn reset(&mut self) {
        self.loader.reset();
    }

    fn set_root(&mut self, device: &[u8], verify: Verify) -> Reply {
        let result = self.loader.set_root(device, verify);
        self.heed(result, device)
    }

    fn load_kernel(&mut self, file: &[u8], args: &[u8], options: &KernelOptions) -> Reply {
        self.expect(file);
        let reply = self.loader.load_kernel(file, args, options);
        let reply = self.heed(reply, file);
        let fact = self.fact(file);
        let kernel = self.shortcut.kernel.take();
        self.note(|attempt| {
            attempt.kernel_file = Some(fact);
            attempt.kernel = kernel;
            attempt.initrds.clear();
            attempt.cmd_line = args.to_vec();
        });
        reply
    }

    fn add_initrd(&mut self, file: &[u8]) -> Reply {
        self.expect(file);
        let reply = self.loader.add_initrd(file);
        let reply = self.heed(reply, file);
        let fact = self.fact(file);
        self.note(|attempt| attempt.initrds.push(fact));
        reply
    }

    fn add_module(&mut self, file: &[u8], args: &[u8], unzip: Unzip) -> Reply {
        let reply = self.loader.add_module(file, args, unzip);
        let reply = self.heed(reply, file);
        let fact = FileFact {
            name: self.full_name(file),
            bytes: 0,
        };
        self.note(|attempt| attempt.initrds.push(fact));
        reply
    }

    fn boot(&mut self) -> Result<(), Failure> {
        self.shortcut.image.set(None);
        let result = self.loader.boot();
        match self.shortcut.image.take() {
            Some(image) => {
                self.note(|attempt| attempt.image = Some(image));
                Ok(())
            }
            None => result,
        }
    }

    fn read_file(&mut self, file: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
        let result = self.loader.read_file(file, limit);
        self.heed(result, file)
    }

    fn root(&mut self) -> Vec<u8> {
        self.loader.root()
    }

    fn devices(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        self.loader.devices()
    }

    fn list(&mut self, folder: &[u8]) -> Result<Vec<ListItem>, Failure> {
        let result = self.loader.list(folder);
        self.heed(result, folder)
    }

    fn find(&mut self, search: Search<'_>) -> Result<Vec<Vec<u8>>, Failure> {
        self.loader.find(search)
    }

    fn geometry(&mut self, device: &[u8]) -> Reply {
        let result = self.loader.geometry(device);
        self.heed(result, device)
    }

    fn blocklist(&mut self, file: &[u8]) -> Reply {
        let result = self.loader.blocklist(file);
        self.heed(result, file)
    }

    fn network(&mut self, word: &[u8], args: &[u8]) -> Reply {
        self.needed = Some(format!("an answer to `{}`", visible(word)));
        self.loader.network(word, args)
    }

    fn network_menu(&mut self) -> Result<Vec<u8>, Failure> {
        self.needed = Some("the menu that the DHCP server names".to_owned());
        self.loader.network_menu()
    }

    fn chainload(&mut self, file: &[u8]) -> Reply {
        let result = self.loader.chainload(file);
        self.heed(result, file)
    }

    fn enter_menu(&mut self, name: &[u8]) {
        self.notes.borrow_mut().menus += 1;
        self.loader.enter_menu(name);
    }

    fn save_default(&mut self, record: &[u8]) -> Reply {
        self.notes.borrow_mut().saves = true;
        self.loader.save_default(record)
    }

    fn saved_default(&mut self) -> Vec<u8> {
        self.loader.saved_default()
    }

    fn begins(&mut self, entry: usize) {
        self.needed = None;
        let mut notes = self.notes.borrow_mut();
        let menu = notes.menus;
        let is_again = |before: &Attempt| (before.menu, before.entry) == (menu, entry);
        if notes.first_round.is_none() && notes.attempts.iter().any(is_again) {
            notes.first_round = Some(notes.attempts.len());
        }
        notes.attempts.push(Attempt {
            entry,
            menu,
            ..Attempt::default()
        });
    }

    fn failed(&mut self, failure: &Failure) {
        let failure = failure.clone();
        let network = self.needed.take();
        self.note(|attempt| {
            attempt.failure = Some(failure);
            attempt.network = network;
        });
    }
}

/// A console without anybody: keys are never pressed, and waiting takes no time.
pub(crate) struct Screen {
    notes: Rc<RefCell<Notes>>,
    now: Duration,
    waits: u32,
}

impl Screen {
    pub(crate) fn new(notes: Rc<RefCell<Notes>>) -> Self {
        Self {
            notes,
            now: Duration::ZERO,
            waits: 0,
        }
    }
}

impl Terminal for Screen {
    fn write(&mut self, _bytes: &[u8]) {}

    fn read(&mut self, deadline: Option<Duration>) -> Option<Input> {
        let Some(deadline) = deadline else {
            // For ever. The domain's owner loses patience.
            self.notes.borrow_mut().waits = true;
            return Some(Input::Shutdown(ShutdownRequest::PowerOff));
        };
        if self.notes.borrow().first_round.is_some() {
            // Nothing new comes of a second time.
            return Some(Input::Shutdown(ShutdownRequest::PowerOff));
        }
        self.waits = self.waits.saturating_add(1);
        self.now = self.now.max(deadline);
        if self.waits > PATIENT_WAITS {
            // A countdown of years is drawn once a second.
            self.now = self.now.saturating_add(Duration::from_secs(1 << 24));
        }
        None
    }

    fn now(&self) -> Duration {
        self.now
    }
}
