//! Files that have to be on the disk, and to be what was written.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Returns the size and the SHA-256, in hex, of all that can be read.
pub(crate) fn hash(from: &mut impl Read) -> std::io::Result<(u64, String)> {
    let mut hashing = Hashing::new(std::io::sink());
    std::io::copy(from, &mut hashing)?;
    Ok(hashing.finish())
}

/// Returns the path of the SHA-256 that lies beside a file of the archive.
pub(crate) fn sum_of(of: &Path) -> PathBuf {
    let mut name = of.as_os_str().to_owned();
    name.push(".sha256");
    PathBuf::from(name)
}

/// Returns the SHA-256 that was noted beside a file.
pub(crate) fn noted_sum(of: &Path) -> Option<String> {
    let text = std::fs::read_to_string(sum_of(of)).ok()?;
    let sum = text.split_whitespace().next()?;
    (sum.len() == 64).then(|| sum.to_owned())
}

/// Has the names in a folder on the disk.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Counts and hashes what is written through it.
pub(crate) struct Hashing<W> {
    to: W,
    digest: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    pub(crate) fn new(to: W) -> Self {
        Self {
            to,
            digest: Sha256::new(),
            bytes: 0,
        }
    }

    pub(crate) fn finish(self) -> (u64, String) {
        (self.bytes, hex::encode(self.digest.finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}
