//! Programs of others that read Parquet files and Arrow streams: another DuckDB, and pyarrow.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::Said;
use crate::wire::said;

/// A program that starts slowly on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Runs a script of Python that may import `duckdb`, `pyarrow` and what Debian has.
pub async fn read_elsewhere(script: &str, arguments: &[&str]) -> Said {
    let home = std::env::var("HOME").unwrap_or_default();
    let packages = Path::new(&home).join(".cache/extrack/readers");
    assert!(
        packages.is_dir(),
        "`{}` is not there; `make setup-test` fetches it",
        packages.display()
    );
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg("-c")
        .arg(script)
        .args(arguments)
        .env("PYTHONPATH", packages);
    said(command, "python3").await
}
