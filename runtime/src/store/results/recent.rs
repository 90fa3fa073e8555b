//! The last runs of every probe and webhook, for a start: one pass over a bounded time each,
//! whatever the number of services.

use duckdb::params;
use tokio::sync::mpsc;

use super::database::ReaderKind;
use super::error::reading;
use super::read::MAX_ROWS;
use super::tables::{select, select_batches};
use super::{ResultError, ResultStore};
use crate::domain::{Observation, UnixMillis, WEBHOOK};

impl ResultStore {
    /// When the newest committed run was due.
    pub async fn observation_newest_ms(&self) -> Result<Option<UnixMillis>, ResultError> {
        self.read_as(ReaderKind::Alerting, |connection| {
            connection
                .query_row(
                    "SELECT epoch_ms(max(ts)) AS ts_ms FROM fact.observations",
                    [],
                    |row| row.get("ts_ms"),
                )
                .map_err(reading)
        })
        .await
    }

    /// The last `most` committed runs of each probe of each service since a moment, in the order of
    /// their runs, as they are read. Ends early when the receiver is gone.
    pub async fn observation_recent(
        &self,
        since_ms: UnixMillis,
        most: usize,
        to: mpsc::Sender<Observation>,
    ) -> Result<(), ResultError> {
        self.read_as(ReaderKind::Alerting, move |connection| {
            // Counted by their numbers alone: whole rows of a day would be many gigabytes.
            let condition = "WHERE ts >= make_timestamp(? * 1000) AND run_id IN (
                     SELECT unnest(max(run_id, ?)) FROM fact.observations
                     WHERE ts >= make_timestamp(? * 1000) AND location <> ? GROUP BY service, probe)
                 ORDER BY run_id";
            let asked = params![since_ms, most.min(MAX_ROWS) as i64, since_ms, WEBHOOK];
            select_batches(connection, condition, asked, |runs: Vec<Observation>| {
                runs.into_iter().all(|run| to.blocking_send(run).is_ok())
            })
        })
        .await
    }

    /// The last `most` committed reports of each webhook of each service since a moment, in the
    /// order of their runs. They are far between, so the moment may lie far back.
    pub async fn report_recent(
        &self,
        since_ms: UnixMillis,
        most: usize,
    ) -> Result<Vec<Observation>, ResultError> {
        self.read_as(ReaderKind::Alerting, move |connection| {
            let mut found: Vec<Observation> = select(
                connection,
                    "WHERE ts >= make_timestamp(? * 1000) AND location = ?
                     QUALIFY row_number() OVER (PARTITION BY service, probe ORDER BY run_id DESC) <= ?
                     ORDER BY run_id DESC LIMIT ?",
                params![since_ms, WEBHOOK, most.min(MAX_ROWS) as i64, MAX_ROWS as i64],
            )?;
            found.reverse();
            Ok(found)
        })
        .await
    }
}
