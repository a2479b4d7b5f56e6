//! What a guest's disks hold, beside menu and kernels: partitions, file systems, logical volumes and arrays, by the
//! loader's names.

use bootloader::config;
use bootloader::disks::Drives;
use fs::DeviceName;
use menu::text::visible;
use menu::{Code, Failure};

use super::guest::Guest;
use super::report::{Disk, Logical, VolumeFacts};
use crate::disk::Attached;

/// Most logical volumes and arrays that are described.
const LOGICALS_MAX: usize = 256;

/// What was seen.
pub(crate) struct Surveyed {
    /// The disks, in the loader's order.
    pub(crate) disks: Vec<Disk>,
    /// What is made of them.
    pub(crate) logicals: Vec<Logical>,
    /// What of their parts cannot be read or makes no sense.
    pub(crate) warnings: Vec<String>,
}

impl Surveyed {
    /// Whether there is any file system that can be read.
    pub(crate) fn can_be_read(&self) -> bool {
        let on_disks = self.disks.iter().flat_map(|disk| &disk.volumes);
        let on_logicals = self.logicals.iter().flat_map(|logical| &logical.volumes);
        on_disks
            .chain(on_logicals)
            .any(|volume| volume.file_system.is_some())
    }
}

/// Looks at everything that is `attached` to `guest`.
pub(crate) fn survey(guest: &Guest, attached: &[Attached]) -> Surveyed {
    let names = guest.volumes.names();
    let vbds = guest.bench().list().to_vec();
    let disks = attached.iter().zip(vbds).map(|(disk, vbd)| {
        let geometry = fs::BlockDevice::geometry(disk.disk.as_ref());
        let whole = DeviceName::Disk {
            disk: u32::try_from(vbd.index).unwrap_or(u32::MAX),
            partition: None,
        };
        Disk {
            name: vbd.name.clone().unwrap_or_else(|| vbd.id.to_string()),
            device: whole.to_string(),
            path: crate::input::shown(&disk.path),
            format: disk.format.to_owned(),
            bytes: geometry.len_bytes,
            sector_bytes: geometry.sector_bytes,
            volumes: volumes(guest, &names, &whole),
        }
    });
    let disks = disks.collect();
    let assembly = guest.volumes.assembly();
    let logicals = assembly.logicals.iter().take(LOGICALS_MAX).map(|found| {
        let (bytes, problem, volumes) = match &found.volume {
            Ok(volume) => (
                Some(volume.len_bytes()),
                None,
                volumes(guest, &names, &found.name),
            ),
            Err(why) => (None, Some(why.clone()), Vec::new()),
        };
        Logical {
            device: found.name.to_string(),
            about: found.about.clone(),
            bytes,
            problem,
            volumes,
        }
    });
    Surveyed {
        disks,
        logicals: logicals.collect(),
        warnings: assembly.warnings.clone(),
    }
}

/// `whole` and its partitions, as far as they are of interest.
fn volumes(guest: &Guest, names: &[DeviceName], whole: &DeviceName) -> Vec<VolumeFacts> {
    let mut volumes: Vec<VolumeFacts> = names
        .iter()
        .filter(|name| name.with_partition(None) == *whole)
        .map(|name| volume(guest, name))
        .collect();
    // The disk as a whole is of interest where nothing is inside.
    if volumes.len() > 1
        && volumes
            .first()
            .is_some_and(|whole| whole.file_system.is_none())
    {
        volumes.remove(0);
    }
    if volumes.is_empty() {
        volumes.push(volume(guest, whole));
    }
    volumes
}

fn volume(guest: &Guest, name: &DeviceName) -> VolumeFacts {
    let device = name.to_string();
    // A half of a mirror may look like a file system.
    let mounted = match guest.volumes.part_of(name) {
        Ok(Some(part)) => Err(Failure::new(Code::CANNOT_MOUNT).because(part)),
        _ => guest.volumes.file_system(name),
    };
    match mounted {
        Ok(files) => VolumeFacts {
            device,
            file_system: Some(files.kind().to_string()),
            label: files.label().map(|label| visible(&label)),
            uuid: files.uuid(),
            problem: None,
            warnings: files.warnings(),
        },
        Err(failure) => {
            let reason = config::reason(&failure);
            let problem = reason
                .strip_prefix(&format!("{device}: "))
                .unwrap_or(&reason);
            VolumeFacts {
                problem: Some(problem.to_owned()),
                device,
                file_system: None,
                label: None,
                uuid: None,
                warnings: Vec::new(),
            }
        }
    }
}
