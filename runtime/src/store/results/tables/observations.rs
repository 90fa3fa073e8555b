//! `observations`: one row a run of a probe, and one a service's report on itself.

use super::ColumnType::{Boolean, I64, Json, Text, Timestamp, U16, U32, U64};
use super::cell::metrics_from_json;
use super::{Batch, Cell, Cells, Column, Record, Stored, column, nullable};
use crate::domain::{ErrorKind, Exclusion, Failure, Observation, Phases, Status};
use crate::store::results::ResultError;

fn micros(value: Option<u64>) -> Cell<'static> {
    Cell::optional(value, Cell::Unsigned)
}

impl Record for Observation {
    const TABLE: &'static str = "observations";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("ts", Timestamp, "moment the run was due", |row| {
                Cell::moment(row.ts_ms)
            }),
            column("service", Text, "slug of the service", |row| {
                Cell::text(&row.service)
            }),
            column("probe", Text, "name of the probe or webhook", |row| {
                Cell::text(&row.probe)
            }),
            column(
                "location",
                Text,
                "place of the run; `webhook` for a report of the service itself",
                |row| Cell::text(&row.location),
            ),
            column(
                "status",
                Text,
                "`healthy`, `degraded`, `unhealthy` or `error`",
                |row| Cell::text(row.status.as_str()),
            ),
            nullable("latency_us", U32, "latency in µs", |row| {
                micros(row.latency_us)
            }),
            nullable("dns_us", U32, "name resolution", |row| {
                micros(row.phases.dns_us)
            }),
            nullable("connect_us", U32, "TCP connection", |row| {
                micros(row.phases.connect_us)
            }),
            nullable("tls_us", U32, "TLS handshake", |row| {
                micros(row.phases.tls_us)
            }),
            nullable(
                "first_byte_us",
                U32,
                "request to the first byte of the answer",
                |row| micros(row.phases.first_byte_us),
            ),
            nullable("body_us", U32, "first to last byte of the body", |row| {
                micros(row.phases.body_us)
            }),
            nullable("http_status", U16, "HTTP status", |row| {
                Cell::optional(row.http_status, |status| Cell::Unsigned(status.into()))
            }),
            nullable("error_kind", Text, "kind of the failure", |row| {
                Cell::optional(row.failure.as_ref(), |failure| {
                    Cell::text(failure.kind.as_str())
                })
            }),
            nullable("error", Text, "the failure, for people", |row| {
                Cell::optional(row.failure.as_ref(), |failure| Cell::text(&failure.message))
            }),
            column("bytes", U64, "bytes of the answer", |row| {
                Cell::Unsigned(row.bytes)
            }),
            column("plugin", Text, "name of the plugin", |row| {
                Cell::text(&row.plugin)
            }),
            column("plugin_version", Text, "its version", |row| {
                Cell::text(&row.plugin_version)
            }),
            column("run_id", I64, "id of the run", |row| {
                Cell::Signed(row.run_id)
            }),
            nullable("metrics", Json, "further figures by name", |row| {
                Cell::metrics(&row.metrics)
            }),
            column("missed", Boolean, "the run did not take place", |row| {
                Cell::Boolean(row.missed)
            }),
            nullable(
                "excluded",
                Text,
                "why the run does not count: `maintenance` or `paused`",
                |row| Cell::optional(row.excluded.map(Exclusion::as_str), Cell::text),
            ),
        ]
    }
}

impl Stored for Observation {
    fn from_batch(batch: &Batch<'_>) -> Result<Vec<Self>, ResultError> {
        let (ts, run_id, missed) = (
            batch.moment("ts")?,
            batch.i64("run_id")?,
            batch.boolean("missed")?,
        );
        let (service, probe, location) = (
            batch.text("service")?,
            batch.text("probe")?,
            batch.text("location")?,
        );
        let (status, error_kind, error) = (
            batch.text("status")?,
            batch.text("error_kind")?,
            batch.text("error")?,
        );
        let (latency, dns, connect) = (
            batch.u32("latency_us")?,
            batch.u32("dns_us")?,
            batch.u32("connect_us")?,
        );
        let (tls, first_byte, body) = (
            batch.u32("tls_us")?,
            batch.u32("first_byte_us")?,
            batch.u32("body_us")?,
        );
        let (http_status, bytes) = (batch.u16("http_status")?, batch.u64("bytes")?);
        let (plugin, version, metrics) = (
            batch.text("plugin")?,
            batch.text("plugin_version")?,
            batch.text("metrics")?,
        );
        let excluded = batch.text("excluded")?;
        let mut rows = Vec::with_capacity(batch.rows().len());
        for row in batch.rows() {
            let run_id = run_id.one(row)?;
            let unknown = |column, found: &str| ResultError::Unreadable {
                run_id,
                column,
                found: found.to_owned(),
            };
            let word = status.one(row)?;
            let failure = match error_kind.get(row) {
                None => None,
                Some(kind) => Some(Failure {
                    kind: ErrorKind::parse(&kind).ok_or_else(|| unknown("error_kind", &kind))?,
                    message: error.get(row).unwrap_or_default(),
                }),
            };
            rows.push(Observation {
                ts_ms: ts.one(row)?,
                service: service.one(row)?,
                probe: probe.one(row)?,
                location: location.one(row)?,
                status: Status::parse(&word).ok_or_else(|| unknown("status", &word))?,
                latency_us: latency.get(row).map(u64::from),
                phases: Phases {
                    dns_us: dns.get(row).map(u64::from),
                    connect_us: connect.get(row).map(u64::from),
                    tls_us: tls.get(row).map(u64::from),
                    first_byte_us: first_byte.get(row).map(u64::from),
                    body_us: body.get(row).map(u64::from),
                },
                http_status: http_status.get(row),
                failure,
                bytes: bytes.one(row)?,
                plugin: plugin.one(row)?,
                plugin_version: version.one(row)?,
                run_id,
                metrics: metrics
                    .get(row)
                    .as_deref()
                    .map(metrics_from_json)
                    .unwrap_or_default(),
                missed: missed.one(row)?,
                excluded: excluded.get(row).as_deref().and_then(Exclusion::parse),
                rate_limits: Vec::new(),
            });
        }
        Ok(rows)
    }
}
