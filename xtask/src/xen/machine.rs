//! One QEMU that runs Xen and dom0: started, watched, and killed when dropped.
//!
//! Host and dom0 share a folder (9p), talk over virtio serial ports (one per [`Dom0`]), and disks are plugged in
//! while the machine runs (virtio-scsi).

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::disk::{Access, DiskImage};
use super::dom0::Dom0;
use super::qmp::Qmp;
use crate::bed::{Bed, with_libraries};
use crate::problem::{Context, Problem, Result};

/// dom0's memory in MiB.
const DOM0_MIB: u32 = 1024;
/// What Xen itself and the machine's devices take, in MiB, with room to spare.
const XEN_MIB: u32 = 384;
/// What a machine takes besides its guests, in MiB.
pub(crate) const OVERHEAD_MIB: u32 = DOM0_MIB + XEN_MIB;
/// How long Xen and dom0 may take to come up.
const BOOT_LIMIT: Duration = Duration::from_secs(240);

/// What a machine should be like.
pub(crate) struct Wish {
    /// Memory for guests in MiB; the machine gets more for Xen and dom0.
    pub(crate) guest_mib: u32,
    /// How many [`Dom0`] connections there are: how many guests may be driven at the same time.
    pub(crate) ports: u32,
}

impl Wish {
    /// Memory of the whole machine in MiB.
    fn mib(&self) -> u32 {
        self.guest_mib.saturating_add(OVERHEAD_MIB)
    }
}

/// Memory that the host can still give, in MiB; no limit where Linux does not tell.
pub(crate) fn available_mib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(u64::MAX, |kib| kib / 1024)
}

/// A running QEMU with Xen inside.
pub(crate) struct Machine {
    folder: PathBuf,
    child: Mutex<Child>,
    qmp: Mutex<Qmp>,
    next_disk: AtomicU32,
}

impl Machine {
    /// How often dom0's kernel has said that its processor stood still for 20 s or more. Under emulation Xen was seen to
    /// leave dom0 without a processor for half a minute, about once in ten minutes of a busy machine.
    pub(crate) fn stalls(&self) -> usize {
        let log = fs::read(self.folder.join("xen.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).matches("soft lockup").count()
    }

    /// Boots Xen with its files and logs in `folder`, and returns when dom0's agents answer.
    ///
    /// # Errors
    /// When memory or a part is missing, or Xen does not come up in time; the message says where its log lies.
    pub(crate) fn boot(bed: &Bed, folder: &Path, wish: &Wish) -> Result<(Machine, Vec<Dom0>)> {
        let (needed, available) = (u64::from(wish.mib()), available_mib());
        if needed > available {
            return Err(Problem::new(format!(
                "this machine has {available} MiB of memory free, and {needed} are needed, {OVERHEAD_MIB} of them for Xen and dom0"
            )));
        }
        let share = folder.join("share");
        fs::create_dir_all(share.join("console"))
            .context(|| format!("cannot make {}", share.display()))?;
        link_or_copy(&bed.hypervisor, &folder.join("xen"))?;
        link_or_copy(&bed.debian12.image, &folder.join("vmlinuz"))?;
        share_device_model(bed, &share.join("device-model"))?;
        fs::write(folder.join("dom0.cpio"), super::initrd::initrd(bed)?)?;

        // Socket paths are limited to 107 bytes, so they do not go into `folder`.
        let sockets = Sockets::new()?;
        let mut command = command(bed, wish, &sockets.folder);
        let log = File::create(folder.join("qemu.log"))?;
        fs::write(folder.join("qemu.cmd"), crate::command::shown(&command))?;
        let child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context(|| format!("cannot start {}", bed.qemu.display()))?;
        let mut starting = Starting {
            child: Some(child),
            folder,
        };
        let until = Instant::now() + BOOT_LIMIT;
        let qmp = Qmp::new(starting.connect(&sockets.folder.join("qmp"), until)?)?;
        let mut streams = Vec::new();
        for port in 0..wish.ports {
            streams.push(starting.connect(&sockets.folder.join(format!("c{port}")), until)?);
        }
        for stream in &streams {
            starting.wait_ready(stream, until)?;
        }
        let child = starting.child.take().context(|| "QEMU is gone")?;
        let machine = Machine {
            folder: folder.to_path_buf(),
            child: Mutex::new(child),
            qmp: Mutex::new(qmp),
            next_disk: AtomicU32::new(0),
        };
        let dom0s = streams.into_iter().map(Dom0::new).collect();
        Ok((machine, dom0s))
    }

    /// The folder that dom0 sees as `/share`.
    pub(crate) fn share(&self) -> PathBuf {
        self.folder.join("share")
    }

    /// What has become of QEMU, if it has ended.
    pub(crate) fn ended(&self) -> Option<String> {
        match locked(&self.child).try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!(
                "QEMU ended with {status}; see {}",
                self.folder.join("qemu.log").display()
            )),
            Err(error) => Some(format!("QEMU cannot be watched: {error}")),
        }
    }

    /// Plugs `image` into dom0 and returns its number for [`Machine::unplug`].
    ///
    /// # Errors
    /// When QEMU refuses the file.
    pub(crate) fn plug(&self, image: &DiskImage) -> Result<u32> {
        let number = self.next_disk.fetch_add(1, Ordering::Relaxed);
        let path = fs::canonicalize(&image.path)
            .context(|| format!("no disk image {}", image.path.display()))?;
        let path = path
            .to_str()
            .filter(|p| !p.contains(['"', '\\']))
            .context(|| "the disk image's path is too odd")?;
        let read_only = image.access == Access::ReadOnly;
        let (target, unit) = (number % 256, number / 256);
        let mut qmp = locked(&self.qmp);
        // Locking off: several guests may be shown one image, which they mount read-only.
        qmp.execute(&format!(
            "{{\"execute\":\"blockdev-add\",\"arguments\":{{\"driver\":\"raw\",\"node-name\":\"d{number}\",\"read-only\":{read_only},\
             \"file\":{{\"driver\":\"file\",\"filename\":\"{path}\",\"locking\":\"off\",\"aio\":\"threads\"}}}}}}"
        ))?;
        qmp.execute(&format!(
            "{{\"execute\":\"device_add\",\"arguments\":{{\"driver\":\"scsi-hd\",\"bus\":\"scsi0.0\",\"id\":\"s{number}\",\"drive\":\"d{number}\",\
             \"scsi-id\":{target},\"lun\":{unit},\"logical_block_size\":{sector},\"physical_block_size\":{sector}}}}}",
            sector = image.sector_bytes
        ))?;
        Ok(number)
    }

    /// Takes the disk away again. Trouble is ignored: the machine ends soon anyway.
    pub(crate) fn unplug(&self, number: u32) {
        let mut qmp = locked(&self.qmp);
        if qmp
            .execute(&format!(
                "{{\"execute\":\"device_del\",\"arguments\":{{\"id\":\"s{number}\"}}}}"
            ))
            .is_ok()
        {
            let _ = qmp.execute(&format!(
                "{{\"execute\":\"blockdev-del\",\"arguments\":{{\"node-name\":\"d{number}\"}}}}"
            ));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let mut child = locked(&self.child);
        let _ = child.kill();
        let _ = child.wait();
        // Large, and made anew by every run; logs stay.
        let _ = fs::remove_file(self.folder.join("dom0.cpio"));
        let _ = fs::remove_dir_all(self.share().join("device-model"));
        let _ = fs::remove_dir_all(self.folder.join("images"));
    }
}

/// Locks even after another thread has panicked: the data is a handle that stays usable.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A hard link, or a copy where the cache is on another file system.
///
/// # Errors
/// When `from` cannot be read or `to` not be written.
pub(crate) fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_file(to)?;
    }
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)
            .context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

/// Puts the device model (QEMU's disk backend, which libxl wants for an empty CD-ROM) and its libraries where dom0
/// finds them. They stay out of the initrd: few guests need them, and they are large.
fn share_device_model(bed: &Bed, folder: &Path) -> Result<()> {
    let Ok(program) = bed.file("/xen-qemu-system-i386") else {
        return Ok(());
    };
    share_programs(&bed.root, &[program], folder)
}

/// Puts programs of the unpacked packages in `root` into `folder`, with the libraries that they need.
///
/// # Errors
/// When a program or a library is missing.
pub(crate) fn share_programs(root: &Path, programs: &[PathBuf], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, file) in with_libraries(root, programs)? {
        link_or_copy(&fs::canonicalize(file)?, &folder.join(name))?;
    }
    for program in programs {
        let name = program.file_name().context(|| "a program without a name")?;
        link_or_copy(program, &folder.join(name))?;
    }
    Ok(())
}

/// A folder for sockets, removed when dropped (an open socket outlives its name).
struct Sockets {
    folder: PathBuf,
}

impl Sockets {
    fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("pv-grub-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).context(|| format!("cannot make {}", folder.display()))?;
        Ok(Sockets { folder })
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// QEMU while Xen comes up: killed if that fails.
struct Starting<'a> {
    child: Option<Child>,
    folder: &'a Path,
}

impl Starting<'_> {
    fn check(&mut self, until: Instant, waiting_for: &str) -> Result<()> {
        let log = |name: &str| self.folder.join(name).display().to_string();
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait()?
        {
            let said = fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default();
            return Err(Problem::new(format!(
                "QEMU ended with {status}: {} (see {})",
                said.trim(),
                log("xen.log")
            )));
        }
        if Instant::now() > until {
            return Err(Problem::new(format!(
                "Xen did not come up: no {waiting_for} in time; see {}",
                log("xen.log")
            )));
        }
        Ok(())
    }

    fn connect(&mut self, path: &Path, until: Instant) -> Result<UnixStream> {
        loop {
            if let Ok(stream) = UnixStream::connect(path) {
                return Ok(stream);
            }
            self.check(until, "socket")?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_ready(&mut self, mut stream: &UnixStream, until: Instant) -> Result<()> {
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        let mut got = Vec::new();
        let mut byte = [0];
        while !got.ends_with(b"ready\n") {
            match stream.read(&mut byte) {
                Ok(1) => got.push(byte[0]),
                Ok(_) => std::thread::sleep(Duration::from_millis(20)),
                Err(_) => {} // timed out
            }
            self.check(until, "answer from dom0")?;
        }
        Ok(())
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// QEMU's command line.
fn command(bed: &Bed, wish: &Wish, sockets: &Path) -> Command {
    // setpriv: QEMU dies with us even when we are killed outright.
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL"]).arg(&bed.qemu);
    let at = sockets.display();
    // Without SMAP and SMEP: dom0 dies at once with them under emulation. Without rdtscp and monitor, and with
    // AMD family 23: what PVH guests and xen-shim need.
    qemu.args([
        "-machine",
        "q35",
        "-accel",
        "tcg,thread=multi,tb-size=512",
        "-smp",
        "2",
    ]);
    qemu.args([
        "-cpu",
        "max,-smap,-smep,-rdtscp,-monitor,family=23,model=49",
    ]);
    qemu.arg("-m").arg(wish.mib().to_string());
    qemu.args([
        "-display",
        "none",
        "-vga",
        "none",
        "-no-reboot",
        "-nic",
        "none",
        "-monitor",
        "none",
    ]);
    qemu.args(["-serial", "file:xen.log"]);
    qemu.args(["-kernel", "xen", "-append"]).arg(format!(
        "console=com1 com1=115200,8n1 dom0_mem={DOM0_MIB}M,max:{DOM0_MIB}M dom0_max_vcpus=1 sched=credit loglvl=warning guest_loglvl=all noreboot bootscrub=0"
    ));
    qemu.args(["-initrd", "vmlinuz console=hvc0 quiet,dom0.cpio"]);
    qemu.args(["-qmp", &format!("unix:{at}/qmp,server=on,wait=off")]);
    qemu.args(["-device", "virtio-scsi-pci,id=scsi0"]);
    qemu.args(["-fsdev", "local,id=share,path=share,security_model=none"]);
    qemu.args(["-device", "virtio-9p-pci,fsdev=share,mount_tag=share"]);
    qemu.args(["-device", "virtio-serial-pci,id=serial0"]);
    for port in 0..wish.ports {
        qemu.args([
            "-chardev",
            &format!("socket,id=c{port},path={at}/c{port},server=on,wait=off"),
        ]);
        qemu.args([
            "-device",
            &format!("virtserialport,bus=serial0.0,chardev=c{port},name=control{port}"),
        ]);
    }
    qemu
}
