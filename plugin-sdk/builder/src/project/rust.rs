//! Rust: cargo with the toolchain that the finder finds, and plain `cargo test`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::tools::{NotRun, run};
use crate::compile::clean_environment;
use crate::{Request, Toolchain};

/// What cargo knows of the project.
struct Metadata {
    /// The package of the folder itself; none where the folder is a workspace.
    package: Option<String>,
    target_dir: PathBuf,
}

pub(super) fn build(folder: &Path, progress: fn(&str)) -> Result<Vec<PathBuf>> {
    let toolchain = Toolchain::find()?;
    let metadata = metadata(folder, &toolchain.cargo)?;
    let mut request = Request::new(folder, metadata.target_dir);
    request.packages.extend(metadata.package);
    request.progress = progress;
    let dist = folder.join("dist");
    std::fs::create_dir_all(&dist).with_context(|| format!("cannot make the folder `{}`", dist.display()))?;
    let mut components = Vec::new();
    for plugin in crate::build(&request)? {
        let component = dist.join(format!("{}.wasm", plugin.name));
        std::fs::copy(&plugin.component_path, &component)
            .with_context(|| format!("cannot write `{}`", component.display()))?;
        components.push(component);
    }
    Ok(components)
}

/// Natively, against the fake host: any Rust will do, the target for WebAssembly is not needed.
pub(super) fn test(folder: &Path, progress: fn(&str)) -> Result<()> {
    let metadata = metadata(folder, Path::new("cargo"))?;
    progress("cargo test");
    let mut command = Command::new("cargo");
    clean_environment(&mut command);
    command.arg("test").current_dir(folder).arg("--target-dir").arg(metadata.target_dir);
    run(&mut command, "the project's own tests").map_err(|error| match error {
        NotRun::Missing => no_cargo(),
        NotRun::Failed(error) => error,
    })
}

fn metadata(folder: &Path, cargo: &Path) -> Result<Metadata> {
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|_| no_cargo())?;
    if !output.status.success() {
        bail!("cargo can't read `{}`; its message is above", folder.join("Cargo.toml").display());
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("cargo's description of the project is not JSON")?;
    let target_dir = metadata["target_directory"].as_str().context("cargo does not tell the target folder")?;
    let manifest = folder.join("Cargo.toml");
    let packages = metadata["packages"].as_array();
    let own = packages
        .into_iter()
        .flatten()
        .find(|package| package["manifest_path"].as_str().map(Path::new) == Some(&manifest));
    Ok(Metadata {
        package: own.and_then(|package| package["name"].as_str()).map(str::to_owned),
        target_dir: target_dir.into(),
    })
}

fn no_cargo() -> anyhow::Error {
    anyhow!("`cargo` is not installed; a Rust plugin needs Rust 1.95 or newer: https://rustup.rs")
}
