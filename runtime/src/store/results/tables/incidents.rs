//! `incidents`: one row a change of an incident, copied from the control store.

use super::ColumnType::{I64, Text, Timestamp};
use super::{Cell, Column, Record, column, nullable};
use crate::domain::{Incident, IncidentOutcome};

fn count(value: u64) -> Cell<'static> {
    Cell::Signed(i64::try_from(value).unwrap_or(i64::MAX))
}

impl Record for Incident {
    const TABLE: &'static str = "incidents";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("ts", Timestamp, "moment of the change", |row| {
                Cell::moment(row.changed_ms)
            }),
            column("change_id", I64, "id of the change", |row| {
                Cell::Signed(row.change_id)
            }),
            column("id", I64, "id of the incident", |row| Cell::Signed(row.id)),
            column("service", Text, "slug of the service", |row| {
                Cell::text(&row.facts.service)
            }),
            column(
                "started",
                Timestamp,
                "moment of the first failed run",
                |row| Cell::moment(row.facts.started_ms),
            ),
            nullable(
                "ended",
                Timestamp,
                "moment of the first good run; null while it lasts",
                |row| Cell::optional(row.facts.ended_ms, Cell::moment),
            ),
            column(
                "kind",
                Text,
                "`outage`; of a vendor also `degradation` or `maintenance`",
                |row| Cell::text(row.facts.kind.as_str()),
            ),
            column(
                "source",
                Text,
                "`ours` by our probes, `vendor` by its status page",
                |row| Cell::text(row.facts.source.as_str()),
            ),
            column(
                "reference",
                Text,
                "what makes it the same incident",
                |row| Cell::text(&row.facts.reference),
            ),
            column("cause", Text, "the first failure, for people", |row| {
                Cell::text(&row.facts.cause)
            }),
            nullable(
                "error_kind",
                Text,
                "kind of the first failure; the vendor's word for the impact",
                |row| Cell::optional(row.facts.error_kind.as_deref(), Cell::text),
            ),
            nullable(
                "probe",
                Text,
                "probe that failed first, or read the vendor's page, or the vendor's webhook",
                |row| Cell::optional(row.facts.probe.as_deref(), Cell::text),
            ),
            nullable(
                "outcome",
                Text,
                "how it ended: `recovered` or `removed`",
                |row| Cell::optional(row.facts.outcome.map(IncidentOutcome::as_str), Cell::text),
            ),
            column(
                "runs",
                I64,
                "failed runs, or the vendor's updates, up to the change",
                |row| count(row.facts.runs),
            ),
            column(
                "reopened",
                I64,
                "how often it went on soon after it had ended",
                |row| count(row.facts.reopened.into()),
            ),
            nullable(
                "alert_id",
                I64,
                "id of the first alert that fired meanwhile",
                |row| Cell::optional(row.alert, |alert| Cell::Signed(alert.0)),
            ),
        ]
    }
}
