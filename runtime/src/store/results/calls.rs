//! Questions to the calls: what is known of those that were reported, and whether rows and totals
//! agree.

use std::collections::HashSet;
use std::sync::Arc;

use duckdb::params;
use tokio::sync::oneshot;

use super::error::reading;
use super::{ResultError, ResultStore};
use crate::domain::{CallBatch, UnixMillis, UsageDifference};

/// Routes that are read back at a start, of all services.
const MAX_ROUTES: i64 = 100_000;

impl ResultStore {
    /// Hands over calls, and returns at once. The answer comes when they are durable, in the
    /// database or in the spool. After an error they may be stored or not: the same batch can be handed
    /// over again, and counts once.
    pub fn call_batch_append(
        &self,
        batch: Arc<CallBatch>,
    ) -> oneshot::Receiver<Result<(), ResultError>> {
        let (done, answer) = oneshot::channel();
        self.queue.keep_calls(batch, done);
        answer
    }

    /// Returns the keys of reported calls between two moments that are committed; none if there are
    /// more than `limit`.
    pub async fn call_keys_between(
        &self,
        (from_ms, until_ms): (UnixMillis, UnixMillis),
        limit: usize,
    ) -> Result<Option<HashSet<u64>>, ResultError> {
        self.read(move |connection| {
            let sql = "SELECT key FROM fact.call_keys \
                 WHERE ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) LIMIT ?";
            let mut statement = connection.prepare(sql).map_err(reading)?;
            let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
            let keys = statement
                .query_map(params![from_ms, until_ms, most], |row| row.get("key"))
                .map_err(reading)?;
            let keys: HashSet<u64> = keys.collect::<Result<_, _>>().map_err(reading)?;
            Ok((keys.len() <= limit).then_some(keys))
        })
        .await
    }

    /// Returns those of some keys that reported calls between two moments have, as far as they are
    /// committed.
    pub async fn call_keys_among(
        &self,
        (from_ms, until_ms): (UnixMillis, UnixMillis),
        wanted: HashSet<u64>,
    ) -> Result<HashSet<u64>, ResultError> {
        self.read(move |connection| {
            let sql = "SELECT key FROM fact.call_keys \
                 WHERE ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000)";
            let mut statement = connection.prepare(sql).map_err(reading)?;
            let keys = statement
                .query_map(params![from_ms, until_ms], |row| row.get::<_, u64>("key"))
                .map_err(reading)?;
            let known = keys.filter(|key| key.as_ref().map_or(true, |key| wanted.contains(key)));
            known.collect::<Result<_, _>>().map_err(reading)
        })
        .await
    }

    /// Returns the routes of calls since a moment, each with its service.
    pub async fn call_routes_since(
        &self,
        since_ms: UnixMillis,
    ) -> Result<Vec<(String, String)>, ResultError> {
        self.read(move |connection| {
            let sql = "SELECT DISTINCT service, route FROM fact.usage_deltas \
                 WHERE ts >= make_timestamp(? * 1000) ORDER BY service, route LIMIT ?";
            let mut statement = connection.prepare(sql).map_err(reading)?;
            let routes = statement
                .query_map(params![since_ms, MAX_ROUTES], |row| {
                    Ok((row.get("service")?, row.get("route")?))
                })
                .map_err(reading)?;
            routes.collect::<Result<_, _>>().map_err(reading)
        })
        .await
    }

    /// Returns the number of the last batch that is committed; none where no calls of the gateway were ever
    /// counted.
    pub async fn call_batch_last(&self) -> Result<Option<i64>, ResultError> {
        self.read(|connection| {
            let sql = "SELECT max(seq) AS last FROM fact.call_batches \
                 WHERE EXISTS (SELECT 1 FROM fact.usage_deltas WHERE source = 'gateway')";
            let last = connection.query_row(sql, [], |row| row.get("last"));
            last.map_err(reading)
        })
        .await
    }

    /// Returns the minutes between two moments in which the totals and the rows do not agree.
    pub async fn usage_differences(
        &self,
        (from_ms, until_ms): (UnixMillis, UnixMillis),
    ) -> Result<Vec<UsageDifference>, ResultError> {
        self.read(move |connection| {
            let sql = "SELECT epoch_ms(coalesce(t.minute, r.minute)) AS minute_ms, \
                     coalesce(t.calls, 0)::BIGINT AS counted, coalesce(r.calls, 0)::BIGINT AS listed \
                 FROM (SELECT ts AS minute, sum(calls) - sum(unlisted) AS calls FROM fact.usage_deltas \
                     WHERE ts >= make_timestamp($1 * 1000) AND ts < make_timestamp($2 * 1000) GROUP BY ts) AS t \
                 FULL JOIN (SELECT date_trunc('minute', ts) AS minute, count(*) AS calls FROM fact.calls \
                     WHERE ts >= make_timestamp($1 * 1000) AND ts < make_timestamp($2 * 1000) GROUP BY ALL) AS r \
                     ON r.minute = t.minute \
                 WHERE coalesce(t.calls, 0) <> coalesce(r.calls, 0) ORDER BY minute_ms LIMIT 1000";
            let mut statement = connection.prepare(sql).map_err(reading)?;
            let differences = statement
                .query_map(params![from_ms, until_ms], |row| {
                    Ok(UsageDifference {
                        minute_ms: row.get("minute_ms")?,
                        counted: row.get("counted")?,
                        listed: row.get("listed")?,
                    })
                })
                .map_err(reading)?;
            differences.collect::<Result<_, _>>().map_err(reading)
        })
        .await
    }
}

#[cfg(test)]
mod tests;
