//! The tables of measurements, each described once and by name: what is appended, selected, read
//! back and documented follows from its columns. The unit is an Arrow batch. Tables and views are
//! made by migrations; a test compares them with the description.

mod alert_events;
mod batch;
mod call_batches;
mod call_keys;
mod calls;
mod cell;
mod events;
mod incidents;
mod invoices;
mod observations;
mod plugin_runs;
mod rate_limits;
mod services;
mod shadow_runs;
mod usage_deltas;

use std::sync::Arc;

use duckdb::arrow::array::{RecordBatch, TimestampMicrosecondArray};
use duckdb::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use duckdb::{Connection, Params};

use super::changes;
use super::error::{ResultError, reading};

pub use services::ServiceRow;

pub(super) use alert_events::AlertEventRow;
pub(super) use batch::{Batch, Cells};
pub(super) use call_batches::CallBatchRow;
pub(super) use call_keys::CallKeyRow;
pub(super) use rate_limits::RateLimitRow;

use cell::{Cell, array};

/// Schema of the tables; users read the views in `main`.
pub(super) const SCHEMA: &str = "fact";

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    /// UTC, in microseconds.
    Timestamp,
    Text,
    /// Text that the view shows as JSON.
    Json,
    Boolean,
    U16,
    U32,
    U64,
    I64,
    F64,
    /// Of 38 digits, 12 behind the point.
    Decimal,
}

impl ColumnType {
    /// DuckDB's name of the type.
    #[cfg(test)]
    fn sql(self) -> &'static str {
        match self {
            ColumnType::Timestamp => "TIMESTAMP",
            ColumnType::Text | ColumnType::Json => "VARCHAR",
            ColumnType::Boolean => "BOOLEAN",
            ColumnType::U16 => "USMALLINT",
            ColumnType::U32 => "UINTEGER",
            ColumnType::U64 => "UBIGINT",
            ColumnType::I64 => "BIGINT",
            ColumnType::F64 => "DOUBLE",
            ColumnType::Decimal => "DECIMAL(38,12)",
        }
    }

    fn arrow(self) -> DataType {
        match self {
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            ColumnType::Text | ColumnType::Json => DataType::Utf8,
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::U16 => DataType::UInt16,
            ColumnType::U32 => DataType::UInt32,
            ColumnType::U64 => DataType::UInt64,
            ColumnType::I64 => DataType::Int64,
            ColumnType::F64 => DataType::Float64,
            ColumnType::Decimal => DataType::Decimal128(cell::DECIMAL_DIGITS, cell::DECIMAL_SCALE),
        }
    }
}

/// Column of a table whose rows are made of `R`.
pub(super) struct Column<R> {
    name: &'static str,
    kind: ColumnType,
    is_nullable: bool,
    /// Meaning and unit, for `runtime/docs/sql.md` and those who ask for the schema.
    about: &'static str,
    value: for<'a> fn(&'a R) -> Cell<'a>,
}

/// Returns a column that has a value in every row.
fn column<R>(
    name: &'static str,
    kind: ColumnType,
    about: &'static str,
    value: for<'a> fn(&'a R) -> Cell<'a>,
) -> Column<R> {
    Column {
        name,
        kind,
        is_nullable: false,
        about,
        value,
    }
}

/// Returns a column that may be null.
fn nullable<R>(
    name: &'static str,
    kind: ColumnType,
    about: &'static str,
    value: for<'a> fn(&'a R) -> Cell<'a>,
) -> Column<R> {
    Column {
        is_nullable: true,
        ..column(name, kind, about, value)
    }
}

/// Row of a table of measurements.
pub(super) trait Record: Sized {
    const TABLE: &'static str;

    /// Columns in the order of the table.
    fn columns() -> Vec<Column<Self>>;
}

/// Row that is read back as well.
pub(super) trait Stored: Record {
    /// Returns the rows of a batch that has all columns of the table.
    fn from_batch(batch: &Batch<'_>) -> Result<Vec<Self>, ResultError>;
}

/// Returns the names of the columns, each with its meaning.
pub(super) fn column_docs<R: Record>() -> Vec<(&'static str, &'static str)> {
    let columns = R::columns().into_iter();
    columns.map(|column| (column.name, column.about)).collect()
}

/// Returns the rows as one batch.
fn batch_of<'a, R: Record + 'a>(
    rows: impl Iterator<Item = &'a R> + Clone,
) -> duckdb::Result<RecordBatch> {
    let columns = R::columns();
    let fields = columns
        .iter()
        .map(|column| Field::new(column.name, column.kind.arrow(), column.is_nullable));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let arrays = columns
        .iter()
        .map(|column| array(column.kind, rows.clone().map(column.value)));
    RecordBatch::try_new(schema, arrays.collect())
        .map_err(|error| duckdb::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Appends the rows, and marks where they lie. Fails if one can't be stored; the transaction is then to be rolled back.
pub(super) fn append<'a, R: Record + 'a>(
    connection: &Connection,
    rows: impl Iterator<Item = &'a R> + Clone,
) -> duckdb::Result<()> {
    let batch = batch_of(rows)?;
    if batch.num_rows() == 0 {
        return Ok(());
    }
    let columns = R::columns();
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let mut appender = connection.appender_with_columns_to_db(R::TABLE, SCHEMA, &names)?;
    appender.append_record_batch(batch.clone())?;
    // Explicitly: a drop would swallow the error.
    appender.flush()?;
    let moments = batch.column_by_name("ts");
    match moments.and_then(|moments| moments.as_any().downcast_ref::<TimestampMicrosecondArray>()) {
        Some(moments) => {
            changes::mark_moments(connection, R::TABLE, moments.values().iter().copied())
        }
        None => changes::mark_whole(connection, R::TABLE),
    }
}

/// Reads rows, those that `condition` selects: what follows `FROM table`.
pub(super) fn select<R: Stored>(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Vec<R>, ResultError> {
    let mut rows = Vec::new();
    select_batches::<R>(connection, condition, params, |batch| {
        rows.extend(batch);
        true
    })?;
    Ok(rows)
}

/// Reads rows batch by batch, until `take` returns false.
pub(super) fn select_batches<R: Stored>(
    connection: &Connection,
    condition: &str,
    params: impl Params,
    mut take: impl FnMut(Vec<R>) -> bool,
) -> Result<(), ResultError> {
    let columns = R::columns();
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let sql = format!(
        "SELECT {} FROM {SCHEMA}.{} {condition}",
        names.join(", "),
        R::TABLE
    );
    let mut statement = connection.prepare(&sql).map_err(reading)?;
    for batch in statement.query_arrow(params).map_err(reading)? {
        if !take(R::from_batch(&Batch(&batch))?) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
