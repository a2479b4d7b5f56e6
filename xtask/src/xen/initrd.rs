//! dom0's initrd: busybox, the stock toolstack with its libraries, kernel modules, and an agent that obeys the host.

use std::fs;
use std::path::{Path, PathBuf};

use super::cpio::Cpio;
use crate::bed::{Bed, KernelModules, with_libraries};
use crate::problem::{Context, Result};

/// Loaded by dom0, in this order where nothing else is needed first.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_console",
    "9pnet_virtio",
    "9p",
    "virtio_scsi",
    "sd_mod",
    "virtio_blk",
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-privcmd",
    "xenfs",
    "xen-blkback",
    "xen-netback",
    "bridge",
    "tun",
    "loop",
    "af_packet",
    "sch_netem",
    "crc32c_generic",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859-1",
    "isofs",
];

/// The toolstack's programs, below its folder `usr/lib/xen-*/bin`.
const TOOLSTACK: &[&str] = &[
    "xl",
    "xenstored",
    "xenconsoled",
    "xenconsole",
    "xen-init-dom0",
    "libxl-save-helper",
    "xenctx",
    "lsevtchn",
];

/// Programs that dom0 may run, where the packages have them.
const OTHERS: &[&str] = &[
    "xenstore-ls",
    "xenstore-read",
    "xenstore-write",
    "xenstore-rm",
    "xenstore-list",
    "xenstore-exists",
    "xenstore-chmod",
    "dnsmasq",
    "dhcpd",
    "in.tftpd",
    "atftpd",
    "atftp",
    "tc",
];

/// Starts the device model from the shared folder.
const DEVICE_MODEL: &[u8] =
    b"#!/bin/sh\nLD_LIBRARY_PATH=/share/device-model exec /share/device-model/xen-qemu-system-i386 \"$@\" -L /usr/share/qemu\n";

/// Builds the initrd, uncompressed: software emulation is slow at unpacking.
///
/// # Errors
/// When a part is missing from the bed.
pub(crate) fn initrd(bed: &Bed) -> Result<Vec<u8>> {
    let mut cpio = Cpio::default();
    let xl = bed.file("/bin/xl")?;
    let xen_bin = xl.parent().context(|| "xl lies in no folder")?;
    let inside = xen_bin
        .strip_prefix(&bed.root)
        .unwrap_or(xen_bin)
        .to_string_lossy()
        .into_owned();

    for folder in [
        "dev",
        "proc",
        "sys",
        "run",
        "tmp",
        "share",
        "var/lock",
        "var/run/xen",
        "var/lib/xenstored",
        "var/lib/xen",
        "var/lib/dhcp",
        "var/lib/misc",
    ] {
        cpio.folder(folder);
    }
    cpio.folder("run/xen");
    cpio.folder("run/xenstored");
    cpio.character_device("dev/console", 5, 1);
    cpio.character_device("dev/null", 1, 3);
    cpio.file("etc/xen/xl.conf", 0o644, b"autoballoon=\"off\"\n");
    cpio.file(
        "etc/passwd",
        0o644,
        b"root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    );
    cpio.file("etc/group", 0o644, b"root:x:0:\n");
    cpio.file("etc/xen/scripts/block", 0o755, include_bytes!("block.sh"));
    cpio.file(
        "etc/xen/scripts/vif-bridge",
        0o755,
        include_bytes!("vif.sh"),
    );
    cpio.file(
        "init",
        0o755,
        include_str!("dom0-init.sh")
            .replace("@XENBIN@", &format!("/{inside}"))
            .as_bytes(),
    );

    // Where libxl looks for what `pvshim=1` starts: 32-bit PV guests run under it.
    if let (Ok(shim), Some(base)) = (bed.file("/boot/xen-shim"), Path::new(&inside).parent()) {
        let at = base.join("boot/xen-shim");
        cpio.file(&at.to_string_lossy(), 0o644, &read(&shim)?);
    }
    cpio.file("usr/libexec/xen-qemu-system-i386", 0o755, DEVICE_MODEL);
    cpio.file("usr/share/qemu/keymaps/en-us", 0o644, b""); // it insists on one
    let busybox = bed.file("bin/busybox")?;
    cpio.file("bin/busybox", 0o755, &read(&busybox)?);
    cpio.link("bin/sh", "busybox");

    let mut programs: Vec<(String, PathBuf)> = TOOLSTACK
        .iter()
        .map(|p| (format!("{inside}/{p}"), xen_bin.join(p)))
        .filter(|(_, f)| f.exists())
        .collect();
    for name in OTHERS {
        let homes = ["usr/bin", "usr/sbin", "bin", "sbin"];
        let found = homes
            .iter()
            .map(|h| bed.root.join(h).join(name))
            .find(|f| f.exists());
        programs.extend(found.map(|f| (format!("sbin/{name}"), f)));
    }
    for (path, file) in &programs {
        cpio.file(path, 0o755, &read(file)?);
    }
    let files: Vec<PathBuf> = programs.into_iter().map(|(_, file)| file).collect();
    for (name, file) in with_libraries(&bed.root, &files)? {
        let bytes = read(&file)?;
        if name.starts_with("ld-linux") {
            cpio.file(&format!("lib64/{name}"), 0o755, &bytes);
        }
        cpio.file(&format!("lib/x86_64-linux-gnu/{name}"), 0o755, &bytes);
    }
    // Wanted by pthread_cancel at run time only, so no program names it.
    cpio.file(
        "lib/x86_64-linux-gnu/libgcc_s.so.1",
        0o755,
        &read(&bed.file("/libgcc_s.so.1")?)?,
    );

    modules(
        &mut cpio,
        &KernelModules::open(&bed.debian12.modules)?,
        MODULES,
    )?;
    Ok(cpio.finish())
}

/// Adds kernel modules under `modules/`, and `modules/order` that names them in loading order.
///
/// # Errors
/// When a module cannot be read.
pub(crate) fn modules(cpio: &mut Cpio, all: &KernelModules, wanted: &[&str]) -> Result<()> {
    let mut order = String::new();
    for file in all.in_order(wanted)? {
        let name = file
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default()
            .to_owned();
        cpio.file(&format!("modules/{name}"), 0o644, &read(&file)?);
        order.push_str(&name);
        order.push('\n');
    }
    cpio.file("modules/order", 0o644, order.as_bytes());
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).context(|| format!("cannot read {}", file.display()))
}
