//! Compiled components on disk, so that a start does not compile again. Only files this module
//! wrote are ever loaded: they hold native code.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Most bytes of machine code in a folder that several programs share: authors build often, and
/// each build leaves its code. Enough for 25 plugins in Python, thousands in Rust.
const SHARED_BYTES: u64 = 1 << 30;

/// Age from which a draft in a shared folder was left by a crash: a compilation is ended before.
const DRAFT_AGE: Duration = Duration::from_secs(30 * 60);

/// Machine code by content digest and the engine's compatibility hash. Each file begins with the
/// sha256 of the rest, so that one cut short by a crash is not run. The folder is accessible to
/// this user only. A folder that is a symbolic link is shared with other programs, such as the
/// command line's: what they need is not known here, so only size and age decide.
pub(in crate::plugin_host) struct CompiledCache {
    folder: PathBuf,
    is_shared: bool,
}

impl CompiledCache {
    pub(in crate::plugin_host) fn open(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            is_shared: fs::symlink_metadata(folder)?.is_symlink(),
        })
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{}", suffix(engine)))
    }

    /// A file for machine code to come, under a name that is never loaded.
    pub(in crate::plugin_host) fn draft(&self) -> std::io::Result<NamedTempFile> {
        NamedTempFile::new_in(&self.folder)
    }

    /// Keeps machine code from a child process. The error names why this engine can't use it: a
    /// memory larger than any run gets, for instance.
    pub(in crate::plugin_host) fn take(
        &self,
        engine: &Engine,
        digest: &str,
        draft: NamedTempFile,
    ) -> Result<Component, String> {
        let component = load(engine, draft.path())?;
        let path = self.path(engine, digest);
        if let Err(error) = draft
            .as_file()
            .sync_all()
            .and_then(|()| Ok(draft.persist(&path).map(drop)?))
        {
            tracing::warn!(%error, path = %path.display(), "can't keep a compiled plugin; the next start compiles it again");
        }
        Ok(component)
    }

    pub(in crate::plugin_host) fn put(&self, engine: &Engine, digest: &str, code: &[u8]) {
        let path = self.path(engine, digest);
        let written = self.draft().and_then(|mut draft| {
            write_code(draft.as_file_mut(), code)?;
            draft.persist(&path)?;
            Ok(())
        });
        if let Err(error) = written {
            tracing::warn!(%error, path = %path.display(), "can't keep a compiled plugin; the next start compiles it again");
        }
    }

    pub(in crate::plugin_host) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(engine, digest);
        let loaded = load(engine, &path);
        let component = loaded
            .inspect_err(|error| tracing::debug!(error, "nothing compiled can be loaded"))
            .ok()?;
        // What is used stays when room is made.
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(component)
    }

    /// Deletes what no version needs: of other components, beyond the newest of them that fit into
    /// `spare_bytes`, and everything of other engines. A shared folder is only pruned.
    pub(in crate::plugin_host) fn sweep(
        &self,
        engine: &Engine,
        kept: &HashSet<String>,
        spare_bytes: u64,
    ) -> std::io::Result<()> {
        if self.is_shared {
            return self.prune_shared();
        }
        let suffix = suffix(engine);
        let mut spare = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let (entry, name) = entry.map(|entry| {
                (
                    entry.path(),
                    entry.file_name().to_string_lossy().into_owned(),
                )
            })?;
            match name
                .strip_suffix(&suffix)
                .map(|digest| digest.trim_end_matches('-'))
            {
                Some(digest) if kept.contains(digest) => {}
                Some(_) => spare.push(entry),
                None if name.ends_with(".cwasm") => remove(&entry)?,
                None => {}
            }
        }
        prune(spare, spare_bytes)
    }

    /// Deletes what a crash left half written. Nothing may be compiling into a folder that is not
    /// shared; in one that is, a young draft belongs to a compilation that goes on.
    pub(in crate::plugin_host) fn sweep_drafts(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(".tmp") {
                continue;
            }
            let is_left = || {
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                // A draft that is gone by now was another program's.
                modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > DRAFT_AGE))
            };
            if !self.is_shared || is_left() {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Makes room in a folder that programs share: the oldest code goes, and drafts that crashes
    /// left. Does nothing to a folder of this program's own.
    pub(in crate::plugin_host) fn prune_shared(&self) -> std::io::Result<()> {
        if !self.is_shared {
            return Ok(());
        }
        self.sweep_drafts()?;
        self.prune(SHARED_BYTES)
    }

    /// Removes the oldest code, whatever engine it is for, until the rest fits.
    fn prune(&self, most_bytes: u64) -> std::io::Result<()> {
        let files = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.path()));
        let files: std::io::Result<Vec<PathBuf>> = files.collect();
        prune(files?, most_bytes)
    }
}

/// Removes a file; one that another program removed first is as good.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns the suffix of files for this engine: its compatibility hash.
fn suffix(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}.cwasm", hasher.finish())
}

fn load(engine: &Engine, path: &Path) -> Result<Component, String> {
    let file = fs::read(path).map_err(|error| error.to_string())?;
    let (digest, compiled) = file.split_at_checked(32).ok_or("it is cut off")?;
    if Sha256::digest(compiled).as_slice() != digest {
        tracing::warn!(path = %path.display(), "a compiled plugin is damaged and is compiled again");
        return Err("it is damaged".to_owned());
    }
    #[expect(
        unsafe_code,
        reason = "native code from our own folder, whole by its digest, written by `write_code` of this process or its child"
    )]
    let component = unsafe { Component::deserialize(engine, compiled) };
    component.map_err(|error| format!("{error:#}"))
}

/// Writes machine code behind its digest, synced. A file renamed afterwards is never half written.
pub(in crate::plugin_host) fn write_code(
    file: &mut fs::File,
    compiled: &[u8],
) -> std::io::Result<()> {
    file.write_all(&Sha256::digest(compiled))?;
    file.write_all(compiled)?;
    file.sync_all()
}

/// Removes the oldest of these until the rest fits.
fn prune(paths: Vec<PathBuf>, most_bytes: u64) -> std::io::Result<()> {
    let mut files = Vec::new();
    for path in paths.into_iter().filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "cwasm")
    }) {
        // One that is gone by now was removed by another program.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        files.push((metadata.modified()?, metadata.len(), path));
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files {
        if total <= most_bytes {
            break;
        }
        remove(&path)?;
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
        for (name, age_s) in [
            ("old.cwasm", 30),
            ("older.cwasm", 60),
            ("new.cwasm", 0),
            ("ancient.txt", 90),
        ] {
            fs::write(folder.path().join(name), [0; 100]).unwrap();
            let file = fs::File::options()
                .append(true)
                .open(folder.path().join(name))
                .unwrap();
            file.set_modified(now - std::time::Duration::from_secs(age_s))
                .unwrap();
        }
        CompiledCache::open(folder.path())
            .unwrap()
            .prune(200)
            .unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["ancient.txt", "new.cwasm", "old.cwasm"]);
    }

    #[test]
    fn sweeping_leaves_what_versions_need_and_the_newest_of_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let now = SystemTime::now();
        let mine = |digest: &str| format!("{digest}-{}", suffix(&engine));
        let write = |name: &str, age_s: u64| {
            fs::write(folder.path().join(name), [0; 100]).unwrap();
            let file = fs::File::options()
                .append(true)
                .open(folder.path().join(name))
                .unwrap();
            file.set_modified(now - std::time::Duration::from_secs(age_s))
                .unwrap();
        };
        write(&mine("kept"), 90);
        write(&mine("checked"), 60);
        write(&mine("refused"), 30);
        write("kept-0000000000000001.cwasm", 0);
        write("notes.txt", 0);
        let cache = CompiledCache::open(folder.path()).unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        let kept = HashSet::from(["kept".to_owned()]);
        cache.sweep(&engine, &kept, 100).unwrap();
        assert_eq!(
            names(),
            [mine("kept"), "notes.txt".to_owned(), mine("refused")]
        );
        cache.sweep(&engine, &kept, 0).unwrap();
        assert_eq!(names(), [mine("kept"), "notes.txt".to_owned()]);
    }

    #[test]
    fn a_shared_folder_keeps_the_drafts_and_the_code_of_other_programs() {
        let folder = tempfile::tempdir().unwrap();
        let compiled = folder.path().join("shared");
        fs::create_dir(&compiled).unwrap();
        let write = |name: &str, age: Duration| {
            let file = fs::File::create(compiled.join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        write(".tmpYoung", Duration::from_secs(60));
        write(".tmpLeft", DRAFT_AGE * 2);
        write("others-0000000000000001.cwasm", DRAFT_AGE * 2);
        let link = folder.path().join("compiled");
        std::os::unix::fs::symlink(&compiled, &link).unwrap();
        let cache = CompiledCache::open(&link).unwrap();
        cache.sweep_drafts().unwrap();
        cache.sweep(&Engine::default(), &HashSet::new(), 0).unwrap();
        let mut left: Vec<_> = fs::read_dir(&compiled)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, [".tmpYoung", "others-0000000000000001.cwasm"]);
    }

    #[test]
    fn a_folder_of_its_own_loses_all_drafts_at_a_start() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".tmpYoung"), []).unwrap();
        let cache = CompiledCache::open(folder.path()).unwrap();
        cache.sweep_drafts().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
