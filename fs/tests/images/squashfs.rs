//! squashfs images by real mksquashfs.

use std::path::PathBuf;

use super::{Scratch, run};

/// Packs the folder `root` of the scratch folder.
pub(crate) fn make(scratch: &Scratch, options: &[&str]) -> PathBuf {
    let (root, image) = (scratch.path("root"), scratch.path("image"));
    let _ = std::fs::remove_file(&image);
    let mut arguments = vec![
        root.to_str().unwrap(),
        image.to_str().unwrap(),
        "-no-progress",
        "-quiet",
        "-processors",
        "1",
    ];
    arguments.extend_from_slice(options);
    run("squashfs-tools", "mksquashfs", &arguments);
    image
}
