//! Where everything durable lives, and the only place with SQL: [`ControlStore`] (SQLite) holds
//! state and secrets, [`ResultStore`] (DuckDB) holds measurements. Knows the domain and nothing
//! else.

pub mod carrier;
pub mod control;
pub(crate) mod files;
pub mod results;

mod lock;

pub use control::{ControlError, ControlStore, KeyError, Keyring};
/// Batches in which SQL is answered.
pub use duckdb::arrow::datatypes::SchemaRef;
pub use duckdb::arrow::record_batch::RecordBatch;
pub(crate) use lock::DataLock;
pub use lock::LockError;
pub use results::{
    ArchivedDay, BareIncident, CallSum, Catalog, CatalogAnswer, CatalogColumn, CatalogTable,
    CatalogType, Cell, Cells, ClaimSums, ComparisonRow, DayContent, DayWritten, Diagnosis,
    ErrorBudget, EventFilter, HALF_HOUR_MS, HALF_HOURS, HalfHour, HistorySlot, HistorySpans,
    HonestyRow, IncidentFilter, IncidentRow, JsonRows, Latencies, LineOutcome, MonthRow, NoiseRow,
    PhaseSlot, PhaseSums, Place, PluginHour, PluginSwap, QueryError, QueryLimits, QueryParams,
    QueryProgress, QueryRequest, QueryStream, Replaced, ResultError, ResultHealth, ResultSettings,
    ResultStore, RetrySum, ServiceHistories, ServiceSummary, SloRow, SpoolSettings, SqlAnswer,
    SqlColumn, SqlMacro, SqlSchema, SqlView, SqlViewColumn, StoredReading, UnitSum,
    UsageAndBatches, UsageKey, UsageQuestion, UsageSum, Writer, memory_of,
};
