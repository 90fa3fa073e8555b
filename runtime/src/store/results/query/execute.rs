//! The execution of a statement in its own process: a database in memory whose tables are sealed
//! files, with the views and macros of the store. Batch by batch, no faster than they are read.

use std::io;
use std::path::PathBuf;

use arrow_ipc::writer::StreamWriter;
use duckdb::arrow::datatypes::SchemaRef;
use duckdb::arrow::error::ArrowError;
use duckdb::arrow::record_batch::RecordBatch;
use duckdb::{Config, Connection, Statement};

use super::params::values;
use super::protocol::{End, Failure, FrameWriter, Head, Kind, MAX_FRAME, Task};
use super::{QueryLimits, SqlColumn, memory_of};
use crate::store::results::lineage::behind;
use crate::store::results::value::type_name;

/// Memory of the database; what it does not count comes on top, up to the process's limit.
const MEMORY: &str = "1GB";
/// Large sorts go to the disk, up to here.
const SPILL: &str = "1GB";
/// Milliseconds after which a statement shows how far it is.
const BAR_AFTER_MS: u32 = 300;
/// A batch of more than this is sent in parts.
const PART: usize = 4 << 20;

/// Why an answer has no end.
pub(super) enum Ended {
    Failed(Failure),
    /// Nobody reads any more.
    Unread(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Unread(error)
    }
}

impl From<ArrowError> for Ended {
    fn from(error: ArrowError) -> Self {
        Self::Failed(Failure::Invalid(error.to_string()))
    }
}

/// Runs a statement, and hands out all rows of its answer.
pub(super) fn answer(task: &Task, frames: &mut FrameWriter<impl io::Write>) -> Result<End, Ended> {
    let connection = open(task).map_err(|error| match failed(error) {
        Failure::Invalid(text) => Ended::Failed(Failure::Broken(text)),
        other => Ended::Failed(other),
    })?;
    let failed = |error| Ended::Failed(failed(error));
    connection
        .execute_batch("BEGIN TRANSACTION READ ONLY")
        .map_err(failed)?;
    let mut statement = connection.prepare(&task.sql).map_err(failed)?;
    let values = values(&statement, &task.params).map_err(failed)?;
    let values = duckdb::params_from_iter(values);
    // Its iterator panics on errors; `step` returns them.
    drop(statement.stream_arrow(values).map_err(failed)?);
    let columns = columns(&statement);
    frames.json(Kind::Head, &Head { columns })?;
    let schema = statement.schema();
    let mut rows = Rows::begin(schema.clone(), frames)?;
    let mut left = Left::new(task.answer);
    while let Some(chunk) = statement.step().map_err(failed)? {
        let batch = RecordBatch::try_new(schema.clone(), chunk.columns().to_vec())?;
        if batch.num_rows() == 0 {
            continue;
        }
        if left.is_nothing() {
            return Ok(End { is_truncated: true });
        }
        let (batch, is_cut) = left.take(batch);
        rows.send(&batch)?;
        if is_cut {
            return Ok(End { is_truncated: true });
        }
    }
    Ok(End {
        is_truncated: false,
    })
}

fn columns(statement: &Statement<'_>) -> Vec<SqlColumn> {
    let names = statement.column_names().into_iter().enumerate();
    names
        .map(|(index, name)| SqlColumn {
            name,
            kind: type_name(&statement.column_logical_type(index)),
        })
        .collect()
}

/// Opens a database that has what the statement names, and can't be changed any more.
fn open(task: &Task) -> duckdb::Result<Connection> {
    let spill = task.spill.display().to_string();
    let config = Config::default()
        .max_memory(MEMORY)?
        .threads(i64::try_from(task.threads).unwrap_or(1))?
        .with("autoinstall_known_extensions", "false")?
        .with("autoload_known_extensions", "false")?
        .with("allow_community_extensions", "false")?
        .with("allow_persistent_secrets", "false")?
        .with("temp_directory", &spill)?
        .with("max_temp_directory_size", SPILL)?;
    let connection = Connection::open_in_memory_with_flags(config)?;
    // Only known where ICU is linked; without it there is no other zone than UTC.
    let _ = connection.execute_batch("SET GLOBAL TimeZone = 'UTC'");
    let lineage = behind(task.names.iter().map(String::as_str));
    let steps = lineage.steps.join("\n");
    connection.execute_batch(&format!("CREATE SCHEMA fact; {steps}"))?;
    connection.execute_batch(&task.snapshot.variables)?;
    for (table, files) in &task.snapshot.tables {
        if !files.is_empty() && lineage.tables.contains(table) {
            connection.execute_batch(&view(&connection, table, files)?)?;
        }
    }
    let files = list(task.snapshot.tables.values().flatten());
    // Its bar goes to the standard output, between frames: both are written by this thread.
    connection.execute_batch(&format!(
        "SET progress_bar_time = {BAR_AFTER_MS}; \
         SET GLOBAL allowed_paths = {files}; SET GLOBAL enable_external_access = false; \
         SET GLOBAL lock_configuration = true"
    ))?;
    Ok(connection)
}

/// Statements that put a view of the same columns over files in the place of an empty table. Files
/// of the archive may be older than some column, which is null there.
fn view(connection: &Connection, table: &str, files: &[PathBuf]) -> duckdb::Result<String> {
    let sql = "SELECT string_agg(format('CAST(\"{0}\" AS {1}) AS \"{0}\"', column_name, data_type), ', ' \
               ORDER BY column_index) AS columns FROM duckdb_columns() WHERE schema_name = 'fact' AND table_name = ?";
    let columns: String = connection.query_row(sql, [table], |row| row.get("columns"))?;
    let files = list(files.iter());
    Ok(format!(
        "DROP TABLE fact.\"{table}\"; CREATE VIEW fact.\"{table}\" AS \
         SELECT {columns} FROM read_parquet({files}, hive_partitioning = false, union_by_name = true)"
    ))
}

/// A list of texts in SQL.
fn list<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> String {
    let texts: Vec<String> = paths
        .map(|path| format!("'{}'", path.display().to_string().replace('\'', "''")))
        .collect();
    format!("[{}]", texts.join(", "))
}

/// Batches on their way.
struct Rows<'a, W: io::Write> {
    schema: SchemaRef,
    frames: &'a mut FrameWriter<W>,
}

impl<'a, W: io::Write> Rows<'a, W> {
    fn begin(schema: SchemaRef, frames: &'a mut FrameWriter<W>) -> Result<Self, Ended> {
        let none = StreamWriter::try_new(Vec::new(), &schema)?.into_inner()?;
        frames.frame(Kind::Rows, &none)?;
        Ok(Self { schema, frames })
    }

    fn send(&mut self, batch: &RecordBatch) -> Result<(), Ended> {
        let rows = batch.num_rows();
        if rows > 1 && memory_of(batch) > PART {
            self.send(&batch.slice(0, rows / 2))?;
            return self.send(&batch.slice(rows / 2, rows - rows / 2));
        }
        let mut stream = StreamWriter::try_new(Vec::new(), &self.schema)?;
        stream.write(batch)?;
        let bytes = stream.into_inner()?;
        if bytes.len() > MAX_FRAME as usize {
            let text = format!("a row is larger than {} MiB", MAX_FRAME >> 20);
            return Err(Ended::Failed(Failure::Invalid(text)));
        }
        Ok(self.frames.frame(Kind::Rows, &bytes)?)
    }
}

/// Rows and bytes that an answer may still have.
struct Left {
    rows: usize,
    bytes: usize,
}

impl Left {
    fn new(limits: QueryLimits) -> Self {
        Self {
            rows: limits.rows,
            bytes: limits.bytes,
        }
    }

    fn is_nothing(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }

    /// Returns what may still be handed out of a batch, and whether that is not all of it. The
    /// last one may go beyond the limit of bytes.
    fn take(&mut self, batch: RecordBatch) -> (RecordBatch, bool) {
        let rows = batch.num_rows().min(self.rows);
        let is_cut = rows < batch.num_rows();
        let batch = batch.slice(0, rows);
        self.rows -= rows;
        self.bytes = self.bytes.saturating_sub(memory_of(&batch));
        (batch, is_cut)
    }
}

fn failed(error: duckdb::Error) -> Failure {
    let text = match error {
        duckdb::Error::DuckDBFailure(_, Some(text)) => text,
        other => other.to_string(),
    };
    // The second form is that of errors while rows are converted.
    let is_memory = text.starts_with("Out of Memory")
        || text.starts_with(r#"{"exception_type":"Out of Memory""#);
    if is_memory {
        Failure::Memory
    } else if text.starts_with("IO Error") {
        Failure::Broken(text)
    } else {
        Failure::Invalid(text)
    }
}
