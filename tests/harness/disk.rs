//! A small disk of its own, which a test can fill: a tmpfs, mounted while it lives.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Unmounted when it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts a small disk over an empty folder.
    pub fn mount(folder: &Path, megabytes: u32) -> Self {
        let options = format!("size={megabytes}m,mode=0755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Self {
                folder: folder.to_owned(),
            },
            Ok(output) => panic!(
                "a tmpfs can't be mounted: {}; run this test as root, or under `unshare --user --map-root-user --mount`",
                String::from_utf8_lossy(&output.stderr).trim()
            ),
            Err(error) => panic!("`mount` can't be started: {error}"),
        }
    }

    /// Fills the disk until nothing more fits, not even one byte.
    pub fn fill(&self) {
        let mut filler = File::options()
            .create(true)
            .append(true)
            .open(self.filler())
            .expect("a file can be made");
        for size in [1 << 20, 4_096, 1] {
            let block = vec![0x5a; size];
            while filler.write_all(&block).is_ok() {}
        }
    }

    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("the filler is ours");
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the program may still have files open.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.folder)
            .status();
    }
}
