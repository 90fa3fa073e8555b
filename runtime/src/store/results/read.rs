//! Our own questions to the results, with bound parameters.

use duckdb::{Connection, Params, Row, params};

use super::database::ReaderKind;
use super::interrupt::interruptible;
use super::rows::metrics_from_json;
use super::{ResultError, ResultStore, rate_limits};
use crate::domain::{ErrorKind, Failure, Observation, Phases, Status, UnixMillis};

/// No list is longer, whatever was asked for.
pub(super) const MAX_ROWS: usize = 100_000;

/// The year 2200: a moment that microseconds can hold.
const FAR_MS: UnixMillis = 7_258_118_400_000;

macro_rules! select_observations {
    ($rest:literal) => {
        concat!(
            "SELECT epoch_ms(ts), service, probe, location, status, latency_us, dns_us, connect_us, tls_us, \
             first_byte_us, body_us, http_status, error_kind, error, bytes, plugin, plugin_version, run_id, metrics, \
             missed FROM fact.observations ",
            $rest
        )
    };
}

impl ResultStore {
    /// Id and moment of the copied alert event with the highest id.
    pub async fn alert_event_last(&self) -> Result<Option<(i64, UnixMillis)>, ResultError> {
        self.read(|connection| {
            let sql = "SELECT event_id, epoch_ms(ts) FROM fact.alert_events ORDER BY event_id DESC, ts DESC LIMIT 1";
            let mut statement = connection.prepare(sql).map_err(reading)?;
            let mut rows = statement.query([]).map_err(reading)?;
            match rows.next().map_err(reading)? {
                Some(row) => Ok(Some((row.get(0).map_err(reading)?, row.get(1).map_err(reading)?))),
                None => Ok(None),
            }
        })
        .await
    }

    /// The last `limit` committed ones between two moments, oldest first, with what they were told
    /// of rate limits. For alerting.
    pub async fn observation_history(
        &self,
        service: &str,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
        limit: usize,
    ) -> Result<Vec<Observation>, ResultError> {
        let service = service.to_owned();
        let until_ms = until_ms.min(FAR_MS);
        self.read_as(ReaderKind::Alerting, move |connection| {
            let mut found = observations(
                connection,
                select_observations!(
                    "WHERE service = ? AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) \
                     ORDER BY ts DESC, run_id DESC LIMIT ?"
                ),
                params![service, since_ms, until_ms, limit.min(MAX_ROWS) as i64],
            )?;
            found.reverse();
            if let Some(oldest) = found.first() {
                let limits = rate_limits::by_run(connection, &service, oldest.ts_ms, oldest.run_id)?;
                rate_limits::attach(&mut found, limits);
            }
            Ok(found)
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
            observations(
                connection,
                select_observations!(
                    "WHERE service = ? AND run_id > ? AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) \
                     ORDER BY run_id LIMIT ?"
                ),
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
                    "SELECT count(*) FROM fact.observations \
                     WHERE service = ? AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000)",
                    params![service, since_ms.max(0), until_ms],
                    |row| row.get::<_, i64>(0),
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
            observations(
                connection,
                select_observations!(
                    "WHERE service = ? AND run_id < ? ORDER BY run_id DESC LIMIT ?"
                ),
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

pub(super) fn reading(source: duckdb::Error) -> ResultError {
    ResultError::Database {
        doing: "read",
        source,
    }
}

pub(super) use select_observations;

pub(super) fn observations(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<Observation>, ResultError> {
    let mut statement = connection.prepare(sql).map_err(reading)?;
    let mut rows = statement.query(params).map_err(reading)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(reading)? {
        found.push(observation_from(row)?);
    }
    Ok(found)
}

pub(super) fn observation_from(row: &Row<'_>) -> Result<Observation, ResultError> {
    let run_id: i64 = row.get(17).map_err(reading)?;
    let micros = |index| {
        row.get::<_, Option<u32>>(index)
            .map(|value| value.map(u64::from))
            .map_err(reading)
    };
    let text = |index| row.get::<_, String>(index).map_err(reading);
    let unknown = |column, found| ResultError::Unreadable {
        run_id,
        column,
        found,
    };
    let status = text(4)?;
    let failure = match row.get::<_, Option<String>>(12).map_err(reading)? {
        None => None,
        Some(kind) => Some(Failure {
            kind: ErrorKind::parse(&kind).ok_or_else(|| unknown("error_kind", kind))?,
            message: row
                .get::<_, Option<String>>(13)
                .map_err(reading)?
                .unwrap_or_default(),
        }),
    };
    Ok(Observation {
        ts_ms: row.get(0).map_err(reading)?,
        service: text(1)?,
        probe: text(2)?,
        location: text(3)?,
        status: Status::parse(&status).ok_or_else(|| unknown("status", status))?,
        latency_us: micros(5)?,
        phases: Phases {
            dns_us: micros(6)?,
            connect_us: micros(7)?,
            tls_us: micros(8)?,
            first_byte_us: micros(9)?,
            body_us: micros(10)?,
        },
        http_status: row.get(11).map_err(reading)?,
        failure,
        bytes: row.get(14).map_err(reading)?,
        plugin: text(15)?,
        plugin_version: text(16)?,
        run_id,
        metrics: row
            .get::<_, Option<String>>(18)
            .map_err(reading)?
            .map(|json| metrics_from_json(&json))
            .unwrap_or_default(),
        missed: row.get(19).map_err(reading)?,
        rate_limits: Vec::new(),
    })
}
