//! What the menu's commands do: [`Loader`] loads kernels and modules and goes on to boot them.
//!
//! Everything a command loads lies in its final frames when the command returns; [`menu::Machine::boot`] builds the
//! rest and gives it to the [`Launcher`], which is the hypervisor's part.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use arch::abi::Width;
use arch::abi::start_info::StartInfo;
use arch::addr::PAGE_BYTES;
use arch::{FrameSource, Frames, Hypervisor, Instant, Pfn, Virt};
use fs::{DeviceName, File, FileSystem, Partition};
use menu::{
    Code, Failure, ItemKind, KernelOptions, ListItem, Machine, Reply, Search, Unzip, Verify,
};

use crate::build::{self, Image, Module, ModuleKind, Parts};
use crate::files::{self, Blob, FileSource};
use crate::image::{self, ImageError, Kernel, Memory, NoMemory, Source, Span};
use crate::saved::{self, MenuPlace};
use crate::volumes::{Volumes, bad_name};

/// Where 64-bit Linux wants to begin, so that most of its frames need no new number: 16 MiB.
const LIKELY_START: Pfn = Pfn(0x1000);

/// What an initrd's parts are aligned to when they follow each other: Linux skips zeroes between archives, and wants
/// archives to begin at a multiple of 4.
const INITRD_ALIGN: u64 = 4;

/// The hypervisor's part in a boot.
pub trait Launcher {
    /// The page tables in use, sorted; the boot stack will be at the address given.
    fn live_tables(&self, stack_at: Virt) -> Vec<u64>;

    /// Pins the image's tables, closes the devices, and enters the kernel. Returns only when something stands in the
    /// way, before anything is lost.
    fn launch(&self, image: Image) -> Failure;

    /// The width of the guest that the loader is.
    fn width(&self) -> Width {
        Width::NATIVE
    }

    /// Puts the kernel in `source` into `memory`. A front end that starts nothing may do with less of it.
    ///
    /// # Errors
    /// As [`image::load()`].
    fn load(&self, source: &dyn Source, memory: &mut dyn Memory) -> Result<Kernel, ImageError> {
        image::load(source, self.width(), memory)
    }

    /// Puts `file` behind what `blob` has. A front end that starts nothing may do with less of it.
    ///
    /// # Errors
    /// As [`Blob::append_file`].
    fn append(
        &self,
        blob: &mut Blob,
        frames: &dyn FrameSource,
        file: &dyn File,
    ) -> Result<(), Failure> {
        blob.append_file(frames, file)
    }
}

/// A kernel that was read, with its command line.
struct Loaded {
    kernel: Kernel,
    memory: Frames,
    cmd_line: Vec<u8>,
}

/// A multiboot module: its own frames, its length, its command line.
struct BootModule {
    blob: Blob,
    cmd_line: Vec<u8>,
}

/// The loader behind the menu.
pub struct Loader<'a> {
    frames: &'a dyn FrameSource,
    start: &'a StartInfo,
    launcher: &'a dyn Launcher,
    clock: Rc<dyn Hypervisor>,
    volumes: Rc<Volumes>,
    first_root: Option<DeviceName>,
    root: Option<DeviceName>,
    /// Where the present menu is; the file of `savedefault` is beside it.
    menu: Option<MenuPlace>,
    kernel: Option<Loaded>,
    initrd: Blob,
    modules: Vec<BootModule>,
}

/// Gives the kernel its frames.
struct KernelMemory<'a> {
    frames: &'a dyn FrameSource,
    taken: Option<(Frames, u64)>,
}

impl Memory for KernelMemory<'_> {
    fn allocate(&mut self, span: Span) -> Result<&mut [u8], NoMemory> {
        let page = PAGE_BYTES as u64;
        let frames = self
            .frames
            .allocate_near(LIKELY_START, span.work_bytes.div_ceil(page))
            .map_err(|error| NoMemory {
                needed: span.work_bytes,
                free: error.free * page,
            })?;
        let (frames, _) = self
            .taken
            .insert((frames, span.kernel_bytes.div_ceil(page)));
        Ok(frames)
    }
}

impl<'a> Loader<'a> {
    /// A loader with nothing loaded, and no root device before a menu is entered ([`Machine::enter_menu`]).
    #[must_use]
    pub fn new(
        frames: &'a dyn FrameSource,
        start: &'a StartInfo,
        launcher: &'a dyn Launcher,
        clock: Rc<dyn Hypervisor>,
        volumes: Rc<Volumes>,
    ) -> Self {
        Self {
            frames,
            start,
            launcher,
            clock,
            volumes,
            first_root: None,
            root: None,
            menu: None,
            kernel: None,
            initrd: Blob::default(),
            modules: Vec::new(),
        }
    }

    /// Time since `begun`, as the notes show it: `0.41 s`.
    fn took(&self, begun: Instant) -> String {
        let ms = self.clock.now().since(begun).as_millis();
        format!("{}.{:03} s", ms / 1000, ms % 1000)
    }

    fn open(&self, file: &[u8]) -> Result<Box<dyn File>, Failure> {
        self.volumes.open(file, self.root.as_ref())
    }

    fn forget_modules(&mut self) {
        self.initrd = Blob::default();
        self.modules = Vec::new();
    }

    fn device(&self, device: &[u8]) -> Result<DeviceName, Failure> {
        if let Some(at) = device.iter().position(|&byte| byte == b'=') {
            let (key, value) = (&device[..at], &device[at + 1..]);
            let found = match key {
                b"LABEL" => self.search(Search::Label(value))?,
                b"UUID" => self.search(Search::Uuid(value))?,
                b"PARTLABEL" => self.partition(&|one| one.label == value)?,
                b"PARTUUID" => {
                    self.partition(&|one| one.uuid.as_bytes().eq_ignore_ascii_case(value))?
                }
                _ => Vec::new(),
            };
            if let Some(first) = found.first() {
                return Ok(first.clone());
            }
        }
        DeviceName::parse(device).map_err(bad_name)
    }

    fn search(&self, search: Search<'_>) -> Result<Vec<DeviceName>, Failure> {
        let holds = |mounted: &dyn FileSystem| match search {
            Search::File(path) => mounted.open(path).is_ok(),
            Search::Label(label) => mounted.label().is_some_and(|own| own == label),
            Search::Uuid(uuid) => mounted
                .uuid()
                .is_some_and(|own| own.as_bytes().eq_ignore_ascii_case(uuid)),
        };
        let found: Vec<DeviceName> = self
            .volumes
            .names()
            .into_iter()
            .filter(|name| {
                // A half of a mirror may be an old one; the mirror is looked at.
                !self.volumes.is_part(name)
                    && self
                        .volumes
                        .file_system(name)
                        .is_ok_and(|mounted| holds(mounted.as_ref()))
            })
            .collect();
        self.not_empty(found)
    }

    fn partition(&self, wanted: &dyn Fn(&Partition) -> bool) -> Result<Vec<DeviceName>, Failure> {
        self.not_empty(self.volumes.partitions(wanted))
    }

    fn not_empty(&self, found: Vec<DeviceName>) -> Result<Vec<DeviceName>, Failure> {
        if found.is_empty() {
            let names: Vec<String> = self
                .volumes
                .names()
                .iter()
                .map(ToString::to_string)
                .collect();
            let failure = Failure::new(Code::FILE_NOT_FOUND)
                .because(format!("it is on none of {}", names.join(" ")));
            let unreadable = self.volumes.unreadable();
            return Err(unreadable
                .iter()
                .fold(failure, |failure, why| failure.because(why)));
        }
        Ok(found)
    }

    /// Checks, once kernel and module are known, that they will fit; better said now than at the end.
    fn check_fit(&self, module: Option<(u64, ModuleKind)>) -> Result<(), Failure> {
        let Some(loaded) = &self.kernel else {
            return Ok(());
        };
        let request = build::request(&loaded.kernel, module, self.start.nr_pages);
        let wont_fit = |why: String| Failure::new(Code::WONT_FIT).because(why);
        let plan = crate::plan::Plan::new(&request).map_err(|error| wont_fit(error.to_string()))?;
        let reach = self.frames.reach();
        if plan.frames() > reach {
            return Err(wont_fit(format!(
                "this kernel and its modules need {} MiB, and a 32-bit loader has addresses for {} MiB",
                plan.frames().div_ceil(256),
                reach / 256
            )));
        }
        Ok(())
    }

    fn module(&mut self) -> Result<Option<Module>, Failure> {
        if !self.modules.is_empty() {
            return self.package().map(Some);
        }
        let blob = core::mem::take(&mut self.initrd);
        if blob.is_empty() {
            return Ok(None);
        }
        Ok(Some(Module {
            len: blob.len(),
            runs: blob.into_runs(),
            kind: ModuleKind::Plain,
        }))
    }

    /// Modules as Xen's multiboot list (`xen_multiboot_mod_list`, public/xen.h): one page of entries, then each module
    /// followed by a page with its command line. Offsets count from the package's start; ends are inclusive.
    fn package(&mut self) -> Result<Module, Failure> {
        const ENTRY_BYTES: usize = 16;
        let modules = core::mem::take(&mut self.modules);
        if modules.len() >= PAGE_BYTES / ENTRY_BYTES {
            return Err(Failure::new(Code::WONT_FIT).because(format!(
                "{} modules do not fit the list, which is one page",
                modules.len()
            )));
        }
        let short = |error: arch::NoFrames| files::memory_failure(&error);
        let mut list = self.frames.allocate(1).map_err(short)?;
        list.fill(0);
        let mut runs = Vec::new();
        let mut at = PAGE_BYTES as u64;
        for (index, module) in modules.into_iter().enumerate() {
            let len = module.blob.len();
            let own = module.blob.into_runs();
            let pages: u64 = own.iter().map(Frames::count).sum();
            let line_at = at + pages * PAGE_BYTES as u64;
            let offsets = [at, at + len.saturating_sub(1), line_at, 0];
            for (field, offset) in offsets.into_iter().enumerate() {
                let offset = u32::try_from(offset).map_err(|_| {
                    Failure::new(Code::WONT_FIT).because("the modules have more than 4 GiB")
                })?;
                let place = index * ENTRY_BYTES + field * 4;
                list[place..place + 4].copy_from_slice(&offset.to_le_bytes());
            }
            let mut line = self.frames.allocate(1).map_err(short)?;
            line.fill(0);
            let count = module.cmd_line.len().min(PAGE_BYTES - 1);
            line[..count].copy_from_slice(&module.cmd_line[..count]);
            runs.extend(own);
            runs.push(line);
            at = line_at + PAGE_BYTES as u64;
        }
        runs.insert(0, list);
        Ok(Module {
            runs,
            len: at,
            kind: ModuleKind::Multiboot,
        })
    }
}

/// What `kernel` shows: `   [bzImage, xz, linux 2.6, 53248 KiB, 1.250 s]`.
fn describe(kernel: &Kernel, took: &str) -> String {
    let mut text = String::from("   [");
    text.push_str(if kernel.packing.is_bzimage {
        "bzImage"
    } else {
        "ELF"
    });
    if let Some(codec) = kernel.packing.codec {
        text.push_str(&format!(", {codec}"));
    }
    if !kernel.guest_os.is_empty() {
        text.push_str(&format!(", {} {}", kernel.guest_os, kernel.guest_version));
    }
    text.push_str(&format!(", {} KiB, {took}]", kernel.kernel_bytes >> 10));
    text
}

impl Machine for Loader<'_> {
    fn reset(&mut self) {
        self.kernel = None;
        self.forget_modules();
        self.root = self.first_root.clone();
    }

    fn set_root(&mut self, device: &[u8], verify: Verify) -> Reply {
        let device = self.device(device)?;
        let note = match verify {
            Verify::Mount => self.volumes.describe(&device)?,
            Verify::SetOnly => String::new(),
        };
        self.root = Some(device);
        Ok(note)
    }

    fn load_kernel(&mut self, file: &[u8], args: &[u8], _options: &KernelOptions) -> Reply {
        self.kernel = None;
        self.forget_modules();
        let begun = self.clock.now();
        let file = self.open(file)?;
        let source = FileSource(file.as_ref());
        let mut memory = KernelMemory {
            frames: self.frames,
            taken: None,
        };
        let kernel = self
            .launcher
            .load(&source, &mut memory)
            .map_err(|error| files::image_failure(&error))?;
        let (mut frames, keep) = memory
            .taken
            .ok_or_else(|| Failure::new(Code::BAD_EXECUTABLE).because("the kernel is empty"))?;
        frames.truncate(keep);
        let mut note = describe(&kernel, &self.took(begun));
        self.kernel = Some(Loaded {
            kernel,
            memory: frames,
            cmd_line: args.to_vec(),
        });
        self.check_fit(None)?;
        self.volumes.tell(&mut note);
        Ok(note)
    }

    fn add_initrd(&mut self, file: &[u8]) -> Reply {
        if self.kernel.is_none() {
            return Err(Failure::new(Code::NEED_KERNEL_FIRST)
                .because("a line `kernel FILE` must stand before `initrd`"));
        }
        let begun = self.clock.now();
        let file = self.open(file)?;
        let len = file.len();
        let total = self.initrd.len().next_multiple_of(INITRD_ALIGN) + len;
        self.check_fit(Some((total, ModuleKind::Plain)))?;
        self.initrd
            .align(self.frames, INITRD_ALIGN)
            .map_err(|error| files::memory_failure(&error))?;
        self.launcher
            .append(&mut self.initrd, self.frames, file.as_ref())?;
        let mut note = format!(
            "   [initrd, {} KiB, {}]",
            len.div_ceil(1024),
            self.took(begun)
        );
        self.volumes.tell(&mut note);
        Ok(note)
    }

    fn add_module(&mut self, file: &[u8], args: &[u8], unzip: Unzip) -> Reply {
        if self.kernel.is_none() {
            return Err(Failure::new(Code::NEED_MULTIBOOT)
                .because("a line `kernel FILE` must stand before `module`"));
        }
        let begun = self.clock.now();
        let file = self.open(file)?;
        let mut blob = Blob::default();
        match unzip {
            Unzip::IfGzip => blob.append_unpacked(self.frames, file.as_ref())?,
            Unzip::Never => blob.append_file(self.frames, file.as_ref())?,
        }
        let mut note = format!(
            "   [module, {} KiB, {}]",
            blob.len().div_ceil(1024),
            self.took(begun)
        );
        self.volumes.tell(&mut note);
        self.initrd = Blob::default();
        self.modules.push(BootModule {
            blob,
            cmd_line: args.to_vec(),
        });
        Ok(note)
    }

    fn boot(&mut self) -> Result<(), Failure> {
        let Some(Loaded {
            kernel,
            memory,
            cmd_line,
        }) = self.kernel.take()
        else {
            return Err(Failure::new(Code::KERNEL_NEEDED));
        };
        let module = self.module()?;
        let parts = Parts {
            kernel,
            memory,
            module,
            cmd_line,
        };
        let image = build::build(self.frames, self.start, parts, &|at| {
            self.launcher.live_tables(at)
        })
        .map_err(|error| Failure::new(Code::WONT_FIT).because(error.to_string()))?;
        // The launcher closes the disks: nothing may be remembered of them if it comes back.
        self.volumes.forget();
        Err(self.launcher.launch(image))
    }

    fn read_file(&mut self, file: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
        files::read_unpacked(self.open(file)?.as_ref(), limit)
    }

    fn enter_menu(&mut self, name: &[u8]) {
        self.menu = MenuPlace::of(name, self.root.as_ref());
        // Entries start on the disk their menu is on.
        if let Some(place) = &self.menu {
            self.first_root = Some(place.device.clone());
        }
    }

    fn blocklist(&mut self, file: &[u8]) -> Reply {
        self.volumes.block_list(file, self.root.as_ref())
    }

    fn save_default(&mut self, record: &[u8]) -> Reply {
        match &self.menu {
            Some(place) => saved::write(&self.volumes, place, record),
            None => Err(Failure::new(Code::FILE_NOT_FOUND)
                .because("the menu is in no folder of a disk, so there is no file beside it")),
        }
    }

    fn saved_default(&mut self) -> Vec<u8> {
        let place = self.menu.as_ref();
        place.map_or_else(Vec::new, |place| saved::read(&self.volumes, place))
    }

    fn root(&mut self) -> Vec<u8> {
        self.root
            .as_ref()
            .map(|root| root.to_string().into_bytes())
            .unwrap_or_default()
    }

    fn devices(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        let mut names = self.volumes.names();
        if let Some(network) = self.volumes.network() {
            let count = u32::try_from(network.count()).unwrap_or(0);
            names.push(DeviceName::Net { interface: None });
            // One interface needs no number.
            names.extend(
                (0..count)
                    .filter(|_| count > 1)
                    .map(|number| DeviceName::Net {
                        interface: Some(number),
                    }),
            );
        }
        Ok(names
            .iter()
            .map(|name| name.to_string().into_bytes())
            .collect())
    }

    fn list(&mut self, folder: &[u8]) -> Result<Vec<ListItem>, Failure> {
        let entries = self.volumes.list(folder, self.root.as_ref())?;
        Ok(entries
            .into_iter()
            .map(|entry| ListItem {
                name: entry.name,
                kind: if entry.kind == fs::EntryKind::Directory {
                    ItemKind::Folder
                } else {
                    ItemKind::File
                },
            })
            .collect())
    }

    fn find(&mut self, search: Search<'_>) -> Result<Vec<Vec<u8>>, Failure> {
        let found = self.search(search)?;
        Ok(found
            .iter()
            .map(|name| name.to_string().into_bytes())
            .collect())
    }

    fn geometry(&mut self, device: &[u8]) -> Reply {
        let device = self.device(device)?;
        let volume = self.volumes.volume(&device)?;
        let mut text = format!(
            "drive {device}: {} sectors of 512 bytes",
            volume.len_bytes() / 512
        );
        if device.partition().is_none() {
            for name in self.volumes.names() {
                if name != device && name.with_partition(None) == device {
                    let about = match self.volumes.part_of(&name) {
                        Ok(Some(part)) => format!(": {part}"),
                        _ => self.volumes.describe(&name).unwrap_or_else(|failure| {
                            failure.detail.first().cloned().unwrap_or_default()
                        }),
                    };
                    text.push_str(&format!("\n  {name}{about}"));
                }
            }
        }
        Ok(text)
    }

    fn network(&mut self, word: &[u8], args: &[u8]) -> Reply {
        self.volumes.need_network()?.command(word, args)
    }

    fn network_menu(&mut self) -> Result<Vec<u8>, Failure> {
        self.volumes.need_network()?.menu_path()
    }
}
