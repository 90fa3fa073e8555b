//! Lists what a new plugin project is made of and the catalog of vendors, and passes the place of the DuckDB library to the
//! linker of the tests.

#[path = "build/duckdb.rs"]
mod duckdb;
#[path = "build/project_files.rs"]
mod project_files;
#[path = "build/vendors.rs"]
mod vendors;

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

fn main() -> Result<()> {
    duckdb::link_shared_library();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let workspace = Path::new("..").canonicalize()?;
    project_files::write(&workspace, &out.join("project_files.rs"))?;
    for folder in ["plugin-sdk", "wit", "Cargo.toml", "plugins/Cargo.lock"] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(folder).display()
        );
    }
    vendors::write(&workspace.join("runtime/vendors"), &out.join("vendors.rs"))?;
    println!("cargo::rerun-if-changed=vendors");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=migrations");
    Ok(())
}
