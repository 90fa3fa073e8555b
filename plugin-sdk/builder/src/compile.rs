//! One call of cargo for all the packages, shielded from the cargo that may be running us.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::target_folder::{self, Artifact};
use crate::{Request, TARGET, Toolchain};

/// A plugin needs little stack, and a small one makes an instance cheaper to drop. Never changes
/// between builds: other flags would compile the standard library anew.
const FLAGS: &str = "-C link-arg=-zstack-size=65536";

/// A core module as the compiler left it.
pub(crate) struct Module {
    pub(crate) package: String,
    pub(crate) path: PathBuf,
    pub(crate) sources: Vec<PathBuf>,
}

pub(crate) fn compile(
    toolchain: &Toolchain,
    manifest: &Path,
    request: &Request,
) -> Result<Vec<Module>> {
    let mut arguments = vec!["--lib", "--message-format=json-render-diagnostics"];
    if request.packages.is_empty() {
        arguments.push("--workspace");
    }
    for package in &request.packages {
        arguments.extend(["--package", package]);
    }
    let cargo = |subcommand: &str| cargo(toolchain, manifest, request, subcommand);
    let artifacts = target_folder::build(&cargo, "build", &arguments)
        .with_context(|| format!("could not compile the plugins of `{}`", manifest.display()))?;
    let modules = modules(artifacts);
    if let Some(missing) = request
        .packages
        .iter()
        .find(|name| !modules.iter().any(|module| module.package == **name))
    {
        bail!(
            "package `{missing}` is no plugin: its `Cargo.toml` needs `[lib] crate-type = [\"cdylib\"]`"
        );
    }
    if modules.is_empty() {
        bail!(
            "`{}` holds no plugin: a plugin's `Cargo.toml` has `[lib] crate-type = [\"cdylib\"]`",
            manifest.display()
        );
    }
    Ok(modules)
}

fn cargo(toolchain: &Toolchain, manifest: &Path, request: &Request, subcommand: &str) -> Command {
    let mut command = Command::new(&toolchain.cargo);
    clean_environment(&mut command);
    command
        .arg(subcommand)
        .args(["--target", TARGET])
        .args(["--profile", &request.profile])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(&request.target_dir)
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", FLAGS);
    if let Some(folder) = manifest.parent() {
        // Settings of the plugin's own folder count, such as a toolchain file; those of the
        // caller's do not.
        command.current_dir(folder);
    }
    if let Some(linker) = &toolchain.linker {
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    if toolchain.build_std {
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["-Z", "build-std=std,panic_abort"]);
    }
    command
}

/// Takes away what an outer cargo sets for its build scripts and tests, and flags that were meant
/// for the host.
pub(crate) fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_an_outer_build) {
            command.env_remove(&name);
        }
    }
    if let Some(kept) = library_path_of_the_user() {
        command.env("LD_LIBRARY_PATH", kept);
    } else {
        command.env_remove("LD_LIBRARY_PATH");
    }
}

fn is_of_an_outer_build(name: &str) -> bool {
    /// How the user reaches registries, and the shared job tokens: still wanted.
    const KEPT: [&str; 5] = [
        "CARGO_HOME",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_MAKEFLAGS",
    ];
    const DROPPED: [&str; 6] = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "DEP_", "__CARGO"];
    let starts_with = |prefix: &&str| name.starts_with(prefix);
    (DROPPED.iter().any(starts_with) && !KEPT.iter().any(starts_with))
        || ["OUT_DIR", "TARGET", "HOST"].contains(&name)
}

/// Cargo puts the libraries of its own compiler in front, which another compiler must not load.
fn library_path_of_the_user() -> Option<OsString> {
    let value = std::env::var_os("LD_LIBRARY_PATH")?;
    let in_a_build = std::env::var_os("CARGO").is_some();
    let foreign = |folder: &PathBuf| {
        in_a_build
            && folder.components().any(|part| {
                ["rustlib", "deps", "build", "toolchains"]
                    .iter()
                    .any(|name| part.as_os_str() == *name)
            })
    };
    let kept: Vec<PathBuf> = std::env::split_paths(&value)
        .filter(|folder| !foreign(folder))
        .collect();
    if kept.is_empty() {
        None
    } else {
        std::env::join_paths(kept).ok()
    }
}

/// Keeps the modules among what cargo built, in the order of their packages.
fn modules(artifacts: Vec<Artifact>) -> Vec<Module> {
    let mut modules: Vec<Module> = artifacts
        .into_iter()
        .filter(|artifact| {
            artifact.is_cdylib
                && artifact
                    .path
                    .extension()
                    .is_some_and(|extension| extension == "wasm")
        })
        .map(|artifact| Module {
            package: artifact.package,
            path: artifact.path,
            sources: artifact.sources,
        })
        .collect();
    modules.sort_by(|one, other| one.package.cmp(&other.package));
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_what_an_outer_cargo_sets_and_keeps_what_the_user_set() {
        for dropped in [
            "CARGO",
            "CARGO_TARGET_DIR",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PKG_NAME",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "OUT_DIR",
        ] {
            assert!(is_of_an_outer_build(dropped), "{dropped}");
        }
        for kept in [
            "PATH",
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
            "RUSTUP_TOOLCHAIN",
            "MAKEFLAGS",
        ] {
            assert!(!is_of_an_outer_build(kept), "{kept}");
        }
    }
}
