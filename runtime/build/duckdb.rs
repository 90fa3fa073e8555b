//! The place of the shared DuckDB library, for the linker.

use std::env;

/// Lets a binary find the library where it was linked from, or beside itself.
pub(crate) fn link_shared_library() {
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    if let Ok(folder) = env::var("DUCKDB_LIB_DIR") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
        println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN");
    }
}
