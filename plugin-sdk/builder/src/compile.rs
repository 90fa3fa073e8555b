//! One call of cargo for all the packages, shielded from the cargo that may be running us.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

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
    let mut command = cargo(toolchain, manifest, request);
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", toolchain.cargo.display()))?;
    if !output.status.success() {
        bail!(
            "cargo could not compile the plugins of `{}`; its messages are above",
            manifest.display()
        );
    }
    let modules = modules(&String::from_utf8_lossy(&output.stdout));
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

fn cargo(toolchain: &Toolchain, manifest: &Path, request: &Request) -> Command {
    let mut command = Command::new(&toolchain.cargo);
    clean_environment(&mut command);
    command
        .arg("build")
        .args([
            "--target",
            TARGET,
            "--lib",
            "--message-format=json-render-diagnostics",
        ])
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
    if request.packages.is_empty() {
        command.arg("--workspace");
    }
    for package in &request.packages {
        command.args(["--package", package]);
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

/// Reads cargo's messages: one JSON object a line.
fn modules(messages: &str) -> Vec<Module> {
    let mut modules = BTreeMap::new();
    for message in messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        if message["reason"] != "compiler-artifact"
            || !has(&message["target"]["crate_types"], "cdylib")
        {
            continue;
        }
        let Some(path) = strings(&message["filenames"])
            .find(|name| name.ends_with(".wasm"))
            .map(PathBuf::from)
        else {
            continue;
        };
        let package = package_name(&message).unwrap_or_default().to_owned();
        let sources = sources(&path.with_extension("d"));
        modules.insert(
            package.clone(),
            Module {
                package,
                path,
                sources,
            },
        );
    }
    modules.into_values().collect()
}

/// The last part of the package's folder may differ from its name, so the id is read: `path+file:///folder#name@1.0.0`, or
/// `path+file:///name#1.0.0` where both are the same.
fn package_name(message: &Value) -> Option<&str> {
    let (source, name) = message["package_id"].as_str()?.rsplit_once('#')?;
    match name.split_once('@') {
        Some((name, _)) => Some(name),
        None => source.rsplit('/').next(),
    }
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn has(value: &Value, wanted: &str) -> bool {
    strings(value).any(|text| text == wanted)
}

/// Cargo's dependency file: `TARGET: FILE FILE`, with `\ ` for a space in a name.
fn sources(path: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Some((_, files)) = text.lines().next().and_then(|line| line.split_once(": ")) else {
        return Vec::new();
    };
    let files = files.replace("\\ ", "\0");
    files
        .split(' ')
        .filter(|file| !file.is_empty())
        .map(|file| PathBuf::from(file.replace('\0', " ")))
        .collect()
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

    #[test]
    fn finds_the_modules_among_the_messages_of_cargo() {
        let messages = r#"
{"reason":"compiler-artifact","package_id":"registry+https://x#serde@1.0.0","target":{"crate_types":["lib"]},"filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","package_id":"path+file:///p/probes/tcp#1.0.0","target":{"crate_types":["cdylib"]},"filenames":["/t/tcp.wasm"]}
{"reason":"compiler-artifact","package_id":"path+file:///p/probes/web#http@1.0.0","target":{"crate_types":["cdylib"]},"filenames":["/t/http.wasm"]}
not JSON
{"reason":"build-finished","success":true}"#;
        let found: Vec<_> = modules(messages)
            .into_iter()
            .map(|module| (module.package, module.path))
            .collect();
        assert_eq!(
            found,
            [
                ("http".to_owned(), PathBuf::from("/t/http.wasm")),
                ("tcp".to_owned(), PathBuf::from("/t/tcp.wasm"))
            ]
        );
    }

    #[test]
    fn reads_names_with_spaces_in_a_dependency_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.d");
        std::fs::write(&path, "/t/http.wasm: /a/lib.rs /b\\ c/lib.rs\n").unwrap();
        assert_eq!(
            sources(&path),
            [PathBuf::from("/a/lib.rs"), PathBuf::from("/b c/lib.rs")]
        );
    }
}
