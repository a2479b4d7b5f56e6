//! Inputs for disks: which image, and what is changed in it. An image is far too large to be an input itself, and nearly
//! all of it is nothing; a change is aimed at one of the words that mean something.
//!
//! An input is the image's number, and changes of 3 bytes and more: what to do (3 bits) and how far from the word
//! (5 bits, from 8 bytes before it on); the word's number, 16 bits; and what the deed needs.

use std::rc::Rc;

use crate::disk::{Disk, read_changed};
use crate::image::Image;
use crate::input::Input;
use crate::mutate::Mutator;

/// Most changes of one input.
const CHANGES_MAX: usize = 64;

/// An image with its places.
pub(crate) struct Base {
    image: Image,
    places: Vec<u64>,
    sector_bytes: u32,
    repair: Option<Repair>,
}

/// Bytes that differ from the image, with their offsets; later ones lie over earlier ones.
pub(crate) type Changes = Vec<(u64, Vec<u8>)>;

/// Makes checksums right again, so that what was changed is looked at. Given the image and what was changed, it adds to
/// the changes.
pub(crate) type Repair = fn(&Image, &mut Changes);

impl Base {
    pub(crate) fn new(image: Image, sector_bytes: u32) -> Self {
        let places = image.places();
        assert!(!places.is_empty(), "an empty image");
        Self {
            image,
            places,
            sector_bytes,
            repair: None,
        }
    }

    /// The same image, repaired after changes.
    pub(crate) fn repaired(mut self, repair: Option<Repair>) -> Self {
        self.repair = repair;
        self
    }

    /// The image in `packed`, in sectors of 512 bytes.
    pub(crate) fn unpack(packed: &[u8]) -> Self {
        Self::new(Image::unpack(packed), 512)
    }

    fn place(&self, number: u16) -> u64 {
        let count = self.places.len();
        let number = usize::from(number);
        // All of them can be reached, if not each.
        let at = if count > 1 << 16 {
            number * (count >> 16)
        } else {
            number % count
        };
        self.places[at]
    }

    fn disk(&'static self, input: &mut Input<'_>) -> Rc<Disk> {
        let mut changes: Changes = Vec::new();
        let mut len = self.image.len_bytes();
        while !input.is_empty() && changes.len() < CHANGES_MAX {
            let kind = input.u8();
            let place = self.place(input.u16());
            let at = (place + u64::from(kind >> 3)).saturating_sub(8);
            let bytes = match kind & 7 {
                0 => input.take(1).to_vec(),
                1 => input.take(2).to_vec(),
                2 => input.take(4).to_vec(),
                3 => input.take(8).to_vec(),
                4 => {
                    let mut byte = [0];
                    read_changed(&self.image, &changes, at, &mut byte);
                    vec![byte[0] ^ (1 << (input.u8() & 7))]
                }
                5 => {
                    let from = self.place(input.u16());
                    let mut bytes = vec![0; 4 + usize::from(input.u8() & 60)];
                    read_changed(&self.image, &changes, from, &mut bytes);
                    bytes
                }
                6 => vec![0xff; 1 + usize::from(input.u8() & 31)],
                _ => match input.u8() {
                    0 => {
                        len = at;
                        continue;
                    }
                    count @ 1..128 => input.take(usize::from(count)).to_vec(),
                    count => vec![0; 4 * usize::from(count - 127)],
                },
            };
            changes.push((at, bytes));
        }
        if let Some(repair) = self.repair {
            repair(&self.image, &mut changes);
        }
        Disk::new(&self.image, changes, len, self.sector_bytes)
    }
}

/// The images in `packed`, in sectors of 512 bytes, once for each way to repair them.
pub(crate) fn bases(packed: &[&[u8]], repairs: &[Option<Repair>]) -> Vec<Base> {
    let repaired = |&repair: &Option<Repair>| {
        let images = packed.iter().map(|image| Base::unpack(image));
        images.map(move |base| base.repaired(repair))
    };
    repairs.iter().flat_map(repaired).collect()
}

/// The disk that `input` describes.
pub(crate) fn disk(bases: &'static [Base], input: &[u8]) -> Rc<Disk> {
    let mut input = Input::new(input);
    let number = usize::from(input.u8()) % bases.len();
    bases[number].disk(&mut input)
}

/// Each image as it is, and with a few changes.
pub(crate) fn seeds(bases: &[Base]) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0..bases.len()).map(|number| vec![number as u8]).collect();
    let mut mutator = Mutator::new(bases.len() as u64);
    for number in 0..bases.len() {
        for kind in 0..24_u8 {
            let mut seed = vec![number as u8, (kind % 8) | ((kind / 8) << 6)];
            let filler = vec![vec![0; 12]];
            let mut random = mutator.make(&filler, &[], 14);
            random.resize(12, kind);
            seed.append(&mut random);
            seeds.push(seed);
        }
    }
    seeds
}
