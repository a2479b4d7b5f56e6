//! Disk images without their zeros, so that one of 300 MB fits the repository and the memory.
//!
//! [`Image::packed`] is gzip around: the length in bytes, and for each piece of 512 bytes that is not zero its number
//! and its bytes; numbers have 64 bits and are little-endian.

use std::collections::BTreeMap;
use std::io::{Read, Write};

/// Bytes of a piece.
const PIECE: usize = 512;

/// A disk image.
#[derive(Clone, Default)]
pub struct Image {
    len: u64,
    /// What is not zero, by its number.
    pieces: BTreeMap<u64, Box<[u8; PIECE]>>,
}

impl Image {
    /// The image that holds `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut image = Self {
            len: bytes.len() as u64,
            pieces: BTreeMap::new(),
        };
        for (number, piece) in (0..).zip(bytes.chunks(PIECE)) {
            if piece.iter().any(|byte| *byte != 0) {
                let mut whole = Box::new([0; PIECE]);
                whole[..piece.len()].copy_from_slice(piece);
                image.pieces.insert(number, whole);
            }
        }
        image
    }

    /// Reads what [`Image::packed`] has made.
    ///
    /// # Panics
    /// For anything else: the images are files of the repository.
    #[must_use]
    pub fn unpack(packed: &[u8]) -> Self {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed)
            .read_to_end(&mut bytes)
            .expect("OK to unwrap: a file of the repository");
        let (len, mut rest) = bytes.split_first_chunk().expect("OK to unwrap: as above");
        let mut image = Self {
            len: u64::from_le_bytes(*len),
            pieces: BTreeMap::new(),
        };
        while let Some((number, tail)) = rest.split_first_chunk() {
            let (piece, tail) = tail.split_first_chunk().expect("OK to unwrap: as above");
            image
                .pieces
                .insert(u64::from_le_bytes(*number), Box::new(*piece));
            rest = tail;
        }
        image
    }

    /// The image as a file.
    #[must_use]
    pub fn packed(&self) -> Vec<u8> {
        let mut bytes = self.len.to_le_bytes().to_vec();
        for (number, piece) in &self.pieces {
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(&piece[..]);
        }
        let mut packer = flate2::GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), flate2::Compression::best());
        packer
            .write_all(&bytes)
            .and_then(|()| packer.finish())
            .expect("OK to unwrap: written to memory")
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// Fills `out` with the bytes at `offset`; beyond the end there are zeros.
    pub fn read(&self, offset: u64, out: &mut [u8]) {
        out.fill(0);
        let end = offset + out.len() as u64;
        let first = offset / PIECE as u64;
        for (number, piece) in self.pieces.range(first..end.div_ceil(PIECE as u64)) {
            let at = number * PIECE as u64;
            let from = offset.max(at);
            let until = end.min(at + PIECE as u64);
            let (into, of) = (
                (from - offset) as usize..(until - offset) as usize,
                (from - at) as usize..(until - at) as usize,
            );
            out[into].copy_from_slice(&piece[of]);
        }
    }

    /// Offsets of the words of 8 bytes that mean something: not zero, and not like their neighbours, as bitmaps and the
    /// insides of files are.
    #[must_use]
    pub fn places(&self) -> Vec<u64> {
        let mut places = Vec::new();
        for (number, piece) in &self.pieces {
            for (word, bytes) in piece.chunks(8).enumerate() {
                let same = bytes.iter().all(|byte| *byte == bytes[0]);
                if !same {
                    places.push(number * PIECE as u64 + word as u64 * 8);
                }
            }
        }
        places
    }
}
