//! LVM and mdadm in dom0: shown through the shared folder, since few scenarios need them and they are large.

use std::fs;
use std::path::Path;

use super::machine::link_or_copy;
use crate::bed::{Bed, KernelModules, with_libraries};
use crate::problem::{Context, Result};
use crate::scenario::Stage;

/// The kernel's part; loaded by the first scenario that needs it.
const MODULES: &[&str] = &[
    "dm-mod",
    "dm-mirror",
    "dm-raid",
    "dm-snapshot",
    "raid1",
    "linear",
];

/// Makes `lvm` and `mdadm` usable by the shell that runs it: one line, to be put before what uses them.
///
/// Without udev, so the tools make their device nodes themselves. LVM sees only the devices that a command names with
/// `--devices`: another scenario may be at work.
const SETUP: &str = "export PATH=$PATH:/share/storage LD_LIBRARY_PATH=/share/storage:$LD_LIBRARY_PATH DM_DISABLE_UDEV=1 \
MDADM_NO_UDEV=1 LVM_SUPPRESS_FD_WARNINGS=1; mkdir -p /run/lock/lvm /run/mdadm /dev/mapper; \
while read -r m; do [ -d /sys/module/${m%.ko} ] || insmod /share/storage/modules/$m 2>/dev/null || :; done < /share/storage/modules/order; \
conf='global { locking_type=1 use_lvmpolld=0 event_activation=0 } activation { udev_sync=0 udev_rules=0 monitoring=0 } \
devices { obtain_device_list_from_udev=0 external_device_info_source=none } backup { backup=0 archive=0 }'; ";

/// Puts the programs, their libraries and the kernel's modules where dom0 finds them.
///
/// # Errors
/// When a part is missing from the bed.
pub(super) fn share(bed: &Bed, folder: &Path) -> Result<()> {
    let modules = folder.join("modules");
    fs::create_dir_all(&modules)?;
    let programs = ["lvm", "mdadm"].map(|name| {
        let homes = ["sbin", "usr/sbin"].map(|home| bed.storage.join(home).join(name));
        homes.into_iter().find(|file| file.exists())
    });
    let programs: Vec<_> = programs.into_iter().flatten().collect();
    for (name, file) in with_libraries(&bed.storage, &programs)? {
        link_or_copy(&fs::canonicalize(file)?, &folder.join(name))?;
    }
    for file in &programs {
        let name = file.file_name().context(|| "a program without a name")?;
        link_or_copy(file, &folder.join(name))?;
    }
    let mut order = String::new();
    for file in KernelModules::open(&bed.debian12.modules)?.in_order(MODULES)? {
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.context(|| "a module without a name")?;
        link_or_copy(&file, &modules.join(name))?;
        order.push_str(name);
        order.push('\n');
    }
    fs::write(modules.join("order"), order)?;
    Ok(())
}

/// Runs `commands`, one line of shell that may use `lvm … --config "$conf"` and `mdadm`, in dom0.
///
/// # Errors
/// When one of them fails that the line does not excuse.
pub(crate) fn run(stage: &Stage, commands: &str) -> Result<String> {
    stage.dom0.run(&format!("set -e; {SETUP}{commands}"))
}
