//! Rust: cargo with the toolchain that the finder finds, and plain `cargo test`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::tools::{NotRun, run};
use crate::compile::clean_environment;
use crate::{Request, Toolchain, target_folder};

/// Part of cargo's metadata of the project.
struct Metadata {
    /// The package of the folder itself; none where the folder is a workspace.
    package: Option<String>,
    target_dir: PathBuf,
}

pub(super) fn build(
    folder: &Path,
    shared_target: Option<&Path>,
    progress: fn(&str),
) -> Result<Vec<PathBuf>> {
    let toolchain = Toolchain::find()?;
    let metadata = metadata(folder, &toolchain.cargo, shared_target)?;
    let mut request = Request::new(folder, metadata.target_dir);
    request.packages.extend(metadata.package);
    request.progress = progress;
    for print in prints(folder) {
        progress(&format!(
            "{print}: a plugin has no standard output, nothing of this is seen; `log::info(…)` is"
        ));
    }
    let dist = folder.join("dist");
    std::fs::create_dir_all(&dist)
        .with_context(|| format!("cannot make the folder `{}`", dist.display()))?;
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
pub(super) fn test(folder: &Path, shared_target: Option<&Path>, progress: fn(&str)) -> Result<()> {
    let metadata = metadata(folder, Path::new("cargo"), shared_target)?;
    progress("cargo test");
    let cargo = |subcommand: &str| {
        let mut command = Command::new("cargo");
        clean_environment(&mut command);
        command
            .arg(subcommand)
            .current_dir(folder)
            .arg("--target-dir")
            .arg(&metadata.target_dir);
        command
    };
    // Until the tests have run: another project's may have the same names.
    let _lock = target_folder::lock(&metadata.target_dir, progress)?;
    let without_run = ["--no-run", "--message-format=json-render-diagnostics"];
    target_folder::build(&cargo, "test", &without_run)
        .context("could not compile the project's own tests")?;
    run(&mut cargo("test"), "the project's own tests").map_err(|error| match error {
        NotRun::Missing => no_cargo(),
        NotRun::Failed(error) => error,
    })
}

fn metadata(folder: &Path, cargo: &Path, shared_target: Option<&Path>) -> Result<Metadata> {
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|_| no_cargo())?;
    if !output.status.success() {
        bail!(
            "cargo can't read `{}`; its message is above",
            folder.join("Cargo.toml").display()
        );
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .context("cargo's description of the project is not JSON")?;
    let target_dir = target_dir(&metadata, shared_target)?;
    let manifest = folder.join("Cargo.toml");
    let packages = metadata["packages"].as_array();
    let own = packages
        .into_iter()
        .flatten()
        .find(|package| package["manifest_path"].as_str().map(Path::new) == Some(&manifest));
    Ok(Metadata {
        package: own
            .and_then(|package| package["name"].as_str())
            .map(str::to_owned),
        target_dir,
    })
}

/// `src/lib.rs:7` of each line that prints, outside tests: a few.
fn prints(folder: &Path) -> Vec<String> {
    const MOST: usize = 5;
    let mut found = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("src"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text
            .lines()
            .enumerate()
            .take_while(|(_, line)| !line.contains("#[cfg(test)]"));
        let prints = lines.filter(|(_, line)| {
            let line = line.trim_start();
            !line.starts_with("//")
                && ["println!(", "eprintln!(", "print!(", "dbg!("]
                    .iter()
                    .any(|print| line.contains(print))
        });
        let name = path
            .strip_prefix(folder)
            .unwrap_or(&path)
            .display()
            .to_string();
        found.extend(prints.map(|(index, _)| format!("{name}:{}", index + 1)));
    }
    found.truncate(MOST);
    found
}

/// The shared folder, unless somebody chose another than cargo's default.
fn target_dir(metadata: &Value, shared: Option<&Path>) -> Result<PathBuf> {
    let folder = |name: &str| {
        metadata[name]
            .as_str()
            .map(PathBuf::from)
            .with_context(|| format!("cargo does not name its `{name}`"))
    };
    let (own, root) = (folder("target_directory")?, folder("workspace_root")?);
    let is_default = own == root.join("target");
    Ok(shared.filter(|_| is_default).map_or(own, Path::to_owned))
}

fn no_cargo() -> anyhow::Error {
    anyhow!("`cargo` is not installed; a Rust plugin needs Rust 1.95 or newer: https://rustup.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_share_what_they_compile_unless_a_folder_was_chosen() {
        let of = |target: &str, shared: Option<&str>| {
            let metadata =
                serde_json::json!({"workspace_root": "/p/quota", "target_directory": target});
            target_dir(&metadata, shared.map(Path::new)).unwrap()
        };
        assert_eq!(
            of("/p/quota/target", Some("/cache/plugin-target")),
            Path::new("/cache/plugin-target")
        );
        assert_eq!(
            of("/elsewhere", Some("/cache/plugin-target")),
            Path::new("/elsewhere")
        );
        assert_eq!(of("/p/quota/target", None), Path::new("/p/quota/target"));
    }

    #[test]
    fn lines_that_print_are_named_outside_tests_and_comments() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        let text = "fn a() {\n    println!(\"x\");\n    // println!\n    log::info(\"y\");\n}\n#[cfg(test)]\nmod t { fn b() { println!(\"z\") } }\n";
        std::fs::write(folder.path().join("src/lib.rs"), text).unwrap();
        assert_eq!(prints(folder.path()), ["src/lib.rs:2"]);
    }
}
