//! Volumes made of several disks or partitions: [`assemble`] looks for the parts and puts them together.
//!
//! First md's arrays, then LVM's groups, which may lie on arrays; then arrays on logical volumes, and groups on those. What
//! is found inside a volume never joins what was found outside: whoever may write to an inner volume could claim to be
//! the newest part of an outer one. For the same reason a physical volume directly on a logical one is none, as in Linux.
//! A part that is damaged or alone is no error: what cannot be put together keeps its name, with the reason.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::cache::ReadAhead;
use crate::error::FsError;
use crate::name::DeviceName;
use crate::partition::{Table, partitions};
use crate::volume::Volume;
use crate::{lvm, md};

/// The most volumes that are named; a disk cannot make the list endless.
const LOGICALS_MAX: usize = 4096;
/// The most that have the same name and still are told apart.
const SAME_NAMES_MAX: u32 = 100;
/// How often arrays are looked for on arrays.
const ROUNDS_MAX: u32 = 3;
/// Disks, and what is found on their logical volumes.
const LEVELS: u32 = 2;
/// The most volumes of one level that are looked into.
const INNER_MAX: usize = 256;

/// A disk or partition on which a part may be.
pub struct Candidate {
    /// What menus call it.
    pub name: DeviceName,
    /// Its bytes.
    pub volume: Volume,
    /// Where the last partition on it ends; 0 if it has none.
    pub occupied: u64,
}

impl Candidate {
    /// The partitions of `disk`, which has this table, and then the disk itself.
    #[must_use]
    pub fn all(whole: &DeviceName, disk: &Rc<ReadAhead>, table: &Table) -> Vec<Self> {
        let mut all = Vec::new();
        let mut occupied = 0;
        for partition in &table.partitions {
            occupied = partition.start.saturating_add(partition.len).max(occupied);
            all.push(Self {
                name: whole.with_partition(Some(partition.number)),
                volume: Volume::partition(disk.clone(), partition),
                occupied: 0,
            });
        }
        all.push(Self {
            name: whole.clone(),
            volume: Volume::whole(disk.clone()),
            occupied,
        });
        all
    }

    /// What this says of itself if it is a part.
    ///
    /// A disk with partitions is one only where they lie within an array that begins where the disk does: else what is
    /// found is left over from before it had them.
    fn kind(&self) -> Result<Option<Kind>, FsError> {
        if let Some(member) = md::find(&self.volume)? {
            return Ok(
                (self.occupied == 0 || member.holds(self.occupied)).then_some(Kind::Md(member))
            );
        }
        if self.occupied > 0 {
            return Ok(None);
        }
        Ok(lvm::find(&self.volume)?.map(Kind::Lvm))
    }

    /// What this is a part of: `a member of the RAID array (md/0)`; `None` if it is no part.
    /// # Errors
    /// What the disk says.
    pub fn part_of(&self) -> Result<Option<String>, FsError> {
        Ok(self.kind()?.map(|kind| match kind {
            Kind::Md(member) => format!("a member of the RAID array {}", member.array_name()),
            Kind::Lvm(_) => "an LVM physical volume".into(),
        }))
    }
}

/// A part that was found.
pub(crate) struct Part {
    /// The disk, partition or array that it is on.
    pub(crate) name: DeviceName,
    pub(crate) volume: Volume,
    pub(crate) kind: Kind,
}

/// What a part says of itself.
pub(crate) enum Kind {
    Md(md::Member),
    Lvm(lvm::Physical),
}

/// A logical volume or array.
pub struct Logical {
    /// `(lvm/GROUP-VOLUME)` or `(md/NAME)`.
    pub name: DeviceName,
    /// What it is: `RAID 1, 1 of 2 members`.
    pub about: String,
    /// Its bytes, or why they are not to be had.
    pub volume: Result<Volume, String>,
}

/// What [`assemble`] found.
#[derive(Default)]
pub struct Assembly {
    /// In the order in which their first parts were found; arrays before logical volumes. Names are different from each
    /// other: a second `(md/0)` is `(md/0_1)`, as in GRUB 2.
    pub logicals: Vec<Logical>,
    /// Which candidates are parts of something.
    pub parts: Vec<DeviceName>,
    /// What could not be read or makes no sense.
    pub warnings: Vec<String>,
    /// The identifiers of arrays and groups that were put together.
    known: Vec<Vec<u8>>,
}

/// Puts together what lies on `candidates`, of which each disk comes after its partitions, as [`Candidate::all`] gives them.
#[must_use]
pub fn assemble(candidates: Vec<Candidate>) -> Assembly {
    let mut made = Assembly::default();
    let mut candidates = candidates;
    for level in 0..LEVELS {
        let mut parts = Vec::new();
        made.find(candidates, &mut parts);
        if level > 0 {
            parts.retain(|part| matches!(part.kind, Kind::Md(_)));
        }
        for _ in 0..ROUNDS_MAX {
            let arrays = md::arrays(&parts, &mut made.known);
            if arrays.is_empty() {
                break;
            }
            let inner = made.take(arrays);
            made.find(inner, &mut parts);
        }
        let volumes = lvm::volumes(&parts, &mut made.known, &mut made.warnings);
        candidates = made.take(volumes);
    }
    made
}

impl Assembly {
    /// Adds to `parts` which of `candidates` are some.
    fn find(&mut self, candidates: Vec<Candidate>, parts: &mut Vec<Part>) {
        for candidate in candidates {
            let kind = match candidate.kind() {
                Ok(Some(kind)) => kind,
                Ok(None) => continue,
                Err(error) => {
                    self.warnings.push(format!("{}: {error}", candidate.name));
                    continue;
                }
            };
            let Candidate { name, volume, .. } = candidate;
            if let Kind::Md(member) = &kind {
                // Version 0.90 does not say where its member begins: the last partition's superblock may be taken for
                // the disk's.
                let again = |part: &Part| match &part.kind {
                    Kind::Md(other) => {
                        Rc::ptr_eq(part.volume.disk(), volume.disk())
                            && other.place(&part.volume) == member.place(&volume)
                    }
                    Kind::Lvm(_) => false,
                };
                if parts.iter().any(again) {
                    continue;
                }
                // Partitions within a member are the array's, and may be old ones here.
                parts.retain(|part| part.name == name || part.name.with_partition(None) != name);
            }
            self.parts.push(name.clone());
            parts.push(Part { name, volume, kind });
        }
    }

    /// Adds volumes under names of their own; and what of them, and of their partitions, may be a part in turn.
    fn take(&mut self, more: Vec<Logical>) -> Vec<Candidate> {
        let mut inner = Vec::new();
        for mut logical in more {
            if self.logicals.len() >= LOGICALS_MAX {
                break;
            }
            let mut number = 0u32;
            let wanted = logical.name.clone();
            while self.get(&logical.name).is_some() && number < SAME_NAMES_MAX {
                number = number.saturating_add(1);
                logical.name = wanted.with_suffix(&format!("_{number}"));
            }
            if let Ok(volume) = &logical.volume
                && inner.len() < INNER_MAX
                && let Ok(table) = partitions(volume.disk())
            {
                inner.extend(Candidate::all(&logical.name, volume.disk(), &table));
            }
            self.logicals.push(logical);
        }
        inner
    }

    /// The volume called `whole`.
    #[must_use]
    pub fn get(&self, whole: &DeviceName) -> Option<&Logical> {
        self.logicals.iter().find(|logical| logical.name == *whole)
    }

    /// The names of all volumes, for messages: `(md/0) (lvm/vg-root)`; empty if there are none.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<String> = self
            .logicals
            .iter()
            .map(|logical| logical.name.to_string())
            .collect();
        names.join(" ")
    }
}

/// A volume over a composed device.
pub(crate) fn composed(map: crate::composite::Map) -> Volume {
    Volume::whole(Rc::new(ReadAhead::new(Rc::new(map))))
}
