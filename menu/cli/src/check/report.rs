//! What `check` found out, as data: the same for people and for programs.
//!
//! These types are the JSON of `--format json`. A field that does not apply is null or left out; text that is not UTF-8
//! comes as the loader shows it.

use serde::Serialize;

/// Version of the JSON: raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// Whether the guest boots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A kernel is entered.
    Boots,
    /// Nothing is.
    WouldNotBoot,
    /// The menu waits for a key: it has no `timeout`, or a command waits.
    Waits,
    /// The menu ends the domain, or restarts it, by itself.
    Stops,
    /// It depends on the network, which is not tried.
    NotJudged,
}

/// The whole of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict in one sentence.
    pub summary: String,
    /// The loader to start the domain with: `pv-grub-x86_64.gz` or `pv-grub-x86_32.gz`.
    pub image: Option<&'static str>,
    /// Memory of the guest that was reckoned with, in MiB.
    pub memory_mib: u64,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Logical volumes and arrays that the disks hold, whole or not.
    pub logicals: Vec<Logical>,
    /// What of their parts cannot be read or makes no sense.
    pub warnings: Vec<String>,
    /// Where a menu was looked for without finding one.
    pub tried: Vec<Tried>,
    /// The menu.
    pub menu: Option<MenuFacts>,
    /// What happens when nobody types: entries in the order in which they are tried, the last one being what boots.
    pub boot: Vec<Step>,
    /// Each entry by itself.
    pub entries: Vec<EntryFacts>,
    /// Configurations of other boot loaders.
    pub others: Vec<Other>,
    /// What could be done, a sentence each.
    pub advice: Vec<String>,
}

/// A disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Disk {
    /// Its name in the guest.
    pub name: String,
    /// Its name in menus.
    pub device: String,
    /// The image.
    pub path: String,
    /// `raw`, `block device`, `qcow2`.
    pub format: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Size of a sector in bytes.
    pub sector_bytes: u32,
    /// What is on it.
    pub volumes: Vec<VolumeFacts>,
}

/// A disk, logical volume or array as a whole, or a partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct VolumeFacts {
    /// Its name in menus.
    pub device: String,
    /// The file system, where there is one that can be read.
    pub file_system: Option<String>,
    /// Its label.
    pub label: Option<String>,
    /// Its UUID.
    pub uuid: Option<String>,
    /// Why it cannot be read.
    pub problem: Option<String>,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

/// A logical volume or an array.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Logical {
    /// Its name in menus.
    pub device: String,
    /// What it is, and what of it is missing.
    pub about: String,
    /// Size in bytes; null where it cannot be put together.
    pub bytes: Option<u64>,
    /// Why it cannot be put together.
    pub problem: Option<String>,
    /// What is on it.
    pub volumes: Vec<VolumeFacts>,
}

/// A place without a menu.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Tried {
    /// The file.
    pub place: String,
    /// Why not.
    pub reason: String,
}

/// The menu as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MenuFacts {
    /// The file.
    pub place: String,
    /// The entry that is highlighted at first, from 0.
    pub highlighted: Option<usize>,
    /// Seconds before it boots; null: waits for ever.
    pub timeout: Option<u32>,
    /// `fallback`.
    pub fallback: Vec<usize>,
    /// A password is set.
    pub locked: bool,
    /// What the loader says of lines that it does not do as they are written.
    pub note: Option<String>,
}

/// A file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FileFacts {
    /// With its device.
    pub file: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// A kernel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KernelFacts {
    /// Its file.
    #[serde(flatten)]
    pub file: FileFacts,
    /// `bzImage` or `ELF`; null where it is neither, or was not read.
    pub format: Option<&'static str>,
    /// What it is packed with.
    pub compression: Option<String>,
    /// 64 or 32.
    pub width: Option<u32>,
    /// The operating system it says it is.
    pub guest_os: Option<String>,
    /// The version it says it has.
    pub guest_version: Option<String>,
    /// It can be entered as PV guest; null where its notes were not looked at.
    pub pv: Option<bool>,
    /// It can be entered as PVH guest too.
    pub pvh: Option<bool>,
    /// The features it names, as `name|!required`.
    pub features: Option<String>,
}

/// GRUB's number for a failure, and the reasons.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FailureFacts {
    /// GRUB's number.
    pub code: u8,
    /// GRUB's words for it.
    pub text: &'static str,
    /// What was found, and what would work.
    pub reasons: Vec<String>,
}

/// One entry that is tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Step {
    /// Its number, from 0.
    pub entry: usize,
    /// Its title; null in a menu that another one loaded.
    pub title: Option<String>,
    /// It starts a kernel.
    pub boots: bool,
    /// The kernel.
    pub kernel: Option<KernelFacts>,
    /// Initrds and modules, in order.
    pub initrds: Vec<FileFacts>,
    /// The command line that the kernel gets.
    pub command_line: Option<String>,
    /// Memory that a guest needs for it, in MiB.
    pub needs_mib: Option<u64>,
    /// Why it does not boot.
    pub failure: Option<FailureFacts>,
    /// What it needs of the network: it was not judged.
    pub network: Option<String>,
}

/// An entry by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EntryFacts {
    /// What it does.
    #[serde(flatten)]
    pub step: Step,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The loader it needs.
    pub image: Option<&'static str>,
    /// The fallback that boots in its place, where it fails.
    pub fallback: Option<usize>,
}

/// Another boot loader's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Other {
    /// `grub.cfg`, `BLS` or `extlinux`.
    pub kind: &'static str,
    /// The file or folder.
    pub place: String,
}
