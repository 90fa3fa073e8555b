//! Measurements, in DuckDB: append-only facts. Handing a row over never waits for the database: one
//! thread decides where rows go, another one commits them in batches, and while that fails they are
//! spooled on another disk. Readers use connections of their own; what users write in SQL passes a
//! gate first. Secrets never come here.

mod analytics;
mod archive;
mod backup;
mod call_batches;
mod calls;
mod catalog;
mod cells;
mod changes;
mod chore;
mod committer;
mod damage;
mod database;
mod describe;
mod diagnosis;
mod error;
mod events;
mod gate;
mod health;
mod incidents;
mod interrupt;
mod invoices;
mod lineage;
mod months;
mod offline;
mod offline_sql;
mod part;
mod past;
mod progress;
mod query;
mod queue;
mod rate_limits;
mod read;
mod recent;
mod run_ids;
mod schema;
mod sealing;
mod service_details;
mod service_history;
mod service_summaries;
mod shadow;
mod snapshot;
mod spool;
mod spooled;
mod table_retention;
mod tables;
mod tiers;
mod torn;
mod usage_merge;
mod usage_sums;
mod value;
mod writer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};

pub use analytics::{ComparisonRow, HonestyRow, MonthRow, NoiseRow, PhaseSums, SloRow};
pub use archive::{ArchivedDay, DayContent, DayWritten};
pub use backup::{TableRows, rows_of};
pub use call_batches::call_key;
pub use catalog::{Catalog, CatalogAnswer, CatalogColumn, CatalogTable, CatalogType};
pub use cells::{Cell, Cells};
pub use database::ALERTING_READERS;
pub use describe::{SqlMacro, SqlSchema, SqlView, SqlViewColumn};
pub use diagnosis::{Diagnosis, Place};
pub use error::{QueryError, ResultError};
pub use events::EventFilter;
pub use health::{PluginHour, StoredSpan, VersionKey};
pub use incidents::{IncidentFilter, IncidentRow};
pub use invoices::{LineOutcome, Replaced};
pub use offline::{Compacted, TableSize, check, compact, migrate, migration, sizes};
pub use offline_sql::OfflineSql;
pub use past::PastSpan;
pub use progress::{ResultHealth, Stalled, WriterStats};
pub use query::{
    JsonRows, QueryLimits, QueryParams, QueryProgress, QueryRequest, QueryStream, SQL_SUBCOMMAND,
    SqlAnswer, SqlColumn, SqlSettings, memory_of, sql_child,
};
pub use rate_limits::StoredReading;
pub use sealing::SealSettings;
pub use service_details::{ClaimSums, PhaseSlot, PluginSwap};
pub use service_history::{BareIncident, HistorySlot, HistorySpans, Latencies, ServiceHistories};
pub use service_summaries::{ErrorBudget, HALF_HOUR_MS, HALF_HOURS, HalfHour, ServiceSummary};
pub use snapshot::Snapshot;
pub use spool::SpoolSettings;
pub use tables::ServiceRow;
pub use tiers::TierSettings;
pub use usage_sums::{
    CallSum, RetrySum, UnitSum, UsageAndBatches, UsageKey, UsageQuestion, UsageSum,
};
pub use writer::Writer;

use super::lock::DataLock;
use crate::domain::{
    Alert, AlertEvent, Event, Observation, PluginRun, ShadowRun, TableRetention, Tier,
    TierRetention, UnixMillis,
};
use database::{Database, Opened};
use gate::Gate;
use progress::Progress;
use queue::{Done, Queue};
use run_ids::RunIds;
use sealing::Sealed;
use spool::Spool;
use table_retention::Keep;

const FILE: &str = "results.duckdb";
/// In the folder of the spool.
const RUN_IDS: &str = "run-ids";
/// User queries at the same time: each has a process, which may take gigabytes of memory.
const QUERIES: usize = 4;

#[derive(Debug, Clone)]
pub struct ResultSettings {
    /// At the latest this long after its arrival a row is committed: what a crash can lose.
    /// Default 1 s.
    pub flush_interval: Duration,
    /// A batch this large is committed at once. Default 5,000.
    pub flush_rows: usize,
    /// Kept rows that wait in memory; half of them go to the spool. Default 20,000: about 10 MB.
    pub queue_rows: usize,
    /// DuckDB's; at least `1GB`. Default `1GB`.
    pub memory_limit: String,
    /// Where kept rows go that can't be committed. None: they stay in memory.
    pub spool: Option<SpoolSettings>,
    pub tiers: TierSettings,
    pub sealing: SealSettings,
    /// Folder of the archive, which the database may read and write. None: there is none.
    pub archive: Option<PathBuf>,
    pub tables: TableRetention,
    pub sql: SqlSettings,
}

impl Default for ResultSettings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(1),
            flush_rows: 5_000,
            queue_rows: 20_000,
            memory_limit: "1GB".to_owned(),
            spool: None,
            tiers: TierSettings::default(),
            sealing: SealSettings::default(),
            archive: None,
            tables: TableRetention::default(),
            sql: SqlSettings::default(),
        }
    }
}

/// Between looks at the spool of before; a frame of it is committed in a fraction of a second.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A handle; cheap to clone. The files are released when the writer and the last handle are gone.
#[derive(Clone)]
pub struct ResultStore {
    queue: Arc<Queue>,
    database: Arc<Database>,
    gate: Arc<Gate>,
    queries: Arc<Semaphore>,
    sql: SqlSettings,
    progress: Arc<Progress>,
    sealed: Arc<Sealed>,
    /// Files of the archive that can't be trusted.
    damaged: Arc<RwLock<BTreeSet<String>>>,
    closing: Arc<Closing>,
    retention: Arc<Mutex<Keep>>,
    /// Folder of the spool; none: nothing is spooled.
    spool: Option<Arc<Path>>,
    first_run_id: i64,
    first_event_id: i64,
    /// Number of imports of invoices since the start.
    invoice_changes: watch::Sender<u64>,
}

/// Ends the writer when the last handle is gone.
struct Closing {
    queue: Arc<Queue>,
    /// Until the first [`ResultStore::close`].
    sender: Mutex<Option<oneshot::Sender<Done>>>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl ResultStore {
    /// Creates or migrates `results.duckdb` in `dir`; a damaged one is set aside. Nothing is
    /// written until the [`Writer`] runs. Blocks: a large write-ahead log is replayed here.
    pub fn open(dir: &Path, settings: ResultSettings) -> Result<(Self, Writer), ResultError> {
        let path = dir.join(FILE);
        let lock = DataLock::acquire(&path)?;
        let Opened {
            database,
            last,
            mut notices,
        } = Database::open(path, &settings, lock)?;
        let spool = settings
            .spool
            .clone()
            .and_then(|settings| open_spool(settings, &mut notices));
        let mut run_ids = match (&spool, &settings.spool) {
            (Some(_), Some(settings)) => RunIds::open(settings.folder.join(RUN_IDS)),
            _ => RunIds::none(),
        };
        notices.extend(missing_rows(
            &mut run_ids,
            last.observation,
            !notices.is_empty(),
        ));
        let spooled = spool
            .as_ref()
            .map_or((0, 0), |spool| (spool.last_run_id(), spool.last_event_id()));
        let first_run_id = run_ids.first(last.run.max(spooled.0));
        let first_event_id = last.event.max(spooled.1) + 1;
        let queue = Arc::new(Queue::new(settings.queue_rows, settings.flush_rows));
        let (progress, database) = (Arc::new(Progress::default()), Arc::new(database));
        report_start(&progress, notices, spool.as_ref());
        let retention = Arc::new(Mutex::new(Keep {
            tiers: settings.tiers.retention,
            tables: settings.tables,
        }));
        settings.sql.report();
        let (sender, closing) = oneshot::channel();
        let sealed = Arc::new(Sealed::default());
        let store = Self {
            queue: Arc::clone(&queue),
            database: Arc::clone(&database),
            gate: Arc::new(Gate::open()?),
            queries: Arc::new(Semaphore::new(QUERIES)),
            sql: settings.sql.clone(),
            progress: Arc::clone(&progress),
            sealed: Arc::clone(&sealed),
            damaged: Arc::default(),
            closing: Arc::new(Closing {
                queue: Arc::clone(&queue),
                sender: Mutex::new(Some(sender)),
            }),
            retention: Arc::clone(&retention),
            spool: spool
                .as_ref()
                .and(settings.spool.as_ref())
                .map(|settings| settings.folder.as_path().into()),
            first_run_id,
            first_event_id,
            invoice_changes: watch::Sender::new(0),
        };
        Ok((
            store,
            Writer {
                queue,
                database,
                progress,
                spool,
                run_ids,
                sealed,
                closing,
                retention,
                settings,
            },
        ))
    }

    /// Behind all ids that were ever used.
    pub fn first_run_id(&self) -> i64 {
        self.first_run_id
    }

    /// Behind all ids of events that are committed or spooled.
    pub fn first_event_id(&self) -> i64 {
        self.first_event_id
    }

    /// Returns at once. The row is committed within the flush interval or, while that fails,
    /// spooled; what finds no room anywhere is counted.
    pub fn observation_record(&self, observation: Arc<Observation>) {
        self.queue.keep(vec![observation], Vec::new(), None);
    }

    /// Returns once the row is durable, in the database or in the spool, which happens at once.
    pub async fn observation_append_durable(
        &self,
        observation: Arc<Observation>,
    ) -> Result<(), ResultError> {
        let (done, answer) = oneshot::channel();
        self.queue.keep(vec![observation], Vec::new(), Some(done));
        answer.await.map_err(|_| ResultError::Closed)?
    }

    /// Returns at once. Accounts of runs are best effort: they are dropped, those of good runs
    /// first, when the database does not take them.
    pub fn plugin_run_record(&self, run: PluginRun) {
        self.queue.plugin_run(run);
    }

    /// Returns at once; best effort as well.
    pub fn shadow_run_record(&self, run: ShadowRun) {
        self.queue.shadow_run(run);
    }

    /// Returns after the commit. Events that are there already are left out, so that a page may be
    /// sent again.
    pub async fn alert_event_append(
        &self,
        events: Vec<(AlertEvent, Alert)>,
    ) -> Result<(), ResultError> {
        let (done, answer) = oneshot::channel();
        self.queue.copy(events, done);
        answer.await.map_err(|_| ResultError::Closed)?
    }

    /// What one delivery brought, and what it reported: together or not at all. Returns once it is
    /// durable, in the database or in the spool, which happens at once. An error says that it
    /// is not durable *yet*: see [`ResultError::NotCommitted`].
    pub async fn event_append_durable(
        &self,
        events: Vec<Event>,
        reports: Vec<Arc<Observation>>,
    ) -> Result<(), ResultError> {
        let (done, answer) = oneshot::channel();
        self.queue.keep(reports, events, Some(done));
        answer.await.map_err(|_| ResultError::Closed)?
    }

    /// Replaces the dimension table. Returns at once; the last list is committed as soon as that
    /// works.
    pub fn service_replace(&self, services: Vec<ServiceRow>) {
        self.queue.replace_services(services);
    }

    /// Commits or spools what is queued, checkpoints, and ends the writer. An error says that rows
    /// were given up.
    pub async fn close(&self) -> Result<(), ResultError> {
        let (done, answer) = oneshot::channel();
        let sender = self
            .closing
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let sent = sender.is_some_and(|sender| sender.send(done).is_ok());
        self.queue.close();
        if !sent {
            return Err(ResultError::Closed);
        }
        answer.await.map_err(|_| ResultError::Closed)?
    }

    /// Changes how long rows are kept, from the next step on.
    pub fn set_retention(&self, tiers: TierRetention, tables: TableRetention) {
        let mut kept = self
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *kept = Keep { tiers, tables };
    }

    pub fn stats(&self) -> WriterStats {
        self.progress.stats(&self.queue)
    }

    /// Everything that is durable is in the database: what readers find is all there is.
    pub fn is_settled(&self) -> bool {
        let health = self.health();
        health.stalled.is_none() && health.spooled_rows == 0
    }

    /// All that was recorded before this start can be read.
    pub fn is_past_whole(&self) -> bool {
        self.progress.update(|report| !report.has_inherited)
    }

    /// Returns when all that was recorded before this start can be read; false: it can't be
    /// committed at the moment.
    pub async fn past_whole(&self) -> bool {
        while !self.is_past_whole() {
            if self.health().stalled.is_some() {
                return false;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        true
    }

    /// The moment before which a tier of history is counted; none before the first look at it.
    pub fn counted_until_ms(&self, tier: Tier) -> Option<UnixMillis> {
        let counted = self.progress.update(|report| report.counted_until_ms);
        counted.map(|counted| counted[tier as usize])
    }

    pub fn health(&self) -> ResultHealth {
        self.progress.health(&self.queue)
    }
}

/// Opens the spool. Without it rows that can't be committed stay in memory, which is noted.
fn open_spool(settings: SpoolSettings, notices: &mut Vec<String>) -> Option<Spool> {
    match Spool::open(settings) {
        Ok(spool) => {
            if !spool.is_empty() {
                tracing::info!(
                    rows = spool.rows(),
                    bytes = spool.bytes(),
                    "results of before are in the spool, and committed now"
                );
            }
            Some(spool)
        }
        Err(error) => {
            tracing::error!(%error, "results can't be spooled; while the database fails they stay in memory");
            notices.push(format!("results can't be spooled: {error}"));
            None
        }
    }
}

/// Reports what the start found, before the writer runs: what is spooled is not there for readers.
fn report_start(progress: &Progress, notices: Vec<String>, spool: Option<&Spool>) {
    progress.update(|report| {
        report.notices = notices;
        report.spooled_rows = spool.map_or(0, Spool::rows);
        report.spooled_bytes = spool.map_or(0, Spool::bytes);
        report.has_inherited = spool.is_some_and(Spool::has_inherited);
    });
}

/// Notices that the database ends before what was committed; none where the reason is known.
fn missing_rows(run_ids: &mut RunIds, last: i64, is_explained: bool) -> Option<String> {
    let committed = run_ids.committed();
    if committed <= last {
        return None;
    }
    run_ids.forget_committed(last);
    if is_explained {
        return None;
    }
    let text = format!(
        "results up to run {committed} were committed before, and the store ends at run {last}: rows are missing"
    );
    tracing::error!("{text}; was `{FILE}` or its write-ahead log cut, removed or replaced?");
    Some(text)
}

#[cfg(test)]
mod outage_tests;
#[cfg(test)]
pub(crate) mod tests;
