//! Compiled components on disk, so that a start does not compile again. Only files this module wrote are ever loaded:
//! they hold native code.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// By content digest and the engine's own word on compatibility; each file begins with the sha256 of the rest, so that one
/// cut short by a crash is not run. The folder is the server's own, readable and writable by nobody else.
pub(super) struct CompiledCache {
    folder: PathBuf,
}

impl CompiledCache {
    pub(super) fn open(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Compiles unless it is there; takes CPU time, so never on the scheduler's threads.
    pub(super) fn component(&self, engine: &Engine, digest: &str, bytes: &[u8]) -> wasmtime::Result<Component> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let path = self.folder.join(format!("{digest}-{:016x}.cwasm", hasher.finish()));
        if let Some(component) = self.load(engine, &path) {
            return Ok(component);
        }
        let component = Component::new(engine, bytes)?;
        if let Err(error) = write(&path, &component.serialize()?) {
            tracing::warn!(%error, path = %path.display(), "can't keep a compiled plugin; the next start compiles it again");
        }
        Ok(component)
    }

    /// For every engine; what can't be deleted is made again or never looked at.
    pub(super) fn forget(&self, digest: &str) {
        for file in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if file.file_name().to_string_lossy().starts_with(digest) {
                let _ = fs::remove_file(file.path());
            }
        }
    }

    fn load(&self, engine: &Engine, path: &Path) -> Option<Component> {
        let file = fs::read(path).ok()?;
        let (digest, compiled) = file.split_at_checked(32)?;
        if Sha256::digest(compiled).as_slice() != digest {
            tracing::warn!(path = %path.display(), "a compiled plugin is damaged and is compiled again");
            return None;
        }
        #[expect(
            unsafe_code,
            reason = "native code from our own folder, whole by its digest, written by `write` below"
        )]
        let component = unsafe { Component::deserialize(engine, compiled) };
        component.inspect_err(|error| tracing::debug!(%error, "compiled by another engine")).ok()
    }
}

/// Beside, synced, renamed: never half a file under the final name.
fn write(path: &Path, compiled: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&Sha256::digest(compiled))?;
    file.write_all(compiled)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Removes the oldest files until the rest fits.
pub(super) fn prune(folder: &Path, most_bytes: u64) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if entry.path().extension().is_some_and(|extension| extension == "cwasm") {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files {
        if total <= most_bytes {
            break;
        }
        fs::remove_file(path)?;
        total -= size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pruning_takes_the_oldest_compiled_code_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let now = std::time::SystemTime::now();
        for (name, age_s) in [("old.cwasm", 30), ("older.cwasm", 60), ("new.cwasm", 0), ("ancient.txt", 90)] {
            fs::write(folder.path().join(name), [0; 100]).unwrap();
            let file = fs::File::options().append(true).open(folder.path().join(name)).unwrap();
            file.set_modified(now - std::time::Duration::from_secs(age_s)).unwrap();
        }
        prune(folder.path(), 200).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["ancient.txt", "new.cwasm", "old.cwasm"]);
    }
}
