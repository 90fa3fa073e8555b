//! `events`: one row a report of a service through a webhook.

use super::ColumnType::{I64, Json, Text, Timestamp};
use super::cell::metrics_from_json;
use super::{Batch, Cell, Cells, Column, Record, Stored, column, nullable};
use crate::domain::Event;
use crate::store::results::ResultError;

impl Record for Event {
    const TABLE: &'static str = "events";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("received_ts", Timestamp, "arrival", |row| {
                Cell::moment(row.received_ms)
            }),
            column("ts", Timestamp, "moment by the sender's clock", |row| {
                Cell::moment(row.ts_ms)
            }),
            column("id", I64, "our id; grows by one", |row| {
                Cell::Signed(row.id)
            }),
            column("service", Text, "slug of the service", |row| {
                Cell::text(&row.service)
            }),
            column("webhook", Text, "name of the webhook", |row| {
                Cell::text(&row.webhook)
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
            nullable("event_id", Text, "the sender's id", |row| {
                Cell::optional(row.event_id.as_deref(), Cell::text)
            }),
            column("kind", Text, "the sender's word for it", |row| {
                Cell::text(&row.kind)
            }),
            column("summary", Text, "one line for people", |row| {
                Cell::text(&row.summary)
            }),
            column("payload", Json, "what was kept of the delivery", |row| {
                Cell::text(&row.payload)
            }),
            nullable("attributes", Json, "further values by name", |row| {
                Cell::metrics(&row.attributes)
            }),
        ]
    }
}

impl Stored for Event {
    fn from_batch(batch: &Batch<'_>) -> Result<Vec<Self>, ResultError> {
        let (received, ts) = (batch.moment("received_ts")?, batch.moment("ts")?);
        let (id, run_id) = (batch.i64("id")?, batch.i64("run_id")?);
        let (service, webhook) = (batch.text("service")?, batch.text("webhook")?);
        let (plugin, version) = (batch.text("plugin")?, batch.text("plugin_version")?);
        let (event_id, kind) = (batch.text("event_id")?, batch.text("kind")?);
        let (summary, payload) = (batch.text("summary")?, batch.text("payload")?);
        let attributes = batch.text("attributes")?;
        let event = |row| {
            Ok(Event {
                id: id.one(row)?,
                ts_ms: ts.one(row)?,
                received_ms: received.one(row)?,
                service: service.one(row)?,
                webhook: webhook.one(row)?,
                plugin: plugin.one(row)?,
                plugin_version: version.one(row)?,
                run_id: run_id.one(row)?,
                event_id: event_id.get(row),
                kind: kind.one(row)?,
                summary: summary.one(row)?,
                payload: payload.one(row)?,
                attributes: attributes
                    .get(row)
                    .as_deref()
                    .map(metrics_from_json)
                    .unwrap_or_default(),
            })
        };
        batch.rows().map(event).collect()
    }
}
