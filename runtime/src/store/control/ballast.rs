//! Room on the disk that is kept for alerts: a file beside the control store, which is deleted when
//! the disk is full. What an alert needs is then committed in the room that it leaves, until there
//! is space again for the file as well.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Written at once where a file system can't reserve blocks.
const CHUNK_BYTES: usize = 64 * 1024;

/// Free space wanted beside that for the file before it is made again, in parts of its size: not to
/// fill the disk with it.
const SPARE_PARTS: u64 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BallastState {
    /// Not configured.
    Off,
    /// On the disk.
    Held,
    /// The disk is full, or was: its room is used by what alerts need.
    GivenUp,
}

#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
    state: Mutex<BallastState>,
}

impl Ballast {
    /// Makes the file unless there is a whole one. Without room for it, it counts as given up. No
    /// bytes: none is wanted.
    pub(super) fn open(store: &Path, bytes: u64) -> Self {
        let mut name = store.file_name().unwrap_or(store.as_os_str()).to_owned();
        name.push(".ballast");
        let ballast = Self {
            path: store.with_file_name(name),
            bytes,
            state: Mutex::new(BallastState::Off),
        };
        if bytes == 0 {
            remove(&ballast.path);
            return ballast;
        }
        let state = match ballast.make() {
            Ok(()) => BallastState::Held,
            Err(error) => {
                let path = ballast.path.display();
                tracing::error!(%path, %error, "there is no room for the control store's ballast; free some space on its disk");
                BallastState::GivenUp
            }
        };
        ballast.set(state);
        ballast
    }

    pub(super) fn state(&self) -> BallastState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: BallastState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// True: there is more room than before, and what failed for want of it may be tried again.
    pub(super) fn give_up(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state != BallastState::Held {
            return false;
        }
        *state = BallastState::GivenUp;
        remove(&self.path);
        metrics::counter!("extrack_control_ballast_given_up_total").increment(1);
        let path = self.path.display();
        tracing::error!(
            %path,
            mebibytes = self.bytes >> 20,
            "the disk of the control store is full, its ballast was given up; alerts are still committed, until that is used up too: free some space"
        );
        true
    }

    /// Makes the file again when the disk has room for it and as much again.
    pub(super) fn restore(&self) {
        if self.state() != BallastState::GivenUp || !self.has_room() {
            return;
        }
        match self.make() {
            Ok(()) => {
                self.set(BallastState::Held);
                tracing::info!("the disk of the control store has room again, its ballast is back");
            }
            Err(error) => {
                tracing::warn!(%error, "the control store's ballast can't be made, it is tried again")
            }
        }
    }

    fn has_room(&self) -> bool {
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        statvfs(folder).is_ok_and(|disk| {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            free >= self.bytes.saturating_mul(1 + SPARE_PARTS)
        })
    }

    fn make(&self) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|file| is_whole(&file, self.bytes)) {
            return Ok(());
        }
        remove(&self.path);
        let made = self.fill();
        if made.is_err() {
            remove(&self.path);
        }
        made
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)?;
        if fallocate(&file, FallocateFlags::empty(), 0, self.bytes).is_err()
            || !is_whole(&file.metadata()?, self.bytes)
        {
            write_noise(&mut file, self.bytes)?;
        }
        file.sync_all()
    }
}

/// Whether the file has its blocks, not only its length.
fn is_whole(file: &fs::Metadata, bytes: u64) -> bool {
    file.len() == bytes && file.blocks() * 512 >= bytes
}

/// Writes bytes that no file system can compress away.
fn write_noise(file: &mut File, bytes: u64) -> io::Result<()> {
    file.set_len(0)?;
    let mut left = bytes;
    while left > 0 {
        let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES))];
        rand::RngCore::fill_bytes(&mut rand::rng(), &mut chunk);
        file.write_all(&chunk)?;
        left -= chunk.len() as u64;
    }
    Ok(())
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::error!(path = %path.display(), %error, "the control store's ballast can't be deleted");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: u64 = 256 * 1024;

    #[test]
    fn the_file_has_its_blocks_and_is_given_up_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("control.sqlite");
        let path = folder.path().join("control.sqlite.ballast");
        let ballast = Ballast::open(&store, BYTES);
        assert_eq!(ballast.state(), BallastState::Held);
        assert!(is_whole(&fs::metadata(&path).unwrap(), BYTES));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(ballast.give_up());
        assert!(!path.exists() && !ballast.give_up());
        ballast.restore();
        assert_eq!(ballast.state(), BallastState::Held, "this disk has room");
        assert_eq!(Ballast::open(&store, 0).state(), BallastState::Off);
        assert!(!path.exists(), "none is wanted any more");
    }

    #[test]
    fn a_file_of_another_size_or_with_holes_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sqlite.ballast");
        File::create(&path).unwrap().set_len(BYTES).unwrap();
        Ballast::open(&folder.path().join("control.sqlite"), BYTES);
        assert!(is_whole(&fs::metadata(&path).unwrap(), BYTES));
        write_noise(
            &mut OpenOptions::new().write(true).open(&path).unwrap(),
            BYTES,
        )
        .unwrap();
        assert!(is_whole(&fs::metadata(&path).unwrap(), BYTES));
    }
}
