//! LVM and mdadm in dom0: shown by the scenarios that use them, since they are few and the tools are large.

use crate::problem::{Context, Result};
use crate::scenario::Stage;

/// The kernel's part.
const MODULES: &[&str] = &[
    "dm-mod",
    "dm-mirror",
    "dm-raid",
    "dm-snapshot",
    "raid1",
    "linear",
];

/// Makes `lvm` and `mdadm` of the folder `$tools` usable by the shell that runs it: one line, to be put before what uses
/// them.
///
/// Without udev, so the tools make their device nodes themselves. LVM sees only the devices that a command names with
/// `--devices`: another scenario may be at work.
const SETUP: &str = "export PATH=$PATH:$tools LD_LIBRARY_PATH=$tools:$LD_LIBRARY_PATH DM_DISABLE_UDEV=1 \
MDADM_NO_UDEV=1 LVM_SUPPRESS_FD_WARNINGS=1; mkdir -p /run/lock/lvm /run/mdadm /dev/mapper; \
conf='global { locking_type=1 use_lvmpolld=0 event_activation=0 } activation { udev_sync=0 udev_rules=0 monitoring=0 } \
devices { obtain_device_list_from_udev=0 external_device_info_source=none } backup { backup=0 archive=0 }'; ";

/// Runs `commands`, one line of shell that may use `lvm … --config "$conf"` and `mdadm`, in dom0. Kinds of volumes that
/// few scenarios make need kernel modules of their own, to be loaded before.
///
/// # Errors
/// When a part is missing from the bed, or one of them fails that the line does not excuse.
pub(crate) fn run(stage: &Stage, commands: &str) -> Result<String> {
    stage.load_modules(MODULES)?;
    let root = &stage.bed.storage;
    let mut programs = Vec::new();
    for name in ["lvm", "mdadm"] {
        let homes = ["sbin", "usr/sbin"].map(|home| root.join(home).join(name));
        let found = homes.into_iter().find(|file| file.exists());
        programs.push(found.context(|| format!("the bed has no {name}"))?);
    }
    let tools = stage.share_programs(root, &programs)?;
    stage
        .dom0
        .run(&format!("set -e; tools={tools}; {SETUP}{commands}"))
}
