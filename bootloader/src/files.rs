//! Whole files for the menu: small ones as bytes, large ones straight into the frames they will stay in.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use arch::addr::PAGE_BYTES;
use arch::{FrameSource, Frames, NoFrames};
use fs::File;
use menu::{Code, Failure};

use crate::image::{self, ImageError, Source, SourceError};
use crate::volumes;

/// A file as the image formats read it.
pub struct FileSource<'a>(pub &'a dyn File);

fn source_error(error: &fs::FsError) -> SourceError {
    SourceError {
        message: error.to_string(),
        number: error.grub_error(),
    }
}

impl Source for FileSource<'_> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), SourceError> {
        self.0
            .read_at(offset, out)
            .map_err(|error| source_error(&error))
    }

    fn prefetch(&self, offset: u64, len: u64) {
        self.0.prefetch(offset, len);
    }
}

/// GRUB's failure for a kernel that is refused.
#[must_use]
pub fn image_failure(error: &ImageError) -> Failure {
    Failure::new(Code(error.grub_error())).because(error.to_string())
}

/// GRUB's failure for memory that is not there.
#[must_use]
pub fn memory_failure(error: &NoFrames) -> Failure {
    Failure::new(Code::WONT_FIT).because(error.to_string())
}

fn too_long(len: u64, limit: usize) -> Failure {
    Failure::new(Code::WONT_FIT).because(format!(
        "the file has {len} bytes, more than the {limit} that are read here"
    ))
}

/// Whether the file starts as gzip data do.
fn is_gzip(file: &dyn File) -> Result<bool, Failure> {
    let mut magic = [0; 2];
    if file.len() < 18 {
        return Ok(false);
    }
    file.read_at(0, &mut magic)
        .map_err(|error| volumes::failure(&error))?;
    Ok(magic == [0x1f, 0x8b])
}

/// The file's bytes, at most `limit` of them, unpacked if they are in gzip format.
///
/// # Errors
/// 28 for a longer file, 3 for damaged gzip data, and whatever the disk says.
pub fn read_unpacked(file: &dyn File, limit: usize) -> Result<Vec<u8>, Failure> {
    if is_gzip(file)? {
        let mut bytes = Vec::new();
        image::gunzip(&FileSource(file), &mut |piece| {
            if bytes.len() + piece.len() > limit {
                return Err(ImageError::TooLarge(limit as u64));
            }
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .map_err(|error| image_failure(&error))?;
        return Ok(bytes);
    }
    let len = usize::try_from(file.len())
        .ok()
        .filter(|&len| len <= limit)
        .ok_or_else(|| too_long(file.len(), limit))?;
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes)
        .map_err(|error| volumes::failure(&error))?;
    Ok(bytes)
}

/// Files behind each other in runs of frames, as a kernel gets them: every run but the last is full.
#[derive(Debug, Default)]
pub struct Blob {
    runs: Vec<Frames>,
    len: u64,
}

/// Largest piece in which frames are asked for when the length is not known beforehand: 1 MiB.
const STEP_FRAMES: u64 = 256;
/// Largest piece in which frames are asked for when it is: 1 GiB, since a slice may not have 2 GiB where `usize` has 32
/// bits.
const RUN_BYTES: u64 = if cfg!(test) { 16384 } else { 1 << 30 };

impl Blob {
    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The frames, in order; what follows the last byte in its frame is zero.
    #[must_use]
    pub fn into_runs(mut self) -> Vec<Frames> {
        self.spare().fill(0);
        self.runs
    }

    fn capacity(&self) -> u64 {
        self.runs
            .iter()
            .map(|run| run.count() * PAGE_BYTES as u64)
            .sum()
    }

    /// Fills up with zeroes to a multiple of `align` bytes (a power of two, at most a page).
    ///
    /// # Errors
    /// When no frame is left.
    pub fn align(&mut self, source: &dyn FrameSource, align: u64) -> Result<(), NoFrames> {
        let missing = self.len.wrapping_neg() % align;
        let zeroes = [0; PAGE_BYTES];
        self.append(source, &zeroes[..missing as usize])
    }

    /// The part of the last run that is not used yet.
    fn spare(&mut self) -> &mut [u8] {
        let free = (self.capacity() - self.len) as usize;
        match self.runs.last_mut() {
            Some(run) => {
                let at = run.len_bytes() - free;
                &mut run[at..]
            }
            None => &mut [],
        }
    }

    /// Adds `bytes` at the end.
    ///
    /// # Errors
    /// When no frame is left; the blob is as it was.
    pub fn append(&mut self, source: &dyn FrameSource, bytes: &[u8]) -> Result<(), NoFrames> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.spare().is_empty() {
                let wanted = (rest.len() as u64).div_ceil(PAGE_BYTES as u64);
                self.runs
                    .push(source.allocate(wanted.clamp(1, STEP_FRAMES))?);
            }
            let spare = self.spare();
            let count = spare.len().min(rest.len());
            let (now, later) = rest.split_at(count);
            spare[..count].copy_from_slice(now);
            self.len += count as u64;
            rest = later;
        }
        Ok(())
    }

    /// Adds the whole of `file` at the end: one read of the disk per run of frames, straight into them. Nothing is read
    /// when memory is short.
    ///
    /// # Errors
    /// 28 when memory is short, and whatever the disk says; the blob is then of no use.
    pub fn append_file(
        &mut self,
        source: &dyn FrameSource,
        file: &dyn File,
    ) -> Result<(), Failure> {
        let read = |offset: u64, out: &mut [u8]| {
            file.read_at(offset, out)
                .map_err(|error| volumes::failure(&error))
        };
        let len = file.len();
        let room = self.spare().len() as u64;
        let runs = allocate_runs(source, len.saturating_sub(room))
            .map_err(|error| memory_failure(&error))?;
        let mut runs = runs.into_iter();
        let mut done = 0;
        loop {
            let spare = self.spare();
            let count = (len - done).min(spare.len() as u64);
            read(done, &mut spare[..count as usize])?;
            self.len += count;
            done += count;
            match runs.next() {
                Some(run) => self.runs.push(run),
                None => return Ok(()),
            }
        }
    }

    /// Adds `len` bytes at the end that may be anything, for a front end that only wants to know whether there is room.
    ///
    /// # Errors
    /// When memory is short.
    pub fn append_room(&mut self, source: &dyn FrameSource, len: u64) -> Result<(), NoFrames> {
        let room = self.spare().len() as u64;
        self.runs
            .extend(allocate_runs(source, len.saturating_sub(room))?);
        self.len += len;
        Ok(())
    }

    /// Adds `file` at the end, unpacked if it is in gzip format.
    ///
    /// # Errors
    /// As [`Blob::append_file`], and 3 for damaged gzip data.
    pub fn append_unpacked(
        &mut self,
        source: &dyn FrameSource,
        file: &dyn File,
    ) -> Result<(), Failure> {
        if !is_gzip(file)? {
            return self.append_file(source, file);
        }
        let mut short = None;
        let result = image::gunzip(&FileSource(file), &mut |piece| {
            self.append(source, piece).map_err(|error| {
                short = Some(error);
                ImageError::TooLarge(0)
            })
        });
        match (result, short) {
            (_, Some(error)) => Err(memory_failure(&error)),
            (Err(error), None) => Err(image_failure(&error)),
            (Ok(_), None) => Ok(()),
        }
    }
}

/// Runs of frames for `bytes` bytes: one, if it need not be longer than [`RUN_BYTES`].
fn allocate_runs(source: &dyn FrameSource, bytes: u64) -> Result<Vec<Frames>, NoFrames> {
    let mut runs = Vec::new();
    let mut missing = bytes;
    while missing > 0 {
        let part = missing.min(RUN_BYTES);
        runs.push(source.allocate(part.div_ceil(PAGE_BYTES as u64))?);
        missing -= part;
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arch::fake::frames::FakeFrames;

    struct Bytes(Vec<u8>);

    impl File for Bytes {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), fs::FsError> {
            let at = offset as usize;
            out.copy_from_slice(&self.0[at..at + out.len()]);
            Ok(())
        }

        fn prefetch(&self, _offset: u64, _len: u64) {}
    }

    fn contents(blob: Blob) -> Vec<u8> {
        let len = blob.len();
        let mut bytes: Vec<u8> = blob
            .into_runs()
            .iter()
            .flat_map(|run| run.iter().copied())
            .collect();
        assert_eq!(bytes.len() % PAGE_BYTES, 0);
        let rest = bytes.split_off(len as usize);
        assert!(rest.iter().all(|&byte| byte == 0), "the last frame's rest");
        bytes
    }

    #[test]
    fn files_follow_each_other_aligned_and_the_rest_is_zero() {
        let frames = FakeFrames::new(64, 0, None);
        let mut blob = Blob::default();
        blob.append_file(&frames, &Bytes(vec![1; 5001])).unwrap();
        blob.align(&frames, 4).unwrap();
        blob.append_file(&frames, &Bytes(vec![2; 9000])).unwrap();
        blob.align(&frames, 4).unwrap();
        blob.append_file(&frames, &Bytes(vec![3; 2])).unwrap();
        let expected = [vec![1; 5001], vec![0; 3], vec![2; 9000], vec![3; 2]].concat();
        assert_eq!(contents(blob), expected);
    }

    #[test]
    fn a_large_file_is_read_in_several_runs() {
        let bytes: Vec<u8> = (0..5 * RUN_BYTES + 77)
            .map(|at| (at ^ (at >> 8)) as u8)
            .collect();
        let frames = FakeFrames::new(64, 0, None);
        let mut blob = Blob::default();
        blob.append_file(&frames, &Bytes(vec![1; 100])).unwrap();
        blob.append_file(&frames, &Bytes(bytes.clone())).unwrap();
        assert_eq!(contents(blob), [vec![1; 100], bytes].concat());
        let mut blob = Blob::default();
        let whole = Bytes(vec![7; 2 * RUN_BYTES as usize]);
        blob.append_file(&frames, &whole).unwrap();
        assert_eq!(contents(blob), whole.0);
    }

    #[test]
    fn too_little_memory_is_an_error() {
        let frames = FakeFrames::new(4, 0, None);
        let mut blob = Blob::default();
        let failure = blob
            .append_file(&frames, &Bytes(vec![1; 5 * PAGE_BYTES]))
            .unwrap_err();
        assert_eq!(failure.code, Code::WONT_FIT);
    }

    #[test]
    fn a_longer_menu_than_the_limit_is_refused() {
        assert_eq!(
            read_unpacked(&Bytes(vec![1; 11]), 10).unwrap_err().code,
            Code::WONT_FIT
        );
        assert_eq!(read_unpacked(&Bytes(vec![1; 10]), 10).unwrap(), [1; 10]);
    }
}
