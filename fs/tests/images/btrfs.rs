//! btrfs images by real mkfs.btrfs.

use std::fs as host;
use std::path::PathBuf;

use super::{Scratch, run};

/// Makes a file system of `mib` MiB with the content of `root` in the scratch folder.
pub(crate) fn make(scratch: &Scratch, mib: u64, options: &[&str], root: &str) -> PathBuf {
    let image = scratch.path("image");
    let _ = host::remove_file(&image);
    host::File::create(&image)
        .unwrap()
        .set_len(mib << 20)
        .unwrap();
    let root = scratch.path(root);
    let mut arguments = vec!["-q", "-L", "sample", "--rootdir", root.to_str().unwrap()];
    arguments.extend_from_slice(options);
    arguments.push(image.to_str().unwrap());
    run("btrfs-progs", "mkfs.btrfs", &arguments);
    image
}
