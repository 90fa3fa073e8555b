//! The catalog of PostgreSQL, for clients that ask what there is: tables of our own in an instance in
//! memory, which holds no results. What is asked of it is gated too, and bounded.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duckdb::arrow::record_batch::RecordBatch;
use duckdb::types::Value;
use duckdb::{Config, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::ResultStore;
use super::database::Interrupt;
use super::diagnosis::Diagnosis;
use super::error::{QueryError, ResultError};
use super::gate::Gate;
use super::query::{QueryParams, SqlColumn, bound_values};
use super::value::type_name;

/// Tables and functions of the catalog.
const SCHEMA: &str = include_str!("catalog/schema.sql");
/// From the request to the last row, waiting for others included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An interrupt that falls between two steps of a query is lost, so it is repeated.
const INTERRUPT_EVERY: Duration = Duration::from_millis(50);
/// Rows of an answer.
const MAX_ROWS: usize = 20_000;

/// A table that clients are shown.
#[derive(Debug, Clone)]
pub struct CatalogTable {
    pub name: String,
    pub about: String,
    pub columns: Vec<CatalogColumn>,
}

#[derive(Debug, Clone)]
pub struct CatalogColumn {
    pub name: String,
    pub about: String,
    /// Number of its type in `pg_type`.
    pub type_oid: u32,
}

/// A type of PostgreSQL.
#[derive(Debug, Clone)]
pub struct CatalogType {
    pub oid: u32,
    /// As `pg_type` has it, e.g. `int8`.
    pub name: &'static str,
    /// In SQL, e.g. `bigint`.
    pub sql_name: &'static str,
    pub size: i16,
    /// `typcategory`
    pub category: &'static str,
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct CatalogAnswer {
    pub columns: Vec<SqlColumn>,
    pub batches: Vec<RecordBatch>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Catalog(Arc<Inner>);

struct Inner {
    gate: Arc<Gate>,
    connection: Mutex<Connection>,
    /// The one that asks.
    turn: Arc<Semaphore>,
    /// Names of our functions.
    functions: HashSet<String>,
}

impl ResultStore {
    /// Builds the catalog of these tables.
    pub fn catalog(
        &self,
        version: &str,
        types: &[CatalogType],
        tables: &[CatalogTable],
    ) -> Result<Catalog, ResultError> {
        let opening = |source| ResultError::Database {
            doing: "open the catalog of",
            source,
        };
        let (connection, functions) = open(version, types, tables).map_err(opening)?;
        Ok(Catalog(Arc::new(Inner {
            gate: Arc::clone(&self.gate),
            connection: Mutex::new(connection),
            turn: Arc::new(Semaphore::new(1)),
            functions,
        })))
    }
}

impl Catalog {
    /// Answers a question about the catalog, in DuckDB's words.
    pub async fn query(
        &self,
        sql: &str,
        params: &QueryParams,
    ) -> Result<CatalogAnswer, QueryError> {
        let turn = timeout(TIMEOUT, Arc::clone(&self.0.turn).acquire_owned())
            .await
            .map_err(|_| QueryError::Busy)?
            .map_err(|_| ResultError::Closed)?;
        let work = answer(Arc::clone(&self.0), sql.to_owned(), params.clone(), turn);
        // A task of its own, because the caller may go; it ends in time.
        tokio::spawn(work).await.map_err(|_| ResultError::Reader)?
    }
}

async fn answer(
    inner: Arc<Inner>,
    sql: String,
    params: QueryParams,
    turn: OwnedSemaphorePermit,
) -> Result<CatalogAnswer, QueryError> {
    let interrupt = Interrupt::of(&inner.lock());
    let mut work = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        inner.gate.check_catalog(&sql, &inner.functions)?;
        let connection = inner.lock();
        run(&connection, &sql, &params)
    });
    if let Ok(answer) = timeout(TIMEOUT, &mut work).await {
        return answer.map_err(|_| ResultError::Reader)?;
    }
    while timeout(INTERRUPT_EVERY, &mut work).await.is_err() {
        interrupt.interrupt();
    }
    Err(QueryError::Timeout(TIMEOUT))
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(
    connection: &Connection,
    sql: &str,
    params: &QueryParams,
) -> Result<CatalogAnswer, QueryError> {
    let failed = |error: duckdb::Error| {
        let text = match error {
            duckdb::Error::DuckDBFailure(_, Some(text)) => text,
            other => other.to_string(),
        };
        QueryError::Invalid(Diagnosis::of_error(&text, sql))
    };
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let values = bound_values(&statement, params).map_err(failed)?;
    drop(
        statement
            .stream_arrow(duckdb::params_from_iter(values))
            .map_err(failed)?,
    );
    let names = statement.column_names().into_iter().enumerate();
    let columns = names
        .map(|(index, name)| SqlColumn {
            name,
            kind: type_name(&statement.column_logical_type(index)),
        })
        .collect();
    let schema = statement.schema();
    let (mut batches, mut rows) = (Vec::new(), 0);
    while let Some(chunk) = statement.step().map_err(failed)? {
        let batch = RecordBatch::try_new(Arc::clone(&schema), chunk.columns().to_vec())
            .map_err(|error| QueryError::Invalid(error.to_string().into()))?;
        rows += batch.num_rows();
        if rows > MAX_ROWS {
            let message = format!("the catalog answers with at most {MAX_ROWS} rows");
            return Err(QueryError::Refused(message.into()));
        }
        batches.push(batch);
    }
    Ok(CatalogAnswer { columns, batches })
}

fn open(
    version: &str,
    types: &[CatalogType],
    tables: &[CatalogTable],
) -> duckdb::Result<(Connection, HashSet<String>)> {
    let config = Config::default()
        .max_memory("128MB")?
        .threads(1)?
        .with("max_temp_directory_size", "0B")?
        .with("autoinstall_known_extensions", "false")?
        .with("autoload_known_extensions", "false")?;
    let connection = Connection::open_in_memory_with_flags(config)?;
    // Only known where ICU is linked.
    let _ = connection.execute_batch("SET GLOBAL TimeZone = 'UTC'");
    connection.execute_batch(SCHEMA)?;
    connection.execute("UPDATE program SET version = ?", [version])?;
    for kind in types {
        connection.execute(
            "INSERT INTO our_types VALUES (?, ?, ?, ?, ?)",
            duckdb::params![kind.oid, kind.name, kind.sql_name, kind.size, kind.category],
        )?;
    }
    for (place, table) in (0_i64..).zip(tables) {
        insert(&connection, FIRST_TABLE + place, table)?;
    }
    let mut functions = HashSet::new();
    let mut statement = connection.prepare(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE schema_name IN ('pgc', 'isc')",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        functions.insert(row.get("function_name")?);
    }
    connection.execute_batch(
        "SET search_path = 'pgc'; SET integer_division = true; \
         SET GLOBAL enable_external_access = false; SET GLOBAL lock_configuration = true",
    )?;
    drop(rows);
    drop(statement);
    Ok((connection, functions))
}

/// Number of the first table, as PostgreSQL counts those of users.
const FIRST_TABLE: i64 = 16_384;

fn insert(connection: &Connection, oid: i64, table: &CatalogTable) -> duckdb::Result<()> {
    connection.execute(
        "INSERT INTO our_tables VALUES (?, ?, ?)",
        duckdb::params![oid, table.name, table.about],
    )?;
    for (number, column) in (1_i64..).zip(&table.columns) {
        let values: [Value; 5] = [
            Value::BigInt(oid),
            Value::BigInt(number),
            Value::Text(column.name.clone()),
            Value::Text(column.about.clone()),
            Value::BigInt(column.type_oid.into()),
        ];
        connection.execute(
            "INSERT INTO our_columns VALUES (?, ?, ?, ?, ?)",
            duckdb::params_from_iter(values),
        )?;
    }
    Ok(())
}
