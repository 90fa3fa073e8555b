//! `rate_limits`: one row a limit and run, as the headers of an answer gave it.

use super::ColumnType::{I64, Text, Timestamp, U64};
use super::{Batch, Cell, Cells, Column, Record, Stored, column, nullable};
use crate::domain::RateLimit;
use crate::store::results::ResultError;

/// Reading of a limit, with the run that read it.
#[derive(Debug, Clone)]
pub(in crate::store::results) struct RateLimitRow {
    pub(in crate::store::results) service: String,
    pub(in crate::store::results) probe: String,
    pub(in crate::store::results) location: String,
    pub(in crate::store::results) run_id: i64,
    pub(in crate::store::results) limit: RateLimit,
}

impl Record for RateLimitRow {
    const TABLE: &'static str = "rate_limits";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("ts", Timestamp, "arrival of the answer", |row| {
                Cell::moment(row.limit.ts_ms)
            }),
            column("service", Text, "slug of the service", |row| {
                Cell::text(&row.service)
            }),
            column("probe", Text, "name of the probe", |row| {
                Cell::text(&row.probe)
            }),
            column("location", Text, "place of the run", |row| {
                Cell::text(&row.location)
            }),
            column("host", Text, "host that answered", |row| {
                Cell::text(&row.limit.host)
            }),
            column("name", Text, "the service's name of the limit", |row| {
                Cell::text(&row.limit.name)
            }),
            nullable("quota", U64, "most requests in one window", |row| {
                Cell::optional(row.limit.quota, Cell::Unsigned)
            }),
            nullable("remaining", U64, "requests left", |row| {
                Cell::optional(row.limit.remaining, Cell::Unsigned)
            }),
            nullable("reset_ts", Timestamp, "end of the window", |row| {
                Cell::optional(row.limit.reset_ms, Cell::moment)
            }),
            nullable("window_ms", U64, "length of the window", |row| {
                Cell::optional(row.limit.window_ms, Cell::Unsigned)
            }),
            column("run_id", I64, "id of the run", |row| {
                Cell::Signed(row.run_id)
            }),
            nullable("used", U64, "requests used in the window", |row| {
                Cell::optional(row.limit.used, Cell::Unsigned)
            }),
            nullable(
                "unit",
                Text,
                "what is counted; null: requests, or not known",
                |row| Cell::optional(row.limit.unit.as_deref(), Cell::text),
            ),
            nullable(
                "refill_per_hour",
                U64,
                "what comes back in an hour, of a limit that fills up",
                |row| Cell::optional(row.limit.refill_per_hour, Cell::Unsigned),
            ),
            nullable(
                "credential",
                Text,
                "name of the credential that was used",
                |row| Cell::optional(row.limit.credential.as_deref(), Cell::text),
            ),
            nullable(
                "partition_key",
                Text,
                "the service's key of our part of the quota",
                |row| Cell::optional(row.limit.partition.as_deref(), Cell::text),
            ),
        ]
    }
}

impl Stored for RateLimitRow {
    fn from_batch(batch: &Batch<'_>) -> Result<Vec<Self>, ResultError> {
        let (ts, reset, run_id) = (
            batch.moment("ts")?,
            batch.moment("reset_ts")?,
            batch.i64("run_id")?,
        );
        let (service, probe, location) = (
            batch.text("service")?,
            batch.text("probe")?,
            batch.text("location")?,
        );
        let (host, name) = (batch.text("host")?, batch.text("name")?);
        let (quota, remaining, window) = (
            batch.u64("quota")?,
            batch.u64("remaining")?,
            batch.u64("window_ms")?,
        );
        let (used, refill) = (batch.u64("used")?, batch.u64("refill_per_hour")?);
        let (unit, credential, partition) = (
            batch.text("unit")?,
            batch.text("credential")?,
            batch.text("partition_key")?,
        );
        let reading = |row| {
            Ok(RateLimitRow {
                service: service.one(row)?,
                probe: probe.one(row)?,
                location: location.one(row)?,
                run_id: run_id.one(row)?,
                limit: RateLimit {
                    ts_ms: ts.one(row)?,
                    host: host.one(row)?,
                    name: name.one(row)?,
                    quota: quota.get(row),
                    remaining: remaining.get(row),
                    reset_ms: reset.get(row),
                    window_ms: window.get(row),
                    used: used.get(row),
                    unit: unit.get(row),
                    refill_per_hour: refill.get(row),
                    partition: partition.get(row),
                    credential: credential.get(row),
                },
            })
        };
        batch.rows().map(reading).collect()
    }
}
