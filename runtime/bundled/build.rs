//! Compiles the bundled plugins and writes the list that `lib.rs` includes; compiles the evaluator.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use extrack_plugin_builder::{Request, build, build_module, guest_target_dir};

fn main() -> Result<()> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let workspace = Path::new("../..").canonicalize()?;
    let target = guest_target_dir(&out);
    let built = build(&Request::new(workspace.join("plugins"), &target))
        .context("compiling the bundled plugins")?;
    let mut list = String::from(
        "/// Name and component of each bundled plugin.\npub const PLUGINS: &[(&str, &[u8])] = &[\n",
    );
    for plugin in &built {
        // Copied, so that the list stays whole while another profile rebuilds the plugins.
        let copy = out.join(format!("{}.wasm", plugin.name));
        fs::copy(&plugin.component_path, &copy)?;
        writeln!(list, "    ({:?}, include_bytes!({:?})),", plugin.name, copy)?;
        for source in &plugin.sources {
            println!("cargo::rerun-if-changed={}", source.display());
        }
    }
    list.push_str("];\n");
    fs::write(out.join("bundled.rs"), list)?;
    let evaluator = build_module(&Request::new(workspace.join("runtime/evaluator"), &target))
        .context("compiling the evaluator of expressions and templates")?;
    fs::copy(&evaluator.path, out.join("evaluator.wasm"))?;
    for source in &evaluator.sources {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    for folder in [
        "plugins",
        "plugin-sdk",
        "wit",
        "runtime/evaluator",
        "Cargo.toml",
    ] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(folder).display()
        );
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
