//! XFS images by real mkfs.xfs.

use std::fs as host;
use std::path::{Path, PathBuf};

use super::{Sample, Scratch, run};

pub(crate) const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";

/// Makes an empty file system of `mib` MiB.
pub(crate) fn make(scratch: &Scratch, mib: u64, options: &[&str]) -> PathBuf {
    let image = scratch.path("image");
    let file = host::File::create(&image).unwrap();
    file.set_len(0).unwrap();
    file.set_len(mib << 20).unwrap();
    let uuid = format!("uuid={UUID}");
    let mut arguments = vec!["-q", "-f", "-L", "sample"];
    arguments.extend_from_slice(options);
    if !options.contains(&"crc=0") {
        arguments.extend_from_slice(&["-m", &uuid]);
    }
    if mib < 300 {
        arguments.push("--unsupported");
    }
    arguments.push(image.to_str().unwrap());
    run("xfsprogs", "mkfs.xfs", &arguments);
    image
}

/// Ends the file system as a crash does: nothing more is written, what is in the log stays there.
pub(crate) fn crash(root: &Path, flush: &str) {
    run(
        "xfsprogs",
        "xfs_io",
        &["-x", "-c", flush, root.to_str().unwrap()],
    );
}

/// A prototype for `mkfs.xfs -p` of `tree`, but for names with blanks, whose files are in `root`.
pub(crate) fn prototype(root: &Path, tree: &[(String, Sample)]) -> String {
    fn folder(text: &mut String, root: &Path, tree: &[(String, Sample)], path: &str) {
        for (name, sample) in tree {
            let (parent, last) = name.rsplit_once('/').unwrap_or(("", name));
            // It has no way to spell a blank.
            if parent != path || name.contains(' ') {
                continue;
            }
            match sample {
                Sample::File(_) => {
                    let source = root.join(name);
                    *text += &format!("{last} ---644 0 0 {}\n", source.display());
                }
                Sample::Link(target) => *text += &format!("{last} l--777 0 0 {target}\n"),
                Sample::Directory => {
                    *text += &format!("{last} d--755 0 0\n");
                    folder(text, root, tree, name);
                }
            }
        }
        *text += "$\n";
    }
    let mut text = "-\n0 0\nd--755 0 0\n".to_string();
    folder(&mut text, root, tree, "");
    text
}
