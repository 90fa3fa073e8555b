//! Builds plugins: finds a Rust toolchain that can compile to WebAssembly, compiles, and turns the
//! modules into components. Used by build scripts for the bundled plugins, and by the command line
//! for everyone else's, in any language ([`Project`]). Knows nothing of the host.

mod compile;
mod component;
mod project;
mod target_folder;
mod toolchain;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use component::encode;
pub use project::{Language, Project};
pub use toolchain::Toolchain;

/// The only target plugins are compiled to: without an operating system, a component imports our
/// own interfaces alone.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Plugins to build.
#[derive(Debug, Clone)]
pub struct Request {
    /// `Cargo.toml` of a package or of a workspace of plugins, or the folder that holds it.
    pub manifest: PathBuf,
    /// Names of packages; empty for all of them.
    pub packages: Vec<String>,
    /// Where the compiler keeps its work; projects may share it. Not a folder that another cargo holds at the same time:
    /// a build script that used the one of the cargo which runs it would wait for ever.
    pub target_dir: PathBuf,
    /// Cargo profile, normally `release`.
    pub profile: String,
    /// Called with each step, one line of text a step.
    pub progress: fn(&str),
}

impl Request {
    /// Builds everything in `manifest`, as a release, and writes its steps to standard error.
    pub fn new(manifest: impl Into<PathBuf>, target_dir: impl Into<PathBuf>) -> Self {
        Self {
            manifest: manifest.into(),
            packages: Vec::new(),
            target_dir: target_dir.into(),
            profile: "release".to_owned(),
            progress: print_step,
        }
    }

    /// The manifest itself, when a folder was given.
    fn manifest_path(&self) -> Result<PathBuf> {
        let path = if self.manifest.is_dir() {
            self.manifest.join("Cargo.toml")
        } else {
            self.manifest.clone()
        };
        path.canonicalize()
            .with_context(|| format!("no package or workspace at `{}`", path.display()))
    }

    /// The folder of what is built of a manifest. Each has its own: a later build of another
    /// project with a package of the same name replaces nothing.
    fn folder_of(&self, manifest: &Path) -> Result<PathBuf> {
        let mut project = DefaultHasher::new();
        manifest.hash(&mut project);
        let folder = self
            .target_dir
            .join("components")
            .join(format!("{:016x}", project.finish()));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        Ok(folder)
    }
}

/// One plugin, ready to be installed.
#[derive(Debug, Clone)]
pub struct Built {
    /// Name of the package.
    pub name: String,
    /// `TARGET_DIR/components/PROJECT/NAME.wasm`, where `PROJECT` stands for the manifest; left
    /// untouched when a build changes nothing.
    pub component_path: PathBuf,
    /// Size of the component.
    pub bytes: u64,
    /// Files it was compiled from, as the compiler reports them: what a build script should watch.
    pub sources: Vec<PathBuf>,
}

/// Compiles the requested packages with one call of cargo, and turns each into a component. In the
/// order of their names.
pub fn build(request: &Request) -> Result<Vec<Built>> {
    let manifest = request.manifest_path()?;
    let toolchain = Toolchain::find()?;
    (request.progress)(&format!(
        "compiling plugins of {} with {toolchain}",
        manifest.display()
    ));
    let _lock = target_folder::lock(&request.target_dir, request.progress)?;
    let modules = compile::compile(&toolchain, &manifest, request)?;
    let folder = request.folder_of(&manifest)?;
    let mut built = Vec::with_capacity(modules.len());
    for module in modules {
        let component_path = folder.join(format!("{}.wasm", module.package));
        let bytes = component::encode_file(&module.path, &component_path)
            .with_context(|| format!("plugin `{}` does not make a component", module.package))?;
        (request.progress)(&format!(
            "plugin {}: {} KiB",
            module.package,
            bytes.div_ceil(1024)
        ));
        built.push(Built {
            name: module.package,
            component_path,
            bytes,
            sources: module.sources,
        });
    }
    Ok(built)
}

/// A core module, for a host that calls it without the interfaces of plugins.
#[derive(Debug, Clone)]
pub struct BuiltModule {
    pub path: PathBuf,
    /// Files it was compiled from.
    pub sources: Vec<PathBuf>,
}

/// Compiles the one package in a manifest, and leaves it the core module that it is.
pub fn build_module(request: &Request) -> Result<BuiltModule> {
    let manifest = request.manifest_path()?;
    let toolchain = Toolchain::find()?;
    (request.progress)(&format!(
        "compiling {} with {toolchain}",
        manifest.display()
    ));
    let _lock = target_folder::lock(&request.target_dir, request.progress)?;
    let modules = compile::compile(&toolchain, &manifest, request)?;
    let module = modules.into_iter().next().context("there is no module")?;
    let path = request
        .folder_of(&manifest)?
        .join(format!("{}.module.wasm", module.package));
    component::write(&path, &component::read(&module.path)?)?;
    Ok(BuiltModule {
        path,
        sources: module.sources,
    })
}

/// A folder for [`Request::target_dir`] that a build script may use: `guests` beside the profiles
/// of the target folder that holds `OUT_DIR`, so that it stays the same from build to build and is
/// not locked by the cargo that runs the script.
pub fn guest_target_dir(out_dir: &Path) -> PathBuf {
    // OUT_DIR is TARGET_DIR/[TRIPLE/]PROFILE/build/PACKAGE-HASH/out
    let profile = out_dir.ancestors().nth(3).unwrap_or(out_dir);
    let above = profile.parent().unwrap_or(profile);
    let is_target_dir = above.join("CACHEDIR.TAG").exists();
    let target_dir = if is_target_dir {
        above
    } else {
        above.parent().unwrap_or(above)
    };
    target_dir.join("guests")
}

#[expect(
    clippy::print_stderr,
    reason = "progress of a build belongs on standard error"
)]
fn print_step(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_lie_beside_the_profiles_of_the_target_folder() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("CACHEDIR.TAG"), "").unwrap();
        for inner in [
            "debug/build/app-0123/out",
            "release/build/app-0123/out",
            "x86_64-linux/debug/build/app-0123/out",
        ] {
            assert_eq!(
                guest_target_dir(&root.path().join(inner)),
                root.path().join("guests"),
                "{inner}"
            );
        }
    }

    #[test]
    fn a_missing_manifest_is_named() {
        let error = build(&Request::new("/nowhere/at/all", "/tmp")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
