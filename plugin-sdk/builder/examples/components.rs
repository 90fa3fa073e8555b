//! Builds a workspace of plugins into a folder of components:
//! `cargo run -p extrack-plugin-builder --example components -- WORKSPACE OUT`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};
use extrack_plugin_builder::{Request, build};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [workspace, out] = arguments.as_slice() else {
        anyhow::bail!("wanted the folder of a workspace, and a folder for its components");
    };
    let workspace = workspace
        .canonicalize()
        .with_context(|| format!("there is no folder `{}`", workspace.display()))?;
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    fs::create_dir_all(out).context("making the folder for the components")?;
    for plugin in build(&Request::new(&workspace, Path::new(&target)))? {
        let name = plugin.name.trim_start_matches("contract-");
        fs::copy(&plugin.component_path, out.join(format!("{name}.wasm")))
            .with_context(|| format!("keeping the component of `{}`", plugin.name))?;
    }
    Ok(())
}
