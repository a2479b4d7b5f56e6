//! What the bed is made of, and how each part is made from Debian's packages.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;

use super::apt::Apt;
use super::cache::Cache;
use super::modules::KernelModules;
use super::tools::{self, Tools};
use crate::command::output;
use crate::problem::{Context, Problem, Result};
use crate::workspace;

/// The release whose hypervisor, toolstack and dom0 kernel make the bed, unless `PV_GRUB_SUITE` says otherwise.
const BED_SUITE: &str = "bookworm";

/// What dom0 and guests load, and what is kept of each kernel package.
const MODULES: &[&str] = &[
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-privcmd",
    "xenfs",
    "xen-blkback",
    "xen-netback",
    "loop",
    "crc32c_generic",
    "crc32c-intel",
    "libcrc32c",
    "ext4",
    "bridge",
    "tun",
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "virtio_scsi",
    "sd_mod",
    "9p",
    "9pnet_virtio",
    "af_packet",
    "sch_netem",
    "xen-blkfront",
    "xen-netfront",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859-1",
    "isofs",
    "xfs",
    "btrfs",
    "xxhash_generic", // by name only, when a btrfs asks for it
    "squashfs",
    "scsi_debug",
    "dm-mod",
    "dm-mirror",
    "dm-raid",
    "dm-snapshot",
    "dm-thin-pool",
    "dm-cache",
    "dm-cache-smq", // by name only, when a cache asks for its policy
    "raid0",
    "raid1",
    "raid10",
    "raid456",
    "linear",
]; // one list for both, since each kernel may be either

/// One Debian release's kernel.
#[derive(Clone)]
pub(crate) struct Kernel {
    /// `vmlinuz` as Debian ships it.
    pub(crate) image: PathBuf,
    /// The folder for [`KernelModules::open`].
    pub(crate) modules: PathBuf,
}

/// Everything that a run needs, ready on disk and checked.
#[derive(Clone)]
pub(crate) struct Bed {
    /// QEMU's program.
    pub(crate) qemu: PathBuf,
    /// Xen as an unpacked ELF file, which is what QEMU's multiboot loader takes.
    pub(crate) hypervisor: PathBuf,
    /// The unpacked packages of the toolstack, busybox, servers and GRUB's Xen images.
    pub(crate) root: PathBuf,
    /// The unpacked packages of LVM and mdadm, which dom0 runs, with their libraries.
    pub(crate) storage: PathBuf,
    /// The unpacked packages of Kea's DHCP server, with their libraries.
    pub(crate) kea: PathBuf,
    /// Small host tools.
    pub(crate) tools: Tools,
    /// Debian 12's kernel (xz).
    pub(crate) debian12: Kernel,
    /// Debian 13's kernel (zstd).
    pub(crate) debian13: Kernel,
}

impl Bed {
    /// Makes what is missing and checks the rest; needs no network when nothing is missing.
    ///
    /// # Errors
    /// When a package cannot be had, with what was tried.
    pub(crate) fn prepare() -> Result<Self> {
        let qemu = tools::qemu()?;
        let cache = Cache::open(workspace::cache())?;
        let suite = std::env::var("PV_GRUB_SUITE").unwrap_or_else(|_| BED_SUITE.to_owned());
        let apt = Apt::new(&cache.path(&format!("apt-{suite}")), &suite)?;
        let root = toolstack(&cache, &apt, &suite)?;
        let hypervisor = match workspace::hypervisor_with_pv32() {
            Some(own) => own,
            None => hypervisor(&cache, &root, &suite)?,
        };
        let storage = unpacked(
            &cache,
            &apt,
            &format!("storage-{suite}"),
            &["lvm2", "mdadm"],
        )?;
        let kea = ["kea-dhcp4-server", "kea-common"];
        let kea = unpacked(&cache, &apt, &format!("kea-{suite}"), &kea)?;
        let tools = Tools::new(host_tools(&cache, &apt, &suite)?);
        let debian12 = kernel(&cache, &tools, "debian12", &["bookworm"])?;
        let debian13 = kernel(
            &cache,
            &tools,
            "debian13",
            &["trixie", "bookworm-backports"],
        )?;
        Ok(Bed {
            qemu,
            hypervisor,
            root,
            storage,
            kea,
            tools,
            debian12,
            debian13,
        })
    }

    /// The one file under the toolstack's root whose path ends with `ending`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn file(&self, ending: &str) -> Result<PathBuf> {
        file_ending(&self.root, ending)
    }
}

fn file_ending(root: &Path, ending: &str) -> Result<PathBuf> {
    let files = super::cache::files_under(root)?;
    let found = files
        .into_iter()
        .find(|f| f.to_string_lossy().ends_with(ending));
    Ok(root.join(found.context(|| format!("no package of the bed holds {ending}"))?))
}

/// Unpacks one package below `into`; `only` may restrict it to some paths (patterns of tar).
fn unpack(package: &Path, into: &Path, only: &[&str]) -> Result<()> {
    if only.is_empty() {
        output(Command::new("dpkg-deb").arg("-x").arg(package).arg(into))?;
        return Ok(());
    }
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let pipe = archive.stdout.take().context(|| "dpkg-deb has no output")?;
    let status = Command::new("tar")
        .args(["-x", "--wildcards", "-C"])
        .arg(into)
        .args(only)
        .stdin(pipe)
        .stderr(std::process::Stdio::null())
        .status()?;
    archive.wait()?;
    if status.success() {
        Ok(())
    } else {
        Err(Problem::new(format!("cannot unpack {}", package.display())))
    }
}

fn debs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = super::cache::files_under(folder)?
        .into_iter()
        .map(|f| folder.join(f))
        .collect();
    found.retain(|f| f.extension().is_some_and(|e| e == "deb"));
    Ok(found)
}

/// The hypervisor, toolstack, servers and GRUB images: downloaded, then unpacked into one root.
fn toolstack(cache: &Cache, apt: &Apt, suite: &str) -> Result<PathBuf> {
    const RECIPE: &str =
        "hypervisor xl busybox dhcp dnsmasq tftp iproute2 grub-xen libxen-dev qemu-system-xen; 3";
    cache.product(&format!("toolstack-{suite}"), RECIPE, |into| {
        let packages = cache.product(&format!("debs-toolstack-{suite}"), RECIPE, |into| {
            let newest = |prefix: &str, accept: &dyn Fn(&str) -> bool| -> Result<String> {
                let names = apt.names(prefix, accept)?;
                names
                    .into_iter()
                    .next_back()
                    .context(|| format!("Debian {suite} has no package {prefix}*"))
            };
            let version =
                |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.contains('-');
            let mut wanted = vec![
                newest("xen-hypervisor-", &|rest| {
                    rest.strip_suffix("-amd64").is_some_and(version)
                })?,
                newest("xen-utils-", &version)?,
            ];
            for name in [
                "xenstore-utils",
                "busybox-static",
                "libc6",
                "libgcc-s1",
                "grub-xen-bin",
                "grub-xen-host",
                "libxen-dev",
            ] {
                wanted.push(newest(name, &str::is_empty)?);
            }
            for optional in [
                "isc-dhcp-server",
                "dnsmasq-base",
                "tftpd-hpa",
                "atftpd",
                "atftp",
                "iproute2",
                "qemu-system-xen",
            ] {
                wanted.extend(apt.names(optional, str::is_empty)?);
            }
            apt.download(&apt.with_libraries(&wanted)?, into)?;
            Ok(())
        })?;
        for package in debs(&packages)? {
            unpack(&package, into, &[])?;
        }
        for unused in [
            "usr/share/doc",
            "usr/share/man",
            "usr/share/locale",
            "usr/share/i18n",
            "usr/lib/x86_64-linux-gnu/gconv",
        ] {
            if into.join(unused).exists() {
                fs::remove_dir_all(into.join(unused))?;
            }
        }
        Ok(())
    })
}

/// Xen itself, gunzipped.
fn hypervisor(cache: &Cache, root: &Path, suite: &str) -> Result<PathBuf> {
    let product = cache.product(&format!("hypervisor-{suite}"), "gunzip; 1", |into| {
        let mut packed = None;
        for entry in fs::read_dir(root.join("boot"))? {
            let path = entry?.path();
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default()
                .to_owned();
            if name.starts_with("xen-") && name.ends_with(".gz") {
                packed = Some(path);
            }
        }
        let packed = packed.context(|| "the hypervisor's package holds no boot/xen-*.gz")?;
        let mut to = File::create(into.join("xen"))?;
        io::copy(&mut GzDecoder::new(File::open(&packed)?), &mut to)
            .context(|| format!("cannot gunzip {}", packed.display()))?;
        Ok(())
    })?;
    Ok(product.join("xen"))
}

/// Programs that dom0 runs for few scenarios, unpacked with their libraries.
fn unpacked(cache: &Cache, apt: &Apt, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let recipe = format!("{}; 1", packages.join(" "));
    cache.product(name, &recipe, |into| {
        let wanted: Vec<String> = packages.iter().copied().map(str::to_owned).collect();
        unpack_with_libraries(apt, &wanted, into)?;
        Ok(fs::remove_dir_all(into.join("usr/share"))?)
    })
}

/// Downloads `packages` and the libraries that they need, and unpacks all of them below `into`.
pub(super) fn unpack_with_libraries(apt: &Apt, packages: &[String], into: &Path) -> Result<()> {
    let folder = into.join("debs");
    for package in apt.download(&apt.with_libraries(packages)?, &folder)? {
        unpack(&package, into, &[])?;
    }
    Ok(fs::remove_dir_all(folder)?)
}

/// Those small tools that this machine lacks.
fn host_tools(cache: &Cache, apt: &Apt, suite: &str) -> Result<PathBuf> {
    let missing: Vec<String> = tools::missing(tools::PACKAGES)
        .into_iter()
        .map(str::to_owned)
        .collect();
    if missing.is_empty() {
        return Ok(cache.path("tools"));
    }
    // Named after what it holds: machines that share the cache may lack different tools.
    cache.product(
        &format!("tools-{suite}-{}", missing.join("-")),
        "2",
        |into| {
            unpack_with_libraries(apt, &missing, into)?;
            tools::drop_libc(into)
        },
    )
}

/// A release's current kernel and the modules that dom0 and guests use, from the first of `suites` that has one.
fn kernel(cache: &Cache, tools: &Tools, name: &str, suites: &[&str]) -> Result<Kernel> {
    let recipe = format!("{MODULES:?}; 1");
    let product = cache.product(name, &recipe, |into| {
        let packages = cache.product(&format!("debs-{name}"), "1", |into| {
            let mut said = Vec::new();
            for suite in suites {
                let apt = Apt::new(&cache.path(&format!("apt-{suite}")), suite)?;
                let download = || -> Result<()> {
                    let depends = apt.depends("linux-image-amd64")?;
                    let package = depends.into_iter().find(|d| d.starts_with("linux-image-"));
                    let package = package.context(|| "linux-image-amd64 depends on no kernel")?;
                    apt.download(&[package], into).map(|_| ())
                };
                match download() {
                    Ok(()) => return Ok(()),
                    Err(why) => said.push(why.to_string()),
                }
            }
            Err(Problem::new(format!(
                "no kernel for {name}: {}",
                said.join("; ")
            )))
        })?;
        let whole = into.join("whole");
        fs::create_dir_all(&whole)?;
        for package in debs(&packages)? {
            unpack(&package, &whole, &["./boot/vmlinuz-*", "*/kernel/*.ko*"])?;
        }
        let image = file_starting(&whole.join("boot"), "vmlinuz-")?;
        fs::rename(image, into.join("vmlinuz"))?;
        fs::create_dir_all(into.join("modules"))?;
        let tree = ["lib/modules", "usr/lib/modules"]
            .iter()
            .map(|t| whole.join(t))
            .find(|t| t.exists());
        let tree = tree.context(|| format!("the kernel package of {name} holds no modules"))?;
        KernelModules::collect(tools, &tree, MODULES, &into.join("modules"))?;
        fs::remove_dir_all(whole)?;
        Ok(())
    })?;
    Ok(Kernel {
        image: product.join("vmlinuz"),
        modules: product.join("modules"),
    })
}

fn file_starting(folder: &Path, start: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with(start))
        {
            return Ok(path);
        }
    }
    Err(Problem::new(format!(
        "nothing named {start}* in {}",
        folder.display()
    )))
}
