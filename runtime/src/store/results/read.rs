//! Our own questions to the results, with bound parameters.

use duckdb::{Connection, params};

use super::database::ReaderKind;
use super::error::reading;
use super::interrupt::interruptible;
use super::tables::select;
use super::{ResultError, ResultStore};
use crate::domain::{Observation, UnixMillis};

/// No list is longer, whatever was asked for.
pub(super) const MAX_ROWS: usize = 100_000;

/// The year 2200: a moment that microseconds can hold.
pub(super) const FAR_MS: UnixMillis = 7_258_118_400_000;

impl ResultStore {
    /// Id and moment of the copied alert event with the highest id.
    pub async fn alert_event_last(&self) -> Result<Option<(i64, UnixMillis)>, ResultError> {
        self.read(|connection| {
            let sql = "SELECT event_id, epoch_ms(ts) AS ts_ms FROM fact.alert_events ORDER BY event_id DESC, ts DESC LIMIT 1";
            let mut statement = connection.prepare(sql).map_err(reading)?;
            let mut rows = statement.query([]).map_err(reading)?;
            match rows.next().map_err(reading)? {
                Some(row) => Ok(Some((row.get("event_id").map_err(reading)?, row.get("ts_ms").map_err(reading)?))),
                None => Ok(None),
            }
        })
        .await
    }

    /// Committed ones behind a run and between two moments, in the order of their runs: a page of a
    /// long way through.
    pub async fn observation_span(
        &self,
        service: &str,
        after_run_id: i64,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
        limit: usize,
    ) -> Result<Vec<Observation>, ResultError> {
        let service = service.to_owned();
        let until_ms = until_ms.min(FAR_MS);
        self.read(move |connection| {
            select(
                connection,
                "WHERE service = ? AND run_id > ? AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) \
                     ORDER BY run_id LIMIT ?",
                params![service, after_run_id, since_ms.max(0), until_ms, limit.min(MAX_ROWS) as i64],
            )
        })
        .await
    }

    pub async fn observation_count(
        &self,
        service: &str,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
    ) -> Result<u64, ResultError> {
        let service = service.to_owned();
        let until_ms = until_ms.min(FAR_MS);
        self.read(move |connection| {
            connection
                .query_row(
                    "SELECT count(*) AS runs FROM fact.observations \
                     WHERE service = ? AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000)",
                    params![service, since_ms.max(0), until_ms],
                    |row| row.get::<_, i64>("runs"),
                )
                .map(i64::unsigned_abs)
                .map_err(reading)
        })
        .await
    }

    /// Committed ones, newest first; the cursor is the run id of the last one of the page before.
    pub async fn observation_page(
        &self,
        service: &str,
        before_run_id: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Observation>, ResultError> {
        let service = service.to_owned();
        self.read(move |connection| {
            select(
                connection,
                "WHERE service = ? AND run_id < ? ORDER BY run_id DESC LIMIT ?",
                params![
                    service,
                    before_run_id.unwrap_or(i64::MAX),
                    limit.min(MAX_ROWS) as i64
                ],
            )
        })
        .await
    }

    /// Runs `work` with a connection of its own, where blocking is allowed. Dropped before it is
    /// done, it interrupts its query.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, ResultError> + Send + 'static,
    ) -> Result<T, ResultError> {
        self.read_as(ReaderKind::Shared, work).await
    }

    pub(super) async fn read_as<T: Send + 'static>(
        &self,
        kind: ReaderKind,
        work: impl FnOnce(&Connection) -> Result<T, ResultError> + Send + 'static,
    ) -> Result<T, ResultError> {
        let reader = self.database.reader(kind).await?;
        interruptible(reader, work).await
    }
}
