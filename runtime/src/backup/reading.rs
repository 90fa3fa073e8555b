//! Reads a backup, as a tar archive or as a folder, and compares every file with the manifest.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::manifest::{MAX_BYTES, Manifest, ManifestFile};
use super::{BackupError, ERROR, MANIFEST, PLUGINS, private_file, private_folder};
use crate::store::files;

/// Where the files of a backup go.
#[derive(Debug, Clone, Copy)]
pub enum Unpacking<'a> {
    /// They are only read and compared.
    Nowhere,
    /// A folder that is there and empty.
    To(&'a Path),
}

/// Reads the backup at a path, a folder or a tar archive. Blocks.
pub fn verify(from: &Path, unpacking: Unpacking<'_>) -> Result<Manifest, BackupError> {
    if from.is_dir() {
        return copy_folder(from, unpacking);
    }
    let file = File::open(from).map_err(BackupError::io("read", from))?;
    unpack(std::io::BufReader::new(file), unpacking)
}

/// Reads a backup that comes as a tar archive. Blocks.
pub fn unpack(from: impl Read, unpacking: Unpacking<'_>) -> Result<Manifest, BackupError> {
    let mut archive = tar::Archive::new(from);
    let mut entries = archive.entries().map_err(broken_archive)?;
    let mut next = || entries.next().transpose().map_err(broken_archive);
    let no_manifest = || BackupError::Broken(format!("it does not begin with `{MANIFEST}`"));
    let first = next()?.ok_or_else(no_manifest)?;
    let name = first.path().map_err(broken_archive)?.into_owned();
    let mut text = Vec::new();
    first
        .take(MAX_BYTES)
        .read_to_end(&mut text)
        .map_err(broken_archive)?;
    if name == Path::new(ERROR) {
        return Err(BackupError::Broken(
            String::from_utf8_lossy(&text).into_owned(),
        ));
    }
    if name != Path::new(MANIFEST) {
        return Err(no_manifest());
    }
    let manifest = Manifest::parse(&text)?;
    for file in manifest.files() {
        let cut = || BackupError::Broken(format!("it ends before `{}`", file.path));
        let mut entry = next()?.ok_or_else(cut)?;
        let path = entry.path().map_err(broken_archive)?.into_owned();
        if path != Path::new(&file.path) {
            let found = path.display();
            return Err(BackupError::Broken(format!(
                "`{found}` is in the place of `{}`",
                file.path
            )));
        }
        take(file, &mut entry, unpacking)?;
    }
    finish(&text, unpacking)?;
    Ok(manifest)
}

fn copy_folder(from: &Path, unpacking: Unpacking<'_>) -> Result<Manifest, BackupError> {
    let place = from.join(MANIFEST);
    let mut text = Vec::new();
    File::open(&place)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text))
        .map_err(BackupError::io("read", &place))?;
    let manifest = Manifest::parse(&text)?;
    for file in manifest.files() {
        let place = from.join(&file.path);
        let mut source = File::open(&place).map_err(BackupError::io("read", &place))?;
        take(file, &mut source, unpacking)?;
    }
    finish(&text, unpacking)?;
    Ok(manifest)
}

fn take(
    file: &ManifestFile,
    from: &mut impl Read,
    unpacking: Unpacking<'_>,
) -> Result<(), BackupError> {
    let Unpacking::To(folder) = unpacking else {
        return file.copy(from, std::io::sink(), Path::new(&file.path));
    };
    let place = folder.join(&file.path);
    if let Some(parent) = place.parent().filter(|parent| !parent.exists()) {
        private_folder(parent).map_err(BackupError::io("make", parent))?;
    }
    let mut target = private_file(&place).map_err(BackupError::io("write", &place))?;
    file.copy(from, &mut target, &place)?;
    target.sync_all().map_err(BackupError::io("write", &place))
}

/// Writes the manifest last: a folder that has one is whole.
fn finish(text: &[u8], unpacking: Unpacking<'_>) -> Result<(), BackupError> {
    let Unpacking::To(folder) = unpacking else {
        return Ok(());
    };
    let place = folder.join(MANIFEST);
    private_file(&place)
        .and_then(|mut file| {
            file.write_all(text)?;
            file.sync_all()
        })
        .map_err(BackupError::io("write", &place))?;
    for folder in [folder.join(PLUGINS), folder.to_owned()] {
        if folder.is_dir() {
            sync_folder(&folder)?;
        }
    }
    Ok(())
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    files::sync_folder(folder).map_err(BackupError::io("write", folder))
}

fn broken_archive(error: std::io::Error) -> BackupError {
    BackupError::Broken(format!("it is no whole tar archive: {error}"))
}
