//! `extrack store`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::outcome::Outcome;
use super::print::{json, line, note, table};
use crate::app::{StoreMigration, TableSize};
use crate::domain::SchemaChange;
use crate::{app, telemetry};

#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Takes the control store as it is, after a start was stopped because it has lost content.
    ///
    /// Restore a backup instead if there is one. What is gone stays gone: services made over the
    /// API, tokens, open alerts, silences, messages. A file that can't be opened is set aside
    /// beside an empty one. The server must not run.
    ///
    /// Example:
    ///   extrack store accept --data data
    #[command(verbatim_doc_comment)]
    Accept {
        /// Folder with the stores, as for `serve`.
        #[arg(long, env = "EXTRACK_DATA", default_value = "data")]
        data: PathBuf,
        /// Folder with the configuration, as for `serve`: its environment may hold
        /// `ENCRYPTION_KEY`.
        #[arg(long, env = "EXTRACK_CONFIG", default_value = "config")]
        config: PathBuf,
    },
    /// Reads both stores from end to end; the server must not run.
    ///
    /// The databases compare the checksum of every block that they read.
    ///
    /// Example:
    ///   extrack store check --data data
    #[command(verbatim_doc_comment)]
    Check {
        /// Folder with the stores, as for `serve`.
        #[arg(long, env = "EXTRACK_DATA", default_value = "data")]
        data: PathBuf,
    },
    /// Writes the results anew without the room that deleted rows left; the server must not run.
    ///
    /// It needs the size of `results.duckdb` once more while it works, and may be cut off at any
    /// time.
    ///
    /// Example:
    ///   extrack store compact --data data
    #[command(verbatim_doc_comment)]
    Compact {
        /// Folder with the stores, as for `serve`.
        #[arg(long, env = "EXTRACK_DATA", default_value = "data")]
        data: PathBuf,
    },
    /// Brings both stores up to date with this version; the server must not run.
    ///
    /// A start does the same by itself. Here it is done ahead, or with `--dry-run` only shown. The
    /// results as they were stay beside the new ones as `results.duckdb.step-N.backup`.
    ///
    /// Example:
    ///   extrack store migrate --data data --dry-run
    #[command(verbatim_doc_comment)]
    Migrate {
        /// Folder with the stores, as for `serve`.
        #[arg(long, env = "EXTRACK_DATA", default_value = "data")]
        data: PathBuf,
        /// Shows the versions, and changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Shows the rows and the room of each table of the results; the server must not run.
    ///
    /// Example:
    ///   extrack store size --data data
    #[command(verbatim_doc_comment)]
    Size {
        /// Folder with the stores, as for `serve`.
        #[arg(long, env = "EXTRACK_DATA", default_value = "data")]
        data: PathBuf,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

impl Store {
    pub(super) async fn run(self) -> Outcome {
        telemetry::start_logs("warn");
        match self {
            Store::Accept { data, config } => {
                app::accept_store(&data, &config).await?;
                line(&format!(
                    "the control store in `{}` is accepted as it is",
                    data.display()
                ));
            }
            Store::Check { data } => {
                note("reading both stores from end to end …");
                let rows = app::check_stores(&data).await?;
                let rows: i64 = rows.into_iter().map(|(_, rows)| rows).sum();
                line(&format!("both stores are whole; {rows} rows of results"));
            }
            Store::Compact { data } => {
                note("writing the results anew …");
                let sizes = app::compact_results(&data).await?;
                line(&format!(
                    "results.duckdb: {} MB before, {} MB now",
                    megabytes(sizes.before_bytes),
                    megabytes(sizes.after_bytes)
                ));
            }
            Store::Migrate { data, dry_run } => {
                let StoreMigration { control, results } =
                    app::migrate_stores(&data, dry_run).await?;
                let verb = if dry_run { "would go" } else { "went" };
                for (store, change) in [("control.sqlite", control), ("results.duckdb", results)] {
                    line(&migrated(store, verb, change));
                }
            }
            Store::Size { data, json } => print_sizes(app::result_sizes(&data).await?, json),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn migrated(store: &str, verb: &str, change: SchemaChange) -> String {
    let SchemaChange { from, to } = change;
    if from == to {
        return format!("{store} is up to date, at version {to}");
    }
    format!("{store} {verb} from version {from} to {to}")
}

fn print_sizes(sizes: Vec<TableSize>, as_json: bool) {
    if as_json {
        let body = |size: TableSize| serde_json::json!({"table": size.table, "rows": size.rows, "bytes": size.bytes});
        return json(&sizes.into_iter().map(body).collect::<Vec<_>>());
    }
    let rows: Vec<Vec<String>> = sizes
        .into_iter()
        .map(|size| vec![size.table, size.rows.to_string(), megabytes(size.bytes)])
        .collect();
    table(&["TABLE", "ROWS", "MB"], &rows);
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
