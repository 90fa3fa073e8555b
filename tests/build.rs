//! Compiles the guests of `tests/guests` and the bundled plugins into one folder, for the tests to
//! install.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};
use extrack_plugin_builder::{Request, build, guest_target_dir};

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let target = guest_target_dir(&out);
    let components = out.join("components");
    fs::create_dir_all(&components)?;
    let workspaces = [
        ("../plugins", "the bundled plugins"),
        ("guests", "the hostile guests"),
        ("fixtures/plugins", "the tests' plugins"),
    ];
    for (workspace, what) in workspaces {
        let workspace = Path::new(workspace)
            .canonicalize()
            .with_context(|| format!("finding {what}"))?;
        let built = build(&Request::new(&workspace, &target))
            .with_context(|| format!("compiling {what}"))?;
        for plugin in &built {
            fs::copy(
                &plugin.component_path,
                components.join(format!("{}.wasm", plugin.name)),
            )?;
            for source in &plugin.sources {
                println!("cargo::rerun-if-changed={}", source.display());
            }
        }
        println!("cargo::rerun-if-changed={}", workspace.display());
    }
    for folder in ["../plugin-sdk", "../wit"] {
        println!("cargo::rerun-if-changed={folder}");
    }
    // For the tests and benchmarks that open the stores in their own process.
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    if let Ok(folder) = env::var("DUCKDB_LIB_DIR") {
        println!("cargo::rustc-link-arg-benches=-Wl,-rpath,{folder}");
        println!("cargo::rustc-link-arg-tests=-Wl,-rpath,{folder}");
    }
    println!(
        "cargo::rustc-env=EXTRACK_TEST_COMPONENTS={}",
        components.display()
    );
    Ok(())
}
