//! Passes the place of the DuckDB library to the linker.

#[path = "../build/duckdb.rs"]
mod duckdb;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    duckdb::link_shared_library();
}
