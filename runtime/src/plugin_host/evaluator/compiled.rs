//! The module of the evaluator: compiled once and kept on disk, in a folder of its own.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use wasmtime::{Config, Engine, InstancePre, Module};

use super::instance::{Guest, link};
use crate::plugin_host::engine::bundled::bundled;

/// Stack of the machine: the parser recurses through brackets, evaluation through the operators of
/// a long sum.
const STACK_BYTES: usize = 1 << 20;

pub(super) struct Machine {
    folder: PathBuf,
    ready: OnceLock<Result<InstancePre<Guest>, String>>,
}

impl Machine {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            ready: OnceLock::new(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.get().is_some()
    }

    /// Compiles, the first time.
    pub(super) fn ready(&self) -> Result<&InstancePre<Guest>, String> {
        let started =
            || start(&self.folder).map_err(|error| format!("the evaluator can't start: {error:#}"));
        self.ready
            .get_or_init(started)
            .as_ref()
            .map_err(Clone::clone)
    }
}

/// An engine beside the one of plugins: this one counts steps.
fn start(folder: &Path) -> wasmtime::Result<InstancePre<Guest>> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .max_wasm_stack(STACK_BYTES)
        .async_stack_size(2 * STACK_BYTES);
    let engine = Engine::new(&config)?;
    link(&engine)?.instantiate_pre(&module(&engine, folder)?)
}

fn module(engine: &Engine, folder: &Path) -> wasmtime::Result<Module> {
    let source = bundled().evaluator;
    if source.is_empty() {
        wasmtime::bail!("this program was built without it");
    }
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let name = format!(
        "{}-{:016x}.cwasm",
        hex::encode(Sha256::digest(source)),
        hasher.finish()
    );
    let path = folder.join(&name);
    if let Some(module) = load(engine, &path) {
        return Ok(module);
    }
    let module = Module::new(engine, source)?;
    if let Err(error) = module
        .serialize()
        .map_err(|error| std::io::Error::other(format!("{error:#}")))
        .and_then(|code| keep(&path, &code))
    {
        tracing::warn!(%error, path = %path.display(), "can't keep the compiled evaluator; the next start compiles it again");
    }
    Ok(module)
}

fn load(engine: &Engine, path: &Path) -> Option<Module> {
    let file = fs::read(path).ok()?;
    let (digest, compiled) = file.split_at_checked(32)?;
    if Sha256::digest(compiled).as_slice() != digest {
        tracing::warn!(path = %path.display(), "the compiled evaluator is damaged and is compiled again");
        return None;
    }
    #[expect(
        unsafe_code,
        reason = "native code from our own folder, whole by its digest, written by `keep` below"
    )]
    let module = unsafe { Module::deserialize(engine, compiled) };
    module
        .inspect_err(|error| tracing::debug!(%error, "compiled by another engine"))
        .ok()
}

/// Writes machine code beside its place, synced, then renames it; code of other programs there is
/// deleted.
fn keep(path: &Path, compiled: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&Sha256::digest(compiled))?;
    file.write_all(compiled)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    let is_other = |other: &PathBuf| {
        other != path
            && other
                .extension()
                .is_some_and(|extension| extension == "cwasm")
    };
    for other in fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(is_other)
    {
        let _ = fs::remove_file(other);
    }
    Ok(())
}
