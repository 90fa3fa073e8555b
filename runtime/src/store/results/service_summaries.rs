//! Figures of all services at once, from the tiers, for lists of many of them.

use std::collections::HashMap;

use duckdb::Connection;

use super::error::reading;
use super::{ResultError, ResultStore, tiers};
use crate::domain::UnixMillis;

/// Half hours of a summary: one day.
pub const HALF_HOURS: usize = 48;
pub const HALF_HOUR_MS: UnixMillis = 1_800_000;
const DAY_MS: UnixMillis = 86_400_000;
/// Days that availability is counted over.
const DAYS: UnixMillis = 30;

/// One service at a glance. Its reports on itself do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceSummary {
    /// Beginning of the first half hour.
    pub from_ms: UnixMillis,
    /// Oldest first; the last one is not over yet.
    pub half_hours: Vec<HalfHour>,
    /// Runs of 30 days that found it available.
    pub up: u64,
    pub down: u64,
    pub budget: Option<ErrorBudget>,
    /// Quantile of the runs of 24 hours that found it available, within 2.5 %.
    pub p95_us: Option<u64>,
}

/// Runs of all probes of a service in one half hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HalfHour {
    pub healthy: u64,
    pub degraded: u64,
    /// Runs that found the service down.
    pub down: u64,
    /// Runs that count for nothing: missed, broken, within a pause or maintenance.
    pub uncounted: u64,
    /// Mean of the runs that found it available.
    pub latency_us: Option<u64>,
}

/// Seconds that may be bad in the window of an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorBudget {
    pub whole_s: i64,
    /// Seconds that are left; negative when overspent.
    pub left_s: i64,
}

/// Summaries by slug.
type Found = HashMap<String, ServiceSummary>;

impl ResultStore {
    /// Returns a summary of each service that was measured in the last 30 days.
    pub async fn service_summaries(&self, now_ms: UnixMillis) -> Result<Found, ResultError> {
        self.read(move |connection| {
            // The views and their marks are of one moment.
            connection.execute_batch("BEGIN").map_err(reading)?;
            let found = summaries(connection, now_ms).map_err(reading);
            let ended = connection.execute_batch("ROLLBACK").map_err(reading);
            found.and_then(|found| ended.map(|()| found))
        })
        .await
    }
}

fn summaries(connection: &Connection, now_ms: UnixMillis) -> duckdb::Result<Found> {
    connection.execute_batch(&tiers::variables(connection)?)?;
    let this_half_hour = now_ms.div_euclid(HALF_HOUR_MS) * HALF_HOUR_MS;
    let from_ms = this_half_hour - (HALF_HOURS as UnixMillis - 1) * HALF_HOUR_MS;
    let mut found = availability(connection, now_ms - DAYS * DAY_MS)?;
    for summary in found.values_mut() {
        summary.from_ms = from_ms;
        summary.half_hours = vec![HalfHour::default(); HALF_HOURS];
    }
    half_hours(connection, from_ms, &mut found)?;
    latencies(connection, now_ms - DAY_MS, &mut found)?;
    budgets(connection, &mut found)?;
    Ok(found)
}

fn availability(connection: &Connection, since_ms: UnixMillis) -> duckdb::Result<Found> {
    let since = moment(since_ms);
    let sql = format!("SELECT service, up, down FROM fact.availability_since(NULL, {since})");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Found::new();
    while let Some(row) = rows.next()? {
        let summary = ServiceSummary {
            up: row.get::<_, i64>("up")?.unsigned_abs(),
            down: row.get::<_, i64>("down")?.unsigned_abs(),
            ..ServiceSummary::default()
        };
        found.insert(row.get("service")?, summary);
    }
    Ok(found)
}

fn half_hours(
    connection: &Connection,
    from_ms: UnixMillis,
    found: &mut Found,
) -> duckdb::Result<()> {
    let sql = format!(
        "SELECT service, (epoch_ms(time_bucket(INTERVAL 30 MINUTE, ts)) - {from_ms}) // {HALF_HOUR_MS} AS place, \
             sum(healthy)::BIGINT AS healthy, sum(degraded)::BIGINT AS degraded, \
             sum(unhealthy + error)::BIGINT AS down, \
             sum(runs - healthy - degraded - unhealthy - error)::BIGINT AS uncounted, \
             sum(lat_n)::BIGINT AS timed, sum(lat_sum_us)::BIGINT AS sum_us \
         FROM main.roll_5m WHERE location <> 'webhook' AND ts >= {} GROUP BY ALL",
        moment(from_ms)
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs);
        let service: String = row.get("service")?;
        let place: i64 = row.get("place")?;
        let slot = usize::try_from(place).ok();
        let summary = found.get_mut(&service);
        let half_hour =
            slot.and_then(|place| summary.and_then(|found| found.half_hours.get_mut(place)));
        if let Some(half_hour) = half_hour {
            *half_hour = HalfHour {
                healthy: count("healthy")?,
                degraded: count("degraded")?,
                down: count("down")?,
                uncounted: count("uncounted")?,
                latency_us: count("sum_us")?.checked_div(count("timed")?),
            };
        }
    }
    Ok(())
}

fn latencies(
    connection: &Connection,
    since_ms: UnixMillis,
    found: &mut Found,
) -> duckdb::Result<()> {
    let since = moment(since_ms);
    let sql = format!("SELECT service, p95_ms FROM fact.latency_since(NULL, {since})");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let service: String = row.get("service")?;
        let p95_ms: Option<f64> = row.get("p95_ms")?;
        if let Some(summary) = found.get_mut(&service) {
            summary.p95_us = p95_ms.map(|ms| (ms * 1_000.0).round() as u64);
        }
    }
    Ok(())
}

fn budgets(connection: &Connection, found: &mut Found) -> duckdb::Result<()> {
    let sql = "SELECT service, budget_s, left_s FROM main.error_budget WHERE budget_s IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let service: String = row.get("service")?;
        if let Some(summary) = found.get_mut(&service) {
            summary.budget = Some(ErrorBudget {
                whole_s: row.get("budget_s")?,
                left_s: row.get("left_s")?,
            });
        }
    }
    Ok(())
}

/// A constant, by which everything else is skipped.
fn moment(ms: UnixMillis) -> String {
    format!("make_timestamp({})", ms.saturating_mul(1_000))
}
